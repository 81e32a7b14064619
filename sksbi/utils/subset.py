"""Few enough rows to learn a scale from."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["some_rows", "spaced"]

Value = TypeVar("Value", bound=np.generic)


def some_rows(
    x: NDArray[Value], most_values: int, fewest: int = 1, most: int | None = None
) -> NDArray[Value]:
    """
    Take rows at even distances.

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
        A view of some rows, of all if they are few.
    """
    return x[spaced(len(x), max(1, x[:1].size), most_values, fewest, most)]


def spaced(n: int, width: int, most_values: int, fewest: int = 1, most: int | None = None) -> slice:
    """
    Choose rows at even distances.

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
    slice
        The rows; all if they are few.
    """
    n_rows = max(fewest, most_values // width)
    n_rows = n_rows if most is None else min(n_rows, most)
    return slice(None, None, max(1, -(-n // n_rows)))
