"""
Rounds that draw from the posterior of the round before.

A likelihood is learnt right wherever parameters come from, and so is a ratio up to a factor that
does not depend on them: the prior enters when the posterior is asked. A density of theta would be
wrong, unless it is trained by the atomic loss, which knows the prior.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from sksbi.estimators.restricted import restricted_to
from sksbi.posteriors.base import PosteriorAt
from sksbi.priors import Prior
from sksbi.priors.around import seen_from
from sksbi.priors.reach import unsampled
from sksbi.utils.types import Array, Mask

__all__ = ["AtomicProposals", "PosteriorProposals"]

_FROM_PRIOR, _SEEN, _LOOK = 0.05, 1.0, 2_000


class PosteriorProposals:
    """
    Posteriors as proposals, for ratio and likelihood estimators.

    Parameters
    ----------
    base : Prior
        The prior that the user gave.

    Attributes
    ----------
    prior : Prior
        The prior on a wide box around the last posterior, in which fits see simulations.
    """

    share, acceptance = 1.0, 1.0
    fit_parameters: ClassVar[dict[str, Any]] = {}

    def __init__(self, base: Prior) -> None:
        self.base, self.prior = base, base
        self.last: Any = None
        self.x: Any = None

    def propose(self, n: int, generator: np.random.Generator) -> Array:
        """
        Draw parameters for a round, in random order.

        Parameters
        ----------
        n : int
            Their number.
        generator : numpy.random.Generator
            Where the noise comes from.

        Returns
        -------
        ndarray of shape (n, D)
            The parameters.
        """
        if self.last is None:
            return self.base.sample(n, generator)
        n_wide = int(np.ceil(_FROM_PRIOR * n)) if n > 1 else 0
        asked = self._asked()
        n_each = -(-(n - n_wide) // asked.n_observations)
        theta = asked.sample(n_each, generator).theta.reshape(-1, self.base.n_features)
        theta = generator.permutation(theta)[: n - n_wide]
        wide = [self.base.sample(n_wide, generator)] if n_wide else []
        return generator.permutation(np.concatenate([theta, *wide]))

    def _asked(self) -> PosteriorAt:
        """Ask the last posterior about the observations."""
        asked: PosteriorAt = self.restricted(self.last)._ask(self.x, warns=False)[1]
        return asked

    def view(self, theta: Array) -> tuple[Prior, Mask]:
        """
        Choose what a fit is to see.

        Parameters
        ----------
        theta : ndarray of shape (n, D)
            The parameters of all simulations.

        Returns
        -------
        prior : Prior
            The prior for the fit.
        rows : ndarray of bool, of shape (n,)
            The simulations for the fit.
        """
        return unsampled(self.prior), self.prior.contains(theta)

    def narrow(self, estimator: Any, x: Any, slack: float, generator: np.random.Generator) -> None:
        """
        Take the posterior of a fit as the next proposal.

        Parameters
        ----------
        estimator : estimator
            What was fitted.
        x : object
            The observations.
        slack : float
            Not used.
        generator : numpy.random.Generator
            Where the noise comes from.
        """
        self.last, self.x = estimator, x
        theta = self._asked().sample(_LOOK, generator).theta
        self.prior = seen_from(self.base, theta.reshape(-1, theta.shape[-1]), _SEEN)

    def restricted(self, estimator: Any) -> Any:
        """
        Restrict a fit to where it has seen simulations.

        Parameters
        ----------
        estimator : estimator
            What was fitted.

        Returns
        -------
        estimator
            The same, under the prior there.
        """
        return restricted_to(estimator, self.prior)


class AtomicProposals(PosteriorProposals):
    """Posteriors as proposals, for NPE with the atomic loss."""

    fit_parameters: ClassVar[dict[str, Any]] = {"criterion": "atomic"}
