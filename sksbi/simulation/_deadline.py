"""A simulation that does not end is interrupted, where it runs in Python."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["TimedOut", "deadline"]


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
        try:
            yield
        finally:
            armed = False
    finally:  # even if it rang just before the line above
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)
