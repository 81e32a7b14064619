"""Maximum mean discrepancy: how far two sets of draws are apart in the means of a kernel."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from sksbi.tables.draws import check_draws, check_same_columns
from sksbi.utils.spread import standard_deviation
from sksbi.utils.types import Array, Table
from sksbi.utils.validation import check_real

__all__ = ["gaussian_kernel", "median_distance", "mmd_score"]

_MOST_FOR_MEDIAN = 1_000
_BLOCK = 1_000


def mmd_score(draws: Table, reference: Table, *, bandwidth: float | None = None) -> float:
    """
    Estimate the squared maximum mean discrepancy between draws and reference draws.

    The kernel is Gaussian, exp(-d^2 / (2 h^2)). For a given bandwidth the estimate is unbiased, so
    it scatters around 0, below it too, where the distributions are equal; it is at most 2.

    Parameters
    ----------
    draws : array-like or DataFrame of shape (n, D)
        The draws to judge, at least two.
    reference : array-like or DataFrame of shape (n_reference, D)
        Draws of the true posterior, at least two. Both are scaled by its standard deviations.
    bandwidth : float, default=None
        The width h of the kernel, in these units; None takes the median distance between draws of
        the reference that differ.

    Returns
    -------
    float
        The estimate; lower is better.

    Raises
    ------
    TypeError
        If an entry is no real number.
    ValueError
        If the tables do not match, an entry is not finite, or the bandwidth is not positive.

    References
    ----------
    .. [1] A Kernel Two-Sample Test (Gretton et al., 2012).
       https://www.jmlr.org/papers/v13/gretton12a.html

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.metrics import mmd_score
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.normal(size=(2, 500, 2))
    >>> round(mmd_score(a, b), 2), round(mmd_score(a + 1, b), 2)
    (0.0, 0.21)
    """
    draws, names = check_draws(draws, "draws", 2)
    reference, reference_names = check_draws(reference, "reference", 2)
    check_same_columns(names, reference_names, "draws", "reference")
    if draws.shape[1] != reference.shape[1]:
        raise ValueError(
            "draws and reference must have the same number of columns, "
            f"got {draws.shape[1]} and {reference.shape[1]}."
        )
    sd = standard_deviation(reference)
    sd = np.where(sd > 0, sd, 1.0)
    draws, reference = draws / sd, reference / sd
    width = median_distance(reference) if bandwidth is None else check_real(bandwidth, "bandwidth")
    n, m = len(draws), len(reference)
    within = (_kernel_sum(draws, draws, width) - n) / (n * (n - 1))
    within += (_kernel_sum(reference, reference, width) - m) / (m * (m - 1))
    return float(within - 2 * _kernel_sum(draws, reference, width) / (n * m))


def gaussian_kernel(a: Array, b: Array, width: float) -> Array:
    """
    Evaluate the Gaussian kernel.

    Parameters
    ----------
    a : ndarray of shape (n, D)
        Points.
    b : ndarray of shape (m, D)
        Points.
    width : float
        Its width h.

    Returns
    -------
    ndarray of shape (n, m)
        exp(-d^2 / (2 h^2)) for all pairs.
    """
    return np.exp(cdist(a, b, "sqeuclidean") / (-2 * width**2))


def median_distance(points: Array) -> float:
    """
    Compute the median distance between points that are not equal, of the first thousand.

    Parameters
    ----------
    points : ndarray of shape (n, D)
        The points, in random order.

    Returns
    -------
    float
        The median over pairs of rows that differ, 1 if there is none.
    """
    few = points[:_MOST_FOR_MEDIAN]
    distances = cdist(few, few)[np.triu_indices(len(few), 1)]
    distances = distances[distances > 0]
    return float(np.median(distances)) if len(distances) else 1.0


def _kernel_sum(a: Array, b: Array, width: float) -> float:
    """Sum the kernel over all pairs."""
    starts = range(0, len(a), _BLOCK)
    return float(sum(gaussian_kernel(a[i : i + _BLOCK], b, width).sum() for i in starts))
