"""
Ratios over many trials: a warning where T log Z moves the posterior, and none for exact ratios.

theta ~ N(0, 1) and x ~ N(theta, s^2), so that the ratio is known, and the posterior given T trials.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from sksbi.exceptions import TrainingWarning
from sksbi.posteriors.normaliser import NormaliserRecord, keep_rows
from sksbi.posteriors.ratios import PairwiseRatio
from sksbi.posteriors.unnormalised import PriorTimes
from sksbi.priors import check_prior
from sksbi.samplers import ImportanceResampling, MetropolisHastings

Array = NDArray[np.float64]
PRIOR = check_prior([stats.norm()])


def exact(sd: float) -> Callable[[Array, Array], Array]:
    """Give log p(x | theta) - log p(x)."""

    def log_ratio(theta: Array, x: Array) -> Array:
        whole = np.hypot(1, sd)
        return stats.norm.logpdf(x[:, 0], theta[:, 0], sd) - stats.norm.logpdf(x[:, 0], 0, whole)

    return log_ratio


def posterior(log_ratio: Callable[[Array, Array], Array], rows: Array) -> PriorTimes:
    """Take prior times ratio, with rows of x that the ratio has not seen."""
    ratio = PairwiseRatio(log_ratio, PRIOR, np.full(1, -np.inf), np.full(1, np.inf))
    sampler = MetropolisHastings()
    return PriorTimes(PRIOR, ratio, sampler, trials_record=NormaliserRecord(ratio, rows))


def held_out(sd: float, seed: int, n: int = 1_000) -> Array:
    return np.random.default_rng(seed).normal(0, np.hypot(1, sd), (n, 1))


def drawn(trials: Array, sd: float, shift: float, seed: int) -> Array:
    """Draw from the exact posterior of the trials, whose log-ratio gained shift theta each."""
    variance = 1 / (1 + len(trials) / sd**2)
    mean = variance * (trials.sum() / sd**2 + len(trials) * shift)
    noise = np.random.default_rng(seed).normal(size=(1, 1_000, 1))
    return np.asarray(mean + np.sqrt(variance) * noise, dtype=np.float64)


@pytest.mark.parametrize("sd", [1.0, 0.3])
@pytest.mark.parametrize("n_trials", [2, 10, 100, 1_000, 10_000])
def test_an_exact_ratio_is_not_blamed(sd: float, n_trials: int) -> None:
    """The noise of T log Z alone is sqrt(T / 1,000) posterior sds, three of them at the most T."""
    for seed in range(20):
        rng = np.random.default_rng([seed, n_trials])
        trials = rng.normal(rng.normal(), sd, n_trials)
        at = posterior(exact(sd), held_out(sd, seed)).at(trials[None, :, None], trials=True)
        assert list(at.doubts_of_draws(drawn(trials, sd, 0.0, seed))) == []


@pytest.mark.parametrize(("n_trials", "shift"), [(100, 0.3), (1_000, 0.3), (400, -0.3)])
def test_a_tilted_ratio_is_blamed_by_no_more_than_is_true(n_trials: int, shift: float) -> None:
    """
    exp(shift theta) in each ratio makes log Z = shift theta.

    It moves the mean by T shift / (1 + T), which is T |shift| / sqrt(1 + T) standard deviations,
    and the bound is below that but for one in a thousand.
    """
    moved = n_trials * abs(shift) / np.sqrt(1 + n_trials)
    for seed in range(5):
        trials = np.random.default_rng(seed).normal(0.3, 1, n_trials)
        fitted = posterior(
            lambda theta, x: exact(1.0)(theta, x) + shift * theta[:, 0], held_out(1.0, seed)
        )
        at = fitted.at(trials[None, :, None], trials=True)
        (doubt,) = at.doubts_of_draws(drawn(trials, 1.0, shift, seed))
        assert doubt.category is TrainingWarning
        assert doubt.rows.tolist() == [0]
        told = float(doubt.text.split("off by ")[1].split()[0])
        # The spread of 40 draws is known to 1 / sqrt(80), a ninth.
        assert 0.5 <= told <= moved * (1 + 3 / 9)


def test_one_trial_is_not_looked_at() -> None:
    fitted = posterior(lambda theta, x: 9 * theta[:, 0], held_out(1.0, 0))
    assert fitted.at(np.zeros((1, 1))).doubts_of_draws(np.zeros((1, 50, 1))) == ()


def test_a_spike_on_a_step_is_seen_from_afar() -> None:
    """A ratio in steps of 0.05 changes nowhere within one, but its steps are wrong by 0.2 each."""

    def steps(theta: Array, x: Array) -> Array:
        return exact(1.0)(np.floor(theta / 0.05) * 0.05, x) + 0.2 * (
            np.floor(theta[:, 0] / 0.05) % 2
        )

    trials = np.random.default_rng(0).normal(0.3, 1, 1_000)
    at = posterior(steps, held_out(1.0, 1)).at(trials[None, :, None], trials=True)
    spike = np.random.default_rng(0).uniform(0.305, 0.345, (1, 500, 1))
    assert len(at.doubts_of_draws(spike)) == 1


def test_observations_are_named_each_by_itself() -> None:
    """log Z rises beyond 0.5 only, where the second observation is."""

    def bent(theta: Array, x: Array) -> Array:
        return exact(1.0)(theta, x) + 0.6 * np.maximum(theta[:, 0] - 0.5, 0)

    rng = np.random.default_rng(0)
    trials = np.stack([rng.normal(-1.0, 1, 400), rng.normal(1.0, 1, 400)])
    at = posterior(bent, held_out(1.0, 2)).at(trials[..., None], trials=True)
    draws = np.stack([rng.normal(-1, 0.05, (100, 1)), rng.normal(1.5, 0.05, (100, 1))])
    (doubt,) = at.doubts_of_draws(draws)
    assert (doubt.rows.tolist(), doubt.n_seen) == ([1], 2)
    assert list(at.doubts_of_draws([draws[0], draws[1, :0]])) == []


def test_modes_and_densities_are_doubted_as_draws_are() -> None:
    trials = np.random.default_rng(0).normal(0.3, 1, (1, 100, 1))
    grid = np.linspace(-3, 3, 1_001)[:, None]
    for shift, n_doubts in ((0.0, 0), (0.4, 1)):
        fitted = posterior(
            lambda theta, x, s=shift: exact(1.0)(theta, x) + s * theta[:, 0], held_out(1.0, 3)
        )
        at = fitted.at(trials, trials=True)
        rows = np.zeros(len(grid), dtype=np.intp)
        log_p = at.log_prob(grid, rows)
        assert len(at.doubts_of_points(grid, rows, log_p)) == n_doubts
        assert len(at.doubts_of_mode(np.random.default_rng(0))) == n_doubts


def test_pooled_ratios_are_looked_at_together() -> None:
    """Tilts of 0.3 and -0.3 make Z = cosh(0.3 theta), which is flat at 0; twice 0.3 is not."""
    trials = np.random.default_rng(0).normal(0, 1, (1, 100, 1))
    draws = drawn(trials[0, :, 0], 1.0, 0.0, 0)

    def tilted(shift: float) -> PriorTimes:
        return posterior(
            lambda theta, x: exact(1.0)(theta, x) + shift * theta[:, 0], held_out(1.0, 4)
        )

    for other, n_doubts in ((-0.3, 0), (0.3, 1)):
        at = tilted(0.3).pooled([tilted(other)]).at(trials, trials=True)
        assert len(at.doubts_of_draws(draws)) == n_doubts


def test_rows_are_kept_by_weight_and_few() -> None:
    x = np.arange(20_000.0)[:, None]
    weight = np.where(x[:, 0] < 10_000, 0.5, 1.5)
    kept = keep_rows(x, weight)
    assert kept.shape == (1_000, 1)
    # A quarter of the weight; a share of 1,000 rows has the standard error 0.014.
    assert (kept < 10_000).mean() == pytest.approx(0.25, abs=4 * 0.014)
    assert keep_rows(np.zeros((500, 64, 64))).shape == (244, 64, 64)


@pytest.mark.parametrize("n_trials", [10, 100, 1_000])
def test_contracting_candidates_draw_from_the_exact_posterior(n_trials: int) -> None:
    """With at most 4,000 evaluations a trial, where candidates from the prior took 20,000."""
    trials = np.random.default_rng(n_trials).normal(0.3, 1, n_trials)
    n_evaluations = 0

    def counted(theta: Array, x: Array) -> Array:
        nonlocal n_evaluations
        n_evaluations += len(theta)
        return exact(1.0)(theta, x)

    fitted = posterior(counted, held_out(1.0, 0))
    fitted.sampler = ImportanceResampling()
    draws = fitted.at(trials[None, :, None], trials=True).sample(1_000, np.random.default_rng(0))
    assert n_evaluations <= 4_000 * n_trials
    assert draws.statistics is not None
    assert draws.statistics.ess.min() == 1_000
    sd = 1 / np.sqrt(1 + n_trials)
    z = draws.theta[0, :, 0]
    # Worth 1,000 and chosen by weight: twice the variance of 1,000 independent ones at most.
    assert z.mean() == pytest.approx(trials.sum() * sd**2, abs=4 * sd * np.sqrt(2 / 1_000))
    assert z.std() == pytest.approx(sd, rel=4 / np.sqrt(1_000))


def test_a_spike_on_one_point_of_a_grid_is_seen() -> None:
    def steps(theta: Array, x: Array) -> Array:
        number = np.floor(theta[:, 0] / 0.05)
        return exact(1.0)(theta, x) + 0.3 * (number % 3 == 0)

    grid = np.linspace(-3, 3, 101)[:, None]
    trials = np.random.default_rng(0).normal(0.3, 1, (1, 1_000, 1))
    at = posterior(steps, held_out(1.0, 3)).at(trials, trials=True)
    rows = np.zeros(len(grid), dtype=np.intp)
    log_p = at.log_prob(grid, rows)
    assert np.sort(log_p)[-2] < log_p.max() - 5
    assert len(at.doubts_of_points(grid, rows, log_p)) == 1
    # A few densities cost less than the look at them would.
    assert list(at.doubts_of_points(grid[:60], rows[:60], log_p[:60])) == []
