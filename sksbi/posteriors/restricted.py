"""
Posteriors on a part of the prior's support.

Simulations that were drawn from the prior p on smaller and smaller regions R_1, R_2, ... follow

.. math::
    \\tilde p(\\theta) = p(\\theta) \\sum_k \\frac{n_k}{n} \\frac{1[\\theta \\in R_k]}{p(R_k)}.

In the intersection of all regions that is p times a constant. So what is learnt from all of them
together, the posterior under :math:`\\tilde p`, is there the one under p times a constant, and what
is left when it is restricted to the intersection is the posterior under p, but for what that has
outside. Nothing has to be weighted or left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from sklearn.utils.metaestimators import available_if

from sksbi.posteriors.base import Draws, Posterior, PosteriorAt, Record
from sksbi.posteriors.doubt import Doubt
from sksbi.posteriors.evidence import Evidence
from sksbi.priors import Prior
from sksbi.priors.tilted import TiltedPrior
from sksbi.samplers import ChainStatistics, NestedSampling
from sksbi.utils.types import Array, Mask, Rows

__all__ = ["LeftRegion", "Restricted", "RestrictedAt"]

_SEED, _SHARE_DRAWS = 0, 1_000
_MOST_TRIES, _EXTRA, _MOST_DRAWS = 50, 1.05, 2_000_000
_LEAST_SHARE = 1e-3


class LeftRegion(ValueError):
    """Next to nothing of a posterior lies where its restricted prior is positive."""


def _has_marginals(posterior: Restricted) -> bool:
    """Tell whether the posterior has marginals, and the prior is no region of any shape."""
    return hasattr(posterior.inner, "marginal") and posterior.prior._region is None


class Restricted(Posterior):
    """
    Another posterior where a restricted prior is positive.

    Parameters
    ----------
    posterior : Posterior
        The other one.
    prior : Prior
        The restricted prior.
    """

    def __init__(self, posterior: Posterior, prior: Prior) -> None:
        self.inner: Any = posterior
        self.prior: Prior = prior
        self.only_one = posterior.only_one
        # On the class they are those of a family, here those of what is restricted.
        self.takes_trials = posterior.takes_trials  # type: ignore[misc]
        self.needs_prior = posterior.needs_prior  # type: ignore[misc]
        if posterior.needs_prior:
            self.inner = cast(Any, posterior).with_prior(_sampled_on(prior))

    @available_if(_has_marginals)  # type: ignore[untyped-decorator]
    def marginal(self, columns: Sequence[int]) -> Posterior:
        """
        Take the posterior of some of the parameters.

        Parameters
        ----------
        columns : sequence of int
            The parameters, in the order wanted.

        Returns
        -------
        Posterior
            As the posterior that is restricted gives it.
        """
        return self.inner.marginal(columns)

    @property
    def factor(self) -> Any:
        """The factor of what is restricted."""
        return self.inner.factor

    def _refuse_unseen(self, x: Array) -> None:
        """Ask what is restricted."""
        self.inner._refuse_unseen(x)

    def _at(self, x: Array) -> RestrictedAt:
        """Fix observations."""
        return RestrictedAt(self.inner._at(x), self.prior, normalised=not self.needs_prior)

    def pooled(self, others: Sequence[Any]) -> Posterior:
        """Pool what is restricted, where this one is."""
        return Restricted(self.inner.pooled([other.inner for other in others]), self.prior)

    def score(self, theta: Array, x: Array, weights: Array, *, trials: bool = False) -> float:
        """Score what is restricted, where simulations lie inside."""
        inside = self.prior.contains(theta)
        if not inside.any():
            raise ValueError(
                "theta must lie where prior_ is positive for a score, got no such row."
            )
        return self.inner.score(theta[inside], x[inside], weights[inside], trials=trials)


def _sampled_on(prior: Prior) -> Prior:
    """Find what a sampler multiplies by: the prior without regions, which are asked after."""
    while prior._region is not None:
        prior = prior.boxed if isinstance(prior, TiltedPrior) else cast(Any, prior).prior
    return prior


class RestrictedAt(PosteriorAt):
    """
    The restricted posteriors of m observations.

    Parameters
    ----------
    inner : PosteriorAt
        What is restricted.
    prior : Prior
        The restricted prior.
    normalised : bool
        Whether densities are to be divided by the share of draws inside.
    """

    def __init__(self, inner: PosteriorAt, prior: Prior, *, normalised: bool) -> None:
        record = None if inner.record is None else _Passed(inner)
        trials_record = None if inner.trials_record is None else _PassedTrials(inner)
        super().__init__(prior, inner.n_observations, record, trials_record)
        self.inner: Any = inner
        self.normalised = normalised
        self._log_share: Array | None = None

    def take(self, rows: Rows | slice) -> RestrictedAt:
        """Take some of the observations."""
        taken = RestrictedAt(self.inner.take(rows), self._prior, normalised=self.normalised)
        taken._log_share = None if self._log_share is None else self._log_share[rows]
        return taken

    @property
    def _prior(self) -> Prior:
        """The restricted prior."""
        return cast(Prior, self.prior)

    @property
    def posterior(self) -> Any:
        """The posterior that is restricted, where its sampler is asked for."""
        return self.inner.posterior

    def _draw(self, n: int, generator: np.random.Generator, *, log_prob: bool) -> Draws:
        """Draw, and keep what lies inside."""
        m = self.n_observations
        kept: list[list[Array]] = [[] for _ in range(m)]
        found, tried = np.zeros(m, dtype=int), np.zeros(m, dtype=int)
        statistics = None
        for _ in range(_MOST_TRIES):
            short = np.flatnonzero(found < n)
            if not len(short) or np.any(found + 1 < _LEAST_SHARE * tried):
                break
            share = np.maximum((found[short] + 1) / (tried[short] + 1), _LEAST_SHARE)
            wanted = int(np.max((n - found[short]) / share) * _EXTRA) + 1
            wanted = min(wanted, max(n, _MOST_DRAWS // len(short)))
            draws = self.inner.take(short)._draw(wanted, generator, log_prob=False)
            statistics = statistics or draws.statistics
            inside = self._contains(draws.theta)
            for row, theta, mask in zip(short, draws.theta, inside, strict=True):
                kept[row].append(theta[mask])
            found[short] += inside.sum(axis=1)
            tried[short] += wanted
        self._check_found(found, tried, n)
        theta = np.stack([np.concatenate(parts)[:n] for parts in kept])
        return Draws(theta, None, None if statistics is None else _worth(statistics, n))

    def _check_found(self, found: Rows, tried: Rows, n: int) -> None:
        """Hold that enough lie inside."""
        short = np.flatnonzero(found < n)
        if len(short):
            row = int(short[0])
            raise LeftRegion(
                f"the posterior of observation {row} has only {found[row]} of {tried[row]:,} draws "
                "where the last round simulated: x is another one than the rounds were for, or the "
                "last fit has left the region. Ask about x_observed, run more rounds, which look "
                "there, or take more simulations a round."
            )

    def _log_prob(self, theta: Array, rows: Rows) -> Array:
        """Divide by the share of draws inside."""
        log_p = self.inner.log_prob(theta, rows)
        return log_p - self._shares()[rows] if self.normalised else log_p

    def _shares(self) -> Array:
        """Count draws inside, by a fixed seed; the logarithm of their share."""
        if self._log_share is None:
            self._log_share = np.log(self.share_inside(np.random.default_rng(_SEED)))
        return self._log_share

    def share_inside(self, generator: np.random.Generator) -> Array:
        """
        Estimate how much of what is restricted lies inside.

        Parameters
        ----------
        generator : numpy.random.Generator
            Where the noise comes from.

        Returns
        -------
        ndarray of shape (m,)
            The shares, positive.
        """
        draws = self.inner.sample(_SHARE_DRAWS, generator, shared_noise=True).theta
        return np.maximum(self._contains(draws).sum(axis=1), 0.5) / _SHARE_DRAWS

    def _contains(self, theta: Array) -> Mask:
        """Say which of the draws (m, n, D) lie inside."""
        flat = theta.reshape(-1, theta.shape[-1])
        return self._prior.contains(flat).reshape(theta.shape[:-1])

    def _candidates(self, generator: np.random.Generator) -> Array:
        """Take those of what is restricted, and draws in place of those outside."""
        found = self.inner._candidates(generator)
        for row, theta in enumerate(found):
            outside = ~self._prior.contains(theta)
            if outside.any():
                one = self.take(slice(row, row + 1))
                theta[outside] = one._draw(int(outside.sum()), generator, log_prob=False).theta[0]
        return found

    def log_factor(self, theta: Array, rows: Rows) -> Array:
        """
        Compute the logarithm of the factor.

        Parameters
        ----------
        theta : ndarray of shape (k, D)
            Parameters.
        rows : ndarray of int, of shape (k,)
            The observation of each.

        Returns
        -------
        ndarray of shape (k,)
            As what is restricted has it.
        """
        return self.inner.log_factor(theta, rows)

    def evidence(
        self, generator: np.random.Generator, sampler: NestedSampling | None = None
    ) -> Evidence:
        """
        Estimate what prior times factor integrates to.

        Parameters
        ----------
        generator : numpy.random.Generator
            Where the noise comes from.
        sampler : NestedSampling or None, default=None
            What integrates.

        Returns
        -------
        Evidence
            As what is restricted has it.
        """
        return self.inner.evidence(generator, sampler)

    def sample_chains(self, n: int, generator: np.random.Generator) -> Array | None:
        """
        Run the sampler, and keep its chains apart.

        Parameters
        ----------
        n : int
            The number of draws that the chains are made for.
        generator : numpy.random.Generator
            Where the noise comes from.

        Returns
        -------
        ndarray of shape (m, n_chains, n_steps, D) or None
            The chains, which may step outside.
        """
        return self.inner.sample_chains(n, generator)


class _Passed:
    """A record that observations are held against, by what is restricted."""

    def __init__(self, inner: PosteriorAt) -> None:
        self.inner = inner

    def doubts(self, posterior: PosteriorAt) -> Sequence[Doubt]:
        """Find reasons not to trust the answer."""
        return cast(Record, self.inner.record).doubts(self.inner)


class _PassedTrials:
    """A record that draws given many trials are held against, by what is restricted."""

    def __init__(self, inner: PosteriorAt) -> None:
        self.inner, self.record = inner, cast(Any, inner.trials_record)

    def doubts(self, posterior: PosteriorAt, theta: Sequence[Array]) -> Sequence[Doubt]:
        """Find reasons not to trust posteriors."""
        return self.record.doubts(self.inner, theta)

    def stand_ins(self, posterior: PosteriorAt, theta: Array, log_p: Array) -> Array:
        """Make what serves as draws."""
        return self.record.stand_ins(self.inner, theta, log_p)

    def pooled(self, others: Sequence[Any]) -> _PassedTrials:
        """Pool nothing: it is asked for one posterior."""
        return self


def _worth(statistics: ChainStatistics, n: int) -> ChainStatistics:
    """Bound what draws are worth by their number."""
    return replace(statistics, ess=np.minimum(statistics.ess, n))
