"""The log-determinants of transformers against numerical Jacobians."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA, KernelPCA, TruncatedSVD
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from sksbi.preprocessing.jacobian import log_abs_det_jacobian

STEP = 1e-5

LINEAR = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    StandardScaler(with_std=False),
    MinMaxScaler(),
    MinMaxScaler(feature_range=(-3, 5)),
    MaxAbsScaler(),
    RobustScaler(),
    RobustScaler(with_scaling=False),
    RobustScaler(quantile_range=(10, 90), unit_variance=True),
    PCA(),
    Pipeline([("nothing", "passthrough"), ("scale", StandardScaler())]),
]
CURVED = [
    PowerTransformer(),
    PowerTransformer(standardize=False),
    PowerTransformer("box-cox"),
    PowerTransformer("box-cox", standardize=False),
    PCA(whiten=True),
    make_pipeline(RobustScaler(), PowerTransformer()),
    make_pipeline(PowerTransformer("box-cox"), PCA(whiten=True), MinMaxScaler()),
    make_pipeline(StandardScaler(), make_pipeline(None, PowerTransformer(), "passthrough")),
]


def skewed(n: int = 400) -> np.ndarray:
    """Draw positive, skewed and correlated columns of very different scales."""
    z = np.random.default_rng(0).normal(size=(n, 3)) @ [[1, 0.5, 0], [0, 1, 0.5], [0, 0, 1]]
    return np.exp(z * [0.3, 0.8, 0.1]) * [1.0, 100.0, 1e-3]


def numerical(transformer: BaseEstimator, z: np.ndarray) -> np.ndarray:
    """Differentiate a transformer at every row by central differences."""
    n, d = z.shape
    steps = np.eye(d)[None] * (STEP * np.abs(z))[:, None]
    ends = [transformer.transform((z[:, None] + s).reshape(-1, d)) for s in (steps, -steps)]
    slopes = (ends[0] - ends[1]).reshape(n, d, d) / (2 * STEP * np.abs(z))[:, :, None]
    return np.linalg.slogdet(slopes)[1]


@pytest.mark.parametrize("transformer", LINEAR + CURVED, ids=str)
def test_the_log_determinant_is_that_of_the_numerical_jacobian(transformer: BaseEstimator) -> None:
    z = skewed()
    transformer.fit(z)
    got = log_abs_det_jacobian(transformer, z[:20])
    np.testing.assert_allclose(got, numerical(transformer, z[:20]), atol=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("location", [0.0, 3.0, 100.0])
def test_yeo_johnson_on_either_side_and_far_from_zero(location: float, sign: int) -> None:
    z = sign * (location + np.random.default_rng(1).normal(size=(400, 2)))
    transformer = PowerTransformer().fit(z)
    got = log_abs_det_jacobian(transformer, z[:20])
    np.testing.assert_allclose(got, numerical(transformer, z[:20]), atol=1e-6)


def test_box_cox_far_from_zero() -> None:
    z = 100 + np.random.default_rng(1).normal(size=(400, 1))
    transformer = PowerTransformer("box-cox").fit(z)
    got = log_abs_det_jacobian(transformer, z[:20])
    np.testing.assert_allclose(got, numerical(transformer, z[:20]), atol=1e-6)


@pytest.mark.parametrize("transformer", [*LINEAR, PowerTransformer()], ids=str)
def test_constant_columns(transformer: BaseEstimator) -> None:
    z = np.column_stack([skewed(), np.full(400, 7.0)])
    transformer.fit(z)
    got = log_abs_det_jacobian(transformer, z[:20])
    np.testing.assert_allclose(got, numerical(transformer, z[:20]), atol=1e-6)


@pytest.mark.parametrize(
    ("transformer", "rule"),
    [
        (MinMaxScaler(clip=True), r"MinMaxScaler\(clip=True\) has no inverse; take clip=False"),
        (PCA(2), "PCA keeps 2 of 3 components.*take n_components=None"),
        (make_pipeline(StandardScaler(), PCA(1)), "PCA keeps 1 of 3 components"),
    ],
)
def test_what_has_no_inverse_is_refused(transformer: BaseEstimator, rule: str) -> None:
    with pytest.raises(ValueError, match=f"theta_transformer: .*{rule}"):
        log_abs_det_jacobian(transformer.fit(skewed()), skewed())


def test_a_clipping_max_abs_scaler_is_refused() -> None:
    transformer = MaxAbsScaler().fit(skewed())
    transformer.clip = True
    with pytest.raises(ValueError, match=r"MaxAbsScaler\(clip=True\) has no inverse"):
        log_abs_det_jacobian(transformer, skewed())


@pytest.mark.parametrize("extra", [np.full(400, 7.0), skewed() @ [1.0, 1.0, 1.0]])
def test_whitening_what_does_not_vary_is_refused(extra: np.ndarray) -> None:
    z = np.column_stack([skewed(), extra])
    transformer = PCA(whiten=True).fit(z)
    with pytest.raises(ValueError, match=r"PCA\(whiten=True\) divides .*take whiten=False"):
        log_abs_det_jacobian(transformer, z)


@pytest.mark.parametrize(
    "transformer",
    [
        QuantileTransformer(n_quantiles=50),
        FunctionTransformer(),
        KernelPCA(),
        TruncatedSVD(3, algorithm="arpack"),
        PolynomialFeatures(),
        make_pipeline(StandardScaler(), QuantileTransformer(n_quantiles=50)),
    ],
    ids=str,
)
def test_what_has_no_known_determinant_is_refused(transformer: BaseEstimator) -> None:
    last = transformer[-1] if isinstance(transformer, Pipeline) else transformer
    rule = "theta_transformer must be one of .*StandardScaler.*got " + type(last).__name__
    if not isinstance(last, TruncatedSVD):
        transformer.fit(skewed())
    with pytest.raises(TypeError, match=rule):
        log_abs_det_jacobian(transformer, skewed())
