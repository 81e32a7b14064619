"""Estimators as text."""

import re

import numpy as np
import pytest
from scipy import stats
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from sksbi import NPE, NRE, ClassifierRatio, Ensemble, PosteriorRegressor
from sksbi.pipeline import make_pipeline
from sksbi.samplers import ImportanceResampling

PRIOR = {"mass": stats.uniform(10, 50), "rate": stats.loguniform(1e-3, 1)}
SHOWN = "{'mass': uniform(10, 50), 'rate': loguniform(0.001, 1)}"


class Plain:
    """A user's object, without a repr."""

    support = (0.0, 1.0)

    def sample(self, n: int, random_state: int) -> np.ndarray:
        return np.random.default_rng(random_state).uniform(size=(n, 1))

    def log_prob(self, theta: np.ndarray) -> np.ndarray:
        return np.zeros(len(theta))


NESTED = {
    "NPE": NPE(PRIOR),
    "Ensemble": Ensemble(NRE(PRIOR)),
    "Pipeline": make_pipeline(StandardScaler(), NPE(PRIOR)),
    "PosteriorRegressor": PosteriorRegressor(NPE(PRIOR)),
    "sampler": NRE(sampler=ImportanceResampling(proposal=FrozenEstimator(NPE(PRIOR)))),
}


@pytest.mark.parametrize("estimator", NESTED.values(), ids=NESTED)
def test_priors_are_shown_as_they_are_written(estimator: BaseEstimator) -> None:
    assert SHOWN in re.sub(r"\s+", " ", repr(estimator))
    html = estimator._repr_html_()
    assert "uniform(10, 50)" in html
    assert " object at 0x" not in html
    assert repr(clone(estimator)) == repr(estimator)


@pytest.mark.parametrize(
    ("estimator", "text"),
    [
        (NPE(), "NPE()"),
        (NPE(lr=0.1), "NPE(lr=0.1)"),
        (NPE([stats.norm(1, 2)]), "NPE(prior=[norm(1, 2)])"),
        (ClassifierRatio(prior=Plain()), "ClassifierRatio(prior=Plain())"),
        (
            NPE(stats.multivariate_normal([0, 1])),
            "NPE(prior=multivariate_normal(mean=[0.0, 1.0], cov=[[1.0, 0.0], [0.0, 1.0]]))",
        ),
        (NPE(stats.multivariate_normal(np.zeros(9))), "NPE(prior=multivariate_normal(...))"),
    ],
)
def test_an_estimator_is_written_as_it_is_made(estimator: BaseEstimator, text: str) -> None:
    assert repr(estimator) == text


def test_what_is_shown_is_no_parameter() -> None:
    estimator = NPE(PRIOR)
    assert estimator.get_params()["prior"] is PRIOR
    assert type(estimator) is NPE
    with pytest.raises(
        ValueError, match=r"Invalid parameter 'foo' for estimator NPE\(prior=\{'mass'"
    ):
        estimator.set_params(foo=1)


@pytest.mark.skipif(
    not hasattr(BaseEstimator, "_get_params_html"),
    reason="before scikit-learn 1.7 the text of a search stands for its parts",
)
def test_a_search_shows_its_estimator_as_it_is_written() -> None:
    html = GridSearchCV(NPE(PRIOR), {"lr": [0.1]})._repr_html_()
    assert "object at" not in html.split("</pre>")[1]
