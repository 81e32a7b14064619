"""Scorers: they are the measures, in every search, and rank the exact posterior first."""

import gc
import pickle
import threading

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate
from sklearn.preprocessing import StandardScaler

from sksbi import NPE, NRE, ClassifierRatio, Ensemble, PosteriorRegressor
from sksbi.estimators.batch import AskedBatch
from sksbi.metrics import (
    crps,
    draw_held_out,
    energy_score,
    expected_coverage,
    get_scorer,
    get_scorer_names,
    posterior_contraction,
    rank_ecdf,
    sbc_ranks,
    sharing,
    tarp_coverage,
)
from sksbi.pipeline import make_pipeline
from sksbi.samplers import ImportanceResampling

SD = np.sqrt(0.5)


class Gaussian(BaseEstimator):
    """The posterior of theta ~ N(0, 1), x ~ N(theta, 1), widened or shifted if one likes."""

    def __init__(self, width=1.0, shift=0.0, unit=1.0):
        self.width = width
        self.shift = shift
        self.unit = unit

    def fit(self, theta, x):
        self.n_calls_ = 0
        return self

    def sample(self, x, n_samples=1000, *, random_state=None):
        self.n_calls_ = getattr(self, "n_calls_", 0) + 1
        mean, sd = self._moments(x)
        noise = np.random.default_rng(random_state).normal(size=(len(x), n_samples, x.shape[1]))
        return mean[:, None] + sd * noise

    def log_prob(self, theta, x):
        mean, sd = self._moments(x)
        return stats.norm.logpdf(theta, mean if theta.ndim == 2 else mean[:, None], sd).sum(axis=-1)

    def _moments(self, x):
        unit = np.asarray(self.unit)
        return unit * (x / 2 + self.shift * SD), unit * self.width * SD


@pytest.fixture(scope="module")
def made(gaussian):
    return gaussian(600, 1)


def closeness(curve):
    levels, values = curve
    return -np.mean([np.abs(column - levels).mean() for column in np.atleast_2d(values.T)])


DIRECTLY = {
    "log_prob": lambda d: d.log_prob_theta.mean(),
    "coverage": lambda d: closeness(expected_coverage(d.log_prob_draws, d.log_prob_theta)),
    "sbc": lambda d: closeness(rank_ecdf(sbc_ranks(d.draws, d.theta), d.n_draws)),
    "tarp": lambda d: closeness(tarp_coverage(d.draws, d.theta, random_state=0)),
    "neg_energy_score": lambda d: -energy_score(d.draws, d.theta, scale=d.theta.std(axis=0)).mean(),
    "neg_crps": lambda d: -np.mean(crps(d.draws, d.theta).mean(axis=0) / d.theta.std(axis=0)),
    "contraction": lambda d: np.median(posterior_contraction(d.draws, d.theta), axis=0).mean(),
}


def test_the_names_are_all_known():
    assert get_scorer_names() == sorted(DIRECTLY)


@pytest.mark.parametrize("name", DIRECTLY)
def test_scores_are_the_measures_of_the_same_draws(made, name):
    estimator = Gaussian(width=1.2, unit=[1.0, 100.0])
    theta = made.theta * [1.0, 100.0]
    score = get_scorer(name, n_samples=50, random_state=3)(estimator, theta, made.x)
    draws = draw_held_out(estimator, theta, made.x, 50, random_state=3)
    assert isinstance(score, float)
    np.testing.assert_allclose(score, DIRECTLY[name](draws), rtol=1e-12)


@pytest.mark.parametrize("name", sorted(set(DIRECTLY) - {"contraction"}))
@pytest.mark.parametrize("wrong", [{"width": 1.5}, {"width": 0.67}, {"shift": 1.0}])
def test_the_exact_posterior_scores_highest(made, name, wrong):
    scorer = get_scorer(name, n_samples=200)
    assert scorer(Gaussian(), made.theta, made.x) > scorer(Gaussian(**wrong), made.theta, made.x)


def test_scores_of_the_exact_posterior_are_known(made):
    scores = get_scorer(get_scorer_names(), n_samples=400)(Gaussian(), made.theta, made.x)
    n, d = made.theta.shape
    entropy = d * np.log(SD * np.sqrt(2 * np.pi * np.e))
    assert abs(scores["log_prob"] + entropy) < 4 * np.sqrt(d / 2 / n)
    # The mean CRPS of a normal about its own draws is sd / sqrt(pi).
    values = crps(
        draw_held_out(Gaussian(), made.theta, made.x, 400, random_state=0).draws, made.theta
    )
    error = 4 * values.std() / np.sqrt(values.size) + SD / np.sqrt(np.pi) * 4 / np.sqrt(2 * n)
    assert abs(scores["neg_crps"] + SD / np.sqrt(np.pi)) < error
    # The energy score of a normal about its own draws is half their mean distance, by theta's sd.
    assert abs(scores["neg_energy_score"] + SD * np.sqrt(np.pi) / 2) < 2 * error
    assert abs(scores["contraction"] - 0.5) < 4 * 0.5 * np.sqrt(2 / (n * d))
    # A mean distance is at most the largest, whose distribution is Kolmogorov's.
    for name in ("coverage", "sbc", "tarp"):
        assert -stats.kstwobign.isf(0.001) / np.sqrt(n) < scores[name] < 0


def test_units_do_not_matter_but_to_densities(made):
    scorer, unit = get_scorer(get_scorer_names(), n_samples=50), np.array([1024.0, 0.25])
    scores = scorer(Gaussian(), made.theta, made.x)
    others = scorer(Gaussian(unit=unit), made.theta * unit, made.x)
    for name in set(scores) - {"log_prob"}:
        np.testing.assert_allclose(others[name], scores[name], rtol=1e-12)
    np.testing.assert_allclose(others["log_prob"], scores["log_prob"] - np.log(unit).sum())


def test_several_names_share_one_set_of_draws(made):
    estimator = Gaussian().fit(made.theta, made.x)
    names = ["sbc", "log_prob", "tarp"]
    scores = get_scorer(names, n_samples=20)(estimator, made.theta, made.x)
    assert estimator.n_calls_ == 1
    assert list(scores) == names
    for name in names:
        assert scores[name] == get_scorer(name, n_samples=20)(estimator, made.theta, made.x)


class Counted(Gaussian):
    """The same, which counts what it is asked, by the number of theta."""

    def fit(self, theta, x):
        self.asked_ = []
        return super().fit(theta, x)

    def log_prob(self, theta, x):
        self.asked_.append(np.size(theta) // theta.shape[-1])
        return super().log_prob(theta, x)


NEEDED = {name: (1, []) for name in ("sbc", "tarp", "neg_energy_score", "neg_crps", "contraction")}
NEEDED |= {"log_prob": (0, [600]), "coverage": (1, [600, 12_000])}


@pytest.mark.parametrize("name", NEEDED)
def test_a_scorer_asks_for_no_more_than_it_needs(made, name):
    estimator = Counted().fit(made.theta, made.x)
    get_scorer(name, n_samples=20)(estimator, made.theta, made.x)
    assert (estimator.n_calls_, sorted(estimator.asked_)) == NEEDED[name]


@pytest.mark.parametrize("first", ["coverage", "sbc"])
def test_several_scorers_in_a_dict_share_one_drawing(made, first):
    """In any order, with the numbers of each alone."""
    names = sorted(NEEDED, key=lambda name: name != first)
    scorers = {name: get_scorer(name, n_samples=20) for name in names}
    found = cross_validate(
        Counted(), made.theta, made.x, scoring=scorers, cv=2, return_estimator=True
    )
    for k, (_, test) in enumerate(KFold(2).split(made.x)):
        estimator = found["estimator"][k]
        assert estimator.n_calls_ == 1
        assert estimator.asked_.count(6_000) == 1
        for name in names:
            alone = Counted().fit(made.theta, made.x)
            score = scorers[name](alone, made.theta[test], made.x[test])
            assert found[f"test_{name}"][k] == score


CHANGES = {
    "fit again": lambda e, theta, x: (e.set_params(shift=1.0), theta, x),
    "other pairs": lambda e, theta, x: (e, theta, x + 1.0),
    "other theta": lambda e, theta, x: (e, theta + 1.0, x),
    "pairs in another order": lambda e, theta, x: (e, theta[::-1], x[::-1]),
    "another estimator": lambda e, theta, x: (clone(e).fit(theta, x), theta, x),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("in_place", [True, False])
def test_what_is_shared_is_never_of_something_else(made, change, in_place):
    estimator, theta, x = Gaussian().fit(made.theta, made.x), made.theta.copy(), made.x.copy()
    scorers = [get_scorer(name, n_samples=20) for name in ("sbc", "neg_crps")]
    scorers[0](estimator, theta, x)
    other, new_theta, new_x = change(estimator, theta, x)
    if in_place:
        theta[:], x[:] = new_theta.copy(), new_x.copy()
    else:
        theta, x = new_theta, new_x
    fresh = Gaussian(**other.get_params()).fit(theta, x)
    assert scorers[1](other, theta, x) == scorers[1](fresh, theta.copy(), x.copy())


def test_draws_are_shared_by_the_same_seed_and_number_only(made):
    estimator = Gaussian().fit(made.theta, made.x)
    for options in ({}, {"random_state": 1}, {"n_samples": 30}):
        for name in ("sbc", "tarp"):
            get_scorer(name, **{"n_samples": 20} | options)(estimator, made.theta, made.x)
    assert estimator.n_calls_ == 3
    for name in ("sbc", "tarp"):
        get_scorer(name, n_samples=20, random_state=None)(estimator, made.theta, made.x)
    assert estimator.n_calls_ == 5


def test_a_network_changed_in_place_is_drawn_from_again(pairs):
    theta, x = pairs
    estimator = npe().fit(theta, x)
    scorers = [get_scorer(name, n_samples=20) for name in ("sbc", "neg_crps")]
    before = scorers[1](estimator, theta, x)
    scorers[0](estimator, theta, x)
    with torch.no_grad():
        next(estimator.net_.module_.flow.parameters()).add_(0.1)
    changed = scorers[1](estimator, theta, x)
    assert changed != before
    assert changed == scorers[1](pickle.loads(pickle.dumps(estimator)), theta, x)
    estimator.set_params(random_state=1).fit(theta, x)
    assert scorers[1](estimator, theta, x) not in (before, changed)


def test_a_drawing_does_not_outlive_its_estimator(made):
    estimator = Gaussian().fit(made.theta, made.x)
    get_scorer("sbc", n_samples=20)(estimator, made.theta, made.x)
    last = sharing._KEPT.last
    assert last.drawing.draws.shape == (600, 20, 2)
    del estimator
    gc.collect()
    assert last.drawing is None


@pytest.mark.parametrize("prior_holds", ["lambda", "what cannot be pickled"])
def test_what_cannot_be_pickled_is_scored_too(made, prior_holds):
    estimator = Gaussian().fit(made.theta, made.x)
    held = threading.Lock() if prior_holds != "lambda" else lambda theta: theta
    estimator.held_ = held
    scorers = {name: get_scorer(name, n_samples=20) for name in ("sbc", "tarp")}
    scores = {name: scorer(estimator, made.theta, made.x) for name, scorer in scorers.items()}
    assert estimator.n_calls_ == (1 if prior_holds == "lambda" else 2)
    for name, scorer in scorers.items():
        assert scores[name] == scorer(Gaussian(), made.theta, made.x)


def test_two_threads_do_not_take_each_others_draws(made):
    grid = {"shift": [0.0, 0.5, 1.0, 1.5]}
    scoring = {name: get_scorer(name, n_samples=20) for name in ("sbc", "neg_crps", "tarp")}
    search = GridSearchCV(Gaussian(), grid, scoring=scoring, refit=False, cv=2)
    serial = clone(search).fit(made.theta, made.x).cv_results_
    with joblib.parallel_config("threading", n_jobs=3):
        threads = clone(search).fit(made.theta, made.x).cv_results_
    for name in scoring:
        key = f"mean_test_{name}"
        np.testing.assert_array_equal(threads[key], serial[key])


def test_scores_repeat_by_default_and_follow_the_random_state(made):
    first, again, other = (
        get_scorer("sbc", n_samples=20, random_state=seed)(Gaussian(), made.theta, made.x)
        for seed in (0, 0, 1)
    )
    assert first == again == get_scorer("sbc", n_samples=20)(Gaussian(), made.theta, made.x)
    assert first != other


PRIOR = {"mean": stats.norm(0, 1)}
NAMES = get_scorer_names()


def npe(**options):
    return NPE(max_epochs=2, module__members=1, random_state=0, **options)


def quick():
    return ImportanceResampling(500)


ESTIMATORS = {
    "NPE": npe,
    "NRE": lambda: NRE(PRIOR, hidden_features=(8,), max_epochs=2, sampler=quick(), random_state=0),
    "ClassifierRatio": lambda: ClassifierRatio(
        LogisticRegression(), PRIOR, n_folds=2, sampler=quick(), random_state=0
    ),
    "Ensemble": lambda: Ensemble(npe(), n_estimators=2, random_state=0),
    "Pipeline": lambda: make_pipeline(StandardScaler(), npe()),
}


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(0)
    theta = pd.DataFrame({"mean": rng.normal(size=200)})
    x = pd.DataFrame(theta.to_numpy() + rng.normal(size=(200, 2)), columns=["u", "v"])
    return theta, x


def log_integrals(estimator, x):
    """Integrate exp(log_prob) over theta, by a grid, for every observation."""
    grid = pd.DataFrame({"mean": np.linspace(-8, 8, 1_601)})
    each = [estimator.log_prob(grid, x.iloc[i]) for i in range(len(x))]
    return logsumexp(each, axis=1) + np.log(0.01)


@pytest.mark.parametrize("make", ESTIMATORS.values(), ids=ESTIMATORS)
def test_cross_validation_scores_what_was_held_out(pairs, make):
    theta, x = pairs
    found = cross_validate(
        make(),
        theta,
        x,
        scoring=get_scorer(NAMES, n_samples=30),
        cv=2,
        return_estimator=True,
        return_indices=True,
        error_score="raise",
    )
    for k, test in enumerate(found["indices"]["test"]):
        draws = draw_held_out(
            found["estimator"][k], theta.iloc[test], x.iloc[test], 30, random_state=0
        )
        for name in set(NAMES) - {"log_prob"}:
            np.testing.assert_allclose(found[f"test_{name}"][k], DIRECTLY[name](draws), rtol=1e-12)
        log_p = draws.log_prob_theta - log_integrals(found["estimator"][k], x.iloc[test])
        # Each integral is off by at most 0.05, and 100 of them are averaged.
        np.testing.assert_allclose(found["test_log_prob"][k], log_p.mean(), atol=0.02)
    assert np.isfinite([found[f"test_{name}"] for name in NAMES]).all()


@pytest.mark.parametrize("make", ESTIMATORS.values(), ids=ESTIMATORS)
def test_a_dict_of_scorers_draws_once_a_fold(pairs, make, monkeypatch):
    theta, x = pairs
    options = {"cv": 2, "error_score": "raise"}
    listed = cross_validate(make(), theta, x, scoring=get_scorer(NAMES, n_samples=30), **options)
    drawn, draw = [], AskedBatch.draw

    def counted(self, part, n, generator):
        drawn.append(n)
        return draw(self, part, n, generator)

    monkeypatch.setattr(AskedBatch, "draw", counted)
    scoring = {name: get_scorer(name, n_samples=30) for name in sorted(NAMES, reverse=True)}
    found = cross_validate(make(), theta, x, scoring=scoring, **options)
    assert drawn == [30, 30]
    for name in NAMES:
        np.testing.assert_array_equal(found[f"test_{name}"], listed[f"test_{name}"])


def test_log_prob_of_a_posterior_is_its_own_score(pairs):
    theta, x = pairs
    scorer = get_scorer("log_prob", n_samples=5)
    found = cross_val_score(npe(), theta, x, scoring=scorer, cv=2)
    np.testing.assert_allclose(found, cross_val_score(npe(), theta, x, cv=2), rtol=1e-12)


def test_one_name_a_dict_and_a_list_agree(pairs):
    theta, x = pairs
    options = {"cv": 2, "error_score": "raise"}
    names = ["sbc", "log_prob"]
    each = {name: get_scorer(name, n_samples=20) for name in names}
    listed = cross_validate(npe(), theta, x, scoring=get_scorer(names, n_samples=20), **options)
    as_dict = cross_validate(npe(), theta, x, scoring=each, **options)
    for name in names:
        single = cross_validate(npe(), theta, x, scoring=each[name], **options)
        np.testing.assert_array_equal(single["test_score"], listed[f"test_{name}"])
        np.testing.assert_array_equal(as_dict[f"test_{name}"], listed[f"test_{name}"])


def test_a_search_refits_by_one_of_several_scores(pairs):
    theta, x = pairs
    search = GridSearchCV(
        npe(),
        {"lr": [1e-3, 1e-2]},
        scoring=get_scorer(["coverage", "log_prob"], n_samples=30),
        refit="coverage",
        cv=2,
        error_score="raise",
    ).fit(theta, x)
    results = search.cv_results_
    assert search.best_index_ == np.argmax(results["mean_test_coverage"])
    assert search.best_score_ == results["mean_test_coverage"].max()
    twice = clone(search).fit(theta, x).cv_results_
    np.testing.assert_array_equal(twice["mean_test_coverage"], results["mean_test_coverage"])


def test_a_search_finds_the_exact_posterior(made):
    search = GridSearchCV(
        Gaussian(),
        {"width": [0.5, 1.0, 2.0], "shift": [-1.0, 0.0, 1.0]},
        scoring=get_scorer("neg_energy_score", n_samples=50),
        cv=3,
        error_score="raise",
    ).fit(made.theta, made.x)
    assert search.best_params_ == {"width": 1.0, "shift": 0.0}


@pytest.mark.parametrize("scoring", ["tarp", ["tarp", "sbc"]])
def test_scorers_are_pickled_and_cloned(made, scoring):
    scorer = get_scorer(scoring, n_samples=20, random_state=4)
    expected = scorer(Gaussian(), made.theta, made.x)
    for copy in (pickle.loads(pickle.dumps(scorer)), clone(scorer, safe=False)):
        assert repr(copy) == repr(scorer)
        assert copy(Gaussian(), made.theta, made.x) == expected
    assert repr(scorer) == f"get_scorer({scoring!r}, n_samples=20, random_state=4)"


@pytest.mark.parametrize("as_column", [True, False])
def test_regressors_are_scored_by_their_posterior(pairs, as_column):
    """A regressor has x in X's place and theta in y's."""
    theta, x = pairs
    y = theta if as_column else theta["mean"]
    regressor = PosteriorRegressor(npe(), random_state=0)
    scoring = get_scorer(["log_prob", "sbc"], n_samples=20)
    scores = cross_validate(regressor, x, y, scoring=scoring, cv=2)
    fitted = regressor.fit(x, y)
    expected = get_scorer("sbc", n_samples=20)(fitted.estimator_, theta.to_numpy(), x.to_numpy())
    assert get_scorer("sbc", n_samples=20)(fitted, x, y) == expected
    assert np.isfinite(scores["test_log_prob"]).all()
    assert np.isfinite(scores["test_sbc"]).all()


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"scoring": "cover"}, ValueError, "scoring must be one or .*'coverage'.* got 'cover'"),
        ({"scoring": ["sbc", "cover"]}, ValueError, r"scoring must .* got \['sbc', 'cover'\]"),
        ({"scoring": []}, ValueError, r"scoring must be one or several of .* got \[\]"),
        ({"scoring": ""}, ValueError, "scoring must be one or several of .* got ''"),
        ({"scoring": "sbc", "n_samples": 0}, ValueError, "n_samples must be an int >= 2, got 0"),
        ({"scoring": "sbc", "n_samples": 1.5}, TypeError, "n_samples must be an int >= 2, got 1.5"),
    ],
)
def test_bad_scorers_are_refused(arguments, error, match):
    with pytest.raises(error, match=match):
        get_scorer(**arguments)


@pytest.mark.parametrize(
    ("scoring", "options", "match"),
    [
        (None, {}, "scoring must be one or several of"),
        (3, {}, "scoring must be one or several of"),
        ("coverage", {"random_state": -1}, "random_state must be"),
    ],
)
def test_bad_arguments_are_refused_at_once(scoring, options, match):
    with pytest.raises(ValueError, match=match):
        get_scorer(scoring, **options)


@pytest.mark.parametrize("scoring", [[["tarp"]], {}, [3], None, [np.array(["tarp"])]])
def test_names_in_anything_but_a_list_are_refused(scoring):
    with pytest.raises(ValueError, match="scoring must be one or several of"):
        get_scorer(scoring)
