r"""
A posterior as a thing: a lazy distribution over theta, for every x that one may ask about.

A fit leaves a :class:`Posterior`. To ask it, fix observations: ``at(x)`` encodes and embeds them,
once, and gives a :class:`PosteriorAt`, which draws, gives log-densities and finds modes for all of
them, as often as one likes. Both work on arrays in theta's own units, and know nothing of names and
tables.

What holds for every family is here: log-densities are -inf outside the prior's support and never
NaN, and modes are sought in the prior's unbounded space, where no bound is in the way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from sksbi.posteriors.doubt import Doubt
from sksbi.posteriors.modes import find_modes
from sksbi.posteriors.trials import NO_TRIALS
from sksbi.priors import Prior
from sksbi.samplers import ChainStatistics
from sksbi.utils.types import Array, Rows

__all__ = ["Doubt", "Draws", "Posterior", "PosteriorAt", "Record", "TrialsRecord"]


@dataclass(frozen=True, eq=False)
class Draws:
    """
    Draws for m observations.

    Parameters
    ----------
    theta : ndarray of shape (m, n, D)
        The draws, strictly inside the prior's support.
    log_prob : ndarray of shape (m, n) or None, default=None
        Their log-densities, if they came along with the draws.
    statistics : ChainStatistics or None, default=None
        What the draws are worth; None: they are independent.
    density : callable or None, default=None
        Computes their log-densities, given them, where that costs less than at any theta.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.posteriors import Draws
    >>> Draws(np.zeros((2, 100, 3))).theta.shape
    (2, 100, 3)
    """

    theta: Array
    log_prob: Array | None = None
    statistics: ChainStatistics | None = None
    density: Callable[[Array], Array] | None = None


class Record(Protocol):
    """What a fit did on simulations held out, against which observations are held."""

    def doubts(self, posterior: PosteriorAt) -> Sequence[Doubt]:
        """Find reasons not to trust the answer."""


class TrialsRecord(Protocol):
    """What a fit knows of its factor, against which draws given many trials are held."""

    def doubts(self, posterior: PosteriorAt, theta: Sequence[Array]) -> Sequence[Doubt]:
        """Find reasons not to trust posteriors that draws (k, D) are given of."""

    def stand_ins(self, posterior: PosteriorAt, theta: Array, log_p: Array) -> Array:
        """Make what serves as draws out of points of one observation; none of too few."""

    def pooled(self, others: Sequence[Any]) -> TrialsRecord:
        """Make one record of this and others of its kind."""


class Posterior(ABC):
    """
    Base of fitted posteriors, p(theta | x) for every x.

    Attributes
    ----------
    prior : Prior or None
        The prior; None: theta is unbounded.
    takes_trials : bool
        Whether observations may consist of independent trials.
    needs_prior : bool
        Whether there is no density without a prior.
    only_one : str or None
        Why there may be one trial alone, if there is a reason.
    """

    prior: Prior | None
    only_one: str | None = None
    takes_trials: ClassVar[bool] = False
    needs_prior: ClassVar[bool] = False

    def at(self, x: Array, *, trials: bool = False, observed: bool = False) -> PosteriorAt:
        """
        Fix observations, which are encoded and embedded once.

        Parameters
        ----------
        x : ndarray of shape (m, ...), with trials (m, trials, ...)
            The observations.
        trials : bool, default=False
            Whether every observation consists of independent trials.
        observed : bool, default=False
            Whether x was observed: a discrete value that fit has not seen is then refused.

        Returns
        -------
        PosteriorAt
            Their posteriors.

        Raises
        ------
        ValueError
            If there are trials, and the family cannot take them, or a value is refused.
        """
        self.check_takes(trials)
        x = x[:, None] if self.takes_trials and not trials else x
        if observed:
            self._refuse_unseen(x)
        return self._at(x)

    def check_takes(self, trials: bool) -> None:
        """
        Hold that the family can take trials, if there are any.

        Parameters
        ----------
        trials : bool
            Whether observations consist of independent trials.

        Raises
        ------
        ValueError
            If they do, and it cannot.
        """
        if trials and (self.only_one is not None or not self.takes_trials):
            raise ValueError(self.only_one or NO_TRIALS)

    def _refuse_unseen(self, x: Array) -> None:
        """Hold that of what was observed something was learnt; most families take any x."""
        return

    @abstractmethod
    def _at(self, x: Array) -> PosteriorAt:
        """Fix observations (m, ...), or (m, trials, ...) for a family that takes trials."""

    @abstractmethod
    def pooled(self, others: Sequence[Self]) -> Posterior:
        """
        Pool this and others of its kind, fitted to the same problem, with equal weights.

        Parameters
        ----------
        others : sequence of Posterior
            The others.

        Returns
        -------
        Posterior
            One posterior.
        """

    @abstractmethod
    def score(self, theta: Array, x: Array, weights: Array, *, trials: bool = False) -> float:
        """
        Compute the weighted mean of a proper score, higher is better.

        Parameters
        ----------
        theta : ndarray of shape (n, D)
            Parameters.
        x : ndarray of shape (n, ...), with trials (n, trials, ...)
            What was simulated from them; NaN throughout where that failed.
        weights : ndarray of shape (n,)
            Weights of the rows.
        trials : bool, default=False
            Whether a row of x consists of independent trials, over which the family sums.

        Returns
        -------
        float
            The score.
        """


class PosteriorAt(ABC):
    """
    Base of the posteriors of m observations.

    Parameters
    ----------
    prior : Prior or None
        The prior; None: theta is unbounded.
    n_observations : int
        Their number m.
    record : Record or None, default=None
        What observations are held against.
    trials_record : TrialsRecord or None, default=None
        What draws are held against, where observations consist of many trials.
    """

    def __init__(
        self,
        prior: Prior | None,
        n_observations: int,
        record: Record | None = None,
        trials_record: TrialsRecord | None = None,
    ) -> None:
        self.prior, self.n_observations = prior, n_observations
        self.record, self.trials_record = record, trials_record

    @abstractmethod
    def take(self, rows: Rows | slice) -> PosteriorAt:
        """
        Take some of the observations, as they are encoded.

        Parameters
        ----------
        rows : ndarray of int, or slice
            Which.

        Returns
        -------
        PosteriorAt
            Their posteriors.
        """

    @abstractmethod
    def _draw(self, n: int, generator: np.random.Generator, *, log_prob: bool) -> Draws:
        """Draw n for every observation; log-densities are wanted if they cost less than later."""

    @abstractmethod
    def _log_prob(self, theta: Array, rows: Rows) -> Array:
        """Compute the log-density of theta[i], inside the support, at observation rows[i]."""

    @abstractmethod
    def _candidates(self, generator: np.random.Generator) -> Array:
        """Find points (m, k, D) from which modes are sought."""

    def sample(
        self, n: int, generator: np.random.Generator, *, shared_noise: bool = False
    ) -> Draws:
        """
        Draw from the posterior of every observation.

        Parameters
        ----------
        n : int
            The number of draws for every observation.
        generator : numpy.random.Generator
            Where the noise comes from.
        shared_noise : bool, default=False
            Whether all observations have the same noise: draws for one then do not depend on what
            else is asked, up to the rounding of matrix products. Families with ``_draw_alike`` do
            it at once, others one observation after the other.

        Returns
        -------
        Draws
            The draws.
        """
        if not shared_noise:
            return self._draw(n, generator, log_prob=False)
        draw_alike = getattr(self, "_draw_alike", None)
        if draw_alike is not None:
            return draw_alike(n, generator)
        alone = (self.take(slice(i, i + 1)) for i in range(self.n_observations))
        draws = [one._draw(n, deepcopy(generator), log_prob=False) for one in alone]
        theta = np.concatenate([one.theta for one in draws])
        return Draws(theta, None, ChainStatistics.joined([one.statistics for one in draws]))

    def sample_and_log_prob(self, n: int, generator: np.random.Generator) -> tuple[Draws, Array]:
        """
        Draw, and compute the log-densities of the draws.

        Parameters
        ----------
        n : int
            The number of draws for every observation.
        generator : numpy.random.Generator
            Where the noise comes from.

        Returns
        -------
        draws : Draws
            The same that ``sample`` gives.
        log_prob : ndarray of shape (m, n)
            Their log-densities.
        """
        draws = self._draw(n, generator, log_prob=True)
        return draws, self.log_prob_of(draws)

    def log_prob_of(self, draws: Draws) -> Array:
        """
        Compute the log-densities of draws from these posteriors.

        Parameters
        ----------
        draws : Draws
            What ``sample`` gave.

        Returns
        -------
        ndarray of shape (m, n)
            The same that ``sample_and_log_prob`` gives.
        """
        if draws.log_prob is not None:
            return draws.log_prob
        if draws.density is not None:
            return draws.density(draws.theta)
        m, n, d = draws.theta.shape
        return self.log_prob(draws.theta.reshape(-1, d), np.arange(m).repeat(n)).reshape(m, n)

    def log_prob(self, theta: Array, rows: Rows) -> Array:
        """
        Compute log-densities: -inf outside the prior's support, never NaN.

        Parameters
        ----------
        theta : ndarray of shape (k, D)
            Parameters.
        rows : ndarray of int, of shape (k,)
            The observation of each.

        Returns
        -------
        ndarray of shape (k,)
            The log-densities.
        """
        inside = None if self.prior is None else self.prior.contains(theta)
        with np.errstate(all="ignore"):
            if inside is None or inside.all():
                log_p = self._log_prob(theta, rows)
            else:
                log_p = np.full(len(theta), -np.inf)
                if inside.any():
                    log_p[inside] = self._log_prob(theta[inside], rows[inside])
        return np.where(np.isnan(log_p), -np.inf, log_p)

    def modes(self, generator: np.random.Generator) -> Array:
        """
        Find the theta of highest density for every observation.

        Parameters
        ----------
        generator : numpy.random.Generator
            Seeds the search.

        Returns
        -------
        ndarray of shape (m, D)
            The modes.
        """
        return find_modes(self.log_prob, self._candidates(generator), self.prior, generator)

    def doubts(self) -> Sequence[Doubt]:
        """
        Find reasons not to trust the answers for these observations.

        Returns
        -------
        sequence of Doubt
            The reasons; none where there is nothing to hold observations against.
        """
        return () if self.record is None else self.record.doubts(self)

    def doubts_of_draws(self, theta: Sequence[Array]) -> Sequence[Doubt]:
        """
        Find reasons not to trust the answers that only draws can tell.

        Parameters
        ----------
        theta : sequence of m ndarrays of shape (k, D)
            Draws for every observation; for one with few of them nothing is told.

        Returns
        -------
        sequence of Doubt
            The reasons; none where there is nothing to hold draws against.
        """
        return () if self.trials_record is None else self.trials_record.doubts(self, theta)

    def doubts_of_mode(self, generator: np.random.Generator) -> Sequence[Doubt]:
        """
        Find reasons not to trust modes that only draws can tell.

        Parameters
        ----------
        generator : numpy.random.Generator
            Seeds the draws.

        Returns
        -------
        sequence of Doubt
            The reasons.
        """
        if self.trials_record is None:
            return ()
        return self.doubts_of_draws(list(self._candidates(generator)))

    def doubts_of_points(self, theta: Array, rows: Rows, log_p: Array) -> Sequence[Doubt]:
        """
        Find reasons not to trust densities that only draws can tell: points by weight stand in.

        Parameters
        ----------
        theta : ndarray of shape (k, D)
            The points.
        rows : ndarray of int, of shape (k,)
            The observation of each.
        log_p : ndarray of shape (k,)
            Their log-densities.

        Returns
        -------
        sequence of Doubt
            The reasons.
        """
        if self.trials_record is None:
            return ()
        record, alive = self.trials_record, np.isfinite(log_p)
        groups = [alive & (rows == i) for i in range(self.n_observations)]
        some = [record.stand_ins(self, theta[mine], log_p[mine]) for mine in groups]
        return self.doubts_of_draws(some)

    def _from_unbounded(self, z: Array) -> Array:
        """Bring points (..., D) of the prior's unbounded space to theta."""
        if self.prior is None:
            return z
        return self.prior.from_unbounded(z.reshape(-1, z.shape[-1])).reshape(z.shape)
