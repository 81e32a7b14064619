r"""
Losses of one network for all marginals.

A loss L of the posterior of all parameters, or of their ratio, is one of the parameters in a subset
A as well. With A drawn from a distribution P(A) for every pair and at every step,

.. math::
    E_{P(A)} E_{p(\theta, x)} L(q(\cdot | x, A), \theta_A)

is least where q(. | x, A) is right for every A that P gives a probability to.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sksbi.losses.criterion import Criterion
from sksbi.utils.masks import Masks

__all__ = ["MaskedCriterion"]

# A loss on few rows held out is to tell one epoch from another.
_IN_EVALUATION = 4


class MaskedCriterion(Criterion):
    """
    A criterion on subsets of the parameters, drawn anew for every row.

    In evaluation a loss is the mean over four subsets, which are the same in every call.

    Parameters
    ----------
    criterion : torch.nn.Module
        Maps (output, theta), and weights if it ``takes_weights``, to losses of shape (n,).
    masks : Masks
        What subsets are drawn from.

    References
    ----------
    .. [1] Arbitrary marginal neural ratio estimation for simulation-based inference
       (Rozet et al., 2021) https://arxiv.org/abs/2110.00449

    Examples
    --------
    >>> import torch
    >>> from sksbi.losses import NegativeLogLikelihood
    >>> from sksbi.losses.masked import MaskedCriterion
    >>> from sksbi.nn import MarginalFlow
    >>> from sksbi.utils.masks import Masks
    >>> criterion = MaskedCriterion(NegativeLogLikelihood(), Masks("uniform", ["mass", "rate"]))
    >>> criterion(MarginalFlow(2, 3)(torch.zeros(5, 3)), torch.zeros(5, 2)).shape
    torch.Size([5])
    """

    def __init__(self, criterion: nn.Module, masks: Masks) -> None:
        super().__init__()
        self.criterion, self.masks = criterion, masks
        self.takes_weights = getattr(criterion, "takes_weights", False)

    def forward(self, output: Any, theta: Tensor, *weight: Tensor) -> Tensor:
        """
        Compute one loss a row.

        Parameters
        ----------
        output : object
            What the module returned; its ``masked(mask)`` leaves out parameters.
        theta : Tensor of shape (n, D)
            The parameters.
        *weight : Tensor of shape (n,)
            The weights, for a criterion that takes them.

        Returns
        -------
        Tensor of shape (n,)
            The losses.
        """
        n_draws, generator = 1 if self.training else _IN_EVALUATION, self.generator
        losses: list[Tensor] = []
        for _ in range(n_draws):
            mask = self.masks.draw(len(theta), generator).to(theta.device)
            losses.append(self.criterion(output.masked(mask), theta, *weight))
        return torch.stack(losses).mean(0)
