"""
Failed simulations: the rows of x that are NaN throughout.

A row of which only some values are NaN is data with gaps: what an estimator takes or refuses.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse

from sksbi.utils.containers import as_rows
from sksbi.utils.types import Mask

__all__ = ["are_failed", "refuse_failures", "rows_of", "without_failures"]


def are_failed(x: Any) -> Mask:
    """
    Tell which rows are failed simulations.

    Parameters
    ----------
    x : array-like, sparse matrix, Series or DataFrame of shape (n, ...)
        Results of a simulator, of any kind: missing is what pandas counts as missing.

    Returns
    -------
    ndarray of bool, of shape (n,)
        Whether all of a row is missing. Of rows that differ in length none is.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.utils.failures import are_failed
    >>> are_failed([[1.0, np.nan], [np.nan, np.nan]]).tolist()
    [False, True]
    """
    if isinstance(x, pd.Series):
        return x.isna().to_numpy()
    if isinstance(x, pd.DataFrame):
        missing = x.isna().to_numpy()
        return np.logical_and.reduce(missing, axis=1) if x.size else np.zeros(len(x), dtype=bool)
    if issparse(x):
        table = x.tocsr()
        found = np.zeros(table.shape[0], dtype=bool)
        full = np.flatnonzero(np.diff(table.indptr) == table.shape[1])
        found[full] = np.isnan(table[full].toarray()).all(axis=1)
        return found
    try:
        values = np.asarray(x)
    except ValueError:
        return np.zeros(len(x), dtype=bool)
    return _are_missing(values)


def _are_missing(values: np.ndarray[Any, Any]) -> Mask:
    """Look at an array: at the first number of every row, then at the rows that lack it."""
    found = np.zeros(values.shape[:1], dtype=bool)
    rows = values.reshape(len(values), -1) if values.size else values
    if values.size == 0 or values.dtype.kind not in "fcO":
        return found
    doubtful = np.flatnonzero(pd.isna(rows[:, 0]))
    found[doubtful] = pd.isna(rows[doubtful]).all(axis=1)
    return found


def refuse_failures(x: Any) -> None:
    """
    Hold that no observation is a failed simulation.

    Parameters
    ----------
    x : array-like, sparse matrix, Series or DataFrame of shape (m, ...)
        Observations.

    Raises
    ------
    ValueError
        If one is NaN throughout.
    """
    failed = are_failed(x)
    if failed.any():
        raise ValueError(
            f"x contains NaN throughout in {np.count_nonzero(failed)} of {len(failed)} "
            f"observations, the first in row {int(np.argmax(failed))}: that marks a failed "
            "simulation, and is no observation. If seeing nothing is a result, such as a lifetime "
            "that has not ended, simulate it as a number, with a column beside it that is 1 there "
            "and 0 elsewhere."
        )


def rows_of(table: Any, rows: Any) -> Any:
    """
    Take rows of an array, a sparse matrix, a list or a table.

    Parameters
    ----------
    table : array-like, Series or DataFrame of shape (n, ...)
        The table.
    rows : slice, or ndarray of bool or int
        Which.

    Returns
    -------
    object
        The rows, in the form of the table.
    """
    if hasattr(table, "iloc"):
        return table.iloc[rows]
    if isinstance(table, list | tuple) and not isinstance(rows, slice):
        return [table[row] for row in np.arange(len(table))[rows]]
    return table[rows]


def without_failures(theta: Any, x: Any) -> tuple[Any, Any]:
    """
    Leave the failed simulations out of pairs; without any, nothing is copied.

    Parameters
    ----------
    theta : array-like or DataFrame of shape (n, D)
        The parameters.
    x : array-like, Series or DataFrame of shape (n, ...)
        What was simulated from them.

    Returns
    -------
    theta : object
        Those of simulations that succeeded, in the form of what was given.
    x : object
        Their results, likewise.

    Raises
    ------
    ValueError, TypeError
        If all have failed, or there are no rows.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.utils.failures import without_failures
    >>> without_failures([[1.0], [2.0]], [np.nan, 3.0])
    ([[2.0]], [3.0])
    """
    x, theta = as_rows(x, "x"), as_rows(theta, "theta")
    failed = are_failed(x)
    if not failed.any() or len(failed) != len(theta):
        return theta, x
    if failed.all():
        raise ValueError(
            f"x must hold simulations that succeeded, got {len(failed)} rows, all of them NaN "
            "throughout, which marks failed ones."
        )
    return rows_of(theta, ~failed), rows_of(x, ~failed)
