"""
Robust views of x: several monotone maps of every column, side by side.

Simulators give columns over ten decades (populations), with many zeros (epidemics), or plain
Gaussian ones, and no single map serves all of them. A network that sees a column through two maps,

    k asinh((x - median) / (k IQR))    linear in the bulk, logarithmic in both tails,
    the same of log(x + s)             for columns without negative values: small values resolved,

picks what it needs. The knee k is 20 for columns without heavy tails, which stay linear as far as
they were seen, and 1 for the others. The logarithm goes through the asinh too, as populations that
die out leave it with heavy tails. Each view is then brought to mean 0 and standard deviation 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sksbi.utils.batches import batches
from sksbi.utils.types import Array, Floats

__all__ = ["RobustViews"]

_VALUES_PER_BLOCK = 65_536
_LIGHT, _LATE_KNEE = 8.0, 20.0


class RobustViews(TransformerMixin, BaseEstimator):
    """
    Scale columns robustly, each in one or several views.

    Parameters
    ----------
    logarithms : bool, default=True
        Whether columns without negative values get a second, logarithmic view. False keeps the
        number of columns.

    Attributes
    ----------
    center_, spread_ : ndarray of shape (n_views,)
        Median and interquartile range of the columns and the logarithms (the standard deviation
        where that is zero, and one where both are: a constant column becomes zero).
    log_columns_ : ndarray of int
        The columns with a logarithmic view: no negative numbers, more than two values.
    log_shift_ : ndarray
        What is added to them before the logarithm, zero unless they hold zeros.
    knee_ : ndarray of shape (n_views,)
        Where the asinh turns, in interquartile ranges: 20 for columns that reach no further than 8
        of them from the median, 1 for others and for logarithms.
    mean_, scale_ : ndarray of shape (n_views,)
        Mean and standard deviation of the views.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.preprocessing import RobustViews
    >>> x = np.random.default_rng(0).lognormal(sigma=5, size=(1000, 1))
    >>> views = RobustViews().fit_transform(x)
    >>> views.shape, bool(np.abs(views).max() < 10)
    ((1000, 2), True)
    """

    def __init__(self, *, logarithms: bool = True) -> None:
        self.logarithms = logarithms

    def fit(self, x: Floats, y: None = None) -> RobustViews:
        """
        Learn location and scale of every view.

        Parameters
        ----------
        x : ndarray of shape (n, L)
            The observations, finite.
        y : None
            Not used.

        Returns
        -------
        RobustViews
            Itself.
        """
        self.n_features_in_ = x.shape[1]
        self._fit_logarithms(x)
        width = _VALUES_PER_BLOCK // len(x)
        parts = [_learn(x[:, some], _LATE_KNEE) for some in batches(x.shape[1], width)]
        for some in batches(len(self.log_columns_), width):
            parts.append(_learn(self._logarithms(x, some), 1.0))
        learnt = np.concatenate(parts, axis=1)
        self.center_, self.spread_, self.knee_, self.mean_, self.scale_ = learnt
        return self

    def _fit_logarithms(self, x: Floats) -> None:
        """Choose the columns with a logarithmic view, and what keeps log(0) finite."""
        smallest = np.min(x, axis=0, where=x > 0, initial=np.inf)
        has_two_values = ((x == x.min(axis=0)) | (x == x.max(axis=0))).all(axis=0)
        nonnegative = (x.min(axis=0) >= 0) & np.isfinite(smallest) & ~has_two_values
        nonnegative &= self.logarithms
        self.log_columns_ = np.flatnonzero(nonnegative)
        self.log_shift_ = np.where(x.min(axis=0) == 0, smallest, 0.0)[self.log_columns_]
        self.log_floor_ = smallest[self.log_columns_]

    def _logarithms(self, x: Floats, some: slice = slice(None)) -> Floats:
        """Take the logarithms of some of the columns that have any."""
        shifted = x[:, self.log_columns_[some]] + self.log_shift_[some]
        return np.log(np.maximum(shifted, self.log_floor_[some]))

    def transform(self, x: Floats) -> NDArray[np.float32]:
        """
        Compute the views.

        Parameters
        ----------
        x : ndarray of shape (n, L)
            The observations, finite.

        Returns
        -------
        ndarray of shape (n, n_views), float32
            The views; values below all that were seen in fit count as the smallest in a logarithm.
        """
        check_is_fitted(self)
        views = np.empty((len(x), len(self.mean_)), dtype=np.float32)
        for rows in batches(len(x), _VALUES_PER_BLOCK // max(1, x.shape[1])):
            columns = np.asarray(x[rows], float)
            columns = np.hstack([columns, self._logarithms(columns)])
            relative = _relative(columns, self.center_, self.spread_)
            views[rows] = (_saturated(relative, self.knee_) - self.mean_) / self.scale_
        return views


def _learn(columns: Floats, late_knee: float) -> Array:
    """Learn median, spread, knee, mean and scale of columns: (5, L)."""
    low, center, high = np.quantile(columns, [0.25, 0.5, 0.75], axis=0)
    spread = _first_positive(high - low, _standard_deviation(columns))
    relative = _relative(columns, center, spread)
    knee = np.where(np.abs(relative).max(axis=0) <= _LIGHT, late_knee, 1.0)
    views = _saturated(relative, knee)
    scale = _first_positive(_standard_deviation(views))
    return np.stack([center, spread, knee, views.mean(axis=0), scale])


def _relative(columns: Floats, center: Floats, spread: Floats) -> Floats:
    """Count from the median in spreads; what overflows counts as the largest float."""
    with np.errstate(over="ignore"):
        return np.nan_to_num((columns - center) / spread)


def _saturated(relative: Floats, knee: Floats) -> Floats:
    """Apply the asinh."""
    return knee * np.arcsinh(relative / knee)


def _standard_deviation(x: Floats) -> Floats:
    """Compute the standard deviation without overflow, zero where it is only rounding."""
    size = np.abs(x).max(axis=0)
    relative = np.divide(x, size, out=np.zeros_like(x, dtype=float), where=size > 0).std(axis=0)
    return np.where(relative > 1e-12, relative * size, 0.0)


def _first_positive(*candidates: Floats) -> Floats:
    """Take the first positive candidate in every column, one if there is none."""
    result = np.ones_like(candidates[0])
    for candidate in reversed(candidates):
        result = np.where(candidate > 0, candidate, result)
    return result
