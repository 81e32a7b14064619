"""
Maps of one coordinate through its own distribution.

With F the distribution function of theta and Phi that of the standard normal,
z = Phi^-1(F(theta)) is standard normal under the prior, whatever the prior, and

    log dz/dtheta = log p(theta) - log phi(z).

Each tail is computed from its own end, the lower by F and F^-1, the upper by 1 - F and its inverse,
so both keep their relative accuracy. z ends at +-37, where Phi leaves the range of double
precision, or nearer where scipy's F stops inverting itself. For the normal and the lognormal the
map is affine in theta or log theta: exact, and without an end.
"""

from __future__ import annotations

import warnings
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from sksbi.utils.types import Array

__all__ = ["AffineMap", "LogAffineMap", "QuantileMap", "Univariate", "first_finite"]

_Z_END = 37.0
_LOG_SQRT_2PI = 0.5 * np.log(2.0 * np.pi)


class Univariate(Protocol):
    """A univariate continuous distribution in scipy's classical spelling."""

    def cdf(self, x: ArrayLike) -> Array:
        """Evaluate F."""

    def sf(self, x: ArrayLike) -> Array:
        """Evaluate 1 - F."""

    def ppf(self, q: ArrayLike) -> Array:
        """Invert F."""

    def isf(self, q: ArrayLike) -> Array:
        """Invert 1 - F."""

    def logpdf(self, x: ArrayLike) -> Array:
        """Evaluate the log density."""


def first_finite(distribution: Univariate, bound: float, inside: float) -> float:
    """
    Find where, next to a bound, the log density becomes a finite number.

    That is the nearest float, unless the distribution rounds it onto the bound, as scipy's shift
    and scale do, where the density may be infinite.

    Parameters
    ----------
    distribution : Univariate
        The distribution.
    bound : float
        One end of its support.
    inside : float
        The nearest float inside.

    Returns
    -------
    float
        The point; ``inside`` if none within a billionth of the interquartile range does better.
    """
    if np.isinf(bound) or np.isfinite(distribution.logpdf(inside)):
        return inside
    first, third = distribution.ppf(np.array([0.25, 0.75]))
    steps = np.spacing(abs(bound)) * 2.0 ** np.arange(1022)
    steps = steps[steps <= 1e-9 * (third - first)]
    points = np.append(inside, bound + np.sign(inside - bound) * steps)
    return float(points[np.isfinite(distribution.logpdf(points)).argmax()])


class QuantileMap:
    """
    The quantile map of one distribution.

    Parameters
    ----------
    distribution : Univariate
        The distribution.
    low, high : float
        Its support.
    first, last : float
        The outermost points at which it is evaluated.
    """

    def __init__(
        self, distribution: Univariate, low: float, high: float, first: float, last: float
    ) -> None:
        self.distribution = distribution
        self.low, self.high = low, high
        self._inside = first, last
        self._ends = -self._end(-1.0), self._end(1.0)

    def to_unbounded(self, theta: Array) -> Array:
        """Map theta to z."""
        return np.clip(self._score(theta), *self._ends)

    def from_unbounded(self, z: Array) -> Array:
        """Map z to theta."""
        return np.clip(self._quantile(np.clip(z, *self._ends)), *self._inside)

    def log_derivative(self, theta: Array, z: Array) -> Array:
        """Evaluate log dz/dtheta."""
        return self.distribution.logpdf(theta) + 0.5 * z**2 + _LOG_SQRT_2PI

    def _score(self, theta: Array) -> Array:
        """Evaluate Phi^-1(F(theta)), each tail from its own end."""
        lower, upper = self.distribution.cdf(theta), self.distribution.sf(theta)
        z = np.where(lower < upper, ndtri(lower), -ndtri(upper))
        # Some distribution functions give NaN within a rounding error of the upper bound.
        return np.where(np.isnan(z), np.inf, z)

    def _quantile(self, z: Array) -> Array:
        """Evaluate F^-1(Phi(z)), each tail from its own end."""
        theta = np.empty_like(z)
        lower = z < 0
        theta[lower] = self.distribution.ppf(ndtr(z[lower]))
        theta[~lower] = self.distribution.isf(ndtr(-z[~lower]))
        return theta

    def _watched_quantile(self, z: Array) -> tuple[Array, bool]:
        """Evaluate the quantile, and say whether scipy did so without a warning."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            return self._quantile(z), not caught

    def _end(self, sign: float) -> float:
        """Walk outwards, up to 37, while the distribution inverts itself with a finite density."""
        z = sign * np.arange(0.5, _Z_END + 0.5, 0.5)
        theta, is_quiet = self._watched_quantile(z)
        quiet = is_quiet or np.array([self._watched_quantile(one)[1] for one in z[:, None]])
        theta = np.clip(theta, *self._inside)
        bound, inside = (self.low, self._inside[0]) if sign < 0 else (self.high, self._inside[1])
        at_bound = (theta == inside) & np.isfinite(bound)
        inverts = np.abs(self._score(theta) - z) < 0.1
        sound = quiet & (at_bound | inverts) & np.isfinite(self.distribution.logpdf(theta))
        return float(abs(z[-1 if sound.all() else max(sound.argmin() - 1, 0)]))


class AffineMap:
    """
    The quantile map of the normal distribution, z = (theta - loc) / scale.

    Parameters
    ----------
    loc, scale : float
        Mean and standard deviation.
    """

    def __init__(self, loc: float, scale: float) -> None:
        self.loc, self.scale = loc, scale
        self.low, self.high = -np.inf, np.inf

    def to_unbounded(self, theta: Array) -> Array:
        """Map theta to z."""
        return (theta - self.loc) / self.scale

    def from_unbounded(self, z: Array) -> Array:
        """Map z to theta."""
        return self.loc + self.scale * z

    def log_derivative(self, theta: Array, z: Array) -> Array:
        """Evaluate log dz/dtheta."""
        return np.full_like(theta, -np.log(self.scale))


class LogAffineMap:
    """
    The quantile map of the lognormal distribution, z = (log(theta - loc) - log scale) / s.

    Parameters
    ----------
    s, loc, scale : float
        scipy's parameters: the standard deviation of the logarithm, the lower bound, the median
        above it.
    """

    def __init__(self, s: float, loc: float, scale: float) -> None:
        self.s, self.low, self.high = s, loc, np.inf
        self._log_scale = np.log(scale)

    def to_unbounded(self, theta: Array) -> Array:
        """Map theta to z."""
        return (np.log(theta - self.low) - self._log_scale) / self.s

    def from_unbounded(self, z: Array) -> Array:
        """Map z to theta."""
        return self.low + np.exp(self._log_scale + self.s * z)

    def log_derivative(self, theta: Array, z: Array) -> Array:
        """Evaluate log dz/dtheta."""
        return -np.log(self.s) - np.log(theta - self.low)
