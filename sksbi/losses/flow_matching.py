r"""
The loss of flow matching posterior estimation.

On the straight line from noise z to theta, (1 - t) z + t theta, a field is fitted to the direction
theta - z by least squares. Here the field of the circle is (see :mod:`sksbi.nn.field`), and a
squared error of it counts (cos phi + sin phi)^2 on the line. Times are drawn by a power law towards
theta, where the posterior's finer structure is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sksbi.losses.field_matching import FieldMatching
from sksbi.utils.validation import check_real

__all__ = ["FlowMatching"]


class FlowMatching(FieldMatching):
    """
    Squared error of the field on the straight line between noise and theta.

    Parameters
    ----------
    power : float, default=-0.8
        The density of the distance s = 1 - t to theta is in proportion to s to this power, above
        -1; zero: times are uniform.
    n_angles : int, default=2
        The number of times that a row is seen at in a step, each with a noise and its opposite; in
        evaluation twice as many.

    References
    ----------
    .. [1] Flow matching for scalable simulation-based inference (Wildberger et al., 2023)
       https://arxiv.org/abs/2305.17161

    Examples
    --------
    >>> import torch
    >>> from sksbi.losses import FlowMatching
    >>> from sksbi.nn import VectorField
    >>> field = VectorField(1, 2).at(torch.zeros(5, 2))
    >>> FlowMatching().eval()(field, torch.zeros(5, 1)).shape
    torch.Size([5])
    """

    def __init__(self, power: float = -0.8, n_angles: int = 2) -> None:
        super().__init__(n_angles)
        self.power = check_real(power, "power", low=-1.0)

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
            The angles.
        """
        s = u.pow(1 / (1 + self.power))
        return torch.atan2(s, 1 - s)

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
        return (phi.cos() + phi.sin()).square()
