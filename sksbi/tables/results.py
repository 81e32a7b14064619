"""Draws, modes and summaries as arrays or as tables with names."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sksbi.tables.layout import Observations

__all__ = ["draws_table", "parameters_table", "rows_table", "summary_table", "with_level"]


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
        has the index levels observation, or those of x where it has several, and draw.
    """
    if columns is None:
        return draws[0] if observations.single else draws
    table = pd.DataFrame(draws.reshape(-1, draws.shape[2]), columns=list(columns))
    if not observations.single:
        table.index = with_level(observations.index, pd.RangeIndex(draws.shape[1], name="draw"))
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
    return pd.DataFrame(rows, index=_named(observations.index), columns=list(columns))


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
        "sd": _sd(draws),
        "median": median,
        "lower": lower,
        "upper": upper,
    }
    return parameters_table(columns, observations, names)


def _sd(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute standard deviations (m, D), even where the squares of draws overflow."""
    _, exponent = np.frexp(np.abs(draws).max(axis=1, keepdims=True))
    unit = np.ldexp(1.0, exponent - 1)  # a power of two, so that nothing is rounded
    return (draws / unit).std(axis=1) * unit[:, 0]


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
        index = with_level(observations.index, index)
    return pd.DataFrame({key: value.ravel() for key, value in columns.items()}, index=index)


def with_level(outer: pd.Index, inner: pd.Index, name: str = "observation") -> pd.MultiIndex:
    """
    Put all of an inner level under every label of an outer one.

    Parameters
    ----------
    outer : Index
        The labels, of one level or several.
    inner : Index
        The level to put under each.
    name : str, default="observation"
        What the outer level is called, if it is one.

    Returns
    -------
    MultiIndex
        All pairs.
    """
    m, n = len(outer), len(inner)
    outer = _named(outer, inner.name, name)
    if not isinstance(outer, pd.MultiIndex):
        outer = pd.MultiIndex.from_arrays([outer])
    own, places = pd.MultiIndex.from_arrays([inner]), np.arange(m * n) % n
    levels: list[Any] = [*outer.levels, *own.levels]
    codes: list[Any] = [*(np.repeat(code, n) for code in outer.codes), own.codes[0][places]]
    return pd.MultiIndex(levels, codes, names=[*outer.names, inner.name])


def _named(index: pd.Index, taken: Hashable = None, name: str = "observation") -> pd.Index:
    """Name one level; keep the names of several, but for that of the one below."""
    if index.nlevels == 1:
        return index.rename(name)
    own = (name is not None and name == taken for name in index.names)
    return index.set_names(
        [f"observation_{n}" if twice else n for n, twice in zip(index.names, own, strict=True)]
    )
