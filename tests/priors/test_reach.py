"""What lies on a bound is read as lying where a prior's mass ends, by its distribution function."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import trapezoid

from sksbi.priors import UnboundedPrior, check_prior
from sksbi.priors.base import with_map_of
from sksbi.priors.marginals import has_quantile_map
from sksbi.priors.reach import off_bounds, reach

INDEPENDENT = {
    "uniform": stats.uniform(-3, 20),
    "narrow": stats.uniform(1e6, 1e-3),
    "exponential": stats.expon(5, 100),
    "loguniform": stats.loguniform(1e-10, 1),
    "poles": stats.beta(0.5, 0.5),
    "beta": stats.beta(3, 2),
    "below": stats.truncnorm(-np.inf, 1, 0, 1),
}


class Joint:
    """A prior by its density alone: two independent parameters."""

    def __init__(self, one: object) -> None:
        self.one, self.support = one, tuple(np.full(2, bound) for bound in one.support())

    def sample(self, n: int, random_state: object = None) -> np.ndarray:
        return self.one.rvs((n, 2), random_state=random_state)

    def log_prob(self, theta: np.ndarray) -> np.ndarray:
        return self.one.logpdf(theta).sum(axis=1)

    def marginal(self, columns: list[int]) -> list:
        return [self.one for _ in columns]


@pytest.mark.parametrize("marginal", INDEPENDENT.values(), ids=INDEPENDENT)
def test_a_bound_becomes_a_point_near_it_with_next_to_no_mass_beyond(marginal) -> None:
    prior = check_prior([marginal])
    for bound, mass, tenth in (
        (marginal.support()[0], marginal.cdf, marginal.ppf(0.1)),
        (marginal.support()[1], marginal.sf, marginal.isf(0.1)),
    ):
        if np.isfinite(bound):
            (moved,) = off_bounds(prior, np.array([[bound]]))[0]
            rounding = np.spacing(abs(bound))
            assert mass(moved + rounding * np.sign(bound - moved)) < 1.01e-6
            assert 0 < abs(moved - bound) <= 1.01e-5 * abs(tenth - bound) + rounding


def test_of_a_uniform_prior_it_is_a_millionth() -> None:
    prior = check_prior([stats.uniform(-1, 2), stats.norm()])
    theta = np.array([[-1.0, 5.0], [1.0, -1.0], [np.nextafter(1, 0), 1.0]])
    moved = off_bounds(prior, theta)
    np.testing.assert_allclose(moved[:2, 0], [-1 + 2e-6, 1 - 2e-6], rtol=0, atol=1e-8)
    np.testing.assert_array_equal(moved[:, 1], theta[:, 1])
    np.testing.assert_array_equal(moved[2], theta[2])
    np.testing.assert_array_equal(theta[0], [-1.0, 5.0])


@pytest.mark.parametrize("one", [stats.truncexpon(9.0), stats.beta(0.2, 1)], ids=["flat", "pole"])
def test_of_a_prior_without_distribution_functions_draws_tell(one) -> None:
    prior = check_prior(Joint(one))
    low, high = off_bounds(prior, np.stack(prior.support))
    # The least of 1,000 draws is below 1% but for one seed in 23,000.
    assert ((one.cdf(low) > 0) & (one.cdf(low) < 5e-3)).all()
    assert ((low > 0) & (low < 1e-5 * one.ppf(0.2))).all()
    assert ((one.sf(high) > 0) & (one.sf(high) < 1e-5)).all()


def test_where_floats_are_coarse_it_is_the_nearest_one_inside() -> None:
    prior = check_prior([stats.uniform(1e12, 1)])
    (low,), (high,) = off_bounds(prior, np.array([[1e12], [1e12 + 1]]))
    assert 1e12 < low < high < 1e12 + 1


def test_the_marginal_of_a_joint_prior_has_its_map_and_not_that_of_quantiles() -> None:
    """Its points in unbounded space are no standard normal draws, but images of its own draws."""
    one = stats.beta(3, 1)
    marginal = with_map_of(check_prior(Joint(one)), [0])
    unbounded = UnboundedPrior(marginal)
    z = unbounded.sample((4000,), np.random.default_rng(0))
    theta = marginal.from_unbounded(z)[:, 0]
    assert stats.kstest(theta, one.cdf).pvalue > 1e-4
    grid = np.linspace(-30, 30, 20_001)[:, None]
    mass = trapezoid(np.exp(unbounded.log_prob(grid)), grid[:, 0])
    assert mass == pytest.approx(1, abs=1e-4)
    low, high = reach(marginal)
    assert one.cdf(low[0]) < 0.01
    assert one.cdf(high[0]) > 0.99
    own = with_map_of(check_prior([one, one]), [1])
    assert has_quantile_map(own)
    assert not has_quantile_map(marginal)
