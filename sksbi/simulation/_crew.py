"""Chunks of rows in jobs, wherever they run, and what the death of a process leaves undone."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from itertools import chain
from typing import Any, cast

from joblib import delayed, effective_n_jobs

from sksbi.simulation._cut import Piece
from sksbi.simulation._diary import Diary, keeping_diary
from sksbi.simulation._runner import Chunk, Failure, Runner
from sksbi.simulation._watchdog import Watchdog
from sksbi.tables.simulated import Table
from sksbi.utils.parallel import Results, WorkerDied, running
from sksbi.utils.workers import OwnResults, OwnWorkers

__all__ = ["Crew"]

Theta = Callable[[int, int], Table]

_DIED = "the worker process died: exit, segmentation fault or memory"
_IN_VAIN = 3  # deaths in a row that no row explains


class Crew:
    """
    Run chunks in joblib's jobs; after the death of a process, all but what it was at.

    Parameters
    ----------
    runner : Runner
        The simulator.
    n_jobs : int or None
        How many chunks run at a time; never in this process, unless joblib's backend says so.
    number : callable (first row) -> tuple of int
        Numbers what has a generator.
    apart : bool, default=False
        Whether the jobs have workers of their own, where joblib's backend is loky or threads.
    """

    def __init__(
        self,
        runner: Runner,
        n_jobs: int | None,
        number: Callable[[int], tuple[int, ...]],
        *,
        apart: bool = False,
    ) -> None:
        self.n_deaths = 0
        self._own = OwnWorkers() if apart else None
        self._runner, self._n_jobs, self._number = runner, n_jobs, number
        self._sent: dict[int, int] = {}
        self._watchdog = Watchdog(runner.timeout, self._sent if runner.vectorized else None)
        self._results: Results | OwnResults | None = None
        self._all_sent = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, and nothing will before ``chunks`` is asked for more."""
        if isinstance(self._results, OwnResults):
            return False
        return self._results is None or (self._all_sent and self._results.all_ended)

    def go_on(self) -> None:
        """Send pieces that there were not before, where that is possible."""
        if isinstance(self._results, OwnResults):
            self._results.go_on()

    def chunks(
        self, pieces: Callable[[], Iterator[Piece | None]], theta: Theta
    ) -> Generator[Chunk | None, None, None]:
        """
        Run pieces until there are none.

        Parameters
        ----------
        pieces : callable
            Gives the pieces that have not run; None: there are none for the moment. It is asked
            again when all that it gave have ended. What it gives is asked for more by several
            threads, one at a time, whenever a piece has ended.
        theta : callable (first row, row after the last) -> Table
            Gives the parameters of a piece, in any thread.

        Yields
        ------
        Chunk or None
            What came of a piece, as soon as it has ended; None: jobs have begun. Leaving it, by
            ``close`` or an error, stops them.
        """
        in_vain = 0
        with keeping_diary() as diary, closing(self._own) if self._own else nullcontext():
            if diary is None and self._runner.timeout is not None:
                raise ValueError(
                    "timeout needs worker processes that can be stopped, those of joblib's backend "
                    "'loky', and parallel_config has set another: leave timeout=None there."
                )
            while True:
                todo = pieces()
                first = next(todo, None)
                if first is None:
                    return
                try:
                    yield from self._send(chain([first], todo), theta, diary)
                except WorkerDied as error:
                    suspects, are_sure = self._suspects(diary)
                    in_vain = 0 if suspects else in_vain + 1
                    if in_vain == _IN_VAIN:
                        raise RuntimeError(
                            f"The worker processes died {_IN_VAIN} times before they ran a row: "
                            "run the simulator with n_jobs=1 to see why."
                        ) from error
                    again = self._buried if are_sure else self._run_alone
                    yield from again(suspects, theta, diary)

    def _send(
        self, pieces: Iterator[Piece | None], theta: Theta, diary: Diary | None
    ) -> Iterator[Chunk | None]:
        """Send chunks to jobs, and give their results as they end."""
        runner = replace(self._runner, diary=diary.folder if diary else None)
        self._sent.clear()
        self._all_sent = False
        if diary is not None:
            diary.clear()

        def job() -> Any:
            piece = next(pieces, None)
            if piece is None:
                self._all_sent = True
                return None
            start, self._sent[start] = piece
            return delayed(runner)(self._number(start), start, theta(*piece))

        try:
            with self._running(job) as self._results, self._watchdog.watching(diary):
                if diary is not None:
                    diary.open()
                yield None
                for chunk in self._results:
                    self._sent.pop(chunk.start, None)
                    yield chunk
        finally:
            self._results = None

    def _running(self, job: Callable[[], Any]) -> AbstractContextManager[Results | OwnResults]:
        """Run jobs where they belong."""
        n_jobs = effective_n_jobs(self._n_jobs)
        if self._own is not None and self._own.are_possible():
            return self._own.running(n_jobs, job)
        jobs = iter(job, None)
        # joblib runs a single job at a time in this process, which nobody could kill.
        if n_jobs == 1:
            return running(2, jobs, in_order=False, at_once=1)
        return running(self._n_jobs, jobs, in_order=False)

    def _suspects(self, diary: Diary | None) -> tuple[list[Piece], bool]:
        """Find what ran when a process died, rows or whole chunks, and whether that is certain."""
        if self._watchdog.hung:
            rows, are_sure = list(self._watchdog.hung), True
        else:
            rows, are_sure = diary.read() if diary is not None else ([], False)
        whole = self._runner.vectorized
        return [(row, self._sent.get(row, row + 1) if whole else row + 1) for row in rows], are_sure

    def _run_alone(
        self, pieces: list[Piece], theta: Theta, diary: Diary | None
    ) -> Iterator[Chunk | None]:
        """Run what may have killed a process, each alone, until one does so again."""
        for piece in pieces:
            try:
                yield from self._send(iter([piece]), theta, diary)
            except WorkerDied:
                yield from self._buried([piece])
                return

    def _buried(self, pieces: list[Piece], *_: object) -> Iterator[Chunk]:
        """Count what killed a process as failed."""
        for start, stop in pieces:
            self.n_deaths += 1
            failure = Failure(start, RuntimeError(_DIED), "worker process died")
            if start in self._watchdog.hung:
                failure = Failure.timed_out(start, cast(float, self._runner.timeout))
            yield Chunk.of_failure(start, stop, failure)
