"""
A univariate distribution restricted to an interval (a, b), in scipy's spelling.

With F the distribution function before, and m(x, y) the mass between two points,

    cdf(x) = m(a, x) / m(a, b),    sf(x) = m(x, b) / m(a, b),    log p(x) - log m(a, b).

m(x, y) is F(y) - F(x) or the difference of 1 - F, whichever has the smaller terms: so an interval
far out in a tail keeps its digits. Next to a cut the terms are nearly equal and their difference
has few digits left. There the density hardly changes, and two points of Gauss and Legendre
integrate it to rounding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sksbi.priors.quantile import Univariate
from sksbi.priors.tails import with_both_tails
from sksbi.utils.types import Array

__all__ = ["Interval"]

_NEAR = 1e-5
_NODES = (1 + np.array([-1, 1])[:, None] / np.sqrt(3)) / 2
_SMALLEST = np.finfo(np.float64).tiny
_ROUNDING = 16 * np.finfo(np.float64).eps


class Interval:
    """
    A distribution on an interval inside its support.

    Parameters
    ----------
    distribution : Univariate
        A frozen continuous distribution of scipy; or an `Interval`, of whose distribution a smaller
        one is made.
    low, high : float
        The interval.
    label : str
        What the distribution is called in messages.

    Raises
    ------
    ValueError
        If the interval's mass is zero, or too small for a float.
    """

    def __init__(self, distribution: Univariate, low: float, high: float, label: str) -> None:
        whole = distribution.distribution if isinstance(distribution, Interval) else distribution
        self.distribution: Univariate = whole
        self.low, self.high = float(low), float(high)
        self._whole = with_both_tails(whole)
        self._is_even = False
        with np.errstate(all="ignore"):
            self._is_even = all([self._is_even_at(1.0), self._is_even_at(-1.0)])
            self._mass = float(self._between(self.low, self.high))
        if not self._mass >= _SMALLEST:
            raise ValueError(
                f"low and high must hold a mass of {label} of at least {_SMALLEST:.0e}, got "
                f"({self.low}, {self.high}) with {self._mass}: widen the interval."
            )

    def support(self) -> tuple[float, float]:
        """
        Give the interval.

        Returns
        -------
        tuple of float
            Its ends.
        """
        return self.low, self.high

    def cdf(self, x: ArrayLike) -> Array:
        """Evaluate F."""
        return self._between(self.low, np.clip(x, self.low, self.high)) / self._mass

    def sf(self, x: ArrayLike) -> Array:
        """Evaluate 1 - F."""
        return self._between(np.clip(x, self.low, self.high), self.high) / self._mass

    def ppf(self, q: ArrayLike) -> Array:
        """Invert F."""
        return self._inside_by(1.0, np.asarray(q) * self._mass)

    def isf(self, q: ArrayLike) -> Array:
        """Invert 1 - F."""
        return self._inside_by(-1.0, np.asarray(q) * self._mass)

    def logpdf(self, x: ArrayLike) -> Array:
        """Evaluate the log density, at points inside."""
        return self._whole.logpdf(x) - np.log(self._mass)

    def rvs(self, size: int, random_state: np.random.Generator) -> Array:
        """
        Draw by the inverse, each half from its own end.

        Parameters
        ----------
        size : int
            The number of draws.
        random_state : numpy.random.Generator
            The source of randomness.

        Returns
        -------
        ndarray of shape (size,)
            The draws.
        """
        u = random_state.random(size)
        with np.errstate(all="ignore"):
            return np.where(u < 0.5, self.ppf(u), self.isf(1 - u))

    def _between(self, x: ArrayLike, y: ArrayLike) -> Array:
        """Evaluate the mass between two points, x <= y."""
        lower, upper = self._whole.cdf(y), self._whole.sf(x)
        from_low, from_high = lower - self._whole.cdf(x), upper - self._whole.sf(y)
        mass = np.maximum(np.where(lower < upper, from_low, from_high), 0.0)
        near = (mass < _NEAR * np.minimum(lower, upper)) & self._is_even
        if near.any():
            x, y = np.broadcast_arrays(x, y)
            mass = np.array(mass)
            mass[near] = self._integral(x[near], y[near])
        return mass

    def _integral(self, x: Array, y: Array) -> Array:
        """Integrate the density over a short way."""
        return np.exp(self._whole.logpdf(x + _NODES * (y - x))).mean(axis=0) * (y - x)

    def _inside_by(self, sign: float, mass: Array) -> Array:
        """Find what a mass separates from the lower end (sign 1), or from the upper (sign -1)."""
        end = self.low if sign > 0 else self.high
        lower = np.clip(self._whole.cdf(end) + sign * mass, 0.0, 1.0)
        upper = np.clip(self._whole.sf(end) - sign * mass, 0.0, 1.0)
        x = np.where(lower < upper, self._whole.ppf(lower), self._whole.isf(upper))
        near = (mass < _NEAR * np.minimum(lower, upper)) & self._is_even
        if near.any():
            x[near] = self._near_by(end, sign, mass[near])
        return np.clip(x, self.low, self.high)

    def _near_by(self, end: float, sign: float, mass: Array) -> Array:
        """Solve by Newton for the point so close to an end that the density hardly changes."""
        width = mass / np.exp(self._whole.logpdf(end))
        for _ in range(2):
            x = end + sign * width
            excess = self._integral(np.minimum(x, end), np.maximum(x, end)) - mass
            width = width - excess / np.exp(self._whole.logpdf(x))
        return end + sign * width

    def _is_even_at(self, sign: float) -> bool:
        """Find out whether the density next to an end, if cut, is almost constant and F's slope."""
        end = self.low if sign > 0 else self.high
        whole = min(self._whole.cdf(end), self._whole.sf(end))
        if _NEAR * whole < _SMALLEST:
            return True
        x = self._inside_by(sign, np.array([2 * _NEAR * whole]))
        ends = np.minimum(x, end), np.maximum(x, end)
        points = np.concatenate([x, ends[0] + _NODES[:, 0] * (ends[1] - ends[0]), [end]])
        density = np.exp(self._whole.logpdf(points))
        direct = self._between(*ends)
        excess = abs(self._integral(*ends) - direct) - 1e-6 * direct - _ROUNDING * whole
        return bool(np.ptp(density) < 0.01 * density.min() and excess < 0)
