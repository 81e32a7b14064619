"""Running simulators: what they get, what they give, failures, and numbers for any n_jobs."""

import functools
import math
import pickle
import threading
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from sksbi.exceptions import SimulationWarning
from sksbi.simulation import _Failure, run_simulator, simulate

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
    with pytest.raises(ValueError, match="returned NaN or inf(?s:.*)row 3"):
        run_simulator(lambda t: [np.nan if t[0] == 6 else 1.0], THETA, on_error="raise")


def test_an_error_from_another_process_keeps_its_traceback():
    with joblib.parallel_config("loky", n_jobs=2), pytest.raises(ZeroDivisionError) as info:
        simulate(fails_above_one, PRIOR, 50, chunk_size=50, random_state=0, on_error="raise")
    assert "in fails_above_one" in "".join(info.value.__notes__)


def test_an_error_that_cannot_travel_is_told_in_words():
    try:
        raise HoldsLock("stuck")
    except HoldsLock as error:
        failure = pickle.loads(pickle.dumps(_Failure(3, error)))
    assert failure.row == 3
    assert isinstance(failure.error, RuntimeError)
    assert str(failure.error) == "HoldsLock: stuck"
    assert 'raise HoldsLock("stuck")' in failure.error.__notes__[0]


@pytest.mark.parametrize("on_error", ["drop", "raise", "keep"])
@pytest.mark.parametrize("vectorized", [False, True])
def test_a_first_chunk_that_fails_wholly_raises_before_the_others_run(on_error, vectorized):
    calls = []

    def simulator(theta):
        calls.append(theta)
        return np.asarray([])[len(calls)]

    with pytest.raises(IndexError, match="index 1 is out of bounds"):
        run_simulator(simulator, THETA, chunk_size=3, on_error=on_error, vectorized=vectorized)
    assert len(calls) == (1 if vectorized or on_error == "raise" else 3)


@pytest.mark.parametrize(
    ("value", "word"), [(None, "None"), (np.nan, "nan"), ([np.inf], "NaN or inf")]
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
