"""Many trials, asked of estimators: what they warn of, and what it costs them."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.tree import DecisionTreeClassifier

from sksbi import NRE, ClassifierRatio, Ensemble, simulate
from sksbi.exceptions import SamplingWarning, TrainingWarning
from sksbi.samplers import (
    ImportanceResampling,
    MetropolisHastings,
    SliceSampler,
)

PRIOR = {"mean": stats.norm(0, 1)}
TREE = DecisionTreeClassifier(max_leaf_nodes=60)


def normal(theta: pd.Series, rng: np.random.Generator) -> float:
    """Draw x from N(theta, 1)."""
    return rng.normal(theta["mean"], 1)


@pytest.fixture(scope="module")
def pairs() -> tuple[pd.DataFrame, pd.DataFrame]:
    return simulate(normal, PRIOR, 2_000, random_state=0)


@pytest.fixture(scope="module")
def trees(pairs: tuple) -> ClassifierRatio:
    return ClassifierRatio(TREE, PRIOR, n_folds=2, random_state=0).fit(*pairs)


TRIALS = np.random.default_rng(1).normal(0.3, 1, 100)
GRID = pd.DataFrame({"mean": np.linspace(-3, 3, 1_001)})
ASK: dict[str, Callable[[ClassifierRatio], object]] = {
    "sample": lambda ratio: ratio.sample(TRIALS, 500, iid=True),
    "summary": lambda ratio: ratio.summary(TRIALS, n_samples=500, iid=True),
    "map": lambda ratio: ratio.map(TRIALS, iid=True),
    "log_prob": lambda ratio: ratio.log_prob(GRID, TRIALS, iid=True),
}


@pytest.mark.parametrize("method", ASK)
def test_steps_of_trees_are_doubted_over_many_trials(trees: ClassifierRatio, method: str) -> None:
    """The posterior is N(sum x / 101, 1 / 101); summed steps put a spike beside it."""
    with pytest.warns(TrainingWarning, match="over 100 trials of x .* folds disagree") as seen:
        ASK[method](trees)
    assert len([one for one in seen if one.category is TrainingWarning]) == 1


def test_one_trial_of_trees_is_not_doubted(trees: ClassifierRatio) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trees.sample(0.3)
        trees.sample([0.3], iid=True)


def test_a_ratio_that_is_right_answers_rightly_and_without_doubt() -> None:
    """
    A logistic regression on squares and products holds the exact log-ratio of this problem.

    From 10,000 pairs a mean is off by up to about sqrt(T / 10,000), 0.1, of its standard deviation
    at T = 100, thrice as much as the least for what all pairs teach; thrice that is allowed.
    """
    theta, x = simulate(normal, PRIOR, 10_000, random_state=0)
    line = make_pipeline(PolynomialFeatures(2), LogisticRegression(C=1e4, max_iter=1_000))
    ratio = ClassifierRatio(line, PRIOR, calibration=None, random_state=0).fit(theta, x)
    draws = ratio.sample(TRIALS, iid=True)["mean"]
    sd = 1 / np.sqrt(101)
    assert draws.mean() == pytest.approx(TRIALS.sum() / 101, abs=0.3 * sd + 4 * sd / 1_000**0.5)
    assert draws.std() == pytest.approx(sd, rel=0.1 + 4 / np.sqrt(2_000))


@pytest.mark.parametrize("form", [np.asarray, pd.DataFrame])
def test_a_column_of_trials_is_told_from_one_observation(form: Callable, pairs: tuple) -> None:
    """After a fit on numbers, (5, 1) is five observations of one trial each."""
    theta, x = pairs
    curve = make_pipeline(PolynomialFeatures(2), LogisticRegression())
    ratio = ClassifierRatio(curve, PRIOR, random_state=0).fit(theta, np.asarray(x).ravel())
    trials = TRIALS[:5]
    with pytest.warns(UserWarning, match=r"is 5 observations of one trial each.* shape \(5,\)"):
        draws = ratio.sample(form(trials[:, None]), 10, iid=True)
    assert draws.index.names == ["observation", "draw"]
    assert len(ratio.sample(trials, 10, iid=True)) == 10
    assert len(ratio.sample(trials[None], 10, iid=True)) == 10
    assert len(ratio.sample(trials[:1, None], 10, iid=True)) == 10


def test_a_mean_of_ratios_is_doubted_too(pairs: tuple) -> None:
    ratio = ClassifierRatio(TREE, PRIOR, n_folds=2)
    ensemble = Ensemble(ratio, n_estimators=2, random_state=0).fit(*pairs)
    with pytest.warns(TrainingWarning, match="100 trials of 2 of 2 observations, first 0,"):
        ensemble.sample(np.stack([TRIALS, TRIALS + 0.5]), 200, iid=True)


SAMPLERS = {
    "chains": (
        MetropolisHastings(4, 0, 1, proposal="gaussian", step_size=1e-4),
        "such as MetropolisHastings: now n_warmup=0, thin=1, n_chains=4",
    ),
    "importance": (ImportanceResampling(1_000), "n_candidates=200_000), now 1000"),
    "own": (lambda log_prob, initial, n, random_state=None: np.full((1, n, 1), 0.3), "your own"),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_advice_fits_the_sampler(name: str) -> None:
    """A narrow posterior is met by few candidates, and chains of tiny steps stand."""
    theta = np.random.default_rng(0).normal(size=(500, 1))
    sampler, advice = SAMPLERS[name]
    nre = NRE([stats.norm()], hidden_features=(8,), max_epochs=2, sampler=sampler, random_state=0)
    nre.fit(theta, theta[:, 0])
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        nre.sample(np.full(50, 0.3), 1_000, iid=True)
    (text,) = (str(one.message) for one in seen if one.category is SamplingWarning)
    assert advice in text
    assert ("R-hat" in text) == (name == "chains")


@pytest.mark.slow
def test_a_sampler_is_set_after_fit_and_a_bad_one_is_refused(trees: ClassifierRatio) -> None:
    estimator = ClassifierRatio(TREE, PRIOR, random_state=0)
    estimator.__setstate__(trees.__getstate__())
    assert estimator.set_params(sampler="slice").sample(0.3, 10).shape == (10, 1)
    for bad, error in (("gibbs", ValueError), (3, TypeError), (SliceSampler, TypeError)):
        with pytest.raises(error, match="sampler must be one of"):
            estimator.set_params(sampler=bad).sample(0.3)
    with pytest.raises(ValueError, match="'n_chains' .* Got 0"):
        estimator.set_params(sampler=MetropolisHastings(n_chains=0)).sample(0.3)
