r"""
Proper scoring rules on draws: lower is better, and on average least for the exact posterior.

The continuous ranked probability score of one parameter, and the energy score of all together, are

.. math::
    S(q, \theta) = E |\theta' - \theta| - \tfrac12 E |\theta' - \theta''|

with independent theta', theta'' from q. Both expectations are estimated without bias, so that
scores from different numbers of draws can be compared.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sksbi.tables.draws import check_batch, check_scale
from sksbi.utils.types import Array, Draws, Table

__all__ = ["crps", "energy_score"]

_SHIFTS = 16


def crps(draws: Draws, theta: Table) -> Array:
    """
    Compute the continuous ranked probability score of every parameter.

    Parameters
    ----------
    draws : array-like of shape (n, n_samples, D) or DataFrame
        Draws for n observations, at least two each; a table as ``sample`` returns it for a batch.
    theta : array-like or DataFrame of shape (n, D)
        The parameters that the observations were simulated from.

    Returns
    -------
    ndarray of shape (n, D)
        The scores in theta's units, lower is better.

    Raises
    ------
    TypeError
        If an entry is no real number.
    ValueError
        If shapes or names do not match, or an entry is not finite.

    References
    ----------
    .. [1] Strictly Proper Scoring Rules, Prediction, and Estimation (Gneiting and Raftery, 2007).
       https://doi.org/10.1198/016214506000001437

    Examples
    --------
    >>> from sksbi.metrics import crps
    >>> crps([[[0.0], [1.0]]], [[0.5]]).tolist()
    [[0.0]]
    >>> crps([[[0.0], [1.0]]], [[3.0]]).tolist()
    [[2.0]]
    """
    values, theta, _ = check_batch(draws, theta, 2)
    n = values.shape[1]
    weights = (2 * np.arange(1, n + 1) - n - 1) / (n * (n - 1))
    spread = np.einsum("s,nsd->nd", weights, np.sort(values, axis=1))
    return np.abs(values - theta[:, None]).mean(axis=1) - spread


def energy_score(draws: Draws, theta: Table, *, scale: ArrayLike | None = None) -> Array:
    """
    Compute the energy score of the joint posterior.

    Parameters
    ----------
    draws : array-like of shape (n, n_samples, D) or DataFrame
        Draws for n observations, at least two each, in random order; a table as ``sample`` returns
        it for a batch.
    theta : array-like or DataFrame of shape (n, D)
        The parameters that the observations were simulated from.
    scale : array-like of shape (D,), default=None
        What the parameters are divided by before distances are taken, such as the prior's standard
        deviations; otherwise the parameter with the largest numbers outweighs the others. None
        divides by nothing.

    Returns
    -------
    ndarray of shape (n,)
        The scores, lower is better.

    Raises
    ------
    TypeError
        If an entry is no real number.
    ValueError
        If shapes or names do not match, an entry is not finite, or a scale not positive.

    Notes
    -----
    The mean distance between draws takes every draw and the 16 after it, not all pairs.

    References
    ----------
    .. [1] Strictly Proper Scoring Rules, Prediction, and Estimation (Gneiting and Raftery, 2007).
       https://doi.org/10.1198/016214506000001437

    Examples
    --------
    >>> from sksbi.metrics import energy_score
    >>> energy_score([[[0.0, 0.0], [0.0, 2.0]]], [[3.0, 1.0]]).round(3).tolist()
    [2.162]
    """
    values, truth, _ = check_batch(draws, theta, 2)
    width = check_scale(scale, truth.shape[1])
    values, truth = values / width, truth / width
    off = np.linalg.norm(values - truth[:, None], axis=2).mean(axis=1)
    shifts = range(1, min(_SHIFTS, values.shape[1] - 1) + 1)
    apart = [
        np.linalg.norm(values - np.roll(values, k, axis=1), axis=2).mean(axis=1) for k in shifts
    ]
    return off - 0.5 * np.mean(apart, axis=0)
