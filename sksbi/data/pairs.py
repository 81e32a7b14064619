"""What a fit eats: simulated pairs (theta, x), their weights, and where they came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sksbi.utils.types import Array, Rows

__all__ = ["Pairs"]


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
        return cls(theta[row], x[row], weight / weight.mean(), row, len(theta))

    def __len__(self) -> int:
        return len(self.theta)

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
        return Pairs(self.theta[rows], self.x[rows], self.weight[rows], self.row[rows], n_rows)
