"""Warnings point at the user's line, through every layer of the package."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from sksbi import NPE, NRE, CalibratedPosterior, ClassifierRatio, simulate
from sksbi.exceptions import TrainingWarning
from sksbi.metrics import c2st_score
from sksbi.pipeline import make_pipeline

RNG = np.random.default_rng(0)
THETA = RNG.uniform(size=(200, 1))
X = THETA + 0.1 * RNG.normal(size=(200, 2))
PRIOR = [stats.uniform()]
TINY = {"flow": "maf", "transforms": 1, "hidden_features": (8,), "max_epochs": 1}
FAR = np.full(2, 1e6)


def failing(theta: np.ndarray) -> float:
    """Fail for half of the parameters."""
    return np.nan if theta[0] < 0.5 else theta[0]


def too_few_steps(log_prob: Callable, initial: np.ndarray, n: int, random_state: object) -> object:
    """Stand still, a bad sampler."""
    return np.repeat(initial[:, :1], n, axis=1)


@pytest.fixture(scope="module")
def fitted() -> dict[str, object]:
    """Fit one of each kind."""
    npe = NPE(PRIOR, **TINY, random_state=0)
    still = NRE(PRIOR, hidden_features=(8,), max_epochs=1, sampler=too_few_steps)
    return {
        "npe": npe.fit(THETA, X),
        "calibrated": CalibratedPosterior(npe, cv="prefit", n_samples=50).fit(THETA[:20], X[:20]),
        "pipe": make_pipeline(StandardScaler(), clone(npe)).fit(THETA, X),
        "still": still.fit(THETA, X),
        "classified": ClassifierRatio(LogisticRegression(), PRIOR, random_state=0).fit(THETA, X),
    }


CASES = {
    "outlier": lambda npe, **_: npe.sample(FAR, 5),
    "outlier in a pipeline": lambda pipe, **_: pipe.sample(FAR, 5),
    "outlier in summary": lambda classified, **_: classified.summary(FAR, n_samples=20),
    "a region": lambda calibrated, **_: calibrated.credible_region(X[0], level=0.99),
    "a region, outlier": lambda calibrated, **_: calibrated.in_region(THETA[:1], FAR),
    "chains": lambda still, **_: still.sample(X[0], 100),
    "failures": lambda **_: simulate(failing, PRIOR, 20, random_state=0),
    "unequal draws": lambda **_: c2st_score(X[:50], X[50:130], n_folds=2),
}


@pytest.mark.parametrize("call", CASES.values(), ids=CASES)
def test_the_line_is_the_users(call: Callable, fitted: dict[str, object]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(**fitted)
    assert caught
    assert {one.filename for one in caught} == {__file__}


def test_the_line_of_a_search_is_the_users_too(fitted: dict[str, object]) -> None:
    search = GridSearchCV(clone(fitted["npe"]), {"max_epochs": [1]}, cv=2)
    with pytest.warns(TrainingWarning, match="nothing can be learnt from fewer") as caught:
        search.fit(THETA[:14], X[:14])
    assert {one.filename for one in caught if one.category is TrainingWarning} == {__file__}
