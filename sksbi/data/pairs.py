"""What a fit eats: simulated pairs (theta, x), their weights, and where they came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sksbi.utils.failures import are_failed
from sksbi.utils.types import Array, Rows

__all__ = ["Pairs", "row_numbers"]

_FEWEST = 2


@dataclass(frozen=True, eq=False)
class Pairs:
    """
    Simulated pairs as arrays, in the user's units.

    Parameters
    ----------
    theta : ndarray of shape (n, D)
        The parameters, inside the prior's support.
    x : ndarray of shape (n, ...)
        The observations.
    weight : ndarray of shape (n,)
        Weights of the rows, positive, of mean 1.
    row : ndarray of int, of shape (n,)
        The number of each row in the user's table, ascending.
    failed : Pairs or None, default=None
        Failed simulations that :meth:`succeeded` has set aside, weighted like the others.
    n_rows : int or None, default=None
        How many rows the user's table has; None: those that are here.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.data import Pairs
    >>> pairs = Pairs.of_positive_weight(np.eye(3), np.arange(3.0), np.array([1.0, 0.0, 3.0]))
    >>> pairs.row, pairs.weight
    (array([0, 2]), array([0.5, 1.5]))
    """

    theta: Array
    x: Array
    weight: Array
    row: Rows
    failed: Pairs | None = None
    n_rows: int | None = None

    @classmethod
    def of_positive_weight(cls, theta: Array, x: Array, weight: Array) -> Pairs:
        """
        Leave out the rows of weight zero; without any, nothing is copied.

        Parameters
        ----------
        theta : ndarray of shape (n, D)
            The parameters.
        x : ndarray of shape (n, ...)
            The observations.
        weight : ndarray of shape (n,)
            Weights of the rows, not all zero.

        Returns
        -------
        Pairs
            The rest, with weights of mean 1.
        """
        row = np.flatnonzero(weight > 0)
        pairs = cls(theta, x, weight, np.arange(len(theta)))
        if len(row) == len(weight):
            return pairs
        weight = weight[row]
        weight = weight / weight.max()  # so that equal weights become one, bit for bit
        return cls(theta[row], x[row], weight / weight.mean(), row, n_rows=len(theta))

    def __len__(self) -> int:
        return len(self.theta)

    @property
    def some(self) -> Pairs:
        """A sample of them, of a size that does not grow with theirs: in memory all of them."""
        return self

    def succeeded(self, at_least: int = _FEWEST) -> Pairs:
        """
        Set the failed simulations aside, whose x is all NaN; without any, nothing is copied.

        Parameters
        ----------
        at_least : int, default=2
            How many of the others there must be.

        Returns
        -------
        Pairs
            The others, with weights of mean 1, which remember the failed ones.

        Raises
        ------
        ValueError
            If some have failed, and too few have not.
        """
        failed = are_failed(self.x)
        if not failed.any():
            return self
        n = len(failed) - np.count_nonzero(failed)
        if n < at_least:
            raise ValueError(
                f"x must hold at least {at_least} simulations that succeeded, got {n} of "
                f"{len(failed)}: rows that are NaN throughout count as failed ones."
            )
        measure = ~failed if n else failed
        weight = self.weight / self.weight[measure].max()  # so that equal weights become one
        weight = weight / weight[measure].mean()
        rest, aside = (
            Pairs(self.theta[rows], self.x[rows], weight[rows], self.row[rows])
            for rows in (~failed, failed)
        )
        n_rows = len(self) if self.n_rows is None else self.n_rows
        return Pairs(rest.theta, rest.x, rest.weight, rest.row, aside, n_rows)

    def with_failures(self) -> Pairs:
        """
        Put the failed simulations back in their places.

        Returns
        -------
        Pairs
            All, with weights of mean 1.
        """
        if self.failed is None:
            return self
        row = np.concatenate([self.row, self.failed.row])
        order = np.argsort(row)
        theta, x, weight = (
            np.concatenate(parts)[order]
            for parts in (
                (self.theta, self.failed.theta),
                (self.x, self.failed.x),
                (self.weight, self.failed.weight),
            )
        )
        return Pairs(theta, x, weight / weight.mean(), row[order], n_rows=self.n_rows)

    def find(self, wanted: ArrayLike) -> Rows:
        """
        Find where rows of the user's table stand among these, and leave out those absent.

        Parameters
        ----------
        wanted : array-like of int or bool
            Numbers of rows, negative ones from the end, or a mask.

        Returns
        -------
        ndarray of int
            Their places.

        Raises
        ------
        IndexError
            If there are no such rows.
        """
        numbers = row_numbers(wanted, len(self) if self.n_rows is None else self.n_rows)
        return np.searchsorted(self.row, numbers[np.isin(numbers, self.row)])

    def take(self, rows: Rows) -> Pairs:
        """
        Take some rows.

        Parameters
        ----------
        rows : ndarray of int, ascending
            Which of the n.

        Returns
        -------
        Pairs
            Copies of these.
        """
        n_rows = len(self) if self.n_rows is None else self.n_rows
        some = self.theta[rows], self.x[rows], self.weight[rows], self.row[rows]
        return Pairs(*some, n_rows=n_rows)


def row_numbers(wanted: ArrayLike, n: int) -> Rows:
    """
    Tell which rows of n a user means.

    Parameters
    ----------
    wanted : array-like of int or bool
        Numbers of rows, negative ones from the end, or a mask.
    n : int
        How many there are.

    Returns
    -------
    ndarray of int
        Their numbers.

    Raises
    ------
    IndexError
        If there are no such rows.
    """
    wanted = np.asarray(wanted)
    return np.arange(n)[wanted if wanted.size else wanted.astype(np.intp)]
