"""How a regressor gives quantiles: by a hook, by its methods, or by its parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from sksbi.estimators.quantile_forest import SMALLEST_LEAF, ForestModel
from sksbi.estimators.quantile_models import (
    Features,
    Hook,
    HookedModel,
    LevelwiseModel,
    QuantileModel,
    last_step,
)
from sksbi.utils.random import draw_seed
from sksbi.utils.types import Array

__all__ = ["choose_model", "default_model"]


def default_model(levels: Array, generator: np.random.Generator) -> QuantileModel:
    """
    Make the default: a forest of random splits, whose leaves have the size that is found best.

    Parameters
    ----------
    levels : ndarray of shape (K,)
        The levels, ascending.
    generator : numpy.random.Generator
        Seeds the forest.

    Returns
    -------
    QuantileModel
        The model, not fitted.
    """
    from sklearn.ensemble import ExtraTreesRegressor

    forest = ExtraTreesRegressor(min_samples_leaf=SMALLEST_LEAF, random_state=draw_seed(generator))
    return ForestModel(forest, levels, has_sizes=True)


def choose_model(regressor: Any, quantiles: Hook | str, levels: Array) -> QuantileModel:
    """
    Find out how a regressor gives quantiles.

    Parameters
    ----------
    regressor : estimator
        A regressor, or a Pipeline that ends in one.
    quantiles : callable or "auto"
        A hook ``quantiles(regressor, X, levels)``, or to find out.
    levels : ndarray of shape (K,)
        The levels, ascending.

    Returns
    -------
    QuantileModel
        The model, not fitted.

    Raises
    ------
    ValueError
        If no way is known.
    """
    from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

    if callable(quantiles):
        return HookedModel(regressor, levels, quantiles)
    last = last_step(regressor)
    if "quantiles" in _parameters_of(last.predict):
        return HookedModel(regressor, levels, predict_quantiles)
    if isinstance(last, ExtraTreesRegressor | RandomForestRegressor):
        return ForestModel(regressor, levels)
    fixed, parameter = _level_parameter(last)
    if parameter is None:
        raise ValueError(
            "regressor must give quantiles: by a parameter that is the level, as "
            "HistGradientBoostingRegressor, GradientBoostingRegressor and QuantileRegressor have, "
            "as a RandomForestRegressor or ExtraTreesRegressor, or by predict(X, quantiles=...), "
            f"got {regressor!r}. Give quantiles=hook, with hook(regressor, X, levels) an array of "
            "one row for each of X and one column for each level."
        )
    prefix = "".join(f"{name}__" for name in _path(regressor))
    settings = {prefix + name: value for name, value in fixed.items()}
    return LevelwiseModel(clone(regressor).set_params(**settings), levels, prefix + parameter)


def predict_quantiles(regressor: Any, table: Features, levels: Array) -> Any:
    """
    Ask a regressor whose ``predict`` takes ``quantiles``.

    Parameters
    ----------
    regressor : estimator
        The fitted regressor.
    table : ndarray or DataFrame of m rows
        The columns.
    levels : ndarray of shape (K,)
        The levels.

    Returns
    -------
    array-like of shape (m, K), or K of shape (m,)
        What it gives.
    """
    options: dict[str, Any] = {"quantiles": levels.tolist()}
    if "output_type" in _parameters_of(last_step(regressor).predict):
        options["output_type"] = "quantiles"
    return regressor.predict(table, **options)


def _level_parameter(regressor: Any) -> tuple[dict[str, Any], str | None]:
    """Find settings that make a regressor one of quantiles, and the parameter that is the level."""
    from sklearn.ensemble import GradientBoostingRegressor

    names = regressor.get_params(deep=False)
    if "quantile" in names:
        return {"loss": "quantile"} if "loss" in names else {}, "quantile"
    if isinstance(regressor, GradientBoostingRegressor):
        return {"loss": "quantile"}, "alpha"
    if "quantile" in str(names.get("objective")):
        return {}, "quantile_alpha" if "quantile" in str(list(names)) else "alpha"
    return {}, None


def _path(regressor: Any) -> list[str]:
    """Name the last steps of pipelines."""
    names = []
    while isinstance(regressor, Pipeline):
        name, regressor = regressor.steps[-1]
        names.append(name)
    return names


def _parameters_of(method: Callable[..., Any]) -> list[str]:
    """Name the parameters of a method."""
    return list(inspect.signature(method).parameters)
