r"""
The score "log_prob" in one currency: the density of theta, normalised, for ratios as for densities.

theta ~ N(0, 1), x ~ N(theta, 1): the posterior is N(x / 2, 1 / 2), and a classifier that knows the
odds gives its ratio, times any function of x that one likes.
"""

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from sksbi import NPE, NRE, CalibratedPosterior, ClassifierRatio, Ensemble
from sksbi.exceptions import SamplingWarning
from sksbi.metrics import draw_held_out, get_scorer
from sksbi.pipeline import Pipeline, make_pipeline
from sksbi.posteriors import evidence

SD = np.sqrt(0.5)
PRIOR = [stats.norm()]
SCORER = get_scorer("log_prob", n_samples=20)


class Odds(ClassifierMixin, BaseEstimator):
    """The odds that theta and unit * x are a pair, times exp(tilt * x)."""

    def __init__(self, tilt=0.0, unit=1.0):
        self.tilt = tilt
        self.unit = unit

    def fit(self, pairs, is_joint):
        self.classes_ = np.array([0, 1])
        return self

    def predict(self, pairs):
        return self.predict_proba(pairs).argmax(axis=1)

    def predict_proba(self, pairs):
        theta, x = np.transpose(pairs) * [[1.0], [self.unit]]
        log_ratio = stats.norm.logpdf(x, theta, 1) - stats.norm.logpdf(x, 0, np.sqrt(2))
        p = expit(log_ratio + self.tilt * x)
        return np.column_stack([1 - p, p])


def ratio(**options):
    return ClassifierRatio(Odds(**options), PRIOR, calibration=None, n_folds=2, random_state=0)


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(400, 1))
    return theta, theta + rng.normal(size=(400, 1))


def in_units(**options):
    # The scaler divides x by its standard deviation, which the classifier takes back.
    sd = np.std(np.random.default_rng(0).normal(size=(2, 400)).sum(axis=0))
    return make_pipeline(StandardScaler(with_mean=False), ratio(unit=sd, **options))


MAKE = {
    "ratio": ratio,
    "Ensemble": lambda **options: Ensemble(ratio(**options), n_estimators=2, random_state=0),
    "CalibratedPosterior": lambda **options: CalibratedPosterior(
        ratio(**options), n_samples=20, random_state=0
    ),
    "Pipeline": in_units,
}


@pytest.mark.parametrize("tilt", [0.0, 0.5])
@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
def test_ratios_score_the_density_of_theta_whatever_their_constants(pairs, make, tilt):
    theta, x = pairs
    estimator = make(tilt=tilt).fit(theta, x)
    exact = stats.norm.logpdf(theta, x / 2, SD).mean()
    assert abs(SCORER(estimator, theta, x) - exact) < 0.004
    if tilt:
        # Prior times ratio, which is what log_prob stays, is off by the mean of tilt * x.
        off = estimator.log_prob(theta, x).mean() - exact
        assert abs(off - tilt * x.mean()) < 0.004
        assert abs(off) > 0.01


def test_a_density_that_is_too_wide_scores_lower(pairs):
    """A constant cannot make up for it, as it could if prior times ratio were scored."""
    theta, x = pairs
    exact, tilted = ratio().fit(theta, x), ratio(unit=0.5, tilt=0.5).fit(theta, x)
    # N(theta | x / 4, 1 / 2) instead of N(theta | x / 2, 1 / 2).
    lower = stats.norm.logpdf(theta, x / 4, SD).mean()
    assert abs(SCORER(tilted, theta, x) - lower) < 0.004
    assert SCORER(exact, theta, x) > SCORER(tilted, theta, x) + 0.05


def test_the_score_takes_neither_the_draws_nor_the_sampler(pairs):
    theta, x = pairs
    estimator = ratio().fit(theta, x)
    score = SCORER(estimator, theta, x)
    several = get_scorer(["sbc", "log_prob"], n_samples=20)(estimator, theta, x)
    estimator.set_params(sampler=lambda log_prob, initial, n, random_state: initial[:, :1] * 0.0)
    assert score == several["log_prob"] == SCORER(estimator, theta, x)


def test_what_is_drawn_for_all_checks_keeps_the_densities_of_log_prob(pairs):
    """Those of theta and of the draws are compared with each other."""
    theta, x = pairs[0][:20], pairs[1][:20]
    estimator = ratio(tilt=0.5).fit(*pairs)
    held_out = draw_held_out(estimator, theta, x, 20)
    np.testing.assert_allclose(held_out.log_prob_theta, estimator.log_prob(theta, x))


@pytest.mark.slow
def test_simulations_that_fail_leave_the_score_that_of_theta_given_x_and_success():
    """Where theta < 0 nine in ten fail: what is left has 1/10 of the density there."""
    rng = np.random.default_rng(1)
    theta = rng.normal(size=(4_000, 1))
    x = theta + rng.normal(size=theta.shape)
    x[(theta < 0) & (rng.random(theta.shape) < 0.9)] = np.nan
    estimator = ratio().fit(theta, x)
    theta, x = theta[:250], x[:250]
    happened = ~np.isnan(x)
    kept, seen = theta[happened], x[happened]
    above = stats.norm.sf(0, seen / 2, SD)
    exact = stats.norm.logpdf(kept, seen / 2, SD) + np.log(np.where(kept < 0, 0.1, 1.0))
    exact = (exact - np.log(above + 0.1 * (1 - above))).mean()
    assert abs(SCORER(estimator, theta, x) - exact) < 0.05
    # An exact posterior that knows nothing of failures would be scored lower by this.
    assert exact - stats.norm.logpdf(kept, seen / 2, SD).mean() > 0.1


@pytest.mark.parametrize(("n_unknown", "is_lost"), [(4, False), (5, True), (400, True)])
def test_observations_without_an_answer_are_told_and_void_the_score(
    pairs, monkeypatch, n_unknown, is_lost
):
    """One in a hundred may be left out of the mean, of 400 that is four."""
    theta, x = pairs
    estimator = ratio().fit(theta, x)
    log_p = estimator.log_prob(theta, x)

    from_block = evidence._estimate_block

    def estimate(target_of, rows, generator):
        found = from_block(target_of, rows, generator)
        return evidence.Evidence(found.log_z, np.where(rows < n_unknown, 199.0, 200.0))

    monkeypatch.setattr(evidence, "_estimate_block", estimate)
    with pytest.warns(SamplingWarning, match=f"of {n_unknown} of 400 held-out theta .* below 200"):
        score = SCORER(estimator, theta, x)
    if is_lost:
        assert np.isnan(score)
    else:
        exact = stats.norm.logpdf(theta, x / 2, SD)[n_unknown:].mean()
        assert abs(score - exact) < 0.004
        assert abs(score - log_p[n_unknown:].mean()) < 0.004


def test_theta_where_there_is_no_density_is_never_left_out():
    """A theta outside the support scores -inf, whatever else is known of its observation."""
    rng = np.random.default_rng(0)
    theta = rng.uniform(-5, 5, size=(100, 1))
    x = theta + rng.normal(size=theta.shape)
    bounded = ratio().set_params(prior=[stats.uniform(-5, 10)]).fit(theta, x)
    theta[99] = 6.0
    assert SCORER(bounded, theta, x) == -np.inf


def test_a_search_chooses_between_families(pairs):
    """The untrained flow is last, of those that have learnt none is above the exact density."""
    theta, x = pairs
    options = {"max_epochs": 8, "hidden_features": (16,), "random_state": 0}
    npe = NPE(PRIOR, flow="maf", transforms=1, **options)
    untrained = NPE(PRIOR, flow="maf", transforms=1, lr=1e-6, max_epochs=1, random_state=0)
    search = GridSearchCV(
        Pipeline([("scale", StandardScaler()), ("estimator", npe)]),
        {"estimator": [untrained, npe, NRE(PRIOR, **options)]},
        scoring=SCORER,
        cv=2,
        error_score="raise",
    ).fit(theta, x)
    found = search.cv_results_["mean_test_score"]
    exact = stats.norm.logpdf(theta, x / 2, SD).mean()
    assert (found < exact + 0.03).all()
    assert (found[1:] > found[0] + 0.1).all()
    assert type(search.best_estimator_[-1]) is type(search.best_params_["estimator"])
    assert search.best_index_ == np.argmax(found) > 0
