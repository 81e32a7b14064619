"""A batch of observations that is asked about in parts, as memory allows, and warned of once."""

from __future__ import annotations

from typing import Any

import numpy as np

from sksbi.estimators.doubt import warn_of_sampling
from sksbi.posteriors.base import Draws, PosteriorAt
from sksbi.samplers import ChainStatistics
from sksbi.tables.layout import Observations
from sksbi.tables.theta import pair_rows
from sksbi.utils.types import Array, Table

__all__ = ["AskedBatch"]


class AskedBatch:
    """
    A batch of observations, and the posteriors there.

    Parameters
    ----------
    estimator : estimator
        The fitted estimator.
    observations : Observations
        The observations.
    posterior : PosteriorAt
        Their posteriors.
    """

    def __init__(self, estimator: Any, observations: Observations, posterior: PosteriorAt) -> None:
        self.estimator, self.observations, self.posterior = estimator, observations, posterior
        self.single = observations.single
        self.columns = estimator.theta_columns_
        self._n_samples, self._found = 0, list[ChainStatistics | None]()

    def draw(
        self, part: slice, n: int, generator: np.random.Generator, *, shared_noise: bool = False
    ) -> Draws:
        """
        Draw for some of the observations.

        Parameters
        ----------
        part : slice
            Which.
        n : int
            The number of draws for each.
        generator : numpy.random.Generator
            Where the noise comes from.
        shared_noise : bool, default=False
            Whether all observations have the same noise.

        Returns
        -------
        Draws
            The draws.
        """
        draws = self.posterior.take(part).sample(n, generator, shared_noise=shared_noise)
        self._n_samples = n
        self._found.append(draws.statistics)
        return draws

    def log_prob_at(self, theta: Array, part: slice) -> Array:
        """
        Compute log-densities at many points, for some of the observations.

        Parameters
        ----------
        theta : ndarray of shape (m, n, D)
            The points of each.
        part : slice
            Which observations.

        Returns
        -------
        ndarray of shape (m, n)
            The log-densities.
        """
        return self.posterior.take(part).log_prob_of(Draws(theta))

    def log_prob(self, theta: Table) -> Array:
        """
        Compute the log-density of one theta for each observation.

        Parameters
        ----------
        theta : array-like or DataFrame of shape (m, D)
            The parameters.

        Returns
        -------
        ndarray of shape (m,)
            The log-densities.
        """
        pairs = pair_rows(self.estimator, theta, self.observations, self.estimator.prior_)
        return self.posterior.log_prob(pairs.theta, pairs.rows)

    def log_evidence(self, generator: np.random.Generator) -> Array:
        """
        Estimate what ``log_prob`` is to be lessened by to be the logarithm of a density of theta.

        Parameters
        ----------
        generator : numpy.random.Generator
            Where the noise comes from.

        Returns
        -------
        ndarray of shape (m,)
            Zeros if it is one already; NaN for observations for which the estimate is worth little.
        """
        estimate = getattr(self.posterior, "evidence", None)
        if estimate is None:
            return np.zeros(len(self.observations.values))
        return np.asarray(estimate(generator).log_z)

    def warn(self) -> None:
        """Warn, after all were drawn, of observations for which the sampler was in trouble."""
        statistics = ChainStatistics.joined(self._found)
        warn_of_sampling(statistics, self._n_samples, self.observations)
