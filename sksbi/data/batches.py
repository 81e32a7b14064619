"""
Pairs as a network sees them, and batches that are slices of them.

A DataLoader, which collates row by row, costs more than the training step of a small network.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from sksbi.utils.types import Rows

__all__ = ["Batches", "TensorPairs", "count_passes"]

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

    def __getitem__(self, rows: Tensor | slice) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        return self.pairs(rows, 0)

    def pairs(self, rows: Tensor | slice, trial: Tensor | int) -> tuple[Tensor, Any]:
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
    dataset : TensorPairs
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
        dataset: TensorPairs,
        batch_size: int,
        shuffle: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        self.dataset, self.batch_size = dataset, batch_size
        self.shuffle, self.generator = shuffle, generator
        self.passes = count_passes(dataset.n_trials)

    def __len__(self) -> int:
        return self.passes * ceil(len(self.dataset) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, tuple[Tensor, Tensor]]]:
        n, n_trials = len(self.dataset), self.dataset.n_trials
        n_batches = len(self) // self.passes
        edges = [n * i // n_batches for i in range(n_batches + 1)]
        bounds = list(zip(edges[:-1], edges[1:], strict=True))
        if not self.shuffle:
            for k in range(self.passes):
                yield from (self.dataset.pairs(slice(start, stop), k) for start, stop in bounds)
            return
        device, numbers = self.dataset.weight.device, torch.zeros(n, dtype=torch.long)
        if n_trials > 1:
            numbers = torch.randint(n_trials, (n,), generator=self.generator)
        for k in range(self.passes):
            order = torch.randperm(n, generator=self.generator).to(device)
            trial = ((numbers + k) % n_trials).to(device)
            for start, stop in bounds:
                rows = order[start:stop]
                yield self.dataset.pairs(rows, trial[rows] if n_trials > 1 else 0)
