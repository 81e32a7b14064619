"""
The region that simulations fill, so that an observation far outside it is noticed.

A network extrapolates silently: at an x that is unlike all it was trained on, its posterior means
nothing. Two things are kept of the simulations, after a robust scaling that bends the tails: the
range of every column, and mean and covariance. Every fifth of the simulations is held against
the other four: how far a column is beyond its range there, and the largest Mahalanobis distance,
say what simulations do. An observation is far outside if it is 1.5 times as far, and a column half
of its range beyond it. One more simulation of n is the farthest of all with probability 1/(n + 1),
and that much farther far more rarely, so this is no test, but an alarm that hardly ever rings
without a fire.

A fit that goes on from another one leaves what both have seen: an observation is far if it is far
from the simulations of each. The regions of up to ten fits are kept; of more, the oldest two are
replaced by the box around both.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np

from sksbi.preprocessing.edges import name_column
from sksbi.preprocessing.views import RobustViews
from sksbi.utils.batches import batches
from sksbi.utils.subset import some_rows
from sksbi.utils.types import Array, Floats, Mask

__all__ = ["TypicalObservations"]

_MARGIN = 0.5
_FARTHER = 1.5
_MOST_COLUMNS = 100
_RIDGE = 1e-6
_FOLDS, _FEWEST = 5, 10
_NO_WIDTH = 1e-9
_MOST_ROWS, _FEWEST_ROWS, _MOST_NUMBERS = 20_000, 1_000, 5_000_000
_MOST_FITS = 10


class TypicalObservations:
    """
    The region that simulations fill, and how far outside of it one more may be.

    Parameters
    ----------
    x : ndarray of shape (n, ...)
        The simulations; NaN where there is none. Of very many only some are looked at. More than
        100 columns have no covariance, just variances; of fewer than 10 simulations none is far.
    """

    earlier: tuple[TypicalObservations, ...] = ()  # of the fits that this one went on from

    def __init__(self, x: Array) -> None:
        columns = _columns(some_rows(x, _MOST_NUMBERS, _FEWEST_ROWS, _MOST_ROWS))
        if (missing := np.isnan(columns)).any():
            columns = np.where(missing, np.nan_to_num(np.nanmedian(columns, axis=0)), columns)
        everything = _columns(x)
        self.region = _Region(columns)
        self.region.reach(np.fmin.reduce(everything), np.fmax.reduce(everything))
        self.farthest, self.margin = np.inf, np.inf
        if len(columns) >= _FEWEST:
            folds = np.random.default_rng(0).permutation(len(columns)) % _FOLDS
            found = [
                _Region(columns[folds != k]).excess(columns[folds == k]) for k in range(_FOLDS)
            ]
            self.farthest = max(float(distance.max()) for distance, _ in found)
            self.margin = max(_MARGIN, *(_FARTHER * float(beyond.max()) for _, beyond in found))

    def joined(self, x: Array) -> TypicalObservations:
        """
        Take in the simulations of a further fit.

        Parameters
        ----------
        x : ndarray of shape (n, ...)
            The simulations, of the shape of those before.

        Returns
        -------
        TypicalObservations
            What all fits have seen: this one if it covers x, too.
        """
        parts = batches(len(x), _FEWEST_ROWS)
        if np.isfinite(self.farthest) and not any(self.are_far(x[part]).any() for part in parts):
            return self
        joined = TypicalObservations(x)
        earlier = [self, *self.earlier]
        if len(earlier) >= _MOST_FITS:
            earlier[-2:] = [_around(*earlier[-2:])]
        joined.earlier = tuple(_alone(one) for one in earlier)
        return joined

    def stretched(self, x: Array) -> TypicalObservations:
        """
        Take in more simulations of the same kind, few or many.

        Parameters
        ----------
        x : ndarray of shape (n, ...)
            The simulations, of the shape of those before.

        Returns
        -------
        TypicalObservations
            The same region, which reaches as far as they do.
        """
        columns, made = _columns(x), copy(self)
        distance, _ = self.region.excess(columns)
        made.farthest = max(self.farthest, float(distance.max()))
        made.region = copy(self.region)
        made.region.reach(np.fmin.reduce(columns), np.fmax.reduce(columns))
        return made

    def excess(self, x: Array) -> tuple[Array, Array]:
        """
        Measure how far observations are outside.

        Parameters
        ----------
        x : ndarray of shape (m, ...)
            The observations.

        Returns
        -------
        distance : ndarray of shape (m,)
            Mahalanobis distances as multiples of the largest among simulations held out.
        beyond : ndarray of shape (m, L)
            How far every column is beyond its range, in units of the range: 0 inside; of a column
            that was constant, 1 unless it has that value.
        """
        distance, beyond = self.region.excess(_columns(x))
        return distance / self.farthest if self.farthest > 0 else 0 * distance, beyond

    def are_far(self, x: Array) -> Mask:
        """
        Tell which observations are far outside.

        Parameters
        ----------
        x : ndarray of shape (m, ...)
            The observations.

        Returns
        -------
        ndarray of bool, of shape (m,)
            Whether they are.
        """
        distance, beyond = self.excess(x)
        far = (distance > _FARTHER) | (beyond > self.margin).any(axis=1)
        for one in self.earlier:
            if far.any():
                far[far] = one.are_far(x[far])
        return far

    def describe(self, x: Array, names: Sequence[str] | None = None) -> str:
        """
        Say what is unusual about an observation that is far outside.

        Parameters
        ----------
        x : ndarray of shape (1, ...)
            The observation.
        names : sequence of str or None, default=None
            The names of its columns.

        Returns
        -------
        str
            A clause, such as "'b' is 12, simulated from -3 to 4".
        """
        distance, beyond = self.excess(x)
        column = int(np.argmax(beyond[0]))
        if beyond[0, column] <= self.margin:
            return (
                f"its features together are {distance[0]:.3g} times as far from the mean as those "
                "of the farthest simulation"
            )
        name = name_column(column, x.shape[1:], names)
        value, low, high = _columns(x)[0, column], self.region.low[column], self.region.high[column]
        return f"{name} is {value:.6g}, simulated from {low:.6g} to {high:.6g}"


def _alone(typical: TypicalObservations) -> TypicalObservations:
    """Copy the region of one fit, without those before it."""
    alone = copy(typical)
    vars(alone).pop("earlier", None)
    return alone


def _around(one: TypicalObservations, other: TypicalObservations) -> TypicalObservations:
    """Make the box around two regions, whatever the columns do together."""
    low = np.fmin(one.region.low, other.region.low)
    box = TypicalObservations(np.stack([low, np.fmax(one.region.high, other.region.high)]))
    box.farthest, box.margin = np.inf, max(one.margin, other.margin)
    return box


class _Region:
    """Range, mean and covariance of columns (n, L), after a robust scaling."""

    def __init__(self, columns: Array) -> None:
        self.low, self.high = columns.min(axis=0), columns.max(axis=0)
        self.views = RobustViews(logarithms=False).fit(columns)
        z = self._scaled(columns)
        self.lowest, self.highest, self.mean = z.min(axis=0), z.max(axis=0), z.mean(axis=0)
        self.root = _whitener(z - self.mean)

    def reach(self, low: Array, high: Array) -> None:
        """Widen the ranges, where all simulations reach further; columns without values stay."""
        self.low = np.fmin(self.low, low)
        self.high = np.fmax(self.high, high)
        ends = self._scaled(np.stack([self.low, self.high]))
        self.lowest, self.highest = np.fmin(self.lowest, ends[0]), np.fmax(self.highest, ends[1])

    def excess(self, columns: Array) -> tuple[Array, Array]:
        """Compute Mahalanobis distances (m,), and how far beyond its range a column is (m, L)."""
        missing = np.isnan(columns)
        columns = np.where(missing, self.low, columns)
        z = np.where(missing, self.mean, self._scaled(columns))
        width = self.highest - self.lowest
        outside = np.maximum(np.maximum(self.lowest - z, z - self.highest), 0.0)
        tolerance = 1e-6 * np.maximum(np.abs(self.low), 1.0)
        differs = np.abs(columns / 2 - self.low / 2) > tolerance / 2  # halves do not overflow
        varies = width > _NO_WIDTH
        beyond = np.where(varies, outside / np.where(varies, width, 1.0), differs)
        centered = z - self.mean
        with np.errstate(over="ignore", invalid="ignore"):  # where simulations hardly vary
            white = centered @ self.root if self.root.ndim == 2 else centered * self.root
            distance = np.nan_to_num(np.linalg.norm(white, axis=1), nan=np.inf)
        return distance, np.where(missing, 0.0, beyond)

    def _scaled(self, columns: Array) -> Array:
        """Scale columns robustly."""
        return self.views.transform(columns).astype(np.float64)


def _whitener(centered: Array) -> Array:
    """Compute the inverse root of the covariance, or of its diagonal."""
    if centered.shape[1] > _MOST_COLUMNS:
        variance = centered.var(axis=0)
        return 1 / np.sqrt(np.where(variance > 0, variance, 1.0))
    covariance = centered.T @ centered / len(centered)
    values, vectors = np.linalg.eigh(covariance)
    floor = max(_RIDGE * values[-1], np.finfo(float).tiny)
    return vectors / np.sqrt(np.maximum(values, floor))


def _columns(x: Floats) -> Array:
    """Put every element of an observation into a column."""
    return np.asarray(x, dtype=np.float64).reshape(len(x), -1)
