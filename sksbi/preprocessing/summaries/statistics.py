r"""
Summary statistics: what a wide x tells about theta, in a few dozen numbers.

A network that sees hundreds of columns learns the noise of its training set, and on correlated
columns its steps grow with their number. Four kinds of statistics take their place:

- scores of the leading principal components (:mod:`.principal`);
- posterior means of functions of theta, linear in x (:mod:`.regression`);
- statistics of a row (:mod:`.rows`);
- products of columns, pooled by how they go with theta (:mod:`.products`).

All treat columns alike, whatever their order and units. What was learnt with theta is applied to
rows that it was not learnt from, in turn (:math:`K` folds): a network that saw a row's own theta in
its statistics would rely on it. To new rows what was learnt from all of them is applied. So
``fit_transform(x, theta)`` is not ``fit(x, theta).transform(x)``, as in scikit-learn's
``TargetEncoder``.

Every statistic is scaled to its signal-to-noise ratio, so that the noise in all of them has about
one size: a network learns large inputs first, and noise last. Up to 50 columns are kept beside the
statistics, small, so that nothing they tell is lost, and what the statistics say comes first.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sksbi.preprocessing.summaries.functions import moments, orthonormal, waves
from sksbi.preprocessing.summaries.precision import signal_to_noise
from sksbi.preprocessing.summaries.principal import PrincipalScores
from sksbi.preprocessing.summaries.products import pool, pooled_products, standardised
from sksbi.preprocessing.summaries.regression import LinearMeans
from sksbi.preprocessing.summaries.rows import row_statistics
from sksbi.preprocessing.views import RobustViews
from sksbi.utils.random import check_generator, draw_seed
from sksbi.utils.types import Array, Floats, Mask, RandomState, Rows
from sksbi.utils.validation import check_count, check_numbers

__all__ = ["SummaryStatistics"]


_MOST_VALUES, _MOST_ROWS, _FEWEST_ROWS = 20_000_000, 20_000, 500
_MOST_IN_PRODUCTS = 1_000
_MOST_FOR_PRODUCTS = 14
_FAR = 1e6
_LARGEST_THETA = 1e30
_MOST_BESIDE, _SIZE_BESIDE = 50, 0.3
_RANK, _CORRELATED = 1e-7, 0.1


class SummaryStatistics(TransformerMixin, BaseEstimator):
    """
    Learn summary statistics of a table x from theta.

    Parameters
    ----------
    n_components : int, default=40
        The largest number of principal components.
    n_folds : int, default=5
        The number of folds for what is learnt with theta.
    random_state : None, int, RandomState or Generator, default=0
        Seeds the folds, and the choice of rows where there are very many values.

    Attributes
    ----------
    signal_to_noise_ : ndarray of shape (n_statistics,)
        What every statistic was scaled to, before all were divided by one number. Columns that are
        kept beside them are not among them.
    n_features_in_ : int
        The number of columns of x.

    References
    ----------
    .. [1] Constructing summary statistics for approximate Bayesian computation: semi-automatic ABC
       (Fearnhead and Prangle, 2012) https://arxiv.org/abs/1004.1112
    .. [2] Stacked generalization (Wolpert, 1992) https://doi.org/10.1016/S0893-6080(05)80023-1

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.preprocessing.summaries import SummaryStatistics
    >>> rng = np.random.default_rng(0)
    >>> theta = rng.normal(size=(500, 1))
    >>> x = theta * np.sin(np.arange(200)) + rng.normal(size=(500, 200))
    >>> best = np.abs(np.corrcoef(SummaryStatistics().fit_transform(x, theta).T, theta.T)[-1, :-1])
    >>> bool(best.max() > 0.99)
    True
    """

    def __init__(
        self, *, n_components: int = 40, n_folds: int = 5, random_state: RandomState = 0
    ) -> None:
        self.n_components = n_components
        self.n_folds = n_folds
        self.random_state = random_state

    def fit(self, x: Floats, theta: Array) -> SummaryStatistics:
        """
        Learn the statistics.

        Parameters
        ----------
        x : ndarray of shape (n, L)
            The observations, finite.
        theta : ndarray of shape (n, D)
            The parameters, best in an unbounded space and about standardised.

        Returns
        -------
        SummaryStatistics
            Itself.
        """
        self.fit_transform(x, theta)
        return self

    def fit_transform(self, x: Floats, theta: Array) -> NDArray[np.float32]:
        """
        Learn the statistics, and compute them without a row's own theta.

        Parameters
        ----------
        x : ndarray of shape (n, L)
            The observations, finite.
        theta : ndarray of shape (n, D)
            The parameters, best in an unbounded space and about standardised.

        Returns
        -------
        ndarray of shape (n, n_statistics), float32
            The statistics.

        Raises
        ------
        ValueError, TypeError
            If x or theta is no table of finite numbers, their lengths differ, or a parameter is out
            of its range.
        """
        check_count(self.n_components, "n_components")
        check_count(self.n_folds, "n_folds", low=2)
        x = _read(x, "x", 2)
        theta = check_numbers(theta, "theta", ensure_min_samples=2)
        if len(x) != len(theta):
            raise ValueError(f"x and theta must have as many rows, got {len(x)} and {len(theta)}.")
        if np.abs(theta).max() > _LARGEST_THETA:
            raise ValueError(
                f"theta must be at most {_LARGEST_THETA:g} in size, best standardised, got "
                f"{np.abs(theta).max():g}."
            )
        self.n_features_in_ = x.shape[1]
        generator = check_generator(self.random_state)
        most = min(max(_FEWEST_ROWS, _MOST_VALUES // x.shape[1]), _MOST_ROWS)
        order = generator.permutation(len(x))
        rows = np.sort(order[:most])
        learnt = self._learn(x[rows], theta[rows], generator)
        statistics = np.empty((len(x), learnt.shape[1]), np.float32)
        statistics[rows] = learnt
        others = np.sort(order[most:])
        if len(others):
            statistics[others] = self.transform(x[others])
        return statistics

    def _learn(
        self, x: Floats, theta: Array, generator: np.random.Generator
    ) -> NDArray[np.float32]:
        """Learn from few enough rows, and compute their statistics."""
        self.views_ = RobustViews().fit(x)
        views = self._centered_views(x, fit=True)
        self.principal_ = PrincipalScores(self.n_components, draw_seed(generator))
        parts: list[Floats] = [self.principal_.fit_transform(views)]
        folds = generator.permutation(len(x)) % max(2, min(self.n_folds, len(x) // 10))
        parts.append(self._learn_means(views, waves(theta), folds))
        statistics, r = row_statistics(self._one_scale(x))
        self.row_views_ = RobustViews(logarithms=False).fit(statistics)
        parts.append(self.row_views_.transform(statistics))
        width = x.shape[1]
        self.places_ = np.sort(generator.permutation(width)[:_MOST_IN_PRODUCTS])
        functions = moments(theta)[:, :_MOST_FOR_PRODUCTS]
        self.matrices_ = []
        for sizes in (False, True):
            rows = standardised(r[:, self.places_], sizes=sizes)
            pooled, matrices = pooled_products(rows, functions, folds)
            parts.append(pooled)
            self.matrices_.append(matrices)
        return self._beside(views, self._learn_scale(np.hstack(parts), theta, generator))

    def _learn_means(self, views: Floats, functions: Array, folds: Rows) -> Array:
        """Learn posterior means, as few uncorrelated combinations."""
        components = self.principal_.components_

        def fit(rows: Mask | slice) -> Callable[[Floats], Array]:
            return LinearMeans(views[rows], functions[rows], components)

        means = np.empty(functions.shape)
        for k in range(folds.max() + 1):
            means[folds == k] = fit(folds != k)(views[folds == k])
        self.means_ = fit(slice(None))
        self.rotation_ = _canonical(means - means.mean(axis=0), orthonormal(functions))
        return means @ self.rotation_

    def _learn_scale(
        self, statistics: Array, theta: Array, generator: np.random.Generator
    ) -> NDArray[np.float32]:
        """Scale statistics to their signal-to-noise ratio."""
        self.center_ = statistics.mean(axis=0)
        spread = statistics.std(axis=0)
        spread = np.where(spread > 0, spread, np.inf)
        statistics = (statistics - self.center_) / spread
        self.signal_to_noise_ = signal_to_noise(statistics, theta, generator)
        size = self.signal_to_noise_ / np.sqrt((self.signal_to_noise_**2).mean())
        self.factor_ = size / spread
        return (statistics * size).astype(np.float32)

    def _centered_views(self, x: Floats, fit: bool = False) -> Floats:
        """Bring columns to one scale, their mean to zero."""
        views = self.views_.transform(x)
        if fit:
            self.view_means_ = views.mean(axis=0)
        views -= self.view_means_
        return views

    def _beside(self, views: Floats, statistics: NDArray[np.float32]) -> NDArray[np.float32]:
        """Put few columns beside the statistics."""
        if self.n_features_in_ > _MOST_BESIDE:
            return statistics
        return np.hstack([statistics, (_SIZE_BESIDE * views).astype(np.float32)])

    def transform(self, x: Floats) -> NDArray[np.float32]:
        """
        Compute the statistics of new observations.

        Parameters
        ----------
        x : ndarray of shape (m, L)
            The observations, finite.

        Returns
        -------
        ndarray of shape (m, n_statistics), float32
            The statistics.

        Raises
        ------
        ValueError, TypeError
            If x is no table of finite numbers, or of another width than in fit.
        """
        check_is_fitted(self)
        x = _read(x, "x", 0)
        if x.shape[1] != self.n_features_in_:
            raise ValueError(f"x must have {self.n_features_in_} columns, got {x.shape[1]}.")
        block = max(1, _MOST_VALUES // x.shape[1])
        parts = [self._transform(x[i : i + block]) for i in range(0, max(1, len(x)), block)]
        return np.concatenate(parts)

    def _transform(self, x: Floats) -> NDArray[np.float32]:
        """Compute the statistics of few enough observations."""
        views = self._centered_views(x)
        parts: list[Floats] = [self.principal_.transform(views)]
        parts.append(self.means_(views) @ self.rotation_)
        statistics, r = row_statistics(self._one_scale(x))
        parts.append(self.row_views_.transform(statistics))
        for sizes, matrices in zip((False, True), self.matrices_, strict=True):
            parts.append(pool(standardised(r[:, self.places_], sizes=sizes), matrices))
        statistics = ((np.hstack(parts) - self.center_) * self.factor_).astype(np.float32)
        return self._beside(views, statistics)

    def _one_scale(self, x: Floats) -> Array:
        """Bring all columns to median 0 and interquartile range 1, without bending them."""
        width = self.n_features_in_
        with np.errstate(over="ignore"):
            scaled = (x - self.views_.center_[:width]) / self.views_.spread_[:width]
        return np.clip(np.nan_to_num(scaled), -_FAR, _FAR)


def _read(values: Floats, name: str, least: int) -> Floats:
    """Validate a table of at least so many rows."""
    return check_numbers(values, name, dtype=(np.float64, np.float32), ensure_min_samples=least)


def _canonical(estimates: Array, functions: Array) -> Array:
    """Find combinations of estimates (n, K), uncorrelated, that go with uncorrelated functions."""
    values, vectors = linalg.eigh(estimates.T @ estimates / len(estimates))
    kept = values > _RANK * values[-1]
    root = vectors[:, kept] / np.sqrt(values[kept])
    if 0 in (root.shape[1], functions.shape[1]):  # older versions of scipy have no svd of nothing
        return root[:, :1]
    left, correlations, _ = linalg.svd(root.T @ (estimates.T @ functions / len(estimates)))
    n_kept = max(1, np.count_nonzero(correlations > _CORRELATED))
    return root @ left[:, :n_kept]
