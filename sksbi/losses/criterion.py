"""What losses share: one a row, a weighted mean over a batch, and a generator of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Criterion", "WeightedMean"]


class Criterion(nn.Module, ABC):
    """
    Base of the losses that draw random numbers, such as partners for a row.

    They draw from ``self.generator``: in training it is the criterion's own, seeded by torch's
    global one when it is built; in evaluation it begins anew in every call, so that two values of
    the loss can be compared. Two fits in two threads then do not wait for each other, as they would
    for torch's global generator. A loss that draws nothing is any module.

    Attributes
    ----------
    takes_weights : bool
        Whether ``forward`` is given the weights of the rows, too.

    Examples
    --------
    >>> import torch
    >>> from sksbi.losses import Criterion
    >>> class Jittered(Criterion):  # for NPE(prior, criterion=Jittered)
    ...     def forward(self, posterior, theta):
    ...         noise = torch.randn(theta.shape, generator=self.generator)
    ...         return -posterior.log_prob(theta + 0.01 * noise.to(theta.device))
    >>> posterior = torch.distributions.MultivariateNormal(torch.zeros(1), torch.eye(1))
    >>> Jittered().eval()(posterior, torch.zeros(3, 1)).shape
    torch.Size([3])
    """

    takes_weights = False

    def __init__(self) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(int(torch.randint(2**31 - 1, ())))

    @property
    def generator(self) -> torch.Generator:
        """Where random numbers come from, on the CPU."""
        return self._generator if self.training else torch.Generator().manual_seed(0)

    @abstractmethod
    def forward(self, output: Any, theta: Tensor) -> Tensor:
        """
        Compute one loss a row.

        Parameters
        ----------
        output : object
            What the module returned: a distribution over theta, or a function theta -> log r.
        theta : Tensor of shape (n, D)
            The parameters.

        Returns
        -------
        Tensor of shape (n,)
            The losses.
        """


class WeightedMean(nn.Module):
    """
    Mean of a criterion's losses, weighted by rows.

    Parameters
    ----------
    criterion : torch.nn.Module
        Maps (output, theta) to losses of shape (n,); one that has ``takes_weights`` is given the
        weights, too.
    """

    def __init__(self, criterion: nn.Module) -> None:
        super().__init__()
        self.criterion = criterion

    def forward(self, output: Any, target: tuple[Tensor, Tensor]) -> Tensor:
        """
        Compute the loss of a batch.

        Parameters
        ----------
        output : object
            What the module returned.
        target : tuple of (theta of shape (n, D), weight of shape (n,))
            The parameters, and weights of mean 1 over all rows of the fit.

        Returns
        -------
        Tensor of shape ()
            The mean of weight times loss.
        """
        theta, weight = target
        weights = (weight,) if getattr(self.criterion, "takes_weights", False) else ()
        losses = self.criterion(output, theta, *weights)
        if losses.shape != weight.shape:
            raise ValueError(
                f"criterion must return one loss a row, shape {tuple(weight.shape)}, got "
                f"{tuple(losses.shape)} from {self.criterion!r}: take no mean, and flatten."
            )
        return (losses * weight).mean()
