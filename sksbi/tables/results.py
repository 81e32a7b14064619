"""Draws, modes and summaries as arrays or as tables with names."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sksbi.tables.layout import Observations

__all__ = ["draws_table", "parameters_table", "rows_table", "summary_table"]


def draws_table(
    draws: NDArray[np.float64], observations: Observations, columns: Sequence[Hashable] | None
) -> NDArray[np.float64] | pd.DataFrame:
    """
    Give draws the form of theta in fit.

    Parameters
    ----------
    draws : ndarray of shape (m, n_samples, D)
        The draws.
    observations : Observations
        What they belong to.
    columns : sequence or None
        theta's columns if it was a DataFrame.

    Returns
    -------
    ndarray or DataFrame
        (n_samples, D) for one observation, (m, n_samples, D) for a batch; as a DataFrame a batch
        has the index levels observation and draw.
    """
    if columns is None:
        return draws[0] if observations.single else draws
    table = pd.DataFrame(draws.reshape(-1, draws.shape[2]), columns=list(columns))
    if not observations.single:
        levels = [observations.index, pd.RangeIndex(draws.shape[1])]
        table.index = pd.MultiIndex.from_product(levels, names=["observation", "draw"])
    return table


def rows_table(
    rows: NDArray[np.float64], observations: Observations, columns: Sequence[Hashable] | None
) -> NDArray[np.float64] | pd.Series | pd.DataFrame:
    """
    Give one theta an observation the form of theta in fit.

    Parameters
    ----------
    rows : ndarray of shape (m, D)
        One row an observation.
    observations : Observations
        What they belong to.
    columns : sequence or None
        theta's columns if it was a DataFrame.

    Returns
    -------
    ndarray, Series or DataFrame
        (D,) or Series for one observation, (m, D) or DataFrame for a batch.
    """
    if columns is None:
        return rows[0] if observations.single else rows
    if observations.single:
        return pd.Series(rows[0], index=list(columns))
    index = observations.index.to_flat_index().rename("observation")  # as a level of draws_table
    return pd.DataFrame(rows, index=index, columns=list(columns))


def summary_table(
    draws: NDArray[np.float64], observations: Observations, names: Sequence[Hashable], level: float
) -> pd.DataFrame:
    """
    Summarise draws by parameter.

    Parameters
    ----------
    draws : ndarray of shape (m, n_samples, D)
        The draws.
    observations : Observations
        What they belong to.
    names : sequence
        The parameters' names.
    level : float
        The mass of the central interval.

    Returns
    -------
    DataFrame
        Rows parameters (a batch: observation, parameter), columns mean, sd, median, lower, upper.
    """
    tails = [0.5, (1 - level) / 2, (1 + level) / 2]
    median, lower, upper = np.quantile(draws, tails, axis=1)
    columns = {
        "mean": draws.mean(axis=1),
        "sd": draws.std(axis=1),
        "median": median,
        "lower": lower,
        "upper": upper,
    }
    return parameters_table(columns, observations, names)


def parameters_table(
    columns: Mapping[str, NDArray[np.float64]],
    observations: Observations,
    names: Sequence[Hashable],
) -> pd.DataFrame:
    """
    Make a table with one row a parameter.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (m, D)
        The columns.
    observations : Observations
        What they belong to.
    names : sequence
        The parameters' names.

    Returns
    -------
    DataFrame
        Rows parameters (a batch: observation, parameter).
    """
    index = pd.Index(list(names), name="parameter")
    if not observations.single:
        levels = [observations.index, index]
        index = pd.MultiIndex.from_product(levels, names=["observation", "parameter"])
    return pd.DataFrame({key: value.ravel() for key, value in columns.items()}, index=index)
