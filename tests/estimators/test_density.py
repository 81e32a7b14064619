"""Densities are true: normalised over the support, at one with the draws, near the exact answer."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import cumulative_trapezoid, trapezoid
from scipy.special import ndtr
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)
from torch import distributions

from sksbi import NPE, NRE
from sksbi.datasets import load_task
from sksbi.exceptions import MisspecificationWarning

Array = NDArray[np.float64]

TINY = {
    "flow": "maf",
    "transforms": 2,
    "hidden_features": (16,),
    "max_epochs": 3,
    "lr": 1e-2,
    "validation_fraction": None,
    "random_state": 0,
}
TRAINED = TINY | {"hidden_features": (32, 32), "max_epochs": 12, "batch_size": 50}


class Slope:
    """A user's object on (0, 1): density 2 theta."""

    support = (0.0, 1.0)

    def sample(self, n: int, random_state: int) -> Array:
        return np.sqrt(np.random.default_rng(random_state).random((n, 1)))

    def log_prob(self, theta: Array) -> Array:
        return np.log(2 * theta[:, 0])


# A prior, and the scipy distribution through whose quantiles the support is walked.
ONE_PARAMETER = {
    "norm": ([stats.norm(100, 5)], stats.norm(100, 5)),
    "uniform": ([stats.uniform(-3, 10)], stats.uniform(-3, 10)),
    "uniform far from zero": ([stats.uniform(1000, 1)], stats.uniform(1000, 1)),
    "expon": ([stats.expon(scale=4)], stats.expon(scale=4)),
    "lognorm": ([stats.lognorm(1, scale=10)], stats.lognorm(1, scale=10)),
    "beta": ([stats.beta(2, 5)], stats.beta(2, 5)),
    "beta with poles": ([stats.beta(0.5, 0.5)], stats.beta(0.5, 0.5)),
    "loguniform": ([stats.loguniform(1e-3, 1)], stats.loguniform(1e-3, 1)),
    "truncnorm": ([stats.truncnorm(-2, np.inf, 1, 0.5)], stats.truncnorm(-2, np.inf, 1, 0.5)),
    "torch normal": (distributions.Normal(1.0, 2.0), stats.norm(1, 2)),
    "torch uniform": (distributions.Uniform(0.0, 5.0), stats.uniform(0, 5)),
    "torch gamma": (distributions.Gamma(2.0, 1.0), stats.gamma(2)),
    "object": (Slope(), stats.beta(2, 1)),
}
one_parameter = pytest.mark.parametrize(
    ("prior", "twin"), ONE_PARAMETER.values(), ids=ONE_PARAMETER
)

COVARIANCE = [[2.0, 1.2], [1.2, 1.0]]
CORRELATED = stats.multivariate_normal([1, -1], COVARIANCE)
MIXED = {"mass": stats.uniform(0, 10), "rate": stats.expon(scale=0.1)}
TWO_PARAMETERS = {
    "mixed": (MIXED, list(MIXED.values())),
    "multivariate_normal": (CORRELATED, [stats.norm(1, 2), stats.norm(-1, 1.5)]),
    "torch": (
        distributions.Independent(distributions.Beta(torch.ones(2), torch.tensor([2.0, 3.0])), 1),
        [stats.beta(1, 2), stats.beta(1, 3)],
    ),
}

TRANSFORMERS = {
    "StandardScaler": StandardScaler(),
    "MinMaxScaler": MinMaxScaler(),
    "RobustScaler": RobustScaler(),
    "MaxAbsScaler": MaxAbsScaler(),
    "PowerTransformer": PowerTransformer(),
    "PowerTransformer raw": PowerTransformer(standardize=False),
    "PCA": PCA(whiten=True),
    "Pipeline": make_pipeline(StandardScaler(), PCA(), PowerTransformer(), MinMaxScaler((-3, 1))),
}
every_transformer = pytest.mark.parametrize(
    "transformer", TRANSFORMERS.values(), ids=TRANSFORMERS.keys()
)

OBSERVATIONS = [-1.0, 0.3, 2.0]


def observe(theta: Array, seed: int = 0) -> Array:
    """Simulate: standardised theta with noise."""
    noise = np.random.default_rng(seed).normal(scale=0.7, size=theta.shape)
    return (theta - theta.mean(axis=0)) / theta.std(axis=0) + noise


def quantiles(twin: object, z: Array) -> tuple[Array, Array]:
    """Walk a support by the quantiles of its twin: theta(z) and dtheta/dz, exact in both tails."""
    theta = np.where(z < 0, twin.ppf(ndtr(z)), twin.isf(ndtr(-z)))
    return theta, stats.norm.pdf(z) / twin.pdf(theta)


def mass_1d(npe: NPE, twin: object, x: Array, n_nodes: int = 4001) -> tuple[Array, Array, Array]:
    """Compute theta, the log-density, and the mass up to theta, by the trapezoidal rule."""
    z = np.linspace(-8, 8, n_nodes)
    theta, slope = quantiles(twin, z)
    log_q = npe.log_prob(theta[:, None], x)
    return theta, log_q, cumulative_trapezoid(np.exp(log_q) * slope, z, initial=0)


def mass_2d(npe: NPE, twins: list, x: Array) -> float:
    """Integrate over the plane by the trapezoidal rule in the quantiles of the twins."""
    z = np.linspace(-7, 7, 281)
    (first, first_slope), (second, second_slope) = (quantiles(twin, z) for twin in twins)
    grid = np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1).reshape(-1, 2)
    q = np.exp(npe.log_prob(grid, x)).reshape(len(z), len(z))
    return float(np.sum(q * np.outer(first_slope, second_slope)) * (z[1] - z[0]) ** 2)


def fit(prior: object, twins: list, n: int = 200, **options: object) -> NPE:
    """Fit on draws from the twins."""
    rng = np.random.default_rng(1)
    theta = np.column_stack([twin.rvs(n, random_state=rng) for twin in twins])
    return NPE(prior, **TINY | options).fit(theta, observe(theta))


@one_parameter
def test_the_density_of_one_parameter_is_normalised_and_is_that_of_the_draws(
    prior: object, twin: object
) -> None:
    npe = fit(prior, [twin])
    for x in OBSERVATIONS:
        theta, log_q, mass = mass_1d(npe, twin, [x])
        assert mass[-1] == pytest.approx(1, abs=1e-3)
        draws = npe.sample([x], 3000, random_state=3)[:, 0]
        test = stats.kstest(draws, lambda t, at=theta, up_to=mass: np.interp(t, at, up_to))
        assert test.pvalue > 1e-4


@one_parameter
def test_the_mean_log_density_of_draws_is_the_integral(prior: object, twin: object) -> None:
    npe = fit(prior, [twin])
    _, log_q, mass = mass_1d(npe, twin, [0.3])
    middle = (log_q[1:] + log_q[:-1]) / 2
    negative_entropy = np.sum(np.where(np.isfinite(middle), middle, 0) * np.diff(mass))
    of_draws = npe.log_prob(npe.sample([0.3], 3000, random_state=4), [0.3])
    standard_error = of_draws.std() / np.sqrt(len(of_draws))
    assert abs(of_draws.mean() - negative_entropy) < 5 * standard_error


@pytest.mark.parametrize(("prior", "twins"), TWO_PARAMETERS.values(), ids=TWO_PARAMETERS)
def test_the_density_of_two_parameters_is_normalised(prior: object, twins: list) -> None:
    npe = fit(prior, twins)
    for x in ([0.0, 0.0], [1.0, -1.0]):
        assert mass_2d(npe, twins, x) == pytest.approx(1, abs=1e-3)


def test_without_a_prior_the_density_is_normalised_over_the_line_and_the_plane() -> None:
    twins = [stats.norm(100, 20), stats.norm(-3, 0.1)]
    for x in OBSERVATIONS:
        assert mass_1d(fit(None, twins[:1]), twins[0], [x])[2][-1] == pytest.approx(1, abs=1e-3)
    assert mass_2d(fit(None, twins), twins, [0.0, 1.0]) == pytest.approx(1, abs=1e-3)


@every_transformer
@pytest.mark.parametrize(
    ("prior", "twins"), list(TWO_PARAMETERS.values())[:2], ids=["box", "plane"]
)
def test_every_theta_transformer_keeps_the_density_normalised(
    transformer: BaseEstimator, prior: object, twins: list
) -> None:
    npe = fit(prior, twins, theta_transformer=transformer)
    assert mass_2d(npe, twins, [0.5, -0.5]) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_power_transformer_of_skewed_theta_loses_no_mass(sign: int, standardize: bool) -> None:
    """The powers that fit such data best have bounded images."""
    theta = sign * np.random.default_rng(0).gamma(0.5, size=(300, 1))
    transformer = PowerTransformer(standardize=standardize)
    alone = clone(transformer).fit(theta).lambdas_[0]
    assert not 0 <= alone <= 2
    npe = NPE(theta_transformer=transformer, **TINY).fit(theta, observe(theta))
    tail = np.geomspace(1e-6, 1e9, 20_001)
    line = np.r_[-tail[::-1], 0, tail]
    for x in OBSERVATIONS:
        q = np.exp(npe.log_prob(line[:, None], [x]))
        assert trapezoid(q, line) == pytest.approx(1, abs=1e-3)


@every_transformer
def test_the_inverse_density_of_draws_measures_a_volume(transformer: BaseEstimator) -> None:
    """The mean of 1_A / q over draws from q is the volume of A."""
    npe = fit(MIXED, list(MIXED.values()), theta_transformer=transformer)
    x = [0.5, -0.5]
    low, high = np.quantile(npe.sample(x, 500, random_state=1), [0.2, 0.8], axis=0)
    draws = npe.sample(x, 5000, random_state=2)
    inside = ((draws > low) & (draws < high)).all(axis=1)
    volumes = np.where(inside, np.exp(-npe.log_prob(draws, x)), 0)
    standard_error = volumes.std() / np.sqrt(len(volumes))
    assert abs(volumes.mean() - np.prod(high - low)) < 5 * standard_error


@pytest.mark.parametrize("flow", ["maf", "nsf"])
def test_other_units_of_theta_shift_the_log_density_by_the_jacobian_alone(flow: str) -> None:
    theta = np.random.default_rng(0).normal(size=(200, 2))
    x, scale = observe(theta), np.array([1e6, 1e-4])
    one = NPE(**TINY | {"flow": flow}).fit(theta, x)
    other = NPE(**TINY | {"flow": flow}).fit(theta * scale, x)
    expected = one.log_prob(theta, x) - np.log(scale).sum()
    np.testing.assert_allclose(other.log_prob(theta * scale, x), expected, atol=1e-3)
    assert other.score(theta * scale, x) == pytest.approx(expected.mean(), abs=1e-4)


def linear_gaussian(n: int, seed: int) -> tuple[Array, Array]:
    """Simulate the first two parameters of gaussian_linear, which are independent of the rest."""
    theta, x = load_task("gaussian_linear").simulate(n, random_state=seed)
    return theta.to_numpy()[:, :2], x[:, :2]


@pytest.fixture(scope="module")
def linear_npe() -> NPE:
    """Fit two parameters of gaussian_linear."""
    names = list(load_task("gaussian_linear").prior)[:2]
    prior = [load_task("gaussian_linear").prior[name] for name in names]
    return NPE(prior, **TRAINED).fit(*linear_gaussian(3000, seed=0))


POSTERIOR_SD = np.sqrt(0.05)


def exact_log_posterior(theta: Array, x: Array) -> Array:
    """Evaluate N(x / 2, 0.05)."""
    return stats.norm.logpdf(theta, x / 2, POSTERIOR_SD).sum(axis=1)


def test_two_parameters_of_gaussian_linear_agree_with_the_closed_form(linear_npe: NPE) -> None:
    """Means within 0.3 posterior standard deviations, standard deviations within 20 percent."""
    x = linear_gaussian(5, seed=1)[1]
    draws = linear_npe.sample(x, 4000)
    np.testing.assert_allclose(draws.mean(axis=1), x / 2, atol=0.3 * POSTERIOR_SD)
    np.testing.assert_allclose(draws.std(axis=1), POSTERIOR_SD, rtol=0.2)


def test_a_held_out_score_is_close_to_the_true_one_and_no_better(linear_npe: NPE) -> None:
    """Gibbs: the expectation of log q is at most that of log p, by the divergence between them."""
    theta, x = linear_gaussian(5000, seed=2)
    excess = linear_npe.log_prob(theta, x) - exact_log_posterior(theta, x)
    standard_error = excess.std() / np.sqrt(len(excess))
    assert -0.1 < excess.mean() < 5 * standard_error


def test_the_score_prefers_true_pairs_to_shuffled_ones(linear_npe: NPE) -> None:
    theta, x = linear_gaussian(1000, seed=3)
    shuffled = np.random.default_rng(0).permutation(x)
    # Exactly, the means differ by (E[(theta - x'/2)^2] - 0.05) / 0.1 = 1 in each parameter.
    gap = linear_npe.score(theta, x) - linear_npe.score(theta, shuffled)
    assert gap == pytest.approx(2, abs=0.5)


@pytest.mark.slow
def test_the_default_posterior_of_gaussian_linear_agrees_with_the_closed_form() -> None:
    """
    Ten parameters, 10,000 simulations, no tuning, five observations.

    In posterior standard deviations the means are off by at most 0.25 in the root mean square and
    0.6 anywhere; the standard deviations are within 25 percent.
    """
    task = load_task("gaussian_linear")
    npe = NPE(task.prior, random_state=0).fit(*task.simulate(10_000, random_state=0))
    observed = task.simulate(5, random_state=1)[1]
    draws = npe.sample(observed, 2000).to_numpy().reshape(5, 2000, 10)
    error = (draws.mean(axis=1) - observed / 2) / POSTERIOR_SD
    assert np.sqrt(np.mean(error**2)) < 0.25
    assert np.abs(error).max() < 0.6
    np.testing.assert_allclose(draws.std(axis=1), POSTERIOR_SD, rtol=0.25)


# A prior, and an observation whose posterior piles up at a bound.
BOUNDS = {
    "uniform": ([stats.uniform(0, 1)], 0.0),
    "uniform, upper": ([stats.uniform(0, 1)], 1.0),
    "uniform among few floats": ([stats.uniform(1e12, 1)], 1e12),
    "beta with poles": ([stats.beta(0.5, 0.5)], 1.0),
    "expon": ([stats.expon()], 0.0),
    "loguniform": ([stats.loguniform(1e-3, 1)], 1e-3),
    "object": (Slope(), 1.0),
}


def fit_near_a_bound(prior: object) -> NPE:
    """Fit on precise observations, so that a posterior is narrow and hits the bound."""
    twin = prior[0] if isinstance(prior, list) else stats.beta(2, 1)
    theta = twin.rvs((1000, 1), random_state=np.random.default_rng(0))
    x = theta + np.random.default_rng(1).normal(scale=0.02, size=theta.shape)
    return NPE(prior, **TRAINED).fit(theta, x)


def check_draws(npe: NPE, x: float, n_samples: int) -> None:
    """Hold that draws pile up at the bound, none on it or beyond, and all have a density."""
    draws = npe.sample([x], n_samples)
    low, high = npe.prior_.support
    assert np.mean(np.abs(draws - x) < 0.05) > 0.5
    assert ((draws > low) & (draws < high)).all()
    for part in np.array_split(draws, max(1, n_samples // 1_000_000)):
        assert np.isfinite(npe.log_prob(part, [x])).all()


@pytest.mark.slow
@pytest.mark.parametrize(("prior", "x"), BOUNDS.values(), ids=BOUNDS)
def test_draws_near_a_bound_stay_inside_and_have_a_density(prior: object, x: float) -> None:
    check_draws(fit_near_a_bound(prior), x, 100_000)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["uniform", "expon"])
def test_ten_million_draws_near_a_bound_stay_inside_and_have_a_density(name: str) -> None:
    prior, x = BOUNDS[name]
    check_draws(fit_near_a_bound(prior), x, 10_000_000)


@pytest.mark.parametrize("x", [-30.0, 30.0])
def test_an_observation_far_outside_of_the_simulated_ones_breaks_no_bound(x: float) -> None:
    npe = fit_near_a_bound([stats.uniform(0, 1)])
    with pytest.warns(MisspecificationWarning, match=f"x\\[0\\] is {x:g}, simulated from"):
        draws = npe.sample([x], 2000)
    assert ((draws > 0) & (draws < 1)).all()
    assert np.isfinite(npe.log_prob(draws, [x])).all()


@pytest.mark.parametrize("flow", ["maf", "nsf"])
def test_one_parameter_and_one_observation_show_both_modes(flow: str) -> None:
    """The posterior of theta^2 = 1, seen with noise, has modes of equal weight at -1 and 1."""
    rng = np.random.default_rng(0)
    prior = [stats.uniform(-2, 4)]
    theta = rng.uniform(-2, 2, (2000, 1))
    x = theta**2 + rng.normal(scale=0.3, size=theta.shape)
    npe = NPE(prior, **TRAINED | {"flow": flow}).fit(theta, x)
    draws = npe.sample([1.0], 2000)[:, 0]
    at = np.linspace(-2, 2, 4001)
    exact = np.exp(-0.5 * ((1 - at**2) / 0.3) ** 2)
    exact /= trapezoid(exact, at)
    distance = trapezoid(np.abs(np.exp(npe.log_prob(at[:, None], [1.0])) - exact), at) / 2
    assert distance < 0.15
    assert np.mean(draws > 0) == pytest.approx(0.5, abs=0.1)
    assert np.abs(np.median(draws[draws > 0]) - 1) < 0.1
    assert np.abs(np.median(draws[draws < 0]) + 1) < 0.1


@pytest.mark.filterwarnings("ignore::sksbi.exceptions.MisspecificationWarning")
@pytest.mark.parametrize("estimator", [NPE, pytest.param(NRE, marks=pytest.mark.slow)])
def test_a_posterior_next_to_a_bound_is_followed_there(estimator: type) -> None:
    """Of x = log theta + noise most of it may lie in a millionth of the prior's mass."""
    rng = np.random.default_rng(0)
    theta = rng.uniform(size=(3000, 1))
    x = np.log(theta) + rng.normal(size=theta.shape)
    fitted = estimator([stats.uniform(0, 1)], max_epochs=10, random_state=0).fit(theta, x)
    grid = np.logspace(-40, 0, 8_001)[:-1]
    mass = np.exp(fitted.log_prob(grid[:, None], [-13.0])) * np.gradient(grid)
    if estimator is NPE:
        assert mass.sum() == pytest.approx(1, abs=2e-3)
    mass /= mass.sum()
    draws = np.asarray(fitted.sample([-13.0], 4000, random_state=0))[:, 0]
    share = mass[grid < 1e-6].sum()
    assert share > 0.3
    assert (draws < 1e-6).mean() == pytest.approx(share, abs=4 * np.sqrt(0.25 / 1000))
    mode = fitted.log_prob(fitted.map([-13.0])[None], [-13.0])[0]
    assert mode > np.quantile(fitted.log_prob(draws[:, None], [-13.0]), 0.999) - 1e-4


@pytest.mark.parametrize("estimator", [NPE, NRE], ids=lambda kind: kind.__name__)
def test_one_rounded_theta_does_not_spoil_a_score(estimator: type) -> None:
    rng = np.random.default_rng(0)
    theta = rng.uniform(size=(1000, 1))
    x = rng.normal(size=theta.shape)
    fitted = estimator([stats.uniform(0, 1)], max_epochs=5, random_state=0).fit(theta, x)
    rounded, inside = theta[:300].copy(), theta[:300].copy()
    rounded[:2, 0], inside[:2, 0] = (0.0, 1.0), (1e-6, 1 - 1e-6)
    score = fitted.score(rounded, x[:300])
    assert score == pytest.approx(fitted.score(inside, x[:300]), abs=1e-4)
    assert score == pytest.approx(fitted.score(theta[:300], x[:300]), abs=0.05)
