"""Equally weighted mixtures of fitted posteriors."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["PosteriorMixtureMixin"]


class PosteriorMixtureMixin:
    """
    Draws and densities of a mixture, for an estimator with ``estimators_``.

    Attributes
    ----------
    estimators_ : list of estimator
        The fitted members.
    """

    def _tables(self, theta, x):
        """Make tables of theta and x where the user gave tables to fit."""
        if self.theta_columns_ is not None:
            theta = pd.DataFrame(theta, columns=self.theta_columns_)
        if self.x_layout_.names is not None:
            x = pd.DataFrame(x, columns=list(self.x_layout_.names))
        return theta, x

    def _sample(self, x, n_samples, generator):
        """Choose a member for every draw, and let each member make as many as were chosen."""
        k = len(self.estimators_)
        chosen = generator.integers(k, size=(len(x), n_samples))
        draws = np.empty((len(x), n_samples, self.n_features_in_))
        for number, member in enumerate(self.estimators_):
            mine = chosen == number
            counts = mine.sum(axis=1)
            rows = np.flatnonzero(counts)
            if len(rows):
                drawn = member._sample(x[rows], counts.max(), generator)
                draws[mine] = drawn[np.arange(counts.max()) < counts[rows, None]]
        return draws

    def _log_prob(self, theta, x, rows):
        """Compute the logarithm of the mean of the members' densities."""
        log_q = [member._guarded_log_prob(theta, x, rows) for member in self.estimators_]
        return np.logaddexp.reduce(log_q, axis=0) - np.log(len(log_q))
