"""
Pairs in one HDF5 file: the datasets theta and x.

A table is a dataset of two dimensions, with the names of its columns beside it; one of columns that
differ in type, or that hold text, is a group of datasets, one a column, numbered from 0.
"""

from __future__ import annotations

import json
import os
from errno import ENOSPC
from pathlib import Path
from shutil import disk_usage
from typing import Any

import numpy as np
import pandas as pd

from sksbi._version import __version__
from sksbi.data.lazy import LazyTable
from sksbi.data.sources import Source
from sksbi.tables.simulated import Table, is_missing

__all__ = ["HDF5Source", "write_pairs"]

_ROWS, _CHUNK_BYTES = 16_384, 2**20


class HDF5Source(Source):
    """
    A table in an HDF5 file.

    Parameters
    ----------
    path : Path
        The file.
    name : {"theta", "x"}
        The table.

    Raises
    ------
    ValueError
        If it is not there, or the file is damaged.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        try:
            self._table = h5py().File(path, "r")[name]
        except PermissionError:
            raise
        except (OSError, KeyError) as error:
            raise ValueError(
                f"path must be an HDF5 file with the datasets 'theta' and 'x', but {path} is not: "
                f"{error}{_told(path)}"
            ) from error
        names = self._table.attrs.get("columns")
        columns = None if names is None else pd.Index(json.loads(names))
        self._in_columns = columns is not None and not hasattr(self._table, "shape")
        shape: tuple[int, ...] = tuple(getattr(self._table, "shape", ()))
        if columns is not None and self._in_columns:
            shape = (len(self._table["0"]), len(columns))
        super().__init__(shape, columns)

    def read(self, start: int, stop: int) -> Table:
        """Read some rows."""
        rows = slice(start, stop)
        if self.columns is None:
            return np.asarray(self._table[rows])
        if not self._in_columns:
            return pd.DataFrame(self._table[rows], columns=self.columns)
        columns = {i: self._column(str(i), rows) for i in range(self.shape[1])}
        table = pd.DataFrame(columns)
        table.columns = self.columns
        return table

    def _column(self, name: str, rows: slice) -> np.ndarray | list[Any]:
        """Read some rows of a column; text comes with a mask of what is missing."""
        column = self._table[name]
        if f"missing_{name}" not in self._table:
            return np.asarray(column[rows])
        text = column.asstr()[rows]
        text[self._table[f"missing_{name}"][rows]] = np.nan
        return text.tolist()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by where it is."""
        return type(self), (self._path, self._name)


def write_pairs(path: Path, theta: LazyTable, x: LazyTable) -> None:
    """
    Write pairs into an HDF5 file, all or nothing.

    Parameters
    ----------
    path : Path
        The file; what was there is replaced.
    theta, x : LazyTable of n rows
        The pairs.

    Raises
    ------
    OSError
        If the disk has not enough room.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    tables = [("theta", theta, _dtypes(theta)), ("x", x, _dtypes(x))]
    need = sum(_n_bytes(table, dtypes) for _, table, dtypes in tables)
    if need > (free := disk_usage(path.parent).free):  # where HDF5 would end the process
        raise OSError(ENOSPC, f"{need:,} bytes are needed and {free:,} are free", str(path))
    try:
        with h5py().File(temporary, "w") as file:
            file.attrs["version"] = __version__
            for name, table, dtypes in tables:
                _write(file, name, table, dtypes)
            file.flush()
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _n_bytes(table: LazyTable, dtypes: list[Any]) -> int:
    """Tell how large a table is at least."""
    if len(dtypes) == 1:  # of an array, whose shape says how many there are
        return int(np.prod(table.shape)) * (1 if dtypes[0] == "text" else dtypes[0].itemsize)
    return len(table) * sum(1 if dtype == "text" else dtype.itemsize for dtype in dtypes)


def _write(file: Any, name: str, table: LazyTable, dtypes: list[Any]) -> None:
    """Write a table, some rows at a time."""
    if len(set(dtypes)) == 1 and dtypes[0] != "text":
        made = file.create_dataset(name, table.shape, dtypes[0], chunks=_chunks(table, dtypes[0]))
        for start in range(0, len(table), _ROWS):
            made[start : start + _ROWS] = np.asarray(table.read(start, start + _ROWS))
    else:
        made = file.create_group(name)
        for i, dtype in enumerate(dtypes):
            kind = h5py().string_dtype() if dtype == "text" else dtype
            made.create_dataset(str(i), table.shape[:1], kind, chunks=True)
            if dtype == "text":
                made.create_dataset(f"missing_{i}", table.shape[:1], bool, chunks=True)
        for start in range(0, len(table), _ROWS):
            _write_columns(made, dtypes, table.read(start, start + _ROWS), start)
    if table.columns is not None:
        made.attrs["columns"] = json.dumps(list(table.columns))


def _write_columns(group: Any, dtypes: list[Any], rows: Any, start: int) -> None:
    """Write some rows of a table by columns."""
    at = slice(start, start + len(rows))
    for i, dtype in enumerate(dtypes):
        column = rows.iloc[:, i].to_numpy()
        if dtype == "text":
            missing = np.array([is_missing(value) for value in column], dtype=bool)
            group[f"missing_{i}"][at] = missing
            column = np.where(missing, "", column.astype(object)).astype(object)
        group[str(i)][at] = column


def _dtypes(table: LazyTable) -> list[Any]:
    """Find the types of all columns, or of an array, wide enough for every row."""
    found: list[Any] | None = None
    for start in range(0, len(table), _ROWS):
        rows = table.read(start, start + _ROWS)
        dtypes = list(rows.dtypes) if isinstance(rows, pd.DataFrame) else [rows.dtype]
        plain = [d if isinstance(d, np.dtype) and d.kind in "biuf" else "text" for d in dtypes]
        pairs = zip(plain if found is None else found, plain, strict=True)
        found = ["text" if "text" in pair else np.result_type(*pair) for pair in pairs]
    return found or []


def _chunks(table: LazyTable, dtype: Any) -> tuple[int, ...]:
    """Choose how many rows of an array are stored together."""
    bytes_a_row = max(1, int(np.prod(table.shape[1:])) * np.dtype(dtype).itemsize)
    return (max(1, min(len(table), _CHUNK_BYTES // bytes_a_row)), *table.shape[1:])


def _told(path: Path) -> str:
    """List what a file has; datasets of other names go into fit as they are."""
    try:
        with h5py().File(path, "r") as file:
            return f" It has {sorted(file)}: give fit the datasets themselves, as h5py opens them."
    except OSError:
        return ""


def h5py() -> Any:
    """Import h5py, or say how to have it."""
    try:
        import h5py as module
    except ImportError as error:
        raise ImportError(
            'HDF5 files need h5py, which is not installed: pip install "sksbi[hdf5]".'
        ) from error
    return module
