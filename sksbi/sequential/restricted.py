"""A fitted posterior where a restricted prior is positive, as a fitted estimator of its own."""

from __future__ import annotations

from copy import copy
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sksbi.estimators.asking import AskingMixin
from sksbi.estimators.likelihood import LikelihoodMixin
from sksbi.estimators.marginal import StaysFittedMixin
from sksbi.estimators.ratio import RatioMixin
from sksbi.estimators.readable import ReadableMixin
from sksbi.estimators.sampled import ChainsMixin
from sksbi.posteriors.restricted import Restricted
from sksbi.priors import Prior

__all__ = ["RestrictedPosterior", "final_of", "restricted_to"]


class RestrictedPosterior(
    StaysFittedMixin,
    ReadableMixin,
    ChainsMixin,
    RatioMixin,
    LikelihoodMixin,
    AskingMixin,
    BaseEstimator,
):
    """
    Posterior under a restricted prior: what rounds of simulations leave.

    It is fitted, and stays so: ``clone`` gives it back as it is, and ``fit`` changes nothing. What
    is not asked here is asked of the estimator.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator.
    prior : Prior
        The restricted prior, from which the last simulations were drawn.
    """

    def __init__(self, estimator, prior):
        self.estimator = estimator
        self.prior = prior

    def __sklearn_is_fitted__(self):
        """Tell whether the estimator is."""
        check_is_fitted(self.estimator)
        return True

    def __getattr__(self, name):
        # What fit has left, and what kind of estimator it is; methods are those here.
        told = name.endswith("_") or name in ("_estimates", "_has_trials", "random_state")
        if "estimator" in vars(self) and told and not name.startswith("__"):
            return getattr(self.estimator, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def prior_(self):
        """The restricted prior."""
        return self.prior

    @property
    def parameter_names_(self):
        """Names of the parameters."""
        return self.estimator.parameter_names_

    def _posterior(self):
        """Restrict the estimator's."""
        return Restricted(self.estimator._posterior(), self.prior)


def restricted_to(estimator: Any, prior: Prior) -> Any:
    """
    Restrict a fitted estimator, or the last step of a pipeline.

    Parameters
    ----------
    estimator : estimator
        The fitted estimator.
    prior : Prior
        The restricted prior.

    Returns
    -------
    estimator
        A fitted estimator; of a pipeline, a copy that ends in one.
    """
    if not hasattr(estimator, "steps"):
        return RestrictedPosterior(estimator, prior)
    name, final = estimator.steps[-1]
    made = copy(estimator)
    made.steps = [*estimator.steps[:-1], (name, restricted_to(final, prior))]
    return made


def final_of(estimator: Any) -> Any:
    """
    Find what estimates, the last step of a pipeline.

    Parameters
    ----------
    estimator : estimator
        An estimator.

    Returns
    -------
    estimator
        The last step, or itself.
    """
    return estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
