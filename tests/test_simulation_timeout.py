"""A simulation that hangs is a failure of its row, wherever it hangs."""

import time
from collections import deque
from contextlib import suppress
from itertools import repeat

import joblib
import numpy as np
import pytest
from scipy import stats

from sksbi import simulate
from sksbi.exceptions import SimulationWarning
from sksbi.simulation import run_simulator

THETA = np.arange(7.0)[:, None]
TIMEOUT = 1.0
HANGS = THETA[:, 0] == 3


def in_python():
    """Hang where the interpreter runs."""
    while True:
        time.sleep(0.01)


def swallowing():
    """Hang, whatever is raised."""
    while True:
        with suppress(Exception):
            time.sleep(100)


def in_c():
    """Hang where no signal is heard."""
    deque(repeat(0), maxlen=0)


def simulator(hang):
    """Make a simulator that hangs in one row."""

    def run(theta, rng):
        if theta[0] == 3:
            hang()
        return theta[0] + rng.normal()

    return run


@pytest.mark.parametrize(("hang", "n_jobs"), [(in_python, 1), (swallowing, 2)])
def test_rows_that_hang_fail_and_the_others_are_as_ever(hang, n_jobs):
    _, expected = run_simulator(simulator(lambda: None), THETA, random_state=0)
    began = time.monotonic()
    with pytest.warns(SimulationWarning, match="1 of 7 .*: 1 timed out. .*row 3.*timeout=1 sec"):
        theta, x = run_simulator(
            simulator(hang), THETA, n_jobs=n_jobs, timeout=TIMEOUT, random_state=0
        )
    assert time.monotonic() - began < 120
    np.testing.assert_array_equal(theta, THETA[~HANGS])
    np.testing.assert_array_equal(x, expected[~HANGS])


@pytest.mark.filterwarnings("ignore:the simulator's code")
def test_what_hangs_is_kept_as_a_failure(tmp_path):
    options = {
        "n_jobs": 2,
        "on_error": "keep",
        "timeout": TIMEOUT,
        "random_state": 0,
        "store": tmp_path,
    }
    _, x = run_simulator(simulator(in_c), THETA, **options)
    np.testing.assert_array_equal(np.isnan(x), HANGS)
    again = run_simulator(lambda theta, rng: 1 // 0, THETA, **options)[1]  # nothing runs again
    np.testing.assert_array_equal(again, x)


@pytest.mark.slow
def test_a_vectorized_simulator_has_the_time_of_its_rows():
    def simulator(theta):
        time.sleep(0.12 * len(theta))  # longer than one row may take
        if theta[0, 0] == 3:
            in_c()
        return theta

    with pytest.warns(SimulationWarning, match="3 of 7 simulations failed: 3 timed out"):
        _, x = run_simulator(simulator, THETA, vectorized=True, chunk_size=3, timeout=0.3)
    np.testing.assert_array_equal(x, THETA[[0, 1, 2, 6]])


def test_where_all_hang_the_first_is_raised():
    with pytest.raises(TimeoutError, match="took longer than timeout=0.2 seconds") as info:
        simulate(lambda theta: time.sleep(100), [stats.norm()], 3, timeout=0.2, random_state=0)
    assert "(row 0)" in "".join(info.value.__notes__)
    with pytest.raises(TimeoutError, match="timeout=1"):
        run_simulator(simulator(in_python), THETA, timeout=1, on_error="raise")


def test_processes_are_needed():
    with (
        joblib.parallel_config("threading", n_jobs=2),
        pytest.raises(ValueError, match="timeout needs worker processes .* 'loky'"),
    ):
        run_simulator(lambda theta: 1.0, THETA, timeout=1)


@pytest.mark.parametrize(
    ("timeout", "error"), [(0, ValueError), (-1, ValueError), ("1", TypeError), (True, TypeError)]
)
def test_wrong_time_outs(timeout, error):
    with pytest.raises(error, match=f"timeout must be .*{timeout}"):
        simulate(lambda theta: 1.0, [stats.norm()], 3, timeout=timeout)
