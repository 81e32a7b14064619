"""Few enough rows to learn a scale from."""

from __future__ import annotations

import numpy as np

from sksbi.utils.types import Floats, Rows

__all__ = ["choose_rows", "some_rows"]


def some_rows(x: Floats, most_values: int, fewest: int = 1, most: int | None = None) -> Floats:
    """
    Take some rows, the same in every call.

    Parameters
    ----------
    x : ndarray of shape (n, ...)
        The rows.
    most_values : int
        The largest number of values in all rows that are taken.
    fewest, most : int, default=1 and None
        The smallest number of rows, whatever their size, if there are as many, and the largest.

    Returns
    -------
    ndarray of shape (at most n, ...)
        Some rows, in their order; x itself if they are few.
    """
    return x[choose_rows(len(x), max(1, x[:1].size), most_values, fewest, most)]


def choose_rows(
    n: int, width: int, most_values: int, fewest: int = 1, most: int | None = None
) -> slice | Rows:
    """
    Choose rows at random, the same in every call.

    Rows at even distances would see a table that repeats itself, as of scenarios in turn, in part.

    Parameters
    ----------
    n : int
        The number of rows.
    width : int
        The number of values in a row.
    most_values : int
        The largest number of values in all rows that are taken.
    fewest, most : int, default=1 and None
        The smallest number of rows, whatever their size, if there are as many, and the largest.

    Returns
    -------
    slice or ndarray of int
        The rows, ascending; a slice of all if they are few.
    """
    n_rows = max(fewest, most_values // width)
    n_rows = n_rows if most is None else min(n_rows, most)
    if n <= n_rows:
        return slice(None)
    return np.sort(np.random.default_rng(0).permutation(n)[:n_rows])
