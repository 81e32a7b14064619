"""Running jobs by joblib, wherever its present backend says, and taking results as they come."""

from __future__ import annotations

import atexit
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from weakref import WeakSet

from joblib import Parallel
from joblib.externals.loky.process_executor import TerminatedWorkerError
from joblib.parallel import LokyBackend, get_active_backend

__all__ = ["Results", "WorkerDied", "close_at_exit", "running", "workers_may_die"]

_OPEN = WeakSet[Any]()

WorkerDied = TerminatedWorkerError  # what loky raises; other backends wait for ever, or restart


def workers_may_die() -> bool:
    """
    Tell whether the present backend runs jobs in processes whose death it reports.

    Returns
    -------
    bool
        Whether it does: only loky, the default, does.

    Examples
    --------
    >>> from sksbi.utils.parallel import workers_may_die
    >>> workers_may_die()
    True
    """
    return isinstance(get_active_backend()[0], LokyBackend)


def close_at_exit(thing: Any) -> None:
    """
    Close what runs jobs when the interpreter ends, if that has not happened before.

    joblib's workers would first come to the end of what they are at. They are waited for before
    functions of :mod:`atexit` run, hence the other list, in which the last is the first.

    Parameters
    ----------
    thing : object
        It has a method ``close``, and is not kept alive.
    """
    _register()
    _OPEN.add(thing)


@cache
def _register() -> None:
    """Have what is open closed at the end."""
    getattr(threading, "_register_atexit", atexit.register)(_close_all)


def _close_all() -> None:
    """Close what is still open."""
    for thing in list(_OPEN):
        thing.close()


class Results:
    """
    Results of jobs, one by one.

    Parameters
    ----------
    parallel : joblib.Parallel
        What runs them.
    results : iterable
        What it gave.
    """

    def __init__(self, parallel: Parallel, results: Iterable[Any]) -> None:
        self._parallel, self._results = parallel, iter(results)

    def __iter__(self) -> Results:
        return self

    def __next__(self) -> Any:
        return next(self._results)

    @property
    def all_ended(self) -> bool:
        """Whether all jobs that were sent so far have ended well."""
        return self._parallel.n_completed_tasks >= self._parallel.n_dispatched_tasks

    def close(self) -> None:
        """Cancel what has not run."""
        getattr(self._results, "close", list)()


@contextmanager
def running(
    n_jobs: int | None, jobs: Iterable[Any], *, in_order: bool = True, at_once: int | None = None
) -> Iterator[Results]:
    """
    Run jobs; the results come one by one where the backend can do that.

    Parameters
    ----------
    n_jobs : int or None
        The number of jobs at once; None asks joblib's context.
    jobs : iterable of joblib.delayed calls
        What to run; taken only a few ahead of what runs.
    in_order : bool, default=True
        Whether results come in the order of the jobs; else as they end, and no job is taken, or
        put into a batch, before it can run.
    at_once : int or None, default=None
        How many are sent at a time, if not as many as there are processes.

    Yields
    ------
    Results
        The results. Leaving the block, by an error too, cancels what has not run.

    Examples
    --------
    >>> from joblib import delayed
    >>> from sksbi.utils.parallel import running
    >>> with running(None, (delayed(abs)(i) for i in (-1, -2))) as results:
    ...     list(results)
    [1, 2]
    """
    kind = "generator" if in_order else "generator_unordered"
    options: dict[str, Any] = {"n_jobs": n_jobs}
    if not in_order:
        options |= {"batch_size": 1, "pre_dispatch": at_once or "n_jobs"}
    try:
        parallel = Parallel(return_as=kind, **options)
    except ValueError:  # joblib's multiprocessing backend only gives lists
        parallel = Parallel(**options)
    results = Results(parallel, parallel(jobs))
    try:
        yield results
    finally:
        with warnings.catch_warnings():  # an error cancels the other jobs: joblib would tell
            warnings.filterwarnings("ignore", message=".*adjusting the input task")
            results.close()
