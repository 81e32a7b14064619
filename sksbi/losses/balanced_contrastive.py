r"""
The loss of balanced contrastive neural ratio estimation.

Balance is a property of the classifier d = sigma(log r), whatever loss log r was trained by, and so
the same penalty as in the balanced binary cross-entropy goes with the contrastive loss,

.. math::
    L_{CNRE} + \lambda (E_{p(\theta, x)} d + E_{p(\theta) p(x)} d - 1)^2.
"""

from __future__ import annotations

from torch import Tensor

from sksbi.losses.balanced import imbalance
from sksbi.losses.contrastive import contrastive_losses
from sksbi.losses.pairing import PairedCriterion
from sksbi.utils.validation import check_real

__all__ = ["BalancedContrastive"]


class BalancedContrastive(PairedCriterion):
    """
    The contrastive loss with a penalty on what is not balanced.

    Parameters
    ----------
    penalty : float, default=100.0
        The factor of the squared distance from balance, lambda in the paper.
    n_contrastive : int, default=16
        The number K of theta among which the classifier chooses.
    gamma : float, default=1.0
        The odds that one of them is the own theta.

    Notes
    -----
    The mean of a squared distance over batches of n rows is larger than that of the expectation by
    its variance, a part proportional to 1 / n, which flattens the ratio besides: with batches of
    some tens of rows posteriors become wider than balance asks for. Take a larger ``batch_size``,
    256 as in the paper, and more epochs, if that matters.

    References
    ----------
    .. [1] Balancing simulation-based inference for conservative posteriors
       (Delaunoy et al., 2023) https://arxiv.org/abs/2304.10978

    Examples
    --------
    >>> import torch
    >>> from sksbi.losses import BalancedContrastive
    >>> def useless(theta):
    ...     return torch.zeros(theta.shape[:-1])
    >>> BalancedContrastive(n_contrastive=1)(useless, torch.zeros(3, 1))
    tensor([0.6931, 0.6931, 0.6931])
    """

    _count_name = "n_contrastive"

    def __init__(self, penalty: float = 100.0, n_contrastive: int = 16, gamma: float = 1.0) -> None:
        super().__init__(n_contrastive)
        self.penalty = check_real(penalty, "penalty")
        self.gamma = check_real(gamma, "gamma")

    def losses(self, joint: Tensor, marginal: Tensor, weight: Tensor | None) -> Tensor:
        """
        Add the penalty to the contrastive losses.

        Parameters
        ----------
        joint : Tensor of shape (..., n)
            Log-ratios of every x and its own theta.
        marginal : Tensor of shape (..., K, n)
            Log-ratios of every x and K other theta.
        weight : Tensor of shape (n,) or None
            Weights of the rows.

        Returns
        -------
        Tensor of shape (..., n)
            One loss a row.
        """
        losses = contrastive_losses(joint, marginal, self.gamma)
        return losses + self.penalty * imbalance(joint, marginal, weight).square()
