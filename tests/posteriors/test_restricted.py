"""A posterior on a region is the same one there, cut and normalised."""

import numpy as np
import pytest
from scipy import stats

from sksbi import NLE, NPE
from sksbi.posteriors.restricted import Restricted
from sksbi.priors import check_prior

PRIOR = check_prior([stats.norm(0, 1), stats.norm(0, 1)])
N = 4_000


def disk(theta):
    """Say which parameters lie near (.5, 0)."""
    return np.hypot(theta[:, 0] - 0.5, theta[:, 1]) < 0.8


@pytest.fixture(scope="module")
def pairs():
    """Simulate x = theta + noise of deviation 1."""
    rng = np.random.default_rng(0)
    theta = PRIOR.sample(1_000, rng)
    return theta, theta + rng.standard_normal(theta.shape)


@pytest.fixture(scope="module", params=["density", "likelihood"])
def posterior(request, pairs):
    """Fit a family with a normalised density, and one whose posterior takes a sampler."""
    options = {"flow": "maf", "transforms": 2, "max_epochs": 8, "random_state": 0}
    kind = NPE if request.param == "density" else NLE
    return kind(PRIOR, **options).fit(*pairs)._posterior()


@pytest.fixture
def restricted(posterior):
    """Restrict it to the disk."""
    return Restricted(posterior, PRIOR.within(disk))


X = np.array([[0.5, 0.5], [-1.0, 0.0]])


def test_draws_lie_inside_and_are_those_of_the_other(posterior, restricted):
    """They agree with the other's draws that lie inside."""
    draws = restricted.at(X).sample(N, np.random.default_rng(0)).theta
    assert draws.shape == (2, N, 2)
    others = posterior.at(X).sample(5 * N, np.random.default_rng(1)).theta
    for mine, theirs in zip(draws, others, strict=True):
        assert disk(mine).all()
        theirs = theirs[disk(theirs)]
        # Draws of chains depend on each other, so means are compared within 6 standard errors.
        error = np.hypot(mine.std(axis=0) / N**0.5, theirs.std(axis=0) / len(theirs) ** 0.5)
        assert np.all(np.abs(mine.mean(axis=0) - theirs.mean(axis=0)) < 6 * error)


def test_densities_are_those_of_the_other_over_the_share(posterior, restricted):
    """Inside they differ by a constant, the share where the density is normalised; else -inf."""
    rng = np.random.default_rng(2)
    theta = PRIOR.sample(500, rng)
    rows = rng.integers(2, size=500)
    asked, other = restricted.at(X), posterior.at(X)
    log_q, log_p = asked.log_prob(theta, rows), other.log_prob(theta, rows)
    inside = disk(theta)
    assert np.all(log_q[~inside] == -np.inf)
    difference = (log_q - log_p)[inside]
    for row in (0, 1):
        assert np.ptp(difference[rows[inside] == row]) < 1e-9
    if not restricted.needs_prior:
        draws = other.sample(20_000, rng).theta
        shares = np.array([disk(one).mean() for one in draws])
        errors = np.sqrt((1 - shares) / shares * (1 / 20_000 + 1 / 2_000))
        found = np.array([-difference[rows[inside] == row][0] for row in (0, 1)])
        assert np.all(np.abs(found - np.log(shares)) < 4 * errors)


def test_modes_lie_inside(restricted):
    """That of an observation whose posterior has its own mode outside, too."""
    modes = restricted.at(X).modes(np.random.default_rng(0))
    assert disk(modes).all()
    theta = PRIOR.within(disk).sample(2_000, 0)
    asked = restricted.at(X)
    for row, mode in enumerate(modes):
        best = asked.log_prob(theta, np.full(len(theta), row)).max()
        assert asked.log_prob(mode[None], np.array([row]))[0] > best - 0.01


def test_some_observations_are_asked_alone(restricted):
    """What is taken is what was fixed."""
    asked = restricted.at(X)
    theta = np.array([[0.5, 0.1], [0.4, -0.1]])
    both = asked.log_prob(theta, np.array([0, 1]))
    alone = [asked.take(np.array([i])).log_prob(theta[i : i + 1], np.zeros(1, int)) for i in (0, 1)]
    np.testing.assert_allclose(both, np.concatenate(alone), rtol=1e-6)


def test_an_observation_from_elsewhere_is_told(posterior):
    """Where no draw lies inside, it ends with an error, soon."""
    far = Restricted(posterior, PRIOR.within(lambda theta: theta[:, 0] > 2.5))
    with pytest.raises(ValueError, match="the posterior of observation 0 has only"):
        far.at(np.array([[-3.0, 0.0]])).sample(1_000, np.random.default_rng(0))


def test_scores_are_those_of_simulations_inside(posterior, restricted, pairs):
    """Others tell nothing of it."""
    theta, x = pairs
    inside = disk(theta)
    weights = np.ones(len(theta))
    expected = posterior.score(theta[inside], x[inside], weights[inside])
    if not restricted.needs_prior:
        assert restricted.score(theta, x, weights) == pytest.approx(expected)
    with pytest.raises(ValueError, match="theta must lie where prior_ is positive"):
        restricted.score(theta[~inside], x[~inside], weights[~inside])
