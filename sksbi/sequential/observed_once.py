"""Asking a posterior that was fitted for one observation, or a few: x may be left out."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sksbi.sequential.given import layout_of
from sksbi.utils.warn import warn_user

__all__ = ["ObservedOnceMixin"]

_ASKED = (
    "_ask",
    "_ask_batch",
    "_estimates",
    "_generator",
    "_has_trials",
    "_posterior",
    "emulate",
    "log_evidence",
    "log_likelihood",
    "marginal",
    "predict_log_ratio",
    "predict_ratio",
    "sample_chains",
)


class ObservedOnceMixin:
    """
    sample, log_prob, summary and map at ``x_observed_``, by ``estimator_``.

    What ``estimator_`` has besides is asked of it.
    """

    estimator_: Any
    x_observed_: Any
    x_: Any

    def __getattr__(self, name):
        fitted = vars(self).get("estimator_")
        if fitted is not None and (name in _ASKED or name.endswith("_") and name[:1] != "_"):
            return getattr(fitted, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _given(self, x):
        """Take the observation that the rounds were for, unless another is given."""
        check_is_fitted(self)
        if x is None:
            return self.x_observed_
        if isinstance(x, Integral) and np.prod(np.shape(self.x_)[1:]) > 1:
            raise ValueError(
                f"x must be an observation, got {x}: for the one of the rounds leave x out, as in "
                f"sample(n_samples={x})."
            )
        if not self._all_among(x):
            warn_user(
                "x is another observation than x_observed, for which the rounds simulated: the "
                "posterior may be wrong there. Fit for it, or fit an estimator to simulations from "
                "all of the prior.",
                UserWarning,
            )
        return x

    def sample(self, x=None, n_samples=1000, *, iid=False, return_report=False, random_state=None):
        """
        Draw from the posterior.

        Parameters
        ----------
        x : array-like, scalar, dict, Series or DataFrame, default=None
            The observations; None: ``x_observed``.
        n_samples : int, default=1000
            The number of draws for every observation.
        iid : bool, default=False
            Whether an observation consists of independent trials of one theta.
        return_report : bool, default=False
            Whether to return what the draws are worth, too.
        random_state : None, int, RandomState or Generator, default=None
            As in ``sample`` of the estimator.

        Returns
        -------
        draws : ndarray or DataFrame of shape (n_samples, D), a batch: (m, n_samples, D)
            The draws.
        report : DataFrame
            With ``return_report``: see ``sample`` of the estimator.
        """
        options = {"iid": iid, "return_report": return_report, "random_state": random_state}
        return self._asked().sample(self._given(x), n_samples, **options)

    def log_prob(self, theta, x=None, *, iid=False):
        """
        Compute the posterior's log-density.

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D) or (m, n, D)
            The parameters.
        x : array-like, scalar, dict, Series or DataFrame, default=None
            The observations; None: ``x_observed``.
        iid : bool, default=False
            Whether an observation consists of independent trials of one theta.

        Returns
        -------
        ndarray of shape (n,) or (m, n)
            The log-densities; -inf where ``prior_`` is zero.
        """
        return self._asked().log_prob(theta, self._given(x), iid=iid)

    def summary(self, x=None, *, level=0.9, n_samples=1000, iid=False, random_state=None):
        """
        Summarise the posterior in a table.

        Parameters
        ----------
        x : array-like, scalar, dict, Series or DataFrame, default=None
            The observations; None: ``x_observed``.
        level : float, default=0.9
            The mass of the central interval from lower to upper.
        n_samples : int, default=1000
            The number of draws that the table is made from.
        iid : bool, default=False
            Whether an observation consists of independent trials of one theta.
        random_state : None, int, RandomState or Generator, default=None
            As in ``sample``.

        Returns
        -------
        DataFrame
            Rows: the parameters. Columns: mean, sd, median, lower, upper.
        """
        options = {"iid": iid, "random_state": random_state}
        return self._asked().summary(self._given(x), level=level, n_samples=n_samples, **options)

    def map(self, x=None, *, iid=False):
        """
        Find the theta of highest posterior density.

        Parameters
        ----------
        x : array-like, scalar, dict, Series or DataFrame, default=None
            The observations; None: ``x_observed``.
        iid : bool, default=False
            Whether an observation consists of independent trials of one theta.

        Returns
        -------
        ndarray of shape (D,) or Series, a batch: (m, D) or DataFrame
            The modes.
        """
        return self._asked().map(self._given(x), iid=iid)

    def _asked(self):
        """Give what is asked."""
        check_is_fitted(self)
        return self.estimator_

    def _all_among(self, x):
        """Tell whether each observation is one that the rounds were for."""
        if x is self.x_observed_:
            return True
        # That of a pipeline's last step is of what the others make of x.
        is_pipeline = hasattr(self.estimator_, "steps")
        try:
            layout = layout_of(self.estimator_, self.x_) if is_pipeline else self.x_layout_
            given, observed = (layout.read(one).values + 0.0 for one in (x, self.x_observed_))
        except (TypeError, ValueError):  # which the estimator is about to raise, too
            return not is_pipeline or _equal(x, self.x_observed_)
        known = {row.tobytes() for row in np.ascontiguousarray(observed)}
        return all(row.tobytes() in known for row in np.ascontiguousarray(given))


def _equal(a, b):
    """Compare two observations."""
    try:
        return np.array_equal(np.asarray(a), np.asarray(b))
    except (TypeError, ValueError):
        return False
