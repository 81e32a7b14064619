"""Running jobs by joblib, wherever its present backend says, and taking results as they come."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from joblib import Parallel
from joblib.externals.loky.process_executor import TerminatedWorkerError
from joblib.parallel import LokyBackend, get_active_backend

__all__ = ["WorkerDied", "running", "workers_may_die"]

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


@contextmanager
def running(
    n_jobs: int | None, jobs: Iterable[Any], *, in_order: bool = True, at_once: int | None = None
) -> Iterator[Iterable[Any]]:
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
    iterable
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
    results = parallel(jobs)
    try:
        yield results
    finally:
        with warnings.catch_warnings():  # an error cancels the other jobs: joblib would tell
            warnings.filterwarnings("ignore", message=".*adjusting the input task")
            getattr(results, "close", list)()
