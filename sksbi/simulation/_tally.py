"""Failures of a run without end, in the order of its rows: what is told of them, and when."""

from __future__ import annotations

from collections import Counter, deque
from time import perf_counter
from typing import NamedTuple

from sksbi.simulation._cut import HEAD
from sksbi.simulation._report import MOST_DEATHS, PATIENCE, explain, warn_dropped, warn_early
from sksbi.simulation._runner import Chunk, Failure, Runner
from sksbi.tables.simulated import Table, take

__all__ = ["Tally"]

# Chance does not make so many failures in a row: thirty times as many as a success took so far.
_HOPELESS, _TIMES = 1_000, 30
_TELL_AGAIN = 10  # times as many rows


class _Failed(NamedTuple):
    """A failure, and the parameters from its row on."""

    failure: Failure
    theta: Table

    @classmethod
    def of(cls, failure: Failure, chunk: Chunk, theta: Table) -> _Failed:
        """Keep the first of a chunk."""
        at = failure.row - chunk.start
        return cls(failure, take(theta, slice(at, at + 2)))


class Tally:
    """
    Count failures, warn of them, and raise the first where a run should not go on.

    Parameters
    ----------
    runner : Runner
        The simulator.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._n_rows = self._calls = self._good_calls = 0
        self._streak_rows = self._streak_calls = 0  # since the last success
        self._first: _Failed | None = None
        self._since: _Failed | None = None  # the first of the streak
        self._lost: deque[tuple[int, str]] = deque()
        self._kinds: Counter[str] = Counter()
        self._told_at = self._n_told = 0
        self._began, self._told_early = perf_counter(), False

    def add(self, chunk: Chunk, theta: Table) -> None:
        """Take in what came of the next rows."""
        failed = None if chunk.failure is None else _Failed.of(chunk.failure, chunk, theta)
        self._first = self._first or failed
        self._lost.extend((row, kind) for row, kind, _ in chunk.lost)
        n_good, n = len(chunk.rows), chunk.stop - chunk.start
        n_calls = 1 if self._runner.vectorized else n
        self._n_rows += n
        self._calls += n_calls
        if not n_good:
            self._streak_rows += n
            self._streak_calls += n_calls
            self._since = self._since or failed
            return
        self._good_calls += min(n_good, n_calls)
        self._streak_rows = chunk.stop - 1 - int(chunk.rows[-1])
        self._streak_calls = 0 if self._runner.vectorized else self._streak_rows
        self._since = None

    def stop_where_it_must(self, n_deaths: int) -> None:
        """
        Raise the first error where one is enough, or where no row gives a result.

        Parameters
        ----------
        n_deaths : int
            How many rows have killed their process.
        """
        first = self._first
        if first is None:
            return
        none = self._good_calls == 0
        if self._runner.on_error == "raise" or (
            none and (self._n_rows >= HEAD or n_deaths >= MOST_DEATHS)
        ):
            raise self._explained(first, alone=none)
        since = self._since or first
        before = self._calls - self._streak_calls
        by_chance = self._streak_calls * self._good_calls < _TIMES * before
        if not none and not by_chance and self._streak_rows >= _HOPELESS:
            error = self._explained(since, alone=False)
            error.add_note(f"The last {self._streak_rows} simulations have all failed.")
            raise error
        if none and not self._told_early and perf_counter() - self._began > PATIENCE:
            self._told_early = True
            kinds = Counter(kind for _, kind in self._lost)
            warn_early(first.failure, kinds, first.theta, self._n_rows, first.failure.row)

    def _explained(self, failed: _Failed, *, alone: bool) -> Exception:
        """Note at an error where it was."""
        failure, theta = failed
        return explain(failure, self._runner, theta, alone=alone, start=failure.row)

    def warn(self, n_rows: int) -> None:
        """
        Warn of rows that were left out, at first and again after ten times as many rows.

        Parameters
        ----------
        n_rows : int
            How many rows have been used up.
        """
        while self._lost and self._lost[0][0] < n_rows:
            self._kinds[self._lost.popleft()[1]] += 1
        n_lost = self._kinds.total()
        if self._first is None or self._runner.on_error != "drop" or n_lost == self._n_told:
            return
        if n_rows >= _TELL_AGAIN * self._told_at:
            self._told_at, self._n_told = n_rows, n_lost
            failure, theta = self._first
            warn_dropped(failure, self._kinds, theta, n_rows, failure.row)
