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
from copy import copy
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
from sksbi.utils.random import draw_seed
from sksbi.utils.types import Array, Rows, Table

__all__ = ["QuantileModel", "choose_model", "default_model"]

Hook = Callable[[Any, Any, Array], Any]

_ROWS_PER_CALL, _LARGEST_PRODUCT = 4_096, 10_000_000
_SMALLEST, _LARGEST = 5, 320
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
    """
    Quantiles of the targets of rows that share a leaf, averaged over the trees of a forest.

    Parameters
    ----------
    regressor : estimator
        The forest that is cloned and fitted.
    levels : ndarray of shape (K,)
        The levels, ascending.
    has_sizes : bool, default=False
        Whether the size of the leaves is free: what counts as a leaf may be a larger node.
    """

    def __init__(self, regressor: BaseEstimator, levels: Array, has_sizes: bool = False) -> None:
        super().__init__(regressor, levels)
        self.has_sizes = has_sizes

    def fit(self, table: Table, y: Array, weight: Array) -> ForestModel:
        """Fit the forest, and keep which leaves hold which targets."""
        order = np.argsort(y, kind="stable")
        self.targets_, self._weight = y[order], weight[order]
        table = _rows(table, order)
        self.regressor_ = _fitted(clone(self.regressor), table, self.targets_, self._weight)
        trees = [tree.tree_ for tree in _last_step(self.regressor_).estimators_]
        self._starts = np.cumsum([0, *(tree.node_count for tree in trees)])
        self._node_of_row = self._leaves(table)
        self._nodes = np.arange(self._starts[-1])
        self._hold()
        return self

    def sizes(self) -> list[int]:
        """
        List sizes of leaves: from the forest's own up to those that hold all rows.

        Returns
        -------
        list of int
            The sizes; one of leaves as they are, if that is to be.
        """
        n, sizes = len(self.targets_), [1]
        size = _SMALLEST
        while self.has_sizes and size <= min(n // 3, _LARGEST):
            sizes.append(size)
            size *= 2
        return [*sizes[1:], n] if self.has_sizes else sizes

    def resized(self, size: int) -> ForestModel:
        """
        Take nodes of a size and more for leaves.

        Parameters
        ----------
        size : int
            The fewest rows in a node.

        Returns
        -------
        ForestModel
            A copy with these.
        """
        model, trees = copy(self), [tree.tree_ for tree in _last_step(self.regressor_).estimators_]
        parents = [_parents(tree) + start for tree, start in zip(trees, self._starts, strict=False)]
        parent, count = np.concatenate(parents), np.concatenate([t.n_node_samples for t in trees])
        nodes = np.arange(len(parent))
        for _ in range(max(tree.max_depth for tree in trees)):
            nodes = np.where(count[nodes] < size, parent[nodes], nodes)
        model._nodes = nodes
        model._hold()
        return model

    def compact(self) -> ForestModel:
        """
        Drop what only other sizes need.

        Returns
        -------
        ForestModel
            A copy without it.
        """
        model = copy(self)
        model._node_of_row = model._weight = None
        return model

    def _hold(self) -> None:
        """Compute the share of each row in each leaf, of all trees together."""
        n, trees = self._node_of_row.shape
        inside = _marks(self._nodes[self._node_of_row], self._starts[-1])
        inside = inside.multiply(self._weight[:, None]).tocsc()
        mass = np.asarray(inside.sum(axis=0)).ravel()
        share = np.divide(1 / trees, mass, out=np.zeros(len(mass)), where=mass > 0)
        # Where all leaves are whole trees, one row of weights serves everything.
        self._whole = len(np.unique(self._nodes)) == trees
        self._held = inside.multiply(share).T.tocsr()

    def _leaves(self, table: Table) -> Rows:
        """Number the leaves (n, trees) that rows fall into."""
        step = self.regressor_
        while isinstance(step, Pipeline):
            table, step = step[:-1].transform(table), step.steps[-1][1]
        return step.apply(table) + self._starts[:-1]

    def _predict(self, table: Table) -> Array:
        """Interpolate the distribution of the rows that share leaves."""
        n = len(table)
        if self._whole:
            return np.repeat(self._quantiles(self._nodes[self._starts[None, :-1]]), n, axis=0)
        leaves = self._nodes[self._leaves(table)]
        per_row = leaves.shape[1] * self._held.nnz // self._held.shape[0]
        parts = batches(n, _LARGEST_PRODUCT // max(1, per_row))
        return np.concatenate([self._quantiles(leaves[part]) for part in parts])

    def _quantiles(self, leaves: Rows) -> Array:
        """Take quantiles of the rows in leaves (n, trees), which are sorted by target."""
        weights = (_marks(leaves, self._starts[-1]) @ self._held).tocsr()
        weights.eliminate_zeros()
        weights.sort_indices()
        n, first, last = len(leaves), weights.indptr[:-1, None], weights.indptr[1:, None] - 1
        # Halfway up each step, the rows one above the other: one ascending array for all of them.
        heights = np.cumsum(weights.data)
        steps = heights - weights.data / 2
        before = np.concatenate([[0.0], heights])
        total = before[last + 1] - before[first]
        wanted = before[first] + total * self.levels
        right = np.searchsorted(steps, wanted.ravel()).reshape(n, -1)
        left, right = np.clip(right - 1, first, last), np.clip(right, first, last)
        y = self.targets_[weights.indices]
        width = steps[right] - steps[left]
        share = np.divide(wanted - steps[left], width, out=np.zeros(width.shape), where=width > 0)
        return y[left] + np.clip(share, 0.0, 1.0) * (y[right] - y[left])


def _marks(nodes: Rows, n_nodes: int) -> Any:
    """Mark nodes (n, trees) in a sparse matrix (n, n_nodes)."""
    n, trees = nodes.shape
    starts = np.arange(0, n * trees + 1, trees)
    return sparse.csr_matrix((np.ones(n * trees), nodes.ravel(), starts), (n, n_nodes))


def _parents(tree: Any) -> Rows:
    """Give the parent of every node of a tree, of the root itself."""
    parents = np.zeros(tree.node_count, dtype=np.intp)
    for children in (tree.children_left, tree.children_right):
        inner = np.flatnonzero(children >= 0)
        parents[children[inner]] = inner
    return parents


def default_model(levels: Array, generator: np.random.Generator) -> QuantileModel:
    """
    Make the default: a forest of random splits, whose leaves have the size that is found best.

    Parameters
    ----------
    levels : ndarray of shape (K,)
        The levels, ascending.
    generator : numpy.random.Generator
        Seeds the forest.

    Returns
    -------
    QuantileModel
        The model, not fitted.
    """
    forest = ExtraTreesRegressor(min_samples_leaf=_SMALLEST, random_state=draw_seed(generator))
    return ForestModel(forest, levels, has_sizes=True)


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
