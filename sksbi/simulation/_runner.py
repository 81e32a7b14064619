"""One chunk of rows through the simulator, in whatever process."""

from __future__ import annotations

import inspect
import mmap
import os
import pickle
import struct
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, cast

import numpy as np
import pandas as pd

from sksbi.data.parts import Lost
from sksbi.simulation._deadline import TimedOut, deadline
from sksbi.tables.returned import check_table, check_value
from sksbi.tables.simulated import Table, Value, form_of, gaps, stack, take, take_row
from sksbi.utils.types import Rows

__all__ = ["PLACE", "Chunk", "Failure", "Runner", "takes_rng"]

PLACE = struct.Struct("q")  # the number of a row, in the diary


@dataclass(frozen=True)
class Failure:
    """A row that failed, its error, and how to count it."""

    row: int
    error: Exception
    kind: str

    @classmethod
    def of(cls, row: int, error: BaseException) -> Failure:
        """Make the failure of what the simulator raised; SystemExit would end the user's script."""
        kind = type(error).__name__
        if isinstance(error, Exception):
            return cls(row, error, kind)
        told = RuntimeError(f"{kind}: {error}")
        told.__cause__ = error
        return cls(row, told, kind)

    @classmethod
    def returned(cls, row: int, what: str) -> Failure:
        """Make the failure of a row whose result is none."""
        return cls(row, ValueError(f"the simulator returned {what}"), f"returned {what}")

    @classmethod
    def timed_out(cls, row: int, timeout: float) -> Failure:
        """Make the failure of a row that did not end in time."""
        error = TimeoutError(f"the simulation took longer than timeout={timeout:g} seconds")
        return cls(row, error, "timed out")

    def lost(self, row: int) -> Lost:
        """Tell in words what a row failed of."""
        return row, self.kind, f"{type(self.error).__name__}: {self.error}"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the traceback as text, and with an error that any process can load."""
        trace = "".join(traceback.format_exception(self.error))
        try:
            error = pickle.loads(pickle.dumps(self.error))
        except Exception:
            error = RuntimeError(f"{type(self.error).__name__}: {self.error}")
        return _restore_failure, (self.row, error, self.kind, trace)


def _restore_failure(row: int, error: Exception, kind: str, trace: str) -> Failure:
    """Load a failure from another process; a note keeps the traceback that pickle drops."""
    error.add_note(f"Where the simulator ran:\n{trace}")
    return Failure(row, error, kind)


@dataclass(frozen=True)
class Chunk:
    """What came of the rows from start to stop: the good ones, and which failed of what."""

    start: int
    stop: int
    rows: Rows = field(default_factory=lambda: np.zeros(0, dtype=int))
    values: Table | None = None
    failure: Failure | None = None  # the first one
    lost: list[Lost] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False

    @classmethod
    def of_failure(cls, start: int, stop: int, failure: Failure) -> Chunk:
        """Make a chunk of which nothing came."""
        lost = [failure.lost(row) for row in range(start, stop)]
        return cls(start, stop, failure=failure, lost=lost)

    @property
    def form(self) -> tuple[str, int]:
        """The shape or the names of the results, in words, and the first row that has one."""
        table = cast(Table, self.values)
        return form_of(table if isinstance(table, pd.DataFrame) else table[0]), int(self.rows[0])


@dataclass(frozen=True, eq=False)  # dask hashes it, and not every simulator has a hash by value
class Runner:
    """A simulator with all that is needed to run one chunk in any process."""

    simulator: Callable[..., Any]
    vectorized: bool
    takes_rng: bool
    on_error: str
    entropy: list[int]
    timeout: float | None = None  # seconds a row
    diary: str | None = None  # a folder with a page a process, which outlives the process

    def __call__(
        self, number: tuple[int, ...], start: int, theta: Table, tick: Callable[[int], Any] = int
    ) -> Chunk:
        """Run one chunk, whose first row is the row ``start`` of all."""
        began = perf_counter()
        with self._writing() as begin:
            run = self._run_whole if self.vectorized else self._run_rows
            chunk = run(number, start, theta, begin, tick)
        if chunk.values is not None:
            chunk = self._without_gaps(chunk, chunk.values)
        return replace(chunk, seconds=perf_counter() - began)

    @contextmanager
    def _writing(self) -> Iterator[Callable[[int], None]]:
        """Open this process's page of the diary: the row that it is at, or -1."""
        if self.diary is None:
            yield lambda row: None
            return
        with open(os.path.join(self.diary, str(os.getpid())), "w+b") as file:
            file.write(PLACE.pack(-1))
            file.flush()
            with mmap.mmap(file.fileno(), 0) as page:
                yield lambda row: PLACE.pack_into(page, 0, row)
                PLACE.pack_into(page, 0, -1)

    def _run_whole(
        self,
        number: tuple[int, ...],
        start: int,
        theta: Table,
        begin: Callable[[int], None],
        tick: Callable[[int], Any],
    ) -> Chunk:
        """Give the whole chunk to a vectorised simulator."""
        stop = start + len(theta)
        begin(start)
        try:
            result, failure = self._call(number, start, theta)
        except KeyboardInterrupt:
            return Chunk(start, start, interrupted=True)
        tick(len(theta))
        if failure is not None:
            return Chunk.of_failure(start, stop, failure)
        rows = np.arange(start, stop)
        return Chunk(start, stop, rows, check_table(result, len(theta), start))

    def _run_rows(
        self,
        number: tuple[int, ...],
        start: int,
        theta: Table,
        begin: Callable[[int], None],
        tick: Callable[[int], Any],
    ) -> Chunk:
        """Give the rows to the simulator one by one; Ctrl-C keeps those that have ended."""
        ended: list[Value | Lost] = []
        first, interrupted = None, False
        try:
            for row in range(start, start + len(theta)):
                begin(row)
                result, failure = self._call((row,), row, take_row(theta, row - start))
                first = first or failure
                ended.append(failure.lost(row) if failure else check_value(result, row))
                tick(1)
                if failure is not None and self.on_error == "raise":
                    break
        except KeyboardInterrupt:
            interrupted = True
        stop = start + len(ended)
        results = {row: end for row, end in enumerate(ended, start) if not isinstance(end, tuple)}
        return Chunk(
            start,
            stop,
            np.array(list(results), dtype=int),
            stack(list(results), list(results.values())),
            first if first is not None and first.row < stop else None,
            [end for end in ended if isinstance(end, tuple)],
            interrupted=interrupted,
        )

    def _call(
        self, key: tuple[int, ...], row: int, theta: Table | pd.Series
    ) -> tuple[Any, Failure | None]:
        """Call the simulator; whatever it raises, None and a bare NaN are failures."""
        options = {}
        if self.takes_rng:
            seed = np.random.SeedSequence(self.entropy, spawn_key=key)
            options["rng"] = np.random.default_rng(seed)
        try:
            with deadline(self.limit(len(theta) if self.vectorized else 1)):
                result = self.simulator(theta, **options)
        except KeyboardInterrupt:
            raise
        except TimedOut:
            return None, Failure.timed_out(row, cast(float, self.timeout))
        except BaseException as error:
            return None, Failure.of(row, error)
        if result is None:
            return None, Failure.returned(row, "None")
        if pd.api.types.is_scalar(result) and pd.isna(result):
            return None, Failure.returned(row, "NaN")
        return result, None

    def limit(self, n_rows: int) -> float | None:
        """Say how many seconds a call with so many rows may take."""
        return None if self.timeout is None else self.timeout * n_rows

    def _without_gaps(self, chunk: Chunk, values: Table) -> Chunk:
        """Count rows with NaN or inf as failed; those with some NaN only where they are dropped."""
        some, all_missing, infinite = gaps(values)
        missing = all_missing if self.on_error == "keep" else some
        bad = missing | infinite
        if not bad.any():
            return chunk
        first = int(np.flatnonzero(bad)[0])
        failure = Failure.returned(int(chunk.rows[first]), "NaN" if missing[first] else "inf")
        if chunk.failure is not None and chunk.failure.row < failure.row:
            failure = chunk.failure
        lost = [
            Failure.returned(row, "NaN" if gone else "inf").lost(row)
            for row, gone in zip(chunk.rows[bad].tolist(), missing[bad], strict=True)
        ]
        return replace(
            chunk,
            rows=chunk.rows[~bad],
            values=None if bad.all() else take(values, ~bad),
            failure=failure,
            lost=sorted(chunk.lost + lost),
        )


def takes_rng(simulator: Callable[..., Any]) -> bool:
    """Tell whether the simulator has a parameter named rng."""
    if not callable(simulator):
        raise TypeError(f"simulator must be callable, got {simulator!r}.")
    try:
        return "rng" in inspect.signature(simulator).parameters
    except (TypeError, ValueError):  # many functions written in C have no signature
        return False
