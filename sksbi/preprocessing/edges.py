"""
The outermost simulations, so that an observation with hardly any beyond it is noticed.

What a network says of x is learnt from simulations about it, and at the edge there are few. Of six
problems of one column, fitted to 2,000 simulations by NLE, NPE and NRE alike, exact posteriors at
the outermost simulation and the next were missed by half a standard deviation at the median, by 1.4
in one of ten, and their width by a factor of 1.7 in one of ten; at the tenth it was 0.2 and 0.35,
and at the fiftieth 0.06 and 0.18.

An observation from the simulator is called at the edge once in a hundred calls at most: where fewer
than 0.005 n / L of n simulations of L columns, and fewer than three, are at or beyond it on a side.
All that one call asks about counts together, as so many columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sksbi.utils.batches import batches
from sksbi.utils.types import Array

__all__ = ["Edges", "name_column"]

_MOST, _LEVEL, _MOST_COLUMNS = 3, 0.01, 1_000
_VALUES = 1_000_000  # at a time


class Edges:
    """
    The lowest and highest three values of every column.

    Parameters
    ----------
    x : ndarray of shape (n, ...)
        The simulations; NaN where there is no value.
    """

    def __init__(self, x: Array) -> None:
        columns = _columns(x)
        self.n = len(columns)
        self.low, self.high = _outermost(columns[:0]), _outermost(columns[:0])
        for part in batches(self.n, max(_MOST, _VALUES // max(1, columns.shape[1]))):
            self.low = _outermost(np.concatenate([self.low, columns[part]]))
            self.high = _outermost(np.concatenate([self.high, -columns[part]]))

    def joined(self, other: Edges) -> Edges:
        """
        Take in other simulations.

        Parameters
        ----------
        other : Edges
            Theirs.

        Returns
        -------
        Edges
            Those of both.
        """
        made = Edges.__new__(Edges)
        made.n = self.n + other.n
        made.low = _outermost(np.concatenate([self.low, other.low]))
        made.high = _outermost(np.concatenate([self.high, other.high]))
        return made

    def find(self, x: Array) -> tuple[int, int, bool, int] | None:
        """
        Find the observation with the fewest simulations beyond it.

        Parameters
        ----------
        x : ndarray of shape (m, ...)
            The observations; NaN where there is no value.

        Returns
        -------
        tuple of (row, column, is_high, count) or None
            Where it is, on which side, and how many simulations are at or beyond it; None if there
            are as many as may be asked for.
        """
        columns = _columns(x)
        fewest = min(_MOST, int(_LEVEL / 2 * self.n / max(1, columns.size)))
        if fewest < 1 or columns.shape[1] > _MOST_COLUMNS:
            return None
        counts = np.stack([_count(self.low, columns), _count(self.high, -columns)])
        side, row, column = np.unravel_index(int(np.argmin(counts)), counts.shape)
        count = int(counts[side, row, column])
        return (int(row), int(column), bool(side), count) if count < fewest else None

    def describe(
        self, found: tuple[int, int, bool, int], x: Array, names: Sequence[str] | None
    ) -> str:
        """
        Say where an observation is at the edge.

        Parameters
        ----------
        found : tuple
            As :meth:`find` gives it.
        x : ndarray of shape (m, ...)
            The observations.
        names : sequence of str or None
            The names of their columns.

        Returns
        -------
        str
            A clause, such as "'wait' is 6.1, and 2 of 2000 simulations are as large or larger".
        """
        row, column, is_high, count = found
        how = "large or larger" if is_high else "small or smaller"
        verb = "are" if count == 2 else "is"
        some = "none" if count == 0 else str(count)
        name, value = name_column(column, x.shape[1:], names), _columns(x)[row, column]
        return f"{name} is {value:.6g}, and {some} of {self.n} simulations {verb} as {how}"


def name_column(column: int, shape: tuple[int, ...], names: Sequence[str] | None) -> str:
    """
    Name an element of an observation.

    Parameters
    ----------
    column : int
        Which, when they are put in a row.
    shape : tuple of int
        The shape of an observation.
    names : sequence of str or None
        The names of its columns.

    Returns
    -------
    str
        Its name in quotes, or its place, such as "x[2, 0]".
    """
    if names is not None:
        return repr(names[column])
    place = np.unravel_index(column, shape) if len(shape) > 1 else (column,)
    return "x" if not shape else f"x[{', '.join(str(int(i)) for i in place)}]"


def _columns(x: Array) -> Array:
    """Put every element of an observation into a column."""
    return x.reshape(len(x), -1)


def _outermost(columns: Array) -> Array:
    """Take the lowest three values, in order; infinite where there are fewer."""
    if columns.shape[1] > _MOST_COLUMNS:
        return columns[:0].copy()
    values = np.where(np.isnan(columns), np.inf, columns)
    if len(values) > _MOST:
        values = np.partition(values, _MOST - 1, axis=0)[:_MOST]
    return np.sort(values, axis=0)


def _count(lowest: Array, columns: Array) -> Array:
    """Count the values, three at most, that are at or below each of others; three for NaN."""
    counts = (lowest <= columns[:, None]).sum(axis=1)
    return np.where(np.isnan(columns), _MOST, counts)
