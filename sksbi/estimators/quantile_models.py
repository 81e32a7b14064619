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

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import sklearn
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from sksbi.utils.batches import batches
from sksbi.utils.types import Array, Table

__all__ = ["QuantileModel", "choose_model"]

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
    def fit(self, table: Table, y: Array, weight: Array) -> QuantileModel:
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

    @abstractmethod
    def _predict(self, table: Table) -> Array:
        """Predict (m, K) for a table of m rows."""

    def predict(self, table: Table) -> Array:
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
                values = self._predict(_rows(table, part))
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

    def fit(self, table: Table, y: Array, weight: Array) -> HookedModel:
        """Fit once."""
        self.regressor_ = _fitted(clone(self.regressor), table, y, weight)
        return self

    def _predict(self, table: Table) -> Array:
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

    def fit(self, table: Table, y: Array, weight: Array) -> LevelwiseModel:
        """Fit a clone for each level."""
        self.regressors_ = [
            _fitted(clone(self.regressor).set_params(**{self.parameter: level}), table, y, weight)
            for level in self.levels.tolist()
        ]
        return self

    def _predict(self, table: Table) -> Array:
        """Ask each clone."""
        return np.column_stack([regressor.predict(table) for regressor in self.regressors_])


class ForestModel(QuantileModel):
    """Quantiles of the targets of rows that share a leaf, averaged over the trees of a forest."""

    def fit(self, table: Table, y: Array, weight: Array) -> ForestModel:
        """Fit the forest, and keep which leaves hold which targets."""
        order = np.argsort(y, kind="stable")
        self.targets_, weight = y[order], weight[order]
        table = _rows(table, order)
        self.regressor_ = _fitted(clone(self.regressor), table, self.targets_, weight)
        sizes = [tree.tree_.node_count for tree in self._forest().estimators_]
        self._ends = np.cumsum([0, *sizes])
        inside = self._leaves(table).multiply(weight[:, None]).tocsc()
        mass = np.asarray(inside.sum(axis=0)).ravel()
        share = np.divide(1 / len(sizes), mass, out=np.zeros(len(mass)), where=mass > 0)
        self._held = inside.multiply(share).T.tocsr()
        return self

    def _forest(self) -> Any:
        """Give the forest at the end of pipelines."""
        return _last_step(self.regressor_)

    def _leaves(self, table: Table) -> Any:
        """Mark the leaves (n, leaves) that rows fall into."""
        step = self.regressor_
        while isinstance(step, Pipeline):
            table, step = step[:-1].transform(table), step.steps[-1][1]
        leaves = step.apply(table) + self._ends[:-1]
        n, trees = leaves.shape
        starts = np.arange(0, n * trees + 1, trees)
        return sparse.csr_matrix((np.ones(n * trees), leaves.ravel(), starts), (n, self._ends[-1]))

    def _predict(self, table: Table) -> Array:
        """Interpolate the distribution of the rows that share leaves, sorted by target."""
        weights = (self._leaves(table) @ self._held).tocsr()
        weights.eliminate_zeros()
        weights.sort_indices()
        n, starts = weights.shape[0], weights.indptr[:-1]
        # Halfway up each step, the rows one above the other: one ascending array for all of them.
        steps = np.cumsum(weights.data) - weights.data / 2
        before = np.concatenate([[0.0], np.cumsum(weights.data)])[starts]
        totals = np.add.reduceat(weights.data, starts)
        wanted = before[:, None] + totals[:, None] * self.levels
        right = np.searchsorted(steps, wanted.ravel()).reshape(n, -1)
        left = np.clip(right - 1, starts[:, None], weights.indptr[1:, None] - 1)
        right = np.clip(right, starts[:, None], weights.indptr[1:, None] - 1)
        y = self.targets_[weights.indices]
        width = steps[right] - steps[left]
        share = np.divide(wanted - steps[left], width, out=np.zeros(width.shape), where=width > 0)
        return y[left] + np.clip(share, 0.0, 1.0) * (y[right] - y[left])


def choose_model(regressor: Any, quantiles: Hook | str, levels: Array) -> QuantileModel:
    """
    Find out how a regressor gives quantiles.

    Parameters
    ----------
    regressor : estimator
        A regressor, or a Pipeline that ends in one.
    quantiles : callable or "auto"
        A hook ``quantiles(regressor, X, levels)``, or to find out.
    levels : ndarray of shape (K,)
        The levels, ascending.

    Returns
    -------
    QuantileModel
        The model, not fitted.

    Raises
    ------
    ValueError
        If no way is known.
    """
    if callable(quantiles):
        return HookedModel(regressor, levels, quantiles)
    last = _last_step(regressor)
    if "quantiles" in _parameters_of(last.predict):
        return HookedModel(regressor, levels, predict_quantiles)
    if isinstance(last, ExtraTreesRegressor | RandomForestRegressor):
        return ForestModel(regressor, levels)
    fixed, parameter = _level_parameter(last)
    if parameter is None:
        raise ValueError(
            "regressor must give quantiles: by a parameter that is the level, as "
            "HistGradientBoostingRegressor, GradientBoostingRegressor and QuantileRegressor have, "
            "as a RandomForestRegressor or ExtraTreesRegressor, or by predict(X, quantiles=...), "
            f"got {regressor!r}. Give quantiles=hook, with hook(regressor, X, levels) an array of "
            "one row for each of X and one column for each level."
        )
    prefix = "".join(f"{name}__" for name in _path(regressor))
    settings = {prefix + name: value for name, value in fixed.items()}
    return LevelwiseModel(clone(regressor).set_params(**settings), levels, prefix + parameter)


def predict_quantiles(regressor: Any, table: Table, levels: Array) -> Any:
    """
    Ask a regressor whose ``predict`` takes ``quantiles``.

    Parameters
    ----------
    regressor : estimator
        The fitted regressor.
    table : ndarray or DataFrame of m rows
        The columns.
    levels : ndarray of shape (K,)
        The levels.

    Returns
    -------
    array-like of shape (m, K), or K of shape (m,)
        What it gives.
    """
    options: dict[str, Any] = {"quantiles": levels.tolist()}
    if "output_type" in _parameters_of(_last_step(regressor).predict):
        options["output_type"] = "quantiles"
    return regressor.predict(table, **options)


def _level_parameter(regressor: Any) -> tuple[dict[str, Any], str | None]:
    """Find settings that make a regressor one of quantiles, and the parameter that is the level."""
    names = regressor.get_params(deep=False)
    if "quantile" in names:
        return {"loss": "quantile"} if "loss" in names else {}, "quantile"
    if isinstance(regressor, GradientBoostingRegressor):
        return {"loss": "quantile"}, "alpha"
    if "quantile" in str(names.get("objective")):
        return {}, "quantile_alpha" if "quantile" in str(list(names)) else "alpha"
    return {}, None


def _path(regressor: Any) -> list[str]:
    """Name the last steps of pipelines."""
    names = []
    while isinstance(regressor, Pipeline):
        name, regressor = regressor.steps[-1]
        names.append(name)
    return names


def _last_step(regressor: Any) -> Any:
    """Give what pipelines end in."""
    while isinstance(regressor, Pipeline):
        regressor = regressor.steps[-1][1]
    return regressor


def _parameters_of(method: Callable[..., Any]) -> list[str]:
    """Name the parameters of a method."""
    return list(inspect.signature(method).parameters)


def _fitted(regressor: Any, table: Table, y: Array, weight: Array) -> Any:
    """Fit a regressor; one that takes no weights sees rows as often as their weights say."""
    options = {} if np.ptp(weight) == 0 else {"sample_weight": weight}
    if options and not has_fit_parameter(regressor, "sample_weight"):
        share = np.cumsum(weight) / weight.sum()
        rows = np.searchsorted(share, (np.arange(len(y)) + 0.5) / len(y))
        table, y, options = _rows(table, rows), y[rows], {}
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


def _rows(table: Table, rows: Any) -> Table:
    """Take rows of a table or an array."""
    return table.iloc[rows] if hasattr(table, "iloc") else table[rows]
