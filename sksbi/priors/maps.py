"""
Maps between a box and R^D, with the logarithm of their Jacobian determinant.

By the support alone, coordinate by coordinate: identity on (-inf, inf), z = log(theta - low) on
(low, inf), z = -log(high - theta) on (-inf, high), and the logit on (low, high); all increase.
Where a coordinate has a distribution of its own, `sksbi.priors.quantile` knows a better map, and
`StackedMap` puts such maps side by side.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from sksbi.utils.types import Array

__all__ = ["BoxMap", "CoordinateMap", "StackedMap", "UnboundedMap"]


class CoordinateMap(Protocol):
    """An increasing map of one coordinate to the real line; arrays of shape (n,) in and out."""

    low: float
    high: float

    def to_unbounded(self, theta: Array) -> Array:
        """Map theta to z."""

    def from_unbounded(self, z: Array) -> Array:
        """Map z to theta."""

    def log_derivative(self, theta: Array, z: Array) -> Array:
        """Evaluate log dz/dtheta."""


class UnboundedMap(ABC):
    """
    A map from a box to R^D.

    Parameters
    ----------
    low, high : array-like of shape (D,)
        The bounds of the box, possibly infinite.
    """

    def __init__(self, low: ArrayLike, high: ArrayLike) -> None:
        self.low = np.array(low, dtype=np.float64)
        self.high = np.array(high, dtype=np.float64)

    @abstractmethod
    def to_unbounded(self, theta: Array) -> Array:
        """Map theta (n, D), strictly inside the box, to z (n, D)."""

    @abstractmethod
    def from_unbounded(self, z: Array) -> Array:
        """Map z (n, D) to theta (n, D), possibly rounded onto a bound."""

    @abstractmethod
    def log_abs_det_jacobian(self, theta: Array, z: Array) -> Array:
        """Evaluate log |dz / dtheta|, shape (n,)."""

    def take(self, columns: Sequence[int]) -> UnboundedMap | None:
        """Give the map of some coordinates; None where the map is not one for each of them."""
        return None


class StackedMap(UnboundedMap):
    """
    One map for each coordinate.

    Parameters
    ----------
    coordinates : sequence of CoordinateMap
        The D maps.
    """

    def __init__(self, coordinates: Sequence[CoordinateMap]) -> None:
        super().__init__([c.low for c in coordinates], [c.high for c in coordinates])
        self.coordinates = list(coordinates)

    def to_unbounded(self, theta: Array) -> Array:
        """Map theta (n, D) to z (n, D)."""
        columns = zip(self.coordinates, theta.T, strict=True)
        return np.column_stack([c.to_unbounded(t) for c, t in columns])

    def from_unbounded(self, z: Array) -> Array:
        """Map z (n, D) to theta (n, D)."""
        columns = zip(self.coordinates, z.T, strict=True)
        return np.column_stack([c.from_unbounded(t) for c, t in columns])

    def log_abs_det_jacobian(self, theta: Array, z: Array) -> Array:
        """Evaluate log |dz / dtheta|, shape (n,)."""
        columns = zip(self.coordinates, theta.T, z.T, strict=True)
        return np.sum([c.log_derivative(t, u) for c, t, u in columns], axis=0)

    def take(self, columns: Sequence[int]) -> StackedMap:
        """Give the map of some coordinates."""
        return StackedMap([self.coordinates[i] for i in columns])


class BoxMap(UnboundedMap):
    """
    Identity, logarithm or logit, chosen for each coordinate by its bounds.

    Parameters
    ----------
    low, high : array-like of shape (D,)
        The bounds of the box, possibly infinite.

    Examples
    --------
    >>> from sksbi.priors.maps import BoxMap
    >>> BoxMap([0.0, 0.0], [1.0, float("inf")]).to_unbounded([[0.5, 1.0]])
    array([[0., 0.]])
    """

    def __init__(self, low: ArrayLike, high: ArrayLike) -> None:
        super().__init__(low, high)
        self._low_only = np.isfinite(self.low) & ~np.isfinite(self.high)
        self._high_only = ~np.isfinite(self.low) & np.isfinite(self.high)
        self._both = np.isfinite(self.low) & np.isfinite(self.high)

    def to_unbounded(self, theta: Array) -> Array:
        """Map theta (n, D) to z (n, D)."""
        theta = np.asarray(theta, dtype=np.float64)
        from_low, from_high = np.log(theta - self.low), -np.log(self.high - theta)
        kinds = [self._low_only, self._high_only, self._both]
        return np.select(kinds, [from_low, from_high, from_low + from_high], theta)

    def from_unbounded(self, z: Array) -> Array:
        """Map z (n, D) to theta (n, D)."""
        z = np.asarray(z, dtype=np.float64)
        width = self.high - self.low
        # The nearer bound is the one to count from: 1 - expit(-z) would lose the upper tail.
        logit = np.where(z < 0, self.low + width * expit(z), self.high - width * expit(-z))
        kinds = [self._low_only, self._high_only, self._both]
        return np.select(kinds, [self.low + np.exp(z), self.high - np.exp(-z), logit], z)

    def log_abs_det_jacobian(self, theta: Array, z: Array) -> Array:
        """Evaluate log |dz / dtheta|, shape (n,)."""
        from_low, from_high = -np.log(theta - self.low), -np.log(self.high - theta)
        logit = np.log(self.high - self.low) + from_low + from_high
        kinds = [self._low_only, self._high_only, self._both]
        return np.select(kinds, [from_low, from_high, logit], 0.0).sum(axis=1)

    def take(self, columns: Sequence[int]) -> BoxMap:
        """Give the map of some coordinates."""
        columns = list(columns)
        return BoxMap(self.low[columns], self.high[columns])
