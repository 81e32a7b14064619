"""Calibrated regions: their coverage, how they are made, and what they refuse."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.preprocessing import StandardScaler

from sksbi import NPE, NRE, CalibratedPosterior
from sksbi.metrics import get_scorer
from sksbi.pipeline import make_pipeline
from sksbi.posteriors.base import Draws
from sksbi.posteriors.density import DensityAt, DensityPosterior

PRIOR = {"a": stats.norm(0, 1), "b": stats.uniform(-1, 2)}
TINY = {"flow": "maf", "transforms": 1, "hidden_features": (16,)}


def simulate(n, seed):
    """Draw pairs of a noisy observation of both parameters."""
    rng = np.random.default_rng(seed)
    theta = pd.DataFrame({k: p.rvs(n, random_state=rng) for k, p in PRIOR.items()})
    return theta, theta.to_numpy() + 0.5 * rng.normal(size=(n, 2))


class NarrowAt(DensityAt):
    """Draws are moved half of the way to one of them."""

    def _draw(self, n, generator, *, log_prob):
        draws = super()._draw(n, generator, log_prob=False).theta
        return Draws(draws[:, :1] + 0.5 * (draws - draws[:, :1]))


class NarrowPosterior(DensityPosterior):
    """A posterior that is overconfident."""

    def _at(self, x):
        exact = super()._at(x)
        return NarrowAt(self, x, exact.context)


class Narrow(NPE):
    """An estimator of it."""

    def _posterior(self):
        exact = super()._posterior()
        return NarrowPosterior(exact.density, exact.theta_space, exact.x_space)


@pytest.fixture(scope="module")
def npe():
    """Give a fitted posterior."""
    return NPE(PRIOR, max_epochs=5, random_state=0, **TINY).fit(*simulate(500, 0))


@pytest.fixture(scope="module")
def narrow():
    """Give one whose regions are too small."""
    return Narrow(PRIOR, max_epochs=5, random_state=0, **TINY).fit(*simulate(500, 0))


# Of 14,400 observations one or the other is far from 500 simulations.
@pytest.mark.filterwarnings("ignore::sksbi.exceptions.MisspecificationWarning")
@pytest.mark.parametrize(
    "level",
    [pytest.param(0.5, marks=pytest.mark.slow), 0.8, pytest.param(0.95, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("which", ["npe", "narrow"])
def test_coverage_is_at_least_the_level_and_little_more(which, level, request):
    """Given n scores the coverage of one calibration is Beta(k, n + 1 - k), k = ceil((n + 1) a)."""
    posterior, n, n_test, repetitions = request.getfixturevalue(which), 99, 400, 12
    covered = []
    for seed in range(repetitions):
        calibrated = CalibratedPosterior(posterior, cv="prefit", n_samples=400, random_state=seed)
        calibrated.fit(*simulate(n, 100 + seed))
        covered.append(calibrated.in_region(*simulate(n_test, 200 + seed), level=level).mean())
    k = np.ceil((n + 1) * level)
    beta = stats.beta(k, n + 1 - k)
    error = np.sqrt((beta.var() + beta.mean() * (1 - beta.mean()) / n_test) / repetitions)
    assert level - 4 * error < np.mean(covered)
    if which == "npe":  # of the narrow one many pairs share the largest rank
        ties = 3 / 401  # a rank has a probability of about 1 / (n_samples + 1)
        assert np.mean(covered) < beta.mean() + 4 * error + ties


def test_the_plain_regions_of_a_narrow_posterior_are_too_small(narrow):
    calibrated = CalibratedPosterior(narrow, cv="prefit", random_state=0).fit(*simulate(500, 1))
    assert calibrated.nominal_level(0.8) > 0.85
    theta, x = simulate(500, 2)
    draws = np.asarray(narrow.sample(x, 200)).reshape(500, 200, 2)
    levels = (narrow.log_prob(draws, x) > narrow.log_prob(theta, x)[:, None]).mean(axis=1)
    assert (levels <= 0.8).mean() < 0.8 - 4 * np.sqrt(0.16 / 500)


def test_a_region_is_where_the_density_reaches_the_threshold(npe):
    calibrated = CalibratedPosterior(npe, cv="prefit", random_state=0).fit(*simulate(300, 1))
    theta, x = simulate(50, 2)
    thresholds = calibrated.credible_region(x, 0.7, random_state=3)
    expected = calibrated.log_prob(theta, x) >= thresholds
    assert (calibrated.in_region(theta, x, 0.7, random_state=3) == expected).all()
    one = calibrated.credible_region(x[0], 0.7, random_state=3)
    assert isinstance(one, float)
    inside = calibrated.in_region(theta, x[0], 0.7, random_state=3)
    assert (inside == (calibrated.log_prob(theta, x[0]) >= one)).all()
    assert 0 < expected.sum() < 50


def test_regions_grow_with_the_level(npe):
    calibrated = CalibratedPosterior(npe, cv="prefit", random_state=0).fit(*simulate(300, 1))
    x = simulate(20, 2)[1]
    thresholds = [calibrated.credible_region(x, level) for level in (0.3, 0.6, 0.9)]
    assert (np.diff(thresholds, axis=0) < 0).all()


def test_draws_and_densities_are_those_of_the_estimator(npe):
    calibrated = CalibratedPosterior(npe, cv="prefit", random_state=0).fit(*simulate(300, 1))
    theta, x = simulate(20, 2)
    assert (calibrated.log_prob(theta, x) == npe.log_prob(theta, x)).all()
    draws = calibrated.sample(x[0], 2000)
    error = 5 * draws.std() * np.sqrt(2 / 2000)
    assert (abs(draws.mean() - npe.sample(x[0], 2000).mean()) < error).all()


def test_too_few_pairs_make_the_region_all_of_the_support(npe):
    calibrated = CalibratedPosterior(npe, cv="prefit", random_state=0).fit(*simulate(9, 1))
    x = simulate(1, 2)[1][0]
    with pytest.warns(UserWarning, match=r"level=0\.95 needs at least 19 pairs.*got 9"):
        assert calibrated.credible_region(x, 0.95) == -np.inf
    asked = np.array([[9.0, 0.5], [0.0, 2.0]])  # b = 2 lies outside of the prior's support
    with pytest.warns(UserWarning, match="needs at least 19"):
        assert calibrated.in_region(asked, x, 0.95).tolist() == [True, False]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(calibrated.credible_region(x, 0.9))  # 9 scores are just enough


@pytest.mark.parametrize(
    ("cv", "n_members", "n_scores"),
    [
        (0.25, 1, 25),
        (4, 4, 100),
        (None, 5, 100),
        (KFold(2), 2, 100),
        ([(np.arange(60), np.arange(60, 90))], 1, 30),
    ],
)
def test_ways_of_cutting(cv, n_members, n_scores):
    npe = NPE(PRIOR, max_epochs=2, **TINY)
    calibrated = CalibratedPosterior(npe, cv=cv, n_samples=50, random_state=0)
    calibrated.fit(*simulate(100, 0))
    assert len(calibrated.estimators_) == n_members
    assert len(calibrated.scores_) == n_scores
    assert (np.diff(calibrated.scores_) >= 0).all()
    seeds = {member.random_state for member in calibrated.estimators_}
    assert len(seeds) == n_members


@pytest.mark.parametrize("rows", [range(-20, 0), np.arange(100) >= 80, [*range(80, 100)]])
def test_rows_set_aside_may_be_counted_from_the_end(rows):
    theta, x = simulate(100, 0)
    npe = NPE(PRIOR, max_epochs=2, **TINY)
    weight = np.r_[0.0, np.ones(98), 0.0]
    given, expected = (
        CalibratedPosterior(npe, cv=[(range(80), aside)], n_samples=50, random_state=0)
        for aside in (rows, np.arange(80, 100))
    )
    given.fit(theta, x, sample_weight=weight)
    assert given.scores_.tolist() == expected.fit(theta, x, sample_weight=weight).scores_.tolist()
    assert len(given.scores_) == 19


@pytest.mark.parametrize("rows", [range(90, 101), range(-101, -90), np.ones(99, bool), [0.5]])
def test_rows_that_do_not_exist_are_refused(rows):
    calibrated = CalibratedPosterior(NPE(PRIOR, **TINY), cv=[(range(80), rows)])
    with pytest.raises(ValueError, match="cv must give row numbers of theta's 100 rows, or masks"):
        calibrated.fit(*simulate(100, 0))


def test_folds_cover_what_single_splits_do():
    """The mixture of folds has no guarantee, so the bound has room for five per cent."""
    npe = NPE(PRIOR, max_epochs=5, **TINY)
    calibrated = CalibratedPosterior(npe, cv=4, n_samples=200, random_state=0)
    calibrated.fit(*simulate(400, 0))
    inside = calibrated.in_region(*simulate(1000, 1), level=0.8).mean()
    error = np.sqrt(0.16 / 400 + 0.16 / 1000)
    assert abs(inside - 0.8) < 0.05 + 4 * error


def test_weights_count_rows():
    """A row of weight two is two rows, and one of weight zero none."""
    npe = NPE(PRIOR, max_epochs=2, random_state=0, **TINY).fit(*simulate(200, 0))
    theta, x = simulate(60, 1)
    weights = np.repeat([0.0, 1.0, 2.0], 20)
    weighted = CalibratedPosterior(npe, cv="prefit", random_state=0).fit(theta, x, weights)
    assert len(weighted.scores_) == 40
    shares = np.cumsum(weighted.weights_) / (weighted.weights_.sum() + weighted.weights_.mean())
    rank = weighted.scores_[np.argmax(shares >= 0.7)]
    assert weighted.nominal_level(0.7) == rank / 1000


def test_an_estimator_that_is_frozen_survives_clone(npe):
    frozen = CalibratedPosterior(FrozenEstimator(npe), random_state=0)
    x = simulate(5, 2)[1]
    first, second = (clone(frozen).fit(*simulate(100, 1)).credible_region(x) for _ in range(2))
    assert (first == second).all()
    assert frozen.prior is npe.prior


def test_ratio_estimators_are_calibrated_too():
    nre = NRE(PRIOR, hidden_features=(16,), max_epochs=3)
    calibrated = CalibratedPosterior(nre, n_samples=100, random_state=0).fit(*simulate(200, 0))
    inside = calibrated.in_region(*simulate(40, 1), level=0.8).mean()
    error = np.sqrt(stats.beta(33, 8).var() + 0.16 / 40)  # 40 scores
    assert inside > 0.8 - 4 * error
    with pytest.raises(ValueError, match=r"estimator must have a prior.*NRE\(prior=None\)"):
        CalibratedPosterior(NRE()).fit(*simulate(50, 0))


def test_a_pipeline_transforms_for_regions_too(npe):
    theta, x = simulate(200, 0)
    inner = CalibratedPosterior(NPE(PRIOR, max_epochs=2, **TINY), n_samples=50, random_state=0)
    pipe = make_pipeline(StandardScaler(), inner).fit(theta, 100 * x)
    threshold = pipe.credible_region(100 * x[:3], 0.7)
    scaled = pipe[0].transform(100 * x[:3])
    assert (threshold == pipe[-1].credible_region(scaled, 0.7)).all()
    inside = pipe.in_region(theta[:3], 100 * x[:3], 0.7)
    assert (inside == (pipe.log_prob(theta[:3], 100 * x[:3]) >= threshold)).all()


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"cv": 1.5}, ValueError, "'cv' parameter"),
        ({"cv": "postfit"}, ValueError, "'cv' parameter"),
        ({"method": "platt"}, ValueError, "'method' parameter"),
        ({"n_samples": 0}, ValueError, "'n_samples' parameter"),
        ({"estimator": NPE}, TypeError, "got the class NPE"),
        ({"estimator": StandardScaler()}, ValueError, "'estimator' parameter"),
        ({"cv": "prefit"}, NotFittedError, "not fitted"),
    ],
)
def test_bad_parameters_are_refused(change, error, match):
    parameters = {"estimator": NPE(PRIOR, **TINY)} | change
    with pytest.raises(error, match=match):
        CalibratedPosterior(**parameters).fit(*simulate(50, 0))


def test_another_layout_than_the_fitted_one_is_refused(npe):
    theta, x = simulate(50, 0)
    with pytest.raises(ValueError, match="theta and x must be as in the fit of the estimator"):
        CalibratedPosterior(npe, cv="prefit").fit(theta, x[:, :1])


@pytest.mark.parametrize("level", [0, 1, 1.5, "0.9", None])
def test_bad_levels_are_refused(npe, level):
    calibrated = CalibratedPosterior(npe, cv="prefit", random_state=0).fit(*simulate(30, 1))
    with pytest.raises((ValueError, TypeError), match="level must be"):
        calibrated.credible_region(simulate(1, 2)[1], level)


def test_searches_over_the_estimator_and_by_its_coverage():
    theta, x = simulate(160, 0)
    inner = NPE(PRIOR, max_epochs=2, **TINY)
    search = GridSearchCV(
        CalibratedPosterior(inner, n_samples=50, random_state=0),
        {"estimator__lr": [1e-5, 1e-2]},
        scoring=get_scorer(["log_prob", "coverage"], n_samples=50),
        refit="log_prob",
        cv=2,
    ).fit(theta, x)
    assert search.best_params_ == {"estimator__lr": 1e-2}
    assert search.best_estimator_.estimators_[0].lr == 1e-2
    assert np.isfinite(search.cv_results_["mean_test_coverage"]).all()
