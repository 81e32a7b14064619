"""
Quantiles of regressors: scikit-learn has no protocol for them, so here are the ways that exist.

A hook ``quantiles(regressor, X, levels)`` says it all. Without one, regressors are known by their
parameters and methods:

- one fit gives all levels, by ``predict(X, quantiles=...)``: quantile forests, TabPFN;
- a forest of scikit-learn gives them by the rows that share a leaf with X in its trees (Quantile
  regression forests, Meinshausen, 2006);
- one fit gives one level, a parameter of the regressor: a clone is fitted for each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import sklearn
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from sksbi.utils.batches import batches
from sksbi.utils.types import Array

__all__ = [
    "Features",
    "Hook",
    "HookedModel",
    "LevelwiseModel",
    "QuantileModel",
    "explained",
    "fitted",
    "last_step",
    "take_rows",
]

Features = Array | pd.DataFrame

Hook = Callable[[Any, Any, Array], Any]

_ROWS_PER_CALL = 4_096
_NO_NUMBERS = ("could not convert", "float()", "must be real")


class QuantileModel(ABC):
    """
    A regressor that gives the quantiles of one variable.

    Parameters
    ----------
    regressor : estimator
        What is cloned and fitted.
    levels : ndarray of shape (K,)
        The levels, ascending.
    """

    def __init__(self, regressor: BaseEstimator, levels: Array) -> None:
        self.regressor, self.levels = regressor, levels

    @abstractmethod
    def fit(self, table: Features, y: Array, weight: Array) -> QuantileModel:
        """
        Fit.

        Parameters
        ----------
        table : ndarray or DataFrame of n rows
            The columns.
        y : ndarray of shape (n,)
            The target.
        weight : ndarray of shape (n,)
            Weights of the rows.

        Returns
        -------
        QuantileModel
            Itself.
        """

    def sizes(self) -> list[int]:
        """
        List the sizes that the fitted model can have.

        Returns
        -------
        list of int
            One size, but of forests.
        """
        return [1]

    def resized(self, size: int) -> QuantileModel:
        """
        Give the fitted model another size.

        Parameters
        ----------
        size : int
            One of the sizes.

        Returns
        -------
        QuantileModel
            The model.
        """
        return self

    def compact(self) -> QuantileModel:
        """
        Drop what only other sizes need.

        Returns
        -------
        QuantileModel
            The model.
        """
        return self

    @abstractmethod
    def _predict(self, table: Features) -> Array:
        """Predict (m, K) for a table of m rows."""

    def predict(self, table: Features) -> Array:
        """
        Predict quantiles.

        Parameters
        ----------
        table : ndarray or DataFrame of m rows
            The columns.

        Returns
        -------
        ndarray of shape (m, K)
            The quantiles, as they come: they may cross.

        Raises
        ------
        ValueError
            If what the regressor or the hook gives is no finite array of this shape.
        """
        parts = []
        for part in batches(len(table), _ROWS_PER_CALL):
            with explained(self.regressor):
                values = self._predict(take_rows(table, part))
            parts.append(self._checked(values, part.stop - part.start))
        return np.concatenate(parts)

    def _checked(self, values: Any, n: int) -> Array:
        """Hold that there is a finite number for each row and level."""
        if isinstance(values, list | tuple) and len(values) == len(self.levels):
            columns = [np.asarray(column) for column in values]
            values = np.column_stack(columns) if {c.shape for c in columns} == {(n,)} else values
        values = np.asarray(values, dtype=np.float64)
        shape = (n, len(self.levels))
        if values.shape != shape:
            raise ValueError(
                "quantiles must give an array of shape (rows of X, number of levels), here "
                f"{shape}, got {values.shape} of {self.regressor!r}: give "
                "quantiles(regressor, X, levels)."
            )
        if not np.isfinite(values).all():
            raise ValueError(
                "quantiles must give finite numbers, got "
                f"{values[~np.isfinite(values)][0]} of {self.regressor!r}."
            )
        return values


class HookedModel(QuantileModel):
    """
    One fit, and a function that takes quantiles of it.

    Parameters
    ----------
    regressor : estimator
        What is cloned and fitted.
    levels : ndarray of shape (K,)
        The levels, ascending.
    hook : callable
        ``quantiles(regressor, X, levels)``.
    """

    def __init__(self, regressor: BaseEstimator, levels: Array, hook: Hook) -> None:
        super().__init__(regressor, levels)
        self.hook = hook

    def fit(self, table: Features, y: Array, weight: Array) -> HookedModel:
        """Fit once."""
        self.regressor_ = fitted(clone(self.regressor), table, y, weight)
        return self

    def _predict(self, table: Features) -> Array:
        """Ask the hook."""
        return self.hook(self.regressor_, table, self.levels)


class LevelwiseModel(QuantileModel):
    """
    One fit for each level.

    Parameters
    ----------
    regressor : estimator
        What is cloned and fitted.
    levels : ndarray of shape (K,)
        The levels, ascending.
    parameter : str
        The parameter that is the level.
    """

    def __init__(self, regressor: BaseEstimator, levels: Array, parameter: str) -> None:
        super().__init__(regressor, levels)
        self.parameter = parameter

    def fit(self, table: Features, y: Array, weight: Array) -> LevelwiseModel:
        """Fit a clone for each level."""
        self.regressors_ = [
            fitted(clone(self.regressor).set_params(**{self.parameter: level}), table, y, weight)
            for level in self.levels.tolist()
        ]
        return self

    def _predict(self, table: Features) -> Array:
        """Ask each clone."""
        return np.column_stack([regressor.predict(table) for regressor in self.regressors_])


def last_step(regressor: Any) -> Any:
    """
    Give what pipelines end in.

    Parameters
    ----------
    regressor : estimator
        The regressor, or a Pipeline.

    Returns
    -------
    estimator
        The regressor.
    """
    while isinstance(regressor, Pipeline):
        regressor = regressor.steps[-1][1]
    return regressor


def fitted(regressor: Any, table: Features, y: Array, weight: Array) -> Any:
    """
    Fit a regressor; one that takes no weights sees rows as often as their weights say.

    Parameters
    ----------
    regressor : estimator
        The regressor.
    table : ndarray or DataFrame of n rows
        The columns.
    y : ndarray of shape (n,)
        The target.
    weight : ndarray of shape (n,)
        Weights of the rows.

    Returns
    -------
    estimator
        The regressor.
    """
    options = {} if np.ptp(weight) == 0 else {"sample_weight": weight}
    if options and not has_fit_parameter(regressor, "sample_weight"):
        share = np.cumsum(weight) / weight.sum()
        rows = np.searchsorted(share, (np.arange(len(y)) + 0.5) / len(y))
        table, y, options = take_rows(table, rows), y[rows], {}
    # These are the weights of simulations: it is not asked what parts request of a user's.
    with explained(regressor), sklearn.config_context(enable_metadata_routing=False):
        return regressor.fit(table, y, **options)


@contextmanager
def explained(regressor: Any) -> Iterator[None]:
    """
    Put errors of a regressor into our words.

    Parameters
    ----------
    regressor : estimator
        The regressor, which does not take a table.

    Yields
    ------
    None
        Nothing.

    Raises
    ------
    ValueError, TypeError
        What it raised, explained.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(_explain(regressor, str(error))) from error


def _explain(regressor: Any, message: str) -> str:
    """Say why a regressor does not take a table."""
    if message.startswith(_NO_NUMBERS):
        return (
            f"x must hold numbers only: {message}. Or take a regressor that encodes what is no "
            "number, such as a Pipeline."
        )
    if "contains NaN" in message:
        return (
            f"x contains NaN, which regressor={regressor!r} does not take: "
            "HistGradientBoostingRegressor and forests do, or a Pipeline with an imputer."
        )
    return f"regressor={regressor!r} fails on tables (theta_<j, x): {message}"


def take_rows(table: Features, rows: Any) -> Features:
    """
    Take rows of a table or an array.

    Parameters
    ----------
    table : ndarray or DataFrame
        The table.
    rows : ndarray of int or slice
        Which rows.

    Returns
    -------
    ndarray or DataFrame
        These.
    """
    return table.iloc[rows] if isinstance(table, pd.DataFrame) else table[rows]
