"""Boxes of a prior around draws: where to look next, and how far a fit should see."""

from __future__ import annotations

import numpy as np

from sksbi.priors.base import Prior
from sksbi.priors.marginals import has_quantile_map
from sksbi.utils.types import Array

__all__ = ["FAR", "box_around", "seen_from"]

FAR = 6.0  # standard deviations, beyond which the prior ends
_NEAR = 0.1  # of the prior's range: smaller posteriors are looked at from nearby


def box_around(prior: Prior, theta: Array, margin: float) -> tuple[Array, Array]:
    """
    Find the box of parameters, with a margin.

    Parameters
    ----------
    prior : Prior
        The prior, in whose scores independent parameters are measured; others in their own units.
    theta : ndarray of shape (n, D)
        The parameters, inside its support.
    margin : float
        What is added on either side, as a multiple of the width.

    Returns
    -------
    low : ndarray of shape (D,)
        The lower ends, inside the support; its bounds where the margin reaches six deviations.
    high : ndarray of shape (D,)
        The upper ends, likewise.
    """
    support = prior.support
    if not has_quantile_map(prior):
        low, high = theta.min(axis=0), theta.max(axis=0)
        width = margin * (high - low)
        return np.maximum(low - width, support[0]), np.minimum(high + width, support[1])
    z = np.clip(prior.to_unbounded(theta), -FAR, FAR)
    low, high = z.min(axis=0), z.max(axis=0)
    width = margin * (high - low)
    ends = prior.from_unbounded(np.stack([low - width, high + width]))
    return (
        np.where(low - width <= -FAR, support[0], ends[0]),
        np.where(high + width >= FAR, support[1], ends[1]),
    )


def seen_from(prior: Prior, theta: Array, margin: float) -> Prior:
    """
    Cut a prior to a wide box around parameters, so that its map shows them at their own scale.

    Parameters
    ----------
    prior : Prior
        The prior.
    theta : ndarray of shape (n, D)
        The parameters.
    margin : float
        As of `box_around`.

    Returns
    -------
    Prior
        The prior on the box. One of dependent parameters stays as it is, with the map that it
        brings, unless the box is a tenth of its range or less for one of them.
    """
    low, high = box_around(prior, theta, margin)
    if not has_quantile_map(prior):
        drawn = prior.sample(1_000, random_state=0)
        if np.all(high - low > _NEAR * np.ptp(drawn, axis=0)):
            return prior
    try:
        return prior.truncated(low, high)
    except ValueError:  # too small to be drawn from by rejection
        return prior
