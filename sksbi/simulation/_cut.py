"""Rows are cut into chunks: small at first, then by what a row is measured to take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ["HEAD", "Cutter", "Piece"]

Piece = tuple[int, int]  # the first row, and the one after the last

HEAD = 100  # if so many rows fail at the start, all do: chunks end there

_VECTORIZED_SIZE = 1000  # the generator belongs to the chunk, so another size is other numbers
_TARGET, _SHORTEST = 0.3, 0.05  # seconds a chunk
_GROWTH = 32


class Cutter:
    """
    Cut rows into chunks.

    Parameters
    ----------
    chunk_size : int or None
        Rows in a chunk; None goes by time, except for vectorised simulators.
    n_jobs : int
        How many chunks run at a time; the last chunks are small enough to go round.
    vectorized : bool
        Whether the simulator takes a chunk at a time.
    """

    def __init__(self, chunk_size: int | None, n_jobs: int, *, vectorized: bool) -> None:
        self._vectorized = vectorized
        self._fixed = _VECTORIZED_SIZE if vectorized and chunk_size is None else chunk_size
        self._n_jobs = n_jobs
        self._rows = self._seconds = 0.0  # of late, so that the cost of a row may drift
        self._largest = self._asked = 0

    def number(self, start: int) -> tuple[int, ...]:
        """Number what has a generator: a row, a vectorised chunk, or the later part of one."""
        if not self._vectorized or not self._fixed:
            return (start,)
        chunk, place = divmod(start, self._fixed)
        return (chunk, place) if place else (chunk,)

    def align(self, row: int) -> int:
        """Go back to the first row of a vectorised chunk, whose numbers depend on it."""
        return row // self._fixed * self._fixed if self._vectorized and self._fixed else row

    def learn(self, n_rows: int, seconds: float) -> None:
        """Take in how long some rows took; those that failed at once are none of them."""
        if n_rows:
            self._rows = self._rows / 2 + n_rows
            self._seconds = self._seconds / 2 + seconds
            self._largest = max(self._largest, n_rows)

    def cut(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Cut pieces into chunks, each when it is asked for."""
        pieces = list(pieces)
        left = sum(stop - start for start, stop in pieces)
        for start, stop in pieces:
            while start < stop:
                end = min(start + self._size(left), stop)
                if self._vectorized and self._fixed:
                    end = min(end, (start // self._fixed + 1) * self._fixed)
                if not self._vectorized and start < HEAD < end:
                    end = HEAD
                yield start, end
                left -= end - start
                start = end

    def _size(self, left: int) -> int:
        """Choose how many rows come next."""
        if self._fixed:
            return self._fixed
        self._asked += 1
        fair = left / (2 * self._n_jobs) if self._n_jobs > 1 else left
        if not self._largest:  # some backends give no result before all are there
            return max(1, int(min(2 ** (self._asked // (4 * self._n_jobs)), fair)))
        a_second = self._rows / max(self._seconds, 1e-9)
        size = max(min(_TARGET * a_second, fair), _SHORTEST * a_second)
        return max(1, int(min(size, _GROWTH * self._largest)))
