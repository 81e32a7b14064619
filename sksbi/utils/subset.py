"""Few enough rows to learn a scale from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["some_rows"]


def some_rows(
    x: NDArray[np.floating], most_values: int, fewest: int = 1, most: int | None = None
) -> NDArray[np.floating]:
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
    n_rows = max(fewest, most_values // max(1, x[:1].size))
    n_rows = n_rows if most is None else min(n_rows, most)
    return x[:: max(1, -(-len(x) // n_rows))]
