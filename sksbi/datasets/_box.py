"""
Uniform priors on a box, and normal distributions cut to it.

The latter are the exact posterior of a Gaussian mean under the former.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special, stats

__all__ = ["box_prior", "draw_truncated_normal", "log_box_mass"]


def box_prior(dimension: int, bound: float) -> dict[str, Any]:
    """
    Build independent uniform priors on [-bound, bound], named theta_1, theta_2 and so on.

    Parameters
    ----------
    dimension : int
        Number of parameters.
    bound : float
        Half the width of the box.

    Returns
    -------
    dict of frozen scipy.stats distributions
        The prior.
    """
    return {f"theta_{i + 1}": stats.uniform(-bound, 2 * bound) for i in range(dimension)}


def draw_truncated_normal(
    loc: np.ndarray, scale: np.ndarray, bound: float, rng: np.random.Generator
) -> np.ndarray:
    """
    Draw from normal distributions cut to [-bound, bound], exactly in the tails too.

    Parameters
    ----------
    loc, scale : ndarray of shape (n, D)
        Means and standard deviations before the cut.
    bound : float
        Half the width of the box.
    rng : numpy.random.Generator
        Source of the draws.

    Returns
    -------
    ndarray of shape (n, D)
        The draws, all inside the box.
    """
    low, high = (-bound - loc) / scale, (bound - loc) / scale
    draws = stats.truncnorm.rvs(low, high, loc=loc, scale=scale, random_state=rng)
    return np.clip(draws, -bound, bound)


def log_box_mass(loc: np.ndarray, scale: float, bound: float) -> float:
    """
    Log of the mass that independent normal distributions have inside [-bound, bound]^D.

    Parameters
    ----------
    loc : ndarray of shape (D,)
        The means.
    scale : float
        The standard deviation of every component.
    bound : float
        Half the width of the box.

    Returns
    -------
    float
        The log mass, finite also where the mass itself underflows.
    """
    # By symmetry the mean may lie on the right: then both ends lie in the accurate left tail.
    near, far = (bound - np.abs(loc)) / scale, (-bound - np.abs(loc)) / scale
    log_near, log_far = special.log_ndtr(near), special.log_ndtr(far)
    return float(np.sum(log_near + np.log1p(-np.exp(log_far - log_near))))
