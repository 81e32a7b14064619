"""The pairs in a store as lazy tables: where their rows are, and how they go together."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sksbi.data.lazy import LazyTable
from sksbi.data.parts import Part
from sksbi.data.sources import Source
from sksbi.data.store import Entry, SimulationStore
from sksbi.tables.simulated import Table, concatenate, fill, take
from sksbi.utils.types import Rows

__all__ = ["lazy_pairs"]


def lazy_pairs(
    store: SimulationStore, n_rows: int, *, keeps_failures: bool
) -> tuple[LazyTable, LazyTable | None, Rows]:
    """
    Open the pairs of a store without reading them.

    Parameters
    ----------
    store : SimulationStore
        The store.
    n_rows : int
        How many rows of the run are wanted.
    keeps_failures : bool
        Whether rows that have failed are among them, with x all NaN.

    Returns
    -------
    theta : LazyTable of shape (m, D)
        The parameters.
    x : LazyTable of shape (m, ...) or None
        The results; None if there are none.
    rows : ndarray of int
        The numbers of these rows in the run.
    """
    entries = store.index(n_rows)
    results = [_rows_of(store, entry, keeps_failures) for entry in entries]
    rows = np.concatenate([np.zeros(0, dtype=np.intp), *results])
    theta = _ThetaSource(store)
    whole = len(rows) == theta.shape[0]
    x = _PartsSource.opened(store, entries, results, keeps_failures)
    return LazyTable(theta, None if whole else rows), None if x is None else LazyTable(x), rows


def _rows_of(store: SimulationStore, entry: Entry, keeps_failures: bool) -> Rows:
    """Tell which rows of an entry are given, with a look into it only where it must be."""
    if entry.n_lost and not keeps_failures:
        return store.read(entry).rows
    return np.arange(entry.start, entry.stop)


class _ThetaSource(Source):
    """The parameters of a store, in a file for each time that more rows were asked for."""

    def __init__(self, store: SimulationStore) -> None:
        self._store, self._files = store, store.theta_files()
        names = store.settings()["names"]
        self._edges = np.cumsum([0, *map(len, self._files)])
        shape = (int(self._edges[-1]), *self._files[0].shape[1:])
        super().__init__(shape, None if names is None else pd.Index(names))

    def read(self, start: int, stop: int) -> Table:
        """Read some rows."""
        parts = [
            file[max(0, start - edge) : max(0, stop - edge)]
            for file, edge in zip(self._files, self._edges, strict=False)
        ]
        theta = np.concatenate(parts)
        return theta if self.columns is None else pd.DataFrame(theta, columns=self.columns)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by where it is."""
        return type(self), (self._store,)


class _PartsSource(Source):
    """The results in a store, failures left out or kept as NaN."""

    def __init__(
        self,
        store: SimulationStore,
        entries: list[Entry],
        edges: Rows,
        keeps_failures: bool,
        empty: Table,
    ) -> None:
        self._store, self._entries, self._edges = store, entries, edges
        self._keeps_failures, self._empty = keeps_failures, empty
        self._last: tuple[int, Table] = (-1, empty)
        super().__init__((int(edges[-1]), *empty.shape[1:]), getattr(empty, "columns", None))

    @classmethod
    def opened(
        cls,
        store: SimulationStore,
        entries: list[Entry],
        results: list[Rows],
        keeps_failures: bool,
    ) -> _PartsSource | None:
        """Look at the first results; None if there are none."""
        some = (e for e in entries if not e.whole or e.n_lost < e.stop - e.start)
        values = (store.read(entry).values for entry in some)
        first = next((table for table in values if table is not None), None)
        if first is None:
            return None
        edges = np.cumsum([0, *map(len, results)])
        return cls(store, entries, edges, keeps_failures, take(first, slice(0)))

    def read(self, start: int, stop: int) -> Table:
        """Read the parts in which these rows are."""
        if start >= stop:
            return self._empty
        first, last = np.searchsorted(self._edges, [start, stop - 1], side="right") - 1
        tables, numbers = [], []
        for number in range(first, last + 1):
            low, high = self._edges[number : number + 2]
            if low < high:
                rows = slice(max(0, start - low), min(stop, high) - low)
                tables.append(take(self._part(number), rows))
                numbers.append(np.arange(low, high)[rows])
        return concatenate(tables, numbers)

    def _part(self, number: int) -> Table:
        """Read a part, unless it is the last one read."""
        last, table = self._last
        if last != number:
            entry = self._entries[number]
            table = self._filled(self._store.read(entry), entry)
            self._last = number, table
        return table

    def _filled(self, part: Part, entry: Entry) -> Table:
        """Put NaN where rows have failed, or leave them out."""
        values = self._empty if part.values is None else part.values
        if not self._keeps_failures:
            return values
        return fill(values, part.rows - entry.start, entry.stop - entry.start)

    def __getstate__(self) -> dict[str, object]:
        return vars(self) | {"_last": (-1, self._empty)}
