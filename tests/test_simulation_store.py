"""A run that is kept in a store gives the same numbers, whatever stops it."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sksbi import simulate
from sksbi.data import SimulationStore
from sksbi.exceptions import SimulationInterrupted, SimulationWarning
from sksbi.simulation import failures, replay, run_simulator

PRIOR = {"a": stats.norm(), "b": stats.uniform()}

SCRIPT = """
import sys, time
from scipy import stats
from sksbi import simulate
def simulator(theta, rng):
    time.sleep(0.002)
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


def counting(of, rows):
    """Count the rows that are simulated."""

    def counted(theta, rng):
        rows.append(theta)
        return of(theta, rng)

    return counted


def same(one, other):
    """Hold that two runs gave the same."""
    for a, b in zip(one, other, strict=True):
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
    expected = simulate(of, PRIOR, 100, store=tmp_path, **options)
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
        time.sleep(rng.uniform(0, 0.6 / n_kills))
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
    # A chunk takes .3 s at most, and so 150 rows; all of them may be in hand at each death.
    assert (runs - 1).sum() <= 150 * n_kills


def _not_called(theta, rng):
    raise AssertionError("a row was simulated again")


def test_two_processes_fill_one_store(tmp_path):
    """Both end, with the same numbers."""
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "pairs"), str(tmp_path / "log")]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
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
    theta, x = simulate(simulator, PRIOR, 60, on_error="keep", random_state=0, store=tmp_path)
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
    part = next(tmp_path.glob("part-*30-*40.npz"))
    part.rename(part.with_name(part.name.replace("30-", "20-", 1)))  # as if rows 20 to 40 had run
    assert SimulationStore(tmp_path).piece(35) == (20, 40)
    assert SimulationStore(tmp_path).piece(25) == (20, 30)
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
