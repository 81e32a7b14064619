"""The observations' way to the network, for every shape of x."""

import numpy as np
import pytest
import sklearn
from sklearn.decomposition import PCA
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sksbi.preprocessing import ObservationSpace, RobustViews

RNG = np.random.default_rng(0)


def test_scalars_are_a_table_of_one_column() -> None:
    x = RNG.lognormal(size=200)
    space = ObservationSpace(None, keep_shape=False).fit(x)
    np.testing.assert_array_equal(space.transform(x), RobustViews().fit_transform(x[:, None]))


@pytest.mark.parametrize("shape", [(200, 4), (200, 3, 5), (200, 2, 3, 4)])
def test_elements_have_views_of_their_own_unless_the_shape_is_kept(shape: tuple) -> None:
    x = RNG.normal(size=shape)
    views = ObservationSpace(None, keep_shape=False).fit(x).transform(x)
    np.testing.assert_array_equal(views, RobustViews().fit_transform(x.reshape(200, -1)))


@pytest.mark.parametrize("shape", [(200, 3, 5), (200, 2, 3, 4)])
def test_all_of_an_image_shares_one_scale(shape: tuple) -> None:
    x = RNG.lognormal(sigma=2, size=shape)
    kept = ObservationSpace(None, keep_shape=True).fit(x).transform(x)
    assert kept.shape == shape
    np.testing.assert_allclose([kept.mean(), kept.std()], [0, 1], atol=1e-4)
    order = np.argsort(x, axis=None)
    assert (np.diff(kept.ravel()[order]) >= 0).all()


def test_an_embedding_sees_as_many_columns_as_the_user_gave() -> None:
    x = RNG.lognormal(size=(200, 4)) * [1e-5, 1.0, 1e5, 1.0]
    kept = ObservationSpace(None, keep_shape=True).fit(x).transform(x)
    assert kept.shape == x.shape
    np.testing.assert_allclose(kept.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(kept.std(axis=0), 1, atol=1e-4)


def test_one_observation_is_scaled_as_in_a_batch() -> None:
    x = RNG.lognormal(size=(200, 3, 5))
    for keep_shape in (True, False):
        space = ObservationSpace(None, keep_shape).fit(x)
        np.testing.assert_array_equal(space.transform(x[7:8]), space.transform(x)[7:8])


def test_the_users_transformer_comes_first_and_is_copied() -> None:
    x = RNG.normal(size=(200, 6))
    pca = PCA(2)
    space = ObservationSpace(pca, keep_shape=False).fit(x)
    expected = RobustViews().fit_transform(PCA(2).fit_transform(x))
    np.testing.assert_allclose(space.transform(x), expected, atol=1e-6)
    assert not hasattr(pca, "components_")


def test_tables_from_a_transformer_are_taken() -> None:
    x = RNG.normal(size=(200, 3))
    expected = ObservationSpace(StandardScaler(), False).fit(x).transform(x)
    with sklearn.config_context(transform_output="pandas"):
        got = ObservationSpace(StandardScaler(), False).fit(x).transform(x)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("shape", [(20,), (20, 3, 5)])
def test_a_transformer_needs_a_table(shape: tuple) -> None:
    space = ObservationSpace(FunctionTransformer(), keep_shape=False)
    with pytest.raises(ValueError, match=rf"x_transformer .*two dimensions .*\({shape[0]},"):
        space.fit(np.ones(shape))


def readings(n: int = 1000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give two parameters, 30 columns of noise with two that matter among them, and these."""
    rng = np.random.default_rng(0)
    theta, x = rng.normal(size=(n, 2)), rng.lognormal(size=(n, 30))
    x[:, [4, 17]] = np.exp(theta) + rng.exponential(size=(n, 2))
    return x, theta, np.isin(np.arange(30), [4, 17])


def test_with_theta_columns_that_tell_nothing_are_left_out() -> None:
    """Each of 28 is kept with a probability of 0.01: four or more with 2e-4."""
    x, theta, matters = readings()
    space = ObservationSpace(None, keep_shape=False).fit(x, theta)
    assert space.kept_[matters].all()
    assert space.kept_[~matters].sum() < 4
    kept = x[:, space.kept_]
    np.testing.assert_array_equal(space.transform(x), RobustViews().fit_transform(kept))
    other = np.where(space.kept_, x, RNG.normal(size=x.shape))
    np.testing.assert_array_equal(space.transform(other), space.transform(x))


def test_columns_are_screened_by_their_ranks_more_than_by_their_outliers() -> None:
    """A column of eighty decades tells of theta as its logarithm does."""
    x, theta, matters = readings()
    x[:, 4] = np.exp(40 * theta[:, 0])
    assert ObservationSpace(None, keep_shape=False).fit(x, theta).kept_[matters].all()


def test_columns_are_screened_after_the_users_transformer() -> None:
    x, theta, matters = readings()
    space = ObservationSpace(FunctionTransformer(np.fliplr), keep_shape=False).fit(x, theta)
    assert space.kept_[::-1][matters].all()
    assert space.kept_.sum() < 6
    expected = RobustViews().fit_transform(x[:, ::-1][:, space.kept_])
    np.testing.assert_array_equal(space.transform(x), expected)


@pytest.mark.parametrize(
    "case", ["no theta", "no features", "kept shape", "few rows", "few columns"]
)
def test_everything_is_kept_where_nothing_is_screened(case: str) -> None:
    x, theta, _ = readings()
    if case == "few rows":
        x, theta = x[:400, :20], theta[:400]
    if case == "few columns":
        x = x[:, :11]
    shape, features = case == "kept shape", None if case == "no features" else "auto"
    space = ObservationSpace(None, shape, features)
    space.fit(x, None if case == "no theta" else theta)
    assert space.kept_.all()
    plain = ObservationSpace(None, shape).fit(x)
    np.testing.assert_array_equal(space.transform(x), plain.transform(x))


def test_series_are_screened_as_tables_are() -> None:
    x, theta, matters = readings()
    space = ObservationSpace(None, keep_shape=False).fit(x.reshape(-1, 15, 2), theta)
    table = ObservationSpace(None, keep_shape=False).fit(x, theta)
    np.testing.assert_array_equal(space.kept_, table.kept_)
    np.testing.assert_array_equal(space.transform(x.reshape(-1, 15, 2)), table.transform(x))


def test_one_observation_of_a_screened_table_is_scaled_as_in_a_batch() -> None:
    x, theta, _ = readings()
    space = ObservationSpace(None, keep_shape=False).fit(x, theta)
    np.testing.assert_array_equal(space.transform(x[7:8]), space.transform(x)[7:8])
