"""The two calls, and the checks of what is passed to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sksbi.data import LazyTable, SimulationStore
from sksbi.priors import check_prior
from sksbi.simulation._keep import (
    check_same_run,
    extend_with,
    find_theta,
    settings_of,
    theta_of,
)
from sksbi.simulation._options import Options, draw_entropy
from sksbi.simulation._run import Run
from sksbi.tables.simulated import Table
from sksbi.utils.containers import as_floats, plain
from sksbi.utils.random import check_generator
from sksbi.utils.types import RandomState
from sksbi.utils.validation import check_count, check_memory

__all__ = ["run_simulator", "simulate"]

Simulated = tuple[Table | LazyTable, Table | LazyTable]  # lazy where there is a store


def simulate(
    simulator: Callable[..., Any],
    prior: object,
    n_samples: int,
    *,
    vectorized: bool = False,
    chunk_size: int | None = None,
    n_jobs: int | None = None,
    on_error: str = "drop",
    timeout: float | None = None,
    store: str | Path | None = None,
    random_state: RandomState = None,
    verbose: int = 0,
) -> Simulated:
    """
    Draw parameters from the prior and run the simulator with each.

    Parameters
    ----------
    simulator : callable
        Takes one row of theta: a Series if the prior has names, else an array of shape (D,). Gives
        a number, an array, or a dict or Series of numbers. With ``vectorized=True`` it takes a
        chunk of rows, a DataFrame or an array of shape (n, D), and gives an array whose first
        dimension is n, a DataFrame of n rows, or a dict of columns. A named value may be text, if
        it is in every row: a category, for :class:`sksbi.ClassifierRatio`. What is masked in a
        masked array counts as NaN. If the simulator has a parameter named ``rng``, it receives a
        NumPy Generator there, one a row or chunk. One that draws from a global generator instead
        is not reproducible.
    prior : dict, list, scipy.stats or torch distribution, or object with sample and log_prob
        The prior; the keys of a dict name theta's columns.
    n_samples : int
        Number of simulations.
    vectorized : bool, default=False
        Whether the simulator takes a chunk at a time.
    chunk_size : int or None, default=None
        Rows in a chunk: what one job runs, and what a vectorised simulator gets at once. None means
        1000 for a vectorised simulator, whose numbers depend on it, and for others as many as take
        a fraction of a second.
    n_jobs : int or None, default=None
        Number of jobs at a time; None means 1, unless ``joblib.parallel_config`` says otherwise.
    on_error : {"drop", "raise", "keep"}, default="drop"
        What to do with rows that fail: that raise anything but KeyboardInterrupt, that return None,
        or that hold NaN or inf anywhere; a row that kills its worker process, too. "drop" leaves
        them out of theta and x, with one SimulationWarning; "raise" raises the first error; "keep"
        keeps them, with NaN in all of x, see Notes. When a vectorised simulator raises, its whole
        chunk fails.
    timeout : float or None, default=None
        Seconds that a row may take; then it has failed. A vectorised simulator has as many times
        more as the chunk has rows. With it simulations run in worker processes, for ``n_jobs=1``
        too, so that one that hangs can be stopped wherever it is.
    store : str, Path or None, default=None
        A folder that keeps the results as they come, see Notes. What it holds is not simulated
        again: after a crash, or a ``kill``, the same call goes on where it stopped, and gives the
        same numbers as a run that was never stopped; with a larger ``n_samples`` it adds rows, by
        generators of their own, so that the first stay as they are.
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator, default=None
        Source of the parameters and of every generator that the simulator receives.
    verbose : int, default=0
        Above 0, a progress bar is shown.

    Returns
    -------
    theta : DataFrame or ndarray of shape (n, D)
        The parameters; a DataFrame if the prior has names.
    x : ndarray of shape (n,) or (n, ...), or DataFrame of shape (n, L)
        The results: numbers give (n,), arrays (n, ...), dicts and Series a DataFrame. With
        ``store`` both are a :class:`sksbi.simulation.LazyTable`, which stays on the disk, and which
        ``fit`` and everything else takes as it is; ``x.load()`` reads it.

    Raises
    ------
    TypeError
        If an argument is of a wrong type, or a result is no number, such as a complex one, a date
        or a set.
    ValueError
        If an argument is out of range, two rows have results of different shape or names, or the
        store is damaged or of another run. If
        ``on_error="raise"``, or all of the first 100 rows fail (all rows, if there are fewer), or
        the first five processes die, the simulator's own first error is raised, whatever its type,
        with a note that names theta.
    SimulationInterrupted
        If Ctrl-C stopped the run: a KeyboardInterrupt that holds what is done in ``theta`` and
        ``x``, and whose ``resume()`` does the rest, see
        :class:`sksbi.exceptions.SimulationInterrupted`.

    Warns
    -----
    SimulationWarning
        If rows were left out: how many, of what kind, the first theta and its error; and, above 1%,
        for whom the rest stays right.

    Notes
    -----
    Where failures are dropped, theta follows p(theta | success). Posterior estimators such as NPE
    are right nevertheless, as an observation is a success. Ratio and likelihood estimators (NRE,
    ClassifierRatio) are not, as they multiply by the prior: give them all rows, simulated with
    ``on_error="keep"``; rows that are NaN in all of x are the failures.

    A NaN may mean something, as a lifetime that was not observed. With ``on_error="keep"`` a row
    that holds some NaN is no failure and stays as it is, so return such a value beside one that
    says so, as in ``{"lifetime": np.nan, "observed": 0}``. A row that holds inf is a failure, since
    no estimator takes it: return a number in its place.

    Examples
    --------
    >>> from scipy import stats
    >>> from sksbi import simulate
    >>> def simulator(theta, rng):
    ...     return {"x": rng.normal(theta["mean"], theta["sd"])}
    >>> prior = {"mean": stats.norm(0, 1), "sd": stats.expon()}
    >>> theta, x = simulate(simulator, prior, 500, random_state=0)
    >>> theta.shape, x.shape
    ((500, 2), (500, 1))
    >>> theta.columns.tolist(), x.columns.tolist()
    (['mean', 'sd'], ['x'])
    """
    n_samples = check_count(n_samples, "n_samples")
    prior = check_prior(prior)
    check_memory(n_samples, "n_samples", n_samples * prior.n_features)
    options = Options(vectorized, chunk_size, n_jobs, on_error, timeout, verbose)
    kept = None if store is None else _kept(store)
    if kept is None or not kept.exists:
        rng = check_generator(random_state)
        theta = theta_of(prior, n_samples, rng)
        entropy = draw_entropy(rng)
        if kept is None:
            return _run(simulator, theta, entropy, options, None)
        kept.create(settings_of(prior, random_state, entropy, **options.of(simulator)), theta)
    found = kept.settings()  # another process may have begun it
    entropy = found["entropy"]
    check_same_run(found, settings_of(prior, random_state, entropy, **options.of(simulator)))
    return _run(simulator, find_theta(kept, prior, n_samples, entropy), entropy, options, kept)


def run_simulator(
    simulator: Callable[..., Any],
    theta: ArrayLike | pd.DataFrame,
    *,
    vectorized: bool = False,
    chunk_size: int | None = None,
    n_jobs: int | None = None,
    on_error: str = "drop",
    timeout: float | None = None,
    store: str | Path | None = None,
    check: Callable[[Table], Any] | None = None,
    random_state: RandomState = None,
    verbose: int = 0,
) -> Simulated:
    """
    Run the simulator with given parameters, such as draws from a posterior.

    Parameters
    ----------
    simulator : callable
        As in :func:`sksbi.simulate`; the rows are Series if theta is a DataFrame, else arrays.
    theta : array-like or DataFrame of shape (n, D)
        The parameters.
    vectorized : bool, default=False
        Whether the simulator takes a chunk at a time.
    chunk_size : int or None, default=None
        Rows in a chunk; None goes by what a row takes, as in :func:`sksbi.simulate`.
    n_jobs : int or None, default=None
        Number of jobs at a time.
    on_error : {"drop", "raise", "keep"}, default="drop"
        What to do with rows that fail, as in :func:`sksbi.simulate`.
    timeout : float or None, default=None
        Seconds that a row may take, as in :func:`sksbi.simulate`.
    store : str, Path or None, default=None
        A folder that keeps the results as they come, as in :func:`sksbi.simulate`; theta must begin
        with the rows that the store was begun with.
    check : callable or None, default=None
        It is given the first results, as a table, and raises if they are not what is wanted.
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator, default=None
        Source of every generator that the simulator receives.
    verbose : int, default=0
        Above 0, a progress bar is shown.

    Returns
    -------
    theta : DataFrame or ndarray of shape (m, D)
        The parameters of the rows in x; a DataFrame has a fresh RangeIndex.
    x : ndarray of shape (m,) or (m, ...), or DataFrame of shape (m, L)
        The results. With ``store`` both are lazy, as in :func:`sksbi.simulate`.

    Raises
    ------
    TypeError, ValueError, SimulationInterrupted
        As in :func:`sksbi.simulate`, and the simulator's own first error.

    Examples
    --------
    >>> from sksbi.simulation import run_simulator
    >>> theta, x = run_simulator(lambda theta: theta**2, [[1.0], [2.0]])
    >>> x.tolist()
    [[1.0], [4.0]]
    """
    theta = _check_theta(theta)
    options = Options(vectorized, chunk_size, n_jobs, on_error, timeout, verbose)
    kept = None if store is None else _kept(store)
    if kept is None or not kept.exists:
        entropy = draw_entropy(check_generator(random_state))
        if kept is None:
            return _run(simulator, theta, entropy, options, None, check)
        kept.create(settings_of(None, random_state, entropy, **options.of(simulator)), theta)
    found = kept.settings()
    entropy = found["entropy"]
    check_same_run(found, settings_of(None, random_state, entropy, **options.of(simulator)))
    extend_with(kept, theta)
    return _run(simulator, theta, entropy, options, kept, check)


def _run(
    simulator: Callable[..., Any],
    theta: Table,
    entropy: list[int],
    options: Options,
    store: SimulationStore | None,
    check: Callable[[Table], Any] | None = None,
) -> Simulated:
    """Run all rows that are not in the store."""
    runner = options.runner(simulator, entropy)
    run = Run(runner, theta, options.chunk_size, options.n_jobs, options.verbose, store, check)
    return run.finish()


def _kept(store: str | Path) -> SimulationStore:
    """Find the folder of a store, in which a run has begun or not."""
    if not isinstance(store, str | Path):
        raise TypeError(f"store must be None or the path of a folder, got {store!r}.")
    return SimulationStore(store)


def _check_theta(theta: ArrayLike | pd.DataFrame) -> Table:
    """Check that theta is a table of at least one row."""
    theta = plain(theta, "theta")
    if not isinstance(theta, pd.DataFrame):
        theta = np.asarray(theta)
        theta = as_floats(theta, "theta") if theta.dtype == object else theta
    if theta.ndim != 2 or len(theta) == 0:
        raise ValueError(
            f"theta must have shape (n, D) with at least one row, got {theta.shape}: give one "
            "parameter set as [[...]]."
        )
    return theta
