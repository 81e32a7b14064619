"""Classifiers by name, for the tests that ask how well two sets of draws can be told apart."""

from __future__ import annotations

from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from sksbi.utils.types import Array

__all__ = ["build_classifier", "probability_of_one"]


def build_classifier(classifier: str | BaseEstimator, n_features: int, seed: int) -> BaseEstimator:
    """
    Build a classifier.

    Parameters
    ----------
    classifier : {"mlp", "quadratic", "boosting"} or estimator
        The benchmark's network of two layers of 10 units a feature; logistic regression on all
        squares and products of features; gradient boosted trees; or a classifier of one's own with
        ``predict_proba``, which is cloned.
    n_features : int
        The number of features.
    seed : int
        Seeds those that are named.

    Returns
    -------
    estimator
        The classifier, not fitted.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If an object is no such classifier.
    """
    if isinstance(classifier, str):
        if classifier == "mlp":
            from sklearn.neural_network import MLPClassifier

            n_hidden = 10 * n_features
            return MLPClassifier((n_hidden, n_hidden), max_iter=10_000, random_state=seed)
        if classifier == "quadratic":
            from sklearn.linear_model import LogisticRegression

            return make_pipeline(
                StandardScaler(),
                PolynomialFeatures(),
                StandardScaler(),
                LogisticRegression(max_iter=1000),
            )
        if classifier == "boosting":
            from sklearn.ensemble import HistGradientBoostingClassifier

            return HistGradientBoostingClassifier(random_state=seed)
        raise ValueError(
            "classifier must be 'mlp', 'quadratic', 'boosting' or a scikit-learn classifier, got "
            f"{classifier!r}."
        )
    if isinstance(classifier, type) or not hasattr(classifier, "predict_proba"):
        raise TypeError(
            "classifier must be a name or an instance of a classifier with predict_proba, got "
            f"{classifier!r}."
        )
    return clone(classifier)


def probability_of_one(classifier: BaseEstimator, rows: Array) -> Array:
    """Predict the probability of class 1."""
    return classifier.predict_proba(rows)[:, 1]
