"""The highest points of posteriors, sought in the prior's unbounded space."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from sksbi.priors import Prior
from sksbi.utils.optimize import maximise
from sksbi.utils.types import Array, Rows

__all__ = ["find_modes"]

_AT_BOUNDS, _NEARER = 8, 1e-3


def find_modes(
    log_prob: Callable[[Array, Rows], Array],
    start: Array,
    prior: Prior | None,
    generator: np.random.Generator,
) -> Array:
    """
    Find the theta of highest density for every observation.

    Parameters
    ----------
    log_prob : callable
        Maps theta (k, D), and the observation (k,) of each, to log-densities (k,).
    start : ndarray of shape (m, k, D)
        Draws of every posterior, around which to search.
    prior : Prior or None
        The prior; None: theta is unbounded.
    generator : numpy.random.Generator
        Seeds the search.

    Returns
    -------
    ndarray of shape (m, D)
        The modes, as near to a bound of the prior as a thousandth of the nearest draw's distance.
    """
    if prior is None:
        return maximise(partial(_on_points, log_prob), start, generator)
    low, high = _search_box(prior, start)

    def to_theta(z: Array, rows: Rows) -> Array:
        theta = prior.from_unbounded(z.reshape(-1, z.shape[2])).reshape(z.shape)
        return np.clip(theta, low[rows], high[rows])

    def log_density(z: Array, rows: Rows) -> Array:
        return _on_points(log_prob, to_theta(z, rows), rows)

    start = np.concatenate([start, *_at_bounds(start[:, :_AT_BOUNDS], low, high)], axis=1)
    z = prior.to_unbounded(start.reshape(-1, start.shape[2])).reshape(start.shape)
    found = maximise(log_density, z, generator)
    return to_theta(found[:, None], np.arange(len(found)))[:, 0]


def _on_points(log_prob: Callable[[Array, Rows], Array], theta: Array, rows: Rows) -> Array:
    """Compute the log-densities (r, k) of points (r, k, D) of observations rows."""
    flat = theta.reshape(-1, theta.shape[2])
    return log_prob(flat, rows.repeat(theta.shape[1])).reshape(theta.shape[:2])


def _search_box(prior: Prior, start: Array) -> tuple[Array, Array]:
    """
    Bound the search (m, 1, D) on the sides where the prior has a bound.

    It goes a thousand times nearer to a bound than any draw. Beyond there is no mass to speak of,
    and yet the density of a network, which nothing was shown there, may rise to infinity.
    """
    low, high = prior.support
    with np.errstate(invalid="ignore"):
        below = low + _NEARER * (start.min(axis=1) - low)
        above = high - _NEARER * (high - start.max(axis=1))
    below, above = np.where(np.isfinite(low), below, low), np.where(np.isfinite(high), above, high)
    return below[:, None], above[:, None]


def _at_bounds(start: Array, low: Array, high: Array) -> Iterator[Array]:
    """Move points (m, k, D) to every side of a box, where a density may rise with few draws."""
    for side in (low, high):
        for j in np.flatnonzero(np.isfinite(side[0, 0])):
            moved = start.copy()
            moved[:, :, j] = side[:, :, j]
            yield moved
