"""Log-determinants of scikit-learn's invertible transformers."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import cache

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)

from sksbi.utils.types import Array, Mask

__all__ = ["cover_the_line", "in_domain", "log_abs_det_jacobian", "returning_arrays"]


def _divided_by_scale(transformer: BaseEstimator, z: Array) -> Array:
    """(z - shift) / scale; scale_ is None where scaling is switched off."""
    _refuse_clipping(transformer)
    scale = np.ones(1) if transformer.scale_ is None else transformer.scale_
    return np.full(len(z), -np.log(np.abs(scale)).sum())


def _min_max(transformer: MinMaxScaler, z: Array) -> Array:
    """Multiply by scale_."""
    _refuse_clipping(transformer)
    return np.full(len(z), np.log(transformer.scale_).sum())


def _refuse_clipping(transformer: BaseEstimator) -> None:
    """Hold that a scaler clips nothing."""
    if getattr(transformer, "clip", False):
        name = type(transformer).__name__
        raise ValueError(f"theta_transformer: {name}(clip=True) has no inverse; take clip=False.")


def _pca(transformer: BaseEstimator, z: Array) -> Array:
    """Rotate, and divide by the standard deviations if it whitens."""
    if transformer.n_components_ != z.shape[1]:
        raise ValueError(
            f"theta_transformer: PCA keeps {transformer.n_components_} of {z.shape[1]} components, "
            "and theta could not be recovered; take n_components=None."
        )
    if not transformer.whiten:
        return np.zeros(len(z))
    variance = transformer.explained_variance_
    sd = np.sqrt(variance)
    eps = np.finfo(float).eps
    if sd.min() <= eps or variance.min() <= len(variance) * eps * variance.max():
        raise ValueError(
            "theta_transformer: PCA(whiten=True) divides by standard deviations, here by "
            f"{sd.min():.3g}, and theta could not be recovered; take whiten=False."
        )
    return np.full(len(z), -np.log(sd).sum())


def _power(transformer: PowerTransformer, z: Array) -> Array:
    """Yeo-Johnson or Box-Cox, column by column, then perhaps standardised."""
    lambdas = transformer.lambdas_
    if transformer.method == "yeo-johnson":
        ladj = np.sign(z) * (lambdas - 1) * np.log1p(np.abs(z))
    else:
        ladj = (lambdas - 1) * np.log(z)
    # Two transformed points would give the scale too, but lose digits where theta is far from 0.
    scale = transformer._scaler.scale_ if transformer.standardize else np.ones(1)
    return ladj.sum(axis=1) - np.log(scale).sum()


def _pipeline(transformer: Pipeline, z: Array) -> Array:
    """Add up the steps."""
    total = np.zeros(len(z))
    for _, step in transformer.steps:
        if step not in (None, "passthrough"):
            total += log_abs_det_jacobian(step, z)
            z = step.transform(z)
    return total


@cache
def _rules() -> dict[type, Callable[[BaseEstimator, Array], Array]]:
    """List who knows, by the kind of transformer."""
    from sklearn.decomposition import PCA

    return {
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
    for kind, rule in _rules().items():
        if isinstance(transformer, kind):
            return rule(transformer, z)
    raise TypeError(
        f"theta_transformer must be one of {[kind.__name__ for kind in _rules()]}, whose "
        f"log-determinants are known, got {transformer!r}. A density cannot be had through another."
    )


def in_domain(transformer: BaseEstimator, z: Array) -> Mask:
    """
    Tell where a transformer is defined: Box-Cox for positive numbers only.

    Parameters
    ----------
    transformer : estimator
        A fitted transformer that :func:`log_abs_det_jacobian` knows.
    z : ndarray of shape (n, D)
        What it would be applied to.

    Returns
    -------
    ndarray of shape (n,), bool
        Whether it can be.
    """
    if isinstance(transformer, Pipeline):
        defined = np.ones(len(z), bool)
        for _, step in transformer.steps:
            if step not in (None, "passthrough") and defined.any():
                defined[defined] = in_domain(step, z[defined])
                z = _where(defined, step, z)
        return defined
    if isinstance(transformer, PowerTransformer) and transformer.method == "box-cox":
        return np.all(z > 0, axis=1)
    return np.ones(len(z), bool)


def _where(rows: Mask, transformer: BaseEstimator, z: Array) -> Array:
    """Transform some rows, and leave the others."""
    z = z.copy()
    if rows.any():
        z[rows] = transformer.transform(z[rows])
    return z


def cover_the_line(transformer: BaseEstimator, z: Array) -> Array:
    """
    Fit with the powers of power transformers held where they reach the whole real line.

    A power below 0 or above 2 (Yeo-Johnson), or other than 0 (Box-Cox), has a bounded image: a
    density on the real line would put mass beyond it, where there is no theta.

    Parameters
    ----------
    transformer : estimator
        A transformer that :func:`log_abs_det_jacobian` knows, fitted in place.
    z : ndarray of shape (n, D)
        What it is fitted on.

    Returns
    -------
    ndarray of shape (n, D)
        What the transformer makes of z.
    """
    if isinstance(transformer, Pipeline):
        for _, step in transformer.steps:
            z = z if step in (None, "passthrough") else cover_the_line(step, z)
        return z
    transformer.fit(z)
    if isinstance(transformer, PowerTransformer):
        highest = 2.0 if transformer.method == "yeo-johnson" else 0.0
        transformer.lambdas_ = np.clip(transformer.lambdas_, 0.0, highest)
        if transformer.standardize:
            powers = copy(transformer).set_params(standardize=False).transform(z)
            transformer._scaler.fit(powers)
    return transformer.transform(z)


def returning_arrays(transformer: BaseEstimator) -> BaseEstimator:
    """
    Make a transformer return arrays, whatever scikit-learn is configured to return.

    Parameters
    ----------
    transformer : estimator
        The transformer, changed in place.

    Returns
    -------
    estimator
        The same.
    """
    can_choose = hasattr(transformer, "set_output")
    return transformer.set_output(transform="default") if can_choose else transformer
