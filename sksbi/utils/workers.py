"""
Workers of one's own, which go on in the background: jobs send the next ones when they end.

joblib has one set of processes for everybody. Whoever asks for another number of them waits until
all jobs have ended, and holds a lock meanwhile that sending takes: where jobs send others, that is
for ever. And what joblib has been given ends where there is nothing more for the moment.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from time import sleep
from typing import Any

from joblib.externals.loky import ProcessPoolExecutor
from joblib.parallel import ThreadingBackend, get_active_backend

from sksbi.utils.parallel import workers_may_die

__all__ = ["OwnResults", "OwnWorkers"]

_LOOK, _PAUSE, _LOOK_FOR_PARENT = 0.1, 0.05, 1.0  # seconds
_TEMPORARY = ("TMPDIR", "TEMP", "TMP")

Job = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class OwnWorkers:
    """Processes or threads, as joblib's present backend has them; they end with ``close``."""

    def __init__(self) -> None:
        self._executor: Executor | None = None
        self._folder: TemporaryDirectory[str] | None = None

    @staticmethod
    def are_possible() -> bool:
        """
        Tell whether they can take the place of joblib's present backend.

        Returns
        -------
        bool
            Whether that is loky, the default, or threads.
        """
        if isinstance(get_active_backend()[0], ThreadingBackend):
            return True
        return workers_may_die() and not multiprocessing.current_process().daemon

    @contextmanager
    def running(self, n_jobs: int, job: Callable[[], Job | None]) -> Iterator[OwnResults]:
        """
        Run jobs; the results come as they end.

        Parameters
        ----------
        n_jobs : int
            How many run at a time.
        job : callable
            Gives the next, as from joblib.delayed, or None: there is none for the moment. It is
            asked by several threads, one at a time.

        Yields
        ------
        OwnResults
            The results. Leaving the block by an error ends the workers.
        """
        if self._executor is None:
            self._folder = TemporaryDirectory(prefix="sksbi-", ignore_cleanup_errors=True)
            self._executor = _start(n_jobs, self._folder.name)
        results = OwnResults(self._executor, n_jobs, job)
        try:
            yield results
        except BaseException:
            results.leave()
            self.close()
            raise

    def close(self) -> None:
        """End the workers: processes whatever they are at, threads when they have ended it."""
        executor, self._executor = self._executor, None
        if isinstance(executor, ProcessPoolExecutor):
            sleep(_PAUSE)  # loky breaks if it has not yet taken in what was sent last
            executor.shutdown(kill_workers=True)
        elif executor is not None:
            executor.shutdown()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _start(n_jobs: int, folder: str) -> Executor:
    """Start workers, with a folder for what they leave behind when they are killed."""
    backend = get_active_backend()[0]
    if isinstance(backend, ThreadingBackend):
        return ThreadPoolExecutor(n_jobs)
    env = backend._prepare_worker_env(n_jobs) | dict.fromkeys(_TEMPORARY, folder)
    return ProcessPoolExecutor(n_jobs, initializer=_serve, env=env)


def _serve() -> None:
    """Leave Ctrl-C, which a terminal sends to all processes, to the parent, and end if that has."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.name != "nt":  # where a child keeps the number of a parent that is gone
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    """End when the parent is gone, which a kill leaves no time to end its workers."""
    while os.getppid() == parent:
        sleep(_LOOK_FOR_PARENT)
    os._exit(1)


class OwnResults:
    """
    Results of jobs as they end.

    Parameters
    ----------
    executor : concurrent.futures.Executor
        The workers.
    n_jobs : int
        How many run at a time.
    job : callable
        Gives the next job, or None.
    """

    def __init__(self, executor: Executor, n_jobs: int, job: Callable[[], Job | None]) -> None:
        self._executor, self._n_jobs, self._job = executor, n_jobs, job
        self._lock, self._ended = threading.Lock(), SimpleQueue[Future[Any]]()
        self._n_running = self._n_sent = self._n_given = 0
        self._is_sending = self._is_left = False
        self.go_on()

    def go_on(self) -> None:
        """Send jobs, if there are some by now, until as many run as may."""
        self._after(0, is_left=False)

    def _after(self, n_ended: int, *, is_left: bool) -> None:
        """Send jobs after so many have ended."""
        with self._lock:
            self._n_running -= n_ended
            self._is_left |= is_left
            if self._is_sending:  # who does looks again before that ends
                return
            self._is_sending = True
        while True:
            with self._lock:
                future = self._sent()
                if future is None:
                    self._is_sending = False
                    return
            future.add_done_callback(self._take)

    def _sent(self) -> Future[Any] | None:
        """Send a job, if one may run."""
        if self._is_left or self._n_running >= self._n_jobs:
            return None
        try:
            job = self._job()
            if job is None:
                return None
            function, args, options = job
            future = self._executor.submit(function, *args, **options)
        except BaseException as error:  # of another thread than the user's
            future = Future()
            future.set_exception(error)
        self._n_running += 1
        self._n_sent += 1
        return future

    def _take(self, future: Future[Any]) -> None:
        """Take in a job that has ended, and send others."""
        self._ended.put(future)
        self._after(1, is_left=future.exception() is not None)

    def leave(self) -> None:
        """Send nothing more."""
        with self._lock:
            self._is_left = True

    def __iter__(self) -> OwnResults:
        return self

    def __next__(self) -> Any:
        while True:
            with suppress(Empty):
                future = self._ended.get(timeout=_LOOK if self._are_more() else 0)
                self._n_given += 1
                return future.result()
            if not self._are_more():
                raise StopIteration

    def _are_more(self) -> bool:
        """Tell whether jobs have been sent whose results have not been given."""
        with self._lock:
            return self._n_given < self._n_sent or self._n_running > 0 or self._is_sending
