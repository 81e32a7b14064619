"""The highest points of posteriors, sought in the prior's unbounded space without bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from sksbi.priors import Prior
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
        The modes; one at a bound of the prior lies where :func:`sksbi.priors.reach.ends` begin.
    """
    if prior is None:
        return maximise(partial(_on_points, log_prob), start, generator)
    low, high = ends(prior)

    def to_theta(z: Array) -> Array:
        flat = prior.from_unbounded(z.reshape(-1, z.shape[-1]))
        return np.clip(flat, low, high).reshape(z.shape)

    def log_density(z: Array, rows: Rows) -> Array:
        return _on_points(log_prob, to_theta(z), rows)

    start = np.concatenate([start, *_at_bounds(start[:, :_AT_BOUNDS], low, high)], axis=1)
    z = prior.to_unbounded(start.reshape(-1, start.shape[2])).reshape(start.shape)
    return to_theta(maximise(log_density, z, generator))


def _on_points(log_prob: Callable[[Array, Rows], Array], theta: Array, rows: Rows) -> Array:
    """Compute the log-densities (r, k) of points (r, k, D) of observations rows."""
    flat = theta.reshape(-1, theta.shape[2])
    return log_prob(flat, rows.repeat(theta.shape[1])).reshape(theta.shape[:2])


def _at_bounds(start: Array, low: Array, high: Array) -> Iterator[Array]:
    """Move points (m, k, D) to every bound in turn, where a density may rise with few draws."""
    for bound in (low, high):
        for j in np.flatnonzero(np.isfinite(bound)):
            moved = start.copy()
            moved[:, :, j] = bound[j]
            yield moved
