"""NLE against truth: likelihoods that integrate to one, posteriors in closed form, an emulator."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import trapezoid
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer, StandardScaler

from sksbi import NLE
from sksbi.metrics import c2st_score
from sksbi.utils.types import Array

QUICK = {
    "max_epochs": 8,
    "hidden_features": (32, 32),
    "module__members": 2,
    "random_state": 0,
}
UNIFORM = [stats.uniform(-3, 6)] * 2
NORMAL = [stats.norm(0, 1)] * 2
NOISE = 0.5


def gaussian(n: int, seed: int) -> tuple[Array, Array]:
    """Simulate x ~ N(theta, 1/4) of two even parameters."""
    rng = np.random.default_rng(seed)
    theta = rng.uniform(-3, 3, (n, 2))
    return theta, theta + NOISE * rng.normal(size=(n, 2))


def root_mean_square(values: Array) -> float:
    """Compute the root of the mean square."""
    return float(np.sqrt(np.mean(values**2)))


def error(nle: NLE, seed: int = 1) -> Array:
    """Compute the errors of log-likelihoods on new pairs."""
    theta, x = gaussian(4000, seed)
    exact = stats.norm.logpdf(x, theta, NOISE).sum(axis=1)
    return nle.log_likelihood(theta, x) - exact


@pytest.fixture(scope="module")
def gauss() -> NLE:
    """Fit 3,000 simulations."""
    return NLE(UNIFORM, **QUICK).fit(*gaussian(3000, 0))


def test_log_likelihoods_are_exact_up_to_what_3000_rows_tell(gauss: NLE) -> None:
    # Over four seeds between 0.07 and 0.13.
    assert root_mean_square(error(gauss)) < 0.2
    theta, x = gaussian(4000, 1)
    assert gauss.score(theta, x) == pytest.approx(gauss.log_likelihood(theta, x).mean(), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_10000_pairs_make_a_gaussian_likelihood_exact_to_a_tenth(seed: int) -> None:
    nle = NLE(UNIFORM, random_state=seed).fit(*gaussian(10_000, seed))
    assert root_mean_square(error(nle, seed + 100)) <= 0.1


def test_two_columns_integrate_to_one(gauss: NLE) -> None:
    ends = np.linspace(-5, 6, 331)
    grid = np.stack(np.meshgrid(ends, ends), axis=-1).reshape(-1, 2)
    q = np.exp(gauss.log_likelihood(np.full((len(grid), 2), 0.5), grid))
    # Splines of a mixture bend faster than the grid does in places.
    assert q.sum() * (ends[1] - ends[0]) ** 2 == pytest.approx(1, abs=0.005)


def test_the_posterior_is_the_prior_times_it(gauss: NLE) -> None:
    theta, x = gaussian(50, 2)
    inside = stats.uniform(-3, 6).logpdf(theta).sum(axis=1)
    expected = inside + gauss.log_likelihood(theta, x)
    np.testing.assert_allclose(gauss.log_prob(theta, x), expected, rtol=1e-6)
    trials = np.stack([x[:7], x[7:14]], axis=1)
    both = gauss.log_likelihood(theta[:7], x[:7]) + gauss.log_likelihood(theta[:7], x[7:14])
    np.testing.assert_allclose(
        gauss.log_likelihood(theta[:7], trials, iid=True), both, rtol=1e-5, atol=1e-5
    )
    assert gauss.log_prob([[3.5, 0.0]], x[0]) == -np.inf


@pytest.mark.parametrize("n_trials", [1, 10])
def test_posteriors_and_modes_are_those_of_closed_form(n_trials: int) -> None:
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(4000, 2))
    nle = NLE(NORMAL, **QUICK).fit(theta, theta + NOISE * rng.normal(size=(4000, 2)))
    truth = np.array([[0.5, -0.3], [-1.0, 0.2], [0.0, 0.9]])
    x = truth[:, None] + NOISE * rng.normal(size=(3, n_trials, 2))
    precision = 1 + n_trials / NOISE**2
    mean, sd = x.sum(axis=1) / NOISE**2 / precision, precision**-0.5
    draws = nle.sample(x, 2000, iid=True, random_state=0)
    # A tenth of an error in log-likelihoods moves the mean by about a tenth of the deviation a
    # trial; errors of trials are partly the same.
    np.testing.assert_allclose(draws.mean(axis=1), mean, atol=0.35 * sd)
    np.testing.assert_allclose(draws.std(axis=1), sd, rtol=0.15)
    np.testing.assert_allclose(nle.map(x, iid=True), mean, atol=0.5 * sd)


@pytest.mark.slow
def test_posteriors_of_many_trials_hold_what_is_promised() -> None:
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(10_000, 2))
    nle = NLE(NORMAL, random_state=0).fit(theta, theta + NOISE * rng.normal(size=(10_000, 2)))
    for n_trials, bound in ((1, 0.55), (10, 0.62), (100, 0.70)):
        scores = []
        for truth in rng.normal(size=(2, 2)):
            x = truth + NOISE * rng.normal(size=(n_trials, 2))
            precision = 1 + n_trials / NOISE**2
            exact = x.sum(axis=0) / NOISE**2 / precision + precision**-0.5 * rng.normal(
                size=(2000, 2)
            )
            draws = nle.sample(x, 2000, iid=True, random_state=0)
            scores.append(c2st_score(draws, exact))
        assert np.mean(scores) <= bound


ONE = [stats.uniform(-2, 4)]
THETA = np.random.default_rng(3).uniform(-2, 2, (3000, 1))


def noise(seed: int, *more: int) -> Array:
    """Draw standard normal numbers, one for every theta."""
    return np.random.default_rng(seed).normal(size=(len(THETA), *more))


def mass(nle: NLE, grid: Array, at: float) -> float:
    """Integrate the density of one column at one theta."""
    q = np.exp(nle.log_likelihood(np.full((len(grid), 1), at), grid[:, None]))
    return float(trapezoid(q, grid))


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_a_lognormal_column_integrates_to_one_in_any_unit(unit: float) -> None:
    x = unit * np.exp(THETA + 0.5 * noise(0, 1))
    nle = NLE(ONE, **QUICK).fit(THETA, x)
    assert [one.kind for one in nle._x_space.maps_] == ["log"]
    for at in (-1.5, 0.3):
        grid = unit * np.exp(np.linspace(at - 6, at + 6, 8001))
        assert mass(nle, grid, at) == pytest.approx(1, abs=2e-3)
    log_q = nle.log_likelihood(THETA, x)
    exact = stats.lognorm.logpdf(x, 0.5, scale=unit * np.exp(THETA))[:, 0]
    # Over four seeds between 0.05 and 0.11.
    assert root_mean_square(log_q - exact) < 0.2


@pytest.mark.parametrize(
    "transformer",
    [
        pytest.param(StandardScaler(), marks=pytest.mark.slow),
        pytest.param(PowerTransformer(), marks=pytest.mark.slow),
        PCA(whiten=True),
        make_pipeline(PowerTransformer(), PCA()),
    ],
    ids=["standard", "power", "whitening", "pipeline"],
)
def test_behind_a_transformer_it_is_a_density_of_x_still(transformer: Any) -> None:
    x = np.exp(-0.5 * np.abs(THETA + noise(1, 1)))
    nle = NLE(ONE, x_transformer=transformer, **QUICK).fit(THETA, x)
    assert mass(nle, np.linspace(-1.5, 2.5, 16_001), 0.5) == pytest.approx(1, abs=0.01)
    emulated = nle.emulate([0.5], 2000, random_state=0)
    assert np.isfinite(emulated).all()
    two = np.hstack([x, THETA + 0.3 * x])
    turned = NLE(ONE, x_transformer=transformer, **QUICK).fit(THETA, two + 0.1 * noise(2, 2))
    plain = NLE(ONE, **QUICK).fit(THETA, two + 0.1 * noise(2, 2))
    test = two + 0.1 * noise(5, 2)
    # The same density in the same units; a forgotten determinant would be off by 1 or more.
    assert turned.score(THETA, test) == pytest.approx(plain.score(THETA, test), abs=0.1)


COUNTS = np.random.default_rng(4).poisson(np.exp(1.5 + 0.5 * THETA))


def test_probabilities_of_counts_add_up_and_are_those_of_the_simulator() -> None:
    nle = NLE(ONE, **QUICK).fit(THETA, COUNTS)
    assert nle._x_space.counts_.tolist() == [True]
    values = np.arange(80)
    for at in (-1.0, 0.0, 1.5):
        p = np.exp(nle.log_likelihood(np.full((80, 1), at), values[:, None]))
        exact = stats.poisson.pmf(values, np.exp(1.5 + 0.5 * at))
        assert p.sum() == pytest.approx(1, abs=0.03)
        # Half of the sum of differences is what a test could tell.
        assert np.abs(p - exact).sum() / 2 < 0.08


@pytest.mark.parametrize("as_bool", [False, True])
def test_probabilities_of_few_values_are_those_of_the_simulator(as_bool: bool) -> None:
    p_high = stats.norm.cdf(THETA[:, 0])
    high = np.random.default_rng(5).random(len(THETA)) < p_high
    x = high if as_bool else 0.1 * high - 7.3
    nle = NLE(ONE, **QUICK).fit(THETA, x)
    at = np.linspace(-1.9, 1.9, 39)[:, None]
    values = np.unique(x)
    p = np.exp([nle.log_likelihood(at, np.full(39, value)) for value in values])
    np.testing.assert_allclose(p.sum(axis=0), 1, atol=1e-3)
    # A logistic regression on 3,000 rows errs by 0.02.
    np.testing.assert_allclose(p[1], stats.norm.cdf(at[:, 0]), atol=0.08)


def test_mixed_columns_integrate_to_one() -> None:
    high = (THETA + noise(6, 1) > 0).astype(float)
    time = np.exp(0.3 * THETA - 0.5 * high + 0.3 * noise(7, 1))
    nle = NLE(ONE, **QUICK).fit(THETA, np.hstack([time, high]))
    assert nle._x_space.discrete_.tolist() == [False, True]
    grid = np.exp(np.linspace(-4, 4, 4001))
    total = 0.0
    for value, p in ((0.0, stats.norm.cdf(-0.4)), (1.0, stats.norm.cdf(0.4))):
        x = np.column_stack([grid, np.full(4001, value)])
        q = np.exp(nle.log_likelihood(np.full((4001, 1), 0.4), x))
        part = trapezoid(q, grid)
        assert part == pytest.approx(p, abs=0.06)
        total += part
    assert total == pytest.approx(1, abs=5e-3)


@pytest.mark.parametrize("kind", ["continuous", "counts", "mixed"])
def test_emulated_observations_are_like_simulated_ones(kind: str) -> None:
    def simulate(theta: Array, seed: int) -> Array:
        rng = np.random.default_rng(seed)
        e = rng.normal(size=(len(theta), 2))
        if kind == "continuous":
            return np.column_stack([theta[:, 0] + 0.5 * e[:, 0], np.exp(e[:, 0] + 0.5 * e[:, 1])])
        counts = rng.poisson(np.exp(2 + 0.5 * theta[:, 0]))
        if kind == "counts":
            return np.column_stack([counts, counts + rng.poisson(10, len(theta))])
        choice = theta[:, 0] + e[:, 0] > 0
        return np.column_stack([choice, np.exp(0.5 * choice + 0.3 * e[:, 1]), counts])

    nle = NLE(ONE, **QUICK | {"max_epochs": 12}).fit(THETA, simulate(THETA, 0))
    points = np.random.default_rng(9).uniform(-2, 2, (2000, 1))
    emulated = nle.emulate(points, 1, random_state=0)[:, 0]
    pairs = [np.hstack([points, x]) for x in (emulated, simulate(points, 1))]
    # Of 4,000 rows held out the standard error is 0.008.
    assert c2st_score(*pairs, classifier="boosting") < 0.55


def test_weights_make_it_the_density_of_the_weighted_rows() -> None:
    far = np.arange(len(THETA)) % 2 == 0
    x = THETA[:, 0] + 0.4 * noise(8) + 4.0 * far
    nle = NLE(ONE, **QUICK).fit(THETA, x, sample_weight=np.where(far, 0.25, 1.0))
    grid = np.linspace(-6, 12, 3601)
    q = np.exp(nle.log_likelihood(np.full((3601, 1), 0.5), grid))
    above = trapezoid(np.where(grid > 2.5, q, 0), grid)
    # 0.2 of the weight; 1,500 rows, and what a small network misses.
    assert above == pytest.approx(0.2, abs=0.04)
    zero = NLE(ONE, **QUICK).fit(THETA, x, sample_weight=np.where(far, 0.0, 1.0))
    without = NLE(ONE, **QUICK).fit(THETA[~far], x[~far])
    np.testing.assert_array_equal(zero.log_likelihood(THETA, x), without.log_likelihood(THETA, x))


def test_scores_weigh_rows(gauss: NLE) -> None:
    theta, x = gaussian(500, 4)
    weights = np.random.default_rng(0).uniform(0, 2, 500)
    expected = np.average(gauss.log_likelihood(theta, x), weights=weights)
    assert gauss.score(theta, x, sample_weight=weights) == pytest.approx(expected, rel=1e-5)


def test_without_a_prior_there_are_likelihoods_and_no_posterior() -> None:
    nle = NLE(**QUICK).fit(*gaussian(3000, 0))
    assert root_mean_square(error(nle)) < 0.25
    for ask in (nle.sample, nle.map, nle.summary):
        with pytest.raises(ValueError, match="needs the prior"):
            ask([0.0, 0.0])


def test_a_copy_gives_the_same_numbers(gauss: NLE) -> None:
    theta, x = gaussian(20, 3)
    copy = pickle.loads(pickle.dumps(gauss))
    np.testing.assert_array_equal(copy.log_likelihood(theta, x), gauss.log_likelihood(theta, x))
    np.testing.assert_array_equal(
        copy.emulate(theta, 3, random_state=0), gauss.emulate(theta, 3, random_state=0)
    )
    again = clone(gauss).fit(*gaussian(3000, 0))
    np.testing.assert_array_equal(again.log_likelihood(theta, x), gauss.log_likelihood(theta, x))
