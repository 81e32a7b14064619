r"""
Posteriors that are prior times a factor, known up to a constant.

They are not normalised exactly, so draws take a sampler. It works on

.. math::
    \log p(z | x) = \log p(z) + \log f(\theta(z), x)

in the prior's unbounded space, where no draw can leave the support, on all observations at once.
For independent trials x_1, ..., x_T of one theta the logarithms of the factors add up; a density of
theta given one x could not do that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, ClassVar, Self, cast

import numpy as np
from sklearn.utils.metaestimators import available_if

from sksbi.metrics.chains import effective_sample_size, split_r_hat
from sksbi.posteriors.base import Draws, Posterior, PosteriorAt, Record, TrialsRecord
from sksbi.posteriors.evidence import Evidence, estimate_evidence
from sksbi.posteriors.factor import Factor, OfTrials
from sksbi.posteriors.trials import ONE_TRIAL
from sksbi.priors import Prior, UnboundedPrior
from sksbi.priors.base import with_map_of
from sksbi.samplers import (
    ChainStatistics,
    NestedSampling,
    Sampler,
    Target,
    resample_reference,
)
from sksbi.utils.masks import Masks
from sksbi.utils.types import Array, Rows

__all__ = ["PriorTimes", "PriorTimesAt"]

_CANDIDATES, _CHAINS = 1_000, 100
_GOOD_STARTS, _MOST_EVALUATIONS = 50, 1_000_000


def _has_marginals(posterior: PriorTimes) -> bool:
    """Tell whether the factor was trained for marginals."""
    return posterior.masks is not None


class PriorTimes(Posterior):
    """
    Prior times a factor.

    Parameters
    ----------
    prior : Prior or None
        The prior; without one there are factors and scores only.
    factor : Factor
        The factor.
    sampler : Sampler or callable
        Where draws come from, as :func:`sksbi.samplers.build_sampler` gives it.
    verbose : int, default=0
        Whether drawing shows a progress bar.
    trials_record : TrialsRecord or None, default=None
        What posteriors given many trials are held against.
    proposal : callable or None, default=None
        Gives normalised posteriors near these, at observations (m, trials, ...), from which an
        importance sampler draws its candidates.
    record : Record or None, default=None
        What observations are held against.
    masks : Masks or None, default=None
        The marginals that the factor, then a ratio, was trained for.
    """

    takes_trials: ClassVar[bool] = True
    needs_prior: ClassVar[bool] = True

    def __init__(
        self,
        prior: Prior | None,
        factor: Factor,
        sampler: Callable[..., Array],
        verbose: int = 0,
        trials_record: TrialsRecord | None = None,
        proposal: Callable[[Array], PosteriorAt] | None = None,
        record: Record | None = None,
        masks: Masks | None = None,
    ) -> None:
        self.prior, self.factor, self.sampler, self.verbose = prior, factor, sampler, verbose
        self.trials_record, self.proposal, self.record = trials_record, proposal, record
        self.masks = masks
        self.is_own_map = True  # the prior's map to unbounded space is the one of the factor

    @available_if(_has_marginals)  # type: ignore[untyped-decorator]
    def marginal(self, columns: Sequence[int]) -> PriorTimes:
        """
        Take the posterior of some of the parameters, given one trial.

        Parameters
        ----------
        columns : sequence of int
            The parameters, in the order wanted.

        Returns
        -------
        PriorTimes
            Their prior times their ratio.

        Raises
        ------
        ValueError
            If the ratio was not trained for them, or the prior has no such marginal.
        """
        masks, factor = cast(Masks, self.masks), cast(Any, self.factor)
        masks.check(columns)
        prior = None if self.prior is None else with_map_of(self.prior, columns)
        near = cast(Any, self.proposal)
        near = near if near is None else near.marginal(columns, prior)
        made = PriorTimes(
            prior, factor.marginal(columns), self.sampler, self.verbose, proposal=near
        )
        made.only_one = ONE_TRIAL
        return made

    def _at(self, x: Array) -> PriorTimesAt:
        """Fix observations (m, trials, ...)."""
        return PriorTimesAt(self, x, self.factor.at_trials(x))

    def _refuse_unseen(self, x: Array) -> None:
        """Ask the factor, of observations (m, trials, ...)."""
        self.factor.refuse_unseen(x.reshape(-1, *x.shape[2:]))

    def pooled(self, others: Sequence[Self]) -> PriorTimes:
        """
        Take the prior times the mean factor.

        Draws of the members could not be mixed, as their normalisers are not known.
        """
        factor = self.factor.pooled([other.factor for other in others])
        records = (one.trials_record for one in (self, *others))
        found = [record for record in records if record is not None]
        trials_record = found[0].pooled(found[1:]) if found else None
        rest = self.sampler, self.verbose, trials_record, self.proposal, self.record, self.masks
        return PriorTimes(self.prior, factor, *rest)

    def with_prior(self, prior: Prior) -> PriorTimes:
        """
        Take another prior for the same factor.

        Parameters
        ----------
        prior : Prior
            The other prior.

        Returns
        -------
        PriorTimes
            The posterior.
        """
        made = copy(self)
        made.prior, made.is_own_map = prior, False
        return made

    def score(self, theta: Array, x: Array, weights: Array, *, trials: bool = False) -> float:
        """Score the factor."""
        return self.factor.score(theta, x if trials else x[:, None], weights)


class PriorTimesAt(PosteriorAt):
    """
    Prior times factor at m observations.

    Parameters
    ----------
    posterior : PriorTimes
        Whose it is.
    x : ndarray of shape (m, trials, ...)
        The observations, for a proposal and the record.
    factor : OfTrials
        The factor at all their trials.
    """

    def __init__(self, posterior: PriorTimes, x: Array, factor: OfTrials) -> None:
        trials_record = posterior.trials_record if factor.n_trials > 1 else None
        super().__init__(posterior.prior, len(x), posterior.record, trials_record)
        self.posterior, self.x = posterior, x
        self.factor_at, self.factor = factor, posterior.factor

    def take(self, rows: Rows | slice) -> PriorTimesAt:
        """Take some of the observations."""
        return PriorTimesAt(self.posterior, self.x[rows], self.factor_at.take(rows))

    def log_factor(self, theta: Array, rows: Rows) -> Array:
        """
        Compute the logarithm of the factor, summed over trials.

        Parameters
        ----------
        theta : ndarray of shape (k, D)
            Parameters.
        rows : ndarray of int, of shape (k,)
            The observation of each.

        Returns
        -------
        ndarray of shape (k,)
            The logarithms.
        """
        return self.factor_at(self.factor.units(theta), rows)

    def evidence(
        self, generator: np.random.Generator, sampler: NestedSampling | None = None
    ) -> Evidence:
        """
        Estimate what prior times factor integrates to over theta.

        Parameters
        ----------
        generator : numpy.random.Generator
            Where the noise comes from.
        sampler : NestedSampling or None, default=None
            What integrates; None: importance sampling from a mixture fitted to chains.

        Returns
        -------
        Evidence
            The logarithms, one an observation.
        """
        m = self.n_observations
        if sampler is None:
            return estimate_evidence(self._target_of, m, generator)
        shape = (m, self._given_prior().n_features)
        verbose = self.posterior.verbose
        return Evidence(*sampler.log_evidence(self._target(), shape, generator, verbose=verbose))

    def _given_prior(self) -> Prior:
        """Give the prior, without which there are factors only."""
        if self.prior is None:
            raise ValueError("the posterior is prior times a factor, and there is no prior.")
        return self.prior

    def _log_prob(self, theta: Array, rows: Rows) -> Array:
        """Add the prior."""
        return self._given_prior().log_prob(theta) + self.log_factor(theta, rows)

    def _log_factor_on_grid(self, z: Array) -> Array:
        """Compute the logarithm of the factor at unbounded points (m, k, D), k an observation."""
        flat = z.reshape(-1, z.shape[-1])
        if self.posterior.is_own_map:
            u = self.factor.units_from_unbounded(flat)
        else:
            u = self.factor.units(self._given_prior().from_unbounded(flat))
        rows = np.arange(self.n_observations).repeat(z.shape[1])
        return self.factor_at(u, rows).reshape(z.shape[:2])

    def _target(self, proposal: PosteriorAt | None = None) -> Target:
        """Build what a sampler sees."""
        prior = self._given_prior()

        def select(i: int) -> Target:
            one = slice(i, i + 1)
            return self.take(one)._target(None if proposal is None else proposal.take(one))

        near = None if proposal is None else _Unbounded(proposal, prior)
        cost = self.factor_at.n_evaluations
        return Target(self._log_factor_on_grid, UnboundedPrior(prior), select, cost, near)

    def _target_of(self, rows: Rows) -> Target:
        """Build what a sampler sees of some observations."""
        return self.take(rows)._target()

    def _draw(self, n: int, generator: np.random.Generator, *, log_prob: bool) -> Draws:
        """Run the sampler."""
        z, statistics = self._run(n, generator)
        worth = np.minimum(statistics.ess, n)
        advice = _advice(self.posterior.sampler)
        statistics = ChainStatistics(statistics.r_hat, worth, statistics.chains, advice)
        return Draws(self._from_unbounded(z), None, statistics)

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
            The chains, without the warm-up; None if the sampler has none.
        """
        chains = self._run(n, generator)[1].chains
        return None if chains is None else self._from_unbounded(chains)

    def _run(self, n: int, generator: np.random.Generator) -> tuple[Array, ChainStatistics]:
        """Draw in the unbounded space, (m, n, D), and tell how well that went."""
        sampler, target = self.posterior.sampler, self._target()
        if not isinstance(sampler, Sampler):
            z = sampler(target, self._starts(target, _CHAINS, generator), n, generator)
            z = _checked(z, sampler, (self.n_observations, n, self._given_prior().n_features))
            each = z[:, None]
            return z, ChainStatistics(split_r_hat(each), effective_sample_size(each))
        n_chains = sampler.count_chains(n)
        if self.posterior.proposal is not None:
            target = self._target(self.posterior.proposal(self.x))
        if sampler.uses_starts:
            initial = self._starts(target, n_chains, generator)
        else:
            d = self._given_prior().n_features
            initial = np.zeros((self.n_observations, n_chains, d))
        return sampler.run(target, initial, n, generator, verbose=self.posterior.verbose)

    def _candidates(self, generator: np.random.Generator) -> Array:
        """Take good starts for chains; where few candidates of the prior are any good, draws."""
        starts = self._starts(self._target(), _CANDIDATES, generator)
        if min(len(np.unique(one[:, 0])) for one in starts) < _GOOD_STARTS:
            return self._draw(_CANDIDATES, generator, log_prob=False).theta
        return self._from_unbounded(starts)

    def _starts(self, target: Target, n_chains: int, generator: np.random.Generator) -> Array:
        """Resample candidates from the prior, ten times as many if there are few good ones."""
        m, n_evaluations = self.n_observations, self.factor_at.n_evaluations
        n = max(1_000, 10_000 // n_evaluations)
        starts = resample_reference(target, m, n_chains, n, generator)
        n_distinct = min(len(np.unique(one[:, 0])) for one in starts)
        affordable = 10 * n * m * n_evaluations <= _MOST_EVALUATIONS
        if n_distinct < min(_GOOD_STARTS, n_chains) and affordable:
            return resample_reference(target, m, n_chains, 10 * n, generator)
        return starts


class _Unbounded:
    """A normalised posterior in the unbounded space of a prior that may not be its own."""

    def __init__(self, posterior: PosteriorAt, prior: Prior) -> None:
        self.posterior, self.prior = posterior, prior

    def sample(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        """Draw points (m, n, D), NaN outside the support."""
        theta = self.posterior.sample(shape[1], generator).theta
        flat = theta.reshape(-1, theta.shape[2])
        z = np.where(self.prior.contains(flat)[:, None], self.prior.to_unbounded(flat), np.nan)
        return z.reshape(theta.shape)

    def log_prob(self, z: Array) -> Array:
        """Compute the log density: (m, n, D) -> (m, n)."""
        flat = z.reshape(-1, z.shape[2])
        theta = self.prior.from_unbounded(flat)
        rows = np.arange(len(z)).repeat(z.shape[1])
        log_q = self.posterior.log_prob(theta, rows)
        return (log_q - self.prior.log_abs_det_jacobian(theta, flat)).reshape(z.shape[:2])


def _advice(sampler: Callable[..., Array]) -> str:
    """Tell what to change where a sampler's draws are worth too few."""
    if isinstance(sampler, Sampler):
        return sampler.advise()
    return f"they come from your own sampler={sampler!r}: see sksbi.samplers for others"


def _checked(z: Array, sampler: Callable[..., Array], shape: tuple[int, ...]) -> Array:
    """Hold that a user's sampler gave draws."""
    try:
        z = np.asarray(z, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"sampler={sampler!r} must return an array of draws: {error}") from error
    if z.shape != shape or not np.isfinite(z).all():
        raise ValueError(
            f"sampler={sampler!r} must return finite draws of shape (m, n_samples, D) = {shape}, "
            f"got shape {z.shape}, {np.count_nonzero(~np.isfinite(z))} of them not finite."
        )
    return z
