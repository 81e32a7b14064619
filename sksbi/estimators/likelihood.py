"""What one asks besides of an estimator of the likelihood p(x | theta)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sksbi.posteriors.base import Posterior, PosteriorAt
from sksbi.priors import Prior
from sksbi.tables.emulated import emulated_table, read_parameters
from sksbi.tables.layout import ObservationLayout, Observations
from sksbi.tables.theta import pair_rows
from sksbi.utils.validation import check_count, check_memory

__all__ = ["LikelihoodMixin"]


def _estimates_likelihoods(estimator: LikelihoodMixin) -> bool:
    """Tell whether it has likelihoods: a meta-estimator has those of what it wraps."""
    return estimator._estimates == "likelihood"


class LikelihoodMixin:
    """Likelihoods and emulated observations, where ``_estimates`` is "likelihood"."""

    prior_: Prior | None
    x_layout_: ObservationLayout
    _estimates: str
    _posterior: Callable[[], Posterior]
    _ask: Callable[..., tuple[Observations, PosteriorAt]]
    _generator: Callable[[object], np.random.Generator]

    @available_if(_estimates_likelihoods)
    def log_likelihood(self, theta, x, *, iid=False):
        """
        Compute log q(x | theta), a density in the units of x.

        Of discrete columns and counts it is a probability. If fit was given failed simulations, the
        probability of success is part of it: it integrates to that.

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D) or (m, n, D)
            The parameters. Outside the prior's support, the value at the nearest point inside.
        x : array-like, scalar, dict, Series or DataFrame
            As many observations as theta has rows, or one for all of them. With theta of shape
            (m, n, D), or the table of draws that ``sample`` gave for a batch: m observations.
        iid : bool, default=False
            Whether an observation consists of independent trials: x is then (trials, ...) for one
            observation and (m, trials, ...) for a batch, and the logarithms are summed over trials.

        Returns
        -------
        ndarray of shape (n,) or (m, n)
            The log-likelihoods.

        Raises
        ------
        ValueError, TypeError
            If theta or x does not look like fit's, or their numbers do not match.
        """
        observations, posterior = self._ask(x, iid, warns=False, needs_density=False)
        pairs = pair_rows(self, theta, observations, self.prior_, any_pairs=True)
        return posterior.log_factor(pairs.theta, pairs.rows).reshape(pairs.shape)

    @available_if(_estimates_likelihoods)
    def emulate(self, theta, n_samples=1, *, random_state=None):
        """
        Draw observations from q(x | theta), as the simulator would.

        Parameters
        ----------
        theta : array-like, dict, Series or DataFrame
            One theta: shape (D,), a dict or Series by names. Or m: shape (m, D).
        n_samples : int, default=1
            The number of observations for each, or of trials where fit's x had them.
        random_state : None, int, RandomState or Generator, default=None
            As in ``sample``.

        Returns
        -------
        ndarray or DataFrame
            Shape (n_samples, ...) for one theta, (m, n_samples, ...) for m. A DataFrame with the
            columns and dtypes of fit's x, if that was a table; for m theta with the index levels
            theta and draw.

        Raises
        ------
        ValueError, TypeError
            If theta does not look like fit's or lies outside the prior's support, or ``n_samples``
            is no positive int.
        """
        check_is_fitted(self)
        n_samples = check_count(n_samples, "n_samples")
        asked = read_parameters(self, theta, self.prior_)
        width = int(np.prod(self.x_layout_.shape, dtype=int))
        check_memory(n_samples, "n_samples", n_samples * len(asked.values) * width)
        posterior: Any = self._posterior()
        x = posterior.factor.draw(asked.values, n_samples, self._generator(random_state))
        return emulated_table(x, asked, self.x_layout_)
