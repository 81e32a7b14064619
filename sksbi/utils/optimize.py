"""Maximising a density in a few dimensions by the cross-entropy method, many at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sksbi.utils.types import Array

__all__ = ["maximise"]

_LEAST, _SHRINKS = 0.1, 0.67


def maximise(
    log_density: Callable[[Array], Array],
    start: Array,
    generator: np.random.Generator,
    *,
    rounds: int = 60,
    elite: float = 0.1,
) -> Array:
    """
    Find the highest points of m functions, from draws around them.

    In every round each population is replaced by draws from a Gaussian fitted to its best tenth,
    so it contracts onto a maximum; no gradient and no step size are needed. Its center is the best
    point seen, since the mean of the best tenth may lie between two maxima, and its width falls no
    faster than by a third a round, so that a best tenth of copies of one point is no end.

    Parameters
    ----------
    log_density : callable
        Maps points of shape (m, k, D) to values of shape (m, k).
    start : ndarray of shape (m, k, D)
        The first population of every function.
    generator : numpy.random.Generator
        Where the draws come from.
    rounds : int, default=60
        The number of rounds.
    elite : float, default=0.1
        The fraction that the next Gaussian is fitted to.

    Returns
    -------
    ndarray of shape (m, D)
        The best points.

    References
    ----------
    .. [1] The cross-entropy method for combinatorial and continuous optimization
       (Rubinstein, 1999) https://doi.org/10.1023/A:1010091220143
    """
    population, spread = start, start.std(axis=1)
    best, best_value = start[:, 0], np.full(len(start), -np.inf)
    n_elite = max(2, int(elite * start.shape[1]))
    for number in range(rounds):
        values = log_density(population)
        order = np.argsort(-values, axis=1)[:, :n_elite]
        leaders = np.take_along_axis(population, order[:, :, None], axis=1)
        top = np.take_along_axis(values, order[:, :1], axis=1)[:, 0]
        best = np.where((top > best_value)[:, None], leaders[:, 0], best)
        best_value = np.maximum(top, best_value)
        center = best[:, None]
        least = _LEAST * _SHRINKS**number * spread
        if np.ptp(leaders, axis=1).max() + least.max() <= 1e-9 * (1 + np.abs(leaders).max()):
            break
        root = np.linalg.qr(leaders - center, mode="r") / np.sqrt(n_elite)
        noise = generator.standard_normal((*start.shape[:2], root.shape[1]))
        population = center + noise @ root
        missing = np.sqrt(np.maximum(least**2 - leaders.var(axis=1), 0.0))[:, None]
        if missing.any():
            population = population + missing * generator.standard_normal(start.shape)
    return best
