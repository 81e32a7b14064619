"""Rows that no sample should miss: extremes, values that are few, and every word."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from sksbi.data.lazy import LazyTable
from sksbi.tables.simulated import Table
from sksbi.utils.types import Array, Mask, Rows

__all__ = ["Noticed", "of_all", "template"]

_TEMPLATE = 1_000
_FEW_VALUES, _MOST_VALUES, _MOST_COLUMNS = 64, 1_024, 200


class Noticed:
    """
    Find rows of x that are extreme, or of a value that was not there before.

    More than 200 columns are not looked at. Values are those of whole numbers, and of columns that
    have few; of a column that has more than 1,024, so many are found.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.data.noticed import Noticed
    >>> noticed = Noticed()
    >>> x = np.array([[0.0], [3.0], [1.0]])
    >>> noticed.find(x, np.array([True, True, True])).tolist()
    [True, True, True]
    >>> noticed.find(x + 1, np.array([True, True, True])).tolist()
    [False, True, True]
    """

    def __init__(self) -> None:
        self._low: Array | None = None
        self._high: Array | None = None
        self._values: dict[int, set[float]] = {}

    def find(self, x: Array, good: Mask) -> Mask:
        """
        Find them in a chunk.

        Parameters
        ----------
        x : ndarray of shape (n, ...)
            The next rows.
        good : ndarray of bool, of shape (n,)
            Which of them count.

        Returns
        -------
        ndarray of bool, of shape (n,)
            Rows that bring something new.
        """
        found = np.zeros(len(x), dtype=bool)
        columns = x.reshape(len(x), -1)
        if not good.any() or columns.shape[1] > _MOST_COLUMNS:
            return found
        places = np.flatnonzero(good)
        columns = columns[places]
        low, high = np.fmin.reduce(columns), np.fmax.reduce(columns)
        if self._low is None or self._high is None:
            self._low, self._high = low, high
            self._values = {j: set() for j in range(len(low)) if _may_be_discrete(columns[:, j])}
            new = np.ones(len(low), dtype=bool), np.ones(len(low), dtype=bool)
        else:
            new = low < self._low, high > self._high
            self._low, self._high = np.fmin(low, self._low), np.fmax(high, self._high)
        for is_new, end in zip(new, (low, high), strict=True):
            for j in np.flatnonzero(is_new & ~np.isnan(end)).tolist():
                found[places[np.argmax(columns[:, j] == end[j])]] = True
        for j in list(self._values):
            self._find_values(j, columns[:, j], places, found)
        return found

    def _find_values(self, j: int, column: Array, places: Rows, found: Mask) -> None:
        """Find values of a column that were not there before."""
        values, first = np.unique(column, return_index=True)
        known = self._values[j]
        for value, at in zip(values.tolist(), first, strict=True):
            if value not in known and value == value:
                known.add(value)
                found[places[at]] = True
        if len(known) > _MOST_VALUES:
            del self._values[j]


def _may_be_discrete(column: Array) -> bool:
    """Tell a column of whole numbers, or of few values."""
    few = len(np.unique(column)) <= min(_FEW_VALUES, len(column) // 4)
    return few or bool((column == np.round(column)).all())


def template(theta: LazyTable, x: LazyTable) -> tuple[Table, Table, Rows]:
    """
    Read some rows from which to learn what all look like.

    Parameters
    ----------
    theta, x : LazyTable of n rows
        The pairs.

    Returns
    -------
    theta : ndarray or DataFrame
        Parameters from everywhere.
    x : ndarray or DataFrame
        Their observations; of columns of words, with every word.
    rows : ndarray of int
        Which rows these are.
    """
    n = len(x)
    rows = np.unique(np.linspace(0, n - 1, min(n, _TEMPLATE)).astype(np.intp))
    some = x.load_rows(rows)
    if isinstance(some, pd.DataFrame):
        of_words = [name for name, column in some.items() if _holds_words(column)]
        rows = np.union1d(rows, [row for name in of_words for row in _first_of_each(x, name)])
        some = x.load_rows(rows.astype(np.intp))
    rows = rows.astype(np.intp)
    return theta.load_rows(rows), some, rows


def of_all(error: Exception, rows: Rows) -> Exception:
    """
    Let an error tell rows by their numbers among all.

    Parameters
    ----------
    error : Exception
        An error that counts some rows from 0.
    rows : ndarray of int
        Which these are.

    Returns
    -------
    Exception
        One of the same type.
    """

    def number(found: re.Match[str]) -> str:
        """Put a number in place of another."""
        at = int(found[1])
        return f"row {rows[at]}" if at < len(rows) else found[0]

    return type(error)(re.sub(r"\brow (\d+)", number, str(error)))


def _holds_words(column: pd.Series) -> bool:
    """Tell whether a column holds anything but numbers."""
    return not (isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf")


def _first_of_each(x: LazyTable, name: Any) -> list[int]:
    """Find the first row of each value of a column."""
    found: dict[Any, int] = {}
    for start, table in x.parts():
        column = table[name].dropna()
        for at, value in zip(column.index, column, strict=True):
            found.setdefault(value, start + at)
    return list(found.values())
