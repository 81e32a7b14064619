"""Simulations without end, which go on in the background."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Self

from joblib import effective_n_jobs

from sksbi.priors import Prior, check_prior
from sksbi.simulation._ahead import RowsAhead
from sksbi.simulation._crew import Crew
from sksbi.simulation._cut import Cutter
from sksbi.simulation._keep import more_theta
from sksbi.simulation._options import Options, draw_entropy
from sksbi.simulation._ready import ReadyRows
from sksbi.simulation._runner import Chunk, Runner
from sksbi.simulation._tally import Tally
from sksbi.tables.simulated import Table
from sksbi.utils.parallel import close_at_exit
from sksbi.utils.random import check_generator
from sksbi.utils.types import RandomState
from sksbi.utils.validation import check_count, check_memory

__all__ = ["EndlessSimulations", "simulate_forever"]

_INTERRUPTIONS = 3  # of one row, which no Ctrl-C explains
_BATCHES, _CHUNKS = 2, 2  # that run ahead, of all, and of each job that has single rows


def simulate_forever(
    simulator: Callable[..., Any],
    prior: object,
    *,
    batch_size: int = 1_000,
    vectorized: bool = False,
    n_jobs: int | None = None,
    on_error: str = "drop",
    timeout: float | None = None,
    random_state: RandomState = None,
) -> EndlessSimulations:
    """
    Draw parameters from the prior and run the simulator with each, again and again.

    The simulator runs in the background, in worker processes of joblib, while the batches are used:
    by ``partial_fit`` of an estimator, as a rule. About two batches run ahead, so that memory is
    bounded however slow that is.

    Parameters
    ----------
    simulator : callable
        As in :func:`sksbi.simulate`. For ``n_jobs=1``, too, it runs in another process, to which
        pickle or cloudpickle must be able to send it.
    prior : dict, list, scipy.stats or torch distribution, or object with sample and log_prob
        The prior; the keys of a dict name theta's columns.
    batch_size : int, default=1000
        Rows in a batch. What a vectorised simulator gets at once, too: its numbers depend on it.
    vectorized : bool, default=False
        Whether the simulator takes a batch at a time.
    n_jobs : int or None, default=None
        Number of jobs at a time; None means 1, unless ``joblib.parallel_config`` says otherwise.
    on_error : {"drop", "raise", "keep"}, default="drop"
        What to do with rows that fail, as in :func:`sksbi.simulate`. "drop" leaves them out, and
        later rows take their places; "raise" raises the first error, after the batches before it;
        "keep" keeps them, with NaN in all of x.
    timeout : float or None, default=None
        Seconds that a row may take, as in :func:`sksbi.simulate`.
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator, default=None
        Source of the parameters and of every generator that the simulator receives. The same gives
        the same batches of the same size, whatever ``n_jobs`` and wherever joblib runs them.

    Returns
    -------
    iterator of (theta, x)
        Batches in the form that :func:`sksbi.simulate` gives. Its ``close()``, the end of a
        ``with`` statement around it, or its being forgotten, as after a ``break``, stops all that
        runs. After Ctrl-C ``next`` goes on where it was, and no simulation is lost.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above. With the batch where it happens: if a result is no number,
        or of another form than those before it; the simulator's own first error if
        ``on_error="raise"``, if all of the first 100 rows fail or five processes die before a
        success, or if later so many fail in a row, 1,000 at least, that it must be broken.

    Warns
    -----
    SimulationWarning
        If rows were left out: with the first such batch, and again with ten times as many rows.

    Notes
    -----
    Simulations begin with the first ``next``. The worker processes are none of those that joblib
    has for everybody, so a search with ``n_jobs`` may run meanwhile. Other backends are those of
    ``joblib.parallel_config`` where batches are taken: under "threading" a simulation that runs at
    the end runs to its own end, under "sequential" nothing runs in the background, and under others
    less than two batches may run ahead.

    Examples
    --------
    >>> from scipy import stats
    >>> from sksbi import simulate_forever
    >>> def simulator(theta, rng):
    ...     return {"x": rng.normal(theta["mean"], 0.1)}
    >>> prior = {"mean": stats.norm(0, 1)}
    >>> with simulate_forever(simulator, prior, batch_size=100, random_state=0) as batches:
    ...     for number, (theta, x) in enumerate(batches):
    ...         if number == 2:
    ...             break
    >>> theta.shape, x.columns.tolist()
    ((100, 1), ['x'])
    """
    batch_size = check_count(batch_size, "batch_size")
    prior = check_prior(prior)
    check_memory(batch_size, "batch_size", batch_size * prior.n_features)
    options = Options(vectorized, batch_size if vectorized else None, n_jobs, on_error, timeout)
    entropy = draw_entropy(check_generator(random_state))
    return EndlessSimulations(options.runner(simulator, entropy), prior, batch_size, options)


class EndlessSimulations(Iterator[tuple[Table, Table]]):
    """
    Batches of simulations without end, as :func:`simulate_forever` gives them.

    Parameters
    ----------
    runner : Runner
        The simulator.
    prior : Prior
        The prior.
    batch_size : int
        Rows in a batch.
    options : Options
        How it runs.
    """

    def __init__(self, runner: Runner, prior: Prior, batch_size: int, options: Options) -> None:
        n_jobs = effective_n_jobs(options.n_jobs)
        self._size = batch_size
        self._cutter = Cutter(options.chunk_size, n_jobs, vectorized=runner.vectorized)
        a_job = batch_size if runner.vectorized else _CHUNKS
        draw = partial(more_theta, prior, entropy=runner.entropy)
        most = _BATCHES * batch_size + n_jobs * a_job
        self._ahead = RowsAhead(draw, batch_size, most, self._cutter)
        self._crew = Crew(runner, options.n_jobs, self._cutter.number, apart=True)
        self._ready = ReadyRows(keep=runner.on_error == "keep")
        self._tally = Tally(runner)
        self._chunks: Generator[Chunk | None, None, None] | None = None
        self._interrupted: Counter[int] = Counter()
        self._is_closed = False

    def __next__(self) -> tuple[Table, Table]:
        if self._is_closed:
            raise StopIteration
        while not self._ready.has(self._size):
            self._tally.stop_where_it_must(self._crew.n_deaths)
            ended = self._ahead.pop()
            if ended is None:
                self._pull()
            else:
                self._tally.add(*ended)
                self._ready.add(*ended)
        theta, x, n_rows = self._ready.batch(self._size)
        self._tally.warn(n_rows)
        self._reach(len(self._ready) - self._size)
        while self._crew.is_idle and self._ahead.has_more:
            self._pull()
        self._ready.remove(self._size)
        return theta, x

    def _reach(self, n_waiting: int) -> None:
        """Let rows run that may."""
        self._ahead.reach(n_waiting)
        self._crew.go_on()

    def _pull(self) -> None:
        """Wait until something has ended, or begun."""
        self._reach(len(self._ready))
        if self._chunks is None:
            self._chunks = self._crew.chunks(self._ahead.pieces, self._ahead.theta)
        try:
            chunk = next(self._chunks)
        except StopIteration:
            self._chunks = None
            return
        except BaseException:
            self._chunks = None
            raise
        if chunk is None:
            close_at_exit(self)
        else:
            self._ahead.put(chunk)
            self._cutter.learn(len(chunk.rows), chunk.seconds)
            self._note_interruption(chunk)

    def _note_interruption(self, chunk: Chunk) -> None:
        """Let what Ctrl-C has interrupted run again, but for a simulator that raises it itself."""
        if chunk.interrupted:
            self._interrupted[chunk.stop] += 1
            if self._interrupted[chunk.stop] == _INTERRUPTIONS:
                del self._interrupted[chunk.stop]
                self._stop()
                raise KeyboardInterrupt

    def close(self) -> None:
        """Stop all that runs; there are no further batches."""
        self._is_closed = True
        self._stop()

    def _stop(self) -> None:
        """Stop what runs."""
        if self._chunks is not None:
            self._chunks.close()
            self._chunks = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        with suppress(Exception):  # the interpreter may be half gone
            self.close()
