"""Many trials, asked of likelihood estimators: what they warn of, and when they keep silent."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from scipy import stats

from sksbi import NLE, Ensemble
from sksbi.exceptions import TrainingWarning
from sksbi.posteriors.score_test import ScoreRecord

PRIOR = {"mean": stats.norm(0, 1)}


def normal(n: int, seed: int, n_trials: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Draw x from N(theta, 1), one or several each."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(n, 1))
    shape = (n, 1) if n_trials is None else (n, n_trials, 1)
    return theta, rng.normal(theta.reshape(-1, *[1] * (len(shape) - 1)), 1, shape)


def record_of(nle: NLE) -> ScoreRecord:
    record = nle._posterior().trials_record
    assert isinstance(record, ScoreRecord)
    return record


def doubts(fitted: NLE | Ensemble, n_trials: int) -> list[str]:
    """Hold draws from the exact posterior of so many trials, with the mean 0.5, against a fit."""
    draws = np.random.default_rng(0).normal(0.5, 1 / np.sqrt(1 + n_trials), (1, 1_000, 1))
    at = fitted._posterior().at(np.zeros((1, n_trials, 1)), trials=True)
    return [doubt.text for doubt in at.doubts_of_draws(draws)]


def test_a_fit_that_has_not_come_to_its_end_is_doubted() -> None:
    """x ~ N(theta + sin(theta), 0.3^2): what is told of the width is less than is true."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(2_000, 1))
    x = rng.normal(theta + np.sin(theta), 0.3)
    nle = NLE(PRIOR, flow="maf", transforms=1, max_epochs=1, lr=1e-3, random_state=0)
    nle.fit(theta, x)
    trials = rng.normal(0.5 + np.sin(0.5), 0.3, (30, 1))
    with pytest.warns(TrainingWarning, match="30 trials of x is too wide by a factor of") as seen:
        draws = np.asarray(nle.sample(trials, 200, iid=True))
    (text,) = (str(one.message) for one in seen if one.category is TrainingWarning)
    told = float(text.split("a factor of ")[1].split()[0])
    exact = 0.3 / (1 + np.cos(0.5)) / np.sqrt(30)
    assert 1.25 < told < draws.std() / exact


@pytest.mark.parametrize("n_trials", [2, 20, 100])
def test_a_good_fit_is_not_doubted(n_trials: int) -> None:
    nle = NLE(PRIOR, max_epochs=5, random_state=0).fit(*normal(3_000, 0))
    assert doubts(nle, n_trials) == []


@pytest.mark.slow
def test_all_that_is_asked_warns() -> None:
    """2 sqrt(T / n) is 2 for 50 trials and simulations."""
    nle = NLE(PRIOR, max_epochs=1, random_state=0).fit(*normal(50, 0))
    trials = np.random.default_rng(1).normal(0.5, 1, (50, 1))
    grid = np.linspace(-3, 3, 400)[:, None]
    asked = {
        "sample": lambda: nle.sample(trials, 50, iid=True),
        "log_prob": lambda: nle.log_prob(grid, trials, iid=True),
        "map": lambda: nle.map(trials, iid=True),
    }
    for ask in asked.values():
        with pytest.warns(TrainingWarning, match="50 trials of x are many .* 50 simulations"):
            ask()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nle.sample(trials[0], 50)


FITS = {
    "nle": lambda: NLE(PRIOR, max_epochs=3, random_state=0).fit(*normal(500, 0)),
    "saved": lambda: pickle.loads(
        pickle.dumps(NLE(PRIOR, max_epochs=3, random_state=0).fit(*normal(500, 0)))
    ),
    "trials": lambda: NLE(PRIOR, x_trials=True, max_epochs=3, random_state=0).fit(
        *normal(100, 0, 5)
    ),
    "ensemble": lambda: Ensemble(NLE(PRIOR, max_epochs=3), n_estimators=2, random_state=0).fit(
        *normal(500, 0)
    ),
}


@pytest.mark.parametrize("name", FITS)
def test_more_trials_than_simulations_answer_for(name: str) -> None:
    """2 sqrt(T / n) standard deviations: 1.8 of 400 trials for 500 simulations, less for few."""
    fitted = FITS[name]()
    (text,) = doubts(fitted, 400)
    assert "400 trials of {who} are many for what was learnt from 500 simulations" in text
    # The draws are half a standard deviation of the prior from its mean.
    told = float(text.split("off by ")[1].split()[0])
    assert told == pytest.approx(2 * np.sqrt(400 / 500) * np.exp(0.5**2 / 4), rel=0.05)
    assert doubts(fitted, 20) == []


def test_failed_simulations_do_not_count() -> None:
    theta, x = normal(1_000, 0)
    x[theta[:, 0] > 0] = np.nan
    nle = NLE(PRIOR, max_epochs=3, random_state=0).fit(theta, x)
    record = record_of(nle)
    assert np.isfinite(record.x).all()
    assert record.n_learnt == np.count_nonzero(theta <= 0)


def test_pairs_kept_are_those_of_the_fit_and_first_those_held_out() -> None:
    theta, x = normal(400, 0)
    nle = NLE(PRIOR, max_epochs=1, random_state=0).fit(theta, x)
    record = record_of(nle)
    order = np.searchsorted(np.sort(theta[:, 0]), record.theta[:, 0])
    rows = np.argsort(theta[:, 0])[order]
    np.testing.assert_array_equal(record.x, x[rows])
    assert (len(np.unique(rows)), record.n_held_out, record.n_learnt) == (400, 40, 400)
    own = normal(50, 1)
    record = record_of(NLE(PRIOR, max_epochs=1, validation_fraction=own).fit(theta, x))
    np.testing.assert_array_equal(np.sort(record.x, axis=0), np.sort(own[1], axis=0))
    assert record.n_held_out == 50
    record = record_of(NLE(PRIOR, max_epochs=1, validation_fraction=None).fit(theta, x))
    assert (len(record.x), record.n_held_out) == (400, 0)


def test_pairs_of_trials_stay_together() -> None:
    """x is theta exactly, in every trial, but for what tells trials apart."""
    theta = np.random.default_rng(0).normal(size=(100, 1))
    x = theta[:, None] + np.array([0.0, 10.0, 20.0])[:, None]
    record = record_of(NLE(PRIOR, x_trials=True, max_epochs=1).fit(theta, x))
    trial = np.round((record.x - record.theta) / 10)
    np.testing.assert_allclose(record.x, record.theta + 10 * trial)
    assert np.bincount(trial[:, 0].astype(int)).tolist() == [100, 100, 100]
    assert record.n_held_out == 30
    held_out = np.unique(record.theta[:30])
    assert len(held_out) == 10
    assert not np.isin(record.theta[30:], held_out).any()
