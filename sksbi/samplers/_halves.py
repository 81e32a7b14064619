"""Two halves of chains, of which one stands still while the other moves."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sksbi.utils.types import Array, Rows

__all__ = ["differences", "halves"]


def halves(n_chains: int, generator: np.random.Generator) -> Iterator[tuple[Rows, Rows]]:
    """
    Cut the chains into two halves at random.

    Parameters
    ----------
    n_chains : int
        The number of chains.
    generator : numpy.random.Generator
        Where the cut comes from.

    Yields
    ------
    mine : ndarray of int
        The chains that move.
    others : ndarray of int
        Those that stand still.
    """
    order = generator.permutation(n_chains)
    first, second = order[: n_chains // 2], order[n_chains // 2 :]
    yield first, second
    yield second, first


def differences(others: Array, n: int, generator: np.random.Generator) -> Array:
    """
    Draw differences between two chains of the same target.

    Parameters
    ----------
    others : ndarray of shape (m, k, D)
        The chains that stand still, at least two.
    n : int
        How many differences of every target.
    generator : numpy.random.Generator
        Chooses the pairs.

    Returns
    -------
    ndarray of shape (m, n, D)
        The differences of two distinct chains, either sign as likely as the other.
    """
    m, k, _ = others.shape
    rows = np.arange(m)[:, None]
    a = generator.integers(k, size=(m, n))
    b = (a + generator.integers(1, k, size=(m, n))) % k
    return others[rows, a] - others[rows, b]
