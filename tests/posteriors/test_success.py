"""The probability of success: learnt at any kind of boundary, and once for every trial."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from sksbi.data import Pairs
from sksbi.posteriors.factor import FactorAt, Likelihood, MeanRatio
from sksbi.posteriors.ratios import PairwiseRatio
from sksbi.posteriors.success import (
    LikelihoodTimesSuccess,
    RatioTimesSuccess,
    Success,
    learn_success,
)
from sksbi.priors import check_prior
from sksbi.utils.types import Array, Rows

UNIFORM = check_prior([stats.uniform(0, 1)] * 3)


def learnt(probability: Callable[[Array], Array], n: int, seed: int = 0) -> Success:
    """Learn from n simulations that succeed with a probability; their results do not matter."""
    rng = np.random.default_rng(seed)
    theta = UNIFORM.sample(n, rng)
    x = np.where(rng.random(n) < probability(theta), 1.0, np.nan)
    return learn_success(Pairs.of_positive_weight(theta, x, np.ones(n)), UNIFORM, rng)


def divergence(success: Success, probability: Callable[[Array], Array]) -> float:
    """Compute KL(p(theta | success), what was learnt) by draws of the prior."""
    theta = UNIFORM.sample(20_000, np.random.default_rng(99))
    exact = probability(theta)
    log_ratio = success.log_ratio(theta)
    weights = exact / exact.sum()
    log_exact = np.log(exact / exact.mean())
    return float(weights @ (log_exact - log_ratio) + np.log(np.exp(log_ratio).mean()))


# The probability, and how far the learnt p(theta | success) may be from the exact one in nats; 0.4,
# 1.2, 0.2, 0, 0.003 and 0.2 without what is learnt here.
KINDS: dict[str, tuple[Callable[[Array], Array], float]] = {
    "a jump": (lambda t: np.where(t[:, 0] < 0.5, 0.1, 1.0), 0.03),
    "a wall": (lambda t: np.where(t[:, 0] < 0.7, 1e-3, 1.0), 0.03),
    "smooth": (lambda t: expit(6 * (t[:, 0] - t[:, 1])), 0.01),
    "no dependence": (lambda t: np.full(len(t), 0.3), 0.003),
    "rare": (lambda t: np.where(t[:, 0] > 0.98, 0.5, 1.0), 0.003),
    "an interaction": (lambda t: np.where((t[:, 0] - 0.5) * (t[:, 2] - 0.5) > 0, 0.9, 0.2), 0.05),
}
SLOW = ("a wall", "no dependence", "rare")


@pytest.mark.parametrize(
    ("probability", "most"),
    [
        pytest.param(*KINDS[name], id=name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name in KINDS
    ],
)
def test_the_probability_is_learnt(probability: Callable[[Array], Array], most: float) -> None:
    assert -1e-3 < divergence(learnt(probability, 2000), probability) < most


@pytest.mark.slow
def test_a_correlated_prior_without_bounds() -> None:
    covariance = np.array([[1.0, 0.8, 0.0], [0.8, 1.0, -0.3], [0.0, -0.3, 1.0]])
    prior = check_prior(stats.multivariate_normal(np.zeros(3), covariance))
    rng, slope = np.random.default_rng(0), np.array([1.0, 0.5, -1.0])
    theta = prior.sample(3000, rng)
    x = np.where(rng.random(3000) < stats.norm.cdf(theta @ slope), 1.0, np.nan)
    pairs = Pairs.of_positive_weight(theta, x, np.ones(3000))
    for given in (prior, None):
        success = learn_success(pairs, given, np.random.default_rng(0))
        fresh = prior.sample(20_000, np.random.default_rng(1))
        weight = np.exp(success.log_ratio(fresh))
        # E(theta | theta @ slope + noise > 0); 1,500 successes: a standard error of 0.02
        along = covariance @ slope
        exact = along * np.sqrt(2 / np.pi) / np.sqrt(1 + slope @ along)
        np.testing.assert_allclose(np.average(fresh, axis=0, weights=weight), exact, atol=0.1)


def test_weights_count() -> None:
    rng = np.random.default_rng(0)
    theta = UNIFORM.sample(2000, rng)
    failed = rng.random(2000) < 0.5
    weight = np.where(failed, np.where(theta[:, 0] < 0.5, 9.0, 1.0), 1.0)
    x = np.where(failed, np.nan, 1.0)
    pairs = Pairs.of_positive_weight(theta, x, weight / weight.mean())
    ratio = np.exp(learn_success(pairs, UNIFORM, rng).log_ratio(theta))
    below = theta[:, 0] < 0.5
    # 1/2 above and 1/10 below, against 1/2 everywhere without the weights. Above lies little of the
    # weight, 330 rows' worth of 2,000, and an average of classifiers shrinks towards the mean
    contrast = np.log(ratio[~below].mean() / ratio[below].mean())
    assert contrast == pytest.approx(np.log(5), abs=0.45)


@pytest.mark.parametrize("n_failed", [1, 2, 398])
def test_very_few_of_one_kind(n_failed: int) -> None:
    rng = np.random.default_rng(0)
    theta = UNIFORM.sample(400, rng)
    x = np.where(np.arange(400) < n_failed, np.nan, 1.0)
    success = learn_success(Pairs.of_positive_weight(theta, x, np.ones(400)), UNIFORM, rng)
    log_ratio = success.log_ratio(theta)
    assert np.isfinite(log_ratio).all()
    if n_failed == 1:
        np.testing.assert_array_equal(log_ratio, 0)


def gaussian_ratio(offset: float) -> PairwiseRatio:
    """Give a ratio of x ~ N(theta_0, 1), up to a factor."""
    ends = np.full(3, -9.0), np.full(3, 9.0)
    return PairwiseRatio(lambda t, x: offset - (x - t[:, 0]) ** 2 / 2, UNIFORM, *ends)


def test_it_counts_once_for_every_trial_and_in_every_member_of_a_mean() -> None:
    success = learnt(KINDS["a jump"][0], 1000)
    plain, times = gaussian_ratio(0.0), RatioTimesSuccess(gaussian_ratio(0.5), success)
    theta, x = UNIFORM.sample(5, np.random.default_rng(1)), np.array([0.1, 2.0, -1.0])
    rows = np.array([0, 1, 2, 2, 0])
    one = plain.at(x)(plain.units(theta), rows)
    both = times.at(x)(times.units(theta), rows)
    np.testing.assert_allclose(both, one + 0.5 + success.log_ratio(theta), rtol=1e-12)
    z = UNIFORM.to_unbounded(theta)
    np.testing.assert_allclose(times.units_from_unbounded(z), times.units(theta), rtol=1e-9)
    mean = MeanRatio([plain, times])  # a member without failures has nothing to add
    pooled = mean.at(x).take(np.array([0, 1, 2]))(mean.units(theta), rows)
    np.testing.assert_allclose(pooled, np.logaddexp(one, both) - np.log(2), rtol=1e-12)


class Located(Likelihood):
    """x ~ N(theta_0, 1)."""

    n_units = 3
    is_density = True

    def units(self, theta: Array) -> Array:
        return theta

    def units_from_unbounded(self, z: Array) -> Array:
        return UNIFORM.from_unbounded(z)

    def at(self, x: Array) -> FactorAt:
        return LocatedAt(x)

    def draw(self, theta: Array, n: int, generator: np.random.Generator) -> Array:
        raise NotImplementedError


class LocatedAt(FactorAt):
    """The same at fixed x."""

    def __init__(self, x: Array) -> None:
        self.x = x

    def __call__(self, u: Array, rows: Rows) -> Array:
        return stats.norm.logpdf(self.x[rows, 0], u[:, 0])

    def take(self, rows: Rows | slice) -> FactorAt:
        return LocatedAt(self.x[rows])


@pytest.mark.parametrize("n_trials", [1, 3])
def test_the_score_of_a_likelihood_counts_failures_too(n_trials: int) -> None:
    """So a probability of success that is too high, or too low, does not score better."""
    rng = np.random.default_rng(0)
    theta, probability = UNIFORM.sample(2_000, rng), np.full(2_000, 0.6)
    x = rng.normal(theta[:, [0]], 1, size=(2_000, n_trials))[..., None]
    failed = rng.random(2_000) > probability
    x[failed] = np.nan

    def score(mean: float) -> float:
        space = learnt(lambda t: np.full(len(t), 0.6), 100).space
        success = Success(space, np.full(3, -9.0), np.full(3, 9.0), mean, [], np.ones(1))
        factor = LikelihoodTimesSuccess(Located(), success, n_trials)
        return factor.score(theta, x, np.ones(2_000))

    log_q = stats.norm.logpdf(x[..., 0], theta[:, [0]]).sum(axis=1)
    for mean in (0.4, 0.6, 0.8):
        expected = np.where(failed, np.log(1 - mean), log_q + np.log(mean)).mean()
        assert score(mean) == pytest.approx(expected, rel=1e-9)
    assert score(0.6) > max(score(0.4), score(0.8))


def test_failures_that_were_not_learnt_are_left_out_of_the_score() -> None:
    rng = np.random.default_rng(0)
    theta = UNIFORM.sample(50, rng)
    x = rng.normal(theta[:, [0]], 1)[:, None]
    exact = stats.norm.logpdf(x[10:, 0, 0], theta[10:, 0]).mean()
    x[:10] = np.nan
    assert Located().score(theta, x, np.ones(50)) == pytest.approx(exact, rel=1e-12)
