"""
Panels for a distribution function: its score, and the inverse of that, from a density alone.

With theta = T(s), T a map of the line onto the support, the density of s is integrated once, panel
by panel, from either end: so each tail keeps its digits, whatever scipy's 1 - F loses. What is kept
is the score z(s) = Phi^-1(F(T(s))), a polynomial on every panel. Panels are halved until the last
coefficients of the density and of z say that both are resolved, to about 1e-10 in z. The inverse is
that of the polynomials, by Newton's method, so that the two undo each other to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev, legendre
from scipy import stats
from scipy.special import expit, log_expit, ndtri

from sksbi.utils.types import Array, Rows

__all__ = ["TRUE", "Table", "build"]

_ORDER = 12
_NODES, _WEIGHTS = legendre.leggauss(_ORDER)
# From values at the nodes: coefficients of Legendre, integrals from -1, coefficients of Chebyshev.
_TO_LEGENDRE = np.linalg.inv(legendre.legvander(_NODES, _ORDER - 1))
_INTEGRALS = np.array(
    [legendre.legval(_NODES, legendre.legint(row, lbnd=-1)) for row in np.eye(_ORDER)]
).T
_POINTS = np.concatenate([[-1.0], _NODES, [1.0]])
_TO_CHEBYSHEV = np.linalg.inv(chebyshev.chebvander(_POINTS, _ORDER + 1))
_CHEBYSHEV = np.cos(np.pi * (np.arange(_ORDER) + 0.5) / _ORDER)
_FROM_CHEBYSHEV = np.linalg.inv(chebyshev.chebvander(_CHEBYSHEV, _ORDER - 1))
_RESOLVED, _FINE, _MOST_PANELS, _MOST_ROUNDS = 1e-11, 1e-10, 4_000, 45
_LEAST, _LARGEST_Z, TRUE = 1e-305, 37.5, 1e-7
_FAR_OUT, _SHORT, _TOLERATED, _NEAR_END = 36.0, 1e-2, 1e3, 4.0
_MOST_STEPS, _STEP, _LOWEST, _FEWEST = 60, 1e-10, 500.0, 4
# scipy's stable densities are flat next to where it changes its formula.
_SMOOTH, _MOST_HALVINGS = 1e-7, 4
_GRID = np.concatenate([np.linspace(0, 8, 17), 8 * 1.25 ** np.arange(1, 21)])
_KNOTS = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16])


class _Line:
    """The map of the line onto a support, increasing."""

    def __init__(self, dist: stats.rv_continuous, shapes: tuple[float, ...]) -> None:
        self.low, self.high = (float(bound) for bound in dist.support(*shapes))
        self._kind = np.isfinite(self.low), np.isfinite(self.high)
        self.inside = np.nextafter(self.low, np.inf), np.nextafter(self.high, -np.inf)
        first, self._center, third = dist.ppf(np.array([0.25, 0.5, 0.75]), *shapes)
        self._width = {
            (True, False): self._center - self.low,
            (False, True): self.high - self._center,
            (False, False): (third - first) / 2,
            (True, True): self.high - self.low,
        }[self._kind]

    @property
    def is_sound(self) -> bool:
        """Whether scipy gave a center and a width."""
        return bool(np.isfinite(self._width) and self._width > 0 and np.isfinite(self._center))

    def to_support(self, s: Array) -> tuple[Array, Array]:
        """Give y and log dy/ds."""
        w = self._width
        if self._kind == (True, True):
            y = np.where(s < 0, self.low + w * expit(s), self.high - w * expit(-s))
            slope = log_expit(s) + log_expit(-s)
        elif self._kind == (False, False):
            y, slope = self._center + w * np.sinh(s), np.logaddexp(s, -s) - np.log(2)
        elif self._kind == (True, False):
            y, slope = self.low + w * np.exp(s), s
        else:
            y, slope = self.high - w * np.exp(-s), -s
        return np.clip(y, *self.inside), slope + np.log(w)

    def to_line(self, y: Array) -> Array:
        """Give s."""
        w = self._width
        if self._kind == (True, True):
            return np.log((y - self.low) / w) - np.log((self.high - y) / w)
        if self._kind == (False, False):
            return np.arcsinh((y - self._center) / w)
        if self._kind == (True, False):
            return np.log((y - self.low) / w)
        return -np.log((self.high - y) / w)


def build(
    dist: stats.rv_continuous, shapes: tuple[float, ...], *, interpolates: bool
) -> Table | None:
    """
    Halve panels until all are resolved.

    Parameters
    ----------
    dist : scipy.stats distribution
        The distribution, not frozen.
    shapes : tuple of float
        Its shapes.
    interpolates : bool
        Whether the log density is interpolated first.

    Returns
    -------
    Table or None
        The table; None where the density is too rough, or does not integrate to 1.
    """
    line = _Line(dist, shapes)
    if not line.is_sound:
        return None

    def log_density(s: Array) -> Array:
        """Evaluate log p(s)."""
        y, log_slope = line.to_support(s)
        return dist.logpdf(y, *shapes) + log_slope

    source = _Interpolated(log_density) if interpolates else log_density
    if isinstance(source, _Interpolated) and not source.is_sound:
        return None

    def density(s: Array) -> Array:
        """Evaluate p(s), 0 where scipy fails."""
        values = np.exp(source(s))
        return np.where(np.isfinite(values), values, 0.0)

    ends = np.concatenate([-_GRID[:0:-1], _GRID])
    low, high = ends[:-1], ends[1:]
    values = density(_at_nodes(low, high))
    for _ in range(_MOST_ROUNDS):
        table = Table(line, low, high, values)
        rough = np.flatnonzero(table.error > 1)
        if not len(rough) or len(low) + len(rough) > _MOST_PANELS:
            break
        low, high, values = _halved(density, low, high, values, rough)
    table.source = source
    return table.usable() if abs(table.total - 1) < TRUE else None


class _Interpolated:
    """A smooth function on panels of the line, by polynomials, and straight lines beyond."""

    def __init__(self, function: Callable[[Array], Array]) -> None:
        ends = np.concatenate([-_KNOTS[:0:-1], _KNOTS])
        fine = function(ends) > -_LOWEST
        middle = len(_KNOTS) - 1
        bad = np.flatnonzero(~fine)
        first = max([0, *(bad[bad < middle] + 1)])
        self._ends = ends[first : min([len(ends), *bad[bad > middle]])]
        values = function(self._points())
        for number in range(_MOST_HALVINGS):
            self._coefficients = values @ _FROM_CHEBYSHEV.T
            error = abs(self._coefficients[:, -2:]).sum(axis=1)
            rough = np.flatnonzero(error > _SMOOTH)
            if not len(rough) or number == _MOST_HALVINGS - 1:
                break
            middle = (self._ends[rough] + self._ends[rough + 1]) / 2
            kept = np.setdiff1d(np.arange(len(values)), rough)
            lows = self._ends[:-1]
            self._ends = np.sort(np.append(self._ends, middle))
            again = np.searchsorted(self._ends, np.concatenate([lows[rough], middle]))
            new = np.empty((len(self._ends) - 1, _ORDER))
            new[np.searchsorted(self._ends, lows[kept])] = values[kept]
            new[again] = function(self._points()[again])
            values = new
        self.is_sound = bool(len(values) >= _FEWEST and np.all(error < 1_000 * _SMOOTH))

    def _points(self) -> Array:
        """Place the points in every panel."""
        half, center = np.diff(self._ends) / 2, (self._ends[1:] + self._ends[:-1]) / 2
        return center[:, None] + half[:, None] * _CHEBYSHEV

    def __call__(self, s: Array) -> Array:
        """Evaluate."""
        low, high = self._ends[:-1], self._ends[1:]
        row = np.clip(np.searchsorted(self._ends, s, side="right") - 1, 0, len(low) - 1)
        u = (2 * s - low[row] - high[row]) / (high[row] - low[row])
        inner, coefficients = np.clip(u, -1, 1), self._coefficients.T
        value = chebyshev.chebval(inner, coefficients[:, row], tensor=False)
        slope = chebyshev.chebval(inner, chebyshev.chebder(coefficients)[:, row], tensor=False)
        return value + slope * (u - inner)


def _at_nodes(low: Array, high: Array) -> Array:
    """Place the nodes in every panel."""
    return (low + high)[:, None] / 2 + (high - low)[:, None] / 2 * _NODES


def _halved(
    density: Callable[[Array], Array], low: Array, high: Array, values: Array, rough: Rows
) -> tuple[Array, Array, Array]:
    """Replace some panels by their halves."""
    middle = (low[rough] + high[rough]) / 2
    lows, highs = np.concatenate([low[rough], middle]), np.concatenate([middle, high[rough]])
    kept = np.setdiff1d(np.arange(len(low)), rough)
    low, high = np.concatenate([low[kept], lows]), np.concatenate([high[kept], highs])
    values = np.concatenate([values[kept], density(_at_nodes(lows, highs))])
    order = np.argsort(low)
    return low[order], high[order], values[order]


class Table:
    """
    Panels [low, high] of the line, with the density at their nodes.

    ``error`` is that of every panel as a multiple of what is allowed; 0 where a tail is so thin
    that it does not count. Beyond the panels that do, z grows linearly. ``source`` gives log p(s).
    """

    source: Callable[[Array], Array]

    def __init__(self, line: _Line, low: Array, high: Array, values: Array) -> None:
        self.line, self.low, self.high = line, low, high
        half = (high - low) / 2
        mass = half * (values @ _WEIGHTS)
        self.total = mass.sum()
        before = np.concatenate([[0.0], np.cumsum(mass)])
        after = np.concatenate([np.cumsum(mass[::-1])[::-1], [0.0]])
        part = half[:, None] * (values @ (_INTEGRALS @ _TO_LEGENDRE).T)
        part = np.hstack([np.zeros((len(low), 1)), part, mass[:, None]])
        with np.errstate(all="ignore"):
            lower = (before[:-1, None] + part) / self.total
            upper = (after[1:, None] + mass[:, None] - part) / self.total
            z = np.where(lower < upper, ndtri(lower), -ndtri(upper))
        self._starts, self._stops = z[:, 0], z[:, -1]
        counts = (abs(z) < _LARGEST_Z).all(axis=1)
        self._grows = counts & (np.diff(z, axis=1) > 0).all(axis=1)
        self._coefficients = np.where(counts[:, None], z, 0.0) @ _TO_CHEBYSHEV.T
        tail = np.maximum(np.minimum(before[1:], after[:-1]), _LEAST)
        last = abs((values @ _TO_LEGENDRE.T)[:, -2:]).sum(axis=1) * half
        # Next to a bound, what floats cannot tell apart is not resolved, and need not be.
        y, log_slope = line.to_support(np.where(low + high < 0, low, high))
        with np.errstate(all="ignore"):
            slack = 4 * np.spacing(abs(y)) / np.exp(log_slope)
        of_z = abs(self._coefficients[:, -2:]).sum(axis=1)
        of_z = of_z / (_FINE * (1 + abs(z).max(axis=1)) + slack * np.ptp(z, axis=1) / half)
        self.error = np.maximum(last / tail / (_RESOLVED + slack), of_z)
        # A panel that a tail ends in is halved, to follow the tail further.
        is_end = np.minimum(abs(self._starts), abs(self._stops)) < _FAR_OUT
        self.error = np.where(counts, self.error, np.where(is_end & (half > _SHORT), 2.0, 0.0))

    def usable(self) -> Table | None:
        """Keep the panels around the median that are resolved; None if they end too early."""
        good = self._grows & (self.error <= _TOLERATED)
        center = int(np.searchsorted(self._stops, 0.0))
        if not good[center]:
            return None
        bad = np.flatnonzero(~good)
        first = max([0, *(bad[bad < center] + 1)])
        last = min([len(good), *bad[bad > center]])
        rows = slice(first, last)
        self.low, self.high = self.low[rows], self.high[rows]
        self._starts, self._stops = self._starts[rows], self._stops[rows]
        self._coefficients = self._coefficients[rows]
        ends = np.array([-1.0, 1.0]), np.array([0, len(self.low) - 1])
        slopes = self._evaluate(*ends, derivative=True) * 2 / (self.high - self.low)[ends[1]]
        self._slopes = np.maximum(slopes, 1e-3)
        return self if self._starts[0] < -_NEAR_END and self._stops[-1] > _NEAR_END else None

    def score(self, y: Array) -> Array:
        """Evaluate z at points of the support."""
        with np.errstate(all="ignore"):
            s = self.line.to_line(np.clip(y, *self.line.inside))
        row = np.clip(np.searchsorted(self.low, s, side="right") - 1, 0, len(self.low) - 1)
        u = (2 * s - self.low[row] - self.high[row]) / (self.high[row] - self.low[row])
        beyond = np.minimum(s - self.low[0], 0) * self._slopes[0]
        beyond = beyond + np.maximum(s - self.high[-1], 0) * self._slopes[1]
        return self._evaluate(np.clip(u, -1, 1), row) + beyond

    def log_density(self, y: Array) -> Array:
        """Evaluate log p(y)."""
        inside = np.clip(y, *self.line.inside)
        s = self.line.to_line(inside)
        log_p = self.source(s) - self.line.to_support(s)[1]
        return np.where((y >= self.line.low) & (y <= self.line.high), log_p, -np.inf)

    def quantile(self, z: Array) -> Array:
        """Invert `score`."""
        inner = np.clip(z, self._starts[0], self._stops[-1])
        row = np.clip(np.searchsorted(self._starts, inner, side="right") - 1, 0, len(self.low) - 1)
        u = self._solve(inner, row)
        s = (self.low[row] + self.high[row]) / 2 + (self.high[row] - self.low[row]) / 2 * u
        excess = z - inner
        s = s + excess / np.where(excess < 0, self._slopes[0], self._slopes[1])
        return self.line.to_support(s)[0]

    def _solve(self, z: Array, row: Rows) -> Array:
        """Find where in its panel every z lies, by Newton's method within brackets."""
        low, high = np.full(np.shape(z), -1.0), np.full(np.shape(z), 1.0)
        share: Array = (z - self._starts[row]) / (self._stops[row] - self._starts[row])
        u: Array = np.clip(2 * share - 1, -1, 1)
        for _ in range(_MOST_STEPS):
            value, slope = self._evaluate(u, row), self._evaluate(u, row, derivative=True)
            low, high = np.where(value <= z, u, low), np.where(value >= z, u, high)
            with np.errstate(all="ignore"):
                new = u - (value - z) / slope
            new = np.where((new >= low) & (new <= high), new, (low + high) / 2)
            moved, u = abs(new - u), new
            if np.all(moved <= _STEP):
                break
        return u

    def _evaluate(self, u: Array, row: Rows, *, derivative: bool = False) -> Array:
        """Evaluate the polynomial of the panel of every point, or its derivative."""
        coefficients: Any = self._coefficients.T
        if derivative:
            coefficients = chebyshev.chebder(coefficients)
        values: Array = np.asarray(chebyshev.chebval(u, coefficients[:, row], tensor=False))
        return values
