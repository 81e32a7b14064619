"""
The classifiers that tell models apart by default: each is good at what the others are not.

Logistic regression on squares and products is exact where models are Gaussian, and learns from few
simulations; a network is smooth in many columns; trees find thresholds, and take categories and
missing values as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler

from sksbi.preprocessing import RobustViews
from sksbi.utils.types import Array

__all__ = ["default_classifiers"]

_FEWEST_TO_STOP_EARLY = 100
_MOST_PRODUCTS, _MOST_CATEGORIES = 30, 200
_HIDDEN = (128, 128)


def default_classifiers(
    x: Array, categorical: Sequence[int], n_fewest: int, seed: int
) -> dict[str, BaseEstimator]:
    """
    Make the classifiers.

    Parameters
    ----------
    x : ndarray of shape (n, L)
        The observations; NaN where a value is missing.
    categorical : sequence of int
        The columns whose numbers are codes of categories.
    n_fewest : int
        The number of rows of the rarest class: of few, none can be held out to stop a training.
    seed : int
        Seeds them.

    Returns
    -------
    dict of classifier
        The classifiers by name, not fitted.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    n_columns, stops_early = x.shape[1], n_fewest >= _FEWEST_TO_STOP_EARLY
    trees = HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_leaf_nodes=8,
        max_iter=500 if stops_early else 50,
        early_stopping=stops_early,
        categorical_features=[
            column
            for column in categorical
            if np.nanmax(x[:, column], initial=0) < _MOST_CATEGORIES
        ],
        random_state=seed,
    )
    found: dict[str, BaseEstimator] = {"trees": trees}
    numeric = [column for column in range(n_columns) if column not in set(categorical)]
    smooth = [_numbers(x, numeric, categorical), StandardScaler()]
    if len(numeric) <= _MOST_PRODUCTS:
        smooth += [PolynomialFeatures(2, include_bias=False), StandardScaler()]
    logistic = LogisticRegression(max_iter=200, tol=1e-3)
    found["logistic"] = make_pipeline(*smooth, logistic)
    if stops_early:
        network = MLPClassifier(
            _HIDDEN,
            alpha=1e-2,
            learning_rate_init=5e-4,
            early_stopping=True,
            n_iter_no_change=20,
            max_iter=500,
            random_state=seed,
        )
        views = _numbers(x, numeric, categorical)
        found["network"] = make_pipeline(views, StandardScaler(), network)
    return found


def _numbers(x: Array, numeric: Sequence[int], categorical: Sequence[int]) -> BaseEstimator:
    """Make numbers of all columns: views of numbers, with gaps filled, and a column a category."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer

    views: list[BaseEstimator] = [RobustViews()]
    if np.isnan(x[:, numeric]).any():
        views = [SimpleImputer(strategy="median", add_indicator=True), *views]
    categories = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    parts = [("numbers", make_pipeline(*views), list(numeric))] if len(numeric) else []
    if len(categorical):
        parts.append(("categories", categories, list(categorical)))
    return ColumnTransformer(parts)
