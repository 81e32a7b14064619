"""What one asks besides of an estimator of the ratio r(theta, x) = p(theta | x) / p(theta)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.utils.metaestimators import available_if

from sksbi.posteriors.base import PosteriorAt
from sksbi.priors import Prior
from sksbi.tables.layout import Observations
from sksbi.tables.theta import pair_rows

__all__ = ["RatioMixin"]


def _estimates_ratios(estimator: RatioMixin) -> bool:
    """Tell whether it has ratios: a meta-estimator has those of what it wraps."""
    return estimator._estimates == "ratio"


class RatioMixin:
    """Ratios, for an estimator whose ``_estimates`` is "ratio"."""

    prior_: Prior | None
    _estimates: str
    _ask: Callable[..., tuple[Observations, PosteriorAt]]

    @available_if(_estimates_ratios)
    def predict_log_ratio(self, theta, x, *, iid=False):
        """
        Estimate log r(theta, x) = log p(theta | x) - log p(theta).

        If fit was given failed simulations, the probability of success is part of it, for x is no
        failure.

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D) or (m, n, D)
            The parameters. Outside the prior's support, the value at the nearest point inside.
        x : array-like, scalar, dict, Series or DataFrame
            As many observations as theta has rows, or one for all of them. With theta of shape
            (m, n, D), or the table of draws that ``sample`` gave for a batch: m observations.
        iid : bool, default=False
            Whether an observation consists of independent trials: x is then (trials, ...) for one
            observation and (m, trials, ...) for a batch, and log-ratios are summed over trials.

        Returns
        -------
        ndarray of shape (n,) or (m, n)
            The log-ratios.

        Raises
        ------
        ValueError, TypeError
            If theta or x does not look like fit's, or their numbers do not match.
        """
        observations, posterior = self._ask(x, iid, warns=False, needs_density=False)
        pairs = pair_rows(self, theta, observations, self.prior_, any_pairs=True)
        return posterior.log_factor(pairs.theta, pairs.rows).reshape(pairs.shape)

    @available_if(_estimates_ratios)
    def predict_ratio(self, theta, x, *, iid=False):
        """
        Estimate r(theta, x) = p(theta | x) / p(theta), which is p(x | theta) / p(x) too.

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D) or (m, n, D)
            The parameters.
        x : array-like, scalar, dict, Series or DataFrame
            Observations, as in ``predict_log_ratio``.
        iid : bool, default=False
            Whether an observation consists of independent trials.

        Returns
        -------
        ndarray of shape (n,) or (m, n)
            The ratios; inf where they are too large for a float.

        Raises
        ------
        ValueError, TypeError
            If theta or x does not look like fit's, or their numbers do not match.
        """
        with np.errstate(over="ignore"):
            return np.exp(self.predict_log_ratio(theta, x, iid=iid))
