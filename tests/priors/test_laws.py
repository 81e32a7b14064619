"""Every prior meets every law: draws, density, support and map belong together."""

import pickle

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad
from torch import distributions
from zuko.distributions import BoxUniform

from sksbi.priors import Prior, check_prior
from sksbi.priors.interval import Interval


class Wedge:
    """A user's object: density 2 theta on (0, 1) and an exponential above 3."""

    names = ("slope", "wait")
    support = ([0.0, 3.0], [1.0, np.inf])

    def sample(self, n: int, random_state: int) -> np.ndarray:
        generator = np.random.default_rng(random_state)
        return np.column_stack([np.sqrt(generator.random(n)), 3 + generator.exponential(size=n)])

    def log_prob(self, theta: np.ndarray) -> np.ndarray:
        return np.log(2 * theta[:, 0]) - (theta[:, 1] - 3)


def squared_lognormal() -> distributions.TransformedDistribution:
    """Give two positive parameters of a kind unknown to scipy's twins."""
    base = distributions.Normal(torch.zeros(2), torch.tensor([0.3, 0.5]))
    steps = [distributions.ExpTransform(), distributions.PowerTransform(torch.tensor(2.0))]
    return distributions.TransformedDistribution(base, steps)


def two_bumps() -> distributions.MixtureSameFamily:
    """Give a mixture on (0, 1)."""
    parts = distributions.Beta(torch.tensor([2.0, 8.0]), torch.tensor([8.0, 2.0]))
    return distributions.MixtureSameFamily(distributions.Categorical(torch.ones(2)), parts)


def two_clouds() -> distributions.MixtureSameFamily:
    """Give a mixture on the plane."""
    means = torch.tensor([[-1.0, -1.0], [1.0, 2.0]])
    parts = distributions.MultivariateNormal(means, torch.eye(2))
    return distributions.MixtureSameFamily(distributions.Categorical(torch.ones(2)), parts)


MARGINALS = {
    "uniform": stats.uniform(0, 10),
    "uniform far": stats.uniform(1000, 1),
    "uniform negative": stats.uniform(-3, 3),
    "loguniform": stats.loguniform(1e-3, 1),
    "norm": stats.norm(1, 0.5),
    "lognorm": stats.lognorm(s=1, scale=10),
    "lognorm shifted": stats.lognorm(0.5, loc=-2, scale=3),
    "expon": stats.expon(scale=4),
    "gamma": stats.gamma(2, scale=3),
    "gamma spiked": stats.gamma(0.5, loc=1),
    "beta": stats.beta(2, 5),
    "beta at the bounds": stats.beta(0.5, 0.5),
    "beta scaled": stats.beta(0.5, 0.5, loc=-5, scale=20),
    "halfnorm": stats.halfnorm(scale=2),
    "truncnorm positive": stats.truncnorm(-2, np.inf, loc=1, scale=0.5),
    "truncnorm": stats.truncnorm(-1, 3),
    "cauchy": stats.cauchy(1, 2),
    "t": stats.t(3),
    "pareto": stats.pareto(2),
    "exponpow": stats.exponpow(2.7),
    "invgamma": stats.invgamma(3),
    "levy": stats.levy(),
    "half of a norm": Interval(stats.norm(), 0, np.inf, "prior"),
    "norm in its far tail": Interval(stats.norm(), 8, 9, "prior"),
    "norm in its lower tail": Interval(stats.norm(), -np.inf, -20, "prior"),
    "piece of a uniform": Interval(stats.uniform(-3, 6), 0, 2, "prior"),
    "piece of a lognorm": Interval(stats.lognorm(1, scale=10), 1, 5, "prior"),
    "end of a beta": Interval(stats.beta(0.5, 0.5), 0.2, 1, "prior"),
}
COVARIANCE = [[2.0, 0.6], [0.6, 1.0]]
JOINT = {
    "dict": {"mass": stats.uniform(0, 10), "rate": stats.loguniform(1e-3, 1)},
    "list": [stats.norm(), stats.expon(), stats.beta(2, 2)],
    "multivariate_normal": stats.multivariate_normal([1, -1], COVARIANCE),
    "multivariate_normal 1-D": stats.multivariate_normal(2.0, 3.0),
    "multivariate_t": stats.multivariate_t([1, -1], COVARIANCE, df=5),
    "torch uniform": distributions.Uniform(torch.zeros(2), torch.tensor([1.0, 5.0])),
    "torch independent": distributions.Independent(
        distributions.Gamma(torch.ones(3), torch.ones(3)), 1
    ),
    "torch scalar": distributions.Normal(0.0, 2.0),
    "torch normal": distributions.MultivariateNormal(torch.zeros(2), torch.tensor(COVARIANCE)),
    "torch transformed": squared_lognormal(),
    "torch mixture bounded": two_bumps(),
    "torch mixture": two_clouds(),
    "BoxUniform": BoxUniform(-torch.ones(2), torch.ones(2)),
    "object": Wedge(),
}
JOINT |= {
    "marginal of a multivariate_normal": check_prior(JOINT["multivariate_normal"]).marginal([1]),
    "marginal of a multivariate_t": check_prior(JOINT["multivariate_t"]).marginal([1, 0]),
    "truncated dict": check_prior(JOINT["dict"]).truncated([2, 0.01], [np.inf, 0.02]),
    "truncated multivariate_normal": check_prior(JOINT["multivariate_normal"]).truncated(
        [0, -np.inf], [2, 0]
    ),
    "truncated torch mixture": check_prior(JOINT["torch mixture bounded"]).truncated([0.1], [0.5]),
    "truncated torch transformed": check_prior(JOINT["torch transformed"]).truncated(
        [0.5, 0.5], [2, np.inf]
    ),
    "truncated object": check_prior(JOINT["object"]).truncated([0.5, 3], [1, 5]),
}
TABLE = {name: [marginal] for name, marginal in MARGINALS.items()} | JOINT
EXTREMES = np.array([-40.0, -37.0, -9.0, -8.0, 8.0, 9.0, 37.0, 40.0])

every_prior = pytest.mark.parametrize("spec", TABLE.values(), ids=TABLE)
every_marginal = pytest.mark.parametrize("spec", MARGINALS.values(), ids=MARGINALS)


def strictly_inside(prior: Prior, theta: np.ndarray) -> np.ndarray:
    """Say where theta is finite and between the bounds."""
    low, high = prior.support
    return np.isfinite(theta) & (theta > low) & (theta < high)


@every_prior
def test_draws_lie_strictly_inside_with_a_finite_density(spec: object) -> None:
    prior = check_prior(spec)
    theta = prior.sample(500, random_state=0)
    assert theta.dtype == np.float64
    assert theta.shape == (500, prior.n_features)
    assert strictly_inside(prior, theta).all()
    assert prior.contains(theta).all()
    assert np.isfinite(prior.log_prob(theta)).all()


@every_prior
def test_a_seed_gives_the_same_draws_and_leaves_the_global_generators_alone(spec: object) -> None:
    prior = check_prior(spec)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    first = prior.sample(5, random_state=3)
    np.testing.assert_array_equal(first, prior.sample(5, random_state=3))
    assert not np.array_equal(first, prior.sample(5, random_state=4))
    assert not np.array_equal(prior.sample(5), prior.sample(5))
    np.testing.assert_array_equal(before[0], np.random.get_state()[1])  # noqa: NPY002
    assert torch.equal(before[1], torch.get_rng_state())


@every_prior
def test_a_pickled_prior_is_the_same_prior(spec: object) -> None:
    prior = check_prior(spec)
    again = pickle.loads(pickle.dumps(prior))
    theta = prior.sample(10, random_state=0)
    np.testing.assert_array_equal(again.sample(10, random_state=0), theta)
    np.testing.assert_array_equal(again.log_prob(theta), prior.log_prob(theta))
    assert again.names == prior.names


@every_prior
def test_the_map_and_its_inverse_undo_each_other(spec: object) -> None:
    prior = check_prior(spec)
    z = np.linspace(-3, 3, 25)[:, None] * np.ones(prior.n_features)
    theta = prior.from_unbounded(z)
    # Next to a bound far from zero, theta has few digits left.
    rtol = 1e-9 * max(1.0, abs(theta).max() / np.ptp(theta))
    np.testing.assert_allclose(prior.to_unbounded(theta), z, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(prior.from_unbounded(prior.to_unbounded(theta)), theta, rtol=1e-9)


@every_prior
def test_the_map_increases(spec: object) -> None:
    prior = check_prior(spec)
    z = np.linspace(-8, 8, 301)[:, None] * np.ones(prior.n_features)
    theta = prior.from_unbounded(z)
    slack = 1e-12 * abs(theta[:-1])
    assert (np.diff(theta, axis=0) >= -slack).all()
    assert (np.diff(theta[60:-60], axis=0) > 0).all()


@every_prior
def test_the_log_determinant_agrees_with_finite_differences(spec: object) -> None:
    prior = check_prior(spec)
    z = np.random.default_rng(0).uniform(-2, 2, (30, prior.n_features))
    step = 1e-4
    slopes = (prior.from_unbounded(z + step) - prior.from_unbounded(z - step)) / (2 * step)
    expected = -np.log(slopes).sum(axis=1)
    theta = prior.from_unbounded(z)
    np.testing.assert_allclose(prior.log_abs_det_jacobian(theta, z), expected, atol=1e-5)


@every_prior
@pytest.mark.parametrize("extreme", EXTREMES)
def test_extremes_stay_strictly_inside_with_finite_logarithms(spec: object, extreme: float) -> None:
    prior = check_prior(spec)
    z = np.full((1, prior.n_features), extreme)
    theta = prior.from_unbounded(z)
    assert strictly_inside(prior, theta).all()
    assert np.isfinite(prior.to_unbounded(theta)).all()
    assert np.isfinite(prior.log_abs_det_jacobian(theta, z)).all()
    assert np.isfinite(prior.log_abs_det_jacobian(theta, prior.to_unbounded(theta))).all()
    assert np.isfinite(prior.log_prob(theta)).all()


@every_prior
def test_outside_the_support_the_density_is_zero_and_on_a_bound_it_is_a_number(
    spec: object,
) -> None:
    prior = check_prior(spec)
    theta = prior.sample(1, random_state=0)
    for bound, outwards in zip(prior.support, (-1, 1), strict=True):
        for i in np.flatnonzero(np.isfinite(bound)):
            on, outside = theta.copy(), theta.copy()
            on[0, i], outside[0, i] = bound[i], bound[i] + outwards
            assert prior.contains(on).all()
            assert not np.isnan(prior.log_prob(on)).any()
            assert np.isfinite(prior.to_unbounded(on)).all()
            assert not prior.contains(outside).any()
            assert prior.log_prob(outside) == -np.inf
    assert prior.log_prob(np.full_like(theta, np.inf)) == -np.inf


@every_marginal
def test_the_density_integrates_to_one(spec: object) -> None:
    prior = check_prior([spec])

    def mass(z: float) -> float:
        theta = prior.from_unbounded([[z]])
        log_mass = prior.log_prob(theta) - prior.log_abs_det_jacobian(theta, [[z]])
        return float(np.exp(log_mass[0]))

    total, _ = quad(mass, -7, 7, epsabs=1e-4)
    # Where the map stops at z = 37 or nearer, less than 1e-11 is left out.
    assert total == pytest.approx(1, abs=2e-4)


@every_marginal
def test_the_log_density_is_the_derivative_of_the_distribution_function(spec: object) -> None:
    prior = check_prior([spec])
    points = np.sort(prior.sample(20, random_state=1), axis=0)
    width = np.ptp(points) / 10
    for start in points[5:15, 0]:
        stop = min(start + width, prior.support[1][0])
        integral, _ = quad(lambda t: np.exp(prior.log_prob([[t]])[0]), start, stop)
        assert integral == pytest.approx(float(spec.cdf(stop) - spec.cdf(start)), abs=1e-6)


@every_marginal
def test_the_quantile_map_makes_draws_standard_normal(spec: object) -> None:
    prior = check_prior([spec])
    z = prior.to_unbounded(prior.sample(5_000, random_state=0)).ravel()
    assert stats.kstest(z, "norm").pvalue > 1e-4


@pytest.mark.parametrize("spec", JOINT.values(), ids=JOINT)
def test_draws_have_the_density_that_log_prob_gives(spec: object) -> None:
    """The mean over draws of q / p is 1 for any normalised q with the same support."""
    prior = check_prior(spec)
    theta = prior.sample(20_000, random_state=0)
    z = prior.to_unbounded(theta)
    center, spread = z.mean(axis=0), 0.6 * z.std(axis=0)
    log_q = stats.norm(center, spread).logpdf(z).sum(axis=1)
    log_q += prior.log_abs_det_jacobian(theta, z)
    weights = np.exp(log_q - prior.log_prob(theta))
    assert abs(weights.mean() - 1) < 5 * weights.std() / np.sqrt(len(weights))
