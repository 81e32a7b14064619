"""
Failed simulations in fit, score, searches and pipelines, against posteriors that are known.

a is uniform on (0, 1), x = a + noise, and of the simulations with a < 1/2 nine in ten fail. At
x = 1/2 the likelihood is symmetric around 1/2, so that P(a < 1/2 | x, success) = 1/11, with two
such trials 1/101; a ratio that is multiplied with the prior in spite of the failures gives 1/2.
"""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import log_expit
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, PredefinedSplit, cross_val_score
from sklearn.pipeline import make_pipeline as stock_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sksbi import (
    NPE,
    NRE,
    CalibratedPosterior,
    ClassifierRatio,
    Ensemble,
    PosteriorRegressor,
    diagnose,
)
from sksbi.exceptions import TrainingWarning
from sksbi.inspection import RatioDisplay
from sksbi.metrics import draw_held_out, get_scorer
from sksbi.pipeline import make_pipeline
from sksbi.utils.derangement import derangement
from sksbi.utils.types import Array

PRIOR = {"a": stats.uniform(0, 1)}
QUICK_NRE = {"max_epochs": 12, "hidden_features": (32, 32), "random_state": 0}
QUICK_NPE = {"flow": "maf", "transforms": 2, "max_epochs": 20, "random_state": 0}
ESTIMATORS: dict[str, BaseEstimator] = {
    "NRE": NRE(PRIOR, **QUICK_NRE),
    "ClassifierRatio": ClassifierRatio(prior=PRIOR, random_state=0),
    "Ensemble": Ensemble(NRE(PRIOR, **QUICK_NRE), n_estimators=2, random_state=0),
}
TINY = {"flow": "maf", "transforms": 1, "max_epochs": 2, "random_state": 0}


def simulate(n: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fail nine times in ten where a < 1/2."""
    rng = np.random.default_rng(seed)
    a = rng.uniform(size=n)
    x = a + 0.3 * rng.standard_normal(n)
    table = pd.DataFrame({"x": x, "again": x + 0.01 * rng.standard_normal(n)})
    table[(a < 0.5) & (rng.random(n) < 0.9)] = np.nan
    return pd.DataFrame({"a": a}), table


THETA, TABLE = simulate(4000, 0)
X = TABLE.to_numpy()
FAILED = np.isnan(X).all(axis=1)
OK = ~FAILED
GRID = pd.DataFrame({"a": (np.arange(1000) + 0.5) / 1000})


def below_half(log_p: Array) -> float:
    """Integrate a density over the lower half of the grid."""
    p = np.exp(log_p - log_p.max())
    return p[:500].sum() / p.sum()


@pytest.fixture(
    scope="module",
    params=["NRE", "ClassifierRatio", pytest.param("Ensemble", marks=pytest.mark.slow)],
)
def ratio(request: pytest.FixtureRequest) -> BaseEstimator:
    """Fit to all simulations, the failed ones too."""
    return clone(ESTIMATORS[request.param]).fit(THETA, TABLE)


@pytest.mark.slow
def test_the_posterior_is_that_of_what_succeeds(ratio: BaseEstimator) -> None:
    # 200 of 2,000 succeed below: a standard error of 7% of the odds, 0.006; 0.1 of the log-ratio
    # that is learnt are as much again; of 2,000 draws 0.0064
    at = [0.5, 0.5]
    assert below_half(ratio.log_prob(GRID, at)) == pytest.approx(1 / 11, abs=0.03)
    draws = ratio.sample(at, 2000, random_state=0)
    assert (draws["a"] < 0.5).mean() == pytest.approx(1 / 11, abs=0.035)


def test_every_trial_has_succeeded(ratio: BaseEstimator) -> None:
    at = [[0.5, 0.5], [0.5, 0.5]]
    one = ratio.predict_log_ratio(GRID, at[0])
    both = ratio.predict_log_ratio(GRID, at, iid=True)
    np.testing.assert_allclose(both, 2 * one, rtol=1e-6, atol=1e-6)
    # 20% of the odds of one, from 200 that succeed below, from the trees' last cell across 1/2 and
    # from the ratio, are 40% of both; counted once it would be 1/11
    assert below_half(both) == pytest.approx(1 / 101, abs=3 * 0.4 / 101)


def test_the_score_is_that_of_the_posterior(ratio: BaseEstimator) -> None:
    full = ratio.score(THETA, TABLE)
    copy = pickle.loads(pickle.dumps(ratio))
    for member in getattr(copy, "estimators_", [copy]):
        member._success = None
    # without it the ratio takes p(theta | success) for the prior
    assert full > copy.score(THETA, TABLE) + 0.02
    assert full > np.log(0.5)
    joint = ratio.predict_log_ratio(THETA[OK], TABLE[OK])
    others = derangement(THETA.to_numpy(), np.random.default_rng(0))[OK]
    marginal = ratio.predict_log_ratio(THETA.iloc[others], TABLE[OK])
    expected = (log_expit(joint).mean() + log_expit(-marginal).mean()) / 2
    assert full == pytest.approx(expected, rel=1e-6)


def test_ratios_are_the_full_ones_wherever_they_are_asked_for(ratio: BaseEstimator) -> None:
    copy = pickle.loads(pickle.dumps(ratio))
    np.testing.assert_array_equal(
        copy.predict_log_ratio(GRID, [0.3, 0.3]), ratio.predict_log_ratio(GRID, [0.3, 0.3])
    )
    # E over p(theta) of p(theta | x) / p(theta) is one: errors of s and of the ratio, 20% here
    assert ratio.predict_ratio(GRID, [0.6, 0.6]).mean() == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize(
    "estimator",
    [NPE(PRIOR, **TINY), Ensemble(NPE(PRIOR, **TINY), n_estimators=2, random_state=0)],
    ids=["NPE", "Ensemble"],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_density_is_what_it_is_without_failures(estimator: BaseEstimator, weighted: bool) -> None:
    weights = np.random.default_rng(0).uniform(0, 2, 4000) if weighted else np.ones(4000)
    kept = clone(estimator).fit(THETA, TABLE, sample_weight=weights)
    dropped = clone(estimator).fit(THETA[OK], TABLE[OK], sample_weight=weights[OK])
    np.testing.assert_allclose(
        kept.log_prob(GRID, [0.5, 0.5]), dropped.log_prob(GRID, [0.5, 0.5]), rtol=1e-5, atol=1e-5
    )
    score = dropped.score(THETA[OK], TABLE[OK], sample_weight=weights[OK])
    assert kept.score(THETA, TABLE, sample_weight=weights) == pytest.approx(score, rel=1e-5)


def test_two_fits_are_alike() -> None:
    tiny = NRE(PRIOR, max_epochs=1, random_state=0)
    first, second = (clone(tiny).fit(THETA[:300], TABLE[:300]) for _ in range(2))
    np.testing.assert_array_equal(
        first.predict_log_ratio(GRID, [0.5, 0.5]), second.predict_log_ratio(GRID, [0.5, 0.5])
    )


@pytest.mark.filterwarnings("ignore:theta's values of .* do not follow the prior")
def test_without_failures_nothing_changes() -> None:
    theta, x = THETA[OK][:300], TABLE[OK][:300]
    tiny = NRE(PRIOR, max_epochs=2, random_state=0)
    fitted = clone(tiny).fit(theta, x)
    assert fitted._success is None
    failed = pd.concat([theta, theta[:20]]), pd.concat([x, x[:20] * np.nan])
    with_failures = clone(tiny).fit(*failed)
    at = [0.5, 0.5]
    success = with_failures._success.log_ratio(GRID.to_numpy())
    np.testing.assert_allclose(
        with_failures.predict_log_ratio(GRID, at) - success,
        fitted.predict_log_ratio(GRID, at),
        atol=1e-5,
    )


def test_x_of_one_number_and_images() -> None:
    kept = NPE(PRIOR, **TINY).fit(THETA, X[:, 0])
    dropped = NPE(PRIOR, **TINY).fit(THETA[OK], X[OK, 0])
    np.testing.assert_array_equal(kept.log_prob(GRID, 0.5), dropped.log_prob(GRID, 0.5))
    images = X[:, :, None].repeat(2, axis=2)
    kept = NPE(PRIOR, **TINY).fit(THETA, images)
    dropped = NPE(PRIOR, **TINY).fit(THETA[OK], images[OK])
    at = np.full((2, 2), 0.5)
    np.testing.assert_array_equal(kept.log_prob(GRID, at), dropped.log_prob(GRID, at))


def test_a_splitter_counts_the_rows_of_the_user() -> None:
    fold = np.where(np.arange(4000) % 10 == 0, 0, -1)
    split = NPE(PRIOR, **TINY, validation_fraction=PredefinedSplit(fold)).fit(THETA, TABLE)
    valid = (fold == 0) & OK
    train = (fold != 0) & OK
    pair = NPE(PRIOR, **TINY, validation_fraction=(THETA[fold == 0], TABLE[fold == 0]))
    pair.fit(THETA[train], TABLE[train])
    assert len(valid) == 4000
    # the same rows to train on, so all that training learns from is alike; scalings see all rows
    assert split.history_["valid_loss"].iloc[-1] == pytest.approx(
        pair.history_["valid_loss"].iloc[-1], abs=0.1
    )
    rows = np.arange(4000)
    cv = [(rows[fold != 0], rows[fold == 0])]
    calibrated = CalibratedPosterior(NPE(PRIOR, **TINY), cv=cv, n_samples=20, random_state=0)
    by_numbers = clone(calibrated).fit(THETA, TABLE)
    by_splitter = clone(calibrated).set_params(cv=PredefinedSplit(fold)).fit(THETA, TABLE)
    assert len(by_numbers.scores_) == len(by_splitter.scores_) == valid.sum()
    np.testing.assert_array_equal(by_numbers.scores_, by_splitter.scores_)


@pytest.mark.slow
def test_calibration_of_a_ratio_whose_folds_fail_seldom() -> None:
    theta, x = THETA[OK][:60], X[OK][:60].copy()
    x[7] = np.nan  # one fold has no failure
    quick = ClassifierRatio(prior=PRIOR, random_state=0)
    calibrated = CalibratedPosterior(quick, cv=3, n_samples=20, random_state=0).fit(theta, x)
    assert len(calibrated.scores_) == 59
    assert np.isfinite(calibrated.log_prob(GRID, [0.5, 0.5])).all()


def test_searches_and_scorers_leave_failures_out() -> None:
    theta, x = THETA[:400], TABLE[:400]
    nre = NRE(PRIOR, max_epochs=2, random_state=0)
    assert np.isfinite(cross_val_score(nre, theta, x, cv=2, error_score="raise")).all()
    search = GridSearchCV(NPE(PRIOR, **TINY), {"lr": [1e-3, 5e-3]}, cv=2, error_score="raise")
    assert np.isfinite(search.fit(theta, x).best_score_)
    npe, kept = search.best_estimator_, OK[:400]
    scorer = get_scorer(["log_prob", "sbc"], n_samples=20)
    assert scorer(npe, theta, x) == scorer(npe, theta[kept], x[kept])
    held_out = draw_held_out(npe, theta, x, 5)
    np.testing.assert_array_equal(held_out.theta, theta[kept])
    table = diagnose(npe, theta, x, [0.5, 0.5], n_samples=20, plot=False).table
    with pytest.warns(TrainingWarning, match="do not follow the prior.* were left out, in fit as"):
        expected = diagnose(npe, theta[kept], x[kept], [0.5, 0.5], n_samples=20, plot=False).table
    pd.testing.assert_frame_equal(table, expected)


def test_the_regressor_leaves_failures_out() -> None:
    regressor = PosteriorRegressor(NPE(PRIOR, **TINY), n_samples=50, random_state=0)
    kept = stock_pipeline(StandardScaler(), regressor).fit(X, THETA)
    dropped = stock_pipeline(StandardScaler(), regressor).fit(X[OK], THETA[OK])
    assert kept.score(X[:500], THETA[:500]) == pytest.approx(
        dropped.score(X[:500][OK[:500]], THETA[:500][OK[:500]]), abs=1e-6
    )


STEPS = {
    "PCA": PCA(1),
    "imputer": SimpleImputer(strategy="constant", fill_value=3.0),
    "table": StandardScaler().set_output(transform="pandas"),
}


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_steps_of_a_pipeline_do_not_see_failures(step: BaseEstimator) -> None:
    weights = np.random.default_rng(0).uniform(0, 2, 4000)
    nre = NRE(PRIOR, max_epochs=2, random_state=0)
    pipe = make_pipeline(clone(step), nre).fit(THETA, TABLE, nre__sample_weight=weights)
    fitted = clone(step).fit(TABLE[OK])
    transformed = fitted.transform(TABLE[OK])
    by_hand: Any = np.full((4000, np.shape(transformed)[1]), np.nan)
    by_hand[OK] = transformed
    if isinstance(transformed, pd.DataFrame):
        by_hand = pd.DataFrame(by_hand, columns=transformed.columns)
    expected = clone(nre).fit(THETA, by_hand, sample_weight=weights)
    assert pipe.score(THETA, TABLE) == pytest.approx(expected.score(THETA, by_hand), rel=1e-9)
    # two failures among the unseen alone are data for the ratio, and steps see none of them
    assert pipe.score(THETA[:200], TABLE[:200]) == pytest.approx(
        expected.score(THETA[:200], by_hand[:200]), rel=1e-9
    )
    with pytest.raises(ValueError, match="NaN throughout in 1 of 1 .*failed simulation"):
        pipe.sample([np.nan, np.nan], 5)


def test_weights_of_a_step_follow_its_rows() -> None:
    weights = np.random.default_rng(0).uniform(0, 2, 4000)
    pipe = make_pipeline(StandardScaler(), NPE(PRIOR, **TINY))
    pipe.fit(THETA, TABLE, standardscaler__sample_weight=weights)
    np.testing.assert_allclose(
        pipe[0].mean_, np.average(X[OK], axis=0, weights=weights[OK]), rtol=1e-12
    )


def test_reliability_pairs_failed_theta_with_what_succeeded() -> None:
    nre = NRE(PRIOR, max_epochs=2, random_state=0).fit(THETA[:400], TABLE[:400])
    display = RatioDisplay.from_estimator(nre, THETA[:400], TABLE[:400])
    kept = OK[:400]
    np.testing.assert_allclose(
        display.log_ratio_joint, nre.predict_log_ratio(THETA[:400][kept], TABLE[:400][kept])
    )
    assert len(display.log_ratio_marginal) == kept.sum()


BAD = {
    "an observation": (lambda e: e.sample([np.nan, np.nan], 5), "in 1 of 1 observations"),
    "one of a batch": (lambda e: e.map(X[:30]), "no observation"),
    "trials": (lambda e: e.sample(X[:30], 5, iid=True), "no observation"),
    "a gap": (lambda e: e.sample([0.5, np.nan], 5), "x contains NaN in column 1, row 0"),
    "a gap in fit": (
        lambda e: clone(e).fit(THETA[:3], [[0.5, np.nan], [1.0, 2.0], [0.0, 1.0]]),
        "x contains NaN in column 1, row 0.*beside it",
    ),
    "a gap by name": (
        lambda e: clone(e).fit(THETA[:3], pd.DataFrame({"u": [1.0, 2, 3], "v": [1, np.nan, 2]})),
        "x contains NaN in column 'v', row 1",
    ),
    "all failed": (
        lambda e: clone(e).fit(THETA[:9], X[:9] * np.nan),
        "at least 2 simulations that succeeded, got 0 of 9",
    ),
    "all failed in score": (
        lambda e: e.score(THETA[:9], X[:9] * np.nan),
        "simulations that succeeded, got 9 rows",
    ),
    "inf": (lambda e: clone(e).fit(THETA[:9], X[:9] * 0 + np.inf), "x contains infinity"),
}


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_named(call: Any, message: str) -> None:
    x = np.where(FAILED[:400, None], 9.0, X[:400])
    with pytest.raises(ValueError, match=message):
        call(NRE(PRIOR, max_epochs=1, random_state=0).fit(THETA[:400], x))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:theta's values of .* do not follow the prior")
def test_a_warm_start_remembers_how_likely_success_is() -> None:
    """Also where the next pairs hold no failures, and where the next fit breaks."""
    nre = NRE(PRIOR, warm_start=True, max_epochs=2, random_state=0).fit(THETA, X)
    success = nre._success
    kept = ~np.isnan(X).all(axis=1)
    nre.fit(THETA[kept], X[kept])
    assert nre._success is success
    before = nre.sample([0.5, 0.5], 10)
    nre.set_params(lr=1e30)
    with pytest.raises(FloatingPointError):
        nre.fit(THETA, X)
    np.testing.assert_array_equal(nre.sample([0.5, 0.5], 10), before)


def test_what_a_step_turns_into_nan_is_no_failure() -> None:
    x = np.random.default_rng(0).normal(size=(100, 1))
    pipe = make_pipeline(FunctionTransformer(quiet_log), NPE(**TINY))
    n, first = np.count_nonzero(x < 0), int((x[:, 0] < 0).argmax())
    with pytest.raises(ValueError, match=f"in {n} of 100 rows, the first in row {first}"):
        pipe.fit(THETA[:100], x)


def quiet_log(x: Array) -> Array:
    """Take the logarithm, NaN of what is negative."""
    with np.errstate(invalid="ignore"):
        return np.log(x)
