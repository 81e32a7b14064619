"""scikit-learn's own promises: its checks, its signatures, clone, get_params and set_params."""

import inspect
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sklearn.pipeline
import sklearn.preprocessing
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import Ridge
from sklearn.preprocessing import FunctionTransformer

from sksbi import NLE, NPE, NRE, ClassifierRatio, ModelComparison
from sksbi.pipeline import Pipeline

# SCIPY_ARRAY_API is read when scipy is imported, hence a process of its own.
CHECKS = """
import json, pickle, sys
from sklearn.utils.estimator_checks import check_estimator

with open(sys.argv[1], "rb") as file:
    estimators = pickle.load(file)
results = [check_estimator(estimator, on_fail=None, on_skip=None) for estimator in estimators]
kept = [[(r["check_name"], r["status"], repr(r["exception"])) for r in rs] for rs in results]
print("RESULTS" + json.dumps(kept))
"""

# A Pipeline's fit changes its steps, scikit-learn's own too.
FAIL_IN_PIPELINES = {"check_estimators_overwrite_params", "check_dont_overwrite_parameters"}

# The others share their fits with NPE and NRE.
OWN_FITS = ("CalibratedPosterior", "QuantilePosterior", "PosteriorRegressor")
FAMILIES = ("NPE", "NRE", "ClassifierRatio", "Ensemble", *OWN_FITS)

OTHER_PROTOCOLS = [
    "predict",
    "transform",
    "fit_transform",
    "fit_predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "score_samples",
]


@pytest.fixture(scope="module")
def checks(
    table: list[BaseEstimator], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[tuple[str, str, str]]]:
    """Run check_estimator on estimators that share no fit, and on two Pipelines."""
    steps = [("function", FunctionTransformer())]
    cases = {type(estimator).__name__: estimator for estimator in table}
    cases = {name: cases[name] for name in FAMILIES}
    cases["Pipeline"] = Pipeline([*steps, ("final", table[0])])
    cases["stock"] = sklearn.pipeline.Pipeline([*steps, ("final", Ridge())])
    return run_checks(cases, tmp_path_factory.mktemp("checks"))


def run_checks(
    cases: dict[str, BaseEstimator], folder: Path
) -> dict[str, list[tuple[str, str, str]]]:
    """Run check_estimator in a process of its own: (check, status, error) by name."""
    file = folder / "estimators.pickle"
    file.write_bytes(pickle.dumps(list(cases.values())))
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CHECKS, str(file)],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.split("RESULTS")[-1])
    return dict(zip(cases, results, strict=True))


def test_the_table_holds_every_public_estimator(
    table: list[BaseEstimator], public_classes: set[type]
) -> None:
    # A classifier of models is held to scikit-learn's checks beside its other tests.
    assert {type(estimator) for estimator in table} == public_classes - {ModelComparison}


@pytest.mark.core(*OWN_FITS)
def test_check_estimator_passes_with_no_expected_failures(
    estimator: BaseEstimator, checks: dict, tmp_path: Path
) -> None:
    name = type(estimator).__name__
    results = checks.get(name) or run_checks({name: estimator}, tmp_path)[name]
    assert len(results) > 40
    assert [result for result in results if result[1] != "passed"] == []


@pytest.mark.parametrize(
    "cls",
    [ClassifierRatio, NRE, NLE],
    ids=lambda cls: cls.__name__,
)
@pytest.mark.slow
def test_check_estimator_passes_with_default_settings(cls: type, tmp_path: Path) -> None:
    """Without a prior, too: a ratio is fitted and scored all the same."""
    results = run_checks({"default": cls()}, tmp_path)["default"]
    assert len(results) > 40
    assert [result for result in results if result[1] != "passed"] == []


def test_pipeline_fails_the_checks_that_the_stock_one_fails(checks: dict) -> None:
    failed = {name for name, status, _ in checks["Pipeline"] if status == "failed"}
    stock = {name for name, status, _ in checks["stock"] if status == "failed"}
    assert failed == FAIL_IN_PIPELINES
    assert failed == stock


@pytest.mark.parametrize("method", ["fit", "score"])
def test_signatures(posterior: BaseEstimator, method: str) -> None:
    on_class = inspect.signature(getattr(type(posterior), method))
    on_instance = inspect.signature(getattr(posterior, method))
    assert list(on_class.parameters)[:3] == ["self", "theta", "x"]
    assert list(on_instance.parameters)[:2] == ["X", "y"]


def test_prior_is_the_first_parameter_and_the_others_are_keyword_only(
    network: BaseEstimator,
) -> None:
    first, *others = inspect.signature(type(network)).parameters.values()
    assert (first.name, first.default) == ("prior", None)
    assert {p.kind for p in others} == {inspect.Parameter.KEYWORD_ONLY}


def test_both_spellings_are_keywords(posterior: BaseEstimator, pairs: tuple) -> None:
    theta, x = pairs
    ours = clone(posterior).fit(theta=theta, x=x)
    theirs = clone(posterior).fit(X=theta, y=x)
    assert ours.score(theta=theta, x=x) == theirs.score(X=theta, y=x)
    assert ours.score(theta, x=x) == theirs.score(theta, y=x)


def test_both_spellings_at_once_are_refused(posterior: BaseEstimator, pairs: tuple) -> None:
    theta, x = pairs
    with pytest.raises(TypeError, match="theta once"):
        clone(posterior).fit(theta=theta, X=theta, x=x)


def test_a_keyword_that_does_not_exist_is_refused(posterior: BaseEstimator, pairs: tuple) -> None:
    theta, x = pairs
    with pytest.raises(TypeError, match="sample_weigth"):
        clone(posterior).fit(theta, x, sample_weigth=np.ones(len(theta)))


@pytest.mark.parametrize("name", OTHER_PROTOCOLS)
def test_no_method_that_scikit_learn_would_feed_theta(fitted: BaseEstimator, name: str) -> None:
    assert not hasattr(fitted, name)


def passed_on_examples() -> dict[str, object]:
    """Give one parameter of every kind that is passed on."""
    return {
        "module__activation": None,
        "criterion__option": 1.0,
        "optimizer__weight_decay": 0.1,
        "iterator_train__shuffle": False,
        "callbacks__gradient_clipping__gradient_clip_value": 2.0,
        "callbacks__lr_scheduler": None,
    }


def by_constructor() -> NPE:
    return NPE(**passed_on_examples())


def by_set_params() -> NPE:
    return NPE().set_params(**passed_on_examples())


@pytest.mark.parametrize("make", [by_constructor, by_set_params])
def test_parameters_passed_on_make_the_round_trip(make: Callable[[], NPE]) -> None:
    npe = make()
    assert passed_on_examples().items() <= npe.get_params().items()
    copy = clone(npe)
    assert copy.get_params() == npe.get_params()
    copy.set_params(optimizer__weight_decay=0.5)
    assert npe.get_params()["optimizer__weight_decay"] == 0.1
    assert "optimizer__weight_decay=0.1" in repr(npe)


def test_get_params_are_the_arguments_of_the_constructor(estimator: BaseEstimator) -> None:
    shallow = estimator.get_params(deep=False)
    assert type(estimator)(**shallow).get_params(deep=False) == shallow
    assert set(inspect.signature(type(estimator)).parameters) == set(shallow)


def test_clone_forgets_the_fit_and_keeps_the_parameters(fitted: BaseEstimator) -> None:
    copy = clone(fitted)
    kept, expected = copy.get_params(), fitted.get_params()
    assert copy.prior.keys() == fitted.prior.keys()
    assert kept.keys() == expected.keys()
    copied = {name for name in kept if name.split("__")[-1] in ("prior", "estimator")}
    assert all(_alike(kept[name], expected[name]) for name in kept.keys() - copied)
    assert [name for name in vars(copy) if name not in copy.get_params()] == []


def _alike(first: object, second: object) -> bool:
    """Compare two values of a parameter; copies of estimators are equal if they look the same."""
    return first == second or (
        isinstance(first, BaseEstimator | list) and repr(first) == repr(second)
    )


@pytest.mark.parametrize("name", ["optimizr", "optimizr__weight_decay", "net__lr", "modul__bins"])
def test_unknown_parameters_are_refused(posterior: BaseEstimator, name: str) -> None:
    with pytest.raises(TypeError, match=name):
        type(posterior)(**{name: 1})
    with pytest.raises(ValueError, match=name.split("__")[0]):
        clone(posterior).set_params(**{name: 1})


def test_nested_parameters_of_an_estimator_as_parameter(network: BaseEstimator) -> None:
    scaler = sklearn.preprocessing.StandardScaler()
    outer = clone(network).set_params(x_transformer=scaler)
    outer.set_params(x_transformer__with_mean=False)
    assert outer.get_params()["x_transformer__with_mean"] is False
    copy = clone(outer)
    assert copy.x_transformer is not outer.x_transformer
    assert copy.x_transformer.with_mean is False


def test_metadata_routing_asks_for_sample_weight_only(posterior: BaseEstimator) -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        requests = posterior.get_metadata_routing()
    assert set(requests.fit.requests) == {"sample_weight"}
    assert set(requests.score.requests) == {"sample_weight"}


def test_fit_returns_self_and_takes_the_names_of_theta(
    posterior: BaseEstimator, pairs: tuple
) -> None:
    estimator = clone(posterior)
    assert estimator.fit(*pairs) is estimator
    assert estimator.n_features_in_ == 2
    assert list(estimator.feature_names_in_) == ["mean", "sd"]
