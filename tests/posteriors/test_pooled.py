r"""
Pooled posteriors: what draws come from is what log_prob says, for every family.

theta ~ N(0, 1) in the prior, and members are wrong in ways that are known: normal densities with
means of their own, or ratios exp(a x theta - b theta^2) with factors of their own, which a pooling
of draws, or of normalised densities, would not see.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import trapezoid

from sksbi.posteriors.base import Draws, Posterior, PosteriorAt
from sksbi.posteriors.doubt import Doubt
from sksbi.posteriors.factor import FactorAt, Likelihood, MeanLikelihood, MeanRatio
from sksbi.posteriors.mixture import Mixture, Normalised, NormalisedAt
from sksbi.posteriors.ratios import PairwiseRatio
from sksbi.posteriors.unnormalised import PriorTimes
from sksbi.priors import check_prior
from sksbi.samplers import MetropolisHastings

Array = NDArray[np.float64]

PRIOR = check_prior([stats.norm()])
GRID = np.linspace(-6, 6, 4_001)


class Normal(Normalised):
    """The normal distribution with mean x + shift, unit variance."""

    prior = PRIOR

    def __init__(self, shift: float) -> None:
        self.shift = shift

    def _at(self, x: Array) -> NormalAt:
        return NormalAt(x[:, 0] + self.shift)


class NormalAt(NormalisedAt):
    """The same at some observations."""

    def __init__(self, mean: Array) -> None:
        super().__init__(PRIOR, len(mean))
        self.mean = mean

    def take(self, rows: NDArray[np.intp] | slice) -> NormalAt:
        return NormalAt(self.mean[rows])

    def _draw(self, n: int, generator: np.random.Generator, *, log_prob: bool) -> Draws:
        return Draws((self.mean[:, None] + generator.normal(size=(len(self.mean), n)))[..., None])

    def _log_prob(self, theta: Array, rows: NDArray[np.intp]) -> Array:
        return stats.norm.logpdf(theta[:, 0], self.mean[rows])


class Ratio:
    """A log-ratio with a slope, a curvature, and a constant of its own."""

    def __init__(self, slope: float, curvature: float, constant: float) -> None:
        self.slope, self.curvature, self.constant = slope, curvature, constant

    def __call__(self, theta: Array, x: Array) -> Array:
        t = theta[:, 0]
        return self.slope * x[:, 0] * t - self.curvature * t**2 + self.constant


RATIOS = [Ratio(1.0, 0.5, 0.0), Ratio(0.6, 0.3, 0.3), Ratio(1.2, 0.4, -0.2)]


def prior_times(ratio: Ratio) -> PriorTimes:
    """Multiply by the prior."""
    factor = PairwiseRatio(ratio, PRIOR, np.array([-50.0]), np.array([50.0]))
    return PriorTimes(PRIOR, factor, MetropolisHastings())


def pooled(members: list[Posterior]) -> Posterior:
    """Pool them."""
    return members[0].pooled(members[1:])


def ratio_at_trials(x: Array) -> PosteriorAt:
    """Fix one observation of several trials."""
    return pooled([prior_times(ratio) for ratio in RATIOS]).at(x[None], trials=True)


CASES = {
    "densities": lambda: pooled([Normal(-1.0), Normal(0.5)]).at(np.array([[0.3]])),
    "one density": lambda: pooled([Normal(-1.0)]).at(np.array([[0.3]])),
    "ratios, one trial": lambda: ratio_at_trials(np.array([[0.7]])),
    "ratios, five trials": lambda: ratio_at_trials(np.linspace(-0.5, 1.5, 5)[:, None]),
    "ratios, 50 trials": lambda: ratio_at_trials(np.linspace(-1, 2, 50)[:, None]),
    "one ratio": lambda: pooled([prior_times(RATIOS[0])]).at(np.array([[0.7]])),
    "pooled twice": lambda: pooled(
        [pooled([prior_times(r) for r in RATIOS[:2]]), pooled([prior_times(r) for r in RATIOS[1:]])]
    ).at(np.array([[0.7]])),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_draws_come_from_what_log_prob_says(case: object) -> None:
    """Kolmogorov's distance of 5,000 draws is below 1.95 / sqrt(worth) with probability 0.999."""
    posterior, n = case(), 5_000
    log_p = posterior.log_prob(GRID[:, None], np.zeros(len(GRID), dtype=np.int64))
    cdf = np.cumsum(np.exp(log_p - log_p.max()))
    draws = posterior.sample(n, np.random.default_rng(0))
    worth = n if draws.statistics is None else float(draws.statistics.ess.min())
    assert worth > n / 5
    places = np.searchsorted(GRID, np.sort(draws.theta[0, :, 0]))
    distance = np.abs(cdf[places.clip(max=len(GRID) - 1)] / cdf[-1] - (np.arange(n) + 0.5) / n)
    assert distance.max() < 1.95 / np.sqrt(worth) + 1e-3


@pytest.mark.parametrize("shifts", [[0.0], [-1.0, 0.5], [-1.0, 0.0, 2.0]])
def test_a_mixture_of_densities_integrates_to_one(shifts: list[float]) -> None:
    posterior = pooled([Normal(shift) for shift in shifts])
    assert isinstance(posterior, Mixture)
    log_p = posterior.at(np.array([[0.0]])).log_prob(GRID[:, None], np.zeros(len(GRID), dtype=int))
    assert trapezoid(np.exp(log_p), GRID) == pytest.approx(1, abs=1e-4)


def test_the_mean_ratio_is_taken_trial_by_trial() -> None:
    trials, theta = np.array([[0.2], [1.0], [-0.4]]), np.array([[-1.0], [0.0], [2.0]])
    posterior = ratio_at_trials(trials)
    each = [[np.exp(r(theta, np.repeat([t], 3, axis=0))) for t in trials] for r in RATIOS]
    expected = np.log(np.mean(each, axis=0)).sum(axis=0)
    np.testing.assert_allclose(posterior.log_factor(theta, np.zeros(3, dtype=int)), expected)
    log_p = posterior.log_prob(theta, np.zeros(3, dtype=int))
    np.testing.assert_allclose(log_p, expected + stats.norm.logpdf(theta[:, 0]))


def test_some_observations_of_several_trials_are_as_they_were() -> None:
    x = np.random.default_rng(0).normal(size=(4, 3, 1))
    posterior = pooled([prior_times(ratio) for ratio in RATIOS]).at(x, trials=True)
    theta = np.full((2, 1), 0.5)
    expected = posterior.log_prob(theta, np.array([3, 1]))
    some = posterior.take(np.array([3, 1])).log_prob(theta, np.arange(2))
    np.testing.assert_array_equal(some, expected)
    last = posterior.take(slice(1, 4)).log_prob(theta, np.array([2, 0]))
    np.testing.assert_array_equal(last, expected)


def test_ratios_are_pooled_as_ratios() -> None:
    factor = pooled([prior_times(ratio) for ratio in RATIOS]).factor
    assert isinstance(factor, MeanRatio)
    theta = np.random.default_rng(0).normal(size=(500, 1))
    x = theta + np.random.default_rng(1).normal(size=(500, 1))
    alone = [prior_times(ratio).score(theta, x, np.ones(500)) for ratio in RATIOS]
    assert min(alone) < factor.score(theta, x[:, None], np.ones(500)) < 0


def test_trials_are_taken_by_slices() -> None:
    posterior = ratio_at_trials(np.zeros((3, 1)))
    theta, row = np.ones((1, 1)), np.zeros(1, dtype=int)
    whole = posterior.take(slice(None)).log_prob(theta, row)
    np.testing.assert_array_equal(whole, posterior.log_prob(theta, row))


class Sharp:
    """The ratio of x ~ N(theta, sd^2), up to a factor, for several parameters."""

    def __init__(self, sd: float) -> None:
        self.sd = sd

    def __call__(self, theta: Array, x: Array) -> Array:
        return -0.5 * ((x - theta) ** 2).sum(axis=1) / self.sd**2


@pytest.mark.parametrize(
    ("d", "sd", "trials"), [(1, 1e-4, 1), (4, 0.05, 1), (6, 0.05, 1), (2, 0.1, 200), (2, 1.0, 1)]
)
def test_the_mode_is_found_however_narrow_the_posterior(d: int, sd: float, trials: int) -> None:
    """Known: the mean of the trials, drawn to the prior by 1 / (1 + sd^2 / T)."""
    prior = check_prior([stats.norm()] * d)
    factor = PairwiseRatio(Sharp(sd), prior, np.full(d, -50.0), np.full(d, 50.0))
    x = np.random.default_rng(0).normal(0.7, sd, size=(2, trials, d))
    posterior = PriorTimes(prior, factor, MetropolisHastings()).at(x, trials=True)
    width = sd / np.sqrt(trials)
    exact = x.mean(axis=1) / (1 + width**2)
    modes = posterior.modes(np.random.default_rng(1))
    assert np.abs(modes - exact).max() < 0.02 * min(width, 1)


class Doubtful(Normal):
    """A member that doubts some observations, for reasons of its own."""

    def __init__(self, *doubts: Doubt) -> None:
        super().__init__(0.0)
        self.found = doubts

    def _at(self, x: Array) -> NormalAt:
        at = super()._at(x)
        at.record = self  # type: ignore[assignment]
        return at

    def doubts(self, _: PosteriorAt) -> Sequence[Doubt]:
        return self.found


def test_a_mixture_passes_on_the_doubts_of_its_members_once_a_kind() -> None:
    few = Doubt(UserWarning, "few, {who}.", np.array([3]), 9)
    many = Doubt(UserWarning, "many, {who}.", np.array([0, 1]), 9, 1)
    other = Doubt(RuntimeWarning, "other, {who}.", np.array([7]), 9)
    members = [Doubtful(few), Doubtful(many, other), Doubtful()]
    first, second = Mixture(members).at(np.zeros((9, 1))).doubts()
    assert first.rows.tolist() == [0, 1, 3]
    assert first.text == "many, {who}. So found 2 of the 3 fits that are mixed."
    assert (first.category, first.n_seen, first.parameter) == (UserWarning, 9, 1)
    assert second.rows.tolist() == [7]
    assert second.text.endswith("So found 1 of the 3 fits that are mixed.")


def test_a_mixture_of_one_says_what_its_member_says() -> None:
    doubt = Doubt(UserWarning, "few, {who}.", np.array([3]), 9)
    (passed_on,) = Mixture([Doubtful(doubt)]).at(np.zeros((9, 1))).doubts()
    assert passed_on.text == doubt.text
    assert not Mixture([Doubtful(), Doubtful()]).at(np.zeros((9, 1))).doubts()


class Constant(Likelihood):
    """A simulator that fails with some probability, and else gives always the same."""

    is_density = False
    n_units = 1

    def __init__(self, value: float, mass: float) -> None:
        self.value, self.mass = value, mass

    def units(self, theta: Array) -> Array:
        return theta

    units_from_unbounded = units

    def at(self, x: Array) -> FactorAt:
        raise NotImplementedError

    def draw(self, theta: Array, n: int, generator: np.random.Generator) -> Array:
        return theta[:, None] * 10 + np.full((len(theta), n, 1), self.value)

    def log_mass(self, theta: Array) -> Array:
        return np.full(len(theta), np.log(self.mass))


def test_a_mean_of_likelihoods_draws_from_members_as_often_as_they_succeed() -> None:
    """Of masses .9, .3 and .3 the first has .6 of the draws; each theta keeps its own."""
    mean = MeanLikelihood([Constant(0, 0.9), Constant(1, 0.3), Constant(2, 0.3)])
    np.testing.assert_allclose(mean.log_mass(np.zeros((2, 1))), np.log(0.5))
    assert not mean.is_density
    n = 20_000
    x = mean.draw(np.array([[0.0], [1.0]]), n, np.random.default_rng(0))[..., 0]
    assert x.shape == (2, n)
    for row, start in zip(x, (0, 10), strict=True):
        shares = [(row == start + k).mean() for k in range(3)]
        np.testing.assert_allclose(shares, [0.6, 0.2, 0.2], atol=4 * 0.5 / np.sqrt(n))
