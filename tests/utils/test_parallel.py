"""Jobs run wherever joblib's backend says, and their results come in order."""

import time

import joblib
import pytest

from sksbi.utils.parallel import running, workers_may_die


def reciprocal(number: int) -> float:
    return 1 / number


def jobs(*numbers: int) -> list:
    return [joblib.delayed(reciprocal)(number) for number in numbers]


@pytest.mark.parametrize("backend", ["sequential", "threading", "loky", "multiprocessing"])
def test_results_come_in_order(backend: str) -> None:
    with joblib.parallel_config(backend, n_jobs=2), running(None, jobs(4, 2, 1)) as results:
        assert list(results) == [0.25, 0.5, 1.0]


@pytest.mark.parametrize("backend", ["sequential", "threading", "loky"])
def test_the_error_of_a_job_is_raised(backend: str) -> None:
    with (
        joblib.parallel_config(backend, n_jobs=2),
        pytest.raises(ZeroDivisionError),
        running(None, jobs(1, 0, 1)) as results,
    ):
        list(results)


def test_results_out_of_order_come_as_they_end() -> None:
    waits = [joblib.delayed(sleeper)(number) for number in (0.5, 0.0, 0.1)]
    with joblib.parallel_config("threading", n_jobs=2), running(None, waits, in_order=False) as r:
        assert list(r) == [0.0, 0.1, 0.5]


def sleeper(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@pytest.mark.parametrize(("backend", "may"), [("loky", True), ("threading", False)])
def test_only_loky_tells_of_dead_workers(backend: str, may: bool) -> None:
    with joblib.parallel_config(backend):
        assert workers_may_die() == may
