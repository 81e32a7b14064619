"""
Highest-density regions, known by their share of draws.

The region at x that holds the share a of the posterior is where the density exceeds what it is at
a draw that n a of n draws exceed. The rank of a theta is the number of draws that are denser.
"""

from __future__ import annotations

import numpy as np
from tqdm.auto import tqdm

from sksbi.posteriors.base import PosteriorAt
from sksbi.utils.batches import batches
from sksbi.utils.types import Array, Rows
from sksbi.utils.validation import check_real
from sksbi.utils.warn import warn_user

__all__ = ["CALIBRATIONS", "conformal_rank", "density_ranks", "thresholds"]

_DRAWS_PER_BATCH = 100_000


def density_ranks(
    posterior: PosteriorAt,
    theta: Array,
    n_samples: int,
    generator: np.random.Generator,
    verbose: int = 0,
) -> Rows:
    """
    Count the draws that are denser than theta, one theta an observation.

    Parameters
    ----------
    posterior : PosteriorAt
        The posteriors of m observations.
    theta : ndarray of shape (m, D)
        Parameters.
    n_samples : int
        The number of draws for every observation.
    generator : numpy.random.Generator
        Where the noise comes from.
    verbose : int, default=0
        Whether to show a progress bar.

    Returns
    -------
    ndarray of int, of shape (m,)
        Ranks from 0 to ``n_samples``.
    """
    parts = batches(len(theta), _DRAWS_PER_BATCH // n_samples)
    ranks = np.empty(len(theta), dtype=np.int64)
    for part in tqdm(parts, desc="calibration", unit="batch", disable=not verbose):
        some = posterior.take(part)
        dense = some.sample_and_log_prob(n_samples, generator)[1]
        own = some.log_prob(theta[part], np.arange(some.n_observations))
        ranks[part] = (dense > own[:, None]).sum(axis=1)
    return ranks


def conformal_rank(scores: Rows, weights: Array, level: float, n_samples: int) -> int:
    """
    Find the rank up to which regions have to reach, to hold so many of new pairs.

    Parameters
    ----------
    scores : ndarray of int, of shape (n,)
        Ranks of pairs that the posterior was not fitted to, ascending.
    weights : ndarray of shape (n,)
        Their weights.
    level : float
        The wanted coverage.
    n_samples : int
        The number of draws that ranks were computed from.

    Returns
    -------
    int
        The rank; ``n_samples`` if nothing less will do.

    Raises
    ------
    ValueError, TypeError
        If ``level`` is not between 0 and 1.

    Warns
    -----
    UserWarning
        If there are too few pairs for such a level.
    """
    level = check_real(level, "level", high=1.0)
    shares = np.cumsum(weights) / (weights.sum() + weights.mean())
    place = np.searchsorted(shares, level - 1e-12)
    if place == len(shares):
        warn_user(
            f"level={level} needs at least {int(np.ceil(level / (1 - level)))} pairs set aside in "
            f"fit, got {len(shares)}: the region is all of the support.",
            UserWarning,
        )
        return n_samples
    return int(scores[place])


CALIBRATIONS = {"conformal": conformal_rank}


def thresholds(
    posterior: PosteriorAt, rank: int, n_samples: int, generator: np.random.Generator
) -> Array:
    """
    Find the density of the draw that so many others exceed, for every observation.

    Parameters
    ----------
    posterior : PosteriorAt
        The posteriors of m observations.
    rank : int
        How many draws are denser.
    n_samples : int
        The number of draws for every observation.
    generator : numpy.random.Generator
        Where the noise comes from.

    Returns
    -------
    ndarray of shape (m,)
        Log-densities; -inf where no draw is as thin.
    """
    m, place = posterior.n_observations, n_samples - 1 - rank
    if place < 0:
        return np.full(m, -np.inf)
    found = np.empty(m)
    for part in batches(m, _DRAWS_PER_BATCH // n_samples):
        dense = posterior.take(part).sample_and_log_prob(n_samples, generator)[1]
        found[part] = np.partition(dense, place, axis=1)[:, place]
    return found
