"""
Pairs as a network sees them, and batches that are slices of them.

A DataLoader, which collates row by row, costs more than the training step of a small network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import ceil
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from sksbi.utils.types import Rows

__all__ = ["Batch", "Batches", "TensorPairs", "bounds_of", "count_passes"]

Batch = tuple[Tensor, tuple[Tensor, Tensor]]  # context, and target with weights

_MOST_PASSES = 10


class TensorPairs(Dataset[Any]):
    """
    Pairs in the network's units, as whole tensors: what it is given, and what its output judges.

    Where x consists of independent trials of one theta, a row stands for as many pairs; what is
    taken of it is one of them, so that no two pairs of a batch share their theta.

    Parameters
    ----------
    context : Tensor of shape (n, ...)
        What the network is given: x, or for a likelihood theta.
    target : Tensor of shape (n, ...)
        What its output judges: theta, or for a likelihood x.
    weight : Tensor of shape (n,)
        The weights, of mean 1.
    trials : {"context", "target"} or None, default=None
        Which of the two has trials as its second dimension; None: there are none.
    """

    def __init__(
        self, context: Tensor, target: Tensor, weight: Tensor, trials: str | None = None
    ) -> None:
        self.context, self.target, self.weight, self.trials = context, target, weight, trials

    def __len__(self) -> int:
        return len(self.weight)

    @property
    def n_trials(self) -> int:
        """The number of trials of a row."""
        return 1 if self.trials is None else getattr(self, self.trials).shape[1]

    def __getitem__(self, rows: Tensor | slice) -> Batch:
        return self.pairs(rows, 0)

    @classmethod
    def joined(cls, parts: Sequence[TensorPairs]) -> TensorPairs:
        """Put pairs after each other."""
        context, target, weight = (
            torch.cat([getattr(part, name) for part in parts])
            for name in ("context", "target", "weight")
        )
        return cls(context, target, weight, parts[0].trials)

    @property
    def sample(self) -> TensorPairs:
        """What those get who look at a few pairs: all of them."""
        return self

    def pairs(self, rows: Tensor | slice, trial: Tensor | int) -> Batch:
        """Take a pair of every row: its trial of this number, or of the number of each."""
        context, target = self.context, self.target
        at = (rows, trial)
        context = context[at] if self.trials == "context" else context[rows]
        target = target[at] if self.trials == "target" else target[rows]
        return context, (target, self.weight[rows])

    def flat(self, most: int) -> TensorPairs:
        """Make trials rows: as many of each row as give at most so many, but one at least."""
        if self.trials is None:
            return self
        n = max(1, min(self.n_trials, most // len(self)))
        context, target = (
            part[:, :n].flatten(0, 1) if name == self.trials else part.repeat_interleave(n, dim=0)
            for name, part in (("context", self.context), ("target", self.target))
        )
        return TensorPairs(context, target, self.weight.repeat_interleave(n))

    def of_trials(self, n: int) -> TensorPairs:
        """Bring the number of trials of a row to n: some are left out, or stand there again."""
        if self.trials is None or self.n_trials == n:
            return self
        at = torch.arange(n, device=self.weight.device) % self.n_trials
        context, target = (
            part[:, at] if name == self.trials else part
            for name, part in (("context", self.context), ("target", self.target))
        )
        return TensorPairs(context, target, self.weight, self.trials)

    def to(self, device: str) -> TensorPairs:
        """Move all tensors to a device."""
        context, target = self.context.to(device), self.target.to(device)
        return TensorPairs(context, target, self.weight.to(device), self.trials)

    def of_mean_weight_one(self) -> TensorPairs:
        """Scale the weights to mean 1, so that a mean loss is a weighted mean."""
        weight = self.weight / self.weight.mean()
        return TensorPairs(self.context, self.target, weight, self.trials)

    def take(self, rows: Rows) -> TensorPairs:
        """Take some rows."""
        at = torch.from_numpy(rows)
        return TensorPairs(self.context[at], self.target[at], self.weight[at], self.trials)

    def epoch(
        self, batch_size: int, *, shuffle: bool, generator: torch.Generator | None
    ) -> Iterator[Batch]:
        """
        Go through all rows once, and of independent trials through ten of each at most.

        Parameters
        ----------
        batch_size : int
            The largest size of a batch.
        shuffle : bool
            Whether rows come in a random order.
        generator : torch.Generator or None
            Where that comes from.

        Yields
        ------
        Tensor, (Tensor, Tensor)
            Context, and target with weights.
        """
        n, n_trials, n_passes = len(self), self.n_trials, count_passes(self.n_trials)
        bounds = bounds_of(n, batch_size)
        if not shuffle:
            for k in range(n_passes):
                yield from (self.pairs(slice(start, stop), k) for start, stop in bounds)
            return
        device, numbers = self.weight.device, torch.zeros(n, dtype=torch.long)
        if n_trials > 1:
            numbers = torch.randint(n_trials, (n,), generator=generator)
        for k in range(n_passes):
            order = torch.randperm(n, generator=generator).to(device)
            trial = ((numbers + k) % n_trials).to(device)
            for start, stop in bounds:
                rows = order[start:stop]
                yield self.pairs(rows, trial[rows] if n_trials > 1 else 0)


def bounds_of(n: int, batch_size: int) -> list[tuple[int, int]]:
    """
    Cut rows into batches of nearly equal size.

    Parameters
    ----------
    n : int
        The number of rows.
    batch_size : int
        The largest size of a batch.

    Returns
    -------
    list of (int, int)
        The first row of each, and the one after the last.
    """
    n_batches = ceil(n / batch_size)
    edges = [n * i // n_batches for i in range(n_batches + 1)]
    return list(pairwise(edges))


def count_passes(n_trials: int) -> int:
    """
    Tell how often an epoch goes through the rows, each time with another trial of each.

    Parameters
    ----------
    n_trials : int
        The number of trials of a row.

    Returns
    -------
    int
        All of them, 10 at most: of more, other epochs see others.
    """
    return min(n_trials, _MOST_PASSES)


class Batches:
    """
    Batches of nearly equal size, none above ``batch_size``.

    Parameters
    ----------
    dataset : TensorPairs or StreamedPairs
        What to iterate over.
    batch_size : int
        The largest size of a batch.
    shuffle : bool, default=False
        Whether to take the rows in a new random order in every epoch.
    generator : torch.Generator or None, default=None
        Where the order comes from.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        shuffle: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        self.dataset, self.batch_size = dataset, batch_size
        self.shuffle, self.generator = shuffle, generator
        self.passes = count_passes(dataset.n_trials)

    def __len__(self) -> int:
        return self.passes * ceil(len(self.dataset) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        epoch: Iterator[Batch] = self.dataset.epoch(
            self.batch_size, shuffle=self.shuffle, generator=self.generator
        )
        return epoch
