"""
Running a simulator: parameters in, pairs (theta, x) out.

The rows of theta are cut into chunks of fixed size, joblib runs the chunks wherever its present
backend says, and every row (vectorised: every chunk) has its own random generator, made from one
entropy and the number of the row. So the numbers depend on ``random_state`` and on nothing else:
not on ``n_jobs``, not on the backend, not on the order in which the chunks end. This holds for
simulators that draw from the generator given to them; one that draws from a global generator, such
as ``np.random.normal``, is not reproducible.
"""

from __future__ import annotations

import inspect
import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed
from numpy.typing import ArrayLike
from tqdm.auto import tqdm

from sksbi.exceptions import SimulationWarning
from sksbi.priors import check_prior
from sksbi.tables.simulated import (
    Table,
    check_same_form,
    check_table,
    check_value,
    concatenate,
    fill,
    form_of,
    is_finite,
    stack,
    take,
    take_row,
)
from sksbi.utils.containers import plain
from sksbi.utils.parallel import running
from sksbi.utils.random import check_generator
from sksbi.utils.types import Mask, RandomState, Rows
from sksbi.utils.validation import check_count, check_memory
from sksbi.utils.warn import warn_user

__all__ = ["run_simulator", "simulate"]

_ON_ERROR = ("drop", "raise", "keep")


def simulate(
    simulator: Callable[..., Any],
    prior: object,
    n_samples: int,
    *,
    vectorized: bool = False,
    chunk_size: int = 1000,
    n_jobs: int | None = None,
    on_error: str = "drop",
    random_state: RandomState = None,
    verbose: int = 0,
) -> tuple[Table, Table]:
    """
    Draw parameters from the prior and run the simulator with each.

    Parameters
    ----------
    simulator : callable
        Takes one row of theta: a Series if the prior has names, else an array of shape (D,). Gives
        a number, an array, or a dict or Series of numbers. With ``vectorized=True`` it takes a
        chunk of rows, a DataFrame or an array of shape (n, D), and gives an array whose first
        dimension is n, a DataFrame of n rows, or a dict of columns. If it has a parameter named
        ``rng``, it receives a NumPy Generator there, one a row or chunk. A simulator that draws
        from a global generator instead is not reproducible.
    prior : dict, list, scipy.stats or torch distribution, or object with sample and log_prob
        The prior; the keys of a dict name theta's columns.
    n_samples : int
        Number of simulations.
    vectorized : bool, default=False
        Whether the simulator takes a chunk at a time.
    chunk_size : int, default=1000
        Rows in a chunk: what one job runs, and what a vectorised simulator gets at once.
    n_jobs : int or None, default=None
        Number of jobs at a time; None means 1, unless ``joblib.parallel_config`` says otherwise.
    on_error : {"drop", "raise", "keep"}, default="drop"
        What to do with rows that fail: that raise, that return None, or that hold NaN or inf
        anywhere. "drop" leaves them out of theta and x, with one SimulationWarning; "raise" raises
        the first error; "keep" keeps them, with NaN where there is no result. When a vectorised
        simulator raises, its whole chunk fails.
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator, default=None
        Source of the parameters and of every generator that the simulator receives.
    verbose : int, default=0
        Above 0, a progress bar is shown.

    Returns
    -------
    theta : DataFrame or ndarray of shape (n, D)
        The parameters; a DataFrame if the prior has names.
    x : ndarray of shape (n,) or (n, ...), or DataFrame of shape (n, L)
        The results: numbers give (n,), arrays (n, ...), dicts and Series a DataFrame.

    Raises
    ------
    TypeError
        If an argument is of a wrong type.
    ValueError
        If an argument is out of range, or two rows have results of different shape or names. If
        ``on_error="raise"`` or the whole first chunk fails, the simulator's own first error is
        raised, whatever its type, with a note that names theta.

    Warns
    -----
    SimulationWarning
        If rows were left out: how many, the first theta and its error.

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
    _check_n_jobs(n_jobs)
    prior, rng = check_prior(prior), check_generator(random_state)
    check_memory(n_samples, "n_samples", n_samples * prior.n_features)
    theta: Table = prior.sample(n_samples, rng)
    if prior.names is not None:
        theta = pd.DataFrame(theta, columns=prior.names)
    return run_simulator(
        simulator,
        theta,
        vectorized=vectorized,
        chunk_size=chunk_size,
        n_jobs=n_jobs,
        on_error=on_error,
        random_state=rng,
        verbose=verbose,
    )


def run_simulator(
    simulator: Callable[..., Any],
    theta: ArrayLike | pd.DataFrame,
    *,
    vectorized: bool = False,
    chunk_size: int = 1000,
    n_jobs: int | None = None,
    on_error: str = "drop",
    random_state: RandomState = None,
    verbose: int = 0,
) -> tuple[Table, Table]:
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
    chunk_size : int, default=1000
        Rows in a chunk.
    n_jobs : int or None, default=None
        Number of jobs at a time.
    on_error : {"drop", "raise", "keep"}, default="drop"
        What to do with rows that fail, as in :func:`sksbi.simulate`.
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator, default=None
        Source of every generator that the simulator receives.
    verbose : int, default=0
        Above 0, a progress bar is shown.

    Returns
    -------
    theta : DataFrame or ndarray of shape (m, D)
        The parameters of the rows in x; a DataFrame has a fresh RangeIndex.
    x : ndarray of shape (m,) or (m, ...), or DataFrame of shape (m, L)
        The results.

    Raises
    ------
    TypeError, ValueError
        As in :func:`sksbi.simulate`, and the simulator's own first error.

    Examples
    --------
    >>> from sksbi.simulation import run_simulator
    >>> theta, x = run_simulator(lambda theta: theta**2, [[1.0], [2.0]])
    >>> x.tolist()
    [[1.0], [4.0]]
    """
    theta = _check_theta(theta)
    chunk_size = check_count(chunk_size, "chunk_size")
    _check_n_jobs(n_jobs)
    if on_error not in _ON_ERROR:
        raise ValueError(f"on_error must be one of {_ON_ERROR}, got {on_error!r}.")
    runner = _Runner(
        simulator=simulator,
        vectorized=vectorized,
        takes_rng=_takes_rng(simulator),
        stops=on_error == "raise",
        entropy=check_generator(random_state).integers(2**32, size=4).tolist(),
    )
    jobs = (
        delayed(runner)(number, start, take(theta, slice(start, start + chunk_size)))
        for number, start in enumerate(range(0, len(theta), chunk_size))
    )
    chunks: list[_Chunk] = []
    bar = tqdm(total=len(theta), desc="simulate", disable=not verbose)
    with bar, running(n_jobs, jobs) as results:
        for chunk in results:
            if chunk.failure and (on_error == "raise" or not chunks and not chunk.finite.any()):
                where = _describe_theta(theta, chunk.failure.row)
                chunk.failure.error.add_note(f"The simulation failed at {where}.")
                raise chunk.failure.error
            chunks.append(chunk)
            bar.update(min(chunk_size, len(theta) - bar.n))
    return _assemble(chunks, theta, keep=on_error == "keep")


@dataclass(frozen=True)
class _Failure:
    """A row that failed and its error."""

    row: int
    error: Exception

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the traceback as text, and with an error that any process can load."""
        trace = "".join(traceback.format_exception(self.error))
        try:
            error = pickle.loads(pickle.dumps(self.error))
        except Exception:
            error = RuntimeError(f"{type(self.error).__name__}: {self.error}")
        return _restore_failure, (self.row, error, trace)


def _restore_failure(row: int, error: Exception, trace: str) -> _Failure:
    """Load a failure from another process; a note keeps the traceback that pickle drops."""
    error.add_note(f"Where the simulator ran:\n{trace}")
    return _Failure(row, error)


_Run = tuple[Rows, Table | None, _Failure | None]


@dataclass(frozen=True)
class _Chunk:
    """The results of a chunk: the rows that gave one, whether it is finite, the first failure."""

    rows: Rows
    values: Table | None
    finite: Mask
    failure: _Failure | None


@dataclass(frozen=True, eq=False)  # dask hashes it, and not every simulator has a hash by value
class _Runner:
    """A simulator with all that is needed to run one chunk in any process."""

    simulator: Callable[..., Any]
    vectorized: bool
    takes_rng: bool
    stops: bool
    entropy: list[int]

    def __call__(self, number: int, start: int, theta: Table) -> _Chunk:
        """Run one chunk, whose first row is the row ``start`` of all."""
        if self.vectorized:
            rows, values, failure = self._run_whole(number, start, theta)
        else:
            rows, values, failure = self._run_rows(start, theta)
        if values is None:
            return _Chunk(rows, None, np.zeros(0, dtype=bool), failure)
        finite = is_finite(values)
        bad = rows[~finite]
        if len(bad) and (failure is None or bad[0] < failure.row):
            failure = _Failure(int(bad[0]), ValueError("the simulator returned NaN or inf"))
        return _Chunk(rows, values, finite, failure)

    def _run_whole(self, number: int, start: int, theta: Table) -> _Run:
        """Give the whole chunk to a vectorised simulator."""
        result, failure = self._call(number, start, theta)
        if failure is not None:
            return np.zeros(0, dtype=int), None, failure
        return np.arange(start, start + len(theta)), check_table(result, len(theta)), None

    def _run_rows(self, start: int, theta: Table) -> _Run:
        """Give the rows to the simulator one by one."""
        rows, values, first_failure = [], [], None
        for row in range(start, start + len(theta)):
            result, failure = self._call(row, row, take_row(theta, row - start))
            if failure is None:
                rows.append(row)
                values.append(check_value(result, row))
                continue
            first_failure = first_failure or failure
            if self.stops:
                break
        return np.array(rows, dtype=int), stack(rows, values), first_failure

    def _call(self, key: int, row: int, theta: Table | pd.Series) -> tuple[Any, _Failure | None]:
        """Call the simulator; a raised error, None and a bare NaN are failures."""
        options = {}
        if self.takes_rng:
            seed = np.random.SeedSequence(self.entropy, spawn_key=(key,))
            options["rng"] = np.random.default_rng(seed)
        try:
            result = self.simulator(theta, **options)
        except Exception as error:
            return None, _Failure(row, error)
        if pd.api.types.is_scalar(result) and pd.isna(result):
            return None, _Failure(row, ValueError(f"the simulator returned {result}"))
        return result, None


def _takes_rng(simulator: Callable[..., Any]) -> bool:
    """Tell whether the simulator has a parameter named rng."""
    if not callable(simulator):
        raise TypeError(f"simulator must be callable, got {simulator!r}.")
    try:
        return "rng" in inspect.signature(simulator).parameters
    except (TypeError, ValueError):  # many functions written in C have no signature
        return False


def _check_n_jobs(n_jobs: object) -> None:
    """Check that the number of jobs is None or an integer other than 0."""
    rule = "n_jobs must be None or an int other than 0, such as -1 for all cores"
    if n_jobs is None:
        return
    if not isinstance(n_jobs, Integral) or isinstance(n_jobs, bool):
        raise TypeError(f"{rule}, got {n_jobs!r} of type {type(n_jobs).__name__}.")
    if n_jobs == 0:
        raise ValueError(f"{rule}, got 0.")


def _check_theta(theta: ArrayLike | pd.DataFrame) -> Table:
    """Check that theta is a table of at least one row."""
    theta = plain(theta, "theta")
    if not isinstance(theta, pd.DataFrame):
        theta = np.asarray(theta)
    if theta.ndim != 2 or len(theta) == 0:
        raise ValueError(
            f"theta must have shape (n, D) with at least one row, got {theta.shape}: give one "
            "parameter set as [[...]]."
        )
    return theta


def _describe_theta(theta: Table, row: int) -> str:
    """Put the parameters of a row into words."""
    values = theta.iloc[row].to_dict() if isinstance(theta, pd.DataFrame) else theta[row].tolist()
    return f"theta = {values} (row {row})"


def _assemble(chunks: list[_Chunk], theta: Table, *, keep: bool) -> tuple[Table, Table]:
    """Put the chunks together; leave the failed rows out, or keep them."""
    full = [chunk for chunk in chunks if chunk.values is not None]
    tables = [chunk.values for chunk in chunks if chunk.values is not None]
    _check_chunks_agree(full, tables)
    if keep:
        rows = np.concatenate([chunk.rows for chunk in full])
        return take(theta, slice(None)), fill(concatenate(tables), rows, len(theta))
    rows = np.concatenate([chunk.rows[chunk.finite] for chunk in full])
    if len(rows) < len(theta):
        failure = next(chunk.failure for chunk in chunks if chunk.failure)
        _warn(failure, len(theta) - len(rows), theta)
    parts = [take(table, chunk.finite) for table, chunk in zip(tables, full, strict=True)]
    return take(theta, rows), concatenate(parts)


def _check_chunks_agree(chunks: list[_Chunk], tables: list[Table]) -> None:
    """Check that all chunks have results of the same shape or names."""
    forms = [form_of(t if isinstance(t, pd.DataFrame) else t[0]) for t in tables]
    for chunk, form in zip(chunks, forms, strict=True):
        check_same_form(forms[0], chunks[0].rows[0], form, chunk.rows[0])


def _warn(failure: _Failure, n_failed: int, theta: Table) -> None:
    """Warn of rows left out."""
    error = failure.error
    warn_user(
        f"{n_failed} of {len(theta)} simulations failed and were left out. The first, at "
        f"{_describe_theta(theta, failure.row)}: {type(error).__name__}: {error}",
        SimulationWarning,
    )
