"""Where a prior's mass is, parameter by parameter, and where it ends."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
from scipy.stats import ks_2samp, kstest

from sksbi.priors.base import Prior
from sksbi.priors.marginals import MarginalPrior
from sksbi.utils.types import Array

__all__ = ["differences", "ends", "hold", "reach"]

_MILLIONTH, _TENTH = 4.753, 1.2816  # standard deviations of a normal distribution
_N_DRAWS, _MANY_DRAWS = 1_000, 5_000
_END, _OF_OUTERMOST = 1e-5, 1e-3
_FOUND: WeakKeyDictionary[Prior, tuple[Array, Array]] = WeakKeyDictionary()


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


def ends(prior: Prior) -> tuple[Array, Array]:
    """
    Find how near to its finite bounds no simulation tells one theta from another.

    That is within 1e-5 of the distance from a bound to the outer tenth of the parameter's mass, and
    within the outer millionth of it: for a uniform prior a millionth of its width.

    Parameters
    ----------
    prior : Prior
        The prior.

    Returns
    -------
    low : ndarray of shape (D,)
        What is below lies at the lower bound; -inf where there is none.
    high : ndarray of shape (D,)
        What is above lies at the upper bound; inf where there is none.
    """
    if prior not in _FOUND:
        support = np.stack(prior.support)
        near, tenth = _outer_quantiles(prior) if np.isfinite(support).any() else (support, support)
        with np.errstate(all="ignore"):
            inwards = np.minimum(np.abs(near - support), _END * np.abs(tenth - support))
            limits = support + np.array([[1.0], [-1.0]]) * inwards
        low, high = np.where(np.isfinite(support), limits, support)
        _FOUND[prior] = low, high
    return _FOUND[prior]


def _outer_quantiles(prior: Prior) -> tuple[Array, Array]:
    """Find the quantiles (2, D) of a millionth, or points still farther out, and of a tenth."""
    if isinstance(prior, MarginalPrior):
        z = np.array([[-_TENTH], [_TENTH]]) * np.ones(prior.n_features)
        return np.stack(reach(prior)), prior.from_unbounded(z)
    theta, support = prior.sample(_N_DRAWS, random_state=0), np.stack(prior.support)
    outer = np.stack([theta.min(axis=0), theta.max(axis=0)])
    with np.errstate(invalid="ignore"):
        near = support + _OF_OUTERMOST * (outer - support)
    return near, np.quantile(theta, [0.1, 0.9], axis=0)


def hold(prior: Prior, theta: Array) -> tuple[Array, Array]:
    """
    Move theta out of the ends of the prior, where a likelihood is as good as constant.

    What networks learn goes on there, in the prior's unbounded space, to infinity. With a constant
    likelihood, a posterior density changes there as the prior does.

    Parameters
    ----------
    prior : Prior
        The prior.
    theta : ndarray of shape (n, D)
        Parameters inside the prior's support.

    Returns
    -------
    held : ndarray of shape (n, D)
        The nearest parameters that are not in the ends; the same where the prior is zero there.
    gap : ndarray of shape (n,)
        How far the logarithm of the prior is above that at the nearest parameters.
    """
    held, gap = np.clip(theta, *ends(prior)), np.zeros(len(theta))
    moved = np.flatnonzero((held != theta).any(axis=1))
    if len(moved):
        rise = prior.log_prob(theta[moved]) - prior.log_prob(held[moved])
        lost = ~np.isfinite(rise)
        held[moved[lost]] = theta[moved[lost]]
        gap[moved] = np.where(lost, 0.0, rise)
    return held, gap
