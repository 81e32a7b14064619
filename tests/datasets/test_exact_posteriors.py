"""Exact posterior draws: ranks are uniform, and the draws follow likelihood times prior."""

import numpy as np
import pytest
from scipy import special, stats

from sksbi.datasets import _TASKS, load_task

EXACT = [name for name in sorted(_TASKS) if load_task(name).has_exact_posterior]


def test_which_tasks_have_exact_posteriors():
    wanted = ["gaussian_linear", "gaussian_linear_uniform", "gaussian_mixture", "two_moons"]
    assert wanted == EXACT


@pytest.mark.parametrize("name", EXACT)
def test_ranks_of_the_true_parameters_are_uniform(name):
    task = load_task(name)
    theta, x = task.simulate(400, random_state=0)
    rng = np.random.default_rng(1)
    draws = np.stack([task.sample_posterior(row, 99, rng).to_numpy() for row in x])
    ranks = (draws < theta.to_numpy()[:, None]).sum(axis=1)
    for column in ranks.T:
        counts = np.bincount(column // 10, minlength=10)
        assert stats.chisquare(counts).pvalue > 1e-3 / len(ranks.T)


@pytest.mark.parametrize("name", EXACT)
def test_draws_are_named_seeded_and_inside_the_prior(name):
    task = load_task(name)
    x = task.simulate(1, random_state=3)[1][0]
    draws = task.sample_posterior(x, 200, random_state=5)
    assert draws.columns.tolist() == task.names
    assert draws.equals(task.sample_posterior(x[None], 200, random_state=5))
    assert len(np.unique(draws, axis=0)) == 200
    for column, marginal in task.prior.items():
        low, high = marginal.support()
        assert draws[column].between(low, high).all()


def grid_posterior(task, x, low, high, width):
    """Compute likelihood times a uniform prior on a grid of a box, normalised."""
    axes = [np.arange(a + width / 2, b, width) for a, b in zip(low, high, strict=True)]
    points = np.column_stack([axis.ravel() for axis in np.meshgrid(*axes)])
    log_p = task.log_likelihood(points, x)
    return points, np.exp(log_p - special.logsumexp(log_p))


@pytest.mark.parametrize(
    ("name", "x", "low", "high", "width"),
    [
        ("two_moons", [-0.3, 0.2], [-1, -1], [1, 1], 0.0025),
        ("two_moons", [0.27, 0.02], [-1, -1], [1, 1], 0.0025),
        ("two_moons", [-1.0, 0.1], [-1, -1], [1, 1], 0.0025),
        ("gaussian_mixture", [2.0, -3.0], [-2, -7], [6, 1], 0.02),
        ("gaussian_mixture", [9.95, -11.0], [5, -10], [10, -6], 0.01),
    ],
)
def test_draws_follow_likelihood_times_prior(name, x, low, high, width):
    task = load_task(name)
    points, mass = grid_posterior(task, x, low, high, width)
    draws = task.sample_posterior(x, 20_000, random_state=0).to_numpy()
    cells = [np.linspace(a, b, 9) for a, b in zip(low, high, strict=True)]
    expected, _, _ = np.histogram2d(*points.T, bins=cells, weights=mass)
    observed, _, _ = np.histogram2d(*draws.T, bins=cells)
    standard_error = np.sqrt(expected * (1 - expected) / len(draws))
    assert np.all(np.abs(observed / len(draws) - expected) < 4 * standard_error + 0.002)


def test_gaussian_linear_uniform_draws_follow_likelihood_times_prior():
    task = load_task("gaussian_linear_uniform")
    x = np.linspace(-1.5, 1.5, 10)
    draws = task.sample_posterior(x, 5000, random_state=0)
    grid = np.linspace(-1, 1, 4001)
    for i, name in enumerate(task.names):
        theta = np.zeros((len(grid), 10))
        theta[:, i] = grid
        log_p = task.log_likelihood(theta, x)
        cdf = np.cumsum(np.exp(log_p - special.logsumexp(log_p)))
        test = stats.kstest(draws[name], lambda t, cdf=cdf: np.interp(t, grid, cdf))
        assert test.pvalue > 1e-4


def test_gaussian_linear_draws_have_the_conjugate_moments():
    task = load_task("gaussian_linear")
    x = np.linspace(-1, 1, 10)
    draws = task.sample_posterior(x, 20_000, random_state=0)
    # log likelihood + log prior is the log density of N(x / 2, 0.05) up to one constant
    theta = draws.to_numpy()[:100]
    joint = task.log_likelihood(theta, x) + stats.norm.logpdf(theta, 0, np.sqrt(0.1)).sum(axis=1)
    conjugate = stats.norm.logpdf(theta, x / 2, np.sqrt(0.05)).sum(axis=1)
    assert np.ptp(joint - conjugate) < 1e-9
    standard = (draws.to_numpy() - x / 2) / np.sqrt(0.05)
    assert np.all(np.abs(standard.mean(axis=0)) < 4 / np.sqrt(len(draws)))
    assert np.all(np.abs(standard.var(axis=0) - 1) < 4 * np.sqrt(2 / len(draws)))


@pytest.mark.parametrize("name", ["slcp", "sir", "lotka_volterra"])
def test_tasks_without_a_closed_form_say_so(name):
    task = load_task(name)
    with pytest.raises(ValueError, match=f"'{name}' has no closed form.*log_likelihood"):
        task.sample_posterior(np.ones(task.n_outputs))


@pytest.mark.parametrize(
    ("x", "n_samples", "words"),
    [
        (np.zeros((3, 2)), 10, "x must be one observation, got 3 rows"),
        (np.zeros(3), 10, r"x must have shape \(n, 2\), got \(1, 3\)"),
        ([np.nan, 0.0], 10, "x must be finite, got .*nan"),
        ([0.0, 0.0], 0, "n_samples must be an int >= 1, got 0"),
        ([0.0, 0.0], 2.5, "n_samples must be an int >= 1, got 2.5"),
        ([3.0, 3.0], 10, r"x = \[3. 3.\] is all but impossible"),
    ],
)
def test_bad_observations(x, n_samples, words):
    with pytest.raises(ValueError, match=words):
        load_task("two_moons").sample_posterior(x, n_samples)


def test_an_observation_far_outside_the_box_still_has_a_posterior():
    draws = load_task("gaussian_mixture").sample_posterior([60.0, 0.0], 500, random_state=0)
    assert np.isfinite(draws).all(axis=None)
    # 50 standard deviations out, the wide normal behind the bound is exponential with rate 50
    assert (10 - draws["theta_1"]).mean() == pytest.approx(1 / 50, rel=4 / np.sqrt(500))
