r"""
The loss of balanced neural ratio estimation.

Among the classifiers d = sigma(log r) those are balanced for which

.. math::
    E_{p(\theta, x)} d(\theta, x) + E_{p(\theta) p(x)} d(\theta, x) = 1.

The optimal classifier is, and one that is balanced and not optimal errs towards a posterior that is
too wide rather than too narrow. So the squared distance from balance is added to the loss.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

from sksbi.losses.pairing import PairedCriterion
from sksbi.utils.validation import check_real

__all__ = ["BalancedBinaryCrossEntropy", "imbalance"]


class BalancedBinaryCrossEntropy(PairedCriterion):
    """
    Binary cross-entropy with a penalty on what is not balanced: the loss of BNRE.

    Parameters
    ----------
    penalty : float, default=100.0
        The factor of the squared distance from balance, lambda in the paper.
    n_marginal : int, default=1
        The number of other rows' theta that every x is paired with.

    Notes
    -----
    The mean of a squared distance over batches of n rows is larger than that of the expectation by
    its variance, a part proportional to 1 / n, which flattens the ratio besides: with batches of
    some tens of rows posteriors become wider than balance asks for. Take a larger ``batch_size``,
    256 as in the paper, and more epochs, if that matters.

    References
    ----------
    .. [1] Towards reliable simulation-based inference with balanced neural ratio estimation
       (Delaunoy et al., 2022) https://arxiv.org/abs/2208.13624

    Examples
    --------
    >>> import torch
    >>> from sksbi.losses import BalancedBinaryCrossEntropy
    >>> def always_joint(theta):
    ...     return torch.full(theta.shape[:-1], 50.0)
    >>> BalancedBinaryCrossEntropy()(always_joint, torch.zeros(3, 1))
    tensor([150., 150., 150.])
    """

    def __init__(self, penalty: float = 100.0, n_marginal: int = 1) -> None:
        super().__init__(n_marginal)
        self.penalty = check_real(penalty, "penalty")

    def losses(self, joint: Tensor, marginal: Tensor, weight: Tensor | None) -> Tensor:
        """
        Add the penalty to the cross-entropies.

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
        cross_entropy = softplus(-joint) + softplus(marginal).mean(-2)
        return cross_entropy + self.penalty * imbalance(joint, marginal, weight).square()


def imbalance(joint: Tensor, marginal: Tensor, weight: Tensor | None) -> Tensor:
    """
    Compute how far a classifier is from balance, E d + E' d - 1.

    Parameters
    ----------
    joint : Tensor of shape (..., n)
        The log-ratios of pairs of the joint.
    marginal : Tensor of shape (..., K, n)
        The log-ratios of pairs of the product.
    weight : Tensor of shape (n,) or None
        Weights of the rows.

    Returns
    -------
    Tensor of shape (..., 1)
        The distance from balance, positive where d is too large.
    """
    sums = joint.sigmoid() + marginal.sigmoid().mean(-2)
    mean = sums.mean(-1) if weight is None else (sums * weight).sum(-1) / weight.sum()
    return mean[..., None] - 1
