"""
The prior protocol.

A prior here is a density p(theta) on a box, known by four things: draws, the log density, the box
itself, and a one-to-one map from the inside of the box to all of R^D. The map is what lets a
density estimator that knows nothing of bounds respect them: it works on z, and theta is the image
of z. The density may be zero in pieces of the box that the map does not know: outside a region, or
where log p(theta) itself says so.

Every draw and every image of the map lies strictly inside the box, by at least one float, and theta
on a closed bound is read as the nearest float inside. So logarithms at the bounds stay finite.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sksbi.priors.derived import DerivedPriorsMixin
from sksbi.priors.maps import UnboundedMap
from sksbi.utils.containers import as_floats, plain
from sksbi.utils.random import check_generator
from sksbi.utils.types import Array, Mask, RandomState
from sksbi.utils.validation import check_count, check_memory

__all__ = [
    "Prior",
    "at_edge",
    "floats_inside",
    "has_holes",
    "is_cut",
    "maps_columns",
    "with_map_of",
]

_FAR = 1e300
_MOST_ROUNDS, _STRAY, _STRAY_SHARE = 20, 3, 0.01


def floats_inside(low: ArrayLike, high: ArrayLike, dtype: type = np.float64) -> tuple[Array, Array]:
    """
    Find the outermost floats strictly inside a box.

    Parameters
    ----------
    low, high : array-like of shape (D,)
        The bounds, possibly infinite.
    dtype : type, default=numpy.float64
        The floating type whose neighbours are taken.

    Returns
    -------
    first : ndarray of shape (D,)
        The nearest floats above the lower bounds, float64; the largest finite ones, negative, where
        a bound is infinite.
    last : ndarray of shape (D,)
        The nearest floats below the upper bounds, likewise.
    """
    low, high = (np.asarray(bound, dtype=dtype) for bound in (low, high))
    first = np.nextafter(low, dtype(np.inf))
    last = np.nextafter(high, dtype(-np.inf))
    return first.astype(np.float64), last.astype(np.float64)


class Prior(DerivedPriorsMixin["Prior"], ABC):
    """
    A prior density over theta on a box.

    Made by `check_prior`; a subclass draws and evaluates, the rest is here.

    Parameters
    ----------
    spec : object
        What the user gave; None: this prior itself, made from another one.
    unbounded_map : UnboundedMap
        The map between the box and R^D; its bounds are the prior's.
    names : sequence of str, default=None
        The names of the D parameters.
    inside : pair of ndarray of shape (D,), default=None
        The outermost points at which the density is evaluated. None takes the outermost floats
        strictly inside the box.
    region : callable, default=None
        The part of the box, (n, D) to n booleans, where the density is not zero. None: all of it.
    holes : bool, default=False
        Whether the log density may be -inf inside the box, so that it has to be asked.
    covered : bool, default=True
        Whether such points are images of the map by rounding at most.

    Attributes
    ----------
    names : list of str or None
        The names of the parameters.
    log_prob_error : float
        The standard error that normalising by Monte Carlo leaves in `log_prob`, the same for every
        theta; 0 where it is exact.
    is_sampled : bool
        Whether simulations are from this prior; False where proposals are drawn instead.
    """

    log_prob_error: float = 0.0
    is_sampled: bool = True

    def __init__(
        self,
        spec: Any,
        unbounded_map: UnboundedMap,
        *,
        names: Sequence[str] | None = None,
        inside: tuple[Array, Array] | None = None,
        region: Callable[[Array], Mask] | None = None,
        holes: bool = False,
        covered: bool = True,
    ) -> None:
        self._spec = spec
        self.names = None if names is None else list(names)
        self._map = unbounded_map
        self._region, self._holes, self._covered = region, holes, covered
        self._inside = floats_inside(*self.support) if inside is None else inside
        if not np.all(self._inside[0] <= self._inside[1]):
            raise ValueError(
                "prior must have a support with floats between low and high, got "
                f"low={self.support[0]}, high={self.support[1]}: widen it or shift it towards 0."
            )

    @property
    def spec(self) -> Any:
        """What `check_prior` makes this prior from: what the user gave, or the prior itself."""
        return self if self._spec is None else self._spec

    @property
    def n_features(self) -> int:
        """The number D of parameters."""
        return len(self._map.low)

    @property
    def support(self) -> tuple[Array, Array]:
        """The bounds (low, high) of the box, each float64 of shape (D,), possibly infinite."""
        return self._map.low.copy(), self._map.high.copy()

    def sample(self, n: int, random_state: RandomState = None) -> Array:
        """
        Draw from the prior.

        Parameters
        ----------
        n : int
            The number of draws, at least 1.
        random_state : None, int, numpy.random.RandomState or numpy.random.Generator, default=None
            Where the randomness comes from; never a global generator.

        Returns
        -------
        ndarray of shape (n, D)
            The draws, float64, strictly inside the support.

        Raises
        ------
        ValueError
            If ``n`` is no positive integer, or the distribution drew something outside its support
            or where its density is zero, rare rounding errors aside, which are drawn again.
        """
        n, generator = check_count(n, "n"), check_generator(random_state)
        check_memory(n, "n", n * self.n_features)
        theta = _drawn(self, n, generator)
        for _ in range(_MOST_ROUNDS if self._holes else 0):
            zero = np.flatnonzero(~np.isfinite(_density(self, theta)))
            if not len(zero):
                break
            if len(zero) > max(_STRAY, _STRAY_SHARE * n):
                raise ValueError(
                    "prior must have a finite log_prob at its own draws, got "
                    f"{_density(self, theta[zero[:1]])[0]} at {theta[zero[0]]} and at "
                    f"{len(zero)} of {n} draws: correct sample or log_prob."
                )
            theta[zero] = _drawn(self, len(zero), generator)
        return theta

    def log_prob(self, theta: ArrayLike) -> Array:
        """
        Evaluate the log density.

        Parameters
        ----------
        theta : array-like of shape (n, D)
            Parameters, in the prior's units.

        Returns
        -------
        ndarray of shape (n,)
            log p(theta), -inf outside the support; on a bound, the value at the nearest float
            inside.

        Raises
        ------
        ValueError
            If ``theta`` has another shape or holds NaN.
        """
        theta = self._check(theta, "theta")
        log_p = _density(self, theta)
        inside = self._in_box(theta) & (log_p > -np.inf)
        if self._region is not None:
            inside[inside] = self._region(np.clip(theta[inside], *self._inside))
        return np.where(inside, log_p, -np.inf)

    def contains(self, theta: ArrayLike) -> Mask:
        """
        Say which parameters lie in the support, bounds included.

        Parameters
        ----------
        theta : array-like of shape (n, D)
            Parameters, in the prior's units.

        Returns
        -------
        ndarray of shape (n,)
            True where theta is finite, inside the closed box, and where the density is not zero.
        """
        theta = self._check(theta, "theta", nan=True)
        inside = self._in_box(theta)
        if self._holes and inside.any():
            inside[inside] = np.isfinite(_density(self, theta[inside]))
        if self._region is not None and inside.any():
            inside[inside] = self._region(np.clip(theta[inside], *self._inside))
        return inside

    def to_unbounded(self, theta: ArrayLike) -> Array:
        """
        Map parameters to R^D.

        Parameters
        ----------
        theta : array-like of shape (n, D)
            Parameters. On a bound or outside, the nearest float inside is mapped instead: ask
            `contains` where that matters.

        Returns
        -------
        ndarray of shape (n, D)
            z, always finite.
        """
        with np.errstate(all="ignore"):
            return self._map.to_unbounded(np.clip(self._check(theta, "theta"), *self._inside))

    def from_unbounded(self, z: ArrayLike) -> Array:
        """
        Map R^D to parameters, the inverse of `to_unbounded`.

        Parameters
        ----------
        z : array-like of shape (n, D)
            Points of the unbounded space.

        Returns
        -------
        ndarray of shape (n, D)
            theta, finite and strictly inside the support.
        """
        with np.errstate(all="ignore"):
            return np.clip(self._map.from_unbounded(self._check(z, "z")), *self._inside)

    def log_abs_det_jacobian(self, theta: ArrayLike, z: ArrayLike) -> Array:
        """
        Evaluate the log-determinant of the map, the logarithm of ``abs(dz / dtheta)``.

        Parameters
        ----------
        theta : array-like of shape (n, D)
            Parameters.
        z : array-like of shape (n, D)
            Their images under `to_unbounded`.

        Returns
        -------
        ndarray of shape (n,)
            The log-determinants: log p(theta) = log p(z) + this.
        """
        theta, z = self._check(theta, "theta"), self._check(z, "z")
        if theta.shape != z.shape:
            raise ValueError(f"theta and z must have one shape, got {theta.shape} and {z.shape}.")
        with np.errstate(all="ignore"):
            return self._map.log_abs_det_jacobian(np.clip(theta, *self._inside), z)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.spec!r})"

    def _in_box(self, theta: Array) -> Mask:
        """Say which rows are finite and inside the closed box."""
        low, high = self._map.low, self._map.high
        return np.all(np.isfinite(theta) & (theta >= low) & (theta <= high), axis=1)

    def _check(self, value: ArrayLike, name: str, *, nan: bool = False) -> Array:
        """Convert to float64 (n, D), or say what is wrong."""
        value = plain(value, name)
        if isinstance(value, pd.DataFrame) and self.names is not None:
            _check_names(self.names, list(value.columns), name)
        array = as_floats(value, name)
        if array.ndim != 2 or array.shape[1] != self.n_features:
            raise ValueError(
                f"{name} must have shape (n, {self.n_features}), one column per parameter of the "
                f"prior, got shape {array.shape}: pass one row as an array of shape "
                f"(1, {self.n_features})."
            )
        if not nan and np.isnan(array).any():
            row = int(np.isnan(array).any(axis=1).argmax())
            raise ValueError(f"{name} must not hold NaN, got {array[row]} in row {row}.")
        return array

    @abstractmethod
    def _sample(self, n: int, generator: np.random.Generator) -> ArrayLike:
        """Draw (n, D)."""

    @abstractmethod
    def _log_prob(self, theta: Array) -> ArrayLike:
        """Evaluate the log density (n,) at points strictly inside the box."""


def _drawn(prior: Prior, n: int, generator: np.random.Generator) -> Array:
    """Draw, and check what came."""
    theta = as_floats(prior._sample(n, generator), "prior")
    if theta.shape != (n, prior.n_features):
        raise ValueError(
            f"prior must draw an array of shape (n, D) = {(n, prior.n_features)}, got "
            f"shape {theta.shape}."
        )
    outside = ~prior._in_box(theta)
    if outside.any():
        raise ValueError(
            f"prior must draw finite values inside its support, got {theta[outside][0]}: "
            "correct the distribution or its support."
        )
    return np.clip(theta, *prior._inside)


def _density(prior: Prior, theta: Array) -> Array:
    """Evaluate the log density at the nearest points inside the box."""
    with np.errstate(all="ignore"):
        log_p = np.asarray(prior._log_prob(np.clip(theta, *prior._inside)), dtype=np.float64)
    # Next to a bound, formulas of scipy and torch give NaN where the density vanishes.
    return np.where(np.isnan(log_p), -np.inf, log_p)


def _check_names(names: list[str], columns: list[Any], name: str) -> None:
    """Hold that columns with names have the parameters' names, in order."""
    if columns != names and all(isinstance(column, str) for column in columns):
        raise ValueError(
            f"{name} must have the columns {names} in the same order, got {columns}: give "
            f"{name}[{names}]."
        )


def at_edge(prior: Prior, theta: Array) -> Mask:
    """
    Say which parameters lie where the map to them ends, or beyond.

    Parameters
    ----------
    prior : Prior
        The prior.
    theta : ndarray of shape (n, D)
        Parameters, in the prior's units.

    Returns
    -------
    ndarray of shape (n,)
        True where a coordinate has been moved there, or may have been.
    """
    far = np.full(prior.n_features, _FAR)
    ends = prior.from_unbounded(np.stack([-far, far]))
    return np.any((theta <= ends.min(axis=0)) | (theta >= ends.max(axis=0)), axis=1)


def has_holes(prior: Prior | None) -> bool:
    """
    Say whether `Prior.contains` knows more than the box.

    Parameters
    ----------
    prior : Prior or None
        The prior.

    Returns
    -------
    bool
        Whether the density may be zero inside the box.
    """
    return prior is not None and (prior._region is not None or prior._holes)


def is_cut(prior: Prior | None) -> bool:
    """
    Say whether a density in the prior's unbounded space loses mass outside the prior's support.

    Parameters
    ----------
    prior : Prior or None
        The prior.

    Returns
    -------
    bool
        Whether the map leads to points where the prior's density is zero.
    """
    return prior is not None and (prior._region is not None or prior._holes and not prior._covered)


def maps_columns(prior: Prior | None) -> bool:
    """
    Say whether the map to unbounded space is one for every parameter by itself.

    Parameters
    ----------
    prior : Prior or None
        The prior.

    Returns
    -------
    bool
        Whether a column of theta alone tells that column of z.
    """
    return prior is None or prior._map.take(range(prior.n_features)) is not None


def with_map_of(prior: Prior, columns: Sequence[int]) -> Prior:
    """
    Make the prior of some parameters, with the map that the prior of all has for them.

    Parameters
    ----------
    prior : Prior
        A prior whose map is one for every parameter by itself.
    columns : sequence of int
        The parameters, in the order wanted.

    Returns
    -------
    Prior
        The marginal; its own map might be another one.

    Raises
    ------
    ValueError
        If the prior has no marginal.
    """
    made, unbounded_map = copy(prior.marginal(columns)), prior._map.take(columns)
    if unbounded_map is not None:
        made._map = unbounded_map
    return made
