"""
Tests of accuracy with random points (TARP): coverage of balls around reference points.

The ball around a reference that reaches to theta holds a share of the draws. If the draws are those
of the exact posterior, and references do not depend on theta given x, the share is uniform; and if
it is uniform for every way of choosing references, the posterior is exact. No density is needed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sksbi.metrics.uniformity import rank_ecdf
from sksbi.tables.draws import check_batch, check_rows, check_same_columns
from sksbi.utils.random import check_generator
from sksbi.utils.types import Array, Draws, RandomState, Table

__all__ = ["tarp_coverage", "tarp_ranks"]


def tarp_ranks(
    draws: Draws, theta: Table, *, references: Table | None = None, random_state: RandomState = None
) -> NDArray[np.intp]:
    """
    Count the draws that are nearer to a reference point than theta is.

    Parameters
    ----------
    draws : array-like of shape (n, n_samples, D) or DataFrame
        Independent draws for n observations; a table as ``sample`` returns it for a batch.
    theta : array-like or DataFrame of shape (n, D)
        The parameters that the observations were simulated from.
    references : array-like or DataFrame of shape (n, D), default=None
        One reference point an observation, in theta's units. They may depend on x, and then find
        more, but not on theta. By default uniform in the box that theta spans.
    random_state : None, int, RandomState or Generator, default=None
        Where default references come from; breaks ties between distances.

    Returns
    -------
    ndarray of int, of shape (n,)
        The ranks, from 0 to n_samples.

    Raises
    ------
    TypeError
        If an entry is no real number.
    ValueError
        If shapes or names do not match, or an entry is not finite.

    Notes
    -----
    Distances are Euclidean after every parameter was divided by the range of theta. The default
    references depend on theta through that range, which matters below about 50 observations.

    Examples
    --------
    >>> from sksbi.metrics import tarp_ranks
    >>> draws = [[[0.1], [0.2], [0.9]], [[0.1], [0.2], [0.9]]]
    >>> tarp_ranks(draws, [[0.5], [1.0]], references=[[0.0], [0.0]]).tolist()
    [2, 3]
    """
    values, theta, names = check_batch(draws, theta)
    generator = check_generator(random_state)
    low, width = theta.min(axis=0), np.ptp(theta, axis=0)
    width = np.where(width > 0, width, 1.0)
    if references is None:
        points = low + width * generator.random(theta.shape)
    else:
        points, others = check_rows(references, "references", len(theta))
        check_same_columns(others, names, "references", "theta")
    if points.shape != theta.shape:
        raise ValueError(f"references must have shape {theta.shape}, got {points.shape}.")
    with np.errstate(over="ignore"):
        reach = (((theta - points) / width) ** 2).sum(axis=1)
        distances = (((values - points[:, None]) / width) ** 2).sum(axis=2)
    equal = (distances == reach[:, None]).sum(axis=1)
    return (distances < reach[:, None]).sum(axis=1) + generator.integers(equal + 1)


def tarp_coverage(
    draws: Draws, theta: Table, *, references: Table | None = None, random_state: RandomState = None
) -> tuple[Array, Array]:
    """
    Compute how often balls around reference points hold the true parameters, at every level.

    Around a reference the ball of level a holds the share a of the draws. Coverage below the level
    at high levels and above it at low ones means posteriors that are too narrow; the other way
    round, too wide; on one side everywhere, a bias.

    Parameters
    ----------
    draws : array-like of shape (n, n_samples, D) or DataFrame
        Independent draws for n observations; a table as ``sample`` returns it for a batch.
    theta : array-like or DataFrame of shape (n, D)
        The parameters that the observations were simulated from.
    references : array-like or DataFrame of shape (n, D), default=None
        One reference point an observation, in theta's units. They may depend on x, and then find
        more, such as the prior returned as posterior, but not on theta. By default uniform in the
        box that theta spans.
    random_state : None, int, RandomState or Generator, default=None
        Where default references come from; breaks ties between distances.

    Returns
    -------
    levels : ndarray of shape (k,)
        The levels, from 0 to 1.
    coverage : ndarray of shape (k,)
        The share of observations whose ball of that level holds theta.

    Raises
    ------
    TypeError
        If an entry is no real number.
    ValueError
        If shapes or names do not match, or an entry is not finite.

    See Also
    --------
    tarp_ranks : The ranks behind it, for :func:`uniformity_test`.

    References
    ----------
    .. [1] Sampling-Based Accuracy Testing of Posterior Estimators for General Inference (Lemos et
       al., 2023). https://arxiv.org/abs/2302.03026

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.metrics import tarp_coverage
    >>> rng = np.random.default_rng(0)
    >>> draws, theta = rng.normal(size=(2000, 99, 2)), rng.normal(size=(2000, 2))
    >>> levels, coverage = tarp_coverage(draws, theta, random_state=0)
    >>> bool(np.abs(coverage - levels).max() < 0.03)
    True
    """
    ranks = tarp_ranks(draws, theta, references=references, random_state=random_state)
    shape = np.shape(draws)
    return rank_ecdf(ranks, shape[1] if len(shape) == 3 else shape[0] // len(ranks))
