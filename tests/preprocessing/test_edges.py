"""Observations with hardly any simulation beyond them: counts, how often, and what is said."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sksbi import NPE, ClassifierRatio
from sksbi.exceptions import TrainingWarning
from sksbi.preprocessing import Edges


@pytest.mark.parametrize(("n", "columns", "rows"), [(300, 1, 1), (2_000, 3, 1), (2_000, 1, 5)])
def test_at_most_one_call_of_a_hundred_is_blamed(n: int, columns: int, rows: int) -> None:
    """Of 400 calls with fresh observations 4 are expected at most, and 12 seen once in 1e4."""
    rng = np.random.default_rng(0)
    blamed = 0
    for _ in range(400):
        edges = Edges(rng.lognormal(size=(n, columns)))
        blamed += edges.find(rng.lognormal(size=(rows, columns))) is not None
    assert blamed <= stats.binom.isf(1e-4, 400, 0.01)
    # Each side has int(0.005 n / (L m)) of n + 1 places; they are as often hit as they should be.
    fewest = min(3, int(0.005 * n / (columns * rows)))
    probability = 2 * fewest * columns * rows / (n + 1)
    assert blamed >= stats.binom.ppf(1e-4, 400, 0.9 * probability)


def test_the_fewest_are_counted_with_ties_and_on_both_sides() -> None:
    x = np.arange(2_000.0)[:, None]
    edges = Edges(x)
    for value, found in (
        (1_999.0, (0, 0, True, 1)),
        (1_998.5, (0, 0, True, 1)),
        (5_000.0, (0, 0, True, 0)),
        (1_997.0, None),
        (1_000.0, None),
        (2.0, None),
        (1.0, (0, 0, False, 2)),
        (np.nan, None),
    ):
        assert edges.find(np.array([[value]])) == found
    # A thousand simulations share the highest value.
    assert Edges(np.minimum(x, 1_000)).find(np.array([[1_000.0]])) is None
    assert Edges(np.full((2_000, 1), 7.0)).find(np.array([[7.0]])) is None
    rare = Edges((x < 2) * 1.0)
    assert rare.find(np.array([[1.0]])) == (0, 0, True, 2)
    assert Edges(np.where(x < 500, np.nan, x)).find(np.array([[501.0]])) == (0, 0, False, 2)


def test_what_is_too_few_or_too_wide_is_never_blamed() -> None:
    assert Edges(np.zeros((199, 1))).find(np.array([[1.0]])) is None
    assert Edges(np.zeros((200, 1))).find(np.array([[1.0]])) is not None
    assert Edges(np.zeros((3_000, 4, 300))).find(np.ones((1, 4, 300))) is None
    assert Edges(np.zeros((2, 1))).find(np.array([[1.0]])) is None


def test_joined_edges_are_those_of_all_rows() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1_001, 2))
    parts = [Edges(part) for part in (x[:1], x[1:3], x[3:])]
    joined, whole = parts[0].joined(parts[1]).joined(parts[2]), Edges(x)
    assert joined.n == whole.n
    # Where a part has fewer rows than three, infinity fills up.
    np.testing.assert_array_equal(joined.low[:3], whole.low)
    np.testing.assert_array_equal(joined.high[:3], whole.high)


def test_edges_are_described_by_name_or_place() -> None:
    edges = Edges(np.arange(1_200.0).reshape(600, 2, 1))
    # 600 simulations of two columns allow one: of those that are fewer, none.
    x = np.array([[[1_198.0], [600.0]]])
    assert edges.find(x) is None
    x[0, 0] = 1_199.5
    found = edges.find(x)
    assert found == (0, 0, True, 0)
    text = edges.describe(found, x, None)
    assert text == "x[0, 0] is 1199.5, and none of 600 simulations is as large or larger"


@pytest.fixture(scope="module")
def pairs() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    theta = pd.DataFrame({"rate": rng.lognormal(size=1_000)})
    return theta, pd.DataFrame({"wait": rng.exponential(1 / theta["rate"])})


@pytest.mark.parametrize("family", ["npe", "classifier"])
def test_estimators_warn_at_the_edge_and_nowhere_else(pairs, family: str) -> None:
    theta, x = pairs
    prior = {"rate": stats.lognorm(1)}
    made = {
        "npe": lambda: NPE(prior, max_epochs=3, random_state=0),
        "classifier": lambda: ClassifierRatio(prior=prior, random_state=0),
    }[family]()
    fitted = made.fit(theta, x)
    ordered = x.sort_values("wait")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.sample(ordered.iloc[500], 10)
        fitted.sample(ordered.iloc[-10:], 10)  # ten rows of a thousand simulations: not so rare
    with pytest.warns(TrainingWarning, match=r"x is at the edge .* 'wait' is .* and 1 of 1000"):
        fitted.sample(ordered.iloc[-1], 10)
    with pytest.warns(TrainingWarning, match=r"2 of 1000 simulations are as small or smaller"):
        fitted.sample(ordered.iloc[1], 10)
    with pytest.warns(TrainingWarning, match=r"observation b in x is at the edge"):
        fitted.sample(ordered.iloc[[500, -1]].set_index(pd.Index(["a", "b"])), 10)


def test_a_stream_counts_all_that_it_has_seen(pairs) -> None:
    theta, x = pairs
    ordered = x.sort_values("wait")
    npe = NPE({"rate": stats.lognorm(1)}, random_state=0)
    for rows in np.split(np.arange(1_000), 4):
        npe.partial_fit(theta.iloc[rows], x.iloc[rows])
    with pytest.warns(TrainingWarning, match="2 of 1000 simulations are as large or larger"):
        npe.sample(ordered.iloc[-2], 10)
