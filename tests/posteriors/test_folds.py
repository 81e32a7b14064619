"""
Errors of a ratio over many trials, told from what its folds disagree about.

theta ~ N(0, 1) and x ~ N(theta, 1), so that the ratio is known, and the posterior given T trials.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from sksbi import ClassifierRatio, Ensemble
from sksbi.exceptions import TrainingWarning
from sksbi.posteriors.folds import FoldsRecord
from sksbi.posteriors.normaliser import NormaliserRecord
from sksbi.posteriors.ratios import PairwiseRatio
from sksbi.posteriors.unnormalised import PriorTimes
from sksbi.priors import check_prior
from sksbi.samplers import MetropolisHastings

Array = NDArray[np.float64]
PRIOR = check_prior([stats.norm()])
DISAGREE = "different folds disagree"
LINE = make_pipeline(StandardScaler(), PolynomialFeatures(2), LogisticRegression())


def log_ratio(theta: Array, x: Array) -> Array:
    """Give log p(x | theta) - log p(x)."""
    return np.asarray(
        stats.norm.logpdf(x[:, 0], theta[:, 0]) - stats.norm.logpdf(x[:, 0], 0, np.sqrt(2))
    )


def tilted(slopes: Array) -> PriorTimes:
    """Take the exact ratio, of folds whose log-ratios are tilted by slope times theta each."""

    def by_fold(theta: Array, x: Array) -> Array:
        return log_ratio(theta, x) + slopes[:, None] * theta[:, 0]

    ratio = PairwiseRatio(log_ratio, PRIOR, np.full(1, -np.inf), np.full(1, np.inf))
    rows = np.random.default_rng(0).normal(0, np.sqrt(2), (1_000, 1))
    record = FoldsRecord(NormaliserRecord(ratio, rows), [(ratio, by_fold)])
    return PriorTimes(PRIOR, ratio, MetropolisHastings(), trials_record=record)


def drawn(trials: Array, seed: int) -> Array:
    """Draw from the exact posterior."""
    variance = 1 / (1 + len(trials))
    noise = np.random.default_rng(seed).normal(size=(1, 1_000, 1))
    return np.asarray(variance * trials.sum() + np.sqrt(variance) * noise)


def told(fitted: PriorTimes, trials: Array, seed: int = 0) -> list[float]:
    """Give by how much folds say that the posterior is off."""
    at = fitted.at(trials[None, :, None], trials=True)
    doubts = at.doubts_of_draws(drawn(trials, seed))
    texts = [doubt.text for doubt in doubts if DISAGREE in doubt.text]
    return [float(text.split("off by ")[1].split()[0]) for text in texts]


@pytest.mark.parametrize("n_trials", [10, 100, 1_000])
def test_tilted_folds_tell_their_jackknife_error(n_trials: int) -> None:
    """
    Slopes b_k move the mean by T sd(b) sqrt(K - 1) / (1 + T), as the jackknife has it.

    That is so many posterior sds times 1 / sqrt(1 + T); the spread of 40 draws is known to a ninth.
    """
    slopes = np.array([-0.2, -0.1, 0.0, 0.1, 0.2])
    expected = n_trials * 2 * slopes.std() / np.sqrt(1 + n_trials)
    trials = np.random.default_rng(1).normal(0.3, 1, n_trials)
    (value,) = told(tilted(slopes), trials)
    assert abs(value / expected - 1) < 3 / 9


def test_folds_that_differ_by_a_constant_alone_are_not_blamed() -> None:
    assert told(tilted(np.zeros(5)), np.random.default_rng(1).normal(0.3, 1, 1_000)) == []


def test_one_trial_is_not_looked_at() -> None:
    assert told(tilted(np.full(5, 3.0) * np.arange(5)), np.zeros(1)) == []


def fits(classifier: object, n: int, n_fits: int, **options: object) -> list[ClassifierRatio]:
    made = []
    for seed in range(n_fits):
        rng = np.random.default_rng(seed)
        theta = rng.normal(size=(n, 1))
        x = theta + rng.normal(size=(n, 1))
        ratio = ClassifierRatio(classifier, [stats.norm()], random_state=0, **options)
        made.append(ratio.fit(theta, x))
    return made


def test_the_error_told_is_that_of_fits_to_other_simulations() -> None:
    """
    The root mean square error over 20 fits, known to a sixth, is what folds tell, within a half.

    The jackknife of five folds knows a variance to sqrt(2 / 4), and 20 of them together to a sixth.
    """
    trials = np.random.default_rng(5).normal(0.4, 1, 40)
    theta = drawn(trials, 0)[0, ::25]
    points, rows = theta.repeat(40, axis=0), np.tile(trials[:, None], (len(theta), 1))
    exact = log_ratio(points, rows).reshape(-1, 40).sum(axis=1)
    errors, estimates = [], []
    for fitted in fits(LINE, 500, 20):
        learnt = fitted.predict_log_ratio(points, rows).reshape(-1, 40).sum(axis=1)
        errors.append((learnt - exact).std())
        record = fitted._posterior().trials_record
        estimates.append(record._spread(theta, trials[:, None]))
    errors, estimates = (np.sqrt(np.mean(np.square(values))) for values in (errors, estimates))
    assert 0.5 < estimates / errors < 1.5


def test_trees_are_blamed_and_a_right_classifier_is_not() -> None:
    """The classifier of a Gaussian ratio is quadratic; trees of 1,000 simulations are steps."""
    trials = np.random.default_rng(5).normal(0.4, 1, (15, 1))
    for classifier, is_blamed in ((LINE, False), (HistGradientBoostingClassifier(), True)):
        (fitted,) = fits(classifier, 2_000, 1)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fitted.sample(trials, 500, iid=True)
        assert any(DISAGREE in str(one.message) for one in caught) == is_blamed


def test_an_ensemble_asks_all_folds_and_batches_name_the_first_observation() -> None:
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(1_000, 1))
    x = theta + rng.normal(size=(1_000, 1))
    trees = ClassifierRatio(None, [stats.norm()])
    fitted = Ensemble(trees, n_estimators=2, random_state=0).fit(theta, x)
    assert len(fitted._posterior().trials_record.members) == 2
    batch = rng.normal(0.4, 1, (2, 15, 1))
    with pytest.warns(TrainingWarning, match="2 of 2 observations, first 0, the classifiers"):
        fitted.sample(batch, 500, iid=True)


def test_without_calibration_there_are_no_folds() -> None:
    (fitted,) = fits(LINE, 500, 1, calibration=None)
    assert isinstance(fitted._posterior().trials_record, NormaliserRecord)
