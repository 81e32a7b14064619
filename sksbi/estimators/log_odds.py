"""
Log-odds as the score of a classifier that gives probabilities alone.

A sigmoid, and what else calibrates scores, is fitted to a ``decision_function`` where there is one,
and to probabilities where there is none: networks, forests, neighbours. Of a probability, which
ends at one, it makes log-odds that end, too, however sure the classifier is, and posteriors that
are too wide.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy.special import logit
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import Tags, get_tags

from sksbi.utils.types import Array

__all__ = ["LogOddsClassifier", "with_scores"]


class LogOddsClassifier(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """
    A classifier of two classes whose score is the log-odds of its probability.

    Parameters
    ----------
    classifier : estimator
        A classifier with ``predict_proba``.

    Attributes
    ----------
    classifier_ : estimator
        The fitted classifier.
    classes_ : ndarray of shape (2,)
        The classes.
    """

    def __init__(self, classifier: Any) -> None:
        self.classifier = classifier

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """
        Fit the classifier.

        Parameters
        ----------
        X : array-like or DataFrame
            What is classified.
        y : array-like of shape (n,)
            Classes.
        sample_weight : array-like of shape (n,) or None, default=None
            Weights, if the classifier takes any.

        Returns
        -------
        LogOddsClassifier
            Itself, fitted.
        """
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        self.classifier_ = clone(self.classifier).fit(X, y, **weights)
        self.classes_ = self.classifier_.classes_
        self._least = 1 / (len(y) + 2)
        return self

    def predict_proba(self, X: Any) -> Array:
        """
        Give the probabilities of both classes.

        Parameters
        ----------
        X : array-like or DataFrame
            What is classified.

        Returns
        -------
        ndarray of shape (n, 2)
            The probabilities.
        """
        probabilities: Array = self.classifier_.predict_proba(X)
        return probabilities

    def decision_function(self, X: Any) -> Array:
        """
        Give the log-odds of the second class, as far from zero as so many rows can tell.

        Parameters
        ----------
        X : array-like or DataFrame
            What is classified.

        Returns
        -------
        ndarray of shape (n,)
            The log-odds.
        """
        probability = np.asarray(self.predict_proba(X)[:, 1], dtype=float)
        log_odds: Array = logit(np.clip(probability, self._least, 1 - self._least))
        return log_odds

    def predict(self, X: Any) -> Any:
        """
        Give the more probable class.

        Parameters
        ----------
        X : array-like or DataFrame
            What is classified.

        Returns
        -------
        ndarray of shape (n,)
            The classes.
        """
        return self.classes_[(self.decision_function(X) > 0).astype(int)]

    def __sklearn_tags__(self) -> Tags:
        """Take what the classifier takes."""
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.classifier).input_tags
        return tags


def with_scores(classifier: Any) -> Any:
    """
    Give a classifier a score, if it has probabilities alone.

    Parameters
    ----------
    classifier : estimator
        A classifier of two classes.

    Returns
    -------
    estimator
        The classifier, or a :class:`LogOddsClassifier` of it.
    """
    gives_probabilities = hasattr(classifier, "predict_proba")
    if hasattr(classifier, "decision_function") or not gives_probabilities:
        return classifier
    return LogOddsClassifier(classifier)
