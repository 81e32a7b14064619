"""The prior in its unbounded space: draws and density belong together, and to theta's."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad
from torch import distributions

from sksbi.priors import Prior, UnboundedPrior, check_prior
from sksbi.priors.marginals import MarginalPrior


class Wedge:
    """A user's object: density 2 theta on (0, 1) and an exponential above 3."""

    support = ([0.0, 3.0], [1.0, np.inf])

    def sample(self, n: int, random_state: int) -> np.ndarray:
        generator = np.random.default_rng(random_state)
        return np.column_stack([np.sqrt(generator.random(n)), 3 + generator.exponential(size=n)])

    def log_prob(self, theta: np.ndarray) -> np.ndarray:
        return np.log(2 * theta[:, 0]) - (theta[:, 1] - 3)


class Slope:
    """The first of its parameters alone."""

    support = ([0.0], [1.0])

    def sample(self, n: int, random_state: int) -> np.ndarray:
        return Wedge().sample(n, random_state)[:, :1]

    def log_prob(self, theta: np.ndarray) -> np.ndarray:
        return np.log(2 * theta[:, 0])


def two_bumps() -> distributions.MixtureSameFamily:
    """Give a mixture on (0, 1)."""
    parts = distributions.Beta(torch.tensor([2.0, 8.0]), torch.tensor([8.0, 2.0]))
    return distributions.MixtureSameFamily(distributions.Categorical(torch.ones(2)), parts)


SINGLE = {
    "uniform": [stats.uniform(-3, 5)],
    "loguniform": [stats.loguniform(1e-3, 10)],
    "beta at the bounds": [stats.beta(0.5, 0.5)],
    "cauchy": [stats.cauchy(1, 2)],
}
MARGINALS = SINGLE | {
    "dict": {"mass": stats.uniform(0, 10), "rate": stats.expon(scale=3)},
}
LINES = {
    "normal": stats.multivariate_normal(2.0, 3.0),
    "torch normal": distributions.Normal(1.0, 2.0),
    "torch mixture": two_bumps(),
    "object": Slope(),
}
PLANES = {
    "multivariate normal": stats.multivariate_normal([1, -1], [[2.0, 0.6], [0.6, 1.0]]),
    "multivariate t": stats.multivariate_t([1, -1], [[2.0, 0.6], [0.6, 1.0]], df=5),
    "torch normal": distributions.MultivariateNormal(
        torch.zeros(2), torch.tensor([[2.0, 0.6], [0.6, 1.0]])
    ),
    "object": Wedge(),
}
TABLE = (
    MARGINALS
    | {f"{name}, D = 1": prior for name, prior in LINES.items()}
    | {f"{name}, D = 2": prior for name, prior in PLANES.items()}
)

every_prior = pytest.mark.parametrize("spec", TABLE.values(), ids=TABLE)
every_line = pytest.mark.parametrize("spec", (SINGLE | LINES).values(), ids=SINGLE | LINES)
every_marginal = pytest.mark.parametrize("spec", MARGINALS.values(), ids=MARGINALS)


def through_theta(prior: Prior, z: np.ndarray) -> np.ndarray:
    """Compute log p(z) = log p(theta) - log |dz / dtheta|."""
    theta = prior.from_unbounded(z)
    return prior.log_prob(theta) - prior.log_abs_det_jacobian(theta, z)


@every_prior
def test_the_density_of_z_is_that_of_theta_and_the_jacobian(spec: object) -> None:
    prior = check_prior(spec)
    z = np.random.default_rng(0).uniform(-3, 3, (4, 50, prior.n_features))
    expected = through_theta(prior, z.reshape(-1, prior.n_features))
    got = UnboundedPrior(prior).log_prob(z)
    assert got.shape == (4, 50)
    np.testing.assert_allclose(got.ravel(), expected, atol=1e-6)


@every_line
def test_the_density_on_a_line_integrates_to_one(spec: object) -> None:
    prior = check_prior(spec)
    log_prob = UnboundedPrior(prior).log_prob
    # The maps are quantiles or logits, or shifts: beyond 40 units lies less than 1e-8.
    mass, error = quad(lambda t: np.exp(log_prob(np.array([t]))), -40, 40, limit=500, points=[0, 2])
    assert error < 1e-6
    assert mass == pytest.approx(1, abs=1e-5)


@every_prior
def test_draws_have_the_density(spec: object) -> None:
    """The mean over draws of q / p is 1 for any normalised q."""
    prior = UnboundedPrior(check_prior(spec))
    z = prior.sample((20_000,), np.random.default_rng(0))
    center, spread = z.mean(axis=0), 0.6 * z.std(axis=0)
    ratios = np.exp(stats.norm(center, spread).logpdf(z).sum(axis=1) - prior.log_prob(z))
    assert abs(ratios.mean() - 1) < 5 * ratios.std() / np.sqrt(len(ratios))


@pytest.mark.parametrize("spec", LINES.values(), ids=LINES)
def test_draws_have_the_moments_of_the_density(spec: object) -> None:
    prior = UnboundedPrior(check_prior(spec))
    z = prior.sample((20_000,), np.random.default_rng(1)).ravel()
    for power in (1, 2):
        expected, _ = quad(
            lambda t, power=power: t**power * np.exp(prior.log_prob(np.array([t]))), -40, 40
        )
        standard_error = (z**power).std() / np.sqrt(len(z))
        assert abs((z**power).mean() - expected) < 5 * standard_error


@every_prior
def test_draws_are_those_of_theta(spec: object) -> None:
    """Mapped back, they are distributed as draws of the prior."""
    prior = check_prior(spec)
    z = UnboundedPrior(prior).sample((3_000,), np.random.default_rng(2))
    ours, theirs = prior.from_unbounded(z), prior.sample(3_000, 3)
    for first, second in zip(ours.T, theirs.T, strict=True):
        assert stats.ks_2samp(first, second).pvalue > 1e-4


@every_marginal
def test_marginals_are_standard_normal(spec: object) -> None:
    prior = check_prior(spec)
    assert isinstance(prior, MarginalPrior)
    z = UnboundedPrior(prior).sample((5_000,), np.random.default_rng(0))
    for column in z.T:
        assert stats.kstest(column, "norm").pvalue > 1e-4
    expected = stats.norm().logpdf(z).sum(axis=1)
    np.testing.assert_allclose(UnboundedPrior(prior).log_prob(z), expected, rtol=1e-12)


@every_prior
@pytest.mark.parametrize("shape", [(6,), (3, 2), (1, 3, 2)])
def test_a_seed_gives_the_same_draws_of_any_shape(spec: object, shape: tuple[int, ...]) -> None:
    prior = UnboundedPrior(check_prior(spec))
    first, second, other = (prior.sample(shape, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first.shape == (*shape, prior.prior.n_features)
    np.testing.assert_array_equal(first, second)
    assert not np.isclose(first, other).any()
    assert prior.log_prob(first).shape == shape
    flat = prior.log_prob(first.reshape(-1, first.shape[-1]))
    np.testing.assert_array_equal(prior.log_prob(first).ravel(), flat)


@every_prior
@pytest.mark.parametrize("z", [-1e3, -40.0, 40.0, 1e3])
def test_far_out_the_density_is_small_and_a_number(spec: object, z: float) -> None:
    prior = UnboundedPrior(check_prior(spec))
    log_p = prior.log_prob(np.full((1, prior.prior.n_features), z))
    assert not np.isnan(log_p).any()
    assert (log_p < -5).all()
