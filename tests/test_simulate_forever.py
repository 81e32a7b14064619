"""Simulations without end: the numbers, what runs ahead, failures, and how it ends."""

import contextlib
import gc
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sksbi import simulate, simulate_forever
from sksbi.exceptions import SimulationWarning
from sksbi.simulation import CommandSimulator
from sksbi.simulation._ahead import RowsAhead
from sksbi.simulation._cut import Cutter
from sksbi.simulation._runner import Chunk

PRIOR = {"a": stats.norm(0, 1), "b": stats.expon()}
UNNAMED = [stats.norm(0, 1), stats.expon()]

Batch = tuple[pd.DataFrame, pd.DataFrame]


def simulators() -> tuple[Callable, ...]:
    """Define simulators inside a function, so that other processes get them by value."""

    def noisy(theta, rng):
        return {"x": theta["a"] + rng.normal()}

    def noisy_chunk(theta, rng):
        return theta.to_numpy() + rng.normal(size=theta.shape)

    def fails_above_one(theta, rng):
        if theta["a"] > 1:
            raise ZeroDivisionError("a is too large")
        return {"x": theta["a"] + rng.normal()}

    def counted(file, hangs_from, theta, rng):
        with open(file, "a") as out:
            n = out.tell()
            out.write("x")
        if hangs_from is not None and n >= hangs_from:
            time.sleep(1000)
        return {"x": theta["a"] + rng.normal()}

    return noisy, noisy_chunk, fails_above_one, counted


noisy, noisy_chunk, fails_above_one, counted = simulators()


def take(batches: Iterator[Batch], n: int) -> list[Batch]:
    """Take some batches."""
    return [next(batches) for _ in range(n)]


def in_threads(simulator: Callable, n: int, n_jobs: int = 2, **options: object) -> list[Batch]:
    """Take some batches of a simulator that runs in threads, which start at once."""
    options = {"prior": PRIOR, "random_state": 0, "n_jobs": n_jobs} | options
    backend = "threading" if n_jobs > 1 else "sequential"
    with joblib.parallel_config(backend), simulate_forever(simulator, **options) as batches:
        return take(batches, n)


def assert_same(first: list[Batch], second: list[Batch]) -> None:
    """Hold that batches are the same, bit for bit."""
    for one, other in zip(first, second, strict=True):
        for a, b in zip(one, other, strict=True):
            assert type(a) is type(b)
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something has happened; half a minute means that it never does."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def raise_after(batches: Iterator[Batch]) -> None:
    """Take a batch, and fail."""
    next(batches)
    raise RuntimeError("of the user")


# The numbers.


@pytest.mark.parametrize("prior", [PRIOR, UNNAMED])
@pytest.mark.parametrize("vectorized", [False, True])
def test_batches_have_the_form_that_simulate_gives(prior: object, vectorized: bool) -> None:
    def simulator(theta):
        return np.zeros((len(theta), 3)) if vectorized else np.zeros(3)

    options = {"prior": prior, "vectorized": vectorized}
    expected = simulate(simulator, n_samples=7, random_state=0, **options)
    (batch,) = in_threads(simulator, 1, batch_size=7, **options)
    for one, other in zip(batch, expected, strict=True):
        assert type(one) is type(other)
        assert one.shape == other.shape
        assert list(getattr(one, "columns", ())) == list(getattr(other, "columns", ()))
        assert isinstance(one, np.ndarray) or one.index.equals(other.index)


@pytest.mark.parametrize(("simulator", "vectorized"), [(noisy, False), (noisy_chunk, True)])
def test_jobs_do_not_change_the_numbers(simulator: Callable, vectorized: bool) -> None:
    options = {"batch_size": 30, "vectorized": vectorized}
    serial = in_threads(simulator, 5, n_jobs=1, **options)
    assert_same(in_threads(simulator, 5, n_jobs=3, **options), serial)


def test_other_backends_give_the_same_numbers() -> None:
    """And go on as joblib lets them."""
    distributed = pytest.importorskip("distributed")
    serial = in_threads(noisy, 5, n_jobs=1, batch_size=30)
    client = distributed.Client(processes=False, n_workers=1, dashboard_address=None)
    with (
        client,
        joblib.parallel_config("dask"),
        simulate_forever(noisy, PRIOR, batch_size=30, random_state=0) as batches,
    ):
        assert_same(take(batches, 5), serial)


def test_every_row_has_parameters_and_a_generator_of_its_own() -> None:
    entropy = np.random.default_rng(0).integers(2**32, size=4).tolist()
    batches = in_threads(noisy, 6, batch_size=50)
    theta, x = (pd.concat(parts, ignore_index=True) for parts in zip(*batches, strict=True))
    noise = [
        np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(row,))).normal()
        for row in range(300)
    ]
    np.testing.assert_array_equal(x["x"], theta["a"] + noise)
    assert theta["a"].nunique() == 300
    assert stats.kstest(theta["a"], PRIOR["a"].cdf).pvalue > 1e-3


def test_numbers_depend_on_the_seed() -> None:
    first, second = (in_threads(noisy, 1, batch_size=5, random_state=seed) for seed in (0, 1))
    assert not first[0][0].equals(second[0][0])


# What runs ahead.


def test_it_goes_on_in_the_background_but_not_far() -> None:
    """One or two batches run ahead of the one that is used, however long that takes."""
    started, lock = [], threading.Lock()

    def simulator(theta):
        with lock:
            started.append(theta["a"])
        return theta["a"]

    with joblib.parallel_config("threading", n_jobs=2):
        batches = simulate_forever(simulator, PRIOR, batch_size=50, random_state=0)
        for n_used in (1, 2, 3):
            next(batches)
            wait_for(lambda n=n_used: len(started) >= (n + 1) * 50)
            assert len(started) <= (n_used + 2) * 50
        time.sleep(0.1)
        assert len(started) <= 5 * 50
        batches.close()
        assert list(batches) == []


def test_memory_is_bounded_where_rows_end_out_of_order() -> None:
    """A row that takes its time holds up the others, after two batches of them."""
    go, started = threading.Event(), []

    def simulator(theta):
        started.append(theta["a"])
        if len(started) == 1:
            go.wait(30)
        return theta["a"]

    with joblib.parallel_config("threading", n_jobs=2):
        batches = simulate_forever(simulator, PRIOR, batch_size=50, random_state=0)
        timer = threading.Timer(0.5, go.set)
        timer.start()
        theta, _ = next(batches)
        assert len(theta) == 50
        batches.close()
        timer.join()
    assert len(started) <= 4 * 50


def gaps_of(rows: RowsAhead) -> list[tuple[int, int]]:
    """List the pieces that have not run, as far as they may."""
    return list(itertools.takewhile(bool, rows.pieces()))


def test_rows_that_are_lost_run_again_first() -> None:
    rows = RowsAhead(
        lambda start, n: np.arange(start, start + n)[:, None],
        10,
        25,
        Cutter(4, 1, vectorized=False),
    )
    rows.reach(0)
    assert gaps_of(rows) == [(0, 4), (4, 8), (8, 10), (10, 14), (14, 18), (18, 20)]
    assert not rows.has_more
    for start, stop in [(4, 8), (10, 14)]:
        rows.put(Chunk(start, stop))
    assert gaps_of(rows) == [(0, 4), (8, 10), (14, 18), (18, 20)]
    assert rows.pop() is None
    rows.put(Chunk(0, 3, interrupted=True))
    chunk, theta = rows.pop()
    assert (chunk.stop, theta[:, 0].tolist()) == (3, [0, 1, 2])
    assert gaps_of(rows)[0] == (3, 4)
    rows.reach(0)
    assert not rows.has_more  # row 28 is the last that may run, and a block has ten
    rows.put(Chunk(3, 4))
    assert [rows.pop()[0].start for _ in range(2)] == [3, 4]
    rows.reach(0)
    assert rows.has_more
    assert rows.theta(25, 28)[:, 0].tolist() == [25, 26, 27]


def test_what_is_interrupted_runs_again() -> None:
    """As after Ctrl-C, which worker processes hear, too."""
    broken = []

    def simulator(theta, rng):
        if len(broken) < 3 and theta["a"] > 1:
            broken.append(theta["a"])
            raise KeyboardInterrupt
        return {"x": theta["a"] + rng.normal()}

    assert_same(in_threads(simulator, 4, batch_size=40), in_threads(noisy, 4, batch_size=40))
    assert len(broken) == 3


def test_a_simulator_that_interrupts_itself_interrupts(tmp_path: Path) -> None:
    """Whatever row it is at: no Ctrl-C comes again and again there."""

    def simulator(theta, rng):
        if theta["a"] > 1:
            raise KeyboardInterrupt
        return {"x": theta["a"] + rng.normal()}

    with (
        joblib.parallel_config("threading"),
        simulate_forever(simulator, PRIOR, batch_size=40, random_state=0) as batches,
    ):
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                next(batches)


# Failures.


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_failed_rows_are_dropped_and_the_batch_is_filled_up(n_jobs: int) -> None:
    everything = in_threads(noisy, 8, batch_size=40)
    theta, x = (pd.concat(parts, ignore_index=True) for parts in zip(*everything, strict=True))
    good = theta["a"] <= 1
    n = 1 + np.flatnonzero(good.cumsum() == 40)[0]
    words = rf"^{n - 40} of {n} simulations failed: {n - 40} ZeroDivisionError\. The first.*NPE is"
    with pytest.warns(SimulationWarning, match=words) as caught:
        batches = in_threads(fails_above_one, 5, n_jobs=n_jobs, batch_size=40)
    assert [warning.filename for warning in caught] == [__file__]
    expected = [
        (theta[good][k : k + 40].reset_index(drop=True), x[good][k : k + 40].reset_index(drop=True))
        for k in range(0, 200, 40)
    ]
    assert_same(batches, expected)


def test_the_warning_comes_again_after_ten_times_as_many_rows() -> None:
    with pytest.warns(SimulationWarning) as caught:
        in_threads(fails_above_one, 30, batch_size=10)
    counts = [int(str(warning.message).split()[2]) for warning in caught]
    assert len(counts) == 2
    assert counts[1] >= 10 * counts[0]


def test_kept_rows_are_missing() -> None:
    batches = in_threads(fails_above_one, 4, batch_size=40, on_error="keep")
    for (theta, x), (all_theta, all_x) in zip(
        batches, in_threads(noisy, 4, batch_size=40), strict=True
    ):
        assert theta.equals(all_theta)
        failed = theta["a"] > 1
        assert failed.any()
        assert x.equals(all_x.mask(failed))


def test_a_batch_may_have_failed_as_a_whole() -> None:
    def simulator(theta):
        if theta["a"] < 1.5:
            raise OverflowError
        return {"number": 1, "word": "yes"}

    batches = in_threads(simulator, 30, n_jobs=1, batch_size=3, on_error="keep")
    assert all(x.columns.tolist() == ["number", "word"] and len(x) == 3 for _, x in batches)
    assert {int(x["number"].isna().sum()) for _, x in batches} >= {2, 3}
    assert all(x["word"].isna().equals(x["number"].isna()) for _, x in batches)


def test_raise_gives_the_batches_before_the_first_error() -> None:
    theta, _ = zip(*in_threads(noisy, 3, batch_size=6), strict=True)
    first = int(np.argmax(pd.concat(theta)["a"] > 1))
    got = []
    with (
        joblib.parallel_config("threading", n_jobs=2),
        simulate_forever(
            fails_above_one, PRIOR, batch_size=6, on_error="raise", random_state=0
        ) as batches,
        pytest.raises(ZeroDivisionError, match="too large") as info,
    ):
        got.extend(batches)
    assert len(got) == first // 6
    assert f"(row {first})" in "".join(info.value.__notes__)


@pytest.mark.parametrize("on_error", ["drop", "keep"])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_it_does_not_spin_where_everything_fails(on_error: str, n_jobs: int) -> None:
    calls = []

    def simulator(theta):
        calls.append(theta)
        raise OverflowError("no")

    with pytest.raises(OverflowError, match="no") as info:
        in_threads(simulator, 1, n_jobs=n_jobs, batch_size=50, on_error=on_error)
    assert "(row 0)" in "".join(info.value.__notes__)
    assert 100 <= len(calls) <= 300


def test_it_does_not_spin_where_everything_fails_from_some_row_on() -> None:
    """And not before that is sure: one in a thousand rows succeeds at first."""
    calls = []

    def simulator(theta):
        calls.append(theta)
        if len(calls) > 500:
            raise ConnectionError("the licence has expired")
        return 1.0

    with (
        joblib.parallel_config("sequential"),
        simulate_forever(simulator, PRIOR, batch_size=100, random_state=0) as batches,
    ):
        assert all(x.tolist() == [1.0] * 100 for _, x in take(batches, 5))
        with pytest.raises(ConnectionError) as info:
            next(batches)
    assert "(row 500)" in info.value.__notes__[0]
    assert len(calls) <= 500 + 1_200


def test_rare_success_is_no_reason_to_stop() -> None:
    """A success in every 400 rows, and batches of one: the streaks are what chance makes."""
    number = iter(range(10**9))

    def simulator(theta):
        if next(number) % 400:
            raise OverflowError
        return 1.0

    with pytest.warns(SimulationWarning, match="simulations failed"):
        batches = in_threads(simulator, 6, n_jobs=1, batch_size=1)
    assert len(batches) == 6


def test_results_of_another_form_raise() -> None:
    def simulator(theta):
        return {"u": 1.0} if theta["a"] < 1 else {"v": 1.0}

    with pytest.raises(ValueError, match=r"shape or names, got the names \['[uv]'\] at row"):
        in_threads(simulator, 10, batch_size=20)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be an int >= 1, got 0"),
        ({"batch_size": 2.5}, TypeError, "batch_size .* got 2.5"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be None or an int other than 0.* got 0"),
        ({"on_error": "ignore"}, ValueError, "on_error .* got 'ignore'"),
        ({"timeout": -1}, ValueError, "timeout .* got -1"),
        ({"vectorized": "yes"}, TypeError, "vectorized .* got 'yes'"),
        ({"simulator": 3}, TypeError, "simulator must be callable, got 3"),
        ({"random_state": "seed"}, ValueError, "random_state .* got 'seed'"),
    ],
)
def test_bad_arguments(options: dict, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        simulate_forever(**{"simulator": noisy, "prior": PRIOR} | options)


# The end.


def test_forgetting_it_is_enough() -> None:
    n_threads = threading.active_count()
    with joblib.parallel_config("threading", n_jobs=2):
        for _ in simulate_forever(noisy, PRIOR, batch_size=50, random_state=0):
            break
        gc.collect()
        with contextlib.closing(simulate_forever(noisy, PRIOR, batch_size=50)) as batches:
            next(batches)
        with (
            pytest.raises(RuntimeError, match="of the user"),
            simulate_forever(noisy, PRIOR, batch_size=50) as batches,
        ):
            raise_after(batches)
    wait_for(lambda: threading.active_count() == n_threads)


def test_processes_of_its_own_end_with_it(tmp_path: Path) -> None:
    """The numbers are the same there; it goes on in the background; rows that hang do no harm."""
    file, before = tmp_path / "count", set(multiprocessing.active_children())
    batches = simulate_forever(
        partial(counted, str(file), 65), PRIOR, batch_size=30, random_state=0
    )
    got = [next(batches)]
    wait_for(lambda: file.stat().st_size == 66)
    got.append(next(batches))
    assert_same(got, in_threads(noisy, 2, batch_size=30))
    assert len(set(multiprocessing.active_children()) - before) == 1
    batches.close()
    assert set(multiprocessing.active_children()) <= before
    assert file.stat().st_size == 66
    assert list(batches) == []


SCRIPT = """
import os, signal, sys, time
import numpy as np
from scipy import stats
from sksbi import simulate_forever

def simulator(theta, rng):
    if theta["b"] > 3 and os.path.exists(sys.argv[1]):
        time.sleep(1000)
    return {"x": theta["a"] + rng.normal()}

signal.signal(signal.SIGINT, signal.default_int_handler)
prior = {"a": stats.norm(0, 1), "b": stats.expon()}
batches = simulate_forever(simulator, prior, batch_size=40, n_jobs=2, random_state=0)
got = [next(batches)]
try:
    print("training", flush=True)
    time.sleep(1000)
except KeyboardInterrupt:
    print("stopped", flush=True)
got += [next(batches) for _ in range(4)]
open(sys.argv[1], "w").close()
for theta, x in got:
    print((x["x"] - theta["a"]).sum())
try:
    while True:
        next(batches)
except KeyboardInterrupt:
    print("stopped again", flush=True)
"""


@pytest.mark.slow
def test_ctrl_c_and_the_end_of_the_interpreter(tmp_path: Path) -> None:
    """Ctrl-C as a terminal sends it, to all processes: at once, and no simulation is lost."""
    command = [sys.executable, "-W", "error", "-c", SCRIPT, str(tmp_path / "hang")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout.readline() == "training\n"
        time.sleep(1)
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.readline() == "stopped\n"
        sums = [float(process.stdout.readline()) for _ in range(5)]
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == ("stopped again\n", "", 0)
    expected = in_threads(noisy, 5, batch_size=40)
    np.testing.assert_allclose(sums, [(x["x"] - theta["a"]).sum() for theta, x in expected])


KILLED = """
import os, sys
from scipy import stats
from sksbi import simulate_forever

def simulator(theta, rng):
    open(os.path.join(sys.argv[1], str(os.getpid())), "w").close()
    return theta[0]

batches = simulate_forever(simulator, [stats.norm()], batch_size=50, n_jobs=2, random_state=0)
next(batches)
os.kill(os.getpid(), 9)
"""


def test_workers_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, timeout=60)
    workers = [int(path.name) for path in tmp_path.iterdir()]
    assert workers
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() or _lives(pid) for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _lives(pid: int) -> bool:
    """Tell whether there is a process."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_nothing_temporary_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of rows, too, whose programs are killed when the loop ends."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    command = ["sh", "-c", "echo > {folder}/big; sleep 0.2; echo {theta_0}"]
    program = CommandSimulator(command, parse="numbers")
    options = {"batch_size": 10, "n_jobs": 2, "random_state": 0}
    with simulate_forever(program, UNNAMED[:1], **options) as batches:
        next(batches)
        deadline = time.monotonic() + 60
        while not list(tmp_path.rglob("big")):  # of rows that run ahead
            assert time.monotonic() < deadline
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("way", ["dies", "hangs"])
def test_rows_that_kill_or_hang_are_failures(way: str) -> None:
    def simulator(theta, rng):
        if 1 < theta["a"] < 1.5:
            os._exit(3) if way == "dies" else time.sleep(1000)
        return {"x": theta["a"] + rng.normal()}

    options = {"batch_size": 20, "on_error": "keep", "random_state": 0}
    timeout = 1.0 if way == "hangs" else None
    with simulate_forever(simulator, PRIOR, n_jobs=2, timeout=timeout, **options) as batches:
        got = take(batches, 2)
    for (theta, x), (_, expected) in zip(got, in_threads(noisy, 2, batch_size=20), strict=True):
        assert x.equals(expected.mask((theta["a"] > 1) & (theta["a"] < 1.5)))
    assert any(x.isna().to_numpy().any() for _, x in got)


@pytest.mark.slow
def test_others_may_use_other_numbers_of_jobs_meanwhile() -> None:
    """joblib's own processes, resized while jobs send others, would wait for ever."""
    with simulate_forever(noisy, PRIOR, batch_size=20, random_state=0) as batches:
        got = []
        for n_jobs in (2, 3, 2):
            got.append(next(batches))
            assert joblib.Parallel(n_jobs)(joblib.delayed(abs)(-i) for i in range(9)) == [*range(9)]
    assert_same(got, in_threads(noisy, 3, batch_size=20))
