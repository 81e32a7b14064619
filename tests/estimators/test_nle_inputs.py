"""NLE on inputs that are odd: units, copies, gaps, tables of all dtypes, values that are new."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sksbi import NLE
from sksbi.exceptions import MisspecificationWarning, TrainingWarning
from sksbi.utils.types import Array

TINY = {"max_epochs": 2, "hidden_features": (8,), "module__members": 1, "random_state": 0}
QUICK = {"max_epochs": 8, "hidden_features": (32, 32), "module__members": 2, "random_state": 0}
PRIOR = [stats.uniform(-2, 4)]
RNG = np.random.default_rng(0)
N = 2000
THETA = RNG.uniform(-2, 2, (N, 1))
Y = THETA[:, 0] + 0.5 * RNG.normal(size=N)
HELD_OUT = RNG.uniform(-2, 2, (N, 1))
Y_HELD_OUT = HELD_OUT[:, 0] + 0.5 * RNG.normal(size=N)
ENTROPY = 0.5 * np.log(2 * np.pi * np.e * 0.25)


@pytest.mark.parametrize(
    ("unit", "shift"), [(1e-12, 0.0), (1e12, 0.0), (1e25, 0.0), (1.0, 1e7), (1.0, -1e7)]
)
def test_any_unit_gives_the_same_density(unit: float, shift: float) -> None:
    nle = NLE(PRIOR, **QUICK).fit(THETA, unit * Y + shift)
    score = nle.score(HELD_OUT, unit * Y_HELD_OUT + shift) + np.log(unit)
    # 2,000 rows err by 0.7 / 45 in the entropy; the fit loses some more.
    assert score == pytest.approx(-ENTROPY, abs=0.06)
    draws = nle.sample(unit * 0.3 + shift, 1000, random_state=0)[:, 0]
    assert draws.mean() == pytest.approx(0.3, abs=0.1)
    assert draws.std() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("noise", [0.1, 0.01])
def test_little_noise_is_learnt(noise: float) -> None:
    e = RNG.normal(size=(2, N, 1))
    nle = NLE(PRIOR, **QUICK).fit(THETA, THETA + noise * e[0])
    exact = stats.norm.logpdf(e[1]).mean() - np.log(noise)
    assert nle.score(HELD_OUT, HELD_OUT + noise * e[1]) == pytest.approx(exact, abs=0.1)


def test_correlated_columns_have_their_joint_density() -> None:
    covariance = np.array([[1.0, 0.99], [0.99, 1.0]])
    e = RNG.multivariate_normal([0, 0], covariance, (2, N))
    nle = NLE(PRIOR, **QUICK).fit(THETA, THETA + e[0])
    exact = stats.multivariate_normal([0, 0], covariance).logpdf(e[1]).mean()
    assert nle.score(HELD_OUT, HELD_OUT + e[1]) == pytest.approx(exact, abs=0.1)


def test_heavy_tails_are_learnt() -> None:
    e = RNG.standard_cauchy((2, N))
    nle = NLE(PRIOR, **QUICK).fit(THETA, THETA[:, 0] + e[0])
    exact = stats.cauchy.logpdf(e[1]).mean()
    score = nle.score(HELD_OUT, HELD_OUT[:, 0] + e[1])
    assert score == pytest.approx(exact, abs=0.1)


@pytest.mark.parametrize(
    ("x", "told"),
    [
        (np.column_stack([Y, 2 * Y]), r"column 1 \(of column 0\)"),
        (np.column_stack([Y, np.exp(Y)]), r"column 1 \(of column 0\)"),
        (np.column_stack([Y, THETA[:, 0]]), r"column 1 \(of theta\)"),
        (THETA + 1e-7 * Y[:, None], r"column 0 \(of theta\)"),
    ],
    ids=["copy", "power", "parameter", "float32"],
)
def test_x_without_a_density_is_told(x: Array, told: str) -> None:
    with pytest.warns(TrainingWarning, match=told):
        NLE(PRIOR, **TINY).fit(THETA, x)


def test_a_copied_count_is_no_case_of_it() -> None:
    counts = RNG.poisson(np.exp(2 + 0.5 * THETA))
    nle = NLE(PRIOR, **QUICK).fit(THETA, np.hstack([counts, counts]))
    x = np.array([[7, 7], [7, 8]])
    log_p = nle.log_likelihood([[0.0]] * 2, x)
    assert log_p[0] > log_p[1] + 1


def test_zeros_with_probability_are_told_and_the_way_out_is_right() -> None:
    dry = RNG.random(N) < stats.norm.cdf(-THETA[:, 0])
    rain = np.where(dry, 0, np.exp(Y))
    with pytest.warns(TrainingWarning, match=r"column 'rain' of x is 0 in [45].% of the simul"):
        NLE(PRIOR, **TINY).fit(THETA, pd.DataFrame({"rain": rain}))
    noise = np.exp(RNG.normal(size=N))
    x = pd.DataFrame({"rain": np.where(dry, noise, rain), "dry": dry})
    nle = NLE(PRIOR, **QUICK).fit(THETA, x)
    # Given that it is dry the posterior is prior times probability, whatever the noise.
    grid = np.linspace(-1.95, 1.95, 40)[:, None]
    for value in (0.5, 1.0, 2.0):
        log_p = nle.log_prob(grid, pd.DataFrame({"rain": [value], "dry": [True]}))
        p = np.exp(log_p - log_p.max())
        exact = stats.norm.cdf(-grid[:, 0])
        assert p @ grid[:, 0] / p.sum() == pytest.approx(exact @ grid[:, 0] / exact.sum(), abs=0.15)


@pytest.mark.parametrize("n", [8, 20])
def test_few_rows_give_finite_numbers(n: int) -> None:
    nle = NLE(PRIOR, **TINY).fit(THETA[:n], np.column_stack([Y[:n], np.exp(Y[:n])[::-1]]))
    assert np.isfinite(nle.log_likelihood(THETA[:n], np.column_stack([Y[:n], Y[:n]]))).all()
    assert np.isfinite(nle.emulate(THETA, 1, random_state=0)).all()


@pytest.mark.parametrize(
    ("counts", "least", "middle", "width"),
    [
        (np.round(100 * Y), -np.inf, 0, 50),
        (RNG.poisson(1e6 * np.exp(THETA[:, 0])), 0, 10**6, 2000),
        (np.round(30 * Y).astype(np.int16), -np.inf, 0, 15),
        (RNG.poisson(20 * np.exp(THETA[:, 0])).astype(np.uint8), 0, 20, 5),
    ],
    ids=["floats", "million", "negative", "uint8"],
)
def test_counts_of_all_kinds_have_probabilities(
    counts: Array, least: float, middle: int, width: int
) -> None:
    nle = NLE(PRIOR, **QUICK).fit(THETA, counts)
    emulated = nle.emulate(THETA, 1, random_state=0)[:, 0]
    np.testing.assert_array_equal(emulated, np.round(emulated))
    assert emulated.min() >= least
    steps = max(1, width // 20)
    values = middle + steps * np.arange(-400, 401)
    values = values[values >= least]
    p = steps * np.exp(nle.log_likelihood(np.zeros((len(values), 1)), values))
    assert p.sum() == pytest.approx(1, abs=0.03)


def table() -> pd.DataFrame:
    """Make a table of all dtypes."""
    word = np.where(Y > 0, "high", np.where(Y > -1, "middle", "low"))
    grade = pd.Categorical(np.where(Y > 0, "B", "A"), ["A", "B", "C"], ordered=True)
    return pd.DataFrame(
        {
            "word": word,
            "grade": grade,
            "seconds": np.exp(Y).astype(np.float32),
            "count": np.random.default_rng(1).poisson(np.exp(1 + 0.5 * Y)).astype(np.int16),
            "late": Y > 1,
            "text": pd.array(np.where(Y > 0.5, "x", "y"), dtype="string"),
            "level": 0.1 * np.digitize(Y, [-1.5, -1, -0.5, 0, 0.5, 1, 1.5]),
        }
    )


@pytest.fixture(scope="module")
def tabular() -> NLE:
    """Fit to a table of all dtypes."""
    return NLE(PRIOR, **QUICK).fit(THETA, table())


def test_kinds_and_dtypes_are_those_of_the_table(tabular: NLE) -> None:
    space = tabular._x_space
    assert space.discrete_.tolist() == [True, True, False, False, True, True, True]
    assert space.counts_.tolist() == [False, True]
    emulated = tabular.emulate(THETA[:500], 1, random_state=0)
    assert emulated.dtypes.to_dict() == table().dtypes.to_dict()
    for name in ("word", "grade", "text", "late", "level"):
        assert set(emulated[name]) <= set(table()[name])
    # Columns go together: "high" is where "B" is, by definition.
    assert ((emulated["word"] == "high") == (emulated["grade"] == "B")).mean() > 0.95


def changed(**values: Any) -> pd.DataFrame:
    """Take the first row, and change it."""
    row = table().iloc[[0]].copy()
    for name, value in values.items():
        row[name] = value
    return row


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (changed(word="new"), r"column 'word' that fit has seen, .*'low'.*got 'new'"),
        (
            changed(grade=pd.Categorical(["C"], ["A", "B", "C"], ordered=True)),
            r"column 'grade' that fit has seen, .*got 'C'; fit saw 'A', 'B'",
        ),
        (changed(level=0.35), r"column 'level' that fit has seen, .*got 0\.35"),
        (changed(count=3.5), r"whole numbers in column 'count', as in fit, got 3\.5"),
        (changed(seconds=np.nan), r"x contains NaN in column 'seconds'"),
    ],
    ids=["word", "category", "level", "count", "gap"],
)
@pytest.mark.parametrize("method", ["log_likelihood", "sample", "log_prob", "map"])
def test_what_fit_has_not_seen_is_refused(
    tabular: NLE, row: pd.DataFrame, told: str, method: str
) -> None:
    arguments = ([[0.0]], row) if method.startswith("log") else (row,)
    with pytest.raises(ValueError, match=told):
        getattr(tabular, method)(*arguments)


def test_simulations_held_out_may_have_values_that_are_new() -> None:
    levels = np.digitize(Y, [-1, 0, 1])
    nle = NLE(x_discrete=True, **TINY).fit(THETA[levels < 3], levels[levels < 3])
    known = levels < 3
    n_rows = nle._spec["n_rows"]
    log_new = np.log(1 / (1 + n_rows))
    expected = known.mean() * nle.score(THETA[known], levels[known]) + (~known).mean() * log_new
    assert nle.score(THETA, levels) == pytest.approx(expected, rel=1e-5)


def test_a_gap_in_fit_is_refused_by_cell() -> None:
    x = np.column_stack([Y, Y**2 + RNG.normal(size=N)])
    x[3, 1] = np.nan
    with pytest.raises(ValueError, match="x contains NaN in column 1, row 3"):
        NLE(PRIOR, **TINY).fit(THETA, x)


@pytest.mark.parametrize("choice", [["a", "nope"], [5], "some"])
def test_x_discrete_names_columns(choice: Any) -> None:
    x = pd.DataFrame({"a": Y, "b": np.exp(Y) + RNG.random(N)})
    with pytest.raises(ValueError, match="x_discrete"):
        NLE(PRIOR, x_discrete=choice, **TINY).fit(THETA, x)


def test_values_that_a_logarithm_does_not_reach_are_told() -> None:
    """-0.01 is near by the units of x, and impossible."""
    x = pd.DataFrame({"seconds": np.exp(THETA[:, 0] + 0.5 * RNG.normal(size=len(THETA)))})
    nle = NLE(PRIOR, **QUICK).fit(THETA, x)
    nle.sample(x[:20], 2, random_state=0)  # what was simulated is told of by no warning
    said = r"column 'seconds' of x is -0\.01, where nothing was simulated"
    with pytest.warns(MisspecificationWarning, match=said):
        nle.sample({"seconds": -0.01}, 2, random_state=0)
    trials = x[:5].assign(seconds=[1.0, 1.0, -0.01, 1.0, 1.0])
    with pytest.warns(MisspecificationWarning, match=said):
        nle.summary(trials, n_samples=2, iid=True)


@pytest.mark.parametrize("huge", ["one value", "all"])
def test_values_whose_squares_overflow_are_learnt_without_a_word(huge: str) -> None:
    rng = np.random.default_rng(0)
    theta, x = rng.normal(size=(60, 2)), rng.normal(size=(60, 3))
    if huge == "all":
        x *= 1e200
    else:
        x[7, 1] = 1e300
    nle = NLE(max_epochs=2, random_state=0).fit(theta, x)  # warnings are errors here
    assert np.isfinite(nle.log_likelihood(theta, x)).all()
