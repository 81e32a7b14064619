"""Jobs that send the next ones when they end; in threads here, as these start at once."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import joblib
import pytest

from sksbi.utils.parallel import running
from sksbi.utils.workers import OwnResults, OwnWorkers


def reciprocal(number: float) -> float:
    return 1 / number


def job_of(function: Callable, arguments: Iterator) -> Callable:
    """Make what gives jobs."""
    made = (joblib.delayed(function)(argument) for argument in arguments)
    return lambda: next(made, None)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    """Give two threads."""
    with ThreadPoolExecutor(2) as made:
        yield made


@pytest.mark.parametrize("n", [0, 1, 2, 5_000])
def test_all_jobs_run(executor: ThreadPoolExecutor, n: int) -> None:
    results = OwnResults(executor, 2, job_of(reciprocal, range(1, n + 1)))
    assert sorted(results) == sorted(1 / k for k in range(1, n + 1))
    assert list(results) == []


def test_as_many_run_at_once_as_may_and_no_more_are_asked_for(
    executor: ThreadPoolExecutor,
) -> None:
    go, asked = threading.Event(), []
    waits = (asked.append(k) or 30 for k in range(6))
    results = OwnResults(executor, 2, job_of(go.wait, waits))
    assert asked == [0, 1]
    results.go_on()
    assert asked == [0, 1]
    go.set()
    assert list(results) == [True] * 6
    assert asked == [*range(6)]


def test_it_goes_on_where_there_was_nothing_for_the_moment(executor: ThreadPoolExecutor) -> None:
    """Whoever has something new says so, while results are given and while none is waited for."""
    there, gone = [1.0, 2.0], []

    def job():
        return joblib.delayed(gone.append)(there.pop()) if there else None

    results = OwnResults(executor, 2, job)
    for k in range(200):
        there.append(float(k))
        results.go_on()
    end = time.monotonic() + 30
    while len(gone) < 202 and time.monotonic() < end:
        time.sleep(0.001)
    assert sorted(gone) == sorted([1.0, 2.0, *map(float, range(200))])
    assert list(results) == [None] * 202


def test_after_leaving_nothing_is_sent(executor: ThreadPoolExecutor) -> None:
    go, asked = threading.Event(), []
    waits = (asked.append(k) or 30 for k in range(6))
    results = OwnResults(executor, 2, job_of(go.wait, waits))
    results.leave()
    go.set()
    assert list(results) == [True] * 2
    assert asked == [0, 1]


def test_errors_of_jobs_are_raised_and_end_it(executor: ThreadPoolExecutor) -> None:
    results = OwnResults(executor, 1, job_of(reciprocal, iter([2, 0, 1])))
    assert next(results) == 0.5
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []


def test_errors_of_what_makes_jobs_are_raised(executor: ThreadPoolExecutor) -> None:
    def numbers() -> Iterator:
        yield 2
        raise LookupError("no further row")

    results = OwnResults(executor, 1, job_of(reciprocal, numbers()))
    assert next(results) == 0.5
    with pytest.raises(LookupError, match="no further row"):
        next(results)


@pytest.mark.parametrize(
    ("backend", "are_possible"), [("loky", True), ("threading", True), ("multiprocessing", False)]
)
def test_backends_whose_place_they_take(backend: str, are_possible: bool) -> None:
    with joblib.parallel_config(backend):
        assert OwnWorkers.are_possible() == are_possible


def test_joblib_tells_when_all_have_ended() -> None:
    go = threading.Event()
    waits = [joblib.delayed(go.wait)(30) for _ in range(3)]
    with joblib.parallel_config("threading", n_jobs=2), running(None, waits, in_order=False) as r:
        assert not r.all_ended
        go.set()
        assert list(r) == [True] * 3
        assert r.all_ended
