"""
Sources: tables that stay where they are, and are read a stretch of rows at a time.

A source knows how many rows it has and what a row looks like. It pickles by where it is and not by
what it holds, so that worker processes read for themselves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from scipy.sparse import issparse

from sksbi.tables.simulated import Table, take
from sksbi.utils.containers import plain

__all__ = ["ArraySource", "MemorySource", "Source", "is_sliceable"]

_IN_MEMORY = "__array_interface__", "__dlpack__", "__cuda_array_interface__", "iloc"
_OF_JOBLIB = "joblib_memmapping_folder"  # where it puts arrays that were in memory


class Source(ABC):
    """
    A table that is read in stretches.

    Parameters
    ----------
    shape : tuple of int
        The number of rows, and the shape of one.
    columns : Index or None, default=None
        The columns of a DataFrame; None: an array.
    """

    def __init__(self, shape: tuple[int, ...], columns: pd.Index | None = None) -> None:
        self.shape, self.columns = shape, columns

    @abstractmethod
    def read(self, start: int, stop: int) -> Table:
        """Read the rows from start to stop: an array, or a DataFrame with a fresh index."""


class MemorySource(Source):
    """
    A table that is in memory, beside one that is not.

    Parameters
    ----------
    table : ndarray or DataFrame of shape (n, ...)
        The table.
    """

    def __init__(self, table: Table) -> None:
        super().__init__(table.shape, getattr(table, "columns", None))
        self._table = table

    def read(self, start: int, stop: int) -> Table:
        """Copy some rows."""
        return take(self._table, slice(start, stop))


class ArraySource(Source):
    """
    What slices as arrays do: a dataset of h5py, an array of Zarr or dask, a NumPy memmap.

    Parameters
    ----------
    array : object
        It has ``shape`` and takes slices of rows.
    """

    def __init__(self, array: Any) -> None:
        super().__init__(tuple(int(size) for size in array.shape))
        self._array = array

    def read(self, start: int, stop: int) -> Table:
        """Read some rows."""
        return np.asarray(plain(self._array[start:stop], "the source"))

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        if _comes_from(self._array, "h5py"):
            state |= {"_array": None, "_place": (self._array.file.filename, self._array.name)}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if (place := state.pop("_place", None)) is not None:
            import h5py  # it was there when this was pickled

            state["_array"] = h5py.File(place[0], "r")[place[1]]
        vars(self).update(state)


def is_sliceable(values: Any) -> bool:
    """
    Tell whether something is an array that is not in memory.

    Parameters
    ----------
    values : object
        Anything.

    Returns
    -------
    bool
        Whether it has a shape and a dtype and takes slices, and is in no memory that others can
        reach. A NumPy memmap is one; not so one that joblib has made of an array in memory.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.data.sources import is_sliceable
    >>> is_sliceable(np.zeros(3))
    False
    """
    if isinstance(values, np.memmap):
        return _OF_JOBLIB not in str(values.filename)
    if any(hasattr(values, name) for name in _IN_MEMORY) or _is_column(values):
        return False
    shape = getattr(values, "shape", None)
    has_rows = isinstance(shape, tuple) and len(shape) > 0
    return has_rows and hasattr(values, "dtype") and hasattr(values, "__getitem__")


def _is_column(values: Any) -> bool:
    """Tell whether a value is a column of pandas or of another library, or a sparse matrix."""
    is_of_pandas = isinstance(values, pd.Index | pd.api.extensions.ExtensionArray)
    return is_of_pandas or issparse(values) or nw.dependencies.is_into_series(values)


def _comes_from(value: object, package: str) -> bool:
    """Tell whether a value is of a package, which need not be installed."""
    return type(value).__module__.partition(".")[0] == package
