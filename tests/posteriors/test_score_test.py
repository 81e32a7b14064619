"""
Likelihoods over many trials: a warning where scores move or misjudge the posterior, else none.

theta ~ N(0, 1)^D and x ~ N(theta, 1), or means and scales of their own, so that errors are known.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from sksbi.exceptions import TrainingWarning
from sksbi.posteriors.doubt import Doubt
from sksbi.posteriors.factor import FactorAt, Likelihood
from sksbi.posteriors.score_test import ScoreRecord, choose_pairs
from sksbi.posteriors.unnormalised import PriorTimes
from sksbi.priors import check_prior
from sksbi.samplers import MetropolisHastings

Array = NDArray[np.float64]
LogDensity = Callable[[Array, Array], Array]


class Known(Likelihood):
    """A likelihood as a function of theta and x."""

    n_units = 0  # type: ignore[assignment]

    def __init__(self, log_q: LogDensity, d: int = 1) -> None:
        self.log_q, self.n_units = log_q, d

    def units(self, theta: Array) -> Array:
        return theta

    def units_from_unbounded(self, z: Array) -> Array:
        return z

    def at(self, x: Array) -> FactorAt:
        return KnownAt(self.log_q, x)

    @property
    def is_density(self) -> bool:
        return True

    def draw(self, theta: Array, n: int, generator: np.random.Generator) -> Array:
        raise NotImplementedError


class KnownAt(FactorAt):
    """The same at fixed x."""

    def __init__(self, log_q: LogDensity, x: Array) -> None:
        self.log_q, self.x = log_q, x

    def __call__(self, u: Array, rows: NDArray[np.intp]) -> Array:
        return self.log_q(u, self.x[rows])

    def take(self, rows: NDArray[np.intp] | slice) -> FactorAt:
        return KnownAt(self.log_q, self.x[rows])


def located(shift: float = 0.0, sd: float = 1.0) -> LogDensity:
    """Give log N(x; theta + shift, sd^2)."""
    return lambda theta, x: stats.norm.logpdf(x, theta + shift, sd).sum(axis=1)


def fitted(
    log_q: LogDensity, d: int, seed: int, n: int = 4_000, n_learnt: float = 1e9
) -> PriorTimes:
    """Take prior times likelihood, and pairs of the location model, a tenth of them held out."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(n, d))
    likelihood = Known(log_q, d)
    record = ScoreRecord(likelihood, theta, rng.normal(theta, 1), n // 10, n_learnt)
    prior = check_prior([stats.norm()] * d)
    return PriorTimes(prior, likelihood, MetropolisHastings(), trials_record=record)


def doubts(posterior: PriorTimes, n_trials: int, sd: float = 1.0, center: float = 0.4) -> list:
    """Hold draws from about the posterior of so many trials against the record."""
    assert posterior.prior is not None
    d = posterior.prior.n_features
    rng = np.random.default_rng(n_trials)
    draws = rng.normal(center, sd / np.sqrt(n_trials + sd**2), (1, 1_000, d))
    at = posterior.at(np.zeros((1, n_trials, d)), trials=True)
    return list(at.doubts_of_draws(draws))


def told(doubt: Doubt, before: str) -> float:
    found = re.search(before + r"([0-9.e+]+)", doubt.text)
    assert found is not None
    return float(found[1])


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("n_trials", [2, 10, 100, 1_000, 10_000])
def test_an_exact_likelihood_is_not_blamed(d: int, n_trials: int) -> None:
    """The noise alone is sqrt(D T / 400) posterior sds for rows held out, eleven at the most."""
    for seed in range(10):
        assert doubts(fitted(located(), d, seed), n_trials) == []


def counts(theta: Array, x: Array) -> Array:
    return stats.poisson.logpmf(x, np.exp(1 + theta)).sum(axis=1)


def chosen_and_timed(theta: Array, x: Array) -> Array:
    """Give the log-density of a choice and a lognormal time."""
    choice, p = x[:, 0], 1 / (1 + np.exp(-theta[:, 0]))
    mean, sd = theta[:, 1] - 0.3 * choice, np.exp(theta[:, 2] / 2 - 1)
    time = stats.norm.logpdf(np.log(x[:, 1]), mean, sd) - np.log(x[:, 1])
    return np.log(np.where(choice == 1, p, 1 - p)) + time


@pytest.mark.parametrize("n_trials", [10, 1_000])
def test_exact_likelihoods_of_other_kinds_are_not_blamed(n_trials: int) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        theta = rng.normal(size=(2_000, 3))
        choice = rng.random(2_000) < 1 / (1 + np.exp(-theta[:, 0]))
        log_time = rng.normal(theta[:, 1] - 0.3 * choice, np.exp(theta[:, 2] / 2 - 1))
        mixed = np.column_stack([choice, np.exp(log_time)])
        for log_q, x, d in (
            (counts, rng.poisson(np.exp(1 + theta[:, :1])).astype(float), 1),
            (chosen_and_timed, mixed, 3),
        ):
            likelihood, prior = Known(log_q, d), check_prior([stats.norm()] * d)
            record = ScoreRecord(likelihood, theta[:, :d], x, 500, 1e9)
            posterior = PriorTimes(prior, likelihood, MetropolisHastings(), trials_record=record)
            assert doubts(posterior, n_trials, 0.5) == []


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize(("n_trials", "shift"), [(100, 0.3), (1_000, 0.2), (1_000, -0.3)])
def test_a_shift_is_told_by_no_more_than_is_true(d: int, n_trials: int, shift: float) -> None:
    """A shift of every mean moves the posterior by |shift| sqrt(D T) standard deviations."""
    true = abs(shift) * np.sqrt(d * n_trials)
    for seed in range(5):
        (doubt,) = doubts(fitted(located(shift), d, seed), n_trials)
        assert doubt.category is TrainingWarning
        assert doubt.rows.tolist() == [0]
        # 1,000 draws know their standard deviation to 1 / sqrt(2,000); two digits are told.
        assert 0.5 <= told(doubt, "off by ") <= true * (1 + 4 / 2_000**0.5 + 0.05)


def test_what_scales_with_theta_does_not_outvote_what_is_near() -> None:
    """x ~ N(theta_0, e^theta_1), and its mean is off by 0.2 of its own scale everywhere."""

    def log_q(theta: Array, x: Array) -> Array:
        sd = np.exp(theta[:, 1] / 2)
        return stats.norm.logpdf(x[:, 0], theta[:, 0] + 0.2 * sd, sd)

    prior, likelihood, n_trials = check_prior([stats.norm()] * 2), Known(log_q, 2), 1_000
    for seed in range(5):
        rng = np.random.default_rng(seed)
        theta = rng.normal(size=(4_000, 2))
        x = rng.normal(theta[:, :1], np.exp(theta[:, 1:] / 2))
        record = ScoreRecord(likelihood, theta, x, 400, 1e9)
        posterior = PriorTimes(prior, likelihood, MetropolisHastings(), trials_record=record)
        draws = rng.normal(0, np.array([1, 2**0.5]) / n_trials**0.5, (1, 1_000, 2))
        (doubt,) = posterior.at(np.zeros((1, n_trials, 1)), trials=True).doubts_of_draws(draws)
        assert 2 <= told(doubt, "off by ") <= 1.2 * 0.2 * n_trials**0.5


@pytest.mark.parametrize(("sd", "word"), [(0.5, "narrow"), (2.0, "wide")])
@pytest.mark.parametrize("d", [1, 3])
def test_a_wrong_width_is_told(d: int, sd: float, word: str) -> None:
    """A likelihood of half the standard deviation leaves posteriors half as wide."""
    for seed in range(5):
        (doubt,) = doubts(fitted(located(0, sd), d, seed), 50, sd)
        assert f"too {word} by" in doubt.text
        assert 1.4 <= told(doubt, "a factor of ") <= 2.05


def test_more_trials_than_simulations_answer_for_are_told() -> None:
    """Two parameters at 1,000 pairs: twice sqrt(2 T / 1,000) standard deviations."""
    few = fitted(located(), 2, 0, n_learnt=1_000.0)
    assert doubts(few, 20) == []
    (doubt,) = doubts(few, 100)
    assert "many for what was learnt from 1000 simulations" in doubt.text
    # A 101st of the variance is the prior's, and the centre is at 0.4 of its standard deviations.
    expected = 2 * np.sqrt(2 * 100 / 101 * 100 / 1_000) * np.exp(0.4**2 / 4)
    assert told(doubt, "off by ") == pytest.approx(expected, abs=0.03)
    # Where a shift was found none is expected.
    shifted = doubts(fitted(located(0.5), 2, 0, n_learnt=1_000.0), 500)
    assert ["score does not average" in doubt.text for doubt in shifted] == [True]


def test_a_shift_elsewhere_is_not_blamed_here() -> None:
    def log_q(theta: Array, x: Array) -> Array:
        return located()(theta + np.maximum(theta - 1, 0), x)

    bent = fitted(log_q, 1, 0)
    assert doubts(bent, 1_000, center=-1.0) == []
    assert len(doubts(bent, 1_000, center=1.8)) == 1


def test_pooled_likelihoods_are_looked_at_together() -> None:
    """The mean of densities shifted by 0.3 and -0.3 is centred; twice 0.3 is not."""
    for other, word in ((-0.3, None), (0.3, "off by")):
        pooled = fitted(located(0.3), 1, 0).pooled([fitted(located(other), 1, 1)])
        found = doubts(pooled, 400)
        assert [word in doubt.text for doubt in found] == ([] if word is None else [True])
    record = pooled.trials_record
    assert isinstance(record, ScoreRecord)
    assert (len(record.theta), record.n_held_out) == (8_000, 800)


def test_pairs_that_fits_share_count_once() -> None:
    """As in an ensemble, where others hold out other pairs; twice, noise would seem less."""
    one = fitted(located(), 1, 0)
    record = one.trials_record
    assert isinstance(record, ScoreRecord)
    rows = np.roll(np.arange(4_000), 400)
    other = ScoreRecord(one.factor, record.theta[rows], record.x[rows], 400, 4_000.0)
    pooled = record.pooled([other])
    assert (len(pooled.theta), pooled.n_held_out) == (4_000, 800)
    assert len(np.unique(pooled.theta)) == 4_000
    assert np.isin(pooled.theta[:800], [record.theta[:400], record.theta[-400:]]).all()
    assert pooled.n_learnt == 1e9


def test_pairs_are_chosen_by_weight_those_held_out_first() -> None:
    weight = np.where(np.arange(40_000) < 20_000, 0.5, 1.5)
    held_out = np.arange(40_000) % 10 == 0
    rows, n_held_out = choose_pairs(3, weight, held_out)
    assert len(np.unique(rows)) == len(rows) == 10_000
    assert held_out[rows[:n_held_out]].all()
    assert not held_out[rows[n_held_out:]].any()
    # Two thirds of 4,000 are taken, those of weight 1.5 all and the others by a third.
    assert n_held_out == pytest.approx(4_000 * 2 / 3, abs=4 * 22)
    # A quarter of the weight; a share of 10,000 rows has the standard error 0.0043.
    assert (rows < 20_000).mean() == pytest.approx(0.25, abs=4 * 0.0044)
    assert len(choose_pairs(10_000, weight, held_out)[0]) == 100


def test_a_posterior_of_four_peaks_is_not_judged_by_its_middle() -> None:
    """x ~ N(theta_0, theta_1^4) twice, known badly where theta_1 is small, but no peak is there."""
    rng = np.random.default_rng(0)
    theta = rng.uniform(-3, 3, size=(10_000, 4))
    x = rng.normal(theta[:, :2], theta[:, 2:] ** 2)

    def log_q(theta: Array, x: Array) -> Array:
        sd = np.hypot(theta[:, 2:] ** 2, 0.3)
        return stats.norm.logpdf(x, theta[:, :2], sd).sum(axis=1)

    record = ScoreRecord(Known(log_q, 4), theta, x, 1_000, 1e9)
    prior = check_prior([stats.uniform(-3, 6)] * 4)
    posterior = PriorTimes(prior, Known(log_q, 4), MetropolisHastings(), trials_record=record)
    center = np.array([0.5, 0.5, 1.2, 1.2])
    draws = center + np.array([0.7, 0.7, 0.2, 0.2]) * rng.normal(size=(1, 1_000, 4))
    draws[..., 2:] *= np.sign(rng.normal(size=(1, 1_000, 2)))
    draws = np.clip(draws, -2.99, 2.99)
    assert posterior.at(np.ones((1, 4, 2)), trials=True).doubts_of_draws(draws) == []
