"""Log-determinants of scikit-learn's invertible transformers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import boxcox, yeojohnson
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)

__all__ = ["log_abs_det_jacobian"]

Array = NDArray[np.float64]


def _divided_by_scale(transformer: BaseEstimator, z: Array) -> Array:
    """(z - shift) / scale; scale_ is None where scaling is switched off."""
    scale = np.ones(1) if transformer.scale_ is None else transformer.scale_
    return np.full(len(z), -np.log(np.abs(scale)).sum())


def _min_max(transformer: MinMaxScaler, z: Array) -> Array:
    """Multiply by scale_."""
    if transformer.clip:
        raise ValueError(
            "theta_transformer: MinMaxScaler(clip=True) has no inverse; take clip=False."
        )
    return np.full(len(z), np.log(transformer.scale_).sum())


def _pca(transformer: PCA, z: Array) -> Array:
    """Rotate, and divide by the standard deviations if it whitens."""
    if transformer.n_components_ != z.shape[1]:
        raise ValueError(
            f"theta_transformer: PCA keeps {transformer.n_components_} of {z.shape[1]} components, "
            "and theta could not be recovered; take n_components=None."
        )
    whitening = -0.5 * np.log(transformer.explained_variance_).sum() if transformer.whiten else 0.0
    return np.full(len(z), whitening)


def _power(transformer: PowerTransformer, z: Array) -> Array:
    """Yeo-Johnson or Box-Cox, column by column, then perhaps standardised."""
    lambdas = transformer.lambdas_
    if transformer.method == "yeo-johnson":
        ladj = np.sign(z) * (lambdas - 1) * np.log1p(np.abs(z))
    else:
        ladj = (lambdas - 1) * np.log(z)
    return ladj.sum(axis=1) - np.log(_power_scale(transformer)).sum()


def _power_scale(transformer: PowerTransformer) -> Array:
    """Recover the scale of the standardisation from two points; it is one where there is none."""
    points = np.ones((2, len(transformer.lambdas_))) * [[1.0], [2.0]]
    power = {"yeo-johnson": yeojohnson, "box-cox": boxcox}[transformer.method]
    columns = zip(points.T, transformer.lambdas_, strict=True)
    powers = np.column_stack([power(column, lmbda) for column, lmbda in columns])
    return np.diff(powers, axis=0)[0] / np.diff(transformer.transform(points), axis=0)[0]


def _pipeline(transformer: Pipeline, z: Array) -> Array:
    """Add up the steps."""
    total = np.zeros(len(z))
    for _, step in transformer.steps:
        if step not in (None, "passthrough"):
            total += log_abs_det_jacobian(step, z)
            z = step.transform(z)
    return total


_RULES: dict[type, Callable[[BaseEstimator, Array], Array]] = {
    StandardScaler: _divided_by_scale,
    RobustScaler: _divided_by_scale,
    MaxAbsScaler: _divided_by_scale,
    MinMaxScaler: _min_max,
    PCA: _pca,
    PowerTransformer: _power,
    Pipeline: _pipeline,
}


def log_abs_det_jacobian(transformer: BaseEstimator, z: Array) -> Array:
    """
    Compute log |det dT(z)/dz| of a fitted transformer T.

    Parameters
    ----------
    transformer : estimator
        A fitted StandardScaler, RobustScaler, MaxAbsScaler, MinMaxScaler, PowerTransformer, PCA of
        full rank, or a Pipeline of them.
    z : ndarray of shape (n, D)
        Where to take it, in the units that the transformer was fitted on.

    Returns
    -------
    ndarray of shape (n,)
        The log-determinants.

    Raises
    ------
    TypeError
        If the log-determinant of the transformer is not known.
    ValueError
        If the transformer is not invertible.
    """
    for kind, rule in _RULES.items():
        if isinstance(transformer, kind):
            return rule(transformer, z)
    raise TypeError(
        f"theta_transformer must be one of {[kind.__name__ for kind in _RULES]}, whose "
        f"log-determinants are known, got {transformer!r}. A density cannot be had through another."
    )
