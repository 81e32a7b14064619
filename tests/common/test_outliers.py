"""An observation that is unlike all simulations gives a warning, whatever the estimator."""

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.preprocessing import StandardScaler

from sksbi import NPE, CalibratedPosterior
from sksbi.exceptions import MisspecificationWarning, TrainingWarning
from sksbi.pipeline import make_pipeline

Pairs = tuple[pd.DataFrame, pd.DataFrame]

FAR = {"a": 0.0, "b": 1000.0, "c": 0.0, "d": 0.0}


def warned(sample: Callable) -> str:
    """Draw, and give the text of the one warning."""
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always", MisspecificationWarning)
        warnings.simplefilter("ignore", UserWarning, append=True)
        sample()
    texts = [str(w.message) for w in record if w.category is MisspecificationWarning]
    files = [w.filename for w in record if w.category is MisspecificationWarning]
    assert len(texts) == 1
    assert files == [__file__]
    return texts[0]


def test_one_observation(posterior: BaseEstimator, pairs: Pairs) -> None:
    fitted = clone(posterior).fit(*pairs)
    text = warned(lambda: fitted.sample(FAR, 10))
    assert text.startswith("x is far from everything that was simulated: 'b' is 1000, simulated")


@pytest.mark.core
def test_a_batch_names_the_first(posterior: BaseEstimator, pairs: Pairs) -> None:
    fitted = clone(posterior).fit(*pairs)
    batch = pairs[1].iloc[:4].copy()
    batch.index = ["w", "x", "y", "z"]
    batch.loc["y"] = FAR
    text = warned(lambda: fitted.sample(batch, 10))
    assert text.startswith("1 of 4 observations in x are far")
    assert "in observation y 'b' is 1000" in text


@pytest.mark.filterwarnings("ignore:6 trials of x are many")
def test_trials_count_one_by_one(ratio: BaseEstimator, pairs: Pairs) -> None:
    fitted = clone(ratio).fit(*pairs)
    trials = np.array(pairs[1].iloc[:6])
    trials[4, 2] = -1000
    text = warned(lambda: fitted.sample(trials, 10, iid=True))
    assert "'c' is -1000" in text


@pytest.mark.core
def test_simulations_give_none(posterior: BaseEstimator, pairs: Pairs) -> None:
    fitted = clone(posterior).fit(*pairs)
    fitted.sample(pairs[1].iloc[:20], 5)  # warnings are errors here


def test_a_filter_switches_it_off(posterior: BaseEstimator, pairs: Pairs) -> None:
    fitted = clone(posterior).fit(*pairs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert np.isfinite(np.asarray(fitted.sample(FAR, 10))).all()


def test_a_pipeline_asks_after_its_steps(posterior: BaseEstimator, pairs: Pairs) -> None:
    theta, x = pairs
    fitted = make_pipeline(StandardScaler(), clone(posterior)).fit(theta, x)
    with pytest.warns(MisspecificationWarning, match="far from everything"):
        fitted.sample(pd.Series(FAR), 10)


@pytest.mark.core
@pytest.mark.parametrize("method", ["summary", "map"])
def test_what_else_asks_the_posterior_warns_too(
    posterior: BaseEstimator, pairs: Pairs, method: str
) -> None:
    fitted = clone(posterior).fit(*pairs)
    assert "'b' is 1000" in warned(lambda: getattr(fitted, method)(FAR))


def test_chains_are_drawn_with_the_same_warning(ratio: BaseEstimator, pairs: Pairs) -> None:
    fitted = clone(ratio).fit(*pairs)
    try:
        fitted.sample_chains(pairs[1].iloc[0], 10)
    except TypeError:
        pytest.skip("the sampler runs no chains")
    text = warned(lambda: fitted.sample_chains(FAR, 10))
    assert text.startswith("x is far from everything that was simulated: 'b' is 1000")


@pytest.mark.parametrize("ask", ["in_region", "credible_region"])
def test_regions_are_given_with_the_same_warning(ask: str, pairs: Pairs) -> None:
    theta, x = pairs
    npe = NPE(flow="maf", transforms=1, max_epochs=1, random_state=0)
    calibrated = CalibratedPosterior(npe, n_samples=20, random_state=0).fit(theta, x)
    given = (FAR,) if ask == "credible_region" else (theta, FAR)
    text = warned(lambda: getattr(calibrated, ask)(*given, level=0.5))
    assert text.startswith("x is far from everything that was simulated: 'b' is 1000")


def test_a_warm_start_forgets_no_simulations(network: BaseEstimator, pairs: Pairs) -> None:
    theta, x = pairs
    warm = clone(network).set_params(warm_start=True).fit(theta, x)
    moved = x + [0.0, 500.0, 0.0, 0.0]
    warm.fit(theta, moved)
    with warnings.catch_warnings():
        # Of so short a training posteriors may be too narrow, and some say so. Others are errors.
        warnings.simplefilter("ignore", TrainingWarning)
        warm.sample(pd.concat([x.iloc[:5], moved.iloc[:5]]), 5)
    halfway = dict(x.iloc[0] + [0.0, 250.0, 0.0, 0.0])
    assert "'b' is" in warned(lambda: warm.sample(halfway, 5))
