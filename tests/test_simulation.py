"""Running simulators: what they get, what they give, failures, and numbers for any n_jobs."""

import asyncio
import datetime
import decimal
import functools
import gc
import math
import os
import pickle
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import types
import warnings
import weakref

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse, stats

from sksbi.exceptions import SimulationInterrupted, SimulationWarning
from sksbi.simulation import run_simulator, simulate
from sksbi.simulation._cut import Cutter
from sksbi.simulation._run import Run
from sksbi.simulation._runner import Failure, Runner

PRIOR = {"a": stats.norm(0, 1), "b": stats.expon()}
UNNAMED = [stats.norm(0, 1), stats.expon()]
THETA = np.arange(14.0).reshape(7, 2)


class HoldsLock(Exception):
    """An error that pickle refuses."""

    def __init__(self, message):
        super().__init__(message)
        self.lock = threading.Lock()


def simulators():
    """Define simulators inside a function, so that other processes get them by value."""

    def noisy(theta, rng):
        return {"x": theta["a"] + rng.normal()}

    def noisy_chunk(theta, rng):
        return theta.to_numpy() + rng.normal(size=theta.shape)

    def fails_above_one(theta):
        if theta["a"] > 1:
            raise ZeroDivisionError("a is too large")
        return theta["a"]

    return noisy, noisy_chunk, fails_above_one


noisy, noisy_chunk, fails_above_one = simulators()


class Shifted:
    """A simulator that is an object."""

    def __init__(self, shift):
        self.shift = shift

    def __call__(self, theta):
        return theta + self.shift


@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize("prior", [PRIOR, UNNAMED])
def test_what_the_simulator_gets(prior, vectorized):
    seen = []
    theta, _ = simulate(
        lambda t: seen.append(t) or np.zeros(len(t) if vectorized else 1),
        prior,
        5,
        vectorized=vectorized,
        chunk_size=2,
        random_state=0,
    )
    named = isinstance(prior, dict)
    wanted = (pd.DataFrame if vectorized else pd.Series) if named else np.ndarray
    assert all(type(t) is wanted for t in seen)
    assert isinstance(theta, pd.DataFrame if named else np.ndarray)
    assert [len(t) for t in seen] == ([2, 2, 1] if vectorized else [2] * 5)
    if named:
        assert theta.columns.tolist() == ["a", "b"]
        assert all((t.columns if vectorized else t.index).tolist() == ["a", "b"] for t in seen)
        assert not vectorized or all(t.index[0] == 0 for t in seen)
    np.testing.assert_array_equal(np.vstack([np.asarray(t) for t in seen]), np.asarray(theta))


@pytest.mark.parametrize(
    ("simulator", "expected"),
    [
        (lambda t: t[0], THETA[:, 0]),
        (lambda t: int(t[0]), THETA[:, 0].astype(int)),
        (lambda t: t[0] > 4, THETA[:, 0] > 4),
        (lambda t: t * 2, THETA * 2),
        (lambda t: [t[1], t[0]], THETA[:, ::-1]),
        (lambda t: np.full((3, 2), t[0], dtype=np.float32), None),
        (lambda t: {"u": t[0], "v": int(t[1])}, None),
        (lambda t: pd.Series({"u": t[0], "v": t[1]}), None),
    ],
)
def test_the_form_of_results(simulator, expected):
    theta, x = run_simulator(simulator, THETA, chunk_size=3)
    np.testing.assert_array_equal(theta, THETA)
    if expected is None:
        expected = [simulator(t) for t in THETA]
        named = not isinstance(expected[0], np.ndarray)
        expected = pd.DataFrame(expected) if named else np.stack(expected)
    if isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(x, expected)
    else:
        assert x.dtype == expected.dtype
        np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize(
    ("simulator", "expected"),
    [
        (lambda t: t[:, 0], THETA[:, 0]),
        (lambda t: t[:, :, None], THETA[:, :, None]),
        (lambda t: {"u": t[:, 0]}, pd.DataFrame({"u": THETA[:, 0]})),
        (lambda t: pd.DataFrame(t, index=t[:, 0] * 7, columns=["u", "v"]), None),
    ],
)
def test_the_form_of_vectorised_results(simulator, expected):
    _, x = run_simulator(simulator, THETA, vectorized=True, chunk_size=3)
    if expected is None:
        expected = pd.DataFrame(THETA, columns=["u", "v"])
    same = pd.testing.assert_frame_equal if hasattr(x, "columns") else np.testing.assert_array_equal
    same(x, expected)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda t: torch.tensor(t),
        lambda t: torch.tensor(t, requires_grad=True) * 1,
        lambda t: list(torch.tensor(t)),
        lambda t: list(torch.tensor(t, requires_grad=True)),
        lambda t: {"u": torch.tensor(t[..., 0], requires_grad=True), "v": torch.tensor(t[..., 1])},
    ],
)
@pytest.mark.parametrize("vectorized", [False, True])
def test_tensors_become_arrays_without_a_warning(wrap, vectorized):
    _, x = run_simulator(wrap, THETA, vectorized=vectorized, chunk_size=3)
    np.testing.assert_array_equal(np.asarray(x), THETA)
    dtypes = x.dtypes if isinstance(x, pd.DataFrame) else [x.dtype]
    assert set(dtypes) == {np.dtype(np.float64)}


@pytest.mark.parametrize("simulator", [math.prod, functools.partial(np.multiply, 2), Shifted(3)])
def test_any_callable_is_a_simulator(simulator):
    _, x = run_simulator(simulator, THETA)
    np.testing.assert_array_equal(x, [simulator(t) for t in THETA])


def test_a_simulator_that_reuses_its_buffer_or_writes_into_theta_does_no_harm():
    buffer = np.zeros(2)

    def simulator(theta):
        buffer[:] = theta
        theta[:] = -1
        return buffer

    theta, x = run_simulator(simulator, THETA)
    np.testing.assert_array_equal(x, THETA)
    np.testing.assert_array_equal(theta, THETA)


@pytest.mark.parametrize("backend", ["threading", "loky"])
@pytest.mark.parametrize(("simulator", "vectorized"), [(noisy, False), (noisy_chunk, True)])
def test_jobs_and_backends_give_the_serial_numbers(simulator, vectorized, backend):
    options = {"vectorized": vectorized, "chunk_size": 30, "random_state": 3}
    theta, x = simulate(simulator, PRIOR, 100, **options)
    with joblib.parallel_config(backend, n_jobs=2):
        other_theta, other_x = simulate(simulator, PRIOR, 100, **options)
    assert theta.equals(other_theta)
    np.testing.assert_array_equal(np.asarray(x), np.asarray(other_x))


def test_dask_gives_the_serial_numbers():
    distributed = pytest.importorskip("distributed")
    options = {"chunk_size": 30, "random_state": 3}
    theta, x = simulate(noisy, PRIOR, 100, **options)
    client = distributed.Client(processes=False, n_workers=1, dashboard_address=None)
    with client, joblib.parallel_config("dask"):
        other_theta, other_x = simulate(noisy, PRIOR, 100, **options)
    assert theta.equals(other_theta)
    assert x.equals(other_x)


def test_a_backend_that_gives_lists_only_works_too():
    with joblib.parallel_config("multiprocessing", n_jobs=2):
        _, x = run_simulator(math.prod, THETA, chunk_size=3)
    np.testing.assert_array_equal(x, THETA.prod(axis=1))


def test_rows_have_independent_noise_and_do_not_depend_on_the_chunk_size():
    options = {"random_state": 0}
    theta, x = simulate(noisy, PRIOR, 500, chunk_size=7, **options)
    _, other = simulate(noisy, PRIOR, 500, chunk_size=1000, **options)
    assert x.equals(other)
    noise = x["x"] - theta["a"]
    assert noise.nunique() == 500
    assert stats.kstest(noise, "norm").pvalue > 1e-3
    # lag-one correlation of 500 independent numbers: standard error 1 / sqrt(500)
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 4 / np.sqrt(500)


@pytest.mark.parametrize("make", [lambda: 5, lambda: np.random.default_rng(5)])
def test_equal_random_states_give_equal_numbers(make):
    first, second = (simulate(noisy, PRIOR, 20, random_state=make()) for _ in range(2))
    assert first[0].equals(second[0])
    assert first[1].equals(second[1])


def test_a_generator_advances_and_no_state_is_fresh():
    rng = np.random.default_rng(0)
    for state in (rng, None):
        first, second = (
            run_simulator(lambda t, rng: rng.normal(), THETA, random_state=state) for _ in range(2)
        )
        assert not np.any(first[1] == second[1])


def test_global_generators_end_as_they_began():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    simulate(noisy, PRIOR, 20, random_state=0)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("backend", ["sequential", "threading", "loky"])
def test_drop_leaves_failed_rows_out_and_warns_once(backend):
    with joblib.parallel_config(backend, n_jobs=2), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        theta, x = simulate(fails_above_one, PRIOR, 200, chunk_size=40, random_state=0)
    everything, _ = simulate(lambda t: 0, PRIOR, 200, random_state=0)
    good = everything[everything["a"] <= 1]
    pd.testing.assert_frame_equal(theta, good.reset_index(drop=True))
    np.testing.assert_array_equal(x, theta["a"])
    bad = everything[everything["a"] > 1]
    (warning,) = [w for w in caught if w.category is SimulationWarning]
    assert warning.filename == __file__
    message = str(warning.message)
    assert message.startswith(f"{len(bad)} of 200 simulations")
    assert f"(row {bad.index[0]})" in message
    assert repr(bad.iloc[0].to_dict()) in message
    assert "ZeroDivisionError: a is too large" in message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, None, np.float32("nan")])
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v, 1.0], lambda v: {"u": v, "v": "word"}])
def test_what_is_not_finite_counts_as_failed(value, wrap):
    with pytest.warns(SimulationWarning, match="^1 of 7 .*row 4"):
        theta, x = run_simulator(lambda t: wrap(value if t[0] == 8 else 1.0), THETA)
    np.testing.assert_array_equal(theta, np.delete(THETA, 4, axis=0))
    assert len(x) == 6


@pytest.mark.parametrize("form", [float, int, lambda v: [v, v], lambda v: {"u": v}])
def test_keep_fills_with_nan_where_there_is_no_result(form):
    def simulator(theta):
        if theta[0] in (2, 12):
            raise ArithmeticError("no")
        return form(theta[0])

    theta, x = run_simulator(simulator, THETA, chunk_size=3, on_error="keep")
    np.testing.assert_array_equal(theta, THETA)
    missing = np.isnan(np.asarray(x, dtype=float)).reshape(7, -1)
    np.testing.assert_array_equal(np.flatnonzero(missing.all(axis=1)), [1, 6])
    assert missing.any(axis=1).sum() == 2


def test_keep_leaves_partly_missing_rows_as_they_are():
    _, x = run_simulator(lambda t: [t[0], np.nan if t[0] == 4 else 0.0], THETA, on_error="keep")
    np.testing.assert_array_equal(x[2], [4.0, np.nan])


@pytest.mark.parametrize("backend", ["sequential", "threading"])
def test_raise_stops_with_the_simulators_own_error(backend):
    with joblib.parallel_config(backend, n_jobs=2), pytest.raises(ZeroDivisionError) as info:
        simulate(fails_above_one, PRIOR, 200, chunk_size=9, random_state=0, on_error="raise")
    theta, _ = simulate(lambda t: 0, PRIOR, 200, random_state=0)
    first = theta[theta["a"] > 1].iloc[0]
    assert repr(first.to_dict()) in info.value.__notes__[0]
    assert f"(row {first.name})" in info.value.__notes__[0]
    assert info.traceback[-1].name == "fails_above_one"


def test_raise_names_nan_too():
    with pytest.raises(ValueError, match="returned NaN(?s:.*)row 3"):
        run_simulator(lambda t: [np.nan if t[0] == 6 else 1.0], THETA, on_error="raise")


def test_an_error_from_another_process_keeps_its_traceback():
    with joblib.parallel_config("loky", n_jobs=2), pytest.raises(ZeroDivisionError) as info:
        simulate(fails_above_one, PRIOR, 50, chunk_size=50, random_state=0, on_error="raise")
    assert "in fails_above_one" in "".join(info.value.__notes__)


def test_an_error_that_cannot_travel_is_told_in_words():
    try:
        raise HoldsLock("stuck")
    except HoldsLock as error:
        failure = pickle.loads(pickle.dumps(Failure.of(3, error)))
    assert failure.row == 3
    assert isinstance(failure.error, RuntimeError)
    assert str(failure.error) == "HoldsLock: stuck"
    assert 'raise HoldsLock("stuck")' in failure.error.__notes__[0]


@pytest.mark.parametrize("chunk_size", [None, 7, 1000])
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("on_error", ["drop", "keep"])
def test_a_start_that_fails_wholly_raises_the_first_error(on_error, n_jobs, chunk_size):
    calls = []

    def simulator(theta):
        calls.append(theta)
        raise OverflowError(f"at {theta[0]}")

    theta = np.arange(5000.0).reshape(-1, 1)
    options = {"n_jobs": n_jobs, "chunk_size": chunk_size, "on_error": on_error}
    with joblib.parallel_config("threading"), pytest.raises(OverflowError, match="at 0.0") as info:
        run_simulator(simulator, theta, **options)
    assert info.value.__notes__[0] == "The simulation failed at theta = [0.0] (row 0)."
    assert "the rest was not run" in info.value.__notes__[1]
    assert len(calls) == 100 or n_jobs == 2  # other chunks had begun


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_single_success_at_the_start_is_enough(n_jobs):
    def simulator(theta):
        return theta[0] if theta[0] == 99 else 1 // 0

    theta = np.arange(300.0).reshape(-1, 1)
    words = "299 of 300 simulations failed: 299 ZeroDivisionError"
    with joblib.parallel_config("threading"), pytest.warns(SimulationWarning, match=words):
        _, x = run_simulator(simulator, theta, n_jobs=n_jobs)
    assert x.tolist() == [99.0]


@pytest.mark.parametrize("on_error", ["drop", "keep"])
def test_all_rows_failing_raises_and_raise_stops_at_once(on_error):
    calls = []

    def simulator(theta):
        calls.append(theta)
        raise OverflowError

    with pytest.raises(OverflowError):
        run_simulator(simulator, THETA, on_error=on_error)
    with pytest.raises(OverflowError):
        run_simulator(simulator, THETA, on_error="raise")
    assert len(calls) == 8


@pytest.mark.parametrize(
    ("value", "word"), [(None, "None"), (np.nan, "NaN"), ([np.inf], "inf"), ([pd.NA], "NaN")]
)
def test_a_simulator_that_gives_nothing_says_so(value, word):
    with pytest.raises(ValueError, match=f"the simulator returned {word}"):
        run_simulator(lambda t: value, THETA)


def test_a_vectorised_error_fails_its_chunk():
    def simulator(theta):
        if theta[0, 0] == 6:
            raise OverflowError("too much")
        return theta

    with pytest.warns(SimulationWarning, match=r"^3 of 7 .*\[6.0, 7.0\] \(row 3\): OverflowError"):
        theta, x = run_simulator(simulator, THETA, vectorized=True, chunk_size=3)
    np.testing.assert_array_equal(x, THETA[[0, 1, 2, 6]])
    np.testing.assert_array_equal(theta, x)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_ctrl_c_passes_through(n_jobs):
    def simulator(theta):
        raise KeyboardInterrupt

    with joblib.parallel_config("threading"), pytest.raises(KeyboardInterrupt):
        run_simulator(simulator, THETA, n_jobs=n_jobs)


@pytest.mark.parametrize("chunk_size", [2, 1000])
@pytest.mark.parametrize(
    ("first", "other", "words"),
    [
        ([1, 2], [1], r"shape \(2,\) at row 0 and an array of shape \(1,\) at row 4"),
        (1.0, [1], r"a number at row 0 and an array of shape \(1,\) at row 4"),
        ({"u": 1}, {"v": 1}, r"the names \['u'\] at row 0 and the names \['v'\] at row 4"),
        ({"u": 1}, 2.0, r"the names \['u'\] at row 0 and a number at row 4"),
    ],
)
def test_rows_of_different_form_raise(first, other, words, chunk_size):
    with pytest.raises(ValueError, match=words):
        run_simulator(lambda t: first if t[0] < 8 else other, THETA, chunk_size=chunk_size)


def test_names_in_another_order_are_put_in_order():
    def simulator(theta):
        return {"u": 1, "v": 2} if theta[0] < 4 else {"v": 2, "u": 1}

    _, x = run_simulator(simulator, THETA, chunk_size=2)
    assert x.columns.tolist() == ["u", "v"]
    assert (x["u"] == 1).all()


@pytest.mark.parametrize(
    ("simulator", "words"),
    [
        (lambda t: pd.DataFrame({"u": [1.0]}), r"got a DataFrame of shape \(1, 1\) at row 0"),
        (lambda t: {"u": [1.0, 2.0]}, r"'u': \(2,\)"),
        (lambda t: pd.Series([1, 2], index=["u", "u"]), r"\['u'\] twice"),
        (lambda t: {}, "at least one value .* got no name at row 0"),
        (lambda t: [], r"at least one value .* got an array of shape \(0,\) at row 0"),
        (lambda t: [[1.0, 2.0], [3.0]], "got at row 0 a list that NumPy makes no array of"),
        (lambda t: {"u": [[1.0], []]}, "got at row 0, 'u' a list"),
    ],
)
def test_rows_that_fit_no_table_raise(simulator, words):
    with pytest.raises((TypeError, ValueError), match=words):
        run_simulator(simulator, THETA)


@pytest.mark.parametrize(
    ("simulator", "words"),
    [
        (lambda t: t[:2], r"the 3 rows of its chunk, got shape \(2, 2\)"),
        (lambda t: 1.0, r"the 3 rows of its chunk, got shape \(\)"),
        (lambda t: pd.DataFrame(t[:2]), r"the 3 rows of its chunk, got shape \(2, 2\)"),
        (lambda t: {}, "at least one value .* got a dict without columns"),
        (lambda t: pd.DataFrame(t)[[]], r"at least one value .* shape \(3, 0\)"),
        (lambda t: t[:, :0], r"at least one value .* shape \(3, 0\)"),
        (lambda t: [[1.0], [1.0, 2.0], [3.0]], "got at its chunk of 3 rows a list"),
        (lambda t: {"u": t}, r"shape \(3,\).*'u': \(3, 2\)"),
        (lambda t: pd.DataFrame(t, columns=["u", "u"]), r"\['u'\] twice"),
    ],
)
def test_vectorised_results_of_the_wrong_length_raise(simulator, words):
    with pytest.raises(ValueError, match=words):
        run_simulator(simulator, THETA, vectorized=True, chunk_size=3)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"n_samples": 0}, ValueError, "n_samples must be an int >= 1, got 0"),
        ({"n_samples": 2.5}, TypeError, "n_samples .* got 2.5"),
        ({"n_samples": True}, TypeError, "n_samples .* got True"),
        ({"chunk_size": 0}, ValueError, "chunk_size .* got 0"),
        ({"chunk_size": "many"}, TypeError, "chunk_size .* got 'many'"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be None or an int other than 0.* got 0"),
        ({"n_jobs": "a"}, TypeError, "n_jobs must be None or an int .* got 'a' of type str"),
        ({"n_jobs": 1.5}, TypeError, "n_jobs must be None or an int .* got 1.5"),
        ({"on_error": "ignore"}, ValueError, "on_error .* got 'ignore'"),
        ({"simulator": 3}, TypeError, "simulator must be callable, got 3"),
        ({"random_state": "seed"}, ValueError, "random_state .* got 'seed'"),
    ],
)
def test_bad_arguments(options, error, words):
    arguments = {"simulator": noisy, "prior": PRIOR, "n_samples": 5} | options
    with pytest.raises(error, match=words):
        simulate(**arguments)


@pytest.mark.parametrize("theta", [[1.0, 2.0], np.zeros((0, 2)), 3.0, np.zeros((2, 2, 2))])
def test_theta_that_is_no_table_raises(theta):
    with pytest.raises(ValueError, match=r"theta must have shape \(n, D\).*got \("):
        run_simulator(noisy, theta)


def test_given_thetas_keep_their_columns_and_get_a_fresh_index():
    theta = pd.DataFrame(THETA, columns=["a", "b"], index=list("tuvwxyz"))
    back, x = run_simulator(lambda t: {"s": t["a"] + t["b"]}, theta)
    pd.testing.assert_frame_equal(back, theta.reset_index(drop=True))
    assert back.index.equals(x.index)


def test_a_progress_bar_is_shown_when_verbose(capsys):
    simulate(noisy, PRIOR, 25, chunk_size=10, verbose=1)
    assert "25/25" in capsys.readouterr().err
    simulate(noisy, PRIOR, 25)
    assert capsys.readouterr().err == ""


def test_a_progress_bar_counts_rows():
    seen = []
    bar = Run(Runner(lambda t: t, False, False, "drop", [0]), THETA, None, 1, 0)
    bar._run_here(types.SimpleNamespace(update=seen.append))
    assert seen == [1] * 7


def test_the_numbers_do_not_depend_on_how_rows_are_cut():
    def simulator(theta, rng):
        return {"x": rng.normal(), "y": rng.uniform()}

    seen = []
    for options in ({}, {"chunk_size": 3}, {"chunk_size": 1000}, {"n_jobs": 2}):
        with joblib.parallel_config("threading"):
            seen.append(run_simulator(simulator, np.zeros((250, 1)), random_state=5, **options)[1])
    assert all(x.equals(seen[0]) for x in seen)
    seed = np.random.SeedSequence(np.random.default_rng(5).integers(2**32, size=4).tolist())
    rows = [np.random.default_rng(child) for child in seed.spawn(250)]
    assert seen[0]["x"].tolist() == [rng.normal() for rng in rows]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_vectorised_simulator_gets_a_thousand_rows_whatever_the_time(n_jobs):
    sizes = []

    def simulator(theta):
        sizes.append(len(theta))
        return theta

    with joblib.parallel_config("threading"):
        run_simulator(simulator, np.zeros((2500, 1)), vectorized=True, n_jobs=n_jobs)
    assert sorted(sizes) == [500, 1000, 1000]


def cut(cutter, n, seconds):
    """Cut rows that take so many seconds each, every chunk being learnt from before the next."""
    sizes = []
    for start, stop in cutter.cut([(0, n)]):
        sizes.append(stop - start)
        cutter.learn(stop - start, (stop - start) * seconds)
    assert sum(sizes) == n
    return sizes


def test_chunks_follow_what_a_row_takes():
    slow = cut(Cutter(None, 2, vectorized=False), 200, 0.05)
    assert slow[0] == 1
    assert max(slow) == 6  # .3 s
    assert slow[-1] == 1  # so that two jobs end together
    quick = cut(Cutter(None, 2, vectorized=False), 10_000, 1e-6)
    assert len(quick) < 10
    assert max(cut(Cutter(None, 2, vectorized=False), 50, 60.0)) == 1
    assert len(cut(Cutter(None, 1, vectorized=False), 10_000, 1e-6)) < 6
    unknown = [stop - start for start, stop in Cutter(None, 2, vectorized=False).cut([(0, 10_000)])]
    assert len(unknown) < 200  # a backend without results until the end


@pytest.mark.parametrize("error", [SystemExit("no"), GeneratorExit("no"), asyncio.CancelledError()])
@pytest.mark.parametrize("backend", ["sequential", "threading", "loky"])
def test_what_would_end_the_script_is_a_row_that_failed(backend, error):
    def simulator(theta):
        if theta[0] == 4:
            raise error
        return theta[0]

    name = type(error).__name__
    words = rf"^1 of 7 simulations failed: 1 {name}\. The first, .* \(row 2\): RuntimeError: {name}"
    with joblib.parallel_config(backend, n_jobs=2), pytest.warns(SimulationWarning, match=words):
        _, x = run_simulator(simulator, THETA)
    assert x.tolist() == [0, 2, 6, 8, 10, 12]
    with pytest.raises(RuntimeError, match=name):
        run_simulator(simulator, THETA, on_error="raise")


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_failures_are_counted_by_kind(n_jobs):
    def simulator(theta):
        kind = int(theta[0]) % 50
        return {0: np.nan, 1: np.nan, 2: np.inf}.get(kind, 1 if kind < 47 else 1 // 0)

    theta = np.arange(500.0).reshape(-1, 1)
    words = (
        r"^60 of 500 simulations failed: 30 ZeroDivisionError, 20 returned NaN, 10 returned inf\. "
        r"The first, at theta = \[0.0\] \(row 0\): ValueError: the simulator returned NaN\. "
        r"They were left out, so theta follows p\(theta \| success\)\. NPE is right as it is"
    )
    with joblib.parallel_config("threading"), pytest.warns(SimulationWarning, match=words):
        _, x = run_simulator(simulator, theta, n_jobs=n_jobs)
    assert len(x) == 440


@pytest.mark.parametrize(("n_failed", "advises"), [(1, False), (2, True)])
def test_above_one_percent_the_warning_says_for_whom_the_rest_is_right(n_failed, advises):
    theta = np.arange(100.0).reshape(-1, 1)
    with pytest.warns(SimulationWarning) as caught:
        run_simulator(lambda t: np.nan if t[0] < n_failed else 1.0, theta)
    message = str(caught[0].message)
    assert ("NPE is right as it is" in message) == advises
    assert ("on_error='keep'" in message) == advises


@pytest.mark.parametrize("vectorized", [False, True])
def test_what_keep_keeps(vectorized):
    rows = [[1.0, 0.0], [np.nan, 1.0], [np.nan, np.nan], [np.inf, 1.0], [-np.inf, np.nan]]
    table = np.array(rows)
    lost = [np.nan, np.nan]

    def simulator(theta):
        return table[theta[..., 0].astype(int)]

    theta = np.arange(5.0).reshape(-1, 1)
    options = {"on_error": "keep", "vectorized": vectorized}
    back, x = run_simulator(simulator, theta, **options)
    np.testing.assert_array_equal(back, theta)
    np.testing.assert_array_equal(x, [rows[0], rows[1], lost, lost, lost])
    _, named = run_simulator(
        lambda t: pd.DataFrame(simulator(t)), theta, **{**options, "vectorized": True}
    )
    np.testing.assert_array_equal(named, x)


@pytest.mark.parametrize("value", [True, 3, np.int8(3), np.float32(3)])
def test_keep_makes_room_for_nan(value):
    _, x = run_simulator(lambda t: value if t[0] > 0 else None, THETA, on_error="keep")
    assert x.dtype == (np.float32 if isinstance(value, np.float32) else np.float64)
    np.testing.assert_array_equal(x, [np.nan] + [float(value)] * 6)
    _, x = run_simulator(
        lambda t: {"u": value, "v": "word"} if t[0] > 0 else None, THETA, on_error="keep"
    )
    assert x["u"].dtype.kind == "f"
    np.testing.assert_array_equal(x["u"], [np.nan] + [float(value)] * 6)
    assert x["v"].isna().tolist() == [True] + [False] * 6


def masked(value, where):
    return np.ma.array(value, mask=where)


@pytest.mark.parametrize(
    "simulator",
    [
        lambda t: masked([t[0], t[1]], [t[0] == 4, False]),
        lambda t: masked(t.astype(int), [t[0] == 4, False]),
        lambda t: masked(t.astype(np.float32), [t[0] == 4, False]),
        lambda t: [np.ma.masked if t[0] == 4 else t[0], t[1]],
        lambda t: {"u": np.ma.masked if t[0] == 4 else t[0], "v": t[1]},
        lambda t: pd.Series({"u": pd.NA if t[0] == 4 else t[0], "v": t[1]}),
    ],
)
def test_masked_means_nan(simulator):
    expected = THETA.copy()
    expected[2, 0] = np.nan
    _, x = run_simulator(simulator, THETA, on_error="keep")
    np.testing.assert_array_equal(np.asarray(x, dtype=float), expected)
    with pytest.warns(SimulationWarning, match="1 returned NaN"):
        theta, _ = run_simulator(simulator, THETA)
    np.testing.assert_array_equal(theta, np.delete(THETA, 2, axis=0))


def test_masked_means_nan_in_a_table():
    expected = np.where(THETA == 4, np.nan, THETA)
    for wrap in (lambda a: a, lambda a: {"u": a[:, 0], "v": a[:, 1]}):
        _, x = run_simulator(
            lambda t, wrap=wrap: wrap(masked(t, t == 4)), THETA, vectorized=True, on_error="keep"
        )
        np.testing.assert_array_equal(x, expected)


NO_NUMBERS = [
    {1, 2},
    (i for i in range(3)),
    datetime.date(2020, 1, 1),
    np.datetime64("2020-01-01"),
    pd.Timestamp(0),
    1j,
    np.array([1.0, 1j]),
    torch.ones(2, dtype=torch.complex64),
    sparse.csr_array(np.eye(2)),
    decimal.Decimal("1.5"),
    [decimal.Decimal(1), 2.0],
    ["1.0", "a"],
    [1.0, "a"],
    "word",
    b"word",
    [{"u": 1}],
    np.zeros(2, dtype=[("u", float)]),
    {"u": {1}},
    {"u": 1j},
    {"u": datetime.date(2020, 1, 1)},
    10**400,
]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: type(value).__name__)
def test_what_is_no_number_is_a_type_error_that_names_the_row(value):
    usual = {"u": 1.0} if isinstance(value, dict) else np.ones(np.shape(value))
    for first in (True, False):
        with pytest.raises(TypeError, match="real numbers.* at row 0" if first else "at row 4"):
            run_simulator(lambda t, f=first: value if f or t[0] == 8 else usual, THETA)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ([1.0, {1}, 2.0], "got {1} of type set at row 4, column 'u'"),
        ([1.0, "a", 2.0], "got in 'u' 1.0 at row 3 and 'a' at row 4"),
        (np.array([1j, 1, 1]), "of type complex128 at row 3, column 'u'"),
        (pd.Series(pd.to_datetime(["2020-01-01"] * 3)), "of type datetime64 at row 3, column 'u'"),
    ],
)
def test_a_column_of_no_numbers_is_a_type_error_that_names_the_row(column, words):
    def simulator(theta):
        return {"u": column if theta[0, 0] == 6 else theta[:, 0], "v": theta[:, 1]}

    with pytest.raises(TypeError, match=re.escape(words)):
        run_simulator(simulator, THETA[:6], vectorized=True, chunk_size=3)


@pytest.mark.parametrize("chunk_size", [None, 1, 2, 1000])
def test_a_column_of_text_is_a_category_and_mixed_ones_raise(chunk_size):
    _, x = run_simulator(
        lambda t: {"u": "ab"[int(t[0] > 4)], "v": t[1]}, THETA, chunk_size=chunk_size
    )
    assert x["u"].tolist() == ["a"] * 3 + ["b"] * 4
    assert x["v"].tolist() == THETA[:, 1].tolist()
    with pytest.raises(TypeError, match="got in 'u' 'a' at row .* and .*5.* at row [34]"):
        run_simulator(lambda t: {"u": "a" if t[0] < 5 else 5}, THETA, chunk_size=chunk_size)
    _, x = run_simulator(
        lambda t: {"u": None if t[0] < 5 else "a", "v": 1},
        THETA,
        chunk_size=chunk_size,
        on_error="keep",
    )
    assert x["u"].isna().tolist() == [True] * 3 + [False] * 4


@pytest.mark.parametrize("chunk_size", [1, 1000])
def test_numbers_of_several_kinds_are_one_column_of_floats(chunk_size):
    _, x = run_simulator(
        lambda t: {"u": True if t[0] < 5 else 2.5, "v": 10**30}, THETA, chunk_size=chunk_size
    )
    assert x.dtypes.tolist() == [np.float64, np.float64]
    assert x["u"].tolist() == [1.0] * 3 + [2.5] * 4
    assert x["v"].tolist() == [1e30] * 7


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_tensors_of_any_precision(dtype):
    _, x = run_simulator(lambda t: torch.tensor(t, dtype=dtype, requires_grad=True), THETA)
    np.testing.assert_array_equal(x, THETA)  # whole numbers, which all of them hold


@pytest.mark.parametrize("on_error", ["drop", "raise", "keep"])
@pytest.mark.parametrize(
    ("simulator", "vectorized", "question"),
    [
        (lambda t: t[:, 0] * 2, False, "vectorized=True?"),
        (lambda t: t.sum(axis=1), False, "vectorized=True?"),
        (lambda t: float(t[0]), True, "vectorized=False?"),
        (lambda t: 1 // 0, False, None),
        (lambda t: [][0], False, None),
        (lambda t: np.nan, False, None),
    ],
)
def test_errors_ask_whether_the_other_way_was_meant(simulator, vectorized, question, on_error):
    with pytest.raises(Exception) as info:  # noqa: PT011
        run_simulator(simulator, THETA, vectorized=vectorized, on_error=on_error)
    notes = "".join(info.value.__notes__)
    assert (f"did you mean {question}" in notes) if question else "did you mean" not in notes


def test_a_simulator_that_wants_names_is_told_that_there_are_none():
    with pytest.raises(IndexError) as info:
        run_simulator(lambda theta: theta["mass"], THETA)
    assert "may ask for theta[0], but not for theta['name']" in "".join(info.value.__notes__)
    with pytest.raises(IndexError) as info:
        run_simulator(lambda theta: [][0], THETA)
    assert "theta['name']" not in "".join(info.value.__notes__)


def run_script(text, *, interrupt_after):
    """Run a script in a process group of its own, and press Ctrl-C once it says so."""
    # A shell lets what it starts in the background ignore Ctrl-C, and that is inherited.
    hears = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-u", "-c", f"{hears}\n{textwrap.dedent(text)}"]
    lines = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        for line in process.stdout:
            lines.append(line.strip())
            if line.startswith("now"):
                time.sleep(interrupt_after)
                os.killpg(process.pid, signal.SIGINT)
    assert process.returncode == 0
    return lines


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_gives_back_what_is_done_and_goes_on(n_jobs):
    text = f"""
        import time, warnings
        import numpy as np
        from sksbi.exceptions import SimulationInterrupted
        from sksbi.simulation import run_simulator

        THETA = np.arange(300.0).reshape(-1, 1)

        def simulator(theta, rng, pause=0.01):
            time.sleep(pause)
            return rng.normal(theta[0]) if theta[0] % 10 else None

        def quick(theta, rng):
            return simulator(theta, rng, 0)

        if __name__ == "__main__":
            warnings.simplefilter("ignore")
            whole = run_simulator(quick, THETA, random_state=1, n_jobs={n_jobs})
            print("now")
            try:
                run_simulator(simulator, THETA, random_state=1, n_jobs={n_jobs})
            except KeyboardInterrupt as stop:
                print(type(stop) is SimulationInterrupted, 0 < len(stop.x) < 270)
                print(np.array_equal(stop.theta[:, 0], stop.rows))
                print(np.array_equal(stop.x, whole[1][np.isin(whole[0], stop.theta).ravel()]))
                left = stop.theta_left
                print(np.isin(whole[0], [*stop.theta, *left]).all())
                print(np.isin(left, stop.theta).any())
                theta, x = stop.resume()
                print(np.array_equal(theta, whole[0]), np.array_equal(x, whole[1]), len(x))
        """
    lines = run_script(text, interrupt_after=0.5)
    assert lines == ["now", "True True", "True", "True", "True", "False", "True True 270"]


@pytest.mark.parametrize("on_error", ["drop", "keep"])
def test_an_interruption_in_a_row_keeps_the_rows_before_it(on_error):
    pressed = []

    def simulator(theta, rng):
        if theta[0] == 8 and not pressed:
            pressed.append(True)
            raise KeyboardInterrupt
        return rng.normal(theta[0]) if theta[0] != 4 else None

    options = {"on_error": on_error, "random_state": 2}
    with pytest.raises(SimulationInterrupted, match="3 are left") as info:
        run_simulator(simulator, THETA, **options)
    stop = info.value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SimulationWarning)
        theta, x = run_simulator(simulator, THETA, **options)
        resumed = stop.resume()
    n_done = 4 if on_error == "keep" else 3
    np.testing.assert_array_equal(stop.theta, theta[:n_done])
    np.testing.assert_array_equal(stop.x, x[:n_done])
    np.testing.assert_array_equal(stop.rows, [0, 1, 2, 3] if on_error == "keep" else [0, 1, 3])
    np.testing.assert_array_equal(stop.theta_left, THETA[4:])
    np.testing.assert_array_equal(resumed[0], theta)
    np.testing.assert_array_equal(resumed[1], x)


def test_a_vectorised_run_goes_on_with_whole_chunks():
    pressed = []

    def simulator(theta, rng):
        if theta[0, 0] == 6 and not pressed:
            pressed.append(True)
            raise KeyboardInterrupt
        return theta + rng.normal(size=theta.shape)

    options = {"vectorized": True, "chunk_size": 3, "random_state": 2}
    with pytest.raises(SimulationInterrupted) as info:
        run_simulator(simulator, THETA, **options)
    assert info.value.rows.tolist() == [0, 1, 2]
    resumed = info.value.resume()[1]
    np.testing.assert_array_equal(resumed, run_simulator(simulator, THETA, **options)[1])


def test_an_interruption_tells_of_what_has_failed_so_far():
    def simulator(theta):
        if theta[0] == THETA[5, 0]:
            raise KeyboardInterrupt
        if theta[0] == THETA[1, 0]:
            raise ZeroDivisionError("at the second")
        return theta.sum()

    told = "^1 of 5 simulations failed: 1 ZeroDivisionError.*on_error='keep'"
    with pytest.warns(SimulationWarning, match=told), pytest.raises(SimulationInterrupted) as info:
        run_simulator(simulator, THETA)
    assert info.value.rows.tolist() == [0, 2, 3, 4]


def test_an_interruption_before_the_first_result_holds_nothing():
    def simulator(theta):
        raise KeyboardInterrupt

    with pytest.raises(SimulationInterrupted, match="0 simulations are done and 7") as info:
        run_simulator(simulator, THETA)
    assert info.value.x is None
    assert info.value.theta.shape == (0, 2)
    np.testing.assert_array_equal(info.value.theta_left, THETA)


@pytest.mark.parametrize("vectorized", [False, True])
def test_a_process_that_dies_costs_what_it_was_at(vectorized):
    def simulator(theta, rng, die=True):
        if die and np.any(theta == 37):
            os._exit(3)
        return rng.normal(theta[..., 0])

    theta = np.arange(60.0).reshape(-1, 1)
    options = {"vectorized": vectorized, "chunk_size": 10 if vectorized else None}
    _, whole = run_simulator(
        functools.partial(simulator, die=False), theta, random_state=4, **options
    )
    n_lost = 10 if vectorized else 1
    lost = np.arange(30, 40) if vectorized else [37]
    words = f"{n_lost} of 60 simulations failed: {n_lost} worker process died"
    with joblib.parallel_config("loky", n_jobs=2), pytest.warns(SimulationWarning, match=words):
        kept, x = run_simulator(simulator, theta, random_state=4, **options)
    np.testing.assert_array_equal(kept, np.delete(theta, lost, axis=0))
    np.testing.assert_array_equal(x, np.delete(whole, lost, axis=0))


def test_a_process_killed_from_outside_is_found_by_running_its_row_alone():
    def simulator(theta):
        if theta[0] == 13:
            os.kill(os.getpid(), signal.SIGKILL)  # as the system does where memory ends
        return theta[0]

    theta = np.arange(20.0).reshape(-1, 1)
    with joblib.parallel_config("loky", n_jobs=2), pytest.warns(SimulationWarning, match="1 of 20"):
        _, x = run_simulator(simulator, theta)
    assert x.tolist() == np.delete(theta, 13).tolist()


def test_an_early_word_where_nothing_succeeds(monkeypatch):
    monkeypatch.setattr("sksbi.simulation._run.PATIENCE", -1.0)
    with (
        pytest.warns(
            SimulationWarning, match="No simulation has succeeded so far. 1 of 7 .*no luck"
        ),
        pytest.raises(ValueError, match="no luck"),
    ):
        run_simulator(lambda t: (_ for _ in ()).throw(ValueError("no luck")), THETA)


@pytest.mark.parametrize("vectorized", ["yes", None, 1, [True]])
def test_vectorized_is_true_or_false(vectorized):
    with pytest.raises(TypeError, match="vectorized must be True or False, got"):
        run_simulator(lambda theta: theta.sum(), np.zeros((3, 2)), vectorized=vectorized)


@pytest.mark.parametrize("on_error", ["drop", "keep"])
def test_failures_do_not_keep_what_the_simulator_made(on_error):
    """Of a hundred chunks, each with a failure, the first error alone holds its frames."""
    made, alive = [], []

    class Large:
        pass

    def simulator(theta):
        large = Large()
        made.append(weakref.ref(large))
        if theta[0] == 999:
            gc.collect()
            alive.append(sum(reference() is not None for reference in made))
        if theta[0] % 2:
            raise ValueError("odd")
        return 1.0

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        numbers = np.arange(1_000.0)[:, None]
        theta, x = run_simulator(simulator, numbers, chunk_size=10, on_error=on_error)
    assert np.isnan(x).sum() == (500 if on_error == "keep" else 0)
    assert len(x) == (1_000 if on_error == "keep" else 500)
    # The first error, the last row of its chunk, and the chunk that runs.
    assert alive[0] <= 6
    if on_error == "drop":
        words = r"^500 of 1000 simulations failed: 500 ValueError.* \(row 1\): ValueError: odd"
        assert re.match(words, str(caught[0].message))
