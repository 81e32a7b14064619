"""Learning one conditional density after the other: trend, quantiles, and what they are worth."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed
from scipy.special import ndtr, ndtri

from sksbi.estimators.quantile_models import Features, QuantileModel
from sksbi.posteriors.quantile_spline import QuantileSpline, fit_tails
from sksbi.preprocessing.trend import SmoothTrend
from sksbi.tables.encoder import TableEncoder
from sksbi.utils.parallel import running
from sksbi.utils.types import Array, Rows

__all__ = ["FeatureTable", "Learner", "choose_levels"]

_FEWEST_LEVELS, _MOST_LEVELS = 5, 25
_ROWS_BEYOND, _INNERMOST, _OUTERMOST = 20, 0.05, 0.01
_LEAST_SCALES = np.array([0.0, 0.1, 0.3, 1.0])
# Trees see float32.
_FARTHEST = 1e9
_PSEUDO_ROWS, _ROWS_TO_CHOOSE = 2.0, 2_000


def choose_levels(levels: Any, n: int) -> Array:
    """
    Choose levels whose normal scores are equally spaced.

    Parameters
    ----------
    levels : "auto", int or array-like
        Their number; "auto": about the cube root of n, from 5 to 25; or the levels themselves.
    n : int
        The number of simulations: some twenty should lie beyond the outermost.

    Returns
    -------
    ndarray of shape (K,)
        The levels.

    Raises
    ------
    ValueError
        If they are not three or more, ascending, between 0 and 1.

    Examples
    --------
    >>> from sksbi.estimators.quantile_learning import choose_levels
    >>> choose_levels(5, 1_000).round(2).tolist()
    [0.02, 0.15, 0.5, 0.85, 0.98]
    """
    if isinstance(levels, str):
        levels = int(np.clip(2 * round(n ** (1 / 3) / 2) + 1, _FEWEST_LEVELS, _MOST_LEVELS))
    if np.ndim(levels) == 0:
        outermost = ndtri(np.clip(_ROWS_BEYOND / n, _OUTERMOST, _INNERMOST))
        return ndtr(np.linspace(outermost, -outermost, levels))
    levels = np.asarray(levels, dtype=np.float64)
    ascend = levels.ndim == 1 and len(levels) > 2 and bool((np.diff(levels) > 0).all())
    if not (ascend and levels[0] > 0 and levels[-1] < 1):
        raise ValueError(
            "levels must be three numbers or more, ascending, strictly between 0 and 1, got "
            f"{np.array2string(levels, threshold=10)}: give such as [0.05, 0.25, 0.5, 0.75, 0.95]."
        )
    return levels


class FeatureTable:
    """
    What a regressor sees: the parameters before, then x.

    Parameters
    ----------
    names : sequence
        The parameters' names.
    encoder : TableEncoder
        What was done with the columns of x in fit.
    """

    def __init__(self, names: Sequence[Any], encoder: TableEncoder) -> None:
        self.names, self.encoder = _as_names(names, "theta"), encoder
        columns = encoder.columns or ()
        self.x_names = _as_names([column.name for column in columns], "x")
        self.labelled = np.array([column.categories is not None for column in columns], dtype=bool)
        if twice := sorted({*self.names} & {*self.x_names}):
            raise ValueError(
                "theta and x must have different columns, as the regressor sees both, got "
                f"{twice} in both: rename them in x."
            )

    def __call__(self, before: Array, x: Array) -> Features:
        """Put (n, j) and (n, ...) side by side, as a DataFrame where x was one in fit."""
        if self.encoder.columns is None:
            return np.hstack([before, x.reshape(len(x), -1)])
        names = self.names[: before.shape[1]]
        if not self.encoder.has_labels:
            return pd.DataFrame(np.hstack([before, x]), columns=names + self.x_names)
        table = pd.DataFrame(self.encoder.decode(x)).set_axis(self.x_names, axis=1)
        return pd.concat([pd.DataFrame(before, columns=names), table], axis=1)

    def numbers(self, before: Array, x: Array) -> Array:
        """Put what are numbers side by side."""
        x = x.reshape(len(x), -1)
        return np.hstack([before, x[:, ~self.labelled] if len(self.labelled) else x])

    def distances(self, x: Array, one: Array) -> Array:
        """Give squared distances (n,) of x to one observation, each column by its own scale."""
        x, one = x.reshape(len(x), -1), one.ravel()
        with np.errstate(invalid="ignore", over="ignore"):
            known = np.where(np.isfinite(x), x, np.nan)
            low, high = _quartiles(known)
            apart = ((x - one) / np.where(high > low, high - low, 1.0)) ** 2
        if len(self.labelled):
            apart[:, self.labelled] = (x != one)[:, self.labelled]
        missing = np.isnan(x), np.isnan(one)[None]
        apart = np.where(missing[0] | missing[1], missing[0] != missing[1], apart)
        return apart.sum(axis=1)


def _quartiles(x: Array) -> tuple[Array, Array]:
    """Give the quartiles of columns, zeros of a column without numbers."""
    x[:, np.isnan(x).all(axis=0)] = 0.0
    low, high = np.nanpercentile(x, [25, 75], axis=0)
    return low, high


@dataclass(frozen=True, eq=False)
class LearntConditional:
    """
    The density of one parameter given those before and x.

    Parameters
    ----------
    model : QuantileModel
        Gives quantiles of what the trend leaves.
    trend : SmoothTrend or None
        The smooth part.
    scores : ndarray of shape (K,)
        The normal scores of the levels that the quantiles were measured to have.
    tails : tuple of float
        The factors of the tails' scales.
    least : float
        The least scale.
    table : FeatureTable
        Makes tables.
    """

    model: QuantileModel
    trend: SmoothTrend | None
    scores: Array
    tails: tuple[float, float]
    least: float
    table: FeatureTable

    def __call__(self, before: Array, x: Array) -> QuantileSpline:
        """Give densities at (n, j) and (n, ...)."""
        n, before = len(x), np.clip(before, -_FARTHEST, _FARTHEST)
        if before.shape[1] == 0 and n > 1:
            # The first parameter depends on x alone, which is often the same in all rows.
            x, rows = np.unique(x.reshape(n, -1), axis=0, return_inverse=True)
            before = before[: len(x)]
        else:
            rows = np.arange(n)
        values = self.model.predict(self.table(before, x))
        if self.trend is not None:
            values = values + self.trend(self.table.numbers(before, x))[:, None]
        return QuantileSpline(values[rows.ravel()], self.scores, self.tails, self.least)


@dataclass(frozen=True, eq=False)
class Learner:
    """
    How conditional densities are learnt.

    Parameters
    ----------
    model : QuantileModel
        Not fitted, seeded.
    table : FeatureTable
        Makes tables.
    has_trend : bool
        Whether the smooth part is learnt first.
    n_folds : int or None
        The number of folds in which levels are measured; None: they are taken as they are.
    n_jobs : int or None
        How many fits run at once.
    seed : int
        Seeds folds and trends.
    """

    model: QuantileModel
    table: FeatureTable
    has_trend: bool
    n_folds: int | None
    n_jobs: int | None
    seed: int

    def __call__(self, u: Array, x: Array, weight: Array) -> list[LearntConditional]:
        """Learn from u (n, D), x (n, ...) and weights (n,), one parameter after the other."""
        folds = self._folds(len(u))
        jobs = (delayed(self._learn)(u[:, : j + 1], x, weight, folds) for j in range(u.shape[1]))
        with running(self.n_jobs, jobs) as results:
            return list(results)

    def _folds(self, n: int) -> list[Rows]:
        """Split rows at random."""
        if self.n_folds is None:
            return []
        n_folds = min(int(self.n_folds), n // 2)
        if n_folds < 2:
            raise ValueError(
                f"n_folds={self.n_folds} takes two folds of at least two simulations, got "
                f"n_samples = {n}: give more simulations, or n_folds=None."
            )
        return np.array_split(np.random.default_rng(self.seed).permutation(n), n_folds)

    def _learn(self, u: Array, x: Array, weight: Array, folds: list[Rows]) -> LearntConditional:
        """Learn the density of the last column of u, given the others and x."""
        before, z, trend = u[:, :-1], u[:, -1], None
        if self.has_trend:
            trend = SmoothTrend(self.table.numbers(before, x), z, weight, self.seed)
            z = trend.residuals
        model = self._fit(before, z, x, weight)
        if not folds:
            scores = ndtri(model.levels)
            return LearntConditional(model.compact(), trend, scores, (1.0, 1.0), 0.0, self.table)
        parts = []
        for fold in folds:
            rest = np.setdiff1d(np.arange(len(z)), fold)
            parts.append((fold, self._fit(before[rest], z[rest], x[rest], weight[rest])))
        held_out = _HeldOut(parts, self.table, before, x, z, weight)
        size, least = held_out.best(model.sizes())
        scores, tails = held_out.measure(size, least)
        model = model.resized(size).compact()
        return LearntConditional(model, trend, scores, tails, least, self.table)

    def _fit(self, before: Array, z: Array, x: Array, weight: Array) -> QuantileModel:
        """Fit a model of its own."""
        return copy(self.model).fit(self.table(before, x), z, weight)


@dataclass(frozen=True, eq=False)
class _HeldOut:
    """Rows, and models that have not seen them."""

    parts: list[tuple[Rows, QuantileModel]]
    table: FeatureTable
    before: Array
    x: Array
    z: Array
    weight: Array

    def best(self, sizes: list[int]) -> tuple[int, float]:
        """Find the size and the least scale with the highest mean log-density of some rows."""
        best = -np.inf, sizes[0], 0.0
        for size in sizes:
            rows, values = self._values(size, _ROWS_TO_CHOOSE)
            scores = self._scores(rows, values)
            scale = np.median(values[:, -1] - values[:, 0]) / (scores[-1] - scores[0])
            for least in _LEAST_SCALES * scale:
                log_q = self._log_density(rows, values, scores, least)
                best = max(best, (log_q, size, float(least)))
        return best[1:]

    def measure(self, size: int, least: float) -> tuple[Array, tuple[float, float]]:
        """Measure levels, and factors of the tails."""
        rows, values = self._values(size, len(self.z))
        scores = self._scores(rows, values)
        return scores, fit_tails(self.z[rows], values, scores, self.weight[rows], least)

    def _scores(self, rows: Rows, values: Array) -> Array:
        """Measure levels by some rows."""
        levels = self.parts[0][1].levels
        return _measured_scores(self.z[rows], values, self.weight[rows], levels)

    def _log_density(self, rows: Rows, values: Array, scores: Array, least: float) -> float:
        """Average the log-density of some rows."""
        z, weight = self.z[rows], self.weight[rows]
        tails = fit_tails(z, values, scores, weight, least)
        log_q = QuantileSpline(values, scores, tails, least).log_prob(z)
        return float(np.average(log_q, weights=weight))

    def _values(self, size: int, most: int) -> tuple[Rows, Array]:
        """Predict quantiles of rows, at most so many, each by the model that has not seen it."""
        chosen, values = [], []
        for fold, model in self.parts:
            rows = fold[: 1 + (most - 1) // len(self.parts)]
            table = self.table(self.before[rows], self.x[rows])
            values.append(model.resized(size).predict(table))
            chosen.append(rows)
        return np.concatenate(chosen), np.sort(np.concatenate(values), axis=1)


def _measured_scores(z: Array, values: Array, weight: Array, levels: Array) -> Array:
    """Measure which share of z lies below each quantile; two rows of each level are added."""
    size = weight.sum() ** 2 / (weight**2).sum()
    below = np.average(z[:, None] <= values, axis=0, weights=weight)
    return ndtri((size * below + _PSEUDO_ROWS * levels) / (size + _PSEUDO_ROWS))


def _as_names(columns: Sequence[Any], prefix: str) -> list[str]:
    """Name columns that are no strings."""
    return [name if isinstance(name, str) else f"{prefix}_{name}" for name in columns]
