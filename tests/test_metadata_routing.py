"""Metadata go where scikit-learn's routing sends them: weights through our Pipeline above all."""

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import (
    BaggingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.preprocessing import StandardScaler

from sksbi import (
    NLE,
    NPE,
    CalibratedPosterior,
    ClassifierRatio,
    Ensemble,
    PosteriorRegressor,
    QuantilePosterior,
)
from sksbi.pipeline import Pipeline, make_pipeline

TINY = {"flow": "maf", "transforms": 2, "hidden_features": (16,), "max_epochs": 2}
RNG = np.random.default_rng(0)
THETA = RNG.normal(size=(150, 2))
X = THETA @ RNG.normal(size=(2, 4)) * [1.0, 100.0, 0.01, 1.0] + RNG.normal(size=(150, 4))
WEIGHTS = RNG.integers(0, 3, 150).astype(float)


@pytest.fixture(autouse=True)
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def npe(fit=True, score=None) -> NPE:
    made = NPE(**TINY, random_state=0)
    return made.set_fit_request(sample_weight=fit).set_score_request(sample_weight=score)


def scaler(fit=False) -> StandardScaler:
    return StandardScaler().set_fit_request(sample_weight=fit)


def by_hand(rows: slice | np.ndarray = slice(None), *, weighs_scaler: bool = False):
    """Fit a scaler and NPE one after the other, with weights."""
    theta, x, weights = THETA[rows], X[rows], WEIGHTS[rows]
    scale = StandardScaler().fit(x, sample_weight=weights if weighs_scaler else None)
    return scale, NPE(**TINY, random_state=0).fit(theta, scale.transform(x), sample_weight=weights)


@pytest.mark.parametrize("weighs_scaler", [True, False])
def test_weights_reach_the_steps_that_request_them(weighs_scaler: bool) -> None:
    pipe = make_pipeline(scaler(weighs_scaler), npe()).fit(THETA, X, sample_weight=WEIGHTS)
    scale, alone = by_hand(weighs_scaler=weighs_scaler)
    np.testing.assert_array_equal(pipe[0].mean_, scale.mean_)
    expected = X.repeat(WEIGHTS.astype(int), axis=0) if weighs_scaler else X
    np.testing.assert_allclose(pipe[0].mean_, expected.mean(axis=0), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(
        pipe.log_prob(THETA, X), alone.log_prob(THETA, scale.transform(X))
    )
    unweighted = make_pipeline(StandardScaler(), npe()).fit(THETA, X)
    assert (pipe.log_prob(THETA, X) != unweighted.log_prob(THETA, X)).any()


def test_weights_are_the_same_without_routing() -> None:
    pipe = make_pipeline(scaler(), npe()).fit(THETA, X, sample_weight=WEIGHTS)
    with sklearn.config_context(enable_metadata_routing=False):
        other = make_pipeline(StandardScaler(), NPE(**TINY, random_state=0))
        other.fit(THETA, X, npe__sample_weight=WEIGHTS)
    np.testing.assert_array_equal(pipe.log_prob(THETA, X), other.log_prob(THETA, X))


def test_other_names_of_weights() -> None:
    inner = npe().set_fit_request(sample_weight="w").set_score_request(sample_weight="v")
    pipe = make_pipeline(scaler("u"), inner).fit(THETA, X, u=WEIGHTS, w=WEIGHTS)
    scale, alone = by_hand(weighs_scaler=True)
    np.testing.assert_array_equal(pipe[0].mean_, scale.mean_)
    scaled = scale.transform(X)
    np.testing.assert_array_equal(pipe.log_prob(THETA, X), alone.log_prob(THETA, scaled))
    expected = alone.score(THETA, scaled, sample_weight=WEIGHTS)
    assert pipe.score(THETA, X, v=WEIGHTS) == expected != pipe.score(THETA, X)


routes_scores = pytest.mark.skipif(
    not hasattr(BaseEstimator, "_get_params_html"),
    reason="before scikit-learn 1.7 the default scorer does not ask the parts of an estimator",
)


@routes_scores
@pytest.mark.parametrize("scores", [True, False])
def test_cross_validation_cuts_weights_as_it_cuts_rows(scores: bool) -> None:
    pipe, cv = make_pipeline(scaler(True), npe(score=scores)), KFold(2)
    found = cross_validate(
        pipe, THETA, X, params={"sample_weight": WEIGHTS}, cv=cv, error_score="raise"
    )
    for score, (train, test) in zip(found["test_score"], cv.split(X), strict=True):
        scale, alone = by_hand(train, weighs_scaler=True)
        weights = WEIGHTS[test] if scores else None
        assert score == alone.score(THETA[test], scale.transform(X[test]), sample_weight=weights)


@routes_scores
def test_searches_route_weights_and_refit_with_them() -> None:
    pipe = make_pipeline(scaler(), npe(score=True))
    search = GridSearchCV(pipe, {"npe__lr": [1e-6, 5e-3]}, cv=KFold(2), error_score="raise")
    search.fit(THETA, X, sample_weight=WEIGHTS)
    assert search.best_params_ == {"npe__lr": 5e-3}
    scale, alone = by_hand()
    np.testing.assert_array_equal(
        search.best_estimator_.log_prob(THETA, X), alone.log_prob(THETA, scale.transform(X))
    )
    with sklearn.config_context(enable_metadata_routing=False):
        other = GridSearchCV(pipe, {"npe__lr": [1e-6, 5e-3]}, cv=KFold(2), error_score="raise")
        other.fit(THETA, X, npe__sample_weight=WEIGHTS)
    np.testing.assert_array_equal(
        other.best_estimator_.log_prob(THETA, X), search.best_estimator_.log_prob(THETA, X)
    )


class Shift(BaseEstimator):
    """Subtract what it is given, in fit and in transform."""

    def fit(self, X, y=None):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def transform(self, X, by=None):
        return X if by is None else X - by


def test_metadata_of_transform_reach_the_transformers() -> None:
    shift = Shift().set_transform_request(by=True)
    pipe = make_pipeline(shift, npe(fit=None)).fit(THETA, X + 3, by=3)
    alone = NPE(**TINY, random_state=0).fit(THETA, X + 3 - 3)
    assert pipe.score(THETA, X + 5, by=5) == alone.score(THETA, X + 5 - 5)
    assert pipe.score(THETA, X + 3 - 3) == alone.score(THETA, X + 3 - 3)


@pytest.mark.parametrize(
    ("steps", "match"),
    [
        ((StandardScaler(), {"fit": True}), "for StandardScaler.fit.*, which is used within Pipe"),
        ((None, {"fit": None}), "for NPE.fit, which is used within Pipeline.fit"),
    ],
)
def test_a_missing_request_is_an_error(steps: tuple, match: str) -> None:
    first, requests = steps
    pipe = make_pipeline(scaler() if first is None else first, npe(**requests))
    with pytest.raises(UnsetMetadataPassedError, match=match):
        pipe.fit(THETA, X, sample_weight=WEIGHTS)
    fitted = make_pipeline(StandardScaler(), npe()).fit(THETA, X)
    with pytest.raises(UnsetMetadataPassedError, match="for NPE.score, which is used within Pip"):
        fitted.score(THETA, X, sample_weight=WEIGHTS)


@pytest.mark.parametrize("name", ["npe__sample_weight", "weight"])
def test_what_nobody_requests_is_an_error(name: str) -> None:
    pipe = make_pipeline(scaler(), npe())
    with pytest.raises(TypeError, match=f"Pipeline.fit got unexpected argument.*{name}"):
        pipe.fit(THETA, X, **{name: WEIGHTS})
    pipe.fit(THETA, X)
    with pytest.raises(TypeError, match=f"Pipeline.score got unexpected argument.*{name}"):
        pipe.score(THETA, X, **{name: WEIGHTS})


def test_score_takes_nothing_else_without_routing() -> None:
    pipe = make_pipeline(StandardScaler(), NPE(**TINY)).fit(THETA, X)
    with (
        sklearn.config_context(enable_metadata_routing=False),
        pytest.raises(TypeError, match="unexpected keyword argument 'weight'"),
    ):
        pipe.score(THETA, X, weight=WEIGHTS)


def test_the_routing_of_a_pipeline_is_that_of_its_steps() -> None:
    pipe = make_pipeline(scaler(True), npe(score=False))
    routing = pipe.get_metadata_routing()
    assert routing.consumes("fit", ["sample_weight", "other"]) == {"sample_weight"}
    assert routing.consumes("score", ["sample_weight"]) == set()


# Meta-estimators take weights themselves, and give them on to what they fit.

META = {
    "Ensemble": lambda: Ensemble(NPE(**TINY), n_estimators=2, random_state=0),
    "CalibratedPosterior": lambda: CalibratedPosterior(NPE(**TINY), n_samples=20, random_state=0),
    "ClassifierRatio": lambda: ClassifierRatio(LogisticRegression(), n_folds=2, random_state=0),
    "trees": lambda: ClassifierRatio(
        HistGradientBoostingClassifier(max_iter=5), n_folds=2, random_state=0
    ),
    "Bagging": lambda: ClassifierRatio(
        BaggingClassifier(LogisticRegression(), 3), n_folds=2, random_state=0
    ),
    "quantiles": lambda: QuantilePosterior(
        HistGradientBoostingRegressor(max_iter=5), levels=3, n_folds=2, random_state=0
    ),
    "no calibration": lambda: ClassifierRatio(
        LogisticRegression(), calibration=None, random_state=0
    ),
}


@pytest.mark.parametrize("make", META.values(), ids=META)
def test_meta_estimators_take_weights_as_without_routing(make) -> None:
    with sklearn.config_context(enable_metadata_routing=False):
        scaled = StandardScaler().fit_transform(X)
        expected = clone(make()).fit(THETA, scaled, sample_weight=WEIGHTS)
    final = make().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    pipe = Pipeline([("scale", scaler()), ("final", final)])
    pipe.fit(THETA, X, sample_weight=WEIGHTS)
    score = pipe.score(THETA, X, sample_weight=WEIGHTS)
    assert score == expected.score(THETA, scaled, sample_weight=WEIGHTS)
    assert score != make().fit(THETA, scaled).score(THETA, scaled, sample_weight=WEIGHTS)
    name = type(final).__name__
    with pytest.raises(UnsetMetadataPassedError, match=f"for {name}.fit, which is used within"):
        make_pipeline(scaler(), make()).fit(THETA, X, sample_weight=WEIGHTS)


# The regressor is a router, as TransformedTargetRegressor.


def test_the_regressor_gives_weights_to_an_estimator_that_requests_them() -> None:
    regressor = PosteriorRegressor(npe(), n_samples=20, random_state=0)
    found = regressor.fit(X, THETA, sample_weight=WEIGHTS).predict(X[:5])
    with sklearn.config_context(enable_metadata_routing=False):
        expected = clone(regressor).fit(X, THETA, sample_weight=WEIGHTS).predict(X[:5])
        assert (clone(regressor).fit(X, THETA).predict(X[:5]) != expected).any()
    np.testing.assert_array_equal(found, expected)


def test_the_regressor_refuses_what_is_not_requested() -> None:
    unset = PosteriorRegressor(npe(fit=None), n_samples=20)
    with pytest.raises(UnsetMetadataPassedError, match="NPE.fit, which is used within Posterior"):
        unset.fit(X, THETA, sample_weight=WEIGHTS)
    with pytest.raises(TypeError, match="(?s)PosteriorRegressor.*fit got unexpected argument"):
        PosteriorRegressor(npe(fit=False)).fit(X, THETA, sample_weight=WEIGHTS)


@routes_scores
def test_the_regressor_in_stock_pipelines_and_cross_validation() -> None:
    inner = make_pipeline(scaler(True), npe())
    regressor = PosteriorRegressor(inner, n_samples=20, random_state=0)
    regressor.set_score_request(sample_weight=True)
    pipe = sklearn.pipeline.make_pipeline(scaler(), regressor)
    cv = KFold(2)
    found = cross_validate(
        pipe, X, THETA, params={"sample_weight": WEIGHTS}, cv=cv, error_score="raise"
    )
    for score, (train, test) in zip(found["test_score"], cv.split(X), strict=True):
        scale = StandardScaler().fit(X[train])
        alone = clone(regressor)
        alone.fit(scale.transform(X[train]), THETA[train], sample_weight=WEIGHTS[train])
        assert score == alone.score(scale.transform(X[test]), THETA[test], WEIGHTS[test])


def test_the_default_estimator_of_the_regressor_requests_weights() -> None:
    routing = PosteriorRegressor().get_metadata_routing()
    assert routing.consumes("fit", ["sample_weight"]) == {"sample_weight"}


@pytest.mark.parametrize("trials", [False, True])
def test_weights_of_likelihoods_behind_steps(trials: bool) -> None:
    """The score weighs log-likelihoods in the units of x, each simulation with its own weight."""
    nle = NLE(**TINY, x_trials=trials, random_state=0)
    nle.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    x = X.reshape(150, 2, 2) if trials else X
    pipe = make_pipeline(scaler(True), nle).fit(THETA, x, sample_weight=WEIGHTS)
    each = WEIGHTS.astype(int)
    rows = X.repeat(each, axis=0).reshape(-1, 2 if trials else 4)
    np.testing.assert_allclose(pipe[0].mean_, rows.mean(axis=0), rtol=1e-9, atol=1e-12)
    expected = np.average(pipe.log_likelihood(THETA, x), weights=WEIGHTS)
    found = pipe.score(THETA, x, sample_weight=WEIGHTS)
    assert found == pytest.approx(expected, abs=1e-4)
    scaled = pipe[0].transform(x.reshape(-1, x.shape[-1])).reshape(x.shape)
    alone = clone(nle).fit(THETA, scaled, sample_weight=WEIGHTS)
    np.testing.assert_array_equal(
        alone.log_likelihood(THETA, scaled), pipe[-1].log_likelihood(THETA, scaled)
    )
