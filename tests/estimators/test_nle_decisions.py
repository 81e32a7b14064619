"""
NLE of a decision model, choice and reaction time, against its exact likelihood.

Two accumulators race: each takes a lognormal time, of location minus its drift, and the quicker one
decides; the reaction time has a delay besides. So

    p(choice = c, time = t) = f_c(t - delay) (1 - F_other(t - delay)),

with the densities f and distributions F of the two.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.integrate import trapezoid

from sksbi import NLE
from sksbi.metrics import c2st_score
from sksbi.utils.types import Array

PRIOR = {
    "left": stats.uniform(-0.5, 1.5),
    "right": stats.uniform(-0.5, 1.5),
    "delay": stats.uniform(0.1, 0.4),
}
SPREAD = 0.4


def simulate(theta: Array, seed: int) -> pd.DataFrame:
    """Race once for every row."""
    e = np.random.default_rng(seed).normal(size=(len(theta), 2))
    times = np.exp(-theta[:, :2] + SPREAD * e)
    choice = np.where(times[:, 0] < times[:, 1], "left", "right")
    return pd.DataFrame({"choice": choice, "seconds": times.min(axis=1) + theta[:, 2]})


def exact(theta: Array, x: pd.DataFrame) -> Array:
    """Compute log p(x | theta) row by row."""
    seconds = x["seconds"].to_numpy() - theta[:, 2]
    with np.errstate(divide="ignore"):
        log_f, log_s = (
            method(seconds[:, None], SPREAD, scale=np.exp(-theta[:, :2]))
            for method in (stats.lognorm.logpdf, stats.lognorm.logsf)
        )
    left, right = log_f[:, 0] + log_s[:, 1], log_f[:, 1] + log_s[:, 0]
    return np.where(x["choice"] == "left", left, right)


def drawn(n: int, seed: int) -> Array:
    """Draw theta from the prior."""
    rng = np.random.default_rng(seed)
    return np.column_stack([one.rvs(n, random_state=rng) for one in PRIOR.values()])


def fitted(n: int, **options: Any) -> NLE:
    """Fit to n races."""
    theta = drawn(n, 0)
    table = pd.DataFrame(theta, columns=list(PRIOR))
    return NLE(PRIOR, random_state=0, **options).fit(table, simulate(theta, 1))


@pytest.fixture(scope="module")
def quick() -> NLE:
    """Fit to 4,000 races."""
    options = {"max_epochs": 15, "hidden_features": (32, 32), "module__members": 2}
    return fitted(4000, **options)


def posterior_on_grid(trials: pd.DataFrame, n: int = 48) -> tuple[Array, Array]:
    """Compute the exact posterior on a grid: points and probabilities."""
    lows, highs = np.array([one.support() for one in PRIOR.values()]).T
    cells = (np.arange(n) + 0.5) / n
    points = np.stack(np.meshgrid(*[cells] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    points = lows + points * (highs - lows)
    log_p = np.zeros(len(points))
    for i in range(len(trials)):
        log_p += exact(points, trials.iloc[np.full(len(points), i)])
    p = np.exp(log_p - log_p.max())
    return points, p / p.sum()


def test_its_likelihood_is_that_of_the_race(quick: NLE) -> None:
    theta = drawn(3000, 2)
    x = simulate(theta, 3)
    table = pd.DataFrame(theta, columns=list(PRIOR))
    error = quick.log_likelihood(table, x) - exact(theta, x)
    # Held-out rows; their mean is minus the divergence.
    assert -0.06 < error.mean() < 0.01
    assert np.sqrt(np.mean(error**2)) < 0.4


def test_choices_are_as_probable_as_in_the_race(quick: NLE) -> None:
    seconds = np.exp(np.linspace(-4, 3, 1501))
    theta = np.array([0.6, 0.2, 0.3])
    table = pd.DataFrame([theta] * len(seconds), columns=list(PRIOR))
    total = 0.0
    for choice, p in (("left", stats.norm.cdf(0.4 / SPREAD / 2**0.5)), ("right", None)):
        x = pd.DataFrame({"choice": choice, "seconds": seconds})
        part = trapezoid(np.exp(quick.log_likelihood(table, x)), seconds)
        assert p is None or part == pytest.approx(p, abs=0.1)
        total += part
    assert total == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("n_trials", [1, 20])
def test_posteriors_are_those_of_the_race(quick: NLE, n_trials: int) -> None:
    trials = simulate(np.tile([0.6, 0.2, 0.3], (n_trials, 1)), 5)
    points, p = posterior_on_grid(trials, 24 if n_trials == 1 else 32)
    mean = p @ points
    sd = np.sqrt(p @ (points - mean) ** 2)
    draws = quick.sample(trials, 1000, iid=True, random_state=0)
    assert list(draws.columns) == list(PRIOR)
    # What a likelihood of one trial errs by, the trials of one theta have in common.
    within = 0.2 if n_trials == 1 else 0.7
    np.testing.assert_array_less(np.abs(draws.mean() - mean), within * sd)
    np.testing.assert_allclose(draws.std(), sd, rtol=0.4)


def test_emulated_races_are_like_simulated_ones(quick: NLE) -> None:
    theta = drawn(2000, 7)
    emulated = quick.emulate(pd.DataFrame(theta, columns=list(PRIOR)), 1, random_state=0)
    x = simulate(theta, 8)
    assert emulated.dtypes.to_dict() == x.dtypes.to_dict()
    pairs = [
        np.column_stack([theta, one["choice"] == "left", np.log(one["seconds"].clip(lower=0.01))])
        for one in (emulated, x)
    ]
    # Of 4,000 rows held out the standard error is 0.008.
    assert c2st_score(*pairs, classifier="boosting") < 0.55


@pytest.mark.slow
def test_10000_races_give_posteriors_that_are_hardly_told_from_exact_ones() -> None:
    nle, rng = fitted(10_000), np.random.default_rng(0)
    for n_trials, bound in ((1, 0.55), (10, 0.62), (100, 0.7)):
        trials = simulate(np.tile([0.6, 0.2, 0.3], (n_trials, 1)), 5)
        points, p = posterior_on_grid(trials, 50)
        widths = np.array([one.std() * 12**0.5 for one in PRIOR.values()]) / 50
        reference = points[rng.choice(len(points), 2000, p=p)]
        reference = reference + widths * (rng.random(reference.shape) - 0.5)
        draws = nle.sample(trials, 2000, iid=True, random_state=0)
        assert c2st_score(draws.to_numpy(), reference) <= bound
