"""All chunks of a run: where they run, what came of them, when to stop, what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from threading import Lock
from time import perf_counter
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from tqdm.auto import tqdm

from sksbi.data import SimulationStore
from sksbi.exceptions import SimulationInterrupted, SimulationWarning
from sksbi.simulation._crew import Crew
from sksbi.simulation._cut import HEAD, Cutter
from sksbi.simulation._keep import Keeping
from sksbi.simulation._places import Places
from sksbi.simulation._report import MOST_DEATHS, PATIENCE, explain, warn_dropped, warn_early
from sksbi.simulation._runner import Chunk, Failure, Runner
from sksbi.tables.simulated import Table, check_same_form, concatenate, fill, take
from sksbi.utils.types import Rows

__all__ = ["Run"]


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
        self.crew = Crew(runner, n_jobs, self.cutter.number)
        self.began, self.told = perf_counter(), False
        self.lock = Lock()
        if self.keeping is not None:
            for chunk in self.keeping.chunks(len(theta)):
                self._check_form(chunk)
                self._take_in(chunk)
        self.places = Places(self.cutter, self.keeping, self.ended, self._take_in)

    def finish(self) -> tuple[Any, Any]:
        """Run all rows that have not run; Ctrl-C gives back what has."""
        n_ended = int(self.ended.sum())
        bar = tqdm(
            total=len(self.theta), initial=n_ended, desc="simulate", disable=not self.verbose
        )
        try:
            with bar, self.places.marked():
                if effective_n_jobs(self.n_jobs) == 1 and self.runner.timeout is None:
                    self._run_here(bar)
                else:
                    self._run_in_jobs(bar)
            return self._result()
        except KeyboardInterrupt:
            raise self._interrupted() from None

    def _run_here(self, bar: Any) -> None:
        """Run the rows in this process."""
        for start, stop in self.places.pieces():
            number = self.cutter.number(start)
            self._add(self.runner(number, start, self._rows(start, stop), tick=bar.update))

    def _run_in_jobs(self, bar: Any) -> None:
        """Run the rows in joblib's jobs."""
        with closing(self.crew.chunks(self.places.pieces, self._rows)) as chunks:
            for chunk in filter(None, chunks):
                self._add(chunk)
                bar.update(int(self.ended.sum()) - bar.n)

    def _rows(self, start: int, stop: int) -> Table:
        """Take parameters."""
        return take(self.theta, slice(start, stop))

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
        """Note what has ended, and how; what others have done is found in joblib's threads."""
        with self.lock:
            self._note(chunk)

    def _note(self, chunk: Chunk) -> None:
        """Note it, one chunk at a time."""
        if self.keeping is None:
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
            self.form = self.form or chunk.form
            check_same_form(*self.form, *chunk.form)

    def _stop_where_it_must(self, first: Failure) -> None:
        """Raise the first error where one is enough, or where no row has given a result."""
        none = not self.good.any()
        if self.runner.on_error == "raise" and self.ended[: first.row].all():
            raise explain(first, self.runner, self.theta, alone=none)
        head = slice(0, HEAD)
        failed = self.ended[head].all() and not self.good[head].any()
        if failed or (none and self.crew.n_deaths == MOST_DEATHS):
            error = explain(first, self.runner, self.theta, alone=none)
            if not self.ended.all():
                error.add_note(
                    "No simulation succeeded before, so the rest was not run. If it would succeed, "
                    "put the rows of theta into random order."
                )
            raise error
        if none and not self.told and perf_counter() - self.began > PATIENCE:
            self.told = True
            warn_early(first, self.kinds, self.theta, len(self.theta))

    def _assemble(self) -> tuple[Any, Any, Rows]:
        """Put together what has ended; leave the failed rows out, or keep them."""
        keep = self.runner.on_error == "keep"
        if self.keeping is not None:
            return self.keeping.pairs(len(self.theta), keeps_failures=keep)
        rows = np.flatnonzero(self.ended if keep else self.good)
        chunks = sorted(self.chunks, key=lambda chunk: chunk.start)
        full = [(chunk.rows, chunk.values) for chunk in chunks if chunk.values is not None]
        if not full:
            return take(self.theta, rows), None, rows
        numbers = [rows for rows, _ in full]
        values = concatenate([values for _, values in full], numbers)
        places = np.searchsorted(rows, np.concatenate(numbers))
        return take(self.theta, rows), fill(values, places, len(rows)), rows

    def _result(self) -> tuple[Any, Any]:
        """Give theta and x of a run that has come to its end."""
        if self.failure is not None and self.runner.on_error == "raise":
            raise explain(self.failure, self.runner, self.theta, alone=not self.good.any())
        if self.failure is not None and self.runner.on_error == "drop":
            warn_dropped(self.failure, self.kinds, self.theta, len(self.theta))
        theta, x, _ = self._assemble()
        return theta, x

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
