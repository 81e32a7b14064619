"""
Distribution functions and quantiles by a table, for what scipy finds by a search a point.

A table is built once for a standard distribution as its family and instance are set, and held
against scipy's own distribution function. Where scipy integrates anew for the density at every
point, log p(s) is interpolated first: it is smooth, and ends in straight lines.
"""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.special import ndtr, ndtri
from scipy.stats.distributions import rv_frozen

from sksbi.priors.panels import TRUE, Table, build
from sksbi.utils.types import Array

__all__ = ["Tabulated", "is_searched", "parameters_of", "quiet"]

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
    def _table(self) -> Table | None:
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
def _known_table(standard: _Standard) -> Table | None:
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


def _make_table(dist: stats.rv_continuous, shapes: tuple[float, ...]) -> Table | None:
    """Build the table of a standard distribution, and hold it against scipy; None if it fails."""
    with quiet():
        table = build(dist, shapes, interpolates=isinstance(dist, _SLOW))
        if table is None:
            return None
        z = np.array([-2.0, -0.7, 0.1, 0.9, 2.0])
        found = dist.cdf(table.quantile(z), *shapes)
    return table if np.all(abs(found - ndtr(z)) < TRUE) else None
