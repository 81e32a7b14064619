r"""
By how much a fit to so many pairs is likely to be wrong over many trials.

The posterior of an exact likelihood or ratio given T trials has the covariance C, and the prior P,
both in the prior's unbounded space. Of D parameters trials tell

.. math::
    D_T = D - \operatorname{tr} C P^{-1},

each to one of its standard deviations, as T trials do. A model of the simulator that is right and
has D parameters itself knows these from n pairs no better than n trials would, so that the mean of
the posterior is off by sqrt(D_T T / n) of its standard deviations at least. A network learns a
function of theta rather than D numbers, and is off by more: fits of NLE and NRE to eight problems
with exact answers were off by three times that at the median, by 1.5 times in one of ten, and in
another by 5 times (NLE) or 12 (NRE; ``tests/benchmarks/trials.py``).

This is no test. It needs nothing but the posterior's draws, and tells what no look at n pairs can,
as their own noise is as large.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sksbi.exceptions import TrainingWarning
from sksbi.posteriors.base import Doubt
from sksbi.posteriors.trials import FEWEST_POINTS, MOST_CHANGE
from sksbi.utils.types import Array, Mask

__all__ = ["expected_doubts", "expected_errors"]

# Network over the least possible: the median of fits.
_TYPICAL = 3.0
_PRIOR_DRAWS = 1_000


def expected_errors(posterior: Any, theta: Sequence[Array], n_learnt: float) -> Array:
    """
    Estimate by how many of their standard deviations posteriors are likely to be off.

    Parameters
    ----------
    posterior : PriorTimesAt
        The posteriors of m observations, each of as many trials.
    theta : sequence of m ndarrays of shape (k, D)
        Draws from them.
    n_learnt : float
        From how many pairs the fit learnt.

    Returns
    -------
    ndarray of shape (m,)
        Zero for less than 8 draws, and all zero where none can be above half a one.
    """
    scale = _TYPICAL * np.sqrt(posterior.factor_at.n_trials / max(n_learnt, 1.0))
    error = np.zeros(len(theta))
    if scale * np.sqrt(posterior.prior.n_features) <= MOST_CHANGE:
        return error
    prior = posterior.prior
    spread = np.cov(prior.to_unbounded(prior.sample(_PRIOR_DRAWS, 0)), rowvar=False)
    inverse = np.linalg.pinv(np.atleast_2d(spread), hermitian=True)
    for i, one in enumerate(theta):
        if len(one) >= FEWEST_POINTS:
            left = np.atleast_2d(np.cov(prior.to_unbounded(one), rowvar=False))
            told = prior.n_features - np.sum(left * inverse)
            error[i] = scale * np.sqrt(np.clip(told, 0.0, None))
    return error


def expected_doubts(
    posterior: Any, theta: Sequence[Array], n_learnt: float | None, blamed: Mask
) -> list[Doubt]:
    """
    Tell of observations of too many trials for the simulations.

    Parameters
    ----------
    posterior : PriorTimesAt
        The posteriors of m observations, each of as many trials.
    theta : sequence of m ndarrays of shape (k, D)
        Draws from them.
    n_learnt : float or None
        From how many pairs the fit learnt; None if that is not known.
    blamed : ndarray of bool, of shape (m,)
        Of which a shift was found; there is no need to expect one.

    Returns
    -------
    list of Doubt
        One or none.
    """
    if n_learnt is None:
        return []
    error = np.where(blamed, 0.0, expected_errors(posterior, theta, n_learnt))
    rows = np.flatnonzero(error > MOST_CHANGE)
    if not len(rows):
        return []
    n_trials, up_to = posterior.factor_at.n_trials, "" if len(theta) == 1 else "up to "
    text = (
        f"{n_trials} trials of {{who}} are many for what was learnt from {n_learnt:.0f} "
        "simulations: what these leave open adds up, and the posterior is likely to be off by "
        f"{up_to}about {error.max():.2g} of its standard deviations. Give more simulations, or "
        "simulate all trials as one x for NPE, with sksbi.nn.DeepSet."
    )
    return [Doubt(TrainingWarning, text, rows, len(theta))]
