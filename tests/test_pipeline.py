"""Our Pipeline sends x, and never theta, through its steps, and knows one observation from many."""

import gc
import inspect
import weakref
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse, stats
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_selection import SelectFromModel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from sksbi import NPE, CalibratedPosterior, Ensemble
from sksbi.exceptions import MisspecificationWarning
from sksbi.pipeline import Pipeline, make_pipeline

TINY = {
    "flow": "maf",
    "transforms": 2,
    "hidden_features": (16,),
    "max_epochs": 3,
    "lr": 1e-2,
    "random_state": 0,
}
PRIOR = {"mass": stats.norm(0, 1), "rate": stats.uniform(-4, 8)}
COLUMNS = ["a", "b", "c", "d"]


def simulated() -> tuple[np.ndarray, np.ndarray]:
    """Give 150 pairs of two parameters and four numbers on different scales."""
    rng = np.random.default_rng(0)
    theta = np.column_stack([rng.normal(size=150), rng.uniform(-4, 4, size=150)])
    x = theta @ rng.normal(size=(2, 4)) + rng.normal(size=(150, 4))
    return theta, x * [1.0, 100.0, 0.01, 1.0] + [0.0, 5.0, 0.0, -3.0]


THETA, X = simulated()
THETA_TABLE = pd.DataFrame(THETA, columns=list(PRIOR))
X_TABLE = pd.DataFrame(X, columns=COLUMNS, index=pd.Index(range(1000, 1150), name="run"))


@pytest.fixture(scope="module")
def on_arrays() -> Pipeline:
    """Fit on arrays."""
    return make_pipeline(StandardScaler(), PCA(3), NPE(PRIOR, **TINY)).fit(THETA, X)


@pytest.fixture(scope="module")
def on_tables() -> Pipeline:
    """Fit on tables."""
    pipe = make_pipeline(StandardScaler(), PCA(3), NPE(PRIOR, **TINY))
    return pipe.fit(THETA_TABLE, X_TABLE)


def test_it_is_the_estimator_fitted_on_transformed_x_and_theta_is_left_alone(
    on_arrays: Pipeline,
) -> None:
    scaler, pca = StandardScaler(), PCA(3)
    by_hand = pca.fit_transform(scaler.fit_transform(X))
    npe = NPE(PRIOR, **TINY).fit(THETA, by_hand)
    assert on_arrays.score(THETA, X) == npe.score(THETA, by_hand)
    np.testing.assert_array_equal(on_arrays.log_prob(THETA, X), npe.log_prob(THETA, by_hand))
    np.testing.assert_array_equal(on_arrays.sample(X[:3], 7), npe.sample(by_hand[:3], 7))
    np.testing.assert_array_equal(on_arrays.map(X[:2]), npe.map(by_hand[:2]))
    pd.testing.assert_frame_equal(on_arrays.summary(X[:2]), npe.summary(by_hand[:2]))
    weights = np.arange(150.0)
    assert on_arrays.score(THETA, X, sample_weight=weights) == (
        npe.score(THETA, by_hand, sample_weight=weights)
    )
    stacked = np.stack([THETA[:5], THETA[5:10]])
    np.testing.assert_array_equal(
        on_arrays.log_prob(stacked, X[:2]), npe.log_prob(stacked, by_hand[:2])
    )


def test_tables_give_the_numbers_of_arrays(on_arrays: Pipeline, on_tables: Pipeline) -> None:
    draws = on_tables.sample(X_TABLE.iloc[:3], 5)
    assert list(draws.columns) == list(PRIOR)
    np.testing.assert_array_equal(draws.to_numpy().reshape(3, 5, 2), on_arrays.sample(X[:3], 5))
    assert on_tables.score(THETA_TABLE, X_TABLE) == on_arrays.score(THETA, X)


ONE_OF_ARRAYS = {
    "array": X[4],
    "list": list(X[4]),
    "tuple": tuple(X[4]),
    "dict": dict(zip(COLUMNS, X[4], strict=True)),
    "Series": pd.Series(X[4]),
    "named Series": X_TABLE.iloc[4],
    "read-only": np.broadcast_to(X[4], (4,)),
}


@pytest.mark.parametrize("one", ONE_OF_ARRAYS.values(), ids=ONE_OF_ARRAYS)
@pytest.mark.parametrize("kind", ["on_arrays", "on_tables"])
def test_one_observation_is_its_batch_of_one_without_the_axis(
    kind: str, one: object, request: pytest.FixtureRequest
) -> None:
    pipe = request.getfixturevalue(kind)
    row = X[4:5] if kind == "on_arrays" else X_TABLE.iloc[4:5]
    batch = np.asarray(pipe.sample(row, 6)).reshape(1, 6, 2)
    draws = pipe.sample(one, 6)
    assert isinstance(draws, pd.DataFrame) == (kind == "on_tables")
    np.testing.assert_array_equal(draws, batch[0])
    np.testing.assert_array_equal(pipe.map(one), np.asarray(pipe.map(row))[0])
    theta = THETA[:9] if kind == "on_arrays" else THETA_TABLE[:9]
    np.testing.assert_array_equal(pipe.log_prob(theta, one), pipe.log_prob(theta, row))
    assert pipe.summary(one).index.tolist() == list(PRIOR)


def test_batches_of_one_row_keep_their_axis(on_arrays: Pipeline, on_tables: Pipeline) -> None:
    assert on_arrays.sample(X[:1], 6).shape == (1, 6, 2)
    assert on_arrays.map(X[:1]).shape == (1, 2)
    assert on_tables.sample(X_TABLE.iloc[:1], 6).index.names == ["observation", "draw"]
    assert on_tables.map(X_TABLE.iloc[:1]).index.tolist() == [1000]


def test_numbers_of_fewer_digits_are_computed_with_those_of_fit(
    on_arrays: Pipeline, on_tables: Pipeline
) -> None:
    """A scaler computes in the dtype that it is given; what float32 holds has one answer."""
    x, theta = X[:5].astype("f4"), THETA[:5]
    table = pd.DataFrame(x, columns=COLUMNS)
    for pipe, forms in (
        (on_arrays, (x, torch.from_numpy(x))),
        (on_tables, (table, table.astype("f8").astype({"b": "f4"}))),
    ):
        wide = pipe.log_prob(theta, forms[0].astype("f8"))
        for form in forms:
            np.testing.assert_array_equal(pipe.log_prob(theta, form), wide)
    np.testing.assert_array_equal(
        on_tables.log_prob(theta[:1], table.iloc[0]),
        on_tables.log_prob(theta[:1], table.iloc[0].astype("f8")),
    )


def test_the_labels_of_a_batch_are_kept(on_arrays: Pipeline, on_tables: Pipeline) -> None:
    without_names = pd.DataFrame(X[5:8], index=[1005, 1006, 1007])
    for pipe, batch in ((on_arrays, without_names), (on_tables, X_TABLE.iloc[5:8])):
        labels = pipe.summary(batch).index.get_level_values("observation")
        assert labels.unique().tolist() == [1005, 1006, 1007]
    draws = on_tables.sample(X_TABLE.iloc[5:8], 2)
    assert draws.index.tolist() == [(label, i) for label in (1005, 1006, 1007) for i in (0, 1)]
    assert on_tables.sample(X[5:8], 2).index[-1] == (2, 1)


def test_steps_with_pandas_output_keep_labels_and_numbers(on_tables: Pipeline) -> None:
    pipe = make_pipeline(StandardScaler(), PCA(3), NPE(PRIOR, **TINY))
    pipe[:-1].set_output(transform="pandas")
    pipe.fit(THETA_TABLE, X_TABLE)
    assert pipe.steps[-1][1].x_layout_.names == ("pca0", "pca1", "pca2")
    pd.testing.assert_frame_equal(
        pipe.sample(X_TABLE.iloc[2:4], 5), on_tables.sample(X_TABLE.iloc[2:4], 5)
    )
    pd.testing.assert_frame_equal(
        pipe.sample(X_TABLE.iloc[2], 5), on_tables.sample(X_TABLE.iloc[2], 5)
    )


def mixed_table(n: int = 300) -> tuple[np.ndarray, pd.DataFrame]:
    """Give a table of a string, a category, an integer and a float; all tell of theta."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(n, 1))
    noisy = theta[:, 0] + 0.3 * rng.normal(size=n)
    table = pd.DataFrame(
        {
            "side": np.where(noisy > 0, "right", "left"),
            "grade": pd.Categorical.from_codes(np.digitize(noisy, [-1, 1]), list("xyz")),
            "count": np.round(10 * noisy).astype(np.int64),
            "size": 2 * noisy,
        }
    )
    return theta, table


@pytest.fixture(scope="module")
def on_mixed() -> Pipeline:
    """Fit on strings, categories and numbers."""
    encode = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["side", "grade"]), remainder=StandardScaler()
    )
    return make_pipeline(encode, NPE(**TINY)).fit(*mixed_table())


def test_strings_and_categories_reach_the_encoder(on_mixed: Pipeline) -> None:
    theta, table = mixed_table()
    seen = on_mixed[:-1].transform(table)
    np.testing.assert_array_equal(seen[:, 1], table["side"] == "right")
    np.testing.assert_array_equal(seen[:, 2:5].argmax(axis=1), table["grade"].cat.codes)
    by_hand = NPE(**TINY).fit(theta, seen)
    assert on_mixed.score(theta, table) == by_hand.score(theta, seen)


@pytest.mark.parametrize("form", [dict, list, tuple, pd.Series, lambda row: row.to_numpy()])
def test_one_observation_of_mixed_columns_in_every_form(form: object, on_mixed: Pipeline) -> None:
    table = mixed_table()[1]
    assert isinstance(table.iloc[3]["side"], str)
    batch = on_mixed.sample(table.iloc[3:4], 8)
    np.testing.assert_array_equal(on_mixed.sample(form(table.iloc[3]), 8), batch[0])
    np.testing.assert_array_equal(
        on_mixed.sample(table.iloc[:4].to_numpy(), 8), on_mixed.sample(table.iloc[:4], 8)
    )
    rows = [form(row) for _, row in table.iloc[:4].iterrows()]
    if form is not dict:
        np.testing.assert_array_equal(on_mixed.sample(rows, 8), on_mixed.sample(table[:4], 8))


def test_one_observation_reaches_the_steps_with_the_dtypes_of_fit() -> None:
    theta, table = mixed_table()
    seen = []

    def numbers(x: pd.DataFrame) -> np.ndarray:
        seen.append(x.dtypes.to_dict())
        return np.column_stack([x["grade"].cat.codes, x["count"], x["size"]])

    pipe = make_pipeline(FunctionTransformer(numbers), NPE(**TINY)).fit(theta, table)
    batch = pipe.sample(table.iloc[3:4], 8)
    for one in (table.iloc[3], table.iloc[3].to_dict(), table.iloc[3].tolist()):
        np.testing.assert_array_equal(pipe.sample(one, 8), batch[0])
    assert all(dtypes == table.dtypes.to_dict() for dtypes in seen)
    assert len(seen) == 5


def test_arrays_of_strings() -> None:
    theta, table = mixed_table()
    words = table[["side", "grade"]].to_numpy(dtype=object)
    pipe = make_pipeline(OneHotEncoder(sparse_output=False), NPE(**TINY)).fit(theta, words)
    one = pipe.sample(["left", "x"], 500)
    np.testing.assert_array_equal(one, pipe.sample(np.array([["left", "x"]], dtype=object), 500)[0])
    assert one.mean() < pipe.sample(["right", "z"], 500).mean()


def flatten(images: np.ndarray) -> np.ndarray:
    """Turn images into rows."""
    return images.reshape(len(images), -1)


def test_images_through_a_function() -> None:
    images = np.random.default_rng(0).normal(size=(150, 3, 3)) + THETA[:, :1, None]
    pipe = make_pipeline(FunctionTransformer(flatten), NPE(**TINY)).fit(THETA, images)
    npe = NPE(**TINY).fit(THETA, images.reshape(150, 9))
    assert pipe.score(THETA, images) == npe.score(THETA, images.reshape(150, 9))
    np.testing.assert_array_equal(pipe.sample(images[0], 4), npe.sample(images[0].ravel(), 4))
    np.testing.assert_array_equal(
        pipe.sample(images[:1], 4), npe.sample(images[:1].reshape(1, 9), 4)
    )


def test_one_number_a_simulation() -> None:
    pipe = make_pipeline(FunctionTransformer(np.arctan), NPE(**TINY)).fit(THETA, X[:, 0])
    npe = NPE(**TINY).fit(THETA, np.arctan(X[:, 0]))
    np.testing.assert_array_equal(pipe.sample(0.5, 4), npe.sample(np.arctan(0.5), 4))
    np.testing.assert_array_equal(pipe.sample([0.5], 4)[0], pipe.sample(0.5, 4))


def test_transformers_learn_from_theta_as_their_y() -> None:
    select = SelectFromModel(LinearRegression(), max_features=2, threshold=-np.inf)
    pipe = make_pipeline(StandardScaler(), select, NPE(**TINY)).fit(THETA, X)
    scaled = StandardScaler().fit_transform(X)
    chosen = clone(select).fit(scaled, THETA)
    np.testing.assert_array_equal(pipe[1].get_support(), chosen.get_support())
    expected = NPE(**TINY).fit(THETA, chosen.transform(scaled))
    assert pipe.score(THETA, X) == expected.score(THETA, chosen.transform(scaled))


def test_the_number_of_components_is_searched() -> None:
    """The first component is noise on a large scale: with it alone, x tells nothing."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(300, 1))
    x = np.column_stack([100 * rng.normal(size=300), theta, 0.01 * rng.normal(size=300)])
    pipe = Pipeline([("pca", PCA()), ("npe", NPE(**TINY | {"max_epochs": 8}))])
    search = GridSearchCV(pipe, {"pca__n_components": [1, 2], "npe__transforms": [1]}, cv=2)
    search.fit(pd.DataFrame(theta, columns=["mass"]), pd.DataFrame(x, columns=list("abc")))
    one, two = search.cv_results_["mean_test_score"]
    assert two > one + 0.5
    assert search.best_params_["pca__n_components"] == 2
    assert search.best_estimator_["pca"].n_components_ == 2
    assert search.best_estimator_.sample(dict(zip("abc", x[0], strict=True)), 3).shape == (3, 1)


def test_a_slice_is_the_part_of_the_whole(on_arrays: Pipeline) -> None:
    transformed = on_arrays[:-1].transform(X)
    np.testing.assert_array_equal(transformed, on_arrays[1].transform(on_arrays[0].transform(X)))
    assert on_arrays[-1] is on_arrays["npe"] is on_arrays.named_steps["npe"]
    scaled = on_arrays[0].transform(X)
    np.testing.assert_array_equal(on_arrays[1:].sample(scaled[:2], 4), on_arrays.sample(X[:2], 4))
    assert on_arrays[1:].score(THETA, scaled) == on_arrays.score(THETA, X)
    np.testing.assert_array_equal(
        on_arrays[-1:].sample(transformed[0], 4), on_arrays.sample(X[0], 4)
    )
    assert not hasattr(on_arrays[:-1], "sample")
    assert not hasattr(on_arrays, "predict")
    assert not hasattr(on_arrays, "transform")


class Counting(TransformerMixin, BaseEstimator):
    """Centre, and count how often it was fitted."""

    fits = 0

    def fit(self, X: np.ndarray, y: object = None) -> "Counting":
        Counting.fits += 1
        self.mean_ = X.mean(axis=0)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        return X - self.mean_


def test_fitted_transformers_are_cached(tmp_path: Path) -> None:
    Counting.fits = 0
    steps = Counting(), NPE(**TINY)
    pipe = make_pipeline(*steps, memory=str(tmp_path)).fit(THETA, X)
    again = clone(pipe).set_params(npe__max_epochs=1).fit(THETA, X)
    assert Counting.fits == 1
    assert len(again.history_) == 1
    assert not hasattr(steps[0], "mean_")
    plain = make_pipeline(Counting(), NPE(**TINY)).fit(THETA, X)
    np.testing.assert_array_equal(pipe.sample(X[0], 5), plain.sample(X[0], 5))
    again.fit(THETA, X + 1)
    assert Counting.fits == 3


def test_it_is_displayed_with_its_steps(on_arrays: Pipeline) -> None:
    assert repr(on_arrays).startswith("Pipeline(steps=[('standardscaler', StandardScaler())")
    html = on_arrays._repr_html_()
    assert all(name in html for name in ("StandardScaler", "PCA", "NPE"))


def test_parameters_of_fit_reach_their_steps() -> None:
    weights = np.random.default_rng(0).integers(0, 3, 150).astype(float)
    pipe = Pipeline([("scale", StandardScaler()), ("npe", NPE(**TINY))])
    pipe.fit(THETA, X, npe__sample_weight=weights)
    scaled = StandardScaler().fit_transform(X)
    weighted = NPE(**TINY).fit(THETA, scaled, sample_weight=weights)
    assert pipe.score(THETA, X) == weighted.score(THETA, scaled)
    assert pipe.score(THETA, X) != NPE(**TINY).fit(THETA, scaled).score(THETA, scaled)
    pipe.fit(THETA, X, scale__sample_weight=weights)
    np.testing.assert_allclose(pipe["scale"].mean_, np.average(X, axis=0, weights=weights))


@pytest.mark.parametrize("key", ["sample_weight", "npee__sample_weight", "npe_sample_weight"])
def test_an_unknown_parameter_of_fit_is_named(key: str) -> None:
    pipe = Pipeline([("scale", StandardScaler()), ("npe", NPE(**TINY))])
    message = f"does not accept '{key}'.*\\['scale', 'npe'\\].*npe__sample_weight"
    with pytest.raises(ValueError, match=message):
        pipe.fit(THETA, X, **{key: np.ones(150)})


def test_parameters_are_set_through_and_a_clone_is_independent(on_arrays: Pipeline) -> None:
    again = clone(on_arrays).set_params(pca="passthrough", npe__max_epochs=1, npe__lr=0.5)
    assert on_arrays["npe"].lr == TINY["lr"]
    with pytest.raises(NotFittedError):
        again.sample(X[0])
    again.fit(THETA, X)
    assert len(again.history_) == 1
    scaled = StandardScaler().fit_transform(X)
    alone = clone(again["npe"]).fit(THETA, scaled)
    assert again.score(THETA, X) == alone.score(THETA, scaled)


def test_both_spellings_and_the_names_of_theta(on_tables: Pipeline) -> None:
    pipe = clone(on_tables)
    assert pipe.fit(X=THETA_TABLE, y=X_TABLE).score(X=THETA_TABLE, y=X_TABLE) == (
        on_tables.score(theta=THETA_TABLE, x=X_TABLE)
    )
    assert list(pipe.feature_names_in_) == list(PRIOR)
    assert pipe.n_features_in_ == 2
    with pytest.raises(TypeError, match="give theta once"):
        pipe.fit(theta=THETA_TABLE, X=THETA_TABLE, x=X_TABLE)


BAD_OBSERVATIONS = {
    "name in a dict": (dict(zip("abde", X[0], strict=True)), r"unseen at fit: \['e'\], .* \['c'\]"),
    "name of a Series": (X_TABLE.iloc[0].rename({"d": "mass"}), "'mass'"),
    "order of a table": (X_TABLE[["b", "a", "c", "d"]], r"\['b', 'a', 'c', 'd'\]"),
    "width": (X[0, :3], "4 columns as in fit, got 3"),
    "width of a batch": (X[:2, :3], "4 columns as in fit, got 3"),
}


@pytest.mark.parametrize(("x", "message"), BAD_OBSERVATIONS.values(), ids=BAD_OBSERVATIONS)
def test_a_wrong_observation_is_named(x: object, message: str, on_tables: Pipeline) -> None:
    with pytest.raises(ValueError, match=message):
        on_tables.sample(x)


def test_columns_out_of_order_are_refused_even_if_the_steps_would_take_them() -> None:
    pipe = make_pipeline(FunctionTransformer(np.asarray), NPE(**TINY)).fit(THETA, X_TABLE)
    with pytest.raises(ValueError, match=r"\['d', 'c', 'b', 'a'\]"):
        pipe.sample(X_TABLE[["d", "c", "b", "a"]])


@pytest.mark.parametrize("form", [X_TABLE.iloc[0], X_TABLE.iloc[0].to_dict(), X_TABLE.iloc[:2]])
def test_around_a_fitted_estimator_alone_x_may_be_all_that_it_takes(form: object) -> None:
    npe = NPE(PRIOR, **TINY).fit(THETA_TABLE, X_TABLE)
    pd.testing.assert_frame_equal(Pipeline([("npe", npe)]).sample(form, 5), npe.sample(form, 5))


def test_the_last_step_must_infer() -> None:
    with pytest.raises(TypeError, match=r"inference estimator, such as NPE, got LinearRegression"):
        make_pipeline(StandardScaler(), LinearRegression()).fit(THETA, X)
    with pytest.raises(ValueError, match="y is None: y is x"):
        make_pipeline(StandardScaler(), NPE(**TINY)).fit(THETA)


def test_the_form_of_fit_keeps_no_row_of_x_alive() -> None:
    for form in (np.asarray, lambda x: pd.DataFrame(x, copy=False)):
        values = X.copy()
        pipe = make_pipeline(StandardScaler(), NPE(**TINY)).fit(THETA, form(values))
        reference = weakref.ref(values)
        del values
        gc.collect()
        assert (reference(), len(pipe.x_template_)) == (None, 0)


NUMBERS = {"int64": [1, 2, 3], "uint8": [1, 2, 255], "bool": [True, False, True]}
NUMBERS |= {"Int64": [1, 2, 3], "boolean": [True, False, True], "float32": [0.5, 1, 2]}
TOO_MUCH = {"int64": [1.99, 2.0**70, np.inf], "uint8": [1.99, 300, -1], "bool": [0.3, 2]}
TOO_MUCH |= {"Int64": [1.99, 1e30], "boolean": [2]}


def seeing(dtype: object, values: list) -> tuple[Pipeline, list]:
    """Fit on a table of one column "c", and note what the first step sees."""
    seen = []
    look = FunctionTransformer(lambda x: seen.append(x["c"]) or np.zeros((len(x), 1)))
    table = pd.DataFrame({"c": pd.Series(values * 10, dtype=dtype)})
    return make_pipeline(look, NPE(**TINY)).fit(THETA[: len(table)], table), seen


@pytest.mark.parametrize("dtype", NUMBERS)
def test_a_number_gets_the_dtype_of_fit_only_if_it_stays_itself(dtype: str) -> None:
    pipe, seen = seeing(dtype, NUMBERS[dtype])
    for value in TOO_MUCH.get(dtype, []):
        for one in ({"c": value}, [value], [[value]], np.array([value]), np.array([[value]])):
            pipe.sample(one, 2)
            assert (seen[-1].dtype, seen[-1].tolist()) == (float, [value])
    for one in ({"c": 1.0}, [1], [np.float64(1)], [True], [[1], [0.0]], np.array([[1.0]])):
        pipe.sample(one, 2)
        assert (seen[-1].dtype, seen[-1].iloc[0]) == (dtype, 1)


@pytest.mark.parametrize("value", [None, np.nan, pd.NA, "2", "two", 1j, pd.Timestamp(0)])
def test_what_is_no_number_is_named_with_its_column(value: object) -> None:
    for dtype in ("int64", "bool") if pd.isna(value) else ("int64", "bool", "float64"):
        pipe = seeing(dtype, [0, 1, 1])[0]
        for one in ({"c": value}, [[value], [1]]):
            with pytest.raises(ValueError, match=r"^x must hold .*column 'c'.*got ") as caught:
                pipe.sample(one)
            assert repr(value) in str(caught.value)


@pytest.mark.filterwarnings("ignore:x lacks values in the columns")
def test_a_missing_number_reaches_the_imputer() -> None:
    pipe = make_pipeline(SimpleImputer(), NPE(**TINY)).fit(THETA, X_TABLE)
    filled = pipe.sample([X[:, 0].mean(), *X[0, 1:]], 5)
    for gap in (np.nan, None, pd.NA):
        np.testing.assert_array_equal(pipe.sample([gap, *X[0, 1:]], 5), filled)
    with pytest.raises(ValueError, match="NaN throughout in 1 of 1 observations.*no observation"):
        pipe.sample(np.full(X.shape[1], np.nan), 5)


@pytest.mark.parametrize("form", [list, lambda row: row.to_dict(), lambda row: [list(row)] * 2])
def test_an_unknown_category_is_named(form: object) -> None:
    codes = FunctionTransformer(lambda x: x["grade"].cat.codes.to_numpy()[:, None])
    pipe = make_pipeline(codes, NPE(**TINY)).fit(*mixed_table())
    row = mixed_table()[1].iloc[0].replace(["x", "y", "z"], "q")
    with pytest.raises(ValueError, match=r"x must .*\['x', 'y', 'z'\] in column 'grade'.*got 'q'"):
        pipe.sample(form(row))


def test_the_users_own_validation_pair_is_transformed() -> None:
    scaler = StandardScaler().fit(X[:100])
    pair, scaled = (THETA[100:], X[100:]), (THETA[100:], scaler.transform(X[100:]))
    by_hand = NPE(**TINY, validation_fraction=scaled).fit(THETA[:100], scaler.transform(X[:100]))
    pipe = make_pipeline(StandardScaler(), NPE(**TINY, validation_fraction=pair))
    pipe.fit(THETA[:100], X[:100])
    assert pipe.history_["valid_loss"].tolist() == by_hand.history_["valid_loss"].tolist()
    assert pipe.get_params()["npe__validation_fraction"] is pair
    with pytest.raises(ValueError, match="sample_weight"):
        pipe.fit(THETA[:100], X[:100], npe__sample_weight=[1.0])
    assert pipe["npe"].validation_fraction is pair
    pipe = make_pipeline(PCA(2), NPE(**TINY, validation_fraction=(THETA, X_TABLE)))
    assert np.isfinite(pipe.fit(THETA, X_TABLE).history_["valid_loss"]).all()


@pytest.mark.parametrize("kind", ["on_arrays", "on_tables"])
def test_no_observation_is_named(kind: str, request: pytest.FixtureRequest) -> None:
    pipe = request.getfixturevalue(kind)
    for ask in (pipe.sample, pipe.score, pipe.map, pipe[1:].sample):
        with pytest.raises(ValueError, match=r"^x must be one observation or a batch.*got None"):
            ask(None) if ask != pipe.score else ask(THETA)
    shapes = r"x must be one observation of shape \(4,\) or a batch of shape \(m, 4\), as in fit"
    with pytest.raises(ValueError, match=rf"{shapes}, got 3.0 of shape \(\)"):
        pipe.sample(3.0)


def test_sparse_matrices() -> None:
    for form in (sparse.csr_array, sparse.coo_array, sparse.csr_matrix):
        pipe = make_pipeline(TruncatedSVD(2, random_state=0), NPE(**TINY)).fit(THETA, form(X))
        batch = pipe.sample(form(X[:1]), 5)
        np.testing.assert_array_equal(batch, pipe.sample(X[0], 5)[None])


def test_observations_that_are_dicts() -> None:
    records = pd.DataFrame(X).rename(columns=str).to_dict("records")
    for form in (list, pd.Series):
        pipe = make_pipeline(DictVectorizer(sparse=False), NPE(**TINY)).fit(THETA, form(records))
        batch = pipe.sample(form(records[:1]), 5)
        np.testing.assert_array_equal(batch, pipe.sample(records[0], 5)[None])


def test_a_prior_of_another_width_is_noticed_before_the_transformers_are_fitted() -> None:
    Counting.fits = 0
    with pytest.raises(ValueError, match="prior has 2 parameters, theta has 4 columns"):
        make_pipeline(Counting(), NPE(PRIOR, **TINY)).fit(X, THETA)
    assert Counting.fits == 0


def test_fit_leaves_the_users_estimator_as_it_is() -> None:
    """Not fitted, and with its own validation pair, however deep; errors in fit change nothing."""
    pair = THETA[100:], X[100:]
    npe = NPE(**TINY, validation_fraction=pair)
    for final in (npe, Ensemble(npe, n_estimators=2), CalibratedPosterior(npe, n_samples=20)):
        inner = final if final is npe else final.estimator
        pipe = make_pipeline(StandardScaler(), final).fit(THETA[:100], X[:100])
        assert pipe[-1] is not final
        assert inner.validation_fraction is pair
        assert not hasattr(final, "n_features_in_")
        for attribute in ("net_", "estimators_", "scores_"):
            assert not hasattr(final, attribute)
        fitted = pipe[-1] if final is npe else pipe[-1].estimator
        assert fitted.validation_fraction is pair
        assert pipe.score(THETA, X) > -20


def test_a_warm_start_goes_on_through_a_pipeline() -> None:
    pipe = make_pipeline(StandardScaler(), NPE(**TINY, warm_start=True)).fit(THETA, X)
    assert len(pipe.fit(THETA, X).history_) == 2 * TINY["max_epochs"]


class Asked(NPE):
    """A family with a question of its own."""

    def distance(self, theta: np.ndarray, x: np.ndarray, *, power: int = 1) -> np.ndarray:
        """Compare theta with the first column of the x that the network sees."""
        return np.abs(theta[:, 0] - np.atleast_2d(x)[:, 0]) ** power


def test_what_a_family_of_its_own_is_asked_about_x_is_passed_on() -> None:
    pipe = make_pipeline(StandardScaler(), Asked(**TINY)).fit(THETA, X)
    expected = (THETA[:, 0] - StandardScaler().fit_transform(X)[:, 0]) ** 2
    np.testing.assert_allclose(pipe.distance(THETA, X, power=2), expected)
    np.testing.assert_allclose(pipe.distance(THETA, x=X, power=2), expected)
    assert not hasattr(make_pipeline(StandardScaler(), NPE()), "distance")
    assert not hasattr(Pipeline.__new__(Pipeline), "distance")


def test_signatures_and_texts_are_those_of_the_last_step() -> None:
    pipe = make_pipeline(StandardScaler(), NPE())
    assert inspect.signature(pipe.sample) == inspect.signature(NPE().sample)
    assert "n_samples : int" in Pipeline.sample.__doc__


@pytest.mark.filterwarnings("ignore:x lacks values in the columns")
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.ones((2, 5)), ValueError, r"^x, in the step 'standardscaler': X has 5 features, but"),
        (np.ones(5), ValueError, r"^x, in the step 'standardscaler': X has 5 features"),
        (sparse.csr_matrix(X[:2]), TypeError, r"^x must be dense, as in fit.*x\.toarray\(\)"),
        (sparse.coo_array(X[0]), TypeError, r"^x must be dense, as in fit.*x\.toarray\(\)"),
        (np.diag([np.nan, 1, 1, 1]), ValueError, r"^x, in the step 'pca': Input X contains NaN"),
        (np.full((2, 4), np.nan), ValueError, r"^x contains NaN throughout in 2 of 2 observations"),
        (pl.DataFrame(X[:2]).lazy(), TypeError, r"^x must be a table in memory"),
    ],
)
def test_errors_of_steps_name_the_step_and_x(
    x: object, error: type, message: str, on_arrays: Pipeline
) -> None:
    with pytest.raises(error, match=message):
        on_arrays.sample(x)


def test_errors_of_steps_in_fit_name_the_step_and_x() -> None:
    pipe = make_pipeline(FunctionTransformer(), PCA(9), NPE(PRIOR, **TINY))
    with pytest.raises(ValueError, match=r"^x, in the step 'pca': n_components=9 must be between"):
        pipe.fit(THETA, X)
    with pytest.raises(ValueError, match=r"^theta and x must have one length, got \[150, 149\]"):
        pipe.fit(THETA, X[1:])


def test_one_sparse_row_is_one_observation() -> None:
    pipe = make_pipeline(StandardScaler(with_mean=False), TruncatedSVD(2), NPE(PRIOR, **TINY))
    pipe.fit(THETA, sparse.csr_array(X))
    expected = pipe.sample(sparse.csr_array(X[:1]), 3)[0]
    np.testing.assert_allclose(pipe.sample(sparse.coo_array(X[0]), 3), expected)


def test_tables_of_other_libraries_go_through_the_steps(on_tables: Pipeline) -> None:
    x, theta = pl.from_pandas(X_TABLE), pl.from_pandas(THETA_TABLE)
    pipe = clone(on_tables).fit(theta, x)
    one = X_TABLE.iloc[0]
    expected = on_tables.sample(one, 4)
    for form in (one, one[["d", "a", "c", "b"]], one[["d", "a", "c", "b"]].to_dict()):
        pd.testing.assert_frame_equal(on_tables.sample(form, 4), expected)
        pd.testing.assert_frame_equal(pipe.sample(form, 4), expected)
    np.testing.assert_array_equal(pipe.sample(x[:2], 4), on_tables.sample(X_TABLE[:2], 4))
    assert pipe.score(theta, x) == on_tables.score(THETA_TABLE, X_TABLE)
    for fitted in (pipe, on_tables):
        with pytest.raises(ValueError, match=r"same order.*got \['b', 'a', 'c', 'd'\]"):
            fitted.sample(x.select("b", "a", "c", "d"))
    with pytest.raises(ValueError, match=r"give theta\[list\(prior\)\]"):
        clone(on_tables).fit(theta.select("rate", "mass"), x)


def test_steps_that_give_tables_of_polars_keep_names() -> None:
    pipe = make_pipeline(StandardScaler().set_output(transform="polars"), NPE(PRIOR, **TINY))
    pipe.fit(THETA_TABLE, X_TABLE)
    assert pipe[-1].x_layout_.names == tuple(COLUMNS)
    plain = make_pipeline(StandardScaler(), NPE(PRIOR, **TINY)).fit(THETA_TABLE, X_TABLE)
    expected = plain.sample(X_TABLE.iloc[0], 4)
    pd.testing.assert_frame_equal(pipe.sample(X_TABLE.iloc[0], 4), expected)


def test_rows_in_another_order_warn_before_the_steps_drop_the_labels() -> None:
    theta = THETA_TABLE.set_axis(X_TABLE.index)
    with pytest.warns(UserWarning, match=r"same index labels in another order.*theta\.index"):
        make_pipeline(StandardScaler(), NPE(PRIOR, **TINY)).fit(theta, X_TABLE[::-1])


def test_the_step_that_failed_is_named_among_its_like() -> None:
    def refuse(x: np.ndarray) -> np.ndarray:
        raise ValueError("nothing to see")

    pipe = make_pipeline(FunctionTransformer(), FunctionTransformer(refuse), NPE(PRIOR, **TINY))
    with pytest.raises(ValueError, match="^x, in the step 'functiontransformer-2': nothing"):
        pipe.fit(THETA, X)


def test_labels_in_another_order_are_told_once_and_those_of_polars_are_none() -> None:
    shuffled = THETA_TABLE.sample(frac=1, random_state=0)
    x = X_TABLE.set_axis(THETA_TABLE.index)
    pipe = make_pipeline(StandardScaler().set_output(transform="pandas"), NPE(PRIOR, **TINY))
    with pytest.warns(UserWarning, match="same index labels") as caught:
        pipe.fit(shuffled, x)
    assert len(caught) == 1
    pipe.fit(shuffled, pl.from_pandas(x.loc[shuffled.index]))  # a warning would be an error


def test_a_gap_that_no_simulation_had_warns() -> None:
    """The imputer fills it by a mean, which the network takes for a measurement."""
    x = X_TABLE.copy()
    x.loc[x.index[::3], "b"] = np.nan
    pipe = make_pipeline(SimpleImputer(add_indicator=True), NPE(PRIOR, **TINY)).fit(THETA, x)
    assert pipe.sample({"a": 1.0, "b": None, "c": 0.01, "d": 1.0}, 5).shape == (5, 2)
    with pytest.warns(MisspecificationWarning, match=r"columns \['a'\], which no simulation"):
        pipe.sample({"a": None, "b": 1.0, "c": 0.01, "d": 1.0}, 5)
