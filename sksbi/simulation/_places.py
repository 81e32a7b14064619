"""
Where to go on: at rows that have not run, here or in another process that fills the same store.

No process claims any rows, so none can die with a claim. One that begins beside others, whose marks
lie in the folder, begins anywhere; whoever meets rows that another has done goes on somewhere else.
So what is done twice is a chunk in hand when two meet.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import randbelow, token_hex
from threading import Event, Thread
from time import perf_counter

import numpy as np

from sksbi.simulation._cut import Cutter, Piece
from sksbi.simulation._keep import Keeping
from sksbi.simulation._runner import Chunk
from sksbi.utils.types import Mask

__all__ = ["Places"]

_PAUSE, _SHARE = 1.0, 50  # seconds between looks, and their share of the time: one part in 50
_ALIVE = 300.0  # seconds after which the mark of a process is that of a dead one


class Places:
    """
    Choose the rows to run next.

    Parameters
    ----------
    cutter : Cutter
        Cuts rows into chunks.
    keeping : Keeping or None
        The store that others may fill, too.
    ended : ndarray of bool, of shape (n,)
        Which rows have ended, kept up by ``take_in``.
    take_in : callable
        It is given the chunks of others.
    """

    def __init__(
        self,
        cutter: Cutter,
        keeping: Keeping | None,
        ended: Mask,
        take_in: Callable[[Chunk], None],
    ) -> None:
        self._cutter, self._keeping = cutter, keeping
        self._ended, self._take_in = ended, take_in
        self._anywhere = False
        self._looked, self._pause = perf_counter(), _PAUSE

    @contextmanager
    def marked(self) -> Iterator[None]:
        """Leave a mark in the folder while rows run, and in the end what waits to be written."""
        if self._keeping is None or self._ended.all():  # whose folder may be for reading only
            yield
            return
        folder = self._keeping.folder
        mark = folder / f".writer-{token_hex(8)}"
        stopped = Event()
        beating = Thread(target=_touch, args=(mark, stopped), daemon=True)
        try:
            mark.touch()
            beating.start()
            now = mark.stat().st_mtime  # by the clock of the disk
            others = (path for path in folder.glob(".writer-*") if path != mark)
            self._anywhere = any(now - _changed(path) < _ALIVE for path in others)
            yield
        finally:
            stopped.set()
            mark.unlink(missing_ok=True)
            self._keeping.flush()

    def pieces(self) -> Iterator[Piece]:
        """Give rows that have not run, a chunk at a time, each once."""
        given = self._ended.copy()
        while left := _left(given | self._ended):
            if self._anywhere:
                left = _from(self._cutter.align(_any_row(left)), left)
                self._anywhere = False
            for start, stop in self._cutter.cut(left):
                self._look()
                if self._has_met_others() or self._ended[start:stop].any():
                    self._anywhere = True
                    break
                given[start:stop] = True
                yield start, stop

    def _has_met_others(self) -> bool:
        """Tell whether others have done, at the same time, what has just been done here."""
        if self._keeping is None or not self._keeping.met_others:
            return False
        self._keeping.met_others = False
        return True

    def _look(self) -> None:
        """Take in what others have done, now and then."""
        now = perf_counter()
        if self._keeping is None or now - self._looked < self._pause:
            return
        for chunk in self._keeping.news(self._ended):
            self._take_in(chunk)
        self._looked = perf_counter()
        self._pause = max(_PAUSE, _SHARE * (self._looked - now))


def _left(ended: Mask) -> list[Piece]:
    """Find the rows that have not run."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], ended, [True]])))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _any_row(left: list[Piece]) -> int:
    """Choose a row that has not run."""
    place = randbelow(sum(stop - start for start, stop in left))
    for start, stop in left:
        if place < stop - start:
            return start + place
        place -= stop - start
    return left[0][0]


def _from(row: int, left: list[Piece]) -> list[Piece]:
    """Begin at a row, and come back to those before it."""
    after = [(max(start, row), stop) for start, stop in left if stop > row]
    before = [(start, min(stop, row)) for start, stop in left if start < row]
    return after + before


def _touch(mark: Path, stopped: Event) -> None:
    """Show now and then that the process is alive, in rows of any length."""
    while not stopped.wait(_ALIVE / 5):
        with suppress(OSError):
            os.utime(mark)


def _changed(path: Path) -> float:
    """Tell when a file was last touched; one that is gone was so long ago."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
