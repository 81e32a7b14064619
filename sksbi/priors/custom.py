"""A user's own object with ``sample(n, random_state)`` and ``log_prob(theta)``."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from sksbi.priors.base import Prior
from sksbi.priors.bijection import METHODS, OwnMap, check_own_map
from sksbi.priors.derived import no_marginal
from sksbi.priors.joint import JointPrior
from sksbi.priors.maps import BoxMap, UnboundedMap
from sksbi.utils.containers import as_floats
from sksbi.utils.random import draw_seed
from sksbi.utils.types import Array
from sksbi.utils.warn import warn_user

__all__ = ["CustomPrior"]

_N_PROBES = 64


class CustomPrior(JointPrior):
    """
    A prior around a user's object.

    Parameters
    ----------
    spec : object
        It has ``sample(n, random_state)``, which is passed an int and returns (n, D), and
        ``log_prob(theta)``, which takes (n, D) and returns (n,), -inf where the prior is zero;
        optionally ``names``, D strings, and ``support``, the pair (low, high) of numbers or arrays
        of shape (D,). Without ``support`` it counts as unbounded. A method ``marginal(columns)``,
        which is passed a list of positions, gives the prior of some parameters, in any form that
        `check_prior` takes. With the three methods ``to_unbounded(theta)``, ``from_unbounded(z)``
        and ``log_abs_det_jacobian(theta, z)``, the logarithm of ``abs(dz / dtheta)``, it brings
        its own map between where it is positive and all of R^D.
    check : callable
        `check_prior`, which turns such a marginal into a prior.

    Raises
    ------
    TypeError
        If ``spec.sample`` does not take ``random_state``.
    ValueError
        If a draw is not a finite (n, D) array inside the support, names or support do not fit, or
        the map does not invert.

    Warns
    -----
    UserWarning
        If there is neither ``support`` nor a map.
    """

    def __init__(self, spec: Any, check: Callable[..., Prior]) -> None:
        self._check_prior = check
        draws = _first_draws(spec)
        n_features = draws.shape[1]
        has_map = _has_map(spec)
        low, high = _support(spec, n_features, warns=not has_map)
        own: UnboundedMap = OwnMap(spec, low, high) if has_map else BoxMap(low, high)
        names = _names(spec, n_features)
        super().__init__(spec, own, names=names, holes=True, covered=has_map)
        draws = self.sample(_N_PROBES, random_state=0)
        probes = self._probes(draws)
        if isinstance(own, OwnMap):
            check_own_map(own, draws, probes)
        # What log_prob says outside of what is drawn is better heard now than after a fit.
        log_p = self._log_prob(self.from_unbounded(probes))
        self._covered = has_map and bool(np.isfinite(log_p).all())

    def _probes(self, draws: Array) -> Array:
        """Shuffle the columns of draws in unbounded space."""
        z = self.to_unbounded(draws)
        return np.random.default_rng(0).permuted(z, axis=0)

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """Ask the object, by an int."""
        return as_floats(self.spec.sample(n, random_state=draw_seed(generator)), "prior.sample")

    def _log_prob(self, theta: Array) -> Array:
        """Ask the object, and check what it says."""
        try:
            log_p = as_floats(self.spec.log_prob(theta), "prior.log_prob")
        except (TypeError, ValueError, IndexError, KeyError) as error:
            raise type(error)(
                f"prior.log_prob gets an array of shape (n, D) = {theta.shape}, a parameter a "
                f"column, and must give n numbers, but raised {type(error).__name__}: {error}"
            ) from error
        if log_p.shape != (len(theta),):
            raise ValueError(
                f"prior must give log_prob of shape (n,) = {(len(theta),)}, got {log_p.shape}."
            )
        if np.isnan(log_p).any():
            raise ValueError(
                "prior must have a log_prob that is not NaN inside its support, got NaN at "
                f"{theta[np.isnan(log_p)][0]}: let it be -inf where the prior is zero, or correct "
                "log_prob or support."
            )
        return log_p

    def _marginal(self, columns: list[int]) -> Prior:
        """Ask the object, and give what it makes our names."""
        if not callable(getattr(self.spec, "marginal", None)):
            raise no_marginal(self)
        made = self._check_prior(self.spec.marginal(list(columns)), len(columns))
        names = None if self.names is None else [self.names[i] for i in columns]
        if made.names not in (None, names):
            raise ValueError(
                f"prior.marginal({columns}) must keep the names {names}, got {made.names}."
            )
        named = copy.copy(made)
        named.names = names
        return named


def _first_draws(spec: Any) -> Array:
    """Draw twice, to learn D."""
    try:
        draws = as_floats(spec.sample(2, random_state=0), "prior.sample")
    except TypeError as error:
        raise TypeError(
            "prior must take sample(n, random_state) and return numbers, but "
            f"sample(2, random_state=0) of {spec!r} raised: {error}"
        ) from error
    if draws.ndim != 2 or len(draws) != 2 or draws.shape[1] == 0:
        raise ValueError(
            "prior must return an array of shape (n, D) from sample(n, random_state), but "
            f"sample(2, random_state=0) gave shape {draws.shape}."
        )
    return draws


def _has_map(spec: Any) -> bool:
    """Tell whether an object brings a map of its own, whole."""
    there = [name for name in METHODS if callable(getattr(spec, name, None))]
    if there and len(there) < len(METHODS):
        missing = [name for name in METHODS if name not in there]
        raise TypeError(
            f"prior must have all three of {', '.join(METHODS)}, or none of them, got "
            f"{spec!r} without {', '.join(missing)}: add it, or give support = (low, high) alone."
        )
    return bool(there)


def _names(spec: Any, n_features: int) -> list[str] | None:
    """Read and check the names."""
    names = getattr(spec, "names", None)
    if names is None:
        return None
    names = list(names)
    if len(names) != n_features or len(set(names)) != n_features:
        raise ValueError(
            f"prior.names must be {n_features} different strings, one per parameter, got {names}."
        )
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"prior.names must be strings, got {names}.")
    return names


def _support(spec: Any, n_features: int, *, warns: bool) -> tuple[Array, Array]:
    """Read and check the support, or warn that there is none."""
    support = getattr(spec, "support", None)
    if support is None:
        if warns:
            warn_user(
                f"prior {spec!r} has no attribute support, so it counts as unbounded: draws where "
                "its log_prob is -inf are redrawn, which takes time and makes densities less "
                "precise; give it support = (low, high).",
                UserWarning,
            )
        return np.full(n_features, -np.inf), np.full(n_features, np.inf)
    try:
        low, high = (np.broadcast_to(as_floats(b, "prior.support"), n_features) for b in support)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "prior.support must be a pair (low, high) of numbers or arrays of shape "
            f"({n_features},), got {support!r}."
        ) from error
    if not np.all(low < high):
        raise ValueError(f"prior.support must have low < high, got low={low}, high={high}.")
    return low, high
