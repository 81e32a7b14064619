r"""
Pairs for ratio estimation: theta with its own x, and theta with the x of others.

A batch of n rows (theta_i, x_i) holds draws of the joint p(theta, x). Draws of the product of the
marginals p(theta) p(x) come from the same rows: every x_i is paired with the theta of K other rows.
One random order and K random shifts of it give the partners, so that no theta meets its own x, the
K partners of a row are different rows, and every row is a partner as often as any other.

Where rows have weights, they stand for repeated rows: a partner is drawn in proportion to its
weight.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from sksbi.losses.criterion import Criterion
from sksbi.utils.validation import check_count

__all__ = ["LogRatio", "PairedCriterion", "draw_partners"]

LogRatio = Callable[[Tensor], Tensor]


class PairedCriterion(Criterion):
    """
    Base of the losses of ratio estimation: it pairs the rows of a batch.

    A subclass fills in ``losses``, which sees log-ratios only. In evaluation the partners are the
    same in every call, so that two values of the loss can be compared.

    Parameters
    ----------
    n_marginal : int
        The number K of other rows' theta that every x is paired with, at most; a batch of n rows
        has n - 1.

    Examples
    --------
    >>> import torch
    >>> from sksbi.losses import PairedCriterion
    >>> class SquaredError(PairedCriterion):  # for NRE(prior, criterion=SquaredError)
    ...     def __init__(self, n_marginal=4):
    ...         super().__init__(n_marginal)
    ...     def losses(self, joint, marginal, weight):
    ...         return (1 - joint.sigmoid()) ** 2 + (marginal.sigmoid() ** 2).mean(-2)
    >>> SquaredError()(lambda theta: torch.zeros(theta.shape[:-1]), torch.zeros(3, 1))
    tensor([0.5000, 0.5000, 0.5000])
    """

    def __init__(self, n_marginal: int) -> None:
        super().__init__()
        self.n_marginal = check_count(n_marginal, self._count_name)

    takes_weights = True
    _count_name = "n_marginal"

    @abstractmethod
    def losses(self, joint: Tensor, marginal: Tensor, weight: Tensor | None) -> Tensor:
        """
        Compute losses from log-ratios.

        Parameters
        ----------
        joint : Tensor of shape (..., n)
            Log-ratios of every x and its own theta.
        marginal : Tensor of shape (..., K, n)
            Log-ratios of every x and K other theta.
        weight : Tensor of shape (n,) or None
            Weights of the rows; None: all are equal.

        Returns
        -------
        Tensor of shape (..., n)
            One loss a row.
        """

    def forward(self, log_ratio: LogRatio, theta: Tensor, weight: Tensor | None = None) -> Tensor:
        """
        Compute one loss a row.

        Parameters
        ----------
        log_ratio : callable
            Maps theta of shape (K, n, D) to estimates of log r(theta, x) of shape (K, n), or
            (members, K, n), for the n observations of the batch.
        theta : Tensor of shape (n, D)
            The parameters that the observations were simulated from.
        weight : Tensor of shape (n,), default=None
            Weights of the rows, by which partners are drawn; None: all are equal.

        Returns
        -------
        Tensor of shape (n,)
            The losses, before they are weighted themselves; a mean over the members. A batch of one
            row has no other theta: its loss is 0.
        """
        n = len(theta)
        if n == 1:
            return 0 * log_ratio(theta[None]).reshape(-1, 1).mean(0)
        if weight is not None and bool((weight == weight[0]).all()):
            weight = None
        partners = draw_partners(n, self.n_marginal, self.generator, weight).to(theta.device)
        log_r = log_ratio(torch.cat([theta[None], theta[partners]]))
        losses = self.losses(log_r[..., 0, :], log_r[..., 1:, :], weight)
        return losses.reshape(-1, n).mean(0)


def draw_partners(
    n: int, n_marginal: int, generator: torch.Generator, weight: Tensor | None = None
) -> Tensor:
    """
    Draw, for every row, other rows.

    Parameters
    ----------
    n : int
        The number of rows, at least 2.
    n_marginal : int
        The number of partners wanted; n - 1 at most are drawn.
    generator : torch.Generator
        On the CPU.
    weight : Tensor of shape (n,), default=None
        Weights in proportion to which a partner is drawn, with replacement; None: without.

    Returns
    -------
    Tensor of shape (K, n), int
        The numbers of the partners, on the CPU.

    Examples
    --------
    >>> import torch
    >>> from sksbi.losses.pairing import draw_partners
    >>> partners = draw_partners(4, 3, torch.Generator().manual_seed(0))
    >>> torch.cat([torch.arange(4)[None], partners]).sort(0).values[:, 0]
    tensor([0, 1, 2, 3])
    """
    k = min(n_marginal, n - 1)
    if weight is not None:
        return _draw_weighted(weight.cpu().double(), k, generator)
    order = torch.randperm(n, generator=generator)
    shifts = 1 + torch.randperm(n - 1, generator=generator)[:k]
    partners = torch.empty(k, n, dtype=torch.long)
    partners[:, order] = order[(torch.arange(n) + shifts[:, None]) % n]
    return partners


def _draw_weighted(weight: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """Draw by inverting the cumulated weights, in which a row's own stretch is skipped."""
    n, ends = len(weight), weight.cumsum(0)
    place = torch.rand(k, n, generator=generator, dtype=torch.double) * (ends[-1] - weight)
    place += torch.where(place >= ends - weight, weight, 0.0)
    partners = torch.searchsorted(ends, place, right=True).clamp(max=n - 1)
    return torch.where(partners == torch.arange(n), (partners + 1) % n, partners)
