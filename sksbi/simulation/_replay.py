"""What has failed in a store, and how to see it fail again."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from sksbi.data import SimulationStore
from sksbi.data.store import Entry
from sksbi.simulation._cut import Cutter
from sksbi.simulation._runner import takes_rng
from sksbi.tables.simulated import take, take_row
from sksbi.utils.validation import check_count

__all__ = ["failures", "forget_failures", "replay"]


def failures(store: str | Path) -> pd.DataFrame:
    """
    List the simulations of a store that have failed.

    Parameters
    ----------
    store : str or Path
        The folder that :func:`sksbi.simulate` was given.

    Returns
    -------
    DataFrame of shape (k, D + 2)
        A row for each, with its number in the run as index: the parameters, then "kind", as
        warnings count it, and "error", the text of the error.

    Raises
    ------
    ValueError
        If there is no store, or it is damaged.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from sksbi.simulation import failures, run_simulator
    >>> with TemporaryDirectory() as folder:
    ...     half = lambda theta: theta / 2 if theta[0] > 0 else None
    ...     _ = run_simulator(half, [[2.0], [0.0]], on_error="keep", store=folder)
    ...     table = failures(folder)
    >>> table.index.tolist(), table["kind"].tolist()
    ([1], ['returned None'])
    """
    theta, kept = _begun(store)
    lost = sorted(one for part in kept.parts(len(theta)) for one in part.lost)
    rows = np.array([row for row, _, _ in lost], dtype=int)
    values = take(theta, rows)
    if not isinstance(values, pd.DataFrame):
        values = pd.DataFrame(values, columns=[f"theta_{i}" for i in range(values.shape[1])])
    table = values.set_index(pd.Index(rows, name="row"))
    return table.assign(kind=[kind for _, kind, _ in lost], error=[text for *_, text in lost])


def forget_failures(store: str | Path, kinds: Collection[str] | None = None) -> int:
    """
    Let the simulations of a store that have failed run again.

    For failures that were not the simulator's: a full disk, a licence server that was away, a
    timeout that was too short. The next call of :func:`sksbi.simulate` runs them, and with them
    what is in one file with them: some tenths of a second of simulations, or a chunk of a
    vectorised simulator. Parameters and random numbers are the same. Nothing may fill the store
    meanwhile, and lazy tables that were opened before are to be opened again.

    Parameters
    ----------
    store : str or Path
        The folder that :func:`sksbi.simulate` was given.
    kinds : collection of str or None, default=None
        Which, by their "kind" in :func:`failures`; None: all.

    Returns
    -------
    int
        How many rows will run again.

    Raises
    ------
    ValueError
        If there is no store, it is damaged, or nothing has failed in one of these ways.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from sksbi.simulation import forget_failures, run_simulator
    >>> with TemporaryDirectory() as folder:
    ...     options = {"store": folder, "on_error": "keep", "random_state": 0}
    ...     away = ["the server"]
    ...     def simulator(theta):
    ...         return None if away and theta[0] > 1 else theta
    ...     _, x = run_simulator(simulator, [[1.0], [2.0]], **options)
    ...     before = x.load().tolist()
    ...     n = forget_failures(folder)
    ...     away.clear()
    ...     _, x = run_simulator(simulator, [[1.0], [2.0]], **options)
    ...     before, x.load().tolist()
    ([[1.0], [nan]], [[1.0], [2.0]])
    """
    theta, kept = _begun(store)
    known = {kind for part in kept.parts(len(theta)) for _, kind, _ in part.lost}
    wanted = known if kinds is None else set(kinds)
    if isinstance(kinds, str) or not wanted <= known:
        raise ValueError(f"kinds must be some of {sorted(known)}, got {kinds!r}.")
    before = _n_ended(kept, len(theta))
    while failed := [entry for entry in kept.index(len(theta)) if _has(kept, entry, wanted)]:
        for entry in failed:
            entry.path.unlink(missing_ok=True)
    return before - _n_ended(kept, len(theta))


def _n_ended(kept: SimulationStore, n_rows: int) -> int:
    """Count the rows that have run."""
    return sum(entry.stop - entry.start for entry in kept.index(n_rows))


def _has(kept: SimulationStore, entry: Entry, kinds: Collection[str]) -> bool:
    """Tell whether some of a part have failed in one of these ways."""
    return entry.n_lost > 0 and any(kind in kinds for _, kind, _ in kept.read(entry).lost)


def replay(simulator: Callable[..., Any], store: str | Path, row: int) -> Any:
    """
    Run one simulation of a store again, here, with the same parameters and the same generator.

    An error comes as it was raised, so that a debugger can look. Nothing is stored.

    Parameters
    ----------
    simulator : callable
        The simulator of the run.
    store : str or Path
        The folder that :func:`sksbi.simulate` was given.
    row : int
        The number of the row, such as one of :func:`failures`.

    Returns
    -------
    object
        What the simulator returns: for the row, or of a vectorised one for the chunk that it is in.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong, or the store is damaged.
    Exception
        The simulator's own.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from scipy import stats
    >>> from sksbi import simulate
    >>> from sksbi.simulation import replay
    >>> def simulator(theta, rng):
    ...     return rng.normal(theta["mean"])
    >>> with TemporaryDirectory() as folder:
    ...     _, x = simulate(simulator, {"mean": stats.norm()}, 5, random_state=0, store=folder)
    ...     bool(replay(simulator, folder, 3) == x[3])
    True
    """
    theta, kept = _begun(store)
    row = check_count(row, "row", low=0)
    piece = kept.piece(row)
    if piece is None:
        raise ValueError(f"row must be one of a simulation that has run in the store, got {row}.")
    settings = kept.settings()
    cutter = Cutter(settings["chunk_size"], 1, vectorized=settings["vectorized"])
    start, given = row, cast(Any, take_row(theta, row))
    if settings["vectorized"]:  # a part may hold several chunks
        start, stop = next(one for one in cutter.cut([piece]) if one[0] <= row < one[1])
        given = take(theta, slice(start, stop))
    if not takes_rng(simulator):
        return simulator(given)
    seed = np.random.SeedSequence(settings["entropy"], spawn_key=cutter.number(start))
    return simulator(given, rng=np.random.default_rng(seed))


def _begun(store: str | Path) -> tuple[Any, SimulationStore]:
    """Open a store in which a run has begun."""
    if not isinstance(store, str | Path):
        raise TypeError(f"store must be the path of a folder, got {store!r}.")
    kept = SimulationStore(store)
    if not kept.exists:
        raise ValueError(f"store must be a folder of simulations, got {store}, which is none.")
    return kept.theta(), kept
