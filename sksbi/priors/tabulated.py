"""
Distribution functions and quantiles by a table, for what scipy finds by a search a point.

With theta = T(s), T a map of the line onto the support, the density of s is integrated once, panel
by panel, from either end: so each tail keeps its digits, whatever scipy's 1 - F loses. What is kept
is the score z(s) = Phi^-1(F(T(s))), a polynomial on every panel. Panels are halved until the last
coefficients of the density and of z say that both are resolved, to about 1e-10 in z. The inverse is
that of the polynomials, by Newton's method, so that the two undo each other to rounding.

Where scipy integrates anew for the density at every point, log p(s) is interpolated first: it is
smooth, and ends in straight lines.
"""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev, legendre
from numpy.typing import ArrayLike
from scipy import stats
from scipy.special import expit, log_expit, ndtr, ndtri
from scipy.stats.distributions import rv_frozen

from sksbi.utils.types import Array, Rows

__all__ = ["Tabulated", "is_searched", "parameters_of", "quiet"]

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
_LEAST, _LARGEST_Z, _TRUE = 1e-305, 37.5, 1e-7
_FAR_OUT, _SHORT, _TOLERATED, _NEAR_END = 36.0, 1e-2, 1e3, 4.0
_MOST_STEPS, _STEP, _LOWEST, _FEWEST = 60, 1e-10, 500.0, 4
# scipy's stable densities are flat next to where it changes its formula.
_SMOOTH, _MOST_HALVINGS = 1e-7, 4
_GRID = np.concatenate([np.linspace(0, 8, 17), 8 * 1.25 ** np.arange(1, 21)])
# Of these, scipy's own functions are slow, or lose a tail by cancellation.
_INEXACT = tuple(
    type(distribution)
    for distribution in (
        stats.levy_stable,
        stats.levy_l,
        stats.skewnorm,
        stats.genexpon,
        stats.powernorm,
        stats.powerlognorm,
    )
)
# Here the density itself takes scipy milliseconds a point.
_SLOW = (type(stats.levy_stable), type(stats.studentized_range))
_KNOTS = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16])
_QUIET_LOCK = threading.RLock()
# What every instance of a family has; other attributes are settings.
_USUAL = frozenset(vars(stats.norm))


@contextmanager
def quiet() -> Iterator[None]:
    """
    Keep the warnings of scipy's quadrature and root finders, and NumPy's, from the user.

    Yields
    ------
    None
    """
    with _QUIET_LOCK, np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def is_searched(distribution: object) -> bool:
    """
    Tell a distribution whose quantiles scipy searches for, or whose upper tail is 1 minus another.

    Parameters
    ----------
    distribution : object
        A frozen distribution of scipy.

    Returns
    -------
    bool
        Whether one of scipy's four functions is the general one.
    """
    if not isinstance(distribution, rv_frozen):
        return False
    family, general = type(distribution.dist), stats.rv_continuous
    if issubclass(family, stats.rv_histogram):
        return False
    return family in _INEXACT or any(
        getattr(family, name) is getattr(general, name) for name in ("_ppf", "_sf", "_isf")
    )


def parameters_of(distribution: rv_frozen) -> dict[str, float]:
    """
    Read shapes, loc and scale, however they were passed.

    Parameters
    ----------
    distribution : frozen scipy.stats distribution
        The distribution.

    Returns
    -------
    dict
        Names and values, loc and scale last.
    """
    shapes = distribution.dist.shapes.split(", ") if distribution.dist.shapes else []
    given = dict(zip([*shapes, "loc", "scale"], distribution.args, strict=False))
    merged = given | distribution.kwds
    return {
        name: float(merged.get(name, float(name == "scale"))) for name in [*shapes, "loc", "scale"]
    }


class Tabulated:
    """
    A frozen distribution of scipy with a table for F and its inverse, in scipy's spelling.

    Parameters
    ----------
    distribution : frozen scipy.stats distribution
        The distribution. Where its density is not that of its distribution function, or too rough
        for a table, scipy's own functions are called.
    """

    def __init__(self, distribution: rv_frozen) -> None:
        self.distribution = distribution = _without_shift(distribution)
        *shapes, self._loc, self._scale = parameters_of(distribution).values()
        self._shapes = tuple(shapes)

    @property
    def is_table(self) -> bool:
        """Whether there is a table."""
        return self._table is not None

    def cdf(self, x: ArrayLike) -> Array:
        """Evaluate F."""
        return self._score(x, 1.0, "cdf")

    def sf(self, x: ArrayLike) -> Array:
        """Evaluate 1 - F."""
        return self._score(x, -1.0, "sf")

    def ppf(self, q: ArrayLike) -> Array:
        """Invert F."""
        return self._quantile(q, 1.0, "ppf")

    def isf(self, q: ArrayLike) -> Array:
        """Invert 1 - F."""
        return self._quantile(q, -1.0, "isf")

    def logpdf(self, x: ArrayLike) -> Array:
        """Evaluate the log density."""
        if isinstance(self.distribution.dist, _SLOW) and self._table is not None:
            y = (np.asarray(x, dtype=np.float64) - self._loc) / self._scale
            return self._table.log_density(y) - np.log(self._scale)
        # Of scipy's densities only those without a table, and users' own, may warn by themselves.
        is_plain = _is_of_scipy(self.distribution.dist) and self.is_table
        with np.errstate(all="ignore") if is_plain else quiet():
            return self.distribution.logpdf(x)

    def rvs(self, size: int, random_state: np.random.Generator) -> Array:
        """
        Draw: by the table where scipy would search.

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
        family, general = type(self.distribution.dist), stats.rv_continuous
        is_searched = family._rvs is general._rvs and family._ppf is general._ppf
        if is_searched and self._table is not None:
            z = random_state.standard_normal(size)
            return self._loc + self._scale * self._table.quantile(z)
        with quiet():
            return self.distribution.rvs(size=size, random_state=random_state)

    @property
    def _table(self) -> _Table | None:
        """Build the table, once in a process."""
        if "_own" not in vars(self):
            dist = self.distribution.dist
            settings = _settings(dist)
            if settings is None:
                self._own = _make_table(dist, self._shapes)
            else:
                self._own = _known_table(_Standard(type(dist), settings, self._shapes, dist))
        return self._own

    def _score(self, x: ArrayLike, sign: float, name: str) -> Array:
        """Evaluate a tail."""
        if self._table is None:
            with quiet():
                return getattr(self.distribution, name)(x)
        y = (np.asarray(x, dtype=np.float64) - self._loc) / self._scale
        return ndtr(sign * self._table.score(y))

    def _quantile(self, q: ArrayLike, sign: float, name: str) -> Array:
        """Invert a tail."""
        if self._table is None:
            with quiet():
                return getattr(self.distribution, name)(q)
        z = sign * ndtri(np.asarray(q, dtype=np.float64))
        return self._loc + self._scale * self._table.quantile(z)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_own"}


@dataclass(frozen=True)
class _Standard:
    """A standard distribution of scipy's own: what tells it from others, and itself."""

    family: type
    settings: tuple[tuple[str, Any], ...]
    shapes: tuple[float, ...]
    dist: stats.rv_continuous = field(compare=False)


@lru_cache(maxsize=128)
def _known_table(standard: _Standard) -> _Table | None:
    """Build the table of a distribution of scipy's own."""
    return _make_table(standard.dist, standard.shapes)


def _is_of_scipy(dist: stats.rv_continuous) -> bool:
    """Tell scipy's own families from users'."""
    return type(dist).__module__.startswith("scipy.stats")


def _settings(dist: stats.rv_continuous) -> tuple[tuple[str, Any], ...] | None:
    """Collect what a family and its instance are set to; None where that cannot be compared."""
    own = {name: value for name, value in vars(dist).items() if name not in _USUAL}
    if not _is_of_scipy(dist) or not all(map(_is_plain, own.values())):
        return None
    names = {name for family in type(dist).__mro__ for name in vars(family)}
    names = {name for name in names if not name.startswith("__")} | set(own) | {"a", "b", "xtol"}
    found = [(name, getattr(dist, name)) for name in sorted(names)]
    return tuple((name, value) for name, value in found if _is_plain(value))


def _is_plain(value: object) -> bool:
    """Tell numbers, words and tuples of them."""
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return isinstance(value, str | int | float | np.number | None)


def _without_shift(distribution: rv_frozen) -> rv_frozen:
    """Write the stable distribution whose F, but not log density, scipy shifts by the scale."""
    dist: Any = distribution.dist
    if not isinstance(dist, type(stats.levy_stable)) or dist.parameterization != "S1":
        return distribution
    alpha, beta, loc, scale = parameters_of(distribution).values()
    if alpha != 1:
        return distribution
    twin = copy.deepcopy(distribution)
    twin.args = (alpha, beta, loc + 2 * beta * scale * np.log(scale) / np.pi, scale)
    twin.kwds, twin.dist.parameterization = {}, "S0"
    return twin


def _make_table(dist: stats.rv_continuous, shapes: tuple[float, ...]) -> _Table | None:
    """Build the table of a standard distribution, and hold it against scipy; None if it fails."""
    with quiet():
        table = _build(dist, shapes)
        if table is None:
            return None
        z = np.array([-2.0, -0.7, 0.1, 0.9, 2.0])
        found = dist.cdf(table.quantile(z), *shapes)
    return table if np.all(abs(found - ndtr(z)) < _TRUE) else None


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


def _build(dist: stats.rv_continuous, shapes: tuple[float, ...]) -> _Table | None:
    """Halve panels until all are resolved."""
    line = _Line(dist, shapes)
    if not line.is_sound:
        return None

    def log_density(s: Array) -> Array:
        y, log_slope = line.to_support(s)
        return dist.logpdf(y, *shapes) + log_slope

    source = _Interpolated(log_density) if isinstance(dist, _SLOW) else log_density
    if isinstance(source, _Interpolated) and not source.is_sound:
        return None

    def density(s: Array) -> Array:
        values = np.exp(source(s))
        return np.where(np.isfinite(values), values, 0.0)

    ends = np.concatenate([-_GRID[:0:-1], _GRID])
    low, high = ends[:-1], ends[1:]
    values = density(_at_nodes(low, high))
    for _ in range(_MOST_ROUNDS):
        table = _Table(line, low, high, values)
        rough = np.flatnonzero(table.error > 1)
        if not len(rough) or len(low) + len(rough) > _MOST_PANELS:
            break
        low, high, values = _halved(density, low, high, values, rough)
    table.source = source
    return table.usable() if abs(table.total - 1) < _TRUE else None


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


class _Table:
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

    def usable(self) -> _Table | None:
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
