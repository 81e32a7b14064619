"""All chunks of a run: where they run, what came of them, when to stop, what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from time import perf_counter
from typing import Any, cast

import numpy as np
import pandas as pd
from joblib import delayed, effective_n_jobs
from tqdm.auto import tqdm

from sksbi.data import SimulationStore
from sksbi.exceptions import SimulationInterrupted, SimulationWarning
from sksbi.simulation._cut import HEAD, Cutter, Piece
from sksbi.simulation._diary import Diary, keeping_diary
from sksbi.simulation._keep import Keeping
from sksbi.simulation._report import explain, warn_dropped, warn_early
from sksbi.simulation._runner import Chunk, Failure, Runner
from sksbi.simulation._watchdog import Watchdog
from sksbi.tables.simulated import Table, check_same_form, concatenate, fill, form_of, take
from sksbi.utils.parallel import WorkerDied, running
from sksbi.utils.types import Mask, Rows

__all__ = ["Run"]

_DEATHS = 5  # so many rows that kill their process, and none with a result: all will
_DIED = "the worker process died: exit, segmentation fault or memory"
_IN_VAIN = 3  # deaths in a row that no row explains
_PATIENCE = 30.0  # seconds without a result after which the first error is told


class Run:
    """
    Run a simulator with every row of theta.

    Parameters
    ----------
    runner : Runner
        The simulator.
    theta : ndarray or DataFrame of shape (n, D)
        The parameters.
    chunk_size : int or None
        Rows in a chunk.
    n_jobs : int or None
        How many chunks run at a time.
    verbose : int
        Whether to show a progress bar.
    store : SimulationStore or None, default=None
        Where chunks are kept as they end, and where those are that have ended before.
    check : callable or None, default=None
        It is given the first results, and raises if the run should not go on.
    """

    def __init__(
        self,
        runner: Runner,
        theta: Table,
        chunk_size: int | None,
        n_jobs: int | None,
        verbose: int,
        store: SimulationStore | None = None,
        check: Callable[[Table], Any] | None = None,
    ) -> None:
        self.runner = runner
        self.keeping = None if store is None else Keeping(store)
        self.theta = theta
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.check = check
        self.chunks: list[Chunk] = []
        self.ended = np.zeros(len(theta), dtype=bool)
        self.good = np.zeros(len(theta), dtype=bool)
        self.cutter = Cutter(chunk_size, effective_n_jobs(n_jobs), vectorized=runner.vectorized)
        self.kinds: Counter[str] = Counter()
        self.failure: Failure | None = None
        self.form: tuple[str, int] | None = None
        self.sent: dict[int, int] = {}
        self.watchdog = Watchdog(runner.timeout, self.sent if runner.vectorized else None)
        self.n_deaths = 0
        self.began, self.told = perf_counter(), False
        if self.keeping is not None:
            for chunk in self.keeping.chunks(len(theta)):
                self._take_in(chunk)

    def finish(self) -> tuple[Table, Table]:
        """Run all rows that have not run; Ctrl-C gives back what has."""
        n_ended = int(self.ended.sum())
        bar = tqdm(
            total=len(self.theta), initial=n_ended, desc="simulate", disable=not self.verbose
        )
        try:
            with bar:
                if effective_n_jobs(self.n_jobs) == 1 and self.runner.timeout is None:
                    self._run_here(bar)
                else:
                    self._run_in_jobs(bar)
            return self._result()
        except KeyboardInterrupt:
            raise self._interrupted() from None

    def _run_here(self, bar: Any) -> None:
        """Run the rows in this process."""
        for start, stop in self.cutter.cut(_left(self.ended)):
            rows = slice(start, stop)
            number = self.cutter.number(start)
            self._add(self.runner(number, start, take(self.theta, rows), tick=bar.update))

    def _run_in_jobs(self, bar: Any) -> None:
        """Run the rows in joblib's jobs; after the death of a process, all but what it was at."""
        in_vain = 0
        with keeping_diary() as diary:
            if diary is None and self.runner.timeout is not None:
                raise ValueError(
                    "timeout needs worker processes that can be stopped, those of joblib's backend "
                    "'loky', and parallel_config has set another: leave timeout=None there."
                )
            while left := _left(self.ended):
                try:
                    self._send(self.cutter.cut(left), diary, bar)
                except WorkerDied as error:
                    pieces, are_sure = self._suspects(diary)
                    in_vain = 0 if pieces else in_vain + 1
                    if in_vain == _IN_VAIN:
                        raise RuntimeError(
                            f"The worker processes died {_IN_VAIN} times before they ran a row: "
                            "run the simulator with n_jobs=1 to see why."
                        ) from error
                    self._bury(pieces, bar) if are_sure else self._run_alone(pieces, diary, bar)

    def _send(self, pieces: Iterable[Piece], diary: Diary | None, bar: Any) -> None:
        """Send chunks to joblib's jobs and take in their results as they end."""
        runner = replace(self.runner, diary=diary.folder if diary else None)
        self.sent.clear()
        if diary is not None:
            diary.clear()

        def jobs() -> Iterator[Any]:
            for start, stop in pieces:
                self.sent[start] = stop
                number = self.cutter.number(start)
                yield delayed(runner)(number, start, take(self.theta, slice(start, stop)))

        # joblib runs a single job at a time in this process, which nobody could kill.
        n_jobs, at_once = self.n_jobs, None
        if effective_n_jobs(n_jobs) == 1:
            n_jobs, at_once = 2, 1
        with (
            running(n_jobs, jobs(), in_order=False, at_once=at_once) as results,
            self.watchdog.watching(diary),
        ):
            if diary is not None:
                diary.open()
            for chunk in results:
                self._add(chunk)
                bar.update(chunk.stop - chunk.start)

    def _suspects(self, diary: Diary | None) -> tuple[list[Piece], bool]:
        """Find what ran when a process died, rows or whole chunks, and whether that is certain."""
        if self.watchdog.hung:
            rows, are_sure = list(self.watchdog.hung), True
        else:
            rows, are_sure = diary.read() if diary is not None else ([], False)
        whole = self.runner.vectorized
        return [(row, self.sent[row] if whole else row + 1) for row in rows], are_sure

    def _run_alone(self, pieces: list[Piece], diary: Diary | None, bar: Any) -> None:
        """Run what may have killed a process, each alone, until one does so again."""
        for piece in pieces:
            try:
                self._send([piece], diary, bar)
            except WorkerDied:
                self._bury([piece], bar)
                return

    def _bury(self, pieces: list[Piece], bar: Any) -> None:
        """Count what killed a process as failed."""
        for start, stop in pieces:
            self.n_deaths += 1
            failure = Failure(start, RuntimeError(_DIED), "worker process died")
            if start in self.watchdog.hung:
                failure = Failure.timed_out(start, cast(float, self.runner.timeout))
            bar.update(stop - start)
            self._add(Chunk.of_failure(start, stop, failure))

    def _add(self, chunk: Chunk) -> None:
        """Take in a chunk; raise if the run should not go on."""
        self._check_form(chunk)
        self._take_in(chunk)
        self.cutter.learn(len(chunk.rows), chunk.seconds)
        if self.failure is not None:
            self._stop_where_it_must(self.failure)
        if self.keeping is not None and chunk.stop > chunk.start:
            self.keeping.keep(chunk, any_good=bool(self.good.any()))
        if self.check is not None and chunk.values is not None:
            self.check(chunk.values)
            self.check = None
        if chunk.interrupted:
            raise KeyboardInterrupt

    def _take_in(self, chunk: Chunk) -> None:
        """Note what has ended, and how."""
        # An error holds the frames it came through, and so whatever the simulator had made.
        self.chunks.append(replace(chunk, failure=None, lost=[]))
        self.ended[chunk.start : chunk.stop] = True
        self.good[chunk.rows] = True
        self.kinds += Counter(kind for _, kind, _ in chunk.lost)
        if chunk.failure and (self.failure is None or chunk.failure.row < self.failure.row):
            self.failure = chunk.failure

    def _check_form(self, chunk: Chunk) -> None:
        """Check that all chunks have results of the same shape or names."""
        if chunk.values is not None:
            table = chunk.values
            one = table if isinstance(table, pd.DataFrame) else table[0]
            form = form_of(one), int(chunk.rows[0])
            self.form = self.form or form
            check_same_form(*self.form, *form)

    def _stop_where_it_must(self, first: Failure) -> None:
        """Raise the first error where one is enough, or where no row has given a result."""
        none = not self.good.any()
        if self.runner.on_error == "raise" and self.ended[: first.row].all():
            raise explain(first, self.runner, self.theta, alone=none)
        head = slice(0, HEAD)
        failed = self.ended[head].all() and not self.good[head].any()
        if failed or (none and self.n_deaths == _DEATHS):
            error = explain(first, self.runner, self.theta, alone=none)
            if not self.ended.all():
                error.add_note(
                    "No simulation succeeded before, so the rest was not run. If it would succeed, "
                    "put the rows of theta into random order."
                )
            raise error
        if none and not self.told and perf_counter() - self.began > _PATIENCE:
            self.told = True
            warn_early(first, self.kinds, self.theta)

    def _assemble(self) -> tuple[Table, Table | None, Rows]:
        """Put together what has ended; leave the failed rows out, or keep them."""
        keep = self.runner.on_error == "keep"
        rows = np.flatnonzero(self.ended if keep else self.good)
        chunks = sorted(self.chunks, key=lambda chunk: chunk.start)
        full = [(chunk.rows, chunk.values) for chunk in chunks if chunk.values is not None]
        if not full:
            return take(self.theta, rows), None, rows
        numbers = [rows for rows, _ in full]
        values = concatenate([values for _, values in full], numbers)
        places = np.searchsorted(rows, np.concatenate(numbers))
        return take(self.theta, rows), fill(values, places, len(rows)), rows

    def _result(self) -> tuple[Table, Table]:
        """Give theta and x of a run that has come to its end."""
        if self.failure is not None and self.runner.on_error == "drop":
            warn_dropped(self.failure, self.kinds, self.theta, len(self.theta))
        theta, x, _ = self._assemble()
        return theta, cast(Table, x)

    def _interrupted(self) -> SimulationInterrupted:
        """Make the exception that gives back what is done, and can go on."""
        theta, x, rows = self._assemble()
        left = take(self.theta, ~self.ended)
        stop = SimulationInterrupted.of(theta, x, rows, left, self.finish)
        if self.failure is not None and self.runner.on_error == "drop":
            n = int(np.count_nonzero(self.ended))
            with suppress(SimulationWarning):  # where warnings are errors, nothing may be lost
                warn_dropped(self.failure, self.kinds, self.theta, n)
        return stop


def _left(ended: Mask) -> list[Piece]:
    """Find the rows that have not run."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], ended, [True]])))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
