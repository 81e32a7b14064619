"""Where a prior's mass is, parameter by parameter."""

from __future__ import annotations

import numpy as np
from scipy.stats import ks_2samp, kstest

from sksbi.priors.base import Prior
from sksbi.priors.marginals import MarginalPrior
from sksbi.utils.types import Array

__all__ = ["differences", "reach"]

_MILLIONTH = 4.753  # standard deviations of a normal distribution
_N_DRAWS, _MANY_DRAWS = 1_000, 5_000


def differences(theta: Array, prior: Prior) -> tuple[Array, Array]:
    """
    Compare the distribution of each parameter with the prior's, by Kolmogorov and Smirnov.

    Parameters
    ----------
    theta : ndarray of shape (n, D)
        The parameters.
    prior : Prior
        The prior.

    Returns
    -------
    distance : ndarray of shape (D,)
        The largest difference of the distribution functions.
    p_value : ndarray of shape (D,)
        How likely that is for draws of the prior.
    """
    if isinstance(prior, MarginalPrior):
        tests = [kstest(z, "norm") for z in prior.to_unbounded(theta).T]
    else:
        draws = prior.sample(_MANY_DRAWS, random_state=0)
        tests = [ks_2samp(a, b, method="asymp") for a, b in zip(theta.T, draws.T, strict=True)]
    return np.array([t.statistic for t in tests]), np.array([t.pvalue for t in tests])


def reach(prior: Prior) -> tuple[Array, Array]:
    """
    Find a box that holds next to all of the mass of every parameter.

    Parameters
    ----------
    prior : Prior
        The prior.

    Returns
    -------
    low : ndarray of shape (D,)
        The lower quantiles of a millionth of independent marginals; of any other prior the least of
        a thousand draws, less their range.
    high : ndarray of shape (D,)
        The upper ones, likewise.
    """
    if isinstance(prior, MarginalPrior):
        z = np.full((1, prior.n_features), _MILLIONTH)
        return prior.from_unbounded(-z)[0], prior.from_unbounded(z)[0]
    theta = prior.sample(_N_DRAWS, random_state=0)
    width = np.ptp(theta, axis=0)
    return theta.min(axis=0) - width, theta.max(axis=0) + width
