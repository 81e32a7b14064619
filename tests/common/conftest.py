"""
The table of all public estimators, over which the common tests run, and what they are fitted on.

A new estimator is one line in ``ESTIMATORS``, with settings that make its fit quick and still good
enough for scikit-learn's own checks.
"""

import inspect
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

import sksbi
from sksbi import (
    AMNPE,
    AMNRE,
    FMPE,
    NLE,
    NPE,
    NPSE,
    NRE,
    CalibratedPosterior,
    ClassifierRatio,
    Ensemble,
    PosteriorRegressor,
    QuantilePosterior,
)
from sksbi.samplers import ImportanceResampling

TINY = {"flow": "maf", "transforms": 2, "hidden_features": (16,), "max_epochs": 3}
QUADRATIC = make_pipeline(StandardScaler(), PolynomialFeatures(), LogisticRegression(C=0.1))
TREES = make_pipeline(
    PolynomialFeatures(1, include_bias=False), ExtraTreesRegressor(20, min_samples_leaf=10)
)

ESTIMATORS = [
    NPE(**TINY),
    NRE(hidden_features=(16,), max_epochs=3),
    NLE(**TINY | {"flow": "nsf"}),
    FMPE(hidden_features=(16,), max_epochs=3),
    NPSE(hidden_features=(16,), max_epochs=3),
    AMNPE(transforms=2, hidden_features=(16,), max_epochs=3),
    AMNRE(hidden_features=(16,), max_epochs=3),
    Ensemble(NPE(**TINY), n_estimators=2),
    CalibratedPosterior(NPE(**TINY), n_samples=100),
    ClassifierRatio(
        QUADRATIC, calibration="sigmoid", n_folds=2, sampler=ImportanceResampling(20_000)
    ),
    QuantilePosterior(TREES, levels=5, n_folds=2),
    PosteriorRegressor(
        NPE(**TINY | {"transforms": 1, "max_epochs": 8, "lr": 2e-2, "batch_size": 50}), n_samples=50
    ),
]

Pairs = tuple[pd.DataFrame, pd.DataFrame]

CORE = ("NPE", "NRE", "ClassifierRatio", "Ensemble")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Make tests with the mark "core" slow for other families: what they hold is one code.

    Arguments of the mark are further families for which they are not.
    """
    for item in items:
        mark = item.get_closest_marker("core")
        names = set(item.name.partition("[")[2].rstrip("]").split("-"))
        if mark and not names & {*CORE, *mark.args}:
            item.add_marker(pytest.mark.slow)


class PlainNames:
    """What takes its member's parameters by their plain names, as the tests do."""

    def set_params(self, **params: object) -> BaseEstimator:
        own = self.get_params(deep=False)
        return super().set_params(
            **{k if k.split("__")[0] in own else f"estimator__{k}": v for k, v in params.items()}
        )


class PlainEnsemble(PlainNames, Ensemble):
    """An ensemble with plain names."""


class PlainCalibratedPosterior(PlainNames, CalibratedPosterior):
    """A calibrated posterior with plain names."""


PLAIN = {Ensemble: PlainEnsemble, CalibratedPosterior: PlainCalibratedPosterior}


def _name(estimator: BaseEstimator) -> str:
    """Name a case after its class."""
    return type(estimator).__name__


@pytest.fixture(scope="session", params=ESTIMATORS, ids=_name)
def estimator(request: pytest.FixtureRequest) -> BaseEstimator:
    """Give each public estimator in turn, not fitted."""
    return clone(request.param)


def _names(*classes: type) -> dict[str, object]:
    """Parametrise a fixture by classes of the table."""
    return {"scope": "session", "params": classes, "ids": [cls.__name__ for cls in classes]}


def _ready(cls: type, prior: dict) -> BaseEstimator:
    """Take an estimator out of the table, not fitted, with a prior and a seed."""
    estimator = clone(next(e for e in ESTIMATORS if type(e) is cls))
    if cls in PLAIN:
        estimator = PLAIN[cls](**estimator.get_params(deep=False))
    return estimator.set_params(prior=prior, random_state=0)


@pytest.fixture(**_names(*(type(e) for e in ESTIMATORS if hasattr(e, "sample"))))
def posterior(request: pytest.FixtureRequest, prior: dict) -> BaseEstimator:
    """Give each estimator of p(theta | x) in turn, not fitted, with a prior and a seed."""
    return _ready(request.param, prior)


@pytest.fixture(**_names(NPE, NRE, NLE, FMPE, AMNPE, Ensemble))
def trained(request: pytest.FixtureRequest, prior: dict) -> BaseEstimator:
    """Give each estimator that trains networks in turn, not fitted, with a prior and a seed."""
    return _ready(request.param, prior)


@pytest.fixture(**_names(NPE, NRE, Ensemble))
def encoding(request: pytest.FixtureRequest, prior: dict) -> BaseEstimator:
    """Give each estimator whose network is given x in turn, not fitted."""
    return _ready(request.param, prior)


@pytest.fixture(**_names(NPE, NRE, NLE, FMPE, AMNPE))
def network(request: pytest.FixtureRequest, prior: dict) -> BaseEstimator:
    """Give each estimator that trains one network in turn, not fitted, with a prior and a seed."""
    return _ready(request.param, prior)


@pytest.fixture(**_names(NPE, NRE, NLE, FMPE, NPSE, AMNPE, AMNRE))
def neural(request: pytest.FixtureRequest, prior: dict) -> BaseEstimator:
    """Give each class that trains one network in turn, not fitted, with a prior and a seed."""
    return _ready(request.param, prior)


@pytest.fixture(**_names(NPE, Ensemble, CalibratedPosterior))
def flow_density(request: pytest.FixtureRequest, prior: dict) -> BaseEstimator:
    """Give each estimator that has a normalised density by any flow in turn, not fitted."""
    return _ready(request.param, prior)


@pytest.fixture(**_names(NPE, FMPE, AMNPE, Ensemble, CalibratedPosterior))
def density(request: pytest.FixtureRequest, prior: dict) -> BaseEstimator:
    """Give each estimator that has a normalised density in turn, not fitted."""
    return _ready(request.param, prior)


@pytest.fixture(**_names(NRE, AMNRE, ClassifierRatio))
def ratio(request: pytest.FixtureRequest, prior: dict) -> BaseEstimator:
    """Give each estimator of p(theta | x) / p(theta) in turn, not fitted."""
    return _ready(request.param, prior)


@pytest.fixture(
    scope="session",
    params=[NLE, PlainEnsemble, PlainCalibratedPosterior],
    ids=lambda cls: cls.__name__.removeprefix("Plain"),
)
def likelihood(request: pytest.FixtureRequest, prior: dict) -> BaseEstimator:
    """Give each estimator of p(x | theta) in turn, not fitted, with a prior and a seed."""
    nle = _ready(NLE, prior)
    if request.param is NLE:
        return nle
    few = {"n_estimators": 2} if request.param is PlainEnsemble else {"n_samples": 20, "cv": 0.1}
    nle = nle.set_params(sampler=ImportanceResampling(1_000))
    return request.param(nle, random_state=0, **few)


@pytest.fixture(scope="session")
def fitted_likelihood(likelihood: BaseEstimator, pairs: Pairs) -> BaseEstimator:
    """Fit it on tables; not to be changed."""
    return clone(likelihood).fit(*pairs)


@pytest.fixture(scope="session")
def fitted_density(density: BaseEstimator, pairs: Pairs) -> BaseEstimator:
    """Fit it on tables; not to be changed."""
    return clone(density).fit(*pairs)


@pytest.fixture(scope="session")
def fitted_ratio(ratio: BaseEstimator, pairs: Pairs) -> BaseEstimator:
    """Fit it on tables; not to be changed."""
    return clone(ratio).fit(*pairs)


@pytest.fixture(scope="session")
def table() -> list[BaseEstimator]:
    """Give all public estimators at once."""
    return [clone(estimator) for estimator in ESTIMATORS]


@pytest.fixture(scope="session")
def public_classes() -> set[type]:
    """Find the estimators that the package exports, but rounds: their fit takes no pairs."""
    exported = (getattr(sksbi, name) for name in sksbi.__all__)
    found = {e for e in exported if inspect.isclass(e) and issubclass(e, BaseEstimator)}
    return found - {sksbi.SequentialInference}


@pytest.fixture(scope="session")
def prior() -> dict:
    """Give a prior with an unbounded and a bounded parameter."""
    return {"mean": stats.norm(0, 1), "sd": stats.uniform(0.5, 1.5)}


@pytest.fixture(scope="session")
def make_pairs(prior: dict) -> Callable[..., Pairs]:
    """Give the simulator: four draws from a normal distribution of unknown mean and sd."""

    def make(n: int, seed: int = 0) -> Pairs:
        rng = np.random.default_rng(seed)
        theta = pd.DataFrame({k: p.rvs(n, random_state=rng) for k, p in prior.items()})
        noise = rng.standard_normal((n, 4))
        x = theta[["mean"]].to_numpy() + theta[["sd"]].to_numpy() * noise
        return theta, pd.DataFrame(x, columns=["a", "b", "c", "d"])

    return make


@pytest.fixture(scope="session")
def pairs(make_pairs: Callable[..., Pairs]) -> Pairs:
    """Give 200 pairs as tables."""
    return make_pairs(200)


@pytest.fixture(scope="session")
def arrays(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Give the same pairs as arrays."""
    theta, x = pairs
    return theta.to_numpy(), x.to_numpy()


@pytest.fixture(scope="session")
def fitted(posterior: BaseEstimator, pairs: Pairs) -> BaseEstimator:
    """Fit on tables; not to be changed."""
    return clone(posterior).fit(*pairs)


@pytest.fixture(scope="session")
def fitted_arrays(posterior: BaseEstimator, arrays: tuple[np.ndarray, np.ndarray]) -> BaseEstimator:
    """Fit on arrays; not to be changed."""
    return clone(posterior).fit(*arrays)
