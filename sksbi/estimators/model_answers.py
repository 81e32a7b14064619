"""What a fitted comparison of models is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from sksbi.estimators.blend import Blend
from sksbi.estimators.doubt import warn_of_outliers
from sksbi.estimators.model_simulations import features_of
from sksbi.preprocessing import TypicalObservations
from sksbi.tables.features import validated_X
from sksbi.tables.layout import ObservationLayout
from sksbi.tables.names import has_names
from sksbi.utils.containers import plain

__all__ = ["ModelAnswersMixin"]


class ModelAnswersMixin:
    """Probabilities of models and Bayes factors, by what was fitted."""

    blend_: Blend
    classes_: NDArray[Any]
    classifier: Any
    prior_: pd.Series
    shares_: pd.Series
    typical_x_: TypicalObservations
    x_layout_: ObservationLayout

    def predict_proba(self, X):
        """
        Compute the probabilities of the models.

        Parameters
        ----------
        X : array-like or DataFrame of shape (m, L) or (m, ...), or dict
            The observations; a dict, or a Series with names, is one row.

        Returns
        -------
        ndarray of shape (m, K)
            The probabilities, in the order of ``classes_``.

        Warns
        -----
        MisspecificationWarning
            If an observation is far from everything that was simulated.
        """
        check_is_fitted(self)
        if isinstance(X, Mapping) or isinstance(X, pd.Series) and has_names(X.index):
            names = self.x_layout_.names or ()
            row = dict(X)
            X = pd.DataFrame([{name: row[name] for name in names} if {*names} == {*row} else row])
        X = plain(X, "X")
        has_words = self.x_layout_.encoder.has_labels
        options = {"skip_check_array": True} if has_words else {"allow_nd": True}
        if not has_words:
            options["ensure_all_finite"] = "allow-nan" if self._takes_gaps else True
        validated_X(self, X, reset=False, **options)
        return self._probabilities(self._log_evidences(self.x_layout_.read(X)))

    def predict_log_proba(self, X):
        """
        Compute the logarithms of the probabilities of the models.

        Parameters
        ----------
        X : array-like or DataFrame of shape (m, L) or (m, ...), or dict
            The observations; a dict, or a Series with names, is one row.

        Returns
        -------
        ndarray of shape (m, K)
            The logarithms; of a model without prior probability -inf.
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X):
        """
        Name the most probable model.

        Parameters
        ----------
        X : array-like or DataFrame of shape (m, L) or (m, ...), or dict
            The observations; a dict, or a Series with names, is one row.

        Returns
        -------
        ndarray of shape (m,)
            The models.
        """
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]

    def log_bayes_factors(self, x, baseline=None):
        """
        Compute log p(x | model) - log p(x | baseline).

        Parameters
        ----------
        x : array-like, dict, Series or DataFrame
            One observation, or a batch, in the form of fit's X.
        baseline : object, default=None
            One of the models; None: the first of ``classes_``.

        Returns
        -------
        Series or DataFrame
            Natural logarithms, by model; of a batch one row an observation. They do not depend on
            ``prior``.

        Raises
        ------
        ValueError
            If x does not look like fit's, or ``baseline`` is no model.

        Warns
        -----
        MisspecificationWarning
            If an observation is far from everything that was simulated.
        """
        check_is_fitted(self)
        models = self.prior_.index
        names = models.to_list()
        if baseline is not None and (np.ndim(baseline) > 0 or baseline not in names):
            raise ValueError(f"baseline must be one of the models {names}, got {baseline!r}.")
        place = 0 if baseline is None else names.index(baseline)
        observations = self.x_layout_.read(x)
        found = self._log_evidences(observations)
        table = pd.DataFrame(found - found[:, [place]], observations.index, models)
        return table.iloc[0].rename("log_bayes_factor") if observations.single else table

    def summary(self, x):
        """
        Put together what x says about the models.

        Parameters
        ----------
        x : array-like, dict, Series or DataFrame
            One observation, or a batch, in the form of fit's X.

        Returns
        -------
        DataFrame
            Rows models, and the columns prior, probability and log_bayes_factor, the latter against
            the model whose evidence is largest; a batch adds an index level.

        Raises
        ------
        ValueError
            If x does not look like fit's.

        Warns
        -----
        MisspecificationWarning
            If an observation is far from everything that was simulated.
        """
        check_is_fitted(self)
        observations = self.x_layout_.read(x)
        found = self._log_evidences(observations)
        factors = found - found.max(axis=1, keepdims=True)
        columns = {
            "prior": np.tile(self.prior_.to_numpy(), len(found)),
            "probability": self._probabilities(found).ravel(),
            "log_bayes_factor": factors.ravel(),
        }
        if observations.single:
            return pd.DataFrame(columns, index=self.prior_.index)
        labels = observations.index.rename("observation")
        return pd.DataFrame(columns, index=pd.MultiIndex.from_product([labels, self.prior_.index]))

    def _log_evidences(self, observations):
        """Compute log p(x | model), up to a constant an observation."""
        if np.isnan(observations.values).any() and not self._takes_gaps:
            raise ValueError(
                f"x must have no missing values, for {self.classifier!r} takes none: put an "
                "imputer before it, or leave classifier out."
            )
        names = self.x_layout_.names
        warn_of_outliers(self.typical_x_, observations, names, trials=False)
        as_given = self.classifier is not None
        table = features_of(self.x_layout_, observations.values, as_given=as_given)
        # The classifiers have seen those that succeeded, and the shares are of all: so the
        # probability of success is part of p(x | model), as it is to be.
        return np.log(self.blend_.predict(table)) - np.log(self.shares_.to_numpy())

    @property
    def _takes_gaps(self):
        """Whether the classifier takes missing values."""
        return get_tags(self).input_tags.allow_nan

    def _probabilities(self, log_evidences):
        """Multiply by the prior, and normalise."""
        with np.errstate(divide="ignore"):
            log_p = log_evidences + np.log(self.prior_.to_numpy())
        p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)
