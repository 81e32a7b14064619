r"""
What multiplies the prior in a posterior: a ratio, or a likelihood, of theta and one trial x.

A factor is known up to a constant that depends on neither theta nor the fit, and takes theta in
units of its own. For independent trials factors multiply, so that their logarithms are summed. The
pooled factor of several fits is their mean, trial by trial: each estimates the same function, so a
likelihood is to be one in units of x that all fits share.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from scipy.special import log_expit, logsumexp, softmax

from sksbi.utils.batches import batches
from sksbi.utils.derangement import derangement
from sksbi.utils.failures import are_failed
from sksbi.utils.types import Array, Rows

__all__ = [
    "Factor",
    "FactorAt",
    "Likelihood",
    "MeanLikelihood",
    "MeanRatio",
    "OfTrials",
    "Ratio",
]


_EVALUATIONS = 1_000_000
_FEWEST_ALIKE = 8


class FactorAt(ABC):
    """Base of factors at k fixed trials."""

    @abstractmethod
    def __call__(self, u: Array, rows: Rows) -> Array:
        """
        Compute logarithms.

        Parameters
        ----------
        u : ndarray of shape (n, n_units)
            Parameters, in the factor's units.
        rows : ndarray of int, of shape (n,)
            The trial of each.

        Returns
        -------
        ndarray of shape (n,)
            The logarithms.
        """

    @abstractmethod
    def take(self, rows: Rows | slice) -> FactorAt:
        """
        Take some of the trials, as they are encoded.

        Parameters
        ----------
        rows : ndarray of int, or slice
            Which.

        Returns
        -------
        FactorAt
            The factor at these.
        """


class Factor(ABC):
    """
    Base of factors.

    Attributes
    ----------
    n_units : int
        How many numbers theta is in the factor's units.
    """

    @property
    @abstractmethod
    def n_units(self) -> int:
        """How many numbers theta is in the factor's units."""

    @abstractmethod
    def units(self, theta: Array) -> Array:
        """
        Bring theta to the factor's units.

        Parameters
        ----------
        theta : ndarray of shape (n, D)
            Parameters.

        Returns
        -------
        ndarray of shape (n, n_units)
            The same; NaN where there is none.
        """

    @abstractmethod
    def units_from_unbounded(self, z: Array) -> Array:
        """
        Bring points of the prior's unbounded space to the factor's units.

        Parameters
        ----------
        z : ndarray of shape (n, D)
            Points.

        Returns
        -------
        ndarray of shape (n, n_units)
            The same; NaN where there is none.
        """

    @abstractmethod
    def at(self, x: Array) -> FactorAt:
        """
        Fix trials, which are encoded and embedded once.

        Parameters
        ----------
        x : ndarray of shape (k, ...)
            The trials.

        Returns
        -------
        FactorAt
            The function of theta that is left.
        """

    def at_trials(self, x: Array) -> OfTrials:
        """
        Fix observations of several trials each; of trials that are alike, one is evaluated.

        Parameters
        ----------
        x : ndarray of shape (m, trials, ...)
            The observations.

        Returns
        -------
        OfTrials
            The factor at these.
        """
        m, n_trials = x.shape[:2]
        alike = _alike(x)
        if alike is not None:
            rows, trials, times = alike
            return OfTrials(self.at(rows), trials, times, n_trials)
        flat = x.reshape(-1, *x.shape[2:])
        return OfTrials(self.at(flat), np.arange(len(flat)).reshape(m, n_trials))

    def refuse_unseen(self, x: Array) -> None:
        """
        Hold that of trials something was learnt; most factors take any.

        Parameters
        ----------
        x : ndarray of shape (k, ...)
            The trials, as they were observed.

        Raises
        ------
        ValueError
            If a value is not among those that fit has seen, and must be.
        """
        return

    @abstractmethod
    def pooled(self, others: Sequence[Self]) -> Factor:
        """
        Average this and others.

        Parameters
        ----------
        others : sequence of Factor
            The others, fitted to the same problem.

        Returns
        -------
        Factor
            Their mean.
        """

    @abstractmethod
    def score(self, theta: Array, x: Array, weights: Array) -> float:
        """
        Compute the weighted mean of a proper score, higher is better.

        Parameters
        ----------
        theta : ndarray of shape (n, D)
            Parameters.
        x : ndarray of shape (n, trials, ...)
            What was simulated from them; NaN throughout where that failed.
        weights : ndarray of shape (n,)
            Weights of the rows.

        Returns
        -------
        float
            The score.
        """


class Ratio(Factor):
    """Base of the factors that are p(theta | x) / p(theta)."""

    def pooled(self, others: Sequence[Self]) -> Ratio:
        """Average this and other ratios."""
        return MeanRatio([self, *others]) if others else self

    def score(self, theta: Array, x: Array, weights: Array) -> float:
        """
        Compute minus the mean binary cross-entropy over joint and marginal pairs.

        A joint pair is a simulation that succeeded, so that its theta follows p(theta | x); the
        other theta of a marginal pair comes from all rows, failed ones too, and follows p(theta).
        x is the same in both. With these two the mean is least at p(theta | x) / p(theta).
        """
        happened = np.flatnonzero(~are_failed(x))
        rows, others = np.arange(len(happened)), derangement(theta, np.random.default_rng(0))
        log_ratio, u = self.at_trials(x[happened]), self.units(theta)
        others, own = others[happened], weights[happened]
        joint = np.average(log_expit(log_ratio(u[happened], rows)), weights=own)
        marginal = log_expit(-log_ratio(u[others], rows))
        return float(joint + np.average(marginal, weights=own * weights[others])) / 2


class Likelihood(Factor):
    """
    Base of the factors that are p(x | theta), densities in the units of x.

    Attributes
    ----------
    is_density : bool
        Whether x has no columns that are discrete or counts, which have probabilities.
    """

    @property
    @abstractmethod
    def is_density(self) -> bool:
        """Whether x has no columns that are discrete or counts, which have probabilities."""

    @abstractmethod
    def draw(self, theta: Array, n: int, generator: np.random.Generator) -> Array:
        """
        Draw observations.

        Parameters
        ----------
        theta : ndarray of shape (m, D)
            Parameters.
        n : int
            The number of draws for each.
        generator : numpy.random.Generator
            Where the noise comes from.

        Returns
        -------
        ndarray of shape (m, n, ...)
            The draws.
        """

    @property
    def counts_failures(self) -> bool:
        """Whether simulations that failed count in the score."""
        return False

    def log_mass(self, theta: Array) -> Array:
        """
        Compute the logarithm of the integral over x.

        Parameters
        ----------
        theta : ndarray of shape (m, D)
            Parameters.

        Returns
        -------
        ndarray of shape (m,)
            The logarithms: 0 for a density, less where simulations fail.
        """
        return np.zeros(len(theta))

    def pooled(self, others: Sequence[Self]) -> Likelihood:
        """Average this and other likelihoods."""
        return MeanLikelihood([self, *others]) if others else self

    def score(self, theta: Array, x: Array, weights: Array) -> float:
        """
        Compute the mean of log q(x | theta), summed over trials.

        Simulations that failed add the logarithm of the probability to, where it was learnt: else a
        likelihood would gain by a probability of success that is too high.
        """
        failed = are_failed(x)
        happened = np.flatnonzero(~failed)
        log_q = np.zeros(len(x))
        log_q[happened] = self.at_trials(x[happened])(
            self.units(theta[happened]), np.arange(len(happened))
        )
        counted = np.ones(len(x), bool)
        if failed.any():
            log_success = x.shape[1] * self.log_mass(theta[failed])
            counted[failed] = log_success < 0
            with np.errstate(divide="ignore"):
                log_q[failed] = np.log(-np.expm1(log_success))
        return float(np.average(log_q[counted], weights=weights[counted]))


class _Mean(Factor):
    """The mean of several factors of one kind, each with units of its own."""

    def __init__(self, members: Sequence[Factor]) -> None:
        self.members = members

    def units(self, theta: Array) -> Array:
        """Set the members' units side by side."""
        return np.hstack([member.units(theta) for member in self.members])

    def units_from_unbounded(self, z: Array) -> Array:
        """Set the members' units side by side."""
        return np.hstack([member.units_from_unbounded(z) for member in self.members])

    def refuse_unseen(self, x: Array) -> None:
        """Ask every member."""
        for member in self.members:
            member.refuse_unseen(x)

    @property
    def n_units(self) -> int:
        """The members' numbers together."""
        return sum(member.n_units for member in self.members)

    def at(self, x: Array) -> FactorAt:
        """Fix trials for every member."""
        ends = np.cumsum([member.n_units for member in self.members])
        return _MeanAt([member.at(x) for member in self.members], ends[:-1])


class MeanRatio(_Mean, Ratio):
    """
    The mean of several ratios.

    Parameters
    ----------
    members : sequence of Ratio
        The ratios.
    """

    def marginal(self, columns: Sequence[int]) -> MeanRatio:
        """Average the ratios of some of the parameters, which the members have."""
        members: Sequence[Any] = self.members
        return MeanRatio([member.marginal(columns) for member in members])


class MeanLikelihood(_Mean, Likelihood):
    """
    The mean of several likelihoods.

    Parameters
    ----------
    members : sequence of Likelihood
        The likelihoods.
    """

    members: Sequence[Likelihood]

    @property
    def is_density(self) -> bool:
        """Whether all are densities."""
        return all(member.is_density for member in self.members)

    @property
    def counts_failures(self) -> bool:
        """Whether members know the probability of success."""
        return any(member.counts_failures for member in self.members)

    def log_mass(self, theta: Array) -> Array:
        """Average the integrals."""
        return logsumexp(self._log_masses(theta), axis=0) - np.log(len(self.members))

    def draw(self, theta: Array, n: int, generator: np.random.Generator) -> Array:
        """Draw from a member for every observation, as often as its integral says."""
        shares = np.cumsum(softmax(self._log_masses(theta), axis=0), axis=0)
        chosen = (generator.random((len(theta), n)) > shares[:-1, :, None]).sum(axis=0)
        drawn: dict[int, Array] = {}
        for k in np.unique(chosen):
            points = theta[np.nonzero(chosen == k)[0]]
            drawn[k] = self.members[k].draw(points, 1, generator)[:, 0]
        x = np.empty((len(theta), n, *next(iter(drawn.values())).shape[1:]))
        for k, own in drawn.items():
            x[chosen == k] = own
        return x

    def _log_masses(self, theta: Array) -> Array:
        """Compute the members' integrals: (K, m)."""
        return np.stack([member.log_mass(theta) for member in self.members])


class _MeanAt(FactorAt):
    """The mean of several factors at fixed trials."""

    def __init__(self, members: Sequence[FactorAt], ends: Rows) -> None:
        self.members, self.ends = members, ends

    def __call__(self, u: Array, rows: Rows) -> Array:
        """Compute the logarithm of the mean."""
        units = np.split(u, self.ends, axis=1)
        each = [member(own, rows) for member, own in zip(self.members, units, strict=True)]
        return logsumexp(each, axis=0) - np.log(len(each))

    def take(self, rows: Rows | slice) -> FactorAt:
        """Take some of the trials."""
        return _MeanAt([member.take(rows) for member in self.members], self.ends)


class OfTrials(FactorAt):
    """
    A factor at observations of several independent trials each: the logarithms are summed.

    Parameters
    ----------
    factor : FactorAt
        At all trials that differ, and perhaps at others.
    trials : ndarray of int, of shape (m, k)
        Which of them an observation consists of.
    times : ndarray of shape (m, k) or None, default=None
        How often each occurs; None: once.
    n_trials : int or None, default=None
        The number of trials of every observation; None: k.
    """

    def __init__(
        self,
        factor: FactorAt,
        trials: Rows,
        times: Array | None = None,
        n_trials: int | None = None,
    ) -> None:
        self.factor, self.trials, self.times = factor, trials, times
        self.n_trials = trials.shape[1] if n_trials is None else n_trials

    @property
    def n_evaluations(self) -> int:
        """How many evaluations of the factor one of the sum takes."""
        return self.trials.shape[1]

    def __call__(self, u: Array, rows: Rows) -> Array:
        """Sum over the trials of an observation, in parts that fit into memory."""
        if self.n_evaluations == 1 and self.times is None:
            return self.factor(u, self.trials[rows, 0])
        parts = batches(len(u), _EVALUATIONS // self.n_evaluations)
        return np.concatenate([self._sum(u[part], rows[part]) for part in parts])

    def _sum(self, u: Array, rows: Rows) -> Array:
        """Sum over trials."""
        each = self.trials[rows]
        logs = self.factor(u.repeat(each.shape[1], axis=0), each.ravel()).reshape(each.shape)
        if self.times is None:
            return logs.sum(axis=1)
        times = self.times[rows]
        return np.multiply(logs, times, where=times > 0, out=np.zeros_like(logs)).sum(axis=1)

    def take(self, rows: Rows | slice) -> OfTrials:
        """Take some of the observations."""
        trials = self.trials[rows]
        kept = np.unique(trials)
        times = None if self.times is None else self.times[rows]
        some = np.searchsorted(kept, trials)
        return OfTrials(self.factor.take(kept), some, times, self.n_trials)


def _alike(x: Array) -> tuple[Array, Rows, Array] | None:
    """Find the trials of (m, T, ...) that differ, which each consists of, and how often."""
    m, n_trials = x.shape[:2]
    flat = x.reshape(m, n_trials, -1)
    if n_trials < _FEWEST_ALIKE or len(np.unique(flat[0], axis=0)) > n_trials // 2:
        return None
    rows, place = np.unique(flat.reshape(m * n_trials, -1), axis=0, return_inverse=True)
    found = [np.unique(one, return_counts=True) for one in place.reshape(m, n_trials)]
    most = max(len(one) for one, _ in found)
    trials, times = np.zeros((m, most), np.intp), np.zeros((m, most))
    for i, (one, count) in enumerate(found):
        trials[i, : len(one)], times[i, : len(one)] = one, count
    return rows.reshape(-1, *x.shape[2:]), trials, times
