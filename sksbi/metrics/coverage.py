r"""
Coverage of highest-density regions, by the rank of theta's density among those of the draws.

The region of level a at x holds the densest part of the posterior with mass a. theta lies in it
when the posterior's mass that is denser than theta,

.. math::
    h(\theta, x) = \int q(\theta' \mid x) \, 1[q(\theta' \mid x) > q(\theta \mid x)] \, d\theta' ,

is at most a. Where q is exact, h is uniform and regions of level a hold theta with probability a.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from sksbi.metrics.uniformity import rank_ecdf
from sksbi.tables.draws import as_float
from sksbi.utils.random import check_generator
from sksbi.utils.settings import check_flag
from sksbi.utils.types import Array, RandomState

__all__ = ["expected_coverage", "hpd_levels", "hpd_ranks"]


def hpd_ranks(
    log_prob_draws: ArrayLike, log_prob_theta: ArrayLike, *, random_state: RandomState = 0
) -> NDArray[np.intp]:
    """
    Count the draws that are denser than the true parameters.

    Parameters
    ----------
    log_prob_draws : array-like of shape (n, n_samples)
        The log-densities of the draws at their observation, up to a constant an observation.
    log_prob_theta : array-like of shape (n,)
        Those of the parameters that the observations were simulated from, up to the same constants.
    random_state : None, int, RandomState or Generator, default=0
        Draws with exactly theta's density count as denser or not at random, so that ranks are
        uniform for densities with steps, too.

    Returns
    -------
    ndarray of int, of shape (n,)
        The ranks, from 0 to n_samples, uniform if the posterior is exact.

    Raises
    ------
    TypeError
        If an entry is no real number.
    ValueError
        If the shapes do not match, or an entry is NaN or +inf.

    Examples
    --------
    >>> from sksbi.metrics import hpd_ranks
    >>> hpd_ranks([[-1.0, -2.0, -3.0], [-1.0, -2.0, -3.0]], [-2.5, -9.0]).tolist()
    [2, 3]
    """
    draws, theta = _check_log_probs(log_prob_draws, log_prob_theta, "log_prob_draws")
    denser = (draws > theta[:, None]).sum(axis=1)
    equal = (draws == theta[:, None]).sum(axis=1)
    return denser + check_generator(random_state).integers(equal + 1)


def hpd_levels(
    log_prob_grid: ArrayLike, log_prob_theta: ArrayLike, *, random_state: RandomState = 0
) -> Array:
    """
    Compute the level of the smallest highest-density region that holds theta, on a grid.

    Parameters
    ----------
    log_prob_grid : array-like of shape (n, n_cells)
        The log-densities at the centres of cells of equal volume that cover the posterior, up to a
        constant an observation.
    log_prob_theta : array-like of shape (n,)
        Those of the true parameters, up to the same constants.
    random_state : None, int, RandomState or Generator, default=0
        Of cells with exactly theta's density a random share counts as denser.

    Returns
    -------
    ndarray of shape (n,)
        The masses of the cells that are denser than theta, in [0, 1].

    Raises
    ------
    TypeError
        If an entry is no real number.
    ValueError
        If the shapes do not match, an entry is NaN or +inf, or an observation has no mass.

    References
    ----------
    .. [1] A Trust Crisis In Simulation-Based Inference? Your Posterior Approximations Can Be
       Unfaithful (Hermans et al., 2021). https://arxiv.org/abs/2110.06581

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.metrics import hpd_levels
    >>> grid = np.linspace(-8, 8, 1601)
    >>> hpd_levels([-(grid**2) / 2], [-0.505]).round(2).tolist()  # one standard deviation
    [0.69]
    """
    return levels_on_grid(log_prob_grid, log_prob_theta, random_state, "log_prob_grid")


def levels_on_grid(
    log_prob_grid: ArrayLike, log_prob_theta: ArrayLike, random_state: RandomState, name: str
) -> Array:
    """Compute :func:`hpd_levels`, where the first argument has another name in errors."""
    grid, theta = _check_log_probs(log_prob_grid, log_prob_theta, name)
    empty = np.flatnonzero(np.isneginf(grid).all(axis=1))
    if len(empty):
        raise ValueError(
            f"{name} must be finite in some cell of every row, got none in row {empty[0]}."
        )
    mass, share = softmax(grid, axis=1), check_generator(random_state).random(len(theta))
    denser = (mass * (grid > theta[:, None])).sum(axis=1)
    equal = (mass * (grid == theta[:, None])).sum(axis=1)
    return np.minimum(denser + share * equal, 1.0)


def expected_coverage(
    log_prob_draws: ArrayLike,
    log_prob_theta: ArrayLike,
    *,
    grid: bool = False,
    random_state: RandomState = 0,
) -> tuple[Array, Array]:
    """
    Compute how often highest-density regions hold the true parameters, at every level.

    Coverage below the level means regions that are too small, an overconfident posterior; above it
    a conservative one. It is an average over x; the prior itself, returned as posterior, passes.

    Parameters
    ----------
    log_prob_draws : array-like of shape (n, n_samples)
        The log-densities of draws, or with ``grid=True`` of cells, for n observations: up to a
        constant an observation, so that prior times ratio will do.
    log_prob_theta : array-like of shape (n,)
        Those of the parameters that the observations were simulated from.
    grid : bool, default=False
        Whether the first are log-densities at the centres of cells of equal volume that cover the
        posterior, which are then weighted by their density; otherwise they are those of draws.
    random_state : None, int, RandomState or Generator, default=0
        Breaks ties between densities.

    Returns
    -------
    levels : ndarray of shape (k,)
        The levels, from 0 to 1.
    coverage : ndarray of shape (k,)
        The share of observations whose region of that level holds theta.

    Raises
    ------
    TypeError
        If an entry is no real number.
    ValueError
        If the shapes do not match, or an entry is NaN or +inf.

    See Also
    --------
    hpd_ranks : The ranks behind it, for :func:`uniformity_test`.
    ecdf_band : What chance does to it.

    References
    ----------
    .. [1] A Trust Crisis In Simulation-Based Inference? Your Posterior Approximations Can Be
       Unfaithful (Hermans et al., 2021). https://arxiv.org/abs/2110.06581

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.metrics import expected_coverage
    >>> rng = np.random.default_rng(0)
    >>> draws, theta = rng.normal(size=(2000, 99)), rng.normal(size=2000)
    >>> levels, coverage = expected_coverage(-(draws**2), -(theta**2))
    >>> bool(np.abs(coverage - levels).max() < 0.03)
    True
    """
    if check_flag(grid, "grid"):
        levels = levels_on_grid(log_prob_draws, log_prob_theta, random_state, "log_prob_draws")
        return rank_ecdf(levels, None)
    ranks = hpd_ranks(log_prob_draws, log_prob_theta, random_state=random_state)
    return rank_ecdf(ranks, np.shape(log_prob_draws)[1])


def _check_log_probs(draws: ArrayLike, theta: ArrayLike, name: str) -> tuple[Array, Array]:
    """Check log-densities: -inf is one, NaN and +inf are none."""
    draws, theta = as_float(draws, name), as_float(theta, "log_prob_theta")
    if draws.ndim != 2 or 0 in draws.shape or theta.shape != draws.shape[:1]:
        raise ValueError(
            f"{name} must have shape (n, n_samples) and log_prob_theta (n,), got "
            f"{draws.shape} and {theta.shape}."
        )
    for values, argument in ((draws, name), (theta, "log_prob_theta")):
        bad = np.argwhere(np.isnan(values) | np.isposinf(values))
        if len(bad):
            raise ValueError(
                f"{argument} must hold numbers or -inf, got {values[tuple(bad[0])]} in row "
                f"{bad[0][0]}."
            )
    return draws, theta
