r"""
The evidence: the constant that makes prior times a factor a density.

.. math::
    Z(x) = \int p(z) \, f(z, x) \, dz
         \approx \frac{1}{n} \sum_{i=1}^n w(z_i), \quad w = \frac{p f}{q}, \quad z_i \sim q,

in the prior's unbounded space. The proposal q is a mixture of Student distributions, fitted to one
half of short Markov chains, and the prior to a share of a tenth, so that no weight exceeds ten
times the factor. It is enough that some of the chains are in every mode, converged or not: the mean
of the weights has no bias. Its logarithm has one, about minus half of 1 / ess - 1 / n, where ess is
the effective number of points, so densities that are divided by it are flattered by as much: by
less than 0.0025 at an ess of 200, below which there is no answer.

Weights alone cannot tell of mass that no point has met. The chains of the other half can: over the
posterior, the mean of w / Z is n / ess, and the smaller ess of the two counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy.special import logsumexp

from sksbi.samplers import MetropolisHastings, Target, resample_reference
from sksbi.samplers._mixture import StudentMixture, fit_mixture
from sksbi.samplers.base import checked
from sksbi.samplers.target import chunks
from sksbi.utils.batches import batches
from sksbi.utils.types import Array, Rows

__all__ = ["Evidence", "estimate_evidence"]

_FEWEST_EFFECTIVE, _ENOUGH = 200, 400
_BLOCK, _CHAINS, _CANDIDATES, _GOOD_STARTS = 100, 100, 1_000, 50
_POINTS, _WARMUP, _KEPT, _THIN = 2_000, 24, 4, 2
_PRIOR_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class Evidence:
    """
    The logarithms of the evidence of m observations.

    Parameters
    ----------
    log_z : ndarray of shape (m,)
        The logarithms; NaN where the effective number is below 200.
    effective : ndarray of shape (m,)
        The effective numbers of points that they were computed from.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.posteriors.evidence import Evidence
    >>> Evidence(np.zeros(2), np.full(2, 900.0)).effective
    array([900., 900.])
    """

    log_z: Array
    effective: Array


def estimate_evidence(
    target_of: Callable[[Rows], Target], m: int, generator: np.random.Generator
) -> Evidence:
    """
    Estimate the evidence by importance sampling from a mixture fitted to chains.

    Where the points are worth less than 400, the chains go on for twice as long, and twice as many
    points are drawn from what is fitted to them; three times at most. The best answer is kept.

    Parameters
    ----------
    target_of : callable
        Gives the targets of some of the observations, given their numbers.
    m : int
        The number of observations.
    generator : numpy.random.Generator
        Where the noise comes from.

    Returns
    -------
    Evidence
        The logarithms, and what they are worth.

    Raises
    ------
    ValueError
        If for some observation the factor is zero wherever the prior has draws.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.posteriors.evidence import estimate_evidence
    >>> from sksbi.samplers import Target
    >>> class Normal:
    ...     def sample(self, shape, generator):
    ...         return generator.standard_normal((*shape, 1))
    ...     def log_prob(self, z):
    ...         return -0.5 * (z[..., 0] ** 2 + np.log(2 * np.pi))
    >>> target = Target(lambda z: 2 * z[..., 0], Normal())  # the mean of exp(2 z) is exp(2)
    >>> estimate_evidence(lambda rows: target, 1, np.random.default_rng(0)).log_z.round(1)
    array([2.])
    """
    blocks = [np.arange(part.start, part.stop) for part in batches(m, _BLOCK)]
    found = [_estimate_block(target_of, rows, generator) for rows in blocks]
    effective = np.concatenate([one.effective for one in found])
    log_z = np.concatenate([one.log_z for one in found])
    return Evidence(np.where(effective < _FEWEST_EFFECTIVE, np.nan, log_z), effective)


def _estimate_block(
    target_of: Callable[[Rows], Target], rows: Rows, generator: np.random.Generator
) -> Evidence:
    """Estimate for some observations, and again where that was worth little."""
    log_z, effective = np.full(len(rows), np.nan), np.zeros(len(rows))
    left, starts = np.arange(len(rows)), _starts(target_of, rows, generator)
    for longer in (1, 2, 4, 8):
        target = target_of(rows[left])
        chains = _run_chains(target, starts, longer, generator)
        found = _weigh(target, chains, longer * _POINTS, generator)
        better = found.effective > effective[left]
        log_z[left[better]] = found.log_z[better]
        effective[left[better]] = found.effective[better]
        poor = effective[left] < _ENOUGH
        if not poor.any():
            break
        left, starts = left[poor], chains[poor, :, -1]
    return Evidence(log_z, effective)


def _starts(
    target_of: Callable[[Rows], Target], rows: Rows, generator: np.random.Generator
) -> Array:
    """Resample candidates from the prior, ten times as many where few are any good."""
    n = _CANDIDATES
    starts = resample_reference(target_of(rows), len(rows), _CHAINS, n, generator)
    poor = np.array([len(np.unique(one[:, 0])) < _GOOD_STARTS for one in starts])
    if poor.any():
        target, m = target_of(rows[poor]), int(poor.sum())
        starts[poor] = resample_reference(target, m, _CHAINS, 10 * n, generator)
    return starts


def _run_chains(
    target: Target, starts: Array, longer: int, generator: np.random.Generator
) -> Array:
    """Run chains too short for draws, but long enough to learn where and how wide the mass is."""
    sampler = MetropolisHastings(_CHAINS, longer * _WARMUP, _THIN, proposal="differential")
    statistics = sampler.run(target, starts, longer * _KEPT * _CHAINS, generator)[1]
    return cast("Array", statistics.chains)


def _weigh(target: Target, chains: Array, n: int, generator: np.random.Generator) -> Evidence:
    """Fit to half of the chains, draw points, and hold their weights against the other half."""
    m, _, _, d = chains.shape
    fitted, others = (chains[:, half::2].reshape(m, -1, d) for half in (0, 1))
    mixture = fit_mixture(fitted, int(np.clip(16 // d, 1, 8)), generator)
    n_prior = int(_PRIOR_SHARE * n)
    points = [target.reference.sample((m, n_prior), generator)]
    points.append(mixture.sample(n - n_prior, generator))
    log_w = _log_weights(target, mixture, np.concatenate(points, axis=1))
    log_sum = logsumexp(log_w, axis=1)
    log_z = log_sum - np.log(n)
    # Over the posterior the mean of w / Z is n / ess, too, and sees what no point has met.
    elsewhere = logsumexp(_log_weights(target, mixture, others), axis=1) - np.log(others.shape[1])
    log_ess = np.minimum(2 * log_sum - logsumexp(2 * log_w, axis=1), np.log(n) + log_z - elsewhere)
    return Evidence(log_z, np.nan_to_num(np.exp(log_ess), nan=0.0))


def _log_weights(target: Target, mixture: StudentMixture, z: Array) -> Array:
    """Compute log w at points (m, n, D)."""
    log_ratio, log_prior = checked(target.log_ratio), checked(target.reference.log_prob)
    parts = []
    for part in chunks(z.shape[1], len(z)):
        some = z[:, part]
        log_p, log_f = log_prior(some), log_ratio(some)
        log_t = mixture.normalised_log_prob(some)
        log_q = np.logaddexp(np.log(_PRIOR_SHARE) + log_p, np.log1p(-_PRIOR_SHARE) + log_t)
        parts.append(log_p + log_f - log_q)
    return np.concatenate(parts, axis=1)
