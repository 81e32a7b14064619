"""Observations that consist of independent trials, as rows that are a trial each, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sksbi.tables.names import trials_of_table
from sksbi.tables.templates import shape_error
from sksbi.utils.containers import plain
from sksbi.utils.failures import rows_of

__all__ = ["joined_trials", "repeated", "rows_asked", "rows_in_fit"]


def rows_in_fit(x: Any) -> tuple[Any, int]:
    """
    Put the trials of simulations below each other.

    Parameters
    ----------
    x : array of shape (n, trials, ...), DataFrame or Series
        The simulations; a table has the trial as its last index level.

    Returns
    -------
    rows : array of shape (n * trials, ...), DataFrame or Series
        The trials.
    n_trials : int
        The number of trials of each.

    Raises
    ------
    ValueError
        If x has no trials.
    """
    x = plain(x, "x")
    if isinstance(x, pd.DataFrame | pd.Series):
        if x.index.nlevels < 2:
            raise ValueError(
                "x with x_trials=True as a table must have the trial as its last index level, "
                f"below the observation, got an index of one level and {len(x)} rows."
            )
        return x, trials_of_table(x)[1]
    x = np.asarray(x)
    if x.ndim < 2:
        raise ValueError(
            f"x with x_trials=True must have shape (n, trials) or (n, trials, ...), got {x.shape}."
        )
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]), x.shape[1]


def rows_asked(x: Any, template: Any, *, iid: bool) -> tuple[Any, int, bool]:
    """
    Put the trials of one observation or of a batch below each other.

    Parameters
    ----------
    x : array, list, Series or DataFrame
        One observation (trials, ...), or a batch (m, trials, ...).
    template : object
        What :func:`sksbi.tables.templates.template_of` gave for rows of trials.
    iid : bool
        Whether it is iid=True that says so, for errors.

    Returns
    -------
    rows : array, Series or DataFrame
        The trials.
    n_trials : int
        The number of trials of each observation.
    is_batch : bool
        Whether rows have to be arranged as a batch again, as x was an array of one.

    Raises
    ------
    ValueError
        If x has another number of dimensions.
    """
    x = plain(x, "x")
    if isinstance(x, pd.DataFrame | pd.Series) and x.index.nlevels > 1:
        return x, trials_of_table(x)[1], False
    if np.ndim(x) == template.ndim:
        return x, len(x), False
    if np.ndim(x) != template.ndim + 1:
        raise shape_error(x, template, trials="iid=True" if iid else "x_trials=True")
    array = np.asarray(x)
    n_rows = array.shape[0] * array.shape[1]
    return array.reshape(n_rows, *array.shape[2:]), array.shape[1], True


def joined_trials(rows: Any, given: Any, n_trials: int) -> Any:
    """
    Arrange transformed trials as the simulations were.

    Parameters
    ----------
    rows : array or DataFrame of shape (n * trials, ...)
        The trials.
    given : array, Series or DataFrame
        What they were before.
    n_trials : int
        The number of trials of each.

    Returns
    -------
    ndarray of shape (n, trials, ...) or DataFrame
        A table where simulations were one.
    """
    if not isinstance(given, pd.DataFrame | pd.Series):
        rows = np.asarray(rows)
        return rows.reshape(-1, n_trials, *rows.shape[1:])
    table = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)
    return table.set_axis(given.index)


def repeated(table: Any, n_times: int) -> Any:
    """
    Repeat every row of a table.

    Parameters
    ----------
    table : array-like, Series or DataFrame of shape (n, ...)
        The table.
    n_times : int
        How often.

    Returns
    -------
    object
        n times as many rows, in the form of the table.
    """
    taken = rows_of(table, np.arange(len(table)).repeat(n_times))
    return taken.reset_index(drop=True) if hasattr(taken, "reset_index") else taken
