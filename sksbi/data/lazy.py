"""
Lazy tables: rows that stay on the disk until somebody looks at them.

A lazy table slices as arrays do, with rows in any order and any number of times, and what it gives
is lazy again; ``load()`` reads it. So ``GridSearchCV`` and its kin can cut what no memory holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from sksbi.data.sources import ArraySource, MemorySource, Source, is_sliceable
from sksbi.tables.simulated import Table, concatenate, take
from sksbi.utils.containers import as_rows
from sksbi.utils.lazy import Loadable
from sksbi.utils.types import Rows
from sksbi.utils.validation import check_memory

__all__ = ["LazyTable", "as_lazy", "beside", "some_pairs", "too_large"]

_STRETCH = 16_384  # rows that are read at a time
_GAP = 64  # rows that are cheaper read and left out than skipped
_SHOWN = 5
_IN_MEMORY = 2**24  # numbers; fewer are read whole


class LazyTable(Loadable):
    """
    A table on disk that slices as an array does.

    Parameters
    ----------
    source : Source
        Where the rows are.
    rows : range, ndarray of int or None, default=None
        Which of them, in which order; None: all.

    Attributes
    ----------
    shape : tuple of int
        The number of rows, and the shape of one.
    columns : Index or None
        The columns of what :meth:`load` gives as a DataFrame; None: it is an array.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from scipy import stats
    >>> from sksbi import simulate
    >>> def simulator(theta, rng):
    ...     return {"x": rng.normal(theta["mean"])}
    >>> with TemporaryDirectory() as folder:
    ...     theta, x = simulate(simulator, {"mean": stats.norm()}, 50, store=folder)
    ...     x[[3, 1, 3]].load().shape, len(x[10:20])
    ((3, 1), 10)
    """

    def __init__(self, source: Source, rows: range | Rows | None = None) -> None:
        self._source = source
        self._rows = range(source.shape[0]) if rows is None else rows
        self.shape = (len(self._rows), *source.shape[1:])
        self.columns = source.columns

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        """Give rows, lazily, or by the name of a column that column, or one row by its number."""
        if isinstance(key, tuple):  # scikit-learn asks for rows and an ellipsis
            key, *rest = key
            if any(one is not Ellipsis for one in rest):
                raise IndexError("A lazy table takes rows only: load() it to take more.")
        if isinstance(key, str) or isinstance(key, list) and key and isinstance(key[0], str):
            return self._columns_of(key)
        if isinstance(key, int | np.integer):
            if not -len(self) <= key < len(self):
                raise IndexError(f"row {key} is none of the {len(self)} rows of the table.")
            row = self.load_rows(np.array([range(len(self))[key]]))
            return row.iloc[0].rename(int(key)) if isinstance(row, pd.DataFrame) else row[0]
        if isinstance(key, slice):
            return LazyTable(self._source, self._rows[key])
        key = np.asarray(key)
        rows = np.arange(len(self))[key if key.size else key.astype(np.intp)]
        return LazyTable(self._source, self._places(rows))

    def __getattr__(self, name: str) -> Any:
        """Say where that is which an array or a DataFrame would have."""
        raise AttributeError(
            f"a {type(self).__name__} has no attribute {name!r}: load() gives an array or a "
            "DataFrame."
        )

    def __iter__(self) -> Iterator[Any]:
        """Give the rows one by one."""
        for _, table in self.parts():
            rows = table.iloc if isinstance(table, pd.DataFrame) else table
            yield from (rows[row] for row in range(len(table)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read all rows into an array."""
        return np.asarray(self.load(), dtype)

    def __repr__(self) -> str:
        """Show the first rows."""
        head = f"{self.read(0, _SHOWN)}"
        return f"{head}\n... {type(self).__name__} of shape {self.shape}; load() reads all of it"

    def load(self) -> Table:
        """
        Read all rows into memory.

        Returns
        -------
        ndarray or DataFrame of shape (n, ...)
            The table; a DataFrame has a fresh RangeIndex.

        Raises
        ------
        ValueError
            If this machine has not that much memory.
        """
        check_memory(len(self), "the number of rows", int(np.prod(self.shape)))
        return self.read(0, len(self))

    def read(self, start: int, stop: int) -> Table:
        """
        Read some rows that follow each other.

        Parameters
        ----------
        start, stop : int
            The first, and the one after the last.

        Returns
        -------
        ndarray or DataFrame
            The rows.
        """
        stop = min(stop, len(self))
        if isinstance(self._rows, range) and self._rows.step == 1:
            return self._source.read(start + self._rows.start, stop + self._rows.start)
        return self.load_rows(np.arange(start, stop))

    def parts(self) -> Iterator[tuple[int, Table]]:
        """
        Read all rows, some at a time.

        Yields
        ------
        int
            The number of the first row.
        ndarray or DataFrame
            The rows from there.
        """
        for start in range(0, len(self), _STRETCH):
            yield start, self.read(start, start + _STRETCH)

    def reading_order(self) -> Rows | None:
        """
        Tell in which order rows are best read.

        Returns
        -------
        ndarray of int, or None
            The order in which the file has them; None: as they are.
        """
        if isinstance(self._rows, range) or (np.diff(self._rows) >= 0).all():
            return None
        return np.argsort(self._rows, kind="stable")

    def load_rows(self, rows: Rows) -> Table:
        """
        Read rows by their numbers.

        Parameters
        ----------
        rows : ndarray of int
            The numbers, in any order, and any number of times.

        Returns
        -------
        ndarray or DataFrame
            The rows, in that order.
        """
        places, order = np.unique(self._places(rows), return_inverse=True)
        stretches = _stretches(places)
        if not stretches:
            return self._source.read(0, 0)
        parts = [
            take(self._source.read(int(some[0]), int(some[-1]) + 1), some - some[0])
            for some in stretches
        ]
        return take(concatenate(parts, stretches), order)

    def _places(self, rows: Rows) -> Rows:
        """Tell where in the source rows are."""
        if isinstance(self._rows, range):
            return self._rows.start + self._rows.step * rows
        return self._rows[rows]

    def _columns_of(self, key: str | list[str]) -> Any:
        """Read columns by name."""
        if self.columns is None:
            raise KeyError(f"{key!r}: this table has no names, its rows are arrays.")
        tables = [pd.DataFrame(table)[key] for _, table in self.parts()]
        return pd.concat(tables or [pd.DataFrame(self.read(0, 0))[key]], ignore_index=True)


def _stretches(rows: Rows) -> list[Rows]:
    """Cut ascending numbers of rows into stretches that are read at once."""
    breaks = np.flatnonzero(np.diff(rows) > _GAP) + 1
    found = []
    for some in np.split(rows, breaks):
        while len(some):
            n = int(np.searchsorted(some, some[0] + _STRETCH))
            found.append(some[:n])
            some = some[n:]
    return found


def as_lazy(table: Any) -> LazyTable | None:
    """
    Make a lazy table of what is not in memory.

    Parameters
    ----------
    table : object
        A lazy table, or what slices: a dataset of h5py, an array of Zarr or dask, a memmap.

    Returns
    -------
    LazyTable or None
        None for anything else.
    """
    if isinstance(table, LazyTable):
        return table
    return LazyTable(ArraySource(table)) if is_sliceable(table) else None


def beside(table: Any, name: str) -> LazyTable:
    """
    Make a lazy table of what is in memory, to go with one that is not.

    Parameters
    ----------
    table : array-like or DataFrame of shape (n, ...)
        The table.
    name : str
        The argument's name, for errors.

    Returns
    -------
    LazyTable
        The same rows.
    """
    table = as_rows(table, name)
    if isinstance(table, pd.Series) and isinstance(table.name, str) and name == "theta":
        table = table.to_frame()  # one parameter
    table = table if isinstance(table, pd.DataFrame) else np.asarray(table)
    return LazyTable(MemorySource(table))


def too_large(theta: Any, x: Any) -> tuple[LazyTable, LazyTable] | None:
    """
    Find pairs that are on the disk, and too large to be read whole.

    Parameters
    ----------
    theta, x : array-like, DataFrame or what slices, of n rows
        The pairs, as the user has them.

    Returns
    -------
    tuple of (LazyTable, LazyTable) or None
        Theta and x; None if both are in memory, or have less than 16 million numbers.

    Raises
    ------
    ValueError
        If they differ in length.
    """
    pairs = _as_lazy_pairs(theta, x)
    sizes = (int(np.prod(table.shape)) for table in pairs or ())
    return pairs if sum(sizes) > _IN_MEMORY else None


def _as_lazy_pairs(theta: Any, x: Any) -> tuple[LazyTable, LazyTable] | None:
    """Make lazy tables of pairs, unless both are in memory."""
    if as_lazy(theta) is None and as_lazy(x) is None:
        return None
    theta, x = (
        beside(given, name) if (table := as_lazy(given)) is None else table
        for given, name in ((theta, "theta"), (x, "x"))
    )
    if len(theta) != len(x):
        raise ValueError(f"theta and x must have one length, got {[len(theta), len(x)]} rows.")
    return theta, x


def some_pairs(theta: Any, x: Any, most: int) -> tuple[Any, Any]:
    """
    Read pairs that are on the disk, and if they are many, some of them at random.

    Parameters
    ----------
    theta, x : array-like, DataFrame or what slices, of n rows
        The pairs, as the user has them.
    most : int
        How many are read at most.

    Returns
    -------
    theta : object
        As it was if both are in memory; else an array or a DataFrame.
    x : object
        The same rows of x.

    Raises
    ------
    ValueError
        If they differ in length.
    """
    pairs = _as_lazy_pairs(theta, x)
    if pairs is None:
        return theta, x
    n = len(pairs[0])
    rows = np.random.default_rng(0).choice(n, min(n, most), replace=False, shuffle=False)
    theta, x = (table.load_rows(np.sort(rows)) for table in pairs)
    return theta, x
