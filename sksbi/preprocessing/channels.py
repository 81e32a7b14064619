"""
One scale for an image or a series, or one for every channel.

The elements of an image or a series share a unit, and what they are beside each other tells: they
share one location and scale. Channels may have units of their own, so they are looked for along the
first and the last dimension of an observation: slices are channels where their medians or their
spreads differ by more than ten times the smallest spread among them. Then each has its own scale.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sksbi.preprocessing.views import RobustViews
from sksbi.utils.types import Floats

__all__ = ["ChannelViews"]

_MOST_CHANNELS = 64
_APART = 10.0


class ChannelViews:
    """
    Robust scaling that keeps the shape of observations of two or more dimensions.

    Parameters
    ----------
    x : ndarray of shape (n, ...)
        Some observations.

    Attributes
    ----------
    axis : int or None
        The dimension of x that channels lie along; None: all elements share one scale.
    """

    def __init__(self, x: Floats) -> None:
        candidates = [a for a in dict.fromkeys((1, x.ndim - 1)) if 1 < x.shape[a] <= _MOST_CHANNELS]
        apart = {a: _distance(np.moveaxis(x, a, -1)) for a in candidates}
        best = max(apart, key=apart.__getitem__, default=None)
        self.axis = best if best is not None and apart[best] > _APART else None
        self.views = RobustViews(logarithms=False).fit(self._columns(x))

    def transform(self, x: Floats) -> NDArray[np.float32]:
        """
        Scale observations.

        Parameters
        ----------
        x : ndarray of shape (m, ...)
            The observations.

        Returns
        -------
        ndarray of shape (m, ...), float32
            The scaled observations.
        """
        scaled = self.views.transform(self._columns(x))
        if self.axis is None:
            return scaled.reshape(x.shape)
        shape = np.moveaxis(x, self.axis, -1).shape
        return np.ascontiguousarray(np.moveaxis(scaled.reshape(shape), -1, self.axis))

    def _columns(self, x: Floats) -> Floats:
        """Put every channel, or all elements, into a column."""
        if self.axis is None:
            return x.reshape(-1, 1)
        return np.moveaxis(x, self.axis, -1).reshape(-1, x.shape[self.axis])


def _distance(x: Floats) -> float:
    """Measure how far apart slices along the last dimension are, in their smallest spread."""
    columns = x.reshape(-1, x.shape[-1])
    low, middle, high = np.quantile(columns, [0.25, 0.5, 0.75], axis=0)
    spread = np.where(high > low, high - low, columns.std(axis=0))
    if not (spread > 0).any():
        return 0.0
    smallest = spread[spread > 0].min()
    return float(max(np.ptp(middle), spread.max()) / smallest)
