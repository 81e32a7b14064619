"""Where a prior's mass is, parameter by parameter."""

from __future__ import annotations

import numpy as np

from sksbi.priors.base import Prior
from sksbi.priors.marginals import MarginalPrior
from sksbi.utils.types import Array

__all__ = ["reach"]

_MILLIONTH = 4.753  # standard deviations of a normal distribution
_N_DRAWS = 1_000


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
