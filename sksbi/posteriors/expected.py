r"""
By how much a fit to so many pairs is likely to be wrong over many trials.

The posterior of an exact likelihood or ratio given T trials has the covariance C, and the prior P,
both in the prior's unbounded space. Of D parameters trials tell

.. math::
    D_T = D - \operatorname{tr} C P^{-1},

each to one of its standard deviations, as T trials do. A model of the simulator that is right and
has D parameters itself knows these from n pairs no better than n trials would, so that the mean of
the posterior is off by sqrt(D_T T / n) of its standard deviations at least. A network learns a
function of theta rather than D numbers, from pairs about it, of which there are fewer where the
prior's density is lower; at z of its standard deviations from its mean, of the parameter for which
that is most,

.. math::
    2 \sqrt{D_T T / n} \, e^{z^2 / 4}

is about the root mean square of the error. Fits of NLE and NRE to eight problems with exact answers
(``tests/benchmarks/trials.py``) were off by 0.7 and 0.8 times that at the median, and by 1.8 and
2.6 times in one of ten. Of posteriors that were off by more than one standard deviation 98% (NLE)
and 77% (NRE) are told, of those off by less than a quarter 7 and 8%.

This is no test. It needs nothing but the posterior's draws, and tells what no look at n pairs can,
as their own noise is as large.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sksbi.posteriors.doubt import Doubt, doubts_above
from sksbi.posteriors.trials import FEWEST_POINTS, MOST_CHANGE
from sksbi.utils.types import Array, Mask

__all__ = ["expected_doubts", "expected_errors"]

_TYPICAL = 2.0
_PRIOR_DRAWS, _MOST_DRAWS = 1_000, 1_000


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
        Root mean squares; zero for less than 8 draws.
    """
    prior, error = posterior.prior, np.zeros(len(theta))
    z = prior.to_unbounded(prior.sample(_PRIOR_DRAWS, 0))
    center, spread = z.mean(axis=0), np.atleast_2d(np.cov(z, rowvar=False))
    inverse = np.linalg.pinv(spread, hermitian=True)
    for i, one in enumerate(theta):
        if len(one) < FEWEST_POINTS:
            continue
        drawn = prior.to_unbounded(one[:: -(-len(one) // _MOST_DRAWS)])
        left = np.atleast_2d(np.cov(drawn, rowvar=False))
        told = np.clip(prior.n_features - np.sum(left * inverse), 0.0, None)
        far = np.max((drawn.mean(axis=0) - center) ** 2 / np.diag(spread))
        about = n_learnt / np.exp(min(far / 2, np.log(max(n_learnt, 1.0))))
        error[i] = _TYPICAL * np.sqrt(told * posterior.factor_at.n_trials / about)
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
    text = (
        f"{posterior.factor_at.n_trials} trials of {{who}} are many for what was learnt from "
        f"{n_learnt:.0f} simulations: what these leave open adds up, and the posterior is likely "
        "to be off by {size} of its standard deviations or so. Give more simulations, or simulate "
        "all trials as one x for NPE, with sksbi.nn.DeepSet."
    )
    return doubts_above(error, text, MOST_CHANGE)
