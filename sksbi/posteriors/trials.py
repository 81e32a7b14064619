"""What looks at posteriors given many trials have in common: how much is looked at, and noise."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from sksbi.samplers.target import systematic
from sksbi.utils.types import Array

__all__ = [
    "FEWEST_POINTS",
    "MOST_CHANGE",
    "MOST_OBSERVATIONS",
    "NO_TRIALS",
    "ONE_TRIAL",
    "POINTS",
    "SIGNIFICANT",
    "looked_at",
    "squared_noise",
    "stand_ins",
]

POINTS, FEWEST_POINTS = 40, 8
MOST_CHANGE, SIGNIFICANT = 0.5, 1e-3
MOST_OBSERVATIONS = 100

NO_TRIALS = (
    "iid=True adds up what independent trials tell, which a density of theta given one x cannot "
    "do: take a ratio estimator such as NRE, or simulate all trials as one x, with "
    "sksbi.nn.DeepSet as the embedding."
)
ONE_TRIAL = (
    "iid=True adds up what independent trials of all parameters tell; given some of the parameters "
    "alone, trials are not independent: draw all parameters, and take columns of the draws, or "
    "simulate all trials as one x, with sksbi.nn.DeepSet as the embedding."
)


def stand_ins(posterior: Any, theta: Array, log_p: Array, cost: int) -> Array:
    """
    Make what serves as draws out of points with densities.

    A posterior that is wrong may be a spike on one point of a grid. So points are chosen by the
    density to the power T^(-1/2), which is wider by T^(1/4), and moved together by as much.

    Parameters
    ----------
    posterior : PriorTimesAt
        The posteriors.
    theta : ndarray of shape (k, D)
        The points, of one observation.
    log_p : ndarray of shape (k,)
        Their log-densities, finite.
    cost : int
        How many evaluations the look at them takes.

    Returns
    -------
    ndarray of shape (40, D) or (0, D)
        The draws; none where looking at them would cost more than the densities did.
    """
    n_trials = posterior.factor_at.n_trials
    if len(theta) < POINTS or len(theta) * n_trials < cost:
        return theta[:0]
    chosen = systematic(log_p[None] / n_trials**0.5, POINTS, np.random.default_rng(0))[0]
    z = posterior.prior.to_unbounded(theta[chosen])
    center = z.mean(axis=0)
    return posterior.prior.from_unbounded(center + (z - center) / n_trials**0.25)


def looked_at(theta: Array, prior: Any, n_trials: int) -> tuple[Array, Array, float]:
    """
    Choose some draws, and move them apart, about as far as draws given the root of T trials.

    Parameters
    ----------
    theta : ndarray of shape (k, D)
        Draws given T trials.
    prior : Prior
        Whose unbounded space they are moved in.
    n_trials : int
        T.

    Returns
    -------
    near : ndarray of shape (at most 40, D)
        Draws.
    apart : ndarray of the same shape
        The same, farther from their mean.
    factor : float
        By how much.
    """
    near = theta[np.linspace(0, len(theta) - 1, min(POINTS, len(theta))).astype(int)]
    z, factor = prior.to_unbounded(near), float(n_trials**0.25)
    center = z.mean(axis=0)
    return near, prior.from_unbounded(center + factor * (z - center)), factor


def squared_noise(covariance: Array, level: float) -> float:
    """
    Find what the squared length of a Gaussian vector exceeds with this probability.

    Parameters
    ----------
    covariance : ndarray of shape (k, k)
        Its covariance; its mean is zero.
    level : float
        The probability.

    Returns
    -------
    float
        The quantile of the gamma distribution of the same mean and variance.
    """
    mean, half_variance = np.trace(covariance), (covariance**2).sum()
    if mean <= 0:
        return 0.0
    return float(half_variance / mean * stats.chi2.isf(level, mean**2 / half_variance))
