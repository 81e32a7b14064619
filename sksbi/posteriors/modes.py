"""The highest points of posteriors, sought in the prior's unbounded space."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from sksbi.priors import Prior
from sksbi.priors.base import maps_columns
from sksbi.priors.reach import ends
from sksbi.utils.optimize import maximise
from sksbi.utils.types import Array, Rows

__all__ = ["find_modes"]

_AT_BOUNDS = 8


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
        The modes; nearer to a bound of the prior than any draw only up to where its ends begin.
    """
    if prior is None:
        return maximise(partial(_on_points, log_prob), start, generator)
    z = prior.to_unbounded(start.reshape(-1, start.shape[2])).reshape(start.shape)
    low, high = _search_box(prior, z)
    to_theta = partial(_to_theta, prior, low, high)
    z = np.concatenate([z, *_at_bounds(z[:, :_AT_BOUNDS], low, high)], axis=1)
    found = maximise(lambda z, rows: _on_points(log_prob, to_theta(z, rows), rows), z, generator)
    return to_theta(found[:, None], np.arange(len(found)))[:, 0]


def _to_theta(prior: Prior, low: Array, high: Array, z: Array, rows: Rows) -> Array:
    """Bring points (r, k, D) of observations rows, within their boxes, to theta."""
    inside = np.clip(z, low[rows], high[rows])
    return prior.from_unbounded(inside.reshape(-1, z.shape[2])).reshape(z.shape)


def _on_points(log_prob: Callable[[Array, Rows], Array], theta: Array, rows: Rows) -> Array:
    """Compute the log-densities (r, k) of points (r, k, D) of observations rows."""
    flat = theta.reshape(-1, theta.shape[2])
    return log_prob(flat, rows.repeat(theta.shape[1])).reshape(theta.shape[:2])


def _search_box(prior: Prior, z: Array) -> tuple[Array, Array]:
    """
    Bound the search (m, 1, D) on the sides where the prior has a bound.

    It goes to where the prior's ends begin, or twice as far as the draws do from their median.
    Beyond there is no mass to speak of, and yet the density of a network, which nothing was shown
    there, may rise to infinity.
    """
    bounded = np.isfinite(np.stack(prior.support)) & maps_columns(prior)
    first, last = prior.to_unbounded(ends(prior))
    low, middle, high = z.min(axis=1), np.median(z, axis=1), z.max(axis=1)
    low = np.where(bounded[0], np.minimum(first, 2 * low - middle), -np.inf)
    high = np.where(bounded[1], np.maximum(last, 2 * high - middle), np.inf)
    return low[:, None], high[:, None]


def _at_bounds(z: Array, low: Array, high: Array) -> Iterator[Array]:
    """Move points (m, k, D) to every side of a box, where a density may rise with few draws."""
    for side in (low, high):
        for j in np.flatnonzero(np.isfinite(side[0, 0])):
            moved = z.copy()
            moved[:, :, j] = side[:, :, j]
            yield moved
