"""Observations that are more regular than any simulation, each column of which is ordinary."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from sksbi import NPE, load, save
from sksbi.exceptions import MisspecificationWarning, TrainingWarning
from sksbi.preprocessing import Regularity

T = np.linspace(-1, 1, 10)


def lines(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Simulate lines of unknown noise."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, 2, (n, 1)), rng.normal(0, 3, (n, 1))
    sigma = rng.lognormal(np.log(0.5), 0.7, (n, 1))
    return np.hstack([a, b, sigma]), a + b * T + sigma * rng.normal(size=(n, 10))


SIMULATORS = {
    "lines": lambda n, seed: lines(n, seed)[1],
    "heavy tails": lambda n, seed: np.random.default_rng(seed).standard_cauchy((n, 6)),
    "counts": lambda n, seed: np.random.default_rng(seed).poisson(0.3, (n, 5)).astype(float),
    "columns of many units": lambda n, seed: (
        np.random.default_rng(seed).normal(size=(n, 4)) * 10.0 ** np.arange(4)
    ),
    "images": lambda n, seed: np.random.default_rng(seed).normal(size=(n, 6, 7)),
    "one value": lambda n, seed: np.full((n, 5), 3.0),
}


@pytest.mark.parametrize("name", SIMULATORS)
def test_fresh_simulations_are_hardly_ever_told(name: str) -> None:
    regularity = Regularity(SIMULATORS[name](1_000, 0))
    fresh = SIMULATORS[name](2_000, 1)
    assert regularity.are_far(fresh).sum() <= 1
    # One of a hundred calls at most is to find an edge; of 300, ten or more in one of 1,000.
    at_edges = sum(regularity.at_the_edge(fresh[i : i + 1]) is not None for i in range(300))
    assert at_edges <= stats.binom.isf(1e-3, 300, 0.01)


def test_what_is_stuck_or_smooth_is_far_and_what_is_as_noisy_is_not() -> None:
    regularity = Regularity(SIMULATORS["lines"](3_000, 0))
    exact = 1 + T
    noise = np.random.default_rng(1).normal(size=10)
    x = np.stack([np.zeros(10), exact, exact + 1e-5 * noise, exact + 0.3 * noise])
    assert regularity.are_far(x).tolist() == [True, True, True, False]
    assert "columns is 0, simulated from 0." in regularity.describe(x[:1])
    # All simulations are the same line: another one is told, whatever its steps.
    assert Regularity(np.tile(T, (500, 1))).are_far(np.stack([T, T**2])).tolist() == [False, True]
    slightly = exact + 0.01 * noise
    assert not regularity.are_far(slightly[None]).any()
    assert regularity.at_the_edge(np.stack([x[3], slightly])) == 1
    assert regularity.at_the_edge(x[3:]) is None


def test_units_are_of_no_account() -> None:
    x = SIMULATORS["lines"](1_000, 0)
    asked = np.concatenate([SIMULATORS["lines"](200, 1), np.zeros((1, 10))])
    for unit in (1e-12, 1.0, 1e12):
        assert Regularity(unit * x).are_far(unit * asked).tolist() == [False] * 200 + [True]


def test_simulations_that_are_constant_at_times_make_constants_ordinary() -> None:
    x = SIMULATORS["lines"](1_000, 0)
    x[:20] = x[:20, :1]
    regularity = Regularity(x)
    assert not regularity.are_far(np.zeros((1, 10))).any()
    assert regularity.at_the_edge(np.zeros((1, 10))) is None


def test_stretched_over_more_simulations_it_knows_all() -> None:
    x = SIMULATORS["lines"](2_000, 0)
    noisy, smooth = x[:1_000], x[1_000:] * 1e-4
    asked = np.concatenate([noisy[:1], smooth[:1]])
    assert Regularity(noisy).are_far(asked).tolist() == [False, True]
    both = Regularity(noisy).stretched(smooth)
    assert both.are_far(asked).tolist() == [False, False]
    assert both.edges.n == 2_000


def test_estimators_warn_and_files_keep_it(tmp_path: Path) -> None:
    theta, x = lines(600, 0)
    noise = np.random.default_rng(1).normal(size=10)
    prior = {"a": stats.norm(0, 2), "b": stats.norm(0, 3), "sigma": stats.lognorm(0.7, 0, 0.5)}
    npe = NPE(prior, max_epochs=3, random_state=0).fit(theta, x)
    save(npe, tmp_path / "npe.sksbi")
    for fitted in (npe, load(tmp_path / "npe.sksbi")):
        with pytest.warns(MisspecificationWarning, match="x is unlike .* though no single column"):
            fitted.sample(np.zeros(10), 5)
        with pytest.warns(TrainingWarning, match="x is at the edge .* simulated from"):
            fitted.sample(1 + T + 0.04 * noise, 5)
        with pytest.warns(MisspecificationWarning, match="observation 2 in x is unlike"):
            fitted.sample(np.stack([x[0], x[1], 1 + T]), 5)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            fitted.sample(x[3], 5)


def test_a_stream_is_taken_in() -> None:
    theta, x = lines(1_000, 0)
    npe = NPE(random_state=0).partial_fit(theta[:500], x[:500]).partial_fit(theta[500:], x[500:])
    assert npe._regularity is not None
    assert npe._regularity.edges.n == 1_000
    assert NPE(random_state=0, max_epochs=1).fit(theta, x[:, :3])._regularity is None
