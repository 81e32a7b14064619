"""The rows of a run without end: which run next, how far ahead, and what has come of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sksbi.simulation._cut import Cutter, Piece
from sksbi.simulation._runner import Chunk
from sksbi.tables.simulated import Table, take

__all__ = ["RowsAhead"]


class RowsAhead:
    """
    Rows in blocks, of which some run ahead of what is taken.

    ``pieces`` and ``theta`` are used in other threads than the rest.

    Parameters
    ----------
    draw : callable (first row, number of rows) -> Table
        Draws the parameters of a block.
    size : int
        Rows in a block.
    most : int
        How many rows may run ahead.
    cutter : Cutter
        Cuts blocks into chunks.
    """

    def __init__(
        self, draw: Callable[[int, int], Table], size: int, most: int, cutter: Cutter
    ) -> None:
        self.size, self.most, self.cutter = size, most, cutter
        self.first = 0  # the first row that has not been taken
        self._draw, self._blocks = draw, dict[int, Table]()
        self._sent = self._horizon = 0  # the first rows not sent, and not to be sent yet
        self._ended: dict[int, Chunk] = {}

    def reach(self, n_waiting: int) -> None:
        """Let rows run that are not too far ahead, if so many taken ones wait already."""
        ahead = self.first + self.most - n_waiting
        wanted = self.size * max(ahead // self.size, self.first // self.size + 1)
        for start in range(self._horizon, wanted, self.size):
            self._blocks[start] = self._draw(start, self.size)
        self._horizon = max(self._horizon, wanted)

    @property
    def has_more(self) -> bool:
        """Whether there are rows that may be sent and have not been."""
        return self._sent < self._horizon

    def pieces(self) -> Iterator[Piece | None]:
        """Cut rows that have not ended, first those that were sent before; None: wait for more."""
        lost = list(self._gaps())
        yield from self.cutter.cut(lost)
        while True:
            if not self.has_more:
                yield None
                continue
            sent, end = self._sent, self._horizon
            edges = [sent, *range(self._block(sent) + self.size, end, self.size)]
            blocks = zip(edges, [*edges[1:], end], strict=True)
            for start, stop in self.cutter.cut(blocks):
                self._sent = stop
                yield start, stop

    def _gaps(self) -> Iterator[Piece]:
        """Find rows that were sent and are lost, each piece within a block."""
        start = self.first
        while start < self._sent:
            if start in self._ended:
                start = self._ended[start].stop
                continue
            stop = min([self._block(start) + self.size, self._sent, *self._after(start)])
            yield start, stop
            start = stop

    def _after(self, start: int) -> Iterator[int]:
        """List where chunks begin that have ended, after a row."""
        return (one for one in self._ended if one > start)

    def theta(self, start: int, stop: int) -> Table:
        """Take the parameters of a piece."""
        block = self._block(start)
        return take(self._blocks[block], slice(start - block, stop - block))

    def put(self, chunk: Chunk) -> None:
        """Keep what has ended, until its turn; an interruption leaves the rest to run again."""
        if chunk.stop > chunk.start:
            self._ended[chunk.start] = chunk

    def pop(self) -> tuple[Chunk, Table] | None:
        """Take what came of the next rows, with their parameters, if they have ended."""
        chunk = self._ended.pop(self.first, None)
        if chunk is None:
            return None
        theta = self.theta(chunk.start, chunk.stop)
        self.first = chunk.stop
        for start in [start for start in self._blocks if start + self.size <= self.first]:
            del self._blocks[start]
        return chunk, theta

    def _block(self, row: int) -> int:
        """Find the first row of a row's block."""
        return row // self.size * self.size
