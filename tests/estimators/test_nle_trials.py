"""NLE of independent trials, and of simulations that fail, against posteriors that are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import trapezoid

from sksbi import NLE
from sksbi.utils.types import Array

QUICK = {
    "max_epochs": 8,
    "hidden_features": (32, 32),
    "module__members": 2,
    "random_state": 0,
}
PRIOR = [stats.norm(0, 1)]


def trials(n: int, n_trials: int, seed: int) -> tuple[Array, Array]:
    """Simulate trials x_t ~ N(theta, 1)."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(n, 1))
    return theta, theta[:, None] + rng.normal(size=(n, n_trials, 1))


@pytest.fixture(scope="module")
def five() -> NLE:
    """Fit to 600 simulations of five trials, to the end."""
    return NLE(PRIOR, x_trials=True, random_state=0).fit(*trials(600, 5, 0))


@pytest.mark.slow
def test_what_is_learnt_is_the_likelihood_of_one_trial(five: NLE) -> None:
    theta, x = trials(2000, 1, 1)
    error = five.log_likelihood(theta, x) - stats.norm.logpdf(x[:, 0], theta)[:, 0]
    assert np.sqrt(np.mean(error**2)) < 0.15
    grid = np.linspace(-8, 8, 1601)
    q = np.exp(five.log_likelihood(np.full((1601, 1), 0.5), grid[:, None, None]))
    assert trapezoid(q, grid) == pytest.approx(1, abs=1e-3)


def test_scores_sum_over_trials(five: NLE) -> None:
    theta, x = trials(100, 7, 2)
    each = [five.log_likelihood(theta, x[:, [t]]) for t in range(7)]
    assert five.score(theta, x) == pytest.approx(np.sum(each, axis=0).mean(), rel=1e-5)
    np.testing.assert_allclose(five.log_likelihood(theta, x), np.sum(each, axis=0), rtol=1e-4)


@pytest.mark.parametrize("n_trials", [1, 4, pytest.param(40, marks=pytest.mark.slow)])
def test_any_number_of_trials_gives_the_posterior(five: NLE, n_trials: int) -> None:
    _, x = trials(3, n_trials, 3)
    draws = five.sample(x, 2000, random_state=0)[..., 0]
    sd = (1 + n_trials) ** -0.5
    # What a likelihood of one trial errs by, the trials of one theta have in common.
    within = (0.3 + 0.1 * n_trials**0.5) * sd
    np.testing.assert_allclose(draws.mean(axis=1), x.sum((1, 2)) * sd**2, atol=within)
    np.testing.assert_allclose(draws.std(axis=1), sd, rtol=0.2)


def test_one_trial_of_each_is_a_fit_without_trials() -> None:
    theta, x = trials(500, 1, 4)
    tiny = {"max_epochs": 2, "random_state": 0}
    declared = NLE(PRIOR, x_trials=True, **tiny).fit(theta, x)
    plain = NLE(PRIOR, **tiny).fit(theta, x[:, 0])
    np.testing.assert_array_equal(
        declared.log_likelihood(theta, x), plain.log_likelihood(theta, x[:, 0])
    )


def failing(n: int, n_trials: int, seed: int) -> tuple[Array, Array]:
    """Fail nine times in ten where a < 1/2, all trials at once."""
    rng = np.random.default_rng(seed)
    a = rng.uniform(size=(n, 1))
    x = a[:, None] + 0.3 * rng.normal(size=(n, n_trials, 1))
    x[(a[:, 0] < 0.5) & (rng.random(n) < 0.9)] = np.nan
    return a, x


GRID = (np.arange(1000) + 0.5)[:, None] / 1000


def below_half(log_p: Array) -> float:
    """Integrate a density over the lower half of the grid."""
    p = np.exp(log_p - log_p.max())
    return float(p[:500].sum() / p.sum())


@pytest.fixture(scope="module")
def fallible() -> NLE:
    """Fit to 4,000 simulations, 45% of which failed."""
    a, x = failing(4000, 1, 0)
    return NLE([stats.uniform()], **QUICK).fit(a, x[:, 0])


def test_the_density_integrates_to_the_probability_of_success(fallible: NLE) -> None:
    grid = np.linspace(-2, 3, 501)
    for points, p in ((np.linspace(0.05, 0.45, 9), 0.1), (np.array([0.8]), 1.0)):
        masses = []
        for at in points:
            q = np.exp(fallible.log_likelihood(np.full((501, 1), at), grid[:, None]))
            masses.append(trapezoid(q, grid))
        # 200 of 2,000 succeed below: a standard error of 7%
        assert np.mean(masses) == pytest.approx(p, rel=0.2)


def test_the_posterior_is_that_of_what_succeeds(fallible: NLE) -> None:
    # At 1/2 the likelihood of those that succeed is symmetric.
    assert below_half(fallible.log_prob(GRID, [0.5])) == pytest.approx(1 / 11, abs=0.03)
    two = fallible.log_prob(GRID, [[0.5], [0.5]], iid=True)
    assert below_half(two) == pytest.approx(1 / 101, abs=3 * 0.4 / 101)
    draws = fallible.sample([0.5], 2000, random_state=0)
    assert (draws < 0.5).mean() == pytest.approx(1 / 11, abs=0.035)


def test_emulated_observations_are_those_of_successes(fallible: NLE) -> None:
    x = fallible.emulate([[0.2], [0.8]], 2000, random_state=0)
    assert np.isfinite(x).all()
    # 200 simulations below 1/2 tell the mean to 0.02.
    np.testing.assert_allclose(x.mean(axis=(1, 2)), [0.2, 0.8], atol=0.08)


def test_trials_that_fail_together_count_by_their_share() -> None:
    a, x = failing(4000, 2, 0)
    nle = NLE([stats.uniform()], x_trials=True, **QUICK).fit(a, x)
    # Two trials succeed with probability 1/10 below 1/2, so one of them with its root.
    for n_trials, odds in ((1, 0.1**0.5), (2, 0.1), (4, 0.01)):
        share = below_half(nle.log_prob(GRID, np.full((n_trials, 1), 0.5)))
        # The trees' cells err by 30% each, and by twice that of the square.
        assert np.log(share / (1 - share)) == pytest.approx(np.log(odds), abs=0.25 * n_trials)
