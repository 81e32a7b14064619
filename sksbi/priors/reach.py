"""Where a prior's mass is, parameter by parameter, and where it ends."""

from __future__ import annotations

from copy import copy

import numpy as np
from scipy.stats import ks_2samp, kstest

from sksbi.priors.base import Prior
from sksbi.priors.marginals import has_quantile_map
from sksbi.utils.types import Array

__all__ = ["differences", "ends", "off_bounds", "reach", "unsampled"]

_MILLIONTH, _TENTH = 4.753, 1.2816  # standard deviations of a normal distribution
_N_DRAWS, _MANY_DRAWS = 1_000, 5_000
_END, _OF_OUTERMOST = 1e-5, 1e-3


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
        How likely that is for draws of the prior; 1 where they come from somewhere else anyway.
    """
    if not prior.is_sampled:
        return np.zeros(prior.n_features), np.ones(prior.n_features)
    if has_quantile_map(prior):
        tests = [kstest(z, "norm") for z in prior.to_unbounded(theta).T]
    else:
        draws = prior.sample(_MANY_DRAWS, random_state=0)
        tests = [ks_2samp(a, b, method="asymp") for a, b in zip(theta.T, draws.T, strict=True)]
    return np.array([t.statistic for t in tests]), np.array([t.pvalue for t in tests])


def unsampled(prior: Prior) -> Prior:
    """
    Copy a prior, and note that parameters are drawn from another distribution on purpose.

    Parameters
    ----------
    prior : Prior
        The prior.

    Returns
    -------
    Prior
        The same density; ``is_sampled`` is False.
    """
    made = copy(prior)
    made.is_sampled = False
    return made


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
    if has_quantile_map(prior):
        z = np.full((1, prior.n_features), _MILLIONTH)
        return prior.from_unbounded(-z)[0], prior.from_unbounded(z)[0]
    theta = prior.sample(_N_DRAWS, random_state=0)
    width = np.ptp(theta, axis=0)
    return theta.min(axis=0) - width, theta.max(axis=0) + width


def off_bounds(prior: Prior, theta: Array) -> Array:
    """
    Move parameters on a bound, or beyond, inwards, where rounding may have taken them from.

    No draw of a density lies there; numbers that were rounded do, and the nearest float inside
    would be 37 deviations out in the prior's unbounded space. They come to lie 1e-5 of the distance
    to the outer tenth of the parameter's mass away from the bound, or at the outer millionth if
    that is nearer.

    Parameters
    ----------
    prior : Prior
        The prior.
    theta : ndarray of shape (n, D)
        Parameters.

    Returns
    -------
    ndarray of shape (n, D)
        The parameters, a copy if any was moved.
    """
    low, high = prior.support
    values = np.asarray(theta)
    below, above = np.isfinite(low) & (values <= low), np.isfinite(high) & (values >= high)
    if not (below | above).any():
        return theta
    first, last = ends(prior)
    return np.where(below, first, np.where(above, last, values))


def ends(prior: Prior) -> Array:
    """
    Find where the ends of a prior begin, next to its bounds.

    Parameters
    ----------
    prior : Prior
        The prior.

    Returns
    -------
    ndarray of shape (2, D)
        The parameters at the lower and at the upper end; infinite where there is no bound.
    """
    support = np.stack(prior.support)
    if not np.isfinite(support).any():
        return support
    near, tenth = _outer_quantiles(prior)
    with np.errstate(all="ignore"):
        inwards = np.minimum(np.abs(near - support), _END * np.abs(tenth - support))
        limits = support + np.array([[1.0], [-1.0]]) * inwards
    # Where floats are coarser than that, the nearest one inside is meant.
    return np.where(np.isfinite(support), np.clip(limits, *prior._inside), support)


def _outer_quantiles(prior: Prior) -> tuple[Array, Array]:
    """Find the quantiles (2, D) of a millionth, or points still farther out, and of a tenth."""
    if has_quantile_map(prior):
        z = np.array([[-_TENTH], [_TENTH]]) * np.ones(prior.n_features)
        return np.stack(reach(prior)), prior.from_unbounded(z)
    theta, support = prior.sample(_N_DRAWS, random_state=0), np.stack(prior.support)
    outer = np.stack([theta.min(axis=0), theta.max(axis=0)])
    with np.errstate(invalid="ignore"):
        near = support + _OF_OUTERMOST * (outer - support)
    return near, np.quantile(theta, [0.1, 0.9], axis=0)
