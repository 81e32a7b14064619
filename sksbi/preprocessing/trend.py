r"""
The smooth part of a regression: ridge regression in the best of a few bases.

The bases are the columns, the columns with their ends drawn in (asinh), products of two of these,
and Gaussian bumps of three widths around some of the rows (Nystroem's approximation of a kernel).
Penalty and basis are chosen by the squared errors of rows that are left out one by one, which a
ridge regression gives in closed form: the residual divided by :math:`1 - h_i` with the leverage
:math:`h_i`. Of bases that are as good within one standard error the simplest is taken, and none
where none beats the mean.

What goes on to be learnt from are these residuals of rows left out: they have the size of those of
new rows. The predictions of rows left out must not be a column to learn from, as they tell the row
itself: the mean of the others falls as the row rises.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import linalg
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from sksbi.utils.types import Array

__all__ = ["SmoothTrend"]

_MOST_ROWS, _MOST_FOR_PRODUCTS, _MOST_BUMPS = 10_000, 25, 300
_WIDTHS = (1.0, 0.3, 0.1, 0.03)
_PENALTIES = np.geomspace(1e-10, 10, 23)
_RANK, _LEAST_LEFT, _FEWEST_ROWS = 1e-12, 0.02, 20


class SmoothTrend:
    """
    Learn E[z | columns] where it is smooth.

    Parameters
    ----------
    columns : ndarray of shape (n, p)
        The columns; NaN counts as the median.
    z : ndarray of shape (n,)
        The target.
    weight : ndarray of shape (n,)
        Weights of the rows.
    seed : int
        Seeds the choice of rows.

    Attributes
    ----------
    residuals : ndarray of shape (n,)
        The residual of every row, where it was left out.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.preprocessing.trend import SmoothTrend
    >>> x = np.linspace(-1, 1, 100)[:, None]
    >>> trend = SmoothTrend(x, 2 * x[:, 0], np.ones(100), seed=0)
    >>> float(trend(np.array([[0.5]])).round(3)[0])
    1.0
    """

    def __init__(self, columns: Array, z: Array, weight: Array, seed: int) -> None:
        rows = np.random.default_rng(seed).permutation(len(z))[:_MOST_ROWS]
        self.center_, self.scale_ = _center_and_scale(columns[rows])
        some, target, weight = self._standardised(columns[rows]), z[rows], weight[rows]
        self.basis_: Any = None
        self.offset_, self.slope_ = float(np.average(target, weights=weight)), np.zeros(0)
        best = (target - self.offset_) / (1 - weight / weight.sum())
        if len(rows) >= _FEWEST_ROWS:
            fits = [_Ridge(basis, some, target, weight) for basis in _bases(some, seed)]
            best = self._choose(best, fits, weight)
        values = target - best
        spread = values.std()
        self.range_ = float(values.min() - spread), float(values.max() + spread)
        if len(rows) == len(z):
            self.residuals = np.empty(len(z))
            self.residuals[rows] = best
        else:
            self.residuals = z - self(columns)
            self.residuals[rows] = best

    def _choose(self, residuals: Array, fits: list[_Ridge], weight: Array) -> Array:
        """Take the simplest fit of those about as good as the best; return its residuals."""
        every = np.array([residuals, *(fit.residuals for fit in fits)]) ** 2
        errors = np.average(every, axis=1, weights=weight)
        apart = every - every[errors.argmin()]
        apart -= np.average(apart, axis=1, weights=weight)[:, None]
        noise = np.sqrt(np.average(apart**2, axis=1, weights=weight))
        size = weight.sum() ** 2 / (weight**2).sum()
        chosen = int(np.argmax(errors <= errors.min() + noise / np.sqrt(size)))
        if chosen == 0:
            return residuals
        fit = fits[chosen - 1]
        self.basis_, self.offset_, self.slope_ = fit.basis, fit.offset, fit.slope
        return fit.residuals

    def __call__(self, columns: Array) -> Array:
        """
        Predict, at most a little beyond what was predicted of the rows left out.

        Parameters
        ----------
        columns : ndarray of shape (m, p)
            The columns.

        Returns
        -------
        ndarray of shape (m,)
            The trend.
        """
        if self.basis_ is None:
            return np.full(len(columns), self.offset_)
        features = self.basis_.transform(self._standardised(columns))
        return np.clip(features @ self.slope_ + self.offset_, *self.range_)

    def _standardised(self, columns: Array) -> Array:
        """Bring columns to one scale."""
        scaled = (columns - self.center_) / self.scale_
        return np.where(np.isfinite(scaled), scaled, 0.0)


class _Squash:
    """Draw in the ends of columns; a transformer, as steps of a pipeline are."""

    def fit(self, x: Array, y: None = None) -> _Squash:
        """Do nothing."""
        return self

    def transform(self, x: Array) -> Array:
        """Take asinh."""
        return np.arcsinh(x)

    def fit_transform(self, x: Array, y: None = None) -> Array:
        """Take asinh."""
        return self.transform(x)


class _Ridge:
    """Ridge regression in a basis, with the penalty that is best for rows left out."""

    def __init__(self, basis: Any, columns: Array, z: Array, weight: Array) -> None:
        self.basis, share = basis, weight / weight.sum()
        features, root = basis.fit_transform(columns), np.sqrt(weight / weight.mean())
        center, mean = share @ features, share @ z
        a, y = (features - center) * root[:, None], (z - mean) * root
        values, vectors = linalg.eigh(a.T @ a, check_finite=False)
        kept = values > _RANK * max(values[-1], np.finfo(float).tiny)
        values, vectors = values[kept], vectors[:, kept] / np.sqrt(values[kept])
        u = a @ vectors
        along, squares, best = u.T @ y, u**2, np.inf
        self.residuals, self.slope = z - mean, np.zeros(features.shape[1])
        for penalty in _PENALTIES * values.max(initial=0.0):
            shrink = values / (values + penalty)
            left = np.maximum(1 - squares @ shrink - share, _LEAST_LEFT)
            residuals = (y - u @ (shrink * along)) / (left * root)
            error = share @ residuals**2
            if error < best:
                best, self.residuals = error, residuals
                self.slope = vectors @ (along * shrink)
        self.offset = mean - center @ self.slope


def _bases(columns: Array, seed: int) -> Iterator[Any]:
    """List the bases, the simplest first."""
    n, p = columns.shape
    if p == 0:
        return
    yield make_pipeline(StandardScaler())
    yield make_pipeline(_Squash(), StandardScaler())
    if p <= _MOST_FOR_PRODUCTS:
        products = PolynomialFeatures(2, include_bias=False)
        yield make_pipeline(_Squash(), StandardScaler(), products, StandardScaler())
    from sklearn.kernel_approximation import Nystroem

    n_bumps = min(_MOST_BUMPS, n // 2)
    for width in _WIDTHS:
        bumps = Nystroem(gamma=2 * width / p, n_components=n_bumps, random_state=seed)
        yield make_pipeline(_Squash(), StandardScaler(), bumps)


def _center_and_scale(columns: Array) -> tuple[Array, Array]:
    """Give medians and interquartile ranges; of few values their standard deviation."""
    if not columns.shape[1]:
        return np.zeros(0), np.ones(0)
    known = np.where(np.isfinite(columns), columns, np.nan)
    known[:, np.isnan(known).all(axis=0)] = 0.0
    low, center, high = np.nanpercentile(known, [25, 50, 75], axis=0)
    scale = np.where(high > low, high - low, np.nanstd(known, axis=0))
    return center, np.where((scale > 0) & np.isfinite(scale), scale, 1.0)
