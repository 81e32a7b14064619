"""scikit-learn's searches and cross-validation, on tables, serial and in processes."""

from collections.abc import Callable
from functools import partial

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
import zuko
from scipy import stats
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

import sksbi.pipeline
from sksbi import AMNPE, AMNRE, FMPE, NLE, NPSE, NRE, ClassifierRatio, QuantilePosterior
from sksbi.losses import criterion_names
from sksbi.nn import RatioMLP, VectorField

Pairs = tuple[pd.DataFrame, pd.DataFrame]


def fold_scores(estimator: BaseEstimator, pairs: Pairs, cv: KFold) -> list[float]:
    """Score by hand: both tables split by the same rows."""
    theta, x = pairs
    return [
        clone(estimator).fit(theta.iloc[train], x.iloc[train]).score(theta.iloc[test], x.iloc[test])
        for train, test in cv.split(theta)
    ]


def split_scores(search: BaseEstimator) -> np.ndarray:
    """Collect the score of every candidate on every split."""
    results = pd.DataFrame(search.cv_results_)
    return results.filter(regex=r"split\d+_test_score").to_numpy()


def rates(estimator: BaseEstimator) -> tuple[float, float]:
    """Choose a bad and a good learning rate; some networks start near the solution."""
    if isinstance(estimator, FMPE | NPSE):
        return 0.3, 1e-3
    starts_near = isinstance(estimator, NRE | AMNPE | AMNRE)
    return (1.0, 1e-3) if starts_near else (1e-5, 1e-2)


@pytest.mark.core
def test_cross_validation_splits_theta_and_x_alike(posterior: BaseEstimator, pairs: Pairs) -> None:
    cv = KFold(3, shuffle=True, random_state=0)
    expected = fold_scores(posterior, pairs, cv)
    result = cross_validate(posterior, *pairs, cv=cv, return_estimator=True, error_score="raise")
    assert result["test_score"].tolist() == expected
    assert cross_val_score(posterior, *pairs, cv=cv).tolist() == expected
    assert list(result["estimator"][0].feature_names_in_) == ["mean", "sd"]


@pytest.mark.core
def test_grid_search_scores_and_refits_the_best(posterior: BaseEstimator, pairs: Pairs) -> None:
    """The one that learns is the best."""
    cv = KFold(2)
    if isinstance(posterior, ClassifierRatio):
        decisive, better = "classifier__logisticregression__C", 0.1
        grid = {decisive: [1e-9, better], "n_marginal": [1, 3]}
    elif isinstance(posterior, QuantilePosterior):
        decisive, better = "regressor__extratreesregressor__min_samples_leaf", 10
        grid = {decisive: [100, better], "trend": ["auto", None]}
    else:
        decisive, (worse, better) = "lr", rates(posterior)
        grid = {decisive: [worse, better], "hidden_features": [(8,), (16, 16)]}
    search = GridSearchCV(posterior, grid, cv=cv, error_score="raise").fit(*pairs)
    for parameters, scores in zip(search.cv_results_["params"], split_scores(search), strict=True):
        candidate = clone(posterior).set_params(**parameters)
        assert scores.tolist() == fold_scores(candidate, pairs, cv)
    assert search.best_params_[decisive] == better
    refitted = clone(posterior).set_params(**search.best_params_).fit(*pairs)
    np.testing.assert_array_equal(
        search.best_estimator_.log_prob(*pairs), refitted.log_prob(*pairs)
    )
    assert search.score(*pairs) == refitted.score(*pairs)


def test_randomized_search_draws_from_distributions(network: BaseEstimator, pairs: Pairs) -> None:
    space = {"lr": stats.loguniform(1e-4, 1e-2), "optimizer__weight_decay": stats.uniform(0, 0.1)}
    search = RandomizedSearchCV(
        network, space, n_iter=3, cv=2, random_state=0, error_score="raise"
    ).fit(*pairs)
    best = search.best_estimator_
    assert search.best_params_.items() <= best.get_params().items()
    assert best.history_["lr"].max() <= search.best_params_["lr"]
    assert len({tuple(scores) for scores in split_scores(search)}) == 3


@pytest.mark.parametrize(
    ("resource", "limits"),
    [
        ("max_epochs", {"min_resources": 2, "max_resources": 4}),
        ("n_samples", {"min_resources": 100, "max_resources": 200}),
    ],
)
def test_halving_search(
    network: BaseEstimator, pairs: Pairs, resource: str, limits: dict[str, int]
) -> None:
    worse, better = rates(network)
    search = HalvingGridSearchCV(
        network,
        {"lr": [worse, better]},
        resource=resource,
        factor=2,
        cv=2,
        random_state=0,
        error_score="raise",
        **limits,
    ).fit(*pairs)
    assert search.n_resources_ == list(limits.values())
    assert search.best_params_["lr"] == better
    epochs = limits["max_resources"] if resource == "max_epochs" else network.max_epochs
    assert len(search.best_estimator_.history_) == epochs


def splines(features: int, context: int, **options: object) -> torch.nn.Module:
    return zuko.flows.NSF(features, context, bins=3, **options)


def wide(features: int, context: int, **options: object) -> torch.nn.Module:
    return RatioMLP(features, context, hidden_features=(24,))


def single(features: int, context: int, **options: object) -> torch.nn.Module:
    return VectorField(features, context, hidden_features=(24,), members=1)


def linear(features: int, context: int, **options: object) -> torch.nn.Module:
    return RatioMLP(features, context, members=1, activation=torch.nn.Identity)


ARCHITECTURES = {
    "flow": ["nsf", splines, zuko.flows.MAF],
    "network": [wide, linear],
    "masks": ["uniform", 0.9, [["sd"]]],
}

MEMBERS = "module__members", [1, 3]

SEARCHED = {
    "optimizer__weight_decay": [0.0, 10.0],
    "optimizer": ["adamw", torch.optim.Adam, partial(torch.optim.SGD, momentum=0.9)],
    "callbacks__gradient_clipping__gradient_clip_value": [5.0, 1e-9],
    "callbacks__lr_scheduler": [None],
    "flow or network": None,
    "module__activation": [torch.nn.ReLU, torch.nn.Tanh],
    "iterator_train__batch_size": [20, 90],
}


@pytest.mark.core
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=[pytest.mark.slow] if "_scheduler" in name or "size" in name else []
        )
        for name in SEARCHED
    ],
)
def test_parameters_of_every_part_are_searched(
    network: BaseEstimator, pairs: Pairs, name: str
) -> None:
    """Each value arrives: it scores like an estimator built with it, and unlike the others."""
    if isinstance(network, FMPE):
        ways = {"flow or network": ("network", [single]), "module__activation": MEMBERS}
        name, values = ways.get(name, (name, None))
        _search(network, pairs, name, values or SEARCHED[name])
        return
    if name == "flow or network":
        name = next(name for name in ARCHITECTURES if name in network.get_params())
    if isinstance(network, NLE) and name == "module__activation":
        network = clone(network).set_params(flow="maf")  # splines have none
    values = SEARCHED.get(name) or ARCHITECTURES[name]
    if isinstance(network, AMNPE) and name == "module__activation":
        name, values = "module__bins", [3, 4]  # it has rectifiers alone
    _search(network, pairs, name, values)


def _search(network: BaseEstimator, pairs: Pairs, name: str, values: list) -> None:
    """Search the values of a parameter, and compare with fits by hand."""
    cv = KFold(2)
    search = GridSearchCV(network, {name: values}, cv=cv, error_score="raise").fit(*pairs)
    scores = split_scores(search)
    for value, row in zip(values, scores, strict=True):
        parameters = network.get_params(deep=False) | {name: value}
        assert row.tolist() == fold_scores(type(network)(**parameters), pairs, cv)
    distinct = len({tuple(row) for row in [*scores, fold_scores(network, pairs, cv)]})
    assert distinct >= max(2, len(values))


def test_two_names_of_one_flow_are_one_flow(flow_density: BaseEstimator, pairs: Pairs) -> None:
    flows = [splines, partial(zuko.flows.NSF, bins=3)]
    search = GridSearchCV(flow_density, {"flow": flows}, cv=2, error_score="raise").fit(*pairs)
    first, second = split_scores(search)
    np.testing.assert_array_equal(first, second)


# What ratio estimators have of their own.


@pytest.mark.filterwarnings("ignore:the training did not get beyond")
def test_criteria_are_searched(make_pairs: Callable[..., Pairs], prior: dict) -> None:
    """Each criterion arrives, and each learns something: better than a ratio of one."""
    pairs, cv = make_pairs(400), KFold(2)
    nre = NRE(prior, hidden_features=(16,), max_epochs=5, random_state=0)
    grid = {"criterion": criterion_names("ratio")}
    assert len(grid["criterion"]) == 5
    search = GridSearchCV(nre, grid, cv=cv, error_score="raise").fit(*pairs)
    scores = split_scores(search)
    for criterion, row in zip(grid["criterion"], scores, strict=True):
        candidate = clone(nre).set_params(criterion=criterion)
        assert row.tolist() == fold_scores(candidate, pairs, cv)
    assert len({tuple(row) for row in scores}) == 5
    assert (scores > -np.log(2)).all()
    assert search.best_estimator_.sample(pairs[1].iloc[0], 5).shape == (5, 2)


def test_classifiers_are_searched(make_pairs: Callable[..., Pairs], prior: dict) -> None:
    """The one that cannot see what theta and x have in common is not the best."""
    pairs = make_pairs(400)
    line = LogisticRegression()
    quadratic = make_pipeline(PolynomialFeatures(), StandardScaler(), LogisticRegression(C=0.1))
    trees = HistGradientBoostingClassifier(max_iter=20, max_leaf_nodes=5)
    grid = {"classifier": [line, quadratic, trees]}
    ratio = ClassifierRatio(prior=prior, calibration="sigmoid", n_folds=2, random_state=0)
    search = GridSearchCV(ratio, grid, cv=2, error_score="raise").fit(*pairs)
    blind, *seeing = search.cv_results_["mean_test_score"]
    # overfitted a little; the mean of 400 terms that tell nothing is known to about 0.01
    assert blind == pytest.approx(-np.log(2), abs=0.03)
    assert min(seeing) > blind + 0.02
    assert search.best_params_["classifier"] is not line
    draws = search.best_estimator_.sample(pairs[1].iloc[0], 100)
    assert np.isfinite(search.best_estimator_.log_prob(draws, pairs[1].iloc[0])).all()


def test_parameters_of_the_classifier_are_searched(pairs: Pairs, prior: dict) -> None:
    trees = HistGradientBoostingClassifier(max_iter=10)
    ratio = ClassifierRatio(trees, prior, calibration="sigmoid", n_folds=2, random_state=0)
    cv, depths = KFold(2), [1, 3]
    search = GridSearchCV(ratio, {"classifier__max_depth": depths}, cv=cv, error_score="raise")
    scores = split_scores(search.fit(*pairs))
    for depth, row in zip(depths, scores, strict=True):
        candidate = clone(ratio).set_params(classifier__max_depth=depth)
        assert row.tolist() == fold_scores(candidate, pairs, cv)
    assert tuple(scores[0]) != tuple(scores[1])
    assert trees.max_depth is None


@pytest.mark.parametrize(
    ("final", "grid"),
    [
        (NRE(hidden_features=(16,), max_epochs=3), {"nre__lr": [1.0, 1e-3]}),
        (
            ClassifierRatio(calibration="sigmoid", n_folds=2),
            {"classifierratio__classifier": [LogisticRegression(), None]},
        ),
    ],
    ids=["NRE", "ClassifierRatio"],
)
def test_ratios_behind_a_scaler_are_searched(
    make_pairs: Callable[..., Pairs], prior: dict, final: BaseEstimator, grid: dict
) -> None:
    pipe = sksbi.pipeline.make_pipeline(
        StandardScaler(), clone(final).set_params(prior=prior, random_state=0)
    )
    pairs = make_pairs(400)
    search = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(*pairs)
    assert search.best_index_ == 1
    best = search.best_estimator_
    assert search.score(*pairs) == best.score(*pairs) > -np.log(2)
    assert best.sample(pairs[1].iloc[:2], 5).index.names == ["observation", "draw"]


def parallel_grid(estimator: BaseEstimator) -> dict[str, list]:
    """Choose what is searched: parts by name, and functions of this module."""
    if isinstance(estimator, ClassifierRatio):
        trees = RandomForestClassifier(5, max_depth=4)
        return {"calibration": ["sigmoid", "isotonic"], "classifier": [estimator.classifier, trees]}
    if isinstance(estimator, QuantilePosterior):
        trees = RandomForestRegressor(5, max_depth=4)
        return {"levels": [5, 7], "regressor": [estimator.regressor, trees]}
    if isinstance(estimator, NRE):
        return {"lr": [1e-3, 1e-2], "network": ["mlp", wide]}
    if isinstance(estimator, AMNPE | AMNRE):
        return {"lr": [1e-3, 1e-2], "masks": ["uniform", [["sd"]]]}
    if isinstance(estimator, FMPE | NPSE):
        return {"lr": [1e-3, 1e-2], "network": ["mlp", single]}
    return {"lr": [1e-3, 1e-2], "flow": ["maf", partial(zuko.flows.NSF, bins=4)]}


def in_parallel(
    estimator: BaseEstimator, pairs: Pairs, n_jobs: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Search with a number of jobs: all scores, and draws of the best."""
    grid = parallel_grid(estimator)
    search = GridSearchCV(estimator, grid, cv=2, n_jobs=n_jobs, error_score="raise").fit(*pairs)
    draws = search.best_estimator_.sample(pairs[1].iloc[0], 100, random_state=0)
    return split_scores(search), draws.to_numpy()


@pytest.mark.core
@pytest.mark.parametrize(
    "n", [600, pytest.param(10_000, marks=pytest.mark.slow)], ids=["600 rows", "10,000 rows"]
)
def test_two_processes_and_two_threads_equal_serial_bit_for_bit(
    posterior: BaseEstimator, make_pairs: Callable[..., Pairs], n: int
) -> None:
    estimator = clone(posterior)
    if not isinstance(estimator, ClassifierRatio | QuantilePosterior):
        estimator.set_params(batch_size=100, max_epochs=2)
    pairs = make_pairs(n)
    serial = in_parallel(estimator, pairs, None)
    processes = in_parallel(estimator, pairs, 2)
    with joblib.parallel_config("threading", n_jobs=2):
        threads = in_parallel(estimator, pairs, None)
    for expected, *results in zip(serial, processes, threads, strict=True):
        for result in results:
            np.testing.assert_array_equal(result, expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_dask_equals_serial_bit_for_bit(posterior: BaseEstimator, pairs: Pairs) -> None:
    distributed = pytest.importorskip("distributed")
    serial = in_parallel(posterior, pairs, None)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config("dask"),
    ):
        remote = in_parallel(posterior, pairs, None)
    for expected, result in zip(serial, remote, strict=True):
        np.testing.assert_array_equal(result, expected)
