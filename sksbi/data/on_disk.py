"""
Pairs that no memory need hold: read a chunk at a time, looked at as a whole by a sample.

One reading checks every row, notes which simulations have failed, and collects a sample: rows at
random, and rows that bring an extreme of a column of x, or a value that a column of few values had
not. Whatever is learnt about the data beside the network is learnt from the sample, whose size does
not depend on the number of rows.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import numpy as np
from numpy.typing import ArrayLike
from tqdm.auto import tqdm

from sksbi.data.lazy import LazyTable
from sksbi.data.noticed import Noticed, of_all
from sksbi.data.pairs import Pairs, row_numbers
from sksbi.tables.simulated import Table
from sksbi.utils.failures import are_failed
from sksbi.utils.types import Array, Mask, Rows

__all__ = ["PairsOnDisk"]

Read = Callable[[Table, Table], tuple[Array, Array]]

_READ_NUMBERS, _MOST_READ = 2**21, 16_384  # numbers and rows of a chunk
_MOST_SAMPLED, _FEWEST_SAMPLED, _SAMPLED_NUMBERS = 200_000, 1_000, 2 * 10**7


class PairsOnDisk:
    """
    Simulated pairs in lazy tables.

    Parameters
    ----------
    theta, x : LazyTable of n rows
        The pairs, as the user has them.
    read : callable
        It turns rows of both into arrays in the user's units, or raises.
    weight : ndarray of shape (n,) or None
        Non-negative weights; None: all are equal.

    Attributes
    ----------
    some : Pairs
        The sample, with its failed simulations aside. Its rows have their numbers in the tables.
    at_random : ndarray of bool, of shape (len(some),)
        Which rows of the sample were chosen at random.
    used : ndarray of bool, of shape (n,)
        Which rows are not failed, and of positive weight.
    digest : str or None
        A text that tells the pairs from others, if it was asked for.
    """

    digest: str | None
    some: Pairs
    at_random: Mask
    used: Mask

    def __init__(self, theta: LazyTable, x: LazyTable, read: Read, weight: Array | None) -> None:
        self.tables, self._read, self._weight = (theta, x), read, weight
        self._order = x.reading_order()
        width = max(1, int(np.prod(x.shape[1:])) + theta.shape[1])
        self.chunk_size = max(1, min(_MOST_READ, _READ_NUMBERS // width))
        self._n_sampled = min(_MOST_SAMPLED, max(_FEWEST_SAMPLED, _SAMPLED_NUMBERS // width))

    @property
    def n_rows(self) -> int:
        """How many rows the user's tables have."""
        return len(self)

    def __len__(self) -> int:
        return len(self.tables[0])

    def scan(
        self, generator: np.random.Generator, *, hashed: bool = False, verbose: int = 0
    ) -> PairsOnDisk:
        """
        Read all rows once.

        Parameters
        ----------
        generator : numpy.random.Generator
            Chooses the sample.
        hashed : bool, default=False
            Whether to learn the digest, too.
        verbose : int, default=0
            Whether to show a progress bar.

        Returns
        -------
        PairsOnDisk
            Itself.

        Raises
        ------
        ValueError, TypeError
            What ``read`` raises, with the place; or if fewer than two simulations have succeeded.
        """
        n = len(self)
        self.used = np.ones(n, dtype=bool) if self._weight is None else self._weight > 0
        chosen = self._choose(self.used, generator)
        noticed, parts = Noticed(), []
        digest = sha256() if self._weight is None else sha256(self._weight.tobytes())
        with tqdm(total=n, desc="read", unit="row", disable=not verbose) as bar:
            for start in range(0, n, self.chunk_size):
                rows, theta, x = self._arrays(start)
                good = self.used[rows] & ~are_failed(x)
                kept = chosen[rows] | noticed.find(x, good)
                parts.append((rows[kept], theta[kept], x[kept]))
                for array in (rows, theta, x) if hashed else ():
                    digest.update(array.tobytes())
                self.used[rows] = good
                bar.update(len(rows))
        self.digest = digest.hexdigest() if hashed else None
        if self._weight is not None:
            self._weight = self._weight / self._weight[self.used].mean()
        if 2 * np.count_nonzero(self.used & chosen) < min(self._n_sampled, int(self.used.sum())):
            known = np.zeros(n, dtype=bool)  # nearly all of the sample has failed
            known[np.concatenate([rows for rows, _, _ in parts])] = True
            more = self._choose(self.used & ~known, generator)
            parts += self._parts(more)
            chosen |= more
        self._sample(parts, chosen)
        return self

    def _choose(self, among: Mask, generator: np.random.Generator) -> Mask:
        """Choose rows for the sample."""
        rows = np.flatnonzero(among)
        chosen = np.zeros(len(self), dtype=bool)
        n = min(len(rows), self._n_sampled)
        chosen[rows[generator.choice(len(rows), n, replace=False, shuffle=False)]] = True
        return chosen

    def _parts(self, wanted: Mask) -> list[tuple[Rows, Array, Array]]:
        """Read some rows that have been looked at."""
        places = np.flatnonzero(wanted if self._order is None else wanted[self._order])
        chunks = (self.chunk(number, wanted) for number in np.unique(places // self.chunk_size))
        return [(pairs.row, pairs.theta, pairs.x) for pairs in chunks]

    def _sample(self, parts: list[tuple[Rows, Array, Array]], chosen: Mask) -> None:
        """Put the sample together."""
        row, theta, x = (np.concatenate(some) for some in zip(*parts, strict=True))
        order = np.argsort(row)
        row, theta, x = row[order], theta[order], x[order]
        weight = np.ones(len(row)) if self._weight is None else self._weight[row]
        self.some = Pairs(theta, x, weight / weight.mean(), row, n_rows=len(self)).succeeded()
        self.at_random = chosen[self.some.row]

    def include(self, rows: Rows, generator: np.random.Generator) -> Rows:
        """
        Take rows into the sample, half as many as it has at most.

        Parameters
        ----------
        rows : ndarray of int
            The rows, of the tables.
        generator : numpy.random.Generator
            Chooses among more.

        Returns
        -------
        ndarray of int
            The places in the sample of those that were taken, ascending.
        """
        rows = rows[self.used[rows]]
        most = max(1, self._n_sampled // 2)
        if len(rows) > most:
            rows = generator.choice(rows, most, replace=False, shuffle=False)
        new = np.zeros(len(self), dtype=bool)
        new[rows] = True
        new[self.some.row] = False
        everything = self.some.with_failures()
        before = everything.row, everything.theta, everything.x
        at_random = np.zeros(len(self), dtype=bool)
        at_random[self.some.row[self.at_random]] = True
        self._sample([before, *self._parts(new)], at_random)
        return self.some.find(np.sort(rows))

    def n_chunks(self) -> int:
        """Count the chunks."""
        return -(-len(self) // self.chunk_size)

    def chunk(self, number: int, wanted: Mask) -> Pairs:
        """
        Read a chunk.

        Parameters
        ----------
        number : int
            Its number.
        wanted : ndarray of bool, of shape (n,)
            The rows of the tables that are wanted.

        Returns
        -------
        Pairs
            Those of the chunk, weighted so that the mean over all that are used is 1.
        """
        rows, theta, x = self._arrays(number * self.chunk_size)
        here = wanted[rows]
        rows = rows[here]
        weight = np.ones(len(rows)) if self._weight is None else self._weight[rows]
        return Pairs(theta[here], x[here], weight, rows, n_rows=len(self))

    def _arrays(self, start: int) -> tuple[Rows, Array, Array]:
        """Read the rows of a chunk that begins somewhere; a view is read as the file has it."""
        stop = min(start + self.chunk_size, len(self))
        if self._order is None:
            rows = np.arange(start, stop)
            theta, x = (table.read(start, stop) for table in self.tables)
        else:
            rows = self._order[start:stop]
            theta, x = (table.load_rows(rows) for table in self.tables)
        try:
            return rows, *self._read(theta, x)
        except (ValueError, TypeError) as error:
            raise of_all(error, rows) from error

    def with_failures(self) -> PairsOnDisk:
        """Give all rows, failed simulations among them, as Pairs do."""
        return self

    def find(self, wanted: ArrayLike) -> Rows:
        """
        Find rows of the user's tables among these, which are all of them.

        Parameters
        ----------
        wanted : array-like of int or bool
            Numbers of rows, negative ones from the end, or a mask.

        Returns
        -------
        ndarray of int
            Their numbers.

        Raises
        ------
        IndexError
            If there are no such rows.
        """
        return row_numbers(wanted, len(self))

    def part(self, rows: Rows | None = None) -> tuple[LazyTable, LazyTable, Array | None]:
        """
        Give the tables, or some of their rows, and weights.

        Parameters
        ----------
        rows : ndarray of int or None, default=None
            Which rows; None: all.

        Returns
        -------
        tuple of (LazyTable, LazyTable, ndarray or None)
            Theta, x and weights.
        """
        if rows is None:
            return *self.tables, self._weight
        theta, x = (table[rows] for table in self.tables)
        return theta, x, None if self._weight is None else self._weight[rows]

    def blank(self) -> tuple[Array, Array]:
        """
        Make arrays of as many rows that take no memory, for those who only count rows.

        Returns
        -------
        theta : ndarray of shape (n, D)
            Zeros.
        x : ndarray of shape (n, ...)
            Zeros, too.
        """
        theta, x = (np.broadcast_to(0.0, table.shape) for table in self.tables)
        return theta, x
