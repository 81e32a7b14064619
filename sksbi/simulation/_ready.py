"""Rows that have ended, in order, and the batches that are made of them."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from sksbi.simulation._runner import Chunk
from sksbi.tables.simulated import Table, check_same_form, concatenate, fill, take
from sksbi.utils.types import Rows

__all__ = ["ReadyRows"]


class _Part(NamedTuple):
    """Rows by their numbers, and which of them have which results."""

    rows: Rows
    theta: Table
    places: Rows
    values: Table | None

    def split(self, n: int) -> tuple[_Part, _Part]:
        """Split behind n rows."""
        before = self.places < n
        first, rest = (
            None if self.values is None else take(self.values, some) for some in (before, ~before)
        )
        return (
            _Part(self.rows[:n], take(self.theta, slice(n)), self.places[before], first),
            _Part(self.rows[n:], take(self.theta, slice(n, None)), self.places[~before] - n, rest),
        )


class ReadyRows:
    """
    Rows that wait for a batch.

    Parameters
    ----------
    keep : bool
        Whether failed rows are among them, with NaN for results; else they are left out.
    """

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self._parts: deque[_Part] = deque()
        self._n = 0
        self._form: tuple[str, int] | None = None
        self._empty: Table | None = None  # results of no row

    def __len__(self) -> int:
        return self._n

    def has(self, n: int) -> bool:
        """Tell whether there are so many; none before a first result, whose form others have."""
        return self._n >= n and self._empty is not None

    def add(self, chunk: Chunk, theta: Table) -> None:
        """
        Take in what came of a chunk; it follows those before.

        Parameters
        ----------
        chunk : Chunk
            The chunk.
        theta : ndarray or DataFrame
            The parameters of all of its rows.

        Raises
        ------
        ValueError
            If its results are of another form than those before.
        """
        if chunk.values is not None:
            self._form = self._form or chunk.form
            check_same_form(*self._form, *chunk.form)
            if self._empty is None:
                self._empty = take(chunk.values, slice(0))
        places = chunk.rows - chunk.start
        if self._keep:
            part = _Part(np.arange(chunk.start, chunk.stop), theta, places, chunk.values)
        else:
            part = _Part(chunk.rows, take(theta, places), np.arange(len(places)), chunk.values)
        if len(part.rows):
            self._parts.append(part)
            self._n += len(part.rows)

    def batch(self, n: int) -> tuple[Table, Table, int]:
        """
        Put the first n rows together.

        Parameters
        ----------
        n : int
            How many.

        Returns
        -------
        theta : ndarray or DataFrame
            Their parameters.
        x : ndarray or DataFrame
            Their results.
        stop : int
            The number of the row after the last of them.
        """
        parts = self._first(n)
        numbers = [part.rows for part in parts]
        theta = concatenate([part.theta for part in parts], numbers)
        offsets = np.cumsum([0, *(len(rows) for rows in numbers[:-1])])
        pieces = [(p.places + k, p.values) for p, k in zip(parts, offsets, strict=True)]
        full = [(places, values) for places, values in pieces if values is not None]
        if not full and self._empty is not None:
            full = [(np.zeros(0, int), self._empty)]
        places = np.concatenate([places for places, _ in full])
        values = concatenate([values for _, values in full], [places])
        return theta, fill(values, places, n), int(numbers[-1][-1]) + 1

    def _first(self, n: int) -> list[_Part]:
        """Find the first n rows."""
        parts = []
        for part in self._parts:
            parts.append(part if len(part.rows) <= n else part.split(n)[0])
            n -= len(parts[-1].rows)
            if n == 0:
                break
        return parts

    def remove(self, n: int) -> None:
        """Remove the first n rows."""
        self._n -= n
        while n:
            part = self._parts.popleft()
            if len(part.rows) > n:
                self._parts.appendleft(part.split(n)[1])
            n -= min(n, len(part.rows))
