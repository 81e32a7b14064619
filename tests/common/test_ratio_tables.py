"""Tables x with missing and categorical values, where the classifier of a ratio takes them."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import BaseEstimator, clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from sksbi import NPE, NRE, ClassifierRatio
from sksbi.samplers import ImportanceResampling

Pairs = tuple[pd.DataFrame, pd.DataFrame]

PRIOR = {"height": stats.uniform(-1, 2)}
TREES = HistGradientBoostingClassifier(max_iter=30, categorical_features="from_dtype")
QUICK = {
    "calibration": "sigmoid",
    "n_folds": 2,
    "sampler": ImportanceResampling(5_000),
    "random_state": 0,
}


def encoded(*, impute: bool) -> BaseEstimator:
    """Build a classifier that encodes strings, and fills in numbers or does not."""
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude=float)),
        remainder=SimpleImputer() if impute else "passthrough",
    )
    return make_pipeline(columns, TREES)


def simulated(n: int, seed: int = 0) -> Pairs:
    """
    Simulate a site that depends on the sign of the height, and readings that may be missing.

    The reading itself tells nothing; that it is missing tells that the height is above 1 / 2.
    """
    rng = np.random.default_rng(seed)
    height = rng.uniform(-1, 1, n)
    reading = np.where(height > 0.5, np.nan, rng.standard_normal(n))
    site = np.where(height > 0, "north", "south")
    x = pd.DataFrame({"site": pd.Categorical(site), "reading": reading, "count": rng.poisson(3, n)})
    return pd.DataFrame({"height": height}), x


def as_objects(x: pd.DataFrame) -> pd.DataFrame:
    """Turn the categories into strings."""
    return x.astype({"site": object})


CASES: dict[str, tuple[BaseEstimator, Callable[[pd.DataFrame], pd.DataFrame]]] = {
    "categories": (TREES, lambda x: x),
    "ordered categories": (TREES, lambda x: x.assign(site=x["site"].cat.as_ordered())),
    "strings": (encoded(impute=False), as_objects),
    "pandas' strings": (encoded(impute=False), lambda x: x.astype({"site": "string"})),
    "nullable numbers": (TREES, lambda x: x.astype({"reading": "Float64", "count": "Int64"})),
}


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES)
def case(request: pytest.FixtureRequest) -> tuple[ClassifierRatio, Callable]:
    """Fit on 600 rows of a table of some kind."""
    classifier, form = request.param
    theta, x = simulated(600)
    return ClassifierRatio(classifier, PRIOR, **QUICK).fit(theta, form(x)), form


def heights(ratio: ClassifierRatio, x: object) -> pd.Series:
    """Draw heights for one observation."""
    return ratio.sample(x, 500)["height"]


def test_categories_and_missing_values_tell_what_they_do(case: tuple) -> None:
    """
    Four fifths of the draws lie where the simulator allows them.

    The prior would put a half of them there for the south, and a quarter for the missing reading.
    """
    ratio, form = case
    x = form(simulated(600)[1])
    first = [np.flatnonzero(x["site"] == "south")[0], np.flatnonzero(x["reading"].isna())[0]]
    draws = ratio.sample(x.iloc[first].set_axis(["south", "missing"]), 500)["height"]
    assert (draws["south"] < 0).mean() > 0.8
    assert (draws["missing"] > 0.5).mean() > 0.8


def test_one_observation_in_every_form(case: tuple) -> None:
    ratio, form = case
    row = form(simulated(600)[1]).iloc[0]
    expected = heights(ratio, row)
    for observation in (row.to_dict(), row.tolist(), tuple(row), row.to_frame().T):
        np.testing.assert_array_equal(heights(ratio, observation), expected)


def test_scores_use_all_columns(case: tuple) -> None:
    ratio, form = case
    theta, x = simulated(600, seed=1)
    score = ratio.score(theta, form(x))
    elsewhere = x.assign(site=x["site"].array[::-1])
    assert score > -0.6
    assert ratio.score(theta, form(elsewhere)) < score - 0.1


def test_cross_validation(case: tuple) -> None:
    ratio, form = case
    theta, x = simulated(400, seed=2)
    scores = cross_val_score(clone(ratio), theta, form(x), cv=2, error_score="raise")
    assert (scores > -0.62).all()


def test_trials_of_tables(case: tuple) -> None:
    """Log-ratios add up, and two trials of the south are surer than one."""
    ratio, form = case
    theta, x = simulated(600)
    trials = form(x).iloc[:4]
    single = [ratio.predict_log_ratio(theta[:9], trials.iloc[k]) for k in range(4)]
    total = ratio.predict_log_ratio(theta[:9], trials, iid=True)
    np.testing.assert_allclose(total, np.sum(single, axis=0), rtol=0, atol=1e-9)
    batch = ratio.predict_log_ratio(
        theta[:2].to_numpy(),
        trials.set_index(pd.MultiIndex.from_product([["mon", "tue"], range(2)])),
        iid=True,
    )
    expected = [single[0][0] + single[1][0], single[2][1] + single[3][1]]
    np.testing.assert_allclose(batch, expected, rtol=0, atol=1e-9)


def test_missing_values_in_an_array() -> None:
    theta, x = simulated(600)
    numbers = x[["reading", "count"]].to_numpy(float)
    ratio = ClassifierRatio(TREES, PRIOR, **QUICK).fit(theta, numbers)
    assert ratio.score(theta, numbers) > -np.log(2) + 0.05
    assert (heights(ratio, [np.nan, 3.0]) > 0.5).mean() > 0.7
    np.testing.assert_array_equal(heights(ratio, [None, 3.0]), heights(ratio, [np.nan, 3.0]))


@pytest.mark.filterwarnings("ignore:x lacks values in the columns")
def test_a_classifier_that_takes_no_missing_values_says_so() -> None:
    theta, x = simulated(600)
    numbers = x[["reading", "count"]]
    match = r"x contains NaN, which classifier=LogisticRegression\(\) does not take"
    ratio = ClassifierRatio(LogisticRegression(), PRIOR, **QUICK)
    with pytest.raises(ValueError, match=match):
        clone(ratio).fit(theta, numbers)
    ratio.fit(theta, numbers.fillna(0.0))
    for call in (ratio.sample, ratio.map, ratio.summary):
        with pytest.raises(ValueError, match=match):
            call([np.nan, 3.0])
    with pytest.raises(ValueError, match=match):
        ratio.score(theta, numbers)


@pytest.mark.parametrize("classifier", [TREES, LogisticRegression()])
def test_a_classifier_that_takes_no_strings_says_so(classifier: BaseEstimator) -> None:
    theta, x = simulated(200)
    x = as_objects(x).assign(reading=0.0)
    with pytest.raises(ValueError, match=r"x must hold numbers only: .*'(north|south)'.*Pipeline"):
        ClassifierRatio(classifier, PRIOR, **QUICK).fit(theta, x)


@pytest.mark.parametrize("cls", [NPE, NRE])
def test_networks_take_neither(cls: type) -> None:
    theta, x = simulated(200)
    with pytest.raises(ValueError, match="x must hold numbers only: .*'(north|south)'"):
        cls(PRIOR).fit(theta, x)
    with pytest.raises(ValueError, match="x contains NaN"):
        cls(PRIOR).fit(theta, x[["reading"]].assign(taken=1.0))


def test_infinity_is_refused_whatever_the_classifier() -> None:
    theta, x = simulated(200)
    x.loc[7, "reading"] = np.inf
    with pytest.raises(ValueError, match="x contains infinity"):
        ClassifierRatio(TREES, PRIOR, **QUICK).fit(theta, x)


def test_theta_and_x_share_no_column() -> None:
    theta, x = simulated(200)
    with pytest.raises(ValueError, match=r"different columns.*got \['height'\] in both"):
        ClassifierRatio(TREES, PRIOR, **QUICK).fit(theta, x.rename(columns={"count": "height"}))
