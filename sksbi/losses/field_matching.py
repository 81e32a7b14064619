r"""
What the losses of vector fields share: points on the circle, and what the field should be there.

The field at a point of the circle between theta and noise z is the mean of all directions in which
it is passed there. So it is learnt by least squares from single passages,

.. math::
    w = \cos\phi \; \theta + \sin\phi \; z, \qquad \dot w = -\sin\phi \; \theta + \cos\phi \; z.

Every z is taken with its opposite. Near theta the two points are nearly one, and what is noise in
their directions cancels in the gradient, of which it is by far the largest part.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from sksbi.losses.criterion import Criterion
from sksbi.nn import FieldAt
from sksbi.utils.validation import check_count

__all__ = ["FieldMatching"]

_EVALUATION = 2


class FieldMatching(Criterion):
    """
    Base of the losses of vector fields.

    A subclass draws the angles, and weights the squared errors there.

    Parameters
    ----------
    n_angles : int
        The number of angles that a row is seen at in a step, each with a noise and its opposite; in
        evaluation twice as many.

    Examples
    --------
    >>> import math, torch
    >>> from sksbi.losses import FieldMatching
    >>> class Uniform(FieldMatching):  # for FMPE(prior, criterion=Uniform)
    ...     def __init__(self, n_angles=2):
    ...         super().__init__(n_angles)
    ...     def angles(self, u):
    ...         return u * math.pi / 2
    ...     def weights(self, phi):
    ...         return torch.ones_like(phi)
    """

    def __init__(self, n_angles: int) -> None:
        super().__init__()
        self.n_angles = check_count(n_angles, "n_angles")

    @abstractmethod
    def angles(self, u: Tensor) -> Tensor:
        """
        Draw angles.

        Parameters
        ----------
        u : Tensor of shape (k,)
            Uniform numbers.

        Returns
        -------
        Tensor of shape (k,)
            The angles, from 0 (theta) to pi/2 (noise).
        """

    @abstractmethod
    def weights(self, phi: Tensor) -> Tensor:
        """
        Weight the squared errors.

        Parameters
        ----------
        phi : Tensor of shape (k,)
            The angles.

        Returns
        -------
        Tensor of shape (k,)
            The weights.
        """

    def forward(self, field: FieldAt, theta: Tensor) -> Tensor:
        """
        Compute one loss a row.

        Parameters
        ----------
        field : FieldAt
            The field in the contexts of the rows.
        theta : Tensor of shape (n, D)
            The parameters.

        Returns
        -------
        Tensor of shape (n,)
            The losses: squared errors a parameter, weighted, averaged over angles and members.
        """
        n, source = len(theta), self.generator
        n_angles = self.n_angles if self.training else _EVALUATION * self.n_angles
        # Every row has one angle of every part of the interval, of other places in it.
        places = torch.arange(n_angles)[:, None] + torch.rand(n_angles, n, generator=source)
        phi = self.angles((places / n_angles).flatten().to(theta.device))
        z = torch.randn(n_angles * n, theta.shape[1], generator=source).to(theta.device)
        whitened = field.whiten(theta).repeat(n_angles, 1)
        cos, sin = phi.cos()[:, None], phi.sin()[:, None]
        w = torch.cat([cos * whitened + sin * z, cos * whitened - sin * z])
        goal = torch.cat([cos * z - sin * whitened, -cos * z - sin * whitened])
        errors = (field(w, phi.repeat(2)) - goal).square().mean(-1)
        losses = errors.unflatten(-1, (2, n_angles, n)).mean(-3) * self.weights(phi).unflatten(
            0, (n_angles, n)
        )
        return losses.mean(-2).reshape(-1, n).mean(0)
