"""
How regular observations are, so that one that is too regular to come from the simulator is noticed.

A sensor that is stuck gives the same value again and again, and data that someone has smoothed lie
on a line. Each of their columns is ordinary, and so are mean and covariance. What is not are the
scatter of the columns of a row and of the differences between neighbours, first and second, along
the last axis: their standard deviations, as logarithms, are held against those of the simulations.
Whatever the columns mean, these are three statistics like others, and an observation is told as by
the columns themselves: far outside, or at the edge (:mod:`sksbi.preprocessing.typical`,
:mod:`sksbi.preprocessing.edges`). As the smaller of two or three numbers may be very small, far is
nine tenths of the range outside of it. Rows with gaps have no such statistics.
"""

from __future__ import annotations

from copy import copy

import numpy as np

from sksbi.preprocessing.edges import Edges
from sksbi.preprocessing.typical import TypicalObservations
from sksbi.utils.batches import batches
from sksbi.utils.types import Array, Mask

__all__ = ["Regularity"]

_FEWEST_ROWS, _FEWEST_COLUMNS = 200, 4
_FLOOR, _MARGIN = 1e-9, 0.9
_VALUES = 1_000_000  # at a time
_WHAT = (
    "the standard deviation of its columns",
    "that of the differences between neighbouring columns",
    "that of the second differences",
)


class Regularity:
    """
    The range of the scatter of rows and of their differences.

    Parameters
    ----------
    x : ndarray of shape (n, ..., L)
        The simulations, of four columns or more, and 200 rows without gaps.
    """

    def __init__(self, x: Array) -> None:
        scatter = _scatter(x)
        scatter = scatter[np.isfinite(scatter).all(axis=1)]
        varies = (scatter > 0).any(axis=0)
        middle = np.ones(len(_WHAT))
        for j in np.flatnonzero(varies):
            middle[j] = np.median(scatter[scatter[:, j] > 0, j])
        self.floor = _FLOOR * middle
        self.typical = TypicalObservations(self._logarithms(scatter))
        self.edges = Edges(self._logarithms(scatter))

    @staticmethod
    def takes(x: Array) -> bool:
        """Tell whether x has columns enough, and rows enough without gaps."""
        if x.ndim < 2 or x.shape[-1] < _FEWEST_COLUMNS:
            return False
        gaps = np.isnan(x).any(axis=tuple(range(1, x.ndim)))
        return bool(np.count_nonzero(~gaps) >= _FEWEST_ROWS)

    def stretched(self, x: Array) -> Regularity:
        """
        Take in more simulations of the same kind.

        Parameters
        ----------
        x : ndarray of shape (n, ..., L)
            The simulations.

        Returns
        -------
        Regularity
            That of all.
        """
        made, logs = copy(self), self._logarithms(_scatter(x))
        logs = logs[np.isfinite(logs).all(axis=1)]
        if not len(logs):
            return made
        made.typical, made.edges = self.typical.stretched(logs), self.edges.joined(Edges(logs))
        return made

    def are_far(self, x: Array) -> Mask:
        """
        Tell which observations are far more or less regular than the simulations.

        Parameters
        ----------
        x : ndarray of shape (m, ..., L)
            The observations.

        Returns
        -------
        ndarray of bool, of shape (m,)
            Whether they are.
        """
        logs = self._logarithms(_scatter(x))
        _, beyond = self.typical.excess(logs)
        far: Mask = np.any(beyond > max(_MARGIN, self.typical.margin), axis=1)
        return far

    def at_the_edge(self, x: Array) -> int | None:
        """
        Find an observation with hardly any simulation beyond it.

        Parameters
        ----------
        x : ndarray of shape (m, ..., L)
            The observations.

        Returns
        -------
        int or None
            Its row, if there is one.
        """
        found = self.edges.find(self._logarithms(_scatter(x)))
        return None if found is None else found[0]

    def describe(self, x: Array) -> str:
        """
        Say what is most unusual about an observation.

        Parameters
        ----------
        x : ndarray of shape (1, ..., L)
            The observation.

        Returns
        -------
        str
            A clause, such as "that of the second differences is 0, simulated from 0.1 to 3".
        """
        scatter = _scatter(x)
        logs = self._logarithms(scatter)
        _, beyond = self.typical.excess(logs)
        found = self.edges.find(logs)
        j = int(np.argmax(beyond[0])) if beyond.any() or found is None else found[1]
        region = self.typical.region
        low, high = np.exp(region.low[j]), np.exp(region.high[j])
        low = 0.0 if low <= 2 * self.floor[j] else low
        return f"{_WHAT[j]} is {scatter[0, j]:.3g}, simulated from {low:.3g} to {high:.3g}"

    def _logarithms(self, scatter: Array) -> Array:
        """Take logarithms, of what is zero that of a value far below all others."""
        return np.log(np.maximum(scatter, self.floor))


def _scatter(x: Array) -> Array:
    """Compute the standard deviations of rows and of their differences (m, 3); NaN with gaps."""
    scatter = np.empty((len(x), len(_WHAT)))
    axes = tuple(range(1, x.ndim))
    for part in batches(len(x), max(1, _VALUES // max(1, x[:1].size))):
        rows = np.asarray(x[part], dtype=np.float64)
        for order in range(len(_WHAT)):
            scatter[part, order] = np.diff(rows, order, axis=-1).std(axis=axes)
    return scatter
