"""
What worker processes were at when one of them died.

When a process dies, loky kills the others and reports that one died, not which. Every worker keeps
the number of the row that it is at in a file named by its process id, which outlives it; the exit
codes tell the one that died from those that were killed, but where the system kills for memory.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

from sksbi.simulation._runner import PLACE
from sksbi.utils.parallel import workers_may_die

__all__ = ["Diary", "keeping_diary"]


class Diary:
    """
    Pages that worker processes fill in.

    Parameters
    ----------
    folder : str
        Where they lie.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._workers: list[BaseProcess] = []

    def open(self) -> None:
        """Remember the present workers: once they are dead, nobody lists them."""
        self._workers = list(multiprocessing.active_children())

    def clear(self) -> None:
        """Remove the pages of the dead."""
        for name in os.listdir(self.folder):
            os.unlink(os.path.join(self.folder, name))

    def places(self) -> dict[int, int]:
        """Tell which row every process is at, or was when it died."""
        at = {}
        for name in os.listdir(self.folder):
            with open(os.path.join(self.folder, name), "rb") as file:
                page = file.read()
            if len(page) == PLACE.size and (row := PLACE.unpack(page)[0]) >= 0:
                at[int(name)] = row
        return at

    def read(self) -> tuple[list[int], bool]:
        """Tell which rows the dead were at, and whether they are those that died by themselves."""
        at = self.places()
        guilty = [at[pid] for pid in self._died() if pid in at]
        return (guilty, True) if guilty else (list(at.values()), len(at) == 1)

    def _died(self) -> list[int]:
        """List the processes that ended, but not by being killed."""
        killed = getattr(signal, "SIGKILL", None)
        if killed is None:  # on Windows the codes do not tell
            return []
        codes = {worker.pid: worker.exitcode for worker in self._workers}
        return [pid for pid, code in codes.items() if pid and code not in (None, -killed)]


@contextmanager
def keeping_diary() -> Iterator[Diary | None]:
    """Keep a diary if the backend tells of the death of a worker."""
    if not workers_may_die():
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="sksbi-", ignore_cleanup_errors=True) as folder:
        yield Diary(folder)
