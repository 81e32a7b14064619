"""A run that is kept in a store gives the same numbers, whatever stops it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from functools import partial

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sksbi import simulate
from sksbi.data import LazyTable, SimulationStore, open_pairs
from sksbi.data.parts import Part
from sksbi.exceptions import SimulationInterrupted, SimulationWarning
from sksbi.simulation import CommandSimulator, failures, forget_failures, replay, run_simulator

# Who goes on with another simulator is warned; here they count, or fail, on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:the simulator's code")

PRIOR = {"a": stats.norm(), "b": stats.uniform()}

SCRIPT = """
import sys, time
from scipy import stats
from sksbi import simulate
def simulator(theta, rng):
    time.sleep(0.005)
    with open(sys.argv[2], "a") as file:
        file.write(f"{theta['a']!r}\\n")
    return {"x": rng.normal(theta["a"])}
simulate(simulator, {"a": stats.norm()}, 300, random_state=0, store=sys.argv[1])
"""


def simulator(theta, rng):
    """Fail for a third of theta."""
    if theta["b"] > 2 / 3:
        raise ValueError("b is too large")
    return {"x": rng.normal(theta["a"]), "kind": "high" if rng.random() < 0.5 else "low"}


def in_one_go(theta, rng):
    """Simulate a table."""
    return rng.normal(theta[["a", "b"]])


def wide(theta, rng):
    """Simulate many columns."""
    return rng.normal(theta[["a"]], size=(len(theta), 200))


def counting(of, rows):
    """Count the rows that are simulated."""

    def counted(theta, rng):
        rows.append(theta)
        return of(theta, rng)

    return counted


def same(one, other):
    """Hold that two runs gave the same."""
    for a, b in zip(one, other, strict=True):
        a, b = (t.load() if isinstance(t, LazyTable) else t for t in (a, b))
        if isinstance(a, pd.DataFrame):
            pd.testing.assert_frame_equal(a, b)
        else:
            np.testing.assert_array_equal(a, b)


@pytest.mark.filterwarnings("ignore::sksbi.exceptions.SimulationWarning")
@pytest.mark.parametrize("on_error", ["drop", "keep"])
def test_a_store_changes_no_numbers(tmp_path, on_error):
    """With a store or without, once or again, the results are the same."""
    options = {"on_error": on_error, "random_state": 0}
    expected = simulate(simulator, PRIOR, 200, **options)
    same(simulate(simulator, PRIOR, 200, store=tmp_path, **options), expected)
    rows = []
    same(simulate(counting(simulator, rows), PRIOR, 200, store=tmp_path, **options), expected)
    assert not rows


def test_failures_are_told_again(tmp_path):
    """What a store knows of failures is as good as new."""
    told = []
    for _ in range(2):
        with pytest.warns(SimulationWarning, match="b is too large") as caught:
            simulate(simulator, PRIOR, 200, random_state=0, store=tmp_path)
        told.append(str(caught[0].message))
    assert told[0] == told[1]


@pytest.mark.parametrize("chunk_size", [None, 7])
@pytest.mark.parametrize("vectorized", [False, True])
def test_missing_parts_are_simulated_again(tmp_path, vectorized, chunk_size):
    """Whatever parts are there, the rest is filled in."""
    of = in_one_go if vectorized else lambda theta, rng: rng.normal(theta["a"])
    options = {"vectorized": vectorized, "chunk_size": chunk_size, "random_state": 0}
    expected = [t.load() for t in simulate(of, PRIOR, 100, store=tmp_path, **options)]
    parts = sorted(tmp_path.glob("part*"))
    for path in parts[::2]:
        path.unlink()
    same(simulate(of, PRIOR, 100, store=tmp_path, **options), expected)


def test_the_run_of_another_process_counts(tmp_path, monkeypatch):
    """If it begins between two lines, its parameters and its noise are taken."""
    of, create = lambda theta, rng: rng.normal(theta["a"]), SimulationStore.create
    first = []

    def beaten(self, settings, theta):
        monkeypatch.setattr(SimulationStore, "create", create)
        first.append(simulate(of, PRIOR, 50, store=tmp_path))
        create(self, settings, theta)

    monkeypatch.setattr(SimulationStore, "create", beaten)
    second = simulate(of, PRIOR, 50, store=tmp_path)
    same(first[0], second)


@pytest.mark.parametrize("vectorized", [False, True])
def test_more_rows_are_added(tmp_path, vectorized):
    """The first stay as they are, and the others are new, noise and all."""
    of = in_one_go if vectorized else lambda theta, rng: rng.normal(theta[["a", "b"]])
    options = {"vectorized": vectorized, "random_state": 0, "store": tmp_path}
    first = simulate(of, PRIOR, 1_500, **options)
    theta, x = simulate(of, PRIOR, 4_000, **options)
    same(first, (theta[:1_500], x[:1_500]))
    same(first, simulate(of, PRIOR, 1_500, **options))
    theta, x = theta.load(), x.load()
    noise = x - theta.to_numpy()
    assert len(np.unique(noise)) == noise.size  # no generator was used twice
    assert len(np.unique(theta["a"])) == 4_000
    assert stats.kstest(theta["a"], "norm").pvalue > 1e-3
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-3


def test_an_interruption_is_kept(tmp_path):
    """Ctrl-C, and another process goes on."""
    seen = []

    def impatient(theta, rng):
        if len(seen) == 50:
            raise KeyboardInterrupt
        seen.append(theta)
        return rng.normal(theta["a"])

    with pytest.raises(SimulationInterrupted):
        simulate(impatient, PRIOR, 80, random_state=0, store=tmp_path)
    rows = []
    of = counting(lambda theta, rng: rng.normal(theta["a"]), rows)
    result = simulate(of, PRIOR, 80, random_state=0, store=tmp_path)
    assert len(rows) == 30
    same(result, simulate(of, PRIOR, 80, random_state=0))


@pytest.mark.parametrize(
    "n_kills", [1, pytest.param(20, marks=pytest.mark.slow)], ids=["one", "many"]
)
def test_a_killed_run_goes_on(tmp_path, n_kills):
    """SIGKILL at random moments: the same numbers, and only what was in hand is run twice."""
    rng, store, log = np.random.default_rng(0), tmp_path / "pairs", tmp_path / "log"
    command = [sys.executable, "-c", SCRIPT, str(store), str(log)]
    n_killed, deadline = 0, time.monotonic() + 240
    while n_killed < n_kills and time.monotonic() < deadline:
        process = subprocess.Popen(command)
        before = log.stat().st_size if log.exists() else 0
        while process.poll() is None and (not log.exists() or log.stat().st_size == before):
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 1.5 / n_kills))
        process.send_signal(signal.SIGKILL)
        n_killed += process.wait() == -signal.SIGKILL
    assert n_killed == n_kills
    subprocess.run(command, check=True)
    result = simulate(_not_called, {"a": stats.norm()}, 300, random_state=0, store=store)
    expected = simulate(
        lambda theta, rng: {"x": rng.normal(theta["a"])}, {"a": stats.norm()}, 300, random_state=0
    )
    same(result, expected)
    runs = pd.Series(log.read_text().split()).value_counts()
    assert len(runs) == 300
    # A chunk takes .3 s at most, and .25 s of those before wait to be written: 110 rows of 5 ms.
    assert (runs - 1).sum() <= 110 * n_kills


def _not_called(theta, rng):
    raise AssertionError("a row was simulated again")


@pytest.mark.slow
def test_two_processes_fill_one_store(tmp_path):
    """Both begin anywhere, and end with the same numbers; no mark of them is left."""
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / ".writer-other").touch()
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "pairs"), str(tmp_path / "log")]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert [path.name for path in (tmp_path / "pairs").glob(".writer-*")] == [".writer-other"]
    options = {"random_state": 0}
    result = simulate(_not_called, {"a": stats.norm()}, 300, store=tmp_path / "pairs", **options)
    expected = simulate(
        lambda theta, rng: {"x": rng.normal(theta["a"])}, {"a": stats.norm()}, 300, **options
    )
    same(result, expected)


def test_a_simulator_that_was_wrong_is_run_again(tmp_path):
    """As long as nothing has succeeded, failures are not kept; nor where one is enough."""

    def wrong(theta):
        raise KeyError("typo")

    with pytest.raises(KeyError, match="typo"):
        simulate(wrong, PRIOR, 500, random_state=0, store=tmp_path / "all")
    assert simulate(lambda theta: theta, PRIOR, 500, random_state=0, store=tmp_path / "all")

    options = {"random_state": 0, "on_error": "raise", "store": tmp_path / "one"}
    with pytest.raises(ValueError, match="too large"):
        simulate(simulator, PRIOR, 100, **options)
    theta, _ = simulate(lambda theta: theta["a"], PRIOR, 100, **options)
    assert len(theta) == 100


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"random_state": 1}, "random_state=0, got random_state=1"),
        ({"on_error": "keep"}, "on_error='drop', got on_error='keep'"),
        ({"vectorized": True}, "vectorized=False, got vectorized=True"),
        (
            {"prior": {"a": stats.norm(), "b": stats.uniform(0, 2)}},
            r"got prior='Marg.*uniform\(0, 2",
        ),
        (
            {"prior": {"a": stats.norm(), "c": stats.uniform()}},
            r"names=\['a', 'b'\], got names=\['a', 'c'\]",
        ),
        ({"store": 3}, "store must be None or the path of a folder"),
    ],
)
def test_another_run_is_refused(tmp_path, changed, message):
    """What the numbers depend on must be as it was."""
    options = {"prior": PRIOR, "n_samples": 20, "random_state": 0, "store": tmp_path}
    simulate(lambda theta: theta["a"], **options)
    with pytest.raises((TypeError, ValueError), match=message):
        simulate(lambda theta: theta, **options | changed)


def test_given_parameters_are_kept(tmp_path):
    """run_simulator holds that they begin with the same rows."""
    theta = np.arange(10.0)[:, None]
    first = run_simulator(lambda theta: theta, theta[:6], store=tmp_path)
    rows = []
    of = counting(lambda theta, rng: theta, rows)
    second = run_simulator(of, theta, store=tmp_path)
    assert len(rows) == 4
    same(first, (second[0][:6], second[1][:6]))
    with pytest.raises(ValueError, match=r"begun with \[0\.\] in row 0 of theta, got \[1\.\]"):
        run_simulator(of, theta + 1, store=tmp_path)
    assert os.listdir(tmp_path)


@pytest.mark.filterwarnings("ignore::sksbi.exceptions.SimulationWarning")
def test_failures_are_listed_and_fail_again(tmp_path):
    pairs = simulate(simulator, PRIOR, 60, on_error="keep", random_state=0, store=tmp_path)
    theta, x = (table.load() for table in pairs)
    table = failures(tmp_path)
    assert table.index.tolist() == np.flatnonzero(x["x"].isna()).tolist()
    pd.testing.assert_frame_equal(
        table[["a", "b"]], theta[x["x"].isna()], check_index_type=False, check_names=False
    )
    assert table["kind"].unique().tolist() == ["ValueError"]
    assert table["error"].unique().tolist() == ["ValueError: b is too large"]
    with pytest.raises(ValueError, match="b is too large"):
        replay(simulator, tmp_path, table.index[0])
    good = int(np.flatnonzero(x["x"].notna())[3])
    assert replay(simulator, tmp_path, good) == x.loc[good].to_dict()
    with pytest.raises(ValueError, match="row must be one of a simulation that has run .*got 60"):
        replay(simulator, tmp_path, 60)
    with pytest.raises(TypeError, match="row must be an int"):
        replay(simulator, tmp_path, 1.5)


def test_a_vectorized_chunk_is_replayed_as_it_ran(tmp_path):
    """Also where the run was extended in the middle of a chunk."""
    options = {"vectorized": True, "chunk_size": 20, "random_state": 0, "store": tmp_path}
    for n in (30, 50):
        _, x = simulate(in_one_go, PRIOR, n, **options)
    for row, piece in ((0, slice(0, 20)), (25, slice(20, 30)), (35, slice(30, 40))):
        np.testing.assert_array_equal(replay(in_one_go, tmp_path, row), x[piece])


def test_a_row_of_two_parts_is_replayed_from_the_one_that_counts(tmp_path):
    """Another process may have run the whole of a chunk that was cut before."""
    options = {"vectorized": True, "chunk_size": 20, "random_state": 0}
    _, x = simulate(in_one_go, PRIOR, 30, **options, store=tmp_path)
    simulate(in_one_go, PRIOR, 40, **options, store=tmp_path)
    part = next(tmp_path.glob("part-*30-*40-0.npz"))
    part.rename(part.with_name(part.name.replace("30-", "20-", 1)))  # as if rows 20 to 40 had run
    assert SimulationStore(tmp_path).piece(35) == (20, 40)
    assert SimulationStore(tmp_path).piece(25) == (0, 30)
    assert SimulationStore(tmp_path).piece(40) is None
    np.testing.assert_array_equal(replay(in_one_go, tmp_path, 25), x[20:30])
    assert len(replay(in_one_go, tmp_path, 35)) == 20


def test_failures_of_parameters_without_names(tmp_path):
    run_simulator(lambda t: t if t[0] else None, [[2.0], [0.0]], on_error="keep", store=tmp_path)
    table = failures(tmp_path)
    told = {"kind": "returned None", "error": "ValueError: the simulator returned None"}
    assert table.to_dict("index") == {1: {"theta_0": 0.0} | told}
    with pytest.raises(ValueError, match="store must be a folder of simulations"):
        failures(tmp_path / "none")
    with pytest.raises(TypeError, match="store must be the path of a folder"):
        failures(3)


@pytest.mark.parametrize("vectorized", [False, True])
def test_what_others_have_done_is_taken(tmp_path, monkeypatch, vectorized):
    """As soon as it is seen: here all but the first chunk."""
    monkeypatch.setattr("sksbi.simulation._places._PAUSE", 0.0)
    of = in_one_go if vectorized else lambda theta, rng: rng.normal(theta[["a", "b"]])
    options = {"vectorized": vectorized, "chunk_size": 20, "random_state": 0}
    expected = simulate(of, PRIOR, 200, **options)
    rows = []

    def slow(theta, rng):
        if not rows:
            simulate(of, PRIOR, 200, store=tmp_path, **options)
        rows.append(theta)
        return of(theta, rng)

    same(simulate(slow, PRIOR, 200, store=tmp_path, **options), expected)
    assert len(rows) == (1 if vectorized else 20)


def test_a_full_disk_keeps_what_it_has(tmp_path):
    """A file system of a megabyte: what was written is there, and the run goes on elsewhere."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no right to mount a file system")
    try:
        options = {"vectorized": True, "random_state": 0, "chunk_size": 100}
        with pytest.raises(OSError, match="No space left") as caught:
            simulate(wide, PRIOR, 2_000, store=small / "pairs", **options)
        assert "before is kept" in caught.value.__notes__[0]
        done = len(open_pairs(small / "pairs")[1])
        assert 0 < done < 2_000
        shutil.copytree(small / "pairs", tmp_path / "large")
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
    chunks = []
    pairs = simulate(counting(wide, chunks), PRIOR, 2_000, store=tmp_path / "large", **options)
    assert len(chunks) == (2_000 - done) // 100
    same(pairs, simulate(wide, PRIOR, 2_000, **options))


def test_whoever_meets_another_goes_elsewhere(tmp_path, monkeypatch):
    """Rows that two did at the same time are the last that they share."""
    monkeypatch.setattr("sksbi.simulation._places._any_row", lambda left: 150)
    of = lambda theta, rng: rng.normal(theta["a"])  # noqa: E731
    options = {"chunk_size": 1, "random_state": 0, "store": tmp_path}
    order = []

    def beside(theta, rng):
        time.sleep(0.3)
        order.append(theta["a"])
        if len(order) == 1:
            SimulationStore(tmp_path).add(Part(0, 1, np.array([0]), np.zeros(1), []))
        elif len(order) == 3:
            raise KeyboardInterrupt
        return of(theta, rng)

    with pytest.raises(SimulationInterrupted):
        simulate(beside, PRIOR, 200, **options)
    a = SimulationStore(tmp_path).theta()["a"]
    assert order == [a[0], a[150], a[151]]


def test_the_first_error_is_raised_when_it_was_found_before(tmp_path):
    """Also by a run that finds all rows ended."""
    theta = np.arange(3.0)[:, None]

    def fails(theta):
        if theta[0] == 2:
            raise ValueError("boom")
        time.sleep(0.5 * (theta[0] == 1))
        return theta

    options = {"n_jobs": 3, "chunk_size": 1, "on_error": "raise", "store": tmp_path}
    for n in (3, 2, 3):
        with (
            joblib.parallel_config("threading"),
            pytest.raises((ValueError, RuntimeError), match="boom") if n == 3 else nullcontext(),
        ):
            run_simulator(fails, theta[:n], **options)


def test_rows_that_another_asks_for_meanwhile(tmp_path, monkeypatch):
    """Fewer than are wanted here: the rest is asked for after them."""
    of = lambda theta, rng: rng.normal(theta["a"])  # noqa: E731
    options = {"random_state": 0, "store": tmp_path}
    simulate(of, PRIOR, 50, **options)
    extend, first = SimulationStore.extend, []

    def beaten(self, start, theta):
        if not first:
            first.append(start)
            simulate(of, PRIOR, 80, **options)
        extend(self, start, theta)

    monkeypatch.setattr(SimulationStore, "extend", beaten)
    theta, _ = simulate(of, PRIOR, 100, **options)
    assert len(np.unique(theta["a"])) == 100


SCALE, CALLS = 1.0, 0


def scaled(theta, rng):
    """Use a constant and a helper outside, and count."""
    global CALLS
    CALLS += 1
    return helper(theta["a"]) * SCALE


def helper(a):
    """Stand outside."""
    return a + 1


class Machine:
    """Be called."""

    def __init__(self, noise):
        self.noise, self.n_calls = noise, 0

    def __call__(self, theta, rng):
        self.n_calls += 1
        return rng.normal(theta["a"], self.noise)


def closing_over(factor):
    """Remember a number, and a list that fills."""
    seen = []

    def simulator(theta, rng):
        seen.append(theta["a"])
        return factor * theta["a"]

    return simulator


def pow_of(theta, n):
    """Have an argument."""
    return theta["a"] ** n


OTHERS = {
    "code": (lambda theta: theta["a"], lambda theta: theta["a"] + 1),
    "a default": (lambda theta, k=1: theta["a"] * k, lambda theta, k=2: theta["a"] * k),
    "closures": (closing_over(1.0), closing_over(2.0)),
    "attributes": (Machine(1.0), Machine(2.0)),
    "arguments": (partial(pow_of, n=1), partial(pow_of, n=2)),
    "programs": (
        CommandSimulator("echo 1{a:.0f}{b:.0f}"),
        CommandSimulator("echo 2{b:.0f}{a:.0f}"),
    ),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("one", "other"), OTHERS.values(), ids=OTHERS)
def test_a_simulator_that_has_changed_is_warned_of(tmp_path, one, other):
    """Itself not, although it has counted and filled meanwhile."""
    options = {"random_state": 0, "store": tmp_path, "on_error": "keep"}
    first = simulate(one, PRIOR, 3, **options)
    same(first, simulate(one, PRIOR, 3, **options))
    simulate(one, PRIOR, 4, **options)
    with pytest.warns(SimulationWarning, match="the simulator's code, or a constant in it, is not"):
        simulate(other, PRIOR, 5, **options)


@pytest.mark.filterwarnings("error")
def test_what_a_simulator_finds_outside_counts(tmp_path, monkeypatch):
    options = {"random_state": 0, "store": tmp_path}
    for n in (3, 4):
        simulate(scaled, PRIOR, n, **options)
    assert CALLS == 4
    with monkeypatch.context() as patch:
        patch.setitem(globals(), "SCALE", 2.0)
        with pytest.warns(SimulationWarning, match="is not what it was when the store was begun"):
            simulate(scaled, PRIOR, 5, **options)
    monkeypatch.setitem(globals(), "helper", lambda a: a + 2)
    with pytest.warns(SimulationWarning, match="is not what it was when the store was begun"):
        simulate(scaled, PRIOR, 6, **options)


def test_failures_that_are_forgotten_run_again(tmp_path):
    """With the same numbers, and of the kinds that are named."""
    away = ["the server", "the disk"]

    def simulator(theta, rng):
        if "the server" in away and theta["b"] > 0.8:
            raise ConnectionError("no licence")
        if "the disk" in away and theta["b"] < 0.2:
            raise OSError("full")
        return rng.normal(theta["a"])

    options = {"random_state": 0, "store": tmp_path, "on_error": "keep", "n_jobs": None}
    theta, _ = simulate(simulator, PRIOR, 200, **options)
    table = failures(tmp_path)
    assert set(table["kind"]) == {"ConnectionError", "OSError"}
    with pytest.raises(ValueError, match=r"kinds must be some of \['ConnectionError', 'OSError'\]"):
        forget_failures(tmp_path, ["TimeoutError"])
    away.remove("the server")
    assert forget_failures(tmp_path, ["ConnectionError"]) >= (theta.load()["b"] > 0.8).sum()
    simulate(simulator, PRIOR, 200, **options)
    assert set(failures(tmp_path)["kind"]) == {"OSError"}
    away.clear()
    forget_failures(tmp_path)
    again = simulate(simulator, PRIOR, 200, **options)
    same(again, simulate(simulator, PRIOR, 200, **options | {"store": None}))
    assert failures(tmp_path).empty
    assert forget_failures(tmp_path) == 0


def test_a_home_folder_is_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    theta, x = simulate(closing_over(1.0), PRIOR, 5, random_state=0, store="~/pairs")
    assert (tmp_path / "pairs" / "store.json").exists()
    assert len(open_pairs("~/pairs")[0]) == 5


def test_a_complete_store_may_be_for_reading_only(tmp_path, monkeypatch):
    """Nothing is written into it, not even a mark."""
    options = {"random_state": 0, "store": tmp_path}
    first = simulate(closing_over(1.0), PRIOR, 5, **options)

    def refuse(*args, **kwargs):
        raise PermissionError("read-only")

    monkeypatch.setattr("pathlib.Path.touch", refuse)
    monkeypatch.setattr("sksbi.data.parts._written_beside", refuse)
    same(first, simulate(closing_over(1.0), PRIOR, 5, **options))
    with pytest.raises(PermissionError):
        simulate(closing_over(1.0), PRIOR, 6, **options)
