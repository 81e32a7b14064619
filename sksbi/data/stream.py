"""
Batches from the disk: chunks at random, many at once, shuffled among each other.

An epoch takes the chunks in a random order and holds so many of them in memory that a batch has
rows from everywhere. While the network learns from some, a thread reads the next and brings them to
the network's units. All random numbers are drawn by the consumer, so the batches do not depend on
how fast anything is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from torch.utils.data import Dataset

from sksbi.data.batches import Batch, TensorPairs, bounds_of, count_passes
from sksbi.data.on_disk import PairsOnDisk
from sksbi.data.pairs import Pairs
from sksbi.utils.types import Mask

__all__ = ["StreamedPairs"]

_NUMBERS = 2**23  # of the network's, that are held at once
_FEWEST_CHUNKS = 4


class StreamedPairs(Dataset[Batch]):
    """
    Pairs on disk in the network's units, one batch after the other.

    Parameters
    ----------
    pairs : PairsOnDisk
        The pairs.
    wanted : ndarray of bool, of shape (n,)
        Which rows to train on.
    encode : callable
        Brings Pairs to the network's units, as TensorPairs.
    sample : TensorPairs
        Some of them, for those who look at a few.
    device : str, default="cpu"
        Where the batches go.
    """

    def __init__(
        self,
        pairs: PairsOnDisk,
        wanted: Mask,
        encode: Callable[[Pairs], TensorPairs],
        sample: TensorPairs,
        device: str = "cpu",
    ) -> None:
        self._pairs, self._wanted, self._encode = pairs, wanted, encode
        self.sample, self._device = sample, device
        self._n_rows = int(np.count_nonzero(wanted))
        self.n_trials = sample.n_trials
        width = sample.context[0].numel() + sample.target[0].numel()
        self._at_once = max(_FEWEST_CHUNKS, _NUMBERS // (pairs.chunk_size * width))

    def __len__(self) -> int:
        return self._n_rows

    def to(self, device: str) -> StreamedPairs:
        """Let batches go to a device."""
        sample = self.sample.to(device)
        return StreamedPairs(self._pairs, self._wanted, self._encode, sample, device)

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
        n_chunks = self._pairs.n_chunks()
        order = torch.randperm(n_chunks, generator=generator) if shuffle else torch.arange(n_chunks)
        sizes = [stop - start for start, stop in bounds_of(len(self), batch_size)]
        left = iter(sizes * count_passes(self.n_trials))
        size, rest = next(left, 0), None
        with ThreadPoolExecutor(1, "sksbi-reader") as reader:
            for pairs in self._read_ahead(reader, order.tolist()):
                for segment in _segments(pairs, shuffle, generator):
                    start, rest = 0, segment if rest is None else _joined(rest, segment)
                    while size and start + size <= len(rest[0]):
                        yield _cut(rest, start, start + size)
                        start, size = start + size, next(left, 0)
                    rest = _cut(rest, start, None)

    def _read_ahead(self, reader: ThreadPoolExecutor, order: list[int]) -> Iterator[TensorPairs]:
        """Read chunks, one group ahead of what is given."""
        groups = [order[i : i + self._at_once] for i in range(0, len(order), self._at_once)]
        coming = None
        for group in [*groups, None]:
            ready = coming
            coming = None if group is None else reader.submit(self._load, group)
            if ready is not None:
                yield ready.result().to(self._device)

    def _load(self, group: list[int]) -> TensorPairs:
        """Read some chunks."""
        read = partial(self._pairs.chunk, wanted=self._wanted)
        chunks = (pairs for pairs in map(read, group) if len(pairs))
        parts = [self._encode(pairs) for pairs in chunks]
        return TensorPairs.joined(parts) if parts else self.sample.take(np.arange(0))


def _segments(
    pairs: TensorPairs, shuffle: bool, generator: torch.Generator | None
) -> Iterator[Batch]:
    """Give all rows, as often as they have trials to show, each time in another order."""
    n, n_trials = len(pairs), pairs.n_trials
    device, numbers = pairs.weight.device, torch.zeros(n, dtype=torch.long)
    if shuffle and n_trials > 1:
        numbers = torch.randint(n_trials, (n,), generator=generator)
    for k in range(count_passes(n_trials)):
        rows = torch.randperm(n, generator=generator) if shuffle else torch.arange(n)
        trial = ((numbers[rows] + k) % n_trials).to(device)
        yield pairs.pairs(rows.to(device), trial if n_trials > 1 else 0)


def _joined(one: Batch, other: Batch) -> Batch:
    """Put two batches after each other."""
    (a, (b, c)), (d, (e, f)) = one, other
    return torch.cat([a, d]), (torch.cat([b, e]), torch.cat([c, f]))


def _cut(batch: Batch, start: int, stop: int | None) -> Batch:
    """Take some rows of a batch."""
    rows = slice(start, stop)
    context, (target, weight) = batch
    return context[rows], (target[rows], weight[rows])
