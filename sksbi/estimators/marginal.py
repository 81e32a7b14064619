"""The posterior of some of the parameters, as a fitted estimator of its own."""

from __future__ import annotations

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sksbi.estimators.asking import AskingMixin
from sksbi.estimators.ratio import RatioMixin
from sksbi.estimators.readable import ReadableMixin
from sksbi.estimators.sampled import ChainsMixin

__all__ = ["MarginalPosterior", "StaysFittedMixin"]

_SEEN = ("typical_x_", "_edges", "_regularity")
_SHARED = (*_SEEN, "x_layout_", "seed_", "history_", "random_state", "_estimates")


class StaysFittedMixin:
    """What is fitted, and stays so, as with scikit-learn's ``FrozenEstimator``."""

    def __sklearn_clone__(self):
        return self

    def fit(self, theta, x=None, **params):
        """
        Do nothing: the estimator is fitted.

        Parameters
        ----------
        theta, x : object
            Not used.
        **params : object
            Not used.

        Returns
        -------
        object
            Itself.
        """
        return self


class MarginalPosterior(
    StaysFittedMixin, ReadableMixin, ChainsMixin, RatioMixin, AskingMixin, BaseEstimator
):
    """
    Posterior of some parameters: what ``estimator.marginal(names)`` gives.

    It is fitted, and stays so: ``clone`` gives it back as it is, and ``fit`` changes nothing.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator whose posterior has marginals.
    columns : sequence of int
        The places of the parameters, in the order in which they are wanted.
    """

    def __init__(self, estimator, columns):
        self.estimator = estimator
        self.columns = columns

    def __sklearn_is_fitted__(self):
        """Tell whether the estimator is."""
        check_is_fitted(self.estimator)
        return True

    def __getattr__(self, name):
        if name == "feature_names_in_":
            return self.estimator.feature_names_in_[list(self.columns)]
        if name in _SHARED:
            return getattr(self.estimator, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def n_features_in_(self):
        """The number of parameters."""
        return len(self.columns)

    @property
    def parameter_names_(self):
        """Names of the parameters."""
        return [self.estimator.parameter_names_[i] for i in self.columns]

    @property
    def theta_columns_(self):
        """Columns of theta in fit, if it was a DataFrame."""
        return None if self.estimator.theta_columns_ is None else self.parameter_names_

    @property
    def prior_(self):
        """Prior of these parameters."""
        prior = self.estimator.prior_
        return None if prior is None else prior.marginal(self.columns)

    def _posterior(self):
        """Take the marginal."""
        return self.estimator._posterior().marginal(self.columns)
