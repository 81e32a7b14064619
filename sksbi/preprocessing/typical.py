"""
The region that simulations fill, so that an observation far outside it is noticed.

A network extrapolates silently: at an x that is unlike all it was trained on, its posterior means
nothing. Two things are kept of the simulations, after a robust scaling that bends the tails: the
range of every column, and mean and covariance. An observation is far outside if a column is more
than half of its range beyond it, or if its Mahalanobis distance is more than 1.5 times the
largest one of all simulations. One more simulation of n is the farthest of all with probability
1/(n + 1), and that much farther far more rarely, so this is no test, but an alarm that hardly ever
rings without a fire.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sksbi.preprocessing.views import RobustViews

__all__ = ["TypicalObservations"]

Array = NDArray[np.float64]

_MARGIN = 0.5
_FARTHER = 1.5
_MOST_COLUMNS = 100
_RIDGE = 1e-6
_NO_WIDTH = 1e-9
_MOST_ROWS, _FEWEST_ROWS, _MOST_NUMBERS = 100_000, 1_000, 20_000_000


class TypicalObservations:
    """
    Range, mean and covariance of what was simulated.

    Parameters
    ----------
    x : ndarray of shape (n, ...)
        The simulations; NaN where there is none. Of very many only some are looked at. More than
        100 columns have no covariance, just variances.
    """

    def __init__(self, x: Array) -> None:
        columns = _columns(_some(x))
        missing = np.isnan(columns)
        centers = np.nan_to_num(np.nanmedian(columns, axis=0)) if missing.any() else 0.0
        filled = np.where(missing, centers, columns)
        self.low, self.high = filled.min(axis=0), filled.max(axis=0)
        self.views = RobustViews(logarithms=False).fit(filled)
        z = self._scaled(filled)
        self.lowest, self.highest = z.min(axis=0), z.max(axis=0)
        self.mean = z.mean(axis=0)
        self.root = self._whitener(z - self.mean)
        self.farthest = float(self._distances(z).max())

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
            Mahalanobis distances as multiples of the largest among the simulations.
        beyond : ndarray of shape (m, L)
            How far every column is beyond its range, in units of the range: 0 inside; of a column
            that was constant, inf unless it has that value.
        """
        columns = _columns(x)
        missing = np.isnan(columns)
        z = self._scaled(np.where(missing, self.low, columns))
        width = np.where(self.highest - self.lowest > _NO_WIDTH, self.highest - self.lowest, 0.0)
        outside = np.maximum(np.maximum(self.lowest - z, z - self.highest), 0.0)
        tolerance = 1e-6 * np.maximum(np.abs(self.low), 1.0)
        differs = (np.abs(columns - self.low) > tolerance) & (width == 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            beyond = np.where(width > 0, outside / width, np.where(differs, np.inf, 0.0))
        distance = self._distances(np.where(missing, self.mean, z))
        ratio = distance / self.farthest if self.farthest > 0 else np.zeros(len(z))
        return ratio, np.where(missing, 0.0, beyond)

    def are_far(self, x: Array) -> NDArray[np.bool_]:
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
        return (distance > _FARTHER) | (beyond > _MARGIN).any(axis=1)

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
        if beyond[0, column] <= _MARGIN:
            return (
                f"its features together are {distance[0]:.3g} times as far from the mean as those "
                "of the farthest simulation"
            )
        name = repr(names[column]) if names is not None else _name(column, x.shape[1:])
        value, low, high = _columns(x)[0, column], self.low[column], self.high[column]
        return f"{name} is {value:.6g}, simulated from {low:.6g} to {high:.6g}"

    def _scaled(self, columns: Array) -> Array:
        """Scale columns robustly."""
        return self.views.transform(columns).astype(np.float64)

    def _whitener(self, centered: Array) -> Array:
        """Compute the inverse root of the covariance, or of its diagonal."""
        if centered.shape[1] > _MOST_COLUMNS:
            variance = centered.var(axis=0)
            return 1 / np.sqrt(np.where(variance > 0, variance, 1.0))
        covariance = centered.T @ centered / len(centered)
        values, vectors = np.linalg.eigh(covariance)
        floor = max(_RIDGE * values[-1], np.finfo(float).tiny)
        return vectors / np.sqrt(np.maximum(values, floor))

    def _distances(self, z: Array) -> Array:
        """Compute Mahalanobis distances."""
        centered = z - self.mean
        white = centered @ self.root if self.root.ndim == 2 else centered * self.root
        return np.linalg.norm(white, axis=1)


def _some(x: Array) -> Array:
    """Take rows at even distances, so many that it stays quick."""
    n_columns = max(1, x[:1].size)
    most = min(_MOST_ROWS, max(_FEWEST_ROWS, _MOST_NUMBERS // n_columns))
    return x[:: -(-len(x) // most)]


def _name(column: int, shape: tuple[int, ...]) -> str:
    """Name an element of an observation by its place."""
    place = np.unravel_index(column, shape) if len(shape) > 1 else (column,)
    return "x" if not shape else f"x[{', '.join(str(int(i)) for i in place)}]"


def _columns(x: Array) -> Array:
    """Put every element of an observation into a column."""
    return np.asarray(x, dtype=np.float64).reshape(len(x), -1)
