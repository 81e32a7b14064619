"""Columns of a Parquet file as a source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sksbi.data.sources import Source
from sksbi.tables.simulated import Table

__all__ = ["ParquetSource", "column_names"]


class ParquetSource(Source):
    """
    Columns of a Parquet file, read by its groups of rows.

    Parameters
    ----------
    path : Path
        The file.
    columns : list of str
        Which columns.
    """

    def __init__(self, path: Path, columns: list[str]) -> None:
        self._path, self._names = path, columns
        self._file = _opened(path)
        groups = (self._file.metadata.row_group(i) for i in range(self._file.num_row_groups))
        self._edges = np.cumsum([0, *(group.num_rows for group in groups)])
        self._last = -1, self._file.schema_arrow.empty_table().select(columns).to_pandas()
        super().__init__((int(self._edges[-1]), len(columns)), pd.Index(columns))

    def read(self, start: int, stop: int) -> Table:
        """Read the groups in which these rows are."""
        if start >= stop:
            return self._last[1].iloc[:0]
        first, last = np.searchsorted(self._edges, [start, stop - 1], side="right") - 1
        parts = []
        for group in range(first, last + 1):
            begin = self._edges[group]
            parts.append(self._group(group).iloc[max(0, start - begin) : stop - begin])
        return pd.concat(parts, ignore_index=True)

    def _group(self, number: int) -> pd.DataFrame:
        """Read a group of rows, unless it is the last one read."""
        last, table = self._last
        if last != number:
            found = self._file.read_row_group(number, columns=self._names).to_pandas()
            table = found[self._names]
            self._last = number, table
        return table

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by where it is."""
        return type(self), (self._path, self._names)


def column_names(path: Path) -> list[str]:
    """List the columns of a Parquet file."""
    return list(_opened(path).schema_arrow.names)


def _opened(path: Path) -> Any:
    """Open a Parquet file."""
    try:
        from pyarrow import ArrowInvalid
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise ImportError(
            'Parquet files need pyarrow, which is not installed: pip install "sksbi[parquet]".'
        ) from error
    try:
        return ParquetFile(path)
    except ArrowInvalid as error:
        raise ValueError(f"path must be a Parquet file, but {path} is not: {error}") from error
