"""The parameters' way to the network: one-to-one, with its determinant, inside the support."""

import numpy as np
import pytest
import sklearn
import torch
from scipy import stats
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from sksbi.preprocessing import ParameterSpace
from sksbi.priors import Prior, check_prior

STEP = 1e-5


@pytest.mark.parametrize("sizes", [(1e-300, 1e299), (1e155, 1e-160), (1e-310, 1.0)])
def test_standardisation_does_not_depend_on_the_unit(sizes: tuple[float, float]) -> None:
    z = np.random.default_rng(0).normal(2.0, 0.5, size=(500, 2))
    theta = z * sizes
    space, reference = (ParameterSpace(None, None).fit(array) for array in (theta, z))
    (u, ladj), (expected, expected_ladj) = space.to_network(theta), reference.to_network(z)
    rtol = 1e-9 if min(sizes) > 1e-305 else 1e-4  # denormal numbers have few digits
    np.testing.assert_allclose(u, expected, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(ladj, expected_ladj - np.log(sizes).sum(), rtol=1e-6)
    np.testing.assert_allclose(space.from_network(u) / sizes, z, rtol=rtol)


@pytest.mark.parametrize("transformer", [None, StandardScaler(), PowerTransformer()])
def test_theta_too_large_for_floats_is_refused(transformer: BaseEstimator | None) -> None:
    theta = np.random.default_rng(0).normal(size=(50, 2)) * (
        1e307 if transformer is None else 1e200
    )
    with pytest.raises(ValueError, match=r"^theta, after .* must lie below 1e\+300, got .* larger"):
        ParameterSpace(None, transformer).fit(theta)


class Box:
    """A user's prior: uniform on a box with one open side."""

    support = ([-1.0, 0.0], [2.0, np.inf])

    def sample(self, n: int, random_state: object = None) -> np.ndarray:
        """Draw from a uniform and an exponential."""
        rng = np.random.default_rng(random_state)
        return np.column_stack([rng.uniform(-1, 2, n), rng.exponential(size=n)])

    def log_prob(self, theta: np.ndarray) -> np.ndarray:
        """Add up both log-densities."""
        return -np.log(3) - theta[:, 1]


PRIORS = {
    "two-sided": [stats.uniform(-1, 3), stats.beta(0.5, 0.5)],
    "one-sided": [stats.expon(2.0), stats.lognorm(1.0)],
    "decades": [stats.loguniform(1e-6, 1.0), stats.loguniform(1.0, 1e4)],
    "unbounded": {"a": stats.norm(1e3, 1.0), "b": stats.cauchy()},
    "correlated": stats.multivariate_normal([1, 2], [[1, 0.9], [0.9, 1]]),
    "torch": torch.distributions.Independent(
        torch.distributions.Uniform(torch.tensor([0.0, -5.0]), torch.tensor([1e-3, 5.0])), 1
    ),
    "box": Box(),
    "truncated": [stats.truncnorm(-1, 8), stats.halfnorm(0, 10)],
}
TRANSFORMERS = {
    "none": None,
    "standard": StandardScaler(),
    "minmax": MinMaxScaler(),
    "maxabs": MaxAbsScaler(),
    "robust": RobustScaler(),
    "pca": PCA(whiten=True),
    "power": PowerTransformer(),
    "raw power": PowerTransformer(standardize=False),
    "pipeline": make_pipeline(PowerTransformer(), PCA(), RobustScaler()),
}


def draw(prior: Prior | None, n: int = 300) -> np.ndarray:
    """Draw parameters; without a prior, skewed ones far from zero."""
    if prior is not None:
        return prior.sample(n, 0)
    return np.random.default_rng(0).gamma(2.0, size=(n, 2)) * [1.0, 1e-3] - [100.0, 0.0]


@pytest.fixture(params=[None, *PRIORS])
def prior(request: pytest.FixtureRequest) -> Prior | None:
    """Every kind of support, and no prior."""
    return None if request.param is None else check_prior(PRIORS[request.param])


@pytest.mark.parametrize("transformer", TRANSFORMERS.values(), ids=TRANSFORMERS)
def test_the_way_to_the_network_and_back(prior: Prior | None, transformer: object) -> None:
    theta = draw(prior)
    space = ParameterSpace(prior, transformer).fit(theta)
    u, _ = space.to_network(theta)
    np.testing.assert_allclose(u.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(u.std(axis=0), 1, atol=1e-6)
    np.testing.assert_allclose(space.from_network(u), theta, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("transformer", TRANSFORMERS.values(), ids=TRANSFORMERS)
def test_the_determinant_is_the_numerical_one(prior: Prior | None, transformer: object) -> None:
    theta = draw(prior)
    space = ParameterSpace(prior, transformer).fit(theta)
    u, ladj = space.to_network(theta[:30])
    # The slopes of the way back: a step in u never leaves the support.
    ends = [
        np.stack([space.from_network(u + s * STEP * row) for row in np.eye(2)], axis=2)
        for s in (1, -1)
    ]
    slopes = (ends[0] - ends[1]) / (2 * STEP)
    np.testing.assert_allclose(ladj, -np.linalg.slogdet(slopes)[1], atol=1e-3)


@pytest.mark.parametrize("transformer", TRANSFORMERS.values(), ids=TRANSFORMERS)
def test_from_unbounded_space_the_way_is_the_same(prior: Prior | None, transformer: object) -> None:
    space = ParameterSpace(prior, transformer).fit(draw(prior))
    z = space.to_unbounded(draw(prior)[:100])
    theta = z if prior is None else prior.from_unbounded(z)
    # Next to a bound theta has few digits left, of which the way back makes another z.
    np.testing.assert_allclose(
        space.unbounded_to_network(z), space.to_network(theta)[0], rtol=1e-5, atol=1e-6
    )


def test_from_unbounded_space_no_theta_is_needed() -> None:
    """Far out, where theta is the same for all z, and where a power is not defined."""
    prior = check_prior(PRIORS["two-sided"])
    space = ParameterSpace(prior, None).fit(draw(prior))
    far = np.array([[50.0, 60.0], [-50.0, -60.0], [100.0, 1e6]])
    u = space.unbounded_to_network(far)
    np.testing.assert_allclose(u, (far - space.scaler_.mean_) / space.scaler_.scale_)
    positive = np.exp(np.random.default_rng(0).normal(size=(100, 2)))
    space = ParameterSpace(None, PowerTransformer("box-cox")).fit(positive)
    z = np.array([[1.0, 2.0], [-1.0, 2.0], [3.0, 0.5]])
    u = space.unbounded_to_network(z)
    np.testing.assert_array_equal(np.isnan(u).all(axis=1), [False, True, False])
    np.testing.assert_allclose(u[[0, 2]], space.to_network(z[[0, 2]])[0])
    assert np.isnan(space.unbounded_to_network(z[[1]])).all()


@pytest.mark.parametrize("transformer", TRANSFORMERS.values(), ids=TRANSFORMERS)
@pytest.mark.parametrize("size", [1.0, 10.0, 40.0, 1e3, 1e30])
def test_no_u_leads_outside_the_support(
    prior: Prior | None, transformer: object, size: float
) -> None:
    space = ParameterSpace(prior, transformer).fit(draw(prior))
    corners = size * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1], [1, 0], [0, -1.0]])
    theta = space.from_network(corners)
    theta = theta[~np.isnan(theta).any(axis=1)]
    assert np.isfinite(theta).all()
    assert size > 10 or len(theta) == len(corners)
    if prior is not None:
        low, high = prior.support
        assert ((theta > low) & (theta < high)).all()
        u, ladj = space.to_network(theta)
        assert np.isfinite(u).all()
        assert np.isfinite(ladj).all()


def test_what_is_not_finite_becomes_nan_in_its_row_only(prior: Prior | None) -> None:
    space = ParameterSpace(prior, PowerTransformer()).fit(draw(prior))
    u = np.zeros((5, 2))
    u[1, 0], u[2, 1], u[3] = np.nan, np.inf, -np.inf
    theta = space.from_network(u)
    np.testing.assert_array_equal(np.isnan(theta).all(axis=1), [False, True, True, True, False])
    np.testing.assert_array_equal(theta[0], theta[4])


def test_the_bounds_themselves_have_finite_images() -> None:
    prior = check_prior(PRIORS["two-sided"])
    space = ParameterSpace(prior, None).fit(draw(prior))
    u, ladj = space.to_network(np.array([[-1.0, 0.0], [2.0, 1.0]]))
    assert np.isfinite(u).all()
    assert np.isfinite(ladj).all()


@pytest.mark.parametrize("transformer", [None, RobustScaler(), PowerTransformer()])
def test_constant_parameters_keep_their_value(transformer: object) -> None:
    theta = np.column_stack([draw(None), np.full(300, 4.2)])
    space = ParameterSpace(None, transformer).fit(theta)
    u, ladj = space.to_network(theta)
    assert np.isfinite(ladj).all()
    np.testing.assert_allclose(u[:, 2], 0.0, atol=1e-9)
    np.testing.assert_allclose(space.from_network(u), theta, rtol=1e-9)


def test_weights_count_like_repeated_rows() -> None:
    theta, counts = draw(None, 50), np.arange(50) % 4
    weighted = ParameterSpace(None, None).fit(theta, counts / counts.mean())
    repeated = ParameterSpace(None, None).fit(np.repeat(theta, counts, axis=0))
    for got, expected in zip(weighted.to_network(theta), repeated.to_network(theta), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9)


@pytest.mark.parametrize("transformer", TRANSFORMERS.values(), ids=TRANSFORMERS)
def test_arrays_come_out_whatever_scikit_learn_is_set_to(transformer: object) -> None:
    theta = draw(None)
    expected = ParameterSpace(None, transformer).fit(theta).to_network(theta)
    with sklearn.config_context(transform_output="pandas"):
        space = ParameterSpace(None, transformer).fit(theta)
        got = space.to_network(theta)
        back = space.from_network(got[0])
    assert type(got[0]) is type(got[1]) is type(back) is np.ndarray
    np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_array_equal(got[1], expected[1])


def test_the_users_transformer_is_not_touched() -> None:
    transformer = StandardScaler()
    ParameterSpace(None, transformer).fit(draw(None))
    assert vars(transformer) == vars(StandardScaler())


class Doubling(TransformerMixin, BaseEstimator):
    """A transformer of a user's own."""

    def fit(self, z: np.ndarray, y: None = None) -> "Doubling":
        """Learn nothing."""
        return self

    def transform(self, z: np.ndarray) -> np.ndarray:
        """Double."""
        return 2 * z


@pytest.mark.parametrize(
    ("transformer", "error", "rule"),
    [
        (MinMaxScaler(clip=True), ValueError, "take clip=False"),
        (PCA(1), ValueError, "PCA keeps 1 of 2"),
        (QuantileTransformer(n_quantiles=10), TypeError, "got QuantileTransformer"),
        (Doubling(), TypeError, "got Doubling"),
    ],
)
def test_a_transformer_without_a_determinant_is_refused_in_fit(
    transformer: object, error: type[Exception], rule: str
) -> None:
    with pytest.raises(error, match=f"theta_transformer.*{rule}"):
        ParameterSpace(None, transformer).fit(draw(None))
