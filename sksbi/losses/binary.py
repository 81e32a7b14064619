r"""
The loss of neural ratio estimation: binary classification.

A classifier that tells pairs of the joint p(theta, x) from pairs of the product p(theta) p(x),
as many of each, has the optimum

.. math::
    d(\theta, x) = \frac{p(\theta, x)}{p(\theta, x) + p(\theta) p(x)} = \sigma(\log r(\theta, x)),
    \qquad r(\theta, x) = \frac{p(x | \theta)}{p(x)} = \frac{p(\theta | x)}{p(\theta)},

so the network gives log r, and the loss of d is the binary cross-entropy

.. math::
    -E_{p(\theta, x)} \log \sigma(\log r) - E_{p(\theta) p(x)} \log \sigma(-\log r).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

from sksbi.losses.pairing import PairedCriterion

__all__ = ["BinaryCrossEntropy"]


class BinaryCrossEntropy(PairedCriterion):
    """
    Binary cross-entropy between joint and marginal pairs: the loss of NRE, also known as AALR.

    Parameters
    ----------
    n_marginal : int, default=1
        The number of other rows' theta that every x is paired with. Their losses are averaged, so
        it changes the variance of the loss and not the loss.

    References
    ----------
    .. [1] Likelihood-free MCMC with amortized approximate ratio estimators (Hermans et al., 2020)
       https://arxiv.org/abs/1903.04057
    .. [2] Approximating likelihood ratios with calibrated discriminative classifiers
       (Cranmer et al., 2015) https://arxiv.org/abs/1506.02169

    Examples
    --------
    >>> import torch
    >>> from sksbi.losses import BinaryCrossEntropy
    >>> def useless(theta):
    ...     return torch.zeros(theta.shape[:-1])
    >>> BinaryCrossEntropy()(useless, torch.zeros(3, 1))
    tensor([1.3863, 1.3863, 1.3863])
    """

    def __init__(self, n_marginal: int = 1) -> None:
        super().__init__(n_marginal)

    def losses(self, joint: Tensor, marginal: Tensor, weight: Tensor | None) -> Tensor:
        """
        Compute the cross-entropies.

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
        return softplus(-joint) + softplus(marginal).mean(-2)
