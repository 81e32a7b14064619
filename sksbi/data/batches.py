"""
Pairs (theta, x) as a network sees them, and batches that are slices of them.

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

__all__ = ["Batches", "TensorPairs"]


class TensorPairs(Dataset[Any]):
    """
    Pairs in the network's units, as whole tensors.

    Parameters
    ----------
    theta : Tensor of shape (n, D)
        The parameters, as the network sees them.
    x : Tensor of shape (n, ...)
        The observations, as the network sees them.
    weight : Tensor of shape (n,)
        The weights, of mean 1.
    """

    def __init__(self, theta: Tensor, x: Tensor, weight: Tensor) -> None:
        self.theta, self.x, self.weight = theta, x, weight

    def __len__(self) -> int:
        return len(self.theta)

    def __getitem__(self, rows: Tensor | slice) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        return self.x[rows], (self.theta[rows], self.weight[rows])

    def to(self, device: str) -> TensorPairs:
        """Move all tensors to a device."""
        return TensorPairs(self.theta.to(device), self.x.to(device), self.weight.to(device))

    def of_mean_weight_one(self) -> TensorPairs:
        """Scale the weights to mean 1, so that a mean loss is a weighted mean."""
        return TensorPairs(self.theta, self.x, self.weight / self.weight.mean())

    def take(self, rows: Rows) -> TensorPairs:
        """Take some rows."""
        at = torch.from_numpy(rows)
        return TensorPairs(self.theta[at], self.x[at], self.weight[at])


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

    def __len__(self) -> int:
        return ceil(len(self.dataset) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, tuple[Tensor, Tensor]]]:
        n = len(self.dataset)
        edges = [n * i // len(self) for i in range(len(self) + 1)]
        bounds = zip(edges[:-1], edges[1:], strict=True)
        if not self.shuffle:
            yield from (self.dataset[start:stop] for start, stop in bounds)
            return
        order = torch.randperm(n, generator=self.generator).to(self.dataset.theta.device)
        yield from (self.dataset[order[start:stop]] for start, stop in bounds)
