r"""
The loss of contrastive neural ratio estimation.

Given x and K parameters, the classifier says which of them x was simulated from, or that it was
none. With gamma the odds that it was one of them,

.. math::
    q(y = k | \theta_1, ..., \theta_K, x) = \frac{\gamma r(\theta_k, x)}
    {K + \gamma \sum_i r(\theta_i, x)}, \qquad
    q(y = 0 | ...) = \frac{K}{K + \gamma \sum_i r(\theta_i, x)},

and the loss is the cross-entropy between y and this q, where all theta_i are independent of x with
probability 1 / (1 + gamma), and otherwise one of them is its own. K = 1 and gamma = 1 give half of
the binary cross-entropy. With growing K the theta that compete with the own one come closer to it,
so the loss looks more sharply where the ratio is high; the class "none" fixes the constant that a
mere choice among the theta leaves free, so the minimum is at the log-ratio itself.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sksbi.losses.pairing import PairedCriterion
from sksbi.utils.validation import check_real

__all__ = ["Contrastive", "contrastive_losses"]


class Contrastive(PairedCriterion):
    """
    Cross-entropy of choosing among several theta, or none: the loss of CNRE, also known as NRE-C.

    Parameters
    ----------
    n_contrastive : int, default=16
        The number K of theta among which the classifier chooses; a batch of n rows has n - 1 at
        most.
    gamma : float, default=1.0
        The odds that one of them is the own theta.

    References
    ----------
    .. [1] Contrastive neural ratio estimation (Miller et al., 2022)
       https://arxiv.org/abs/2210.06170

    Examples
    --------
    >>> import torch
    >>> from sksbi.losses import Contrastive
    >>> def useless(theta):
    ...     return torch.zeros(theta.shape[:-1])
    >>> Contrastive(n_contrastive=1)(useless, torch.zeros(3, 1))
    tensor([0.6931, 0.6931, 0.6931])
    """

    _count_name = "n_contrastive"

    def __init__(self, n_contrastive: int = 16, gamma: float = 1.0) -> None:
        super().__init__(n_contrastive)
        self.gamma = check_real(gamma, "gamma")

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
        return contrastive_losses(joint, marginal, self.gamma)


def contrastive_losses(joint: Tensor, marginal: Tensor, gamma: float) -> Tensor:
    """
    Compute the contrastive cross-entropy of every row.

    Parameters
    ----------
    joint : Tensor of shape (..., n)
        The log-ratios of the own theta.
    marginal : Tensor of shape (..., K, n)
        The log-ratios of other theta; all K compete where the answer is "none", the first K - 1
        where it is the own theta.
    gamma : float
        The odds that the own theta is there.

    Returns
    -------
    Tensor of shape (..., n)
        The losses.
    """
    none = torch.full_like(joint, math.log(marginal.shape[-2] / gamma))[..., None, :]
    own = joint[..., None, :]
    without_own = torch.cat([none, marginal], -2).logsumexp(-2) - none[..., 0, :]
    with_own = torch.cat([none, own, marginal[..., :-1, :]], -2).logsumexp(-2) - joint
    return (without_own + gamma * with_own) / (1 + gamma)
