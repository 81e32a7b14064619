"""Functions of theta whose posterior means are summary statistics."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy import special

from sksbi.utils.types import Array

__all__ = ["moments", "orthonormal", "waves"]


# For D parameters: the highest number of half waves, all parameters of a product together.
_WAVES = {1: 8, 2: 4, 3: 3, 4: 2}
_MOST_IN_PAIRS = 7
_RANK = 1e-4


def waves(theta: Array) -> Array:
    """
    Compute theta, and cosines of its normal ranks alone and in products of two.

    Parameters
    ----------
    theta : ndarray of shape (n, D)
        The parameters, about normal.

    Returns
    -------
    ndarray of shape (n, K)
        Functions of mean 0 and deviation 1.
    """
    d = theta.shape[1]
    rank = special.ndtr((theta - theta.mean(axis=0)) / _spread(theta))
    most = _WAVES.get(d, 2)
    columns = [theta, *(np.cos(np.pi * k * rank) for k in range(1, most + 1))]
    if d <= _MOST_IN_PAIRS:
        for i, j in combinations(range(d), 2):
            orders = [(a, b) for a in range(1, most) for b in range(1, most + 1 - a)]
            columns += [_wave(rank, i, a) * _wave(rank, j, b) for a, b in orders]
    functions = np.hstack(columns)
    functions -= functions.mean(axis=0)
    return functions / _spread(functions)


def moments(theta: Array) -> Array:
    """
    Compute theta, its squares and, of few parameters, products, made uncorrelated.

    Parameters
    ----------
    theta : ndarray of shape (n, D)
        The parameters.

    Returns
    -------
    ndarray of shape (n, K)
        Functions of mean 0, deviation 1 and no correlation.
    """
    d = theta.shape[1]
    pairs = combinations(range(d), 2) if d <= min(_WAVES[1], 4) else ()
    products = [theta[:, [i]] * theta[:, [j]] for i, j in pairs]
    functions = np.hstack([theta, theta**2, *products])
    return orthonormal(functions - functions.mean(axis=0))


def orthonormal(columns: Array) -> Array:
    """
    Make columns uncorrelated, of deviation 1; directions of nearly no variance are left out.

    Parameters
    ----------
    columns : ndarray of shape (n, K)
        Columns of mean 0.

    Returns
    -------
    ndarray of shape (n, at most K)
        Linear combinations of them.
    """
    values, vectors = np.linalg.eigh(columns.T @ columns / len(columns))
    kept = values > _RANK * values[-1]
    return columns @ (vectors[:, kept] / np.sqrt(values[kept]))


def _wave(rank: Array, i: int, k: int) -> Array:
    """Compute k half waves along one parameter, as a column."""
    return np.cos(np.pi * k * rank[:, [i]])


def _spread(columns: Array) -> Array:
    """Compute standard deviations, one where there is none."""
    spread = columns.std(axis=0)
    return np.where(spread > 0, spread, 1.0)
