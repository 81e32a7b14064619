"""Where a prior's mass ends, against its distribution function."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sksbi.priors import check_prior
from sksbi.priors.reach import ends, hold

INDEPENDENT = {
    "uniform": stats.uniform(-3, 20),
    "narrow": stats.uniform(1e6, 1e-3),
    "exponential": stats.expon(5, 100),
    "loguniform": stats.loguniform(1e-10, 1),
    "poles": stats.beta(0.5, 0.5),
    "beta": stats.beta(3, 2),
    "lognormal": stats.lognorm(2),
    "normal": stats.norm(3, 1e-3),
    "below": stats.truncnorm(-np.inf, 1, 0, 1),
}


class Custom:
    """A prior by its density alone: independent exponentials, cut at 9."""

    support = np.zeros(2), np.full(2, 9.0)
    one = stats.truncexpon(9.0)

    def sample(self, n: int, random_state: object = None) -> np.ndarray:
        return self.one.rvs((n, 2), random_state=random_state)

    def log_prob(self, theta: np.ndarray) -> np.ndarray:
        return self.one.logpdf(theta).sum(axis=1)


@pytest.mark.parametrize("marginal", INDEPENDENT.values(), ids=INDEPENDENT)
def test_ends_hold_a_millionth_of_the_mass_at_most_and_are_near_the_bound(marginal) -> None:
    low, high = ends(check_prior([marginal]))
    support = marginal.support()
    for limit, bound, mass in (
        (low[0], support[0], marginal.cdf),
        (high[0], support[1], marginal.sf),
    ):
        if np.isfinite(bound):
            limit += np.spacing(abs(bound)) * np.sign(bound - limit)
            assert mass(limit) < 1.01e-6
            tenth = marginal.ppf(0.1) if bound == support[0] else marginal.isf(0.1)
            assert abs(limit - bound) <= 1.01e-5 * abs(tenth - bound)
            assert limit != bound
        else:
            assert limit == bound


def test_of_a_uniform_prior_it_is_a_millionth() -> None:
    low, high = ends(check_prior([stats.uniform(-1, 2)]))
    np.testing.assert_allclose([low[0] + 1, 1 - high[0]], 2e-6, rtol=1e-3)


def test_of_a_prior_without_distribution_functions_draws_tell() -> None:
    low, high = ends(check_prior(Custom()))
    cdf = Custom.one.cdf
    # The least of 1,000 draws is below 1% but for one seed in 23,000; its thousandth is held.
    assert ((cdf(low) > 0) & (cdf(low) < 1e-5)).all()
    assert ((cdf(high) < 1) & (cdf(high) > 1 - 1e-5)).all()


TWO = {"independent": [stats.uniform(0, 1), stats.expon()], "custom": Custom()}


@pytest.mark.parametrize("spec", TWO.values(), ids=TWO)
def test_what_is_held_is_inside_and_the_gap_is_that_of_the_prior(spec: object) -> None:
    prior = check_prior(spec)
    theta = np.array([[0.0, 0.5], [1e-300, 1e-9], [0.5, 0.5], [0.5, 0.0]])
    before = theta.copy()
    held, gap = hold(prior, theta)
    np.testing.assert_array_equal(theta, before)
    low, high = ends(prior)
    assert ((held >= low) & (held <= high)).all()
    np.testing.assert_array_equal((held != theta).any(axis=1), [True, True, False, True])
    np.testing.assert_allclose(gap, prior.log_prob(theta) - prior.log_prob(held), atol=1e-12)
    again, nothing = hold(prior, held)
    np.testing.assert_array_equal(again, held)
    np.testing.assert_array_equal(nothing, 0.0)


def test_nothing_is_moved_to_where_the_prior_is_zero() -> None:
    """A prior on two intervals that end at a bound within the ends of the other parameter."""

    class Sliver(Custom):
        def log_prob(self, theta: np.ndarray) -> np.ndarray:
            sliver = (theta[:, 0] < 1e-12) & (theta[:, 1] < 1)
            return np.where(sliver | (theta[:, 1] > 1), self.one.logpdf(theta).sum(axis=1), -np.inf)

        def sample(self, n: int, random_state: object = None) -> np.ndarray:
            return 1 + self.one.rvs((n, 2), random_state=random_state) * 8 / 9

    prior = check_prior(Sliver())
    theta = np.array([[1e-13, 0.5], [1e-13, 2.0]])
    held, gap = hold(prior, theta)
    np.testing.assert_array_equal(held[0], theta[0])
    assert gap[0] == 0.0
    assert held[1, 0] == ends(prior)[0][0]
