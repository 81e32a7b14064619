r"""
The loss of neural posterior score estimation.

A diffusion that preserves variance takes theta to noise, and the score of the diffused posterior is
learnt by denoising. It is -(w + cot(phi) v), with v the field of the circle (see
:mod:`sksbi.nn.field`), so a squared error of the score, weighted by tan(phi)^2, is one of the
field: the weights of Karras et al. (2022) for theta of unit variance. The logarithm of the ratio of
noise to theta, tan(phi), is drawn from a normal distribution.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sksbi.losses.field_matching import FieldMatching
from sksbi.utils.validation import check_real

__all__ = ["ScoreMatching"]

_LEAST = 1e-4


class ScoreMatching(FieldMatching):
    """
    Squared error of the score along a diffusion, weighted by the square of the noise level.

    Parameters
    ----------
    mean, sd : float, default=-2.0 and 1.5
        Mean and standard deviation of the logarithm of the noise level, noise to theta.
    n_angles : int, default=2
        The number of noise levels that a row is seen at in a step, each with a noise and its
        opposite; in evaluation twice as many.

    References
    ----------
    .. [1] Sequential neural score estimation (Sharrock et al., 2022)
       https://arxiv.org/abs/2210.04872
    .. [2] Compositional score modeling for simulation-based inference (Geffner et al., 2023)
       https://arxiv.org/abs/2209.14249
    .. [3] Elucidating the design space of diffusion-based generative models (Karras et al., 2022)
       https://arxiv.org/abs/2206.00364

    Examples
    --------
    >>> import torch
    >>> from sksbi.losses import ScoreMatching
    >>> from sksbi.nn import VectorField
    >>> field = VectorField(1, 2).at(torch.zeros(5, 2))
    >>> ScoreMatching().eval()(field, torch.zeros(5, 1)).shape
    torch.Size([5])
    """

    def __init__(self, mean: float = -2.0, sd: float = 1.5, n_angles: int = 2) -> None:
        super().__init__(n_angles)
        self.mean = check_real(mean, "mean", low=-math.inf)
        self.sd = check_real(sd, "sd")

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
        normal = torch.special.ndtri(u.clamp(_LEAST, 1 - _LEAST))
        return (self.mean + self.sd * normal).exp().atan()

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
        return torch.ones_like(phi)
