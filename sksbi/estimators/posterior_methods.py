"""
What one asks of an estimator that draws from p(theta | x) by itself.

The public methods sample, log_prob, summary and map validate; the estimator computes.
"""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sksbi.tables.results import draws_table
from sksbi.utils.validation import check_count, check_real

__all__ = ["PosteriorMixin"]

_CANDIDATES = 1000


class PosteriorMixin:
    """
    Public methods of posterior estimators, for :class:`sksbi.estimators.base.BaseInference`.

    A subclass has ``_sample`` and ``_log_prob``, where the density is normalised.
    """

    def sample(self, x, n_samples=1000, *, random_state=None):
        """
        Draw from the posterior p(theta | x).

        Parameters
        ----------
        x : array-like, scalar, dict, Series or DataFrame
            One observation, or a batch of m. Which it is, follows from the dimensions of x in fit:
            for x of shape (n, L) a 1-d array, list, dict or Series is one observation, and a 2-d
            array or DataFrame, of one row too, is a batch.
        n_samples : int, default=1000
            The number of draws for every observation.
        random_state : None, int, RandomState or Generator, default=None
            None uses ``seed_`` if the estimator's own ``random_state`` is an int, so that two calls
            give the same draws, and fresh entropy otherwise.

        Returns
        -------
        ndarray or DataFrame of shape (n_samples, D), a batch: (m, n_samples, D)
            The draws, a DataFrame exactly if theta was one in fit (a batch then has the index
            levels observation and draw). All lie strictly inside the prior's support.

        Raises
        ------
        ValueError, TypeError
            If x does not look like fit's x, or ``n_samples`` is no positive int.

        Warns
        -----
        MisspecificationWarning
            If an observation is far from everything that was simulated, or the members of NPE's
            default flow disagree about it far more than about simulations held out.
        TrainingWarning
            If NPE's default flow was too sure of itself on simulations held out whose posteriors
            were like this one.
        """
        check_is_fitted(self)
        n_samples = check_count(n_samples, "n_samples")
        observations = self.x_layout_.read(x)
        self._warn_of_doubts(observations)
        draws = self._sample(observations.values, n_samples, self._generator(random_state))
        return draws_table(draws, observations, self.theta_columns_)

    def _warn_of_doubts(self, observations):
        """Warn of observations where answers may mean nothing."""
        if not self._warn_of_outliers(observations):
            self._warn_of_extrapolation(observations)

    def _warn_of_extrapolation(self, observations):
        """Warn of observations where a fit contradicts itself, if it can tell."""

    def log_prob(self, theta, x):
        """
        Compute the log-density log q(theta | x) in the units of theta.

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D) or (m, n, D)
            The parameters.
        x : array-like, scalar, dict, Series or DataFrame
            As many observations as theta has rows, or one for all of them. With theta of shape
            (m, n, D), or the table of draws that ``sample`` gave for a batch: m observations.

        Returns
        -------
        ndarray of shape (n,) or (m, n)
            The log-densities; -inf outside the prior's support, never NaN.

        Raises
        ------
        ValueError, TypeError
            If theta or x does not look like fit's, or their numbers do not match.
        """
        check_is_fitted(self)
        return self._pairwise(self._guarded_log_prob, theta, self.x_layout_.read(x))

    def _mean_score(self, theta, x, weights):
        """Average the log-density in the units of theta."""
        log_q = self._guarded_log_prob(theta, x, np.arange(len(theta)))
        return np.average(log_q, weights=weights)

    def summary(self, x, *, level=0.9, n_samples=1000, random_state=None):
        """
        Summarise the posterior in a table.

        Parameters
        ----------
        x : array-like, scalar, dict, Series or DataFrame
            One observation or a batch, as in ``sample``.
        level : float, default=0.9
            The mass of the central interval from lower to upper.
        n_samples : int, default=1000
            The number of draws that the table is made from.
        random_state : None, int, RandomState or Generator, default=None
            As in ``sample``.

        Returns
        -------
        DataFrame
            Rows: the parameters. Columns: mean, sd, median, lower, upper. For a batch the index has
            the levels observation and parameter.

        Raises
        ------
        ValueError, TypeError
            If x does not look like fit's, or another argument is out of its range.
        """
        check_is_fitted(self)
        level = check_real(level, "level", high=1.0)
        n_samples = check_count(n_samples, "n_samples")
        observations = self.x_layout_.read(x)
        self._warn_of_doubts(observations)
        draws = self._sample(observations.values, n_samples, self._generator(random_state))
        return self._summarised(draws, observations, level)

    def map(self, x):
        """
        Find the theta of highest posterior density in the units of theta.

        Parameters
        ----------
        x : array-like, scalar, dict, Series or DataFrame
            One observation or a batch, as in ``sample``.

        Returns
        -------
        ndarray of shape (D,) or Series, a batch: (m, D) or DataFrame
            The modes.

        Raises
        ------
        ValueError, TypeError
            If x does not look like fit's.
        """
        check_is_fitted(self)
        observations = self.x_layout_.read(x)
        self._warn_of_doubts(observations)
        generator = self._mode_generator()
        draws = self._sample(observations.values, _CANDIDATES, generator)
        return self._modes(self._guarded_log_prob, draws, observations, generator)
