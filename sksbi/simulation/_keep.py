"""What a run keeps in a store, what it finds there, and whether that is the same run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from sksbi.data import SimulationStore
from sksbi.data.parts import Part
from sksbi.priors import Prior
from sksbi.simulation._runner import Chunk, Failure
from sksbi.tables.simulated import Table, take
from sksbi.utils.types import RandomState

__all__ = ["Keeping", "check_same_run", "extend_with", "find_theta", "settings_of", "theta_of"]

_TRACE, _CLOSE = 5, 1e-9
_OF_THETA = 1  # the generator of more parameters, beside those of rows


class Keeping:
    """
    Keep chunks in a store, those of nothing but failures as soon as some row has succeeded.

    Parameters
    ----------
    store : SimulationStore
        The store.
    """

    def __init__(self, store: SimulationStore) -> None:
        self._store = store
        self._waiting: list[Chunk] = []  # if all fail, the simulator is wrong, not theta

    def keep(self, chunk: Chunk, *, any_good: bool) -> None:
        """Write a chunk, or let it wait."""
        self._waiting.append(chunk)
        while any_good and self._waiting:
            one = self._waiting[0]
            self._store.add(Part(one.start, one.stop, one.rows, one.values, one.lost))
            del self._waiting[0]

    def chunks(self, n_rows: int) -> Iterator[Chunk]:
        """Find what has ended before."""
        for part in self._store.parts(n_rows):
            failure = Failure(*_told(part)) if part.lost else None
            yield Chunk(part.start, part.stop, part.rows, part.values, failure, part.lost)


def _told(part: Part) -> tuple[int, Exception, str]:
    """Make an error again of what a store tells of the first failure."""
    row, kind, text = part.lost[0]
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
    theta = prior.sample(_TRACE, 0)
    return {"shown": repr(prior), "draws": theta.tolist(), "log_p": prior.log_prob(theta).tolist()}


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
    for name, value in wanted.items():
        before = found.get(name)
        if name == "entropy" or name == "random_state" and None in (before, value):
            continue
        same = _same_prior(before, value) if name == "prior" else before == value
        if not same:
            if name == "prior":
                before, value = (None if p is None else p["shown"] for p in (before, value))
            raise ValueError(
                f"store was begun with {name}={before!r}, got {name}={value!r}: give the same, or "
                "another folder."
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


def find_theta(store: SimulationStore, prior: Prior, n: int, entropy: list[int]) -> Table:
    """Find the parameters of the first n rows, and draw those that were not asked for before."""
    theta = store.theta()
    if len(theta) < n:
        key = (len(theta), 0, _OF_THETA)
        generator = np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=key))
        store.extend(len(theta), theta_of(prior, n - len(theta), generator))
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
