"""What a run keeps in a store, what it finds there, and whether that is the same run."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from sksbi.data import LazyTable, SimulationStore, lazy_pairs
from sksbi.data.parts import Lost, Part
from sksbi.exceptions import SimulationWarning
from sksbi.priors import Prior
from sksbi.priors.trace import trace
from sksbi.simulation._runner import Chunk, Failure
from sksbi.tables.simulated import Table, concatenate, take
from sksbi.utils.types import Mask, RandomState, Rows
from sksbi.utils.warn import warn_user

__all__ = [
    "Keeping",
    "check_same_run",
    "extend_with",
    "find_theta",
    "more_theta",
    "settings_of",
    "theta_of",
]

_WAIT, _MOST_WAITING = 0.25, 2**16  # seconds of simulations, and numbers
_TRACE, _CLOSE = 5, 1e-9
_OF_THETA = 1  # the generator of more parameters, beside those of rows


class Keeping:
    """
    Keep chunks in a store, those of nothing but failures as soon as some row has succeeded.

    A file that reaches the disk takes milliseconds, so short chunks wait for each other, a quarter
    of a second at most: less than what a long chunk loses when a process is killed.

    Parameters
    ----------
    store : SimulationStore
        The store.
    """

    def __init__(self, store: SimulationStore) -> None:
        self._store = store
        self.folder = store.path
        self._waiting: list[Chunk] = []
        self._any_good = False
        self.met_others = False  # who have just done the same rows

    def keep(self, chunk: Chunk, *, any_good: bool) -> None:
        """Write a chunk, or let it wait."""
        self._waiting.append(chunk)
        self._any_good = any_good  # if all fail, the simulator is wrong, not theta
        numbers = sum(c.values.size for c in self._waiting if c.values is not None)
        if sum(c.seconds for c in self._waiting) > _WAIT or numbers > _MOST_WAITING:
            self.flush()

    def flush(self) -> None:
        """Write what waits, chunks that follow each other into one part."""
        self._waiting.sort(key=lambda chunk: chunk.start)
        while self._any_good and self._waiting:
            n = next(
                (i for i, (a, b) in enumerate(pairwise(self._waiting), 1) if a.stop != b.start),
                len(self._waiting),
            )
            self.met_others |= self._store.add(_part_of(self._waiting[:n]))
            del self._waiting[:n]

    def chunks(self, n_rows: int) -> Iterator[Chunk]:
        """Find what has ended before; values are read of the first, and where some have failed."""
        is_known = False
        for entry in self._store.index(n_rows):
            if is_known and not entry.n_lost:
                yield Chunk(entry.start, entry.stop, np.arange(entry.start, entry.stop))
                continue
            part = self._store.read(entry)
            is_known = is_known or part.values is not None
            failure = Failure(*_told(part.lost)) if part.lost else None
            yield Chunk(entry.start, entry.stop, part.rows, part.values, failure, part.lost)

    def news(self, ended: Mask) -> Iterator[Chunk]:
        """Find what others have done since, of rows that have not ended here."""
        for entry in self._store.index(len(ended)):
            before = ended[entry.start : entry.stop]
            if before.all():
                continue
            rows, lost = np.arange(entry.start, entry.stop), []
            if entry.n_lost:
                part = self._store.read(entry)
                rows, lost = part.rows, [one for one in part.lost if not ended[one[0]]]
            failure = Failure(*_told(lost)) if lost else None
            yield Chunk(entry.start, entry.stop, rows, None, failure, lost)

    def pairs(
        self, n_rows: int, *, keeps_failures: bool
    ) -> tuple[LazyTable, LazyTable | None, Rows]:
        """Open what has ended, without reading it."""
        return lazy_pairs(self._store, n_rows, keeps_failures=keeps_failures)


def _part_of(chunks: list[Chunk]) -> Part:
    """Make one part of chunks that follow each other."""
    full = [(chunk.values, chunk.rows) for chunk in chunks if chunk.values is not None]
    values = None if not full else full[0][0]
    if len(full) > 1:
        values = concatenate([table for table, _ in full], [rows for _, rows in full])
    rows = np.concatenate([chunk.rows for chunk in chunks])
    lost = [one for chunk in chunks for one in chunk.lost]
    return Part(chunks[0].start, chunks[-1].stop, rows, values, lost)


def _told(lost: list[Lost]) -> tuple[int, Exception, str]:
    """Make an error again of what a store tells of the first failure."""
    row, kind, text = lost[0]
    name, _, message = text.partition(": ")
    return row, type(name, (RuntimeError,), {})(message), kind


def settings_of(
    prior: Prior | None, random_state: RandomState, entropy: list[int], **options: Any
) -> dict[str, Any]:
    """List what the numbers of a run depend on, and a trace that tells priors apart."""
    seed = int(random_state) if isinstance(random_state, int | np.integer) else None
    settings = {"random_state": seed, "entropy": entropy}
    if prior is None:
        return settings | options | {"prior": None}
    return settings | options | {"names": prior.names, "prior": _trace(prior)}


def _trace(prior: Prior) -> dict[str, Any]:
    """Take a few draws by a fixed seed, and their densities."""
    traced = trace(prior, prior.sample(_TRACE, 0))
    return {"shown": repr(prior), "draws": traced["theta"], "log_p": traced["log_prob"]}


def check_same_run(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """
    Hold that a store is of the run that is asked for.

    Parameters
    ----------
    found : dict
        The settings in the store.
    wanted : dict
        Those of the call.

    Raises
    ------
    ValueError
        If they differ.
    """
    _warn_of_other_code(found.get("simulator"), wanted["simulator"])
    for name, value in wanted.items():
        before = found.get(name)
        if name in ("entropy", "simulator") or name == "random_state" and None in (before, value):
            continue
        same = _same_prior(before, value) if name == "prior" else before == value
        if not same:
            if name == "prior":
                before, value = (None if p is None else p["shown"] for p in (before, value))
            raise ValueError(
                f"store was begun with {name}={before!r}, got {name}={value!r}: give the same, or "
                "another folder."
            )


def _warn_of_other_code(before: str | None, now: str | None) -> None:
    """Warn of a simulator whose code has changed since the store was begun."""
    if before is None or now is None or before == now:
        return
    if before.partition(":")[0] == now.partition(":")[0]:  # by one version of Python
        warn_user(
            "the simulator's code, or a constant in it, is not what it was when the store was "
            "begun: what is there stays, and new rows are simulated by the new code. If results "
            "change by that, begin another folder.",
            SimulationWarning,
        )


def _same_prior(one: dict[str, Any] | None, other: dict[str, Any] | None) -> bool:
    """Compare the traces of priors."""
    if one is None or other is None:
        return one is other
    return all(
        np.shape(one[key]) == np.shape(other[key])
        and np.allclose(one[key], other[key], rtol=_CLOSE, atol=0)
        for key in ("draws", "log_p")
    )


def theta_of(prior: Prior, n: int, generator: np.random.Generator) -> Table:
    """Draw parameters, named as the prior names them."""
    theta = prior.sample(n, generator)
    return theta if prior.names is None else pd.DataFrame(theta, columns=prior.names)


def more_theta(prior: Prior, start: int, n: int, entropy: list[int]) -> Table:
    """Draw the parameters of n rows from the row ``start`` on, by a generator of their own."""
    sequence = np.random.SeedSequence(entropy, spawn_key=(start, 0, _OF_THETA))
    return theta_of(prior, n, np.random.default_rng(sequence))


def find_theta(store: SimulationStore, prior: Prior, n: int, entropy: list[int]) -> Table:
    """Find the parameters of the first n rows, and draw those that were not asked for before."""
    theta = store.theta()
    while len(theta) < n:  # another process may have asked for fewer meanwhile
        store.extend(len(theta), more_theta(prior, len(theta), n - len(theta), entropy))
        theta = store.theta()
    return take(theta, slice(0, n))


def extend_with(store: SimulationStore, theta: Table) -> None:
    """
    Hold that parameters begin with those of a store, and ask for the others.

    Parameters
    ----------
    store : SimulationStore
        The store.
    theta : ndarray or DataFrame of shape (n, D)
        All parameters.

    Raises
    ------
    ValueError
        If they begin with others.
    """
    before = store.theta()
    names = [list(t.columns) if isinstance(t, pd.DataFrame) else None for t in (before, theta)]
    if names[0] != names[1]:
        raise ValueError(f"store was begun with theta's columns {names[0]}, got {names[1]}.")
    n = min(len(before), len(theta))
    then, now = np.asarray(before)[:n], np.asarray(theta)[:n]
    if not np.array_equal(then, now):
        row = int(np.argmin(np.all(then == now, axis=1))) if then.shape == now.shape else 0
        raise ValueError(
            f"store was begun with {then[row]} in row {row} of theta, got {now[row]}: theta must "
            "begin with the same rows, or give another folder."
        )
    if len(theta) > len(before):
        store.extend(len(before), take(theta, slice(len(before), None)))
        extend_with(store, theta)  # another process may have asked for others meanwhile
