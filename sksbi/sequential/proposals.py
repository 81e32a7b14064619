"""Where a round draws its parameters, and what its fit is worth: what all proposals have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from sksbi.priors import Prior
from sksbi.sequential.restricted import restricted_to
from sksbi.utils.types import Array, Mask, Rows

__all__ = ["Proposals"]

_FROM_PRIOR = 0.05  # of every round


class Proposals(ABC):
    """
    Proposals of rounds; ``narrow`` changes them after a fit.

    Parameters
    ----------
    base : Prior
        The prior that the user gave.

    Attributes
    ----------
    prior : Prior
        The prior where simulations are: what a fit is restricted to.
    """

    fit_parameters: ClassVar[dict[str, Any]] = {}  # of fits after the first

    def __init__(self, base: Prior) -> None:
        self.base, self.prior = base, base

    @property
    def share(self) -> float:
        """The share of the prior's mass that parameters are drawn from."""
        return 1.0

    @property
    def acceptance(self) -> float:
        """The share of candidates that are kept when parameters are drawn."""
        return 1.0

    def propose(self, n: int, generator: np.random.Generator) -> Array:
        """
        Draw parameters for a round, a twentieth from all of the prior, in random order.

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
        n_wide = int(np.ceil(self._share_from_prior * n)) if n > 1 else 0
        theta = self._draw(n - n_wide, generator)
        if n_wide:
            theta = np.concatenate([theta, self.base.sample(n_wide, generator)])
        return generator.permutation(theta)

    @property
    def _share_from_prior(self) -> float:
        """The share of a round that is drawn from all of the prior beside what it draws."""
        return _FROM_PRIOR if self._are_narrow else 0.0

    @property
    @abstractmethod
    def _are_narrow(self) -> bool:
        """Whether they are not the prior."""

    @abstractmethod
    def _draw(self, n: int, generator: np.random.Generator) -> Array:
        """Draw (n, D)."""

    @abstractmethod
    def view(self, theta: Array, rounds: Rows) -> tuple[Prior, Mask]:
        """
        Choose what a fit is to see.

        Parameters
        ----------
        theta : ndarray of shape (n, D)
            The parameters of all simulations.
        rounds : ndarray of int, of shape (n,)
            The numbers of the rounds that they are of, from 0.

        Returns
        -------
        prior : Prior
            The prior for the fit.
        rows : ndarray of bool, of shape (n,)
            The simulations for the fit.
        """

    @abstractmethod
    def inside(
        self, estimator: Any, x: Any, counts: list[int], generator: np.random.Generator
    ) -> float:
        """
        Estimate how much of the posterior lies where parameters were drawn.

        Parameters
        ----------
        estimator : estimator
            What was fitted, not restricted.
        x : object
            The observations, of which the one counts that has least inside.
        counts : list of int
            The simulations of every round so far.
        generator : numpy.random.Generator
            Where the noise comes from.

        Returns
        -------
        float
            The share, NaN if the fit cannot tell.
        """

    @abstractmethod
    def narrow(
        self,
        estimator: Any,
        x: Any,
        slack: float,
        counts: list[int],
        generator: np.random.Generator,
    ) -> None:
        """
        Go where the posterior of a fit is.

        Parameters
        ----------
        estimator : estimator
            What was fitted.
        x : object
            The observations.
        slack : float
            By how many nats the fit is too sure of itself.
        counts : list of int
            The simulations of every round so far.
        generator : numpy.random.Generator
            Where the noise comes from.
        """

    def restricted(self, estimator: Any) -> Any:
        """
        Restrict a fit to where its simulations are.

        Parameters
        ----------
        estimator : estimator
            What was fitted.

        Returns
        -------
        estimator
            The same, under the restricted prior.
        """
        return restricted_to(estimator, self.prior)
