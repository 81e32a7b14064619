"""Cutting many rows into batches that fit into memory, or that a network evaluates at once."""

from __future__ import annotations

__all__ = ["EVALUATION_BATCH", "batches"]

# Up to here a batch gives the same bits with one thread and with many.
EVALUATION_BATCH = 512


def batches(n: int, size: int) -> list[slice]:
    """
    Cut n rows into batches.

    Parameters
    ----------
    n : int
        The number of rows.
    size : int
        The largest number of rows in a batch; below 1 it counts as 1.

    Returns
    -------
    list of slice
        The batches, in order; none for no rows.

    Examples
    --------
    >>> from sksbi.utils.batches import batches
    >>> batches(5, 2)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    size = max(1, size)
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]
