"""
A simulation that does not end, ended.

Where the interpreter runs, a timer of the system interrupts the simulator. Where it does not, as in
a loop in C, nothing inside of the process can: the process that began the run watches the pages of
the diary, and kills a worker that has been at the same row for too long.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic

__all__ = ["TimedOut", "Watchdog", "deadline"]

_LOOKS, _LONGEST = 20, 0.5  # looks a time-out, and the seconds between two at most
_GRACE = 1.5, 1.0  # a worker has so many times longer, and seconds on top, to end by itself


class TimedOut(BaseException):
    """The time of a simulation is over; no ``except Exception`` in a simulator keeps it."""


@contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Raise TimedOut in the block after some seconds, in a main thread of a system with timers."""
    is_main = threading.current_thread() is threading.main_thread()
    if seconds is None or not is_main or not hasattr(signal, "setitimer"):
        yield
        return
    armed = True

    def ring(*_: object) -> None:
        """Interrupt the block, unless it has ended in this moment."""
        if armed:
            raise TimedOut

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)  # again, if the simulator goes on
    try:
        yield
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Watchdog:
    """
    Kill workers that stay at one row.

    Parameters
    ----------
    read : callable
        Gives where every worker is, {process: row}.
    limit : callable
        Gives the seconds that a row may take.
    """

    def __init__(self, read: Callable[[], dict[int, int]], limit: Callable[[int], float]) -> None:
        self._read, self._limit = read, limit
        self._since: dict[int, tuple[int, float]] = {}
        self.hung: list[int] = []

    @contextmanager
    def watching(self, timeout: float) -> Iterator[None]:
        """Look while the block runs."""
        self._since.clear()
        self.hung.clear()
        over = threading.Event()

        def watch() -> None:
            while not self.hung and not over.wait(min(timeout / _LOOKS, _LONGEST)):
                self._look()

        thread = threading.Thread(target=watch, name="sksbi-watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _look(self) -> None:
        """Compare with the look before."""
        now = monotonic()
        for process, row in self._read().items():
            before, since = self._since.get(process, (-1, now))
            if row != before:
                self._since[process] = row, now
                continue
            factor, more = _GRACE
            if now - since > factor * self._limit(row) + more:
                self.hung.append(row)
                with suppress(ProcessLookupError):
                    os.kill(process, getattr(signal, "SIGKILL", signal.SIGTERM))
                return  # all others are killed with it
