"""Maps of theta that treat every column by itself, and what they are for some of the columns."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from sksbi.priors import Prior
from sksbi.priors.base import maps_columns

__all__ = ["check_columns_apart", "take_columns"]


def check_columns_apart(prior: Prior | None, transformer: BaseEstimator | None) -> None:
    """
    Hold that what the network sees of a parameter does not depend on the other parameters.

    Parameters
    ----------
    prior : Prior or None
        The prior.
    transformer : estimator or None
        The transformer of theta, fitted or not.

    Raises
    ------
    ValueError
        If it does: then subsets of what the network sees are no subsets of the parameters.
    """
    if _mixes(transformer):
        raise ValueError(
            "theta_transformer must act on every column by itself, so that there are marginals, "
            f"got {transformer!r}: leave PCA out, or take NPE or NRE."
        )
    if not maps_columns(prior):
        raise ValueError(
            "prior must have a map to unbounded space that acts on every parameter by itself, so "
            f"that there are marginals, got {prior!r}, whose own map takes them together: give it "
            "without the map, or take NPE or NRE."
        )


def _mixes(transformer: BaseEstimator | None) -> bool:
    """Tell whether a transformer mixes columns."""
    if isinstance(transformer, Pipeline):
        return any(_mixes(step) for _, step in transformer.steps)
    from sklearn.decomposition import PCA

    return isinstance(transformer, PCA)


def take_columns(transformer: BaseEstimator, columns: Sequence[int]) -> BaseEstimator:
    """
    Restrict a fitted transformer, which treats every column by itself, to some columns.

    Parameters
    ----------
    transformer : estimator
        A scaler, a PowerTransformer or a Pipeline of them.
    columns : sequence of int
        Which, in the order wanted.

    Returns
    -------
    estimator
        What it does to these.
    """
    made = copy(transformer)
    if isinstance(transformer, Pipeline):
        made.steps = [
            (name, step if step in (None, "passthrough") else take_columns(step, columns))
            for name, step in transformer.steps
        ]
        return made
    columns, d = list(columns), transformer.n_features_in_
    for name, value in vars(transformer).items():
        if isinstance(value, np.ndarray) and name.endswith("_") and value.shape[:1] == (d,):
            setattr(made, name, value[columns])
        elif name == "_scaler":
            made._scaler = take_columns(value, columns)
    made.n_features_in_ = len(columns)
    return made
