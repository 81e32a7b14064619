"""
Workers that stay at one row, stopped from outside.

Nothing inside of a process can interrupt a loop in C. The process that began the run reads the
pages of the diary, and kills a worker that has been at the same row for too long.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from time import monotonic
from typing import cast

from sksbi.simulation._diary import Diary

__all__ = ["Watchdog"]

_LOOKS, _LONGEST = 20, 0.5  # looks a time-out, and the seconds between two at most
_GRACE = 1.5, 1.0  # a worker has so many times longer, and seconds on top, to end by itself


class Watchdog:
    """
    Kill a worker that stays at one row.

    Parameters
    ----------
    timeout : float or None
        Seconds that a row may take; None watches nothing.
    chunks : mapping of int to int, or None
        Of a vectorised simulator, the ends of the chunks that run, by their first rows.
    """

    def __init__(self, timeout: float | None, chunks: Mapping[int, int] | None) -> None:
        self._timeout, self._chunks = timeout, chunks
        self._since: dict[int, tuple[int, float]] = {}
        self.hung: list[int] = []

    @contextmanager
    def watching(self, diary: Diary | None) -> Iterator[None]:
        """Look into a diary while the block runs, until a worker has been killed."""
        self._since.clear()
        self.hung.clear()
        if self._timeout is None or diary is None:
            yield
            return
        pause, over = min(self._timeout / _LOOKS, _LONGEST), threading.Event()

        def watch() -> None:
            """Look until there is something, or an end."""
            while not self.hung and not over.wait(pause):
                self._look(diary.places())

        thread = threading.Thread(target=watch, name="sksbi-watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _look(self, places: dict[int, int]) -> None:
        """Compare with the look before."""
        now = monotonic()
        for process, row in places.items():
            before, since = self._since.get(process, (-1, now))
            if row != before:
                self._since[process] = row, now
            elif now - since > self._patience(row):
                self.hung.append(row)
                with suppress(ProcessLookupError):
                    os.kill(process, getattr(signal, "SIGKILL", signal.SIGTERM))
                return  # all others are killed with it

    def _patience(self, row: int) -> float:
        """Say how long a worker may be at a row; it should have ended by itself before that."""
        n_rows = 1 if self._chunks is None else self._chunks.get(row, row + 1) - row
        factor, more = _GRACE
        return factor * cast(float, self._timeout) * n_rows + more
