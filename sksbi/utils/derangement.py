"""Orders of rows in which no row meets its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sksbi.utils.types import Array

__all__ = ["derangement"]


def derangement(theta: Array, generator: np.random.Generator) -> NDArray[np.int64]:
    """
    Draw, for every row, another row with another theta.

    The rows are brought into a random order in which equal ones stand together, and each takes the
    one that stands so many places further on as the most frequent theta has rows. Every row is
    taken once.

    Parameters
    ----------
    theta : ndarray of shape (n, D)
        The rows.
    generator : numpy.random.Generator
        Where the order comes from.

    Returns
    -------
    ndarray of shape (n,), int
        The numbers of the other rows.

    Raises
    ------
    ValueError
        If one theta stands in more than half of the rows, or there is one row only.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.utils.derangement import derangement
    >>> theta = np.array([[0.0], [0.0], [1.0], [1.0]])
    >>> sorted(derangement(theta, np.random.default_rng(0))[:2].tolist())
    [2, 3]
    """
    n = len(theta)
    if n < 2:
        raise ValueError(
            f"theta must have at least 2 rows of positive weight to be paired, got {n}."
        )
    _, group, counts = np.unique(theta, axis=0, return_inverse=True, return_counts=True)
    if 2 * counts.max() > n:
        raise ValueError(
            "theta must not have the same value in more than half of its rows, as every x is "
            f"compared with another theta: {counts.max()} of {n} rows are equal."
        )
    place = generator.permutation(len(counts))[group.ravel()]
    order = np.lexsort([generator.permutation(n), place])
    others = np.empty(n, dtype=np.int64)
    others[order] = np.roll(order, -counts.max())
    return others
