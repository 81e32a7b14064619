r"""
Candidates that move to where the target is, for targets that are narrow and cost much.

Candidates from the reference are weighted, and the weights raised to a power so small that enough
of them count; to these a mixture of Student distributions is fitted, from which the next candidates
come, and so on: the candidates contract onto the target. All candidates z of the mixtures
q_1, ..., q_R, n_1, ..., n_R of them, are kept together, with weights

.. math::
    w(z) = p(z) \Big/ \sum_r \frac{n_r}{n} \, q_r(z),

so that an early mixture, which was too wide, covers what a later one might leave out. It ends when
the points were worth enough twice in turn: a round that finds what all before have missed lowers
that.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp
from tqdm.auto import tqdm

from sksbi.samplers._mixture import StudentMixture, fit_mixture
from sksbi.samplers.base import LogProb, checked
from sksbi.samplers.target import Target, check_weights, chunks, systematic
from sksbi.utils.types import Array

__all__ = ["contract"]

_FEWEST, _ENOUGH, _MOST_ROUNDS = 250, 5_000, 40
_COUNTING, _PER_COLUMN, _MOST_SHARE = 50, 10, 0.25
_POINTS_PER_FIT, _HALVINGS, _GOOD_ROUNDS = 500, 40, 2


def contract(
    target: Target,
    n_samples: int,
    most: int,
    generator: np.random.Generator,
    verbose: bool,
    number: int = 0,
) -> tuple[Array, Array]:
    """
    Find weighted points of one target, worth as many independent ones as are wanted.

    Parameters
    ----------
    target : Target
        The target, of one observation.
    n_samples : int
        How many independent draws the points should be worth.
    most : int
        The largest number of evaluations, but for the last round.
    generator : numpy.random.Generator
        Where the noise comes from.
    verbose : bool
        Whether a progress bar is shown.
    number : int, default=0
        Which target this is, for errors.

    Returns
    -------
    z : ndarray of shape (n, D)
        The points.
    log_weights : ndarray of shape (n,)
        The logs of their weights, up to a constant.

    Raises
    ------
    ValueError
        If no candidate has a finite ratio.
    """
    n = int(np.clip(n_samples // 2, _FEWEST, max(_ENOUGH, -(-most // _MOST_ROUNDS))))
    z = target.reference.sample((1, n), generator)[0]
    log_w = _in_chunks(checked(target.log_ratio), z)
    mixtures: list[StudentMixture] = []
    points, log_p, log_q = np.empty((0, z.shape[1])), np.empty(0), np.empty(0)
    n_good = 0
    with tqdm(total=most, desc="Candidates", disable=not verbose) as bar:
        bar.update(n)
        while n + len(points) < most and n_good < _GOOD_ROUNDS:
            check_weights(log_w[None], number)
            mixtures.append(_fit(z, log_w, generator))
            new = mixtures[-1].sample(n, generator)[0]
            # Old points meet the new mixture only, and new points all of them.
            before = np.logaddexp(log_q, _log_sum(mixtures[-1:], points))
            log_q = np.concatenate([before, _log_sum(mixtures, new)])
            log_p = np.concatenate([log_p, _log_density(target, new)])
            points = np.concatenate([points, new])
            z, log_w = points, log_p - log_q
            n_good = n_good + 1 if _effective(log_w) >= n_samples else 0
            bar.update(n)
        bar.total = bar.n
    check_weights(log_w[None], number)
    return z, log_w


def _in_chunks(function: LogProb, z: Array) -> Array:
    """Evaluate a function of points (1, n, D) at points (n, D), some at a time."""
    parts = [function(z[None, part])[0] for part in chunks(len(z), 1)]
    return np.concatenate([np.empty(0), *parts])


def _log_density(target: Target, z: Array) -> Array:
    """Evaluate the log density of a target."""
    with np.errstate(invalid="ignore"):
        return _in_chunks(checked(target.log_ratio), z) + _in_chunks(
            checked(target.reference.log_prob), z
        )


def _log_sum(mixtures: list[StudentMixture], z: Array) -> Array:
    """Evaluate the log of the sum of the mixtures' densities."""
    each = [_in_chunks(mixture.normalised_log_prob, z) for mixture in mixtures]
    return np.asarray(logsumexp(each, axis=0))


def _effective(log_w: Array) -> float:
    """Count the independent draws that weighted points are worth."""
    w = np.exp(log_w - log_w.max())
    return float(w.sum() ** 2 / (w**2).sum())


def _fit(z: Array, log_w: Array, generator: np.random.Generator) -> StudentMixture:
    """Fit a mixture to points by weight, raised to a power at which enough of them count."""
    D = z.shape[1]
    wanted = min(max(_COUNTING, _PER_COLUMN * (D + 1)), _MOST_SHARE * len(z))
    low, high = 0.0, 1.0
    log_w = np.where(np.isneginf(log_w), -np.inf, log_w - log_w.max())
    alive = np.isfinite(log_w)
    z, log_w = z[alive], log_w[alive]
    if _effective(log_w) < wanted:
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            enough = _effective(middle * log_w) >= wanted
            low, high = (middle, high) if enough else (low, middle)
        log_w = low * log_w
    chosen = systematic(log_w[None], _POINTS_PER_FIT, generator)[0]
    return fit_mixture(z[chosen][None], int(np.clip(16 // D, 1, 4)), generator)
