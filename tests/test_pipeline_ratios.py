"""Pipelines that end in a ratio estimator: what it is asked goes through the steps, trials too."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from sksbi import NPE, NRE, ClassifierRatio
from sksbi.pipeline import make_pipeline
from sksbi.samplers import ImportanceResampling

PRIOR = {"mean": stats.norm(0, 1)}
COLUMNS = ["a", "b", "c"]


@pytest.fixture(scope="module")
def pairs() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    theta = pd.DataFrame({"mean": rng.normal(size=300)})
    x = theta.to_numpy() + rng.normal(size=(300, 3))
    return theta, pd.DataFrame(100 * x + 7, columns=COLUMNS)


@pytest.fixture(scope="module")
def ratio() -> NRE:
    return NRE(
        PRIOR,
        hidden_features=(16,),
        max_epochs=3,
        sampler=ImportanceResampling(2000),
        random_state=0,
    )


def test_ratios_are_those_of_transformed_observations(ratio: NRE, pairs: tuple) -> None:
    theta, x = pairs
    pipe = make_pipeline(StandardScaler(), PCA(2), ratio).fit(theta, x)
    transformed = pipe[:-1].transform(x)
    final = pipe[-1]
    expected = final.predict_log_ratio(theta, transformed)
    np.testing.assert_array_equal(pipe.predict_log_ratio(theta, x), expected)
    np.testing.assert_array_equal(pipe.predict_ratio(theta, x), np.exp(expected))
    one = pipe.predict_log_ratio(theta, x.iloc[0])
    np.testing.assert_array_equal(one, final.predict_log_ratio(theta, transformed[0]))


TRIALS: dict[str, Callable[[pd.DataFrame], object]] = {
    "DataFrame": lambda x: x.iloc[:4],
    "array": lambda x: x.iloc[:4].to_numpy(),
    "batch": lambda x: x.iloc[:8].to_numpy().reshape(2, 4, 3),
    "table of a batch": lambda x: x.iloc[:8].set_index(
        pd.MultiIndex.from_product([["u", "v"], range(4)])
    ),
}


@pytest.mark.parametrize("make", TRIALS.values(), ids=TRIALS)
def test_trials_go_through_the_steps(
    ratio: NRE, pairs: tuple, make: Callable[[pd.DataFrame], object]
) -> None:
    theta, x = pairs
    pipe = make_pipeline(StandardScaler(), PCA(2), ratio).fit(theta, x)
    trials = make(x)
    m = 1 if len(trials) == 4 else 2
    grid = np.linspace(-1, 1, 5)[:, None]
    each = [
        sum(pipe.predict_log_ratio(grid, x.iloc[4 * i + t]) for t in range(4)) for i in range(m)
    ]
    points = grid if m == 1 else np.stack([grid] * m)
    result = pipe.predict_log_ratio(points, trials, iid=True)
    np.testing.assert_allclose(result, each[0] if m == 1 else each, rtol=0, atol=1e-4)
    log_prior = stats.norm.logpdf(points[..., 0])
    np.testing.assert_allclose(
        pipe.log_prob(points, trials, iid=True), log_prior + result, rtol=0, atol=1e-10
    )
    draws = pipe.sample(trials, 10, iid=True)
    assert len(draws) == 10 * m
    if isinstance(trials, pd.DataFrame) and m == 2:
        assert draws.index.get_level_values("observation").unique().tolist() == ["u", "v"]
    assert len(pipe.summary(trials, n_samples=10, iid=True)) == m
    assert np.shape(pipe.map(trials, iid=True)) == ((1,) if m == 1 else (2, 1))


def test_trials_of_another_shape_are_refused(ratio: NRE, pairs: tuple) -> None:
    theta, x = pairs
    pipe = make_pipeline(StandardScaler(), ratio).fit(theta, x)
    with pytest.raises(ValueError, match=r"\(trials, 3\).*\(m, trials, 3\).*shape \(3,\)"):
        pipe.sample(x.iloc[0], 5, iid=True)


def test_only_ratio_estimators_give_ratios(pairs: tuple) -> None:
    assert not hasattr(make_pipeline(StandardScaler(), NPE()), "predict_ratio")
    assert hasattr(make_pipeline(StandardScaler(), ClassifierRatio()), "predict_log_ratio")
