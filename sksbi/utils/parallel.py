"""Running jobs by joblib, wherever its present backend says, and taking results as they come."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from joblib import Parallel

__all__ = ["running"]


@contextmanager
def running(n_jobs: int | None, jobs: Iterable[Any]) -> Iterator[Iterable[Any]]:
    """
    Run jobs; the results come in order, one by one where the backend can do that.

    Parameters
    ----------
    n_jobs : int or None
        The number of jobs at once; None asks joblib's context.
    jobs : iterable of joblib.delayed calls
        What to run.

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
    try:
        parallel = Parallel(n_jobs=n_jobs, return_as="generator")
    except ValueError:  # joblib's multiprocessing backend only gives lists
        parallel = Parallel(n_jobs=n_jobs)
    results = parallel(jobs)
    try:
        yield results
    finally:
        with warnings.catch_warnings():  # an error cancels the other jobs: joblib would tell
            warnings.filterwarnings("ignore", message=".*adjusting the input task")
            getattr(results, "close", list)()
