"""
Tests whether what was observed is like what the simulator produces.

Two tests with p-values. One asks for a single observation how far it is from its nearest
neighbours among half of the simulations, and ranks that among the same distances of the other half:
simulations and observation are exchangeable if the simulator is right, so the rank is uniform,
whatever the distribution of x. The other compares a set of observations with simulations by the
maximum mean discrepancy, and gets its null from splitting both together at random.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sksbi.metrics.kernel import gaussian_kernel, median_distance
from sksbi.preprocessing import RobustViews
from sksbi.tables.draws import check_finite, check_observed_names
from sksbi.utils.failures import without_failures
from sksbi.utils.random import check_generator
from sksbi.utils.types import Array, RandomState, Row
from sksbi.utils.validation import check_count, check_memory

__all__ = ["misspecification_test", "mmd_test", "neighbor_distances", "share_as_far"]

_MOST_FOR_MMD = 2_000
_ROUNDING = 1e-12


def misspecification_test(
    x: ArrayLike, x_observed: Row, *, n_neighbors: int = 10, random_state: RandomState = 0
) -> float | Array:
    """
    Test for single observations whether the simulator could have produced them.

    Parameters
    ----------
    x : array-like, Series or DataFrame of shape (n,), (n, L) or (n, ...)
        What was simulated at draws from the prior.
    x_observed : array-like, scalar, Series, dict or DataFrame
        One observation, or a batch of m, of the shape of one x or with one dimension more.
    n_neighbors : int, default=10
        To how many neighbours the mean distance is taken.
    random_state : None, int, RandomState or Generator, default=0
        Cuts the simulations into two halves.

    Returns
    -------
    float or ndarray of shape (m,)
        The p-value of every observation; at least about 2 / n. Of simulations at most the share a
        has a p-value of at most a.

    Raises
    ------
    TypeError
        If an entry is no real number.
    ValueError
        If the shapes do not match, an entry is not finite, or half of x has fewer than
        ``n_neighbors`` rows.

    Notes
    -----
    Distances are taken after the robust scaling that the networks use and a whitening by the
    covariance, shrunk as Ledoit and Wolf do. A low p-value says that no posterior from these
    simulations should be trusted at this observation; a high one says that x is typical, not that
    the simulator is right.

    References
    ----------
    .. [1] Detecting Model Misspecification in Amortized Bayesian Inference with Neural Networks
       (Schmitt et al., 2021). https://arxiv.org/abs/2112.08866
    .. [2] Algorithmic Learning in a Random World (Vovk et al., 2005), on conformal p-values.
       https://doi.org/10.1007/b106715

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.metrics import misspecification_test
    >>> x = np.random.default_rng(0).normal(size=(2000, 3))
    >>> misspecification_test(x, [[0.1, 0.2, -0.1], [4.0, -4.0, 4.0]]).round(3).tolist()
    [0.89, 0.001]
    """
    away, asked = neighbor_distances(x, x_observed, n_neighbors, random_state)
    p_values = share_as_far(away, asked)
    return float(p_values) if asked.ndim == 0 else p_values


def neighbor_distances(
    x: ArrayLike, x_observed: Row, n_neighbors: int = 10, random_state: RandomState = 0
) -> tuple[Array, Array]:
    """
    Compute the distances from half of the simulations that :func:`misspecification_test` ranks.

    Parameters
    ----------
    x : array-like, Series or DataFrame of shape (n,), (n, L) or (n, ...)
        What was simulated at draws from the prior.
    x_observed : array-like, scalar, Series, dict or DataFrame
        One observation, or a batch of m, of the shape of one x or with one dimension more.
    n_neighbors : int, default=10
        To how many neighbours the mean distance is taken.
    random_state : None, int, RandomState or Generator, default=0
        Cuts the simulations into two halves.

    Returns
    -------
    away : ndarray of shape (n - n // 2,)
        The distances of the other half.
    asked : ndarray of shape (m,), or () for one observation
        The distances of the observations.

    Raises
    ------
    TypeError
        If an entry is no real number.
    ValueError
        If the shapes do not match, an entry is not finite, or half of x has fewer than
        ``n_neighbors`` rows.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.metrics.misspecification import neighbor_distances
    >>> x = np.random.default_rng(0).normal(size=(2000, 3))
    >>> away, asked = neighbor_distances(x, [4.0, -4.0, 4.0])
    >>> away.shape, bool(asked > away.max())
    ((1000,), True)
    """
    from sklearn.covariance import LedoitWolf
    from sklearn.neighbors import NearestNeighbors

    n_neighbors = check_count(n_neighbors, "n_neighbors")
    columns, observed, single = _check(x, x_observed)
    order = check_generator(random_state).permutation(len(columns))
    half = len(columns) // 2
    if half < n_neighbors:
        raise ValueError(
            f"x must have at least {2 * n_neighbors} rows for n_neighbors={n_neighbors}, got "
            f"{len(columns)}."
        )
    views = RobustViews(logarithms=False).fit(columns[order[:half]])
    near, others, asked = (
        views.transform(rows).astype(float)
        for rows in (columns[order[:half]], columns[order[half:]], observed)
    )
    values, vectors = np.linalg.eigh(LedoitWolf().fit(near).covariance_)
    root = vectors / np.sqrt(np.maximum(values, np.finfo(float).tiny))
    neighbors = NearestNeighbors(n_neighbors=n_neighbors).fit(near @ root)
    away, asked_away = (
        neighbors.kneighbors(rows @ root)[0].mean(axis=1) for rows in (others, asked)
    )
    return away, asked_away[0] if single else asked_away


def share_as_far(away: Array, asked: Array) -> Array:
    """
    Compute p-values: the share of distances that are as large, the observation's own included.

    Parameters
    ----------
    away : ndarray of shape (n,)
        The distances of simulations.
    asked : ndarray of shape (m,) or ()
        The distances of observations.

    Returns
    -------
    ndarray of shape (m,) or ()
        The p-values.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.metrics.misspecification import share_as_far
    >>> share_as_far(np.array([1.0, 2.0, 3.0]), np.array([2.5, 4.0]))
    array([0.5 , 0.25])
    """
    at_least = len(away) - np.searchsorted(np.sort(away), asked, side="left")
    return (1 + at_least) / (len(away) + 1)


def mmd_test(
    x: ArrayLike, x_observed: Row, *, n_permutations: int = 500, random_state: RandomState = 0
) -> float:
    """
    Test for a set of observations whether they are distributed as the simulations.

    Parameters
    ----------
    x : array-like, Series or DataFrame of shape (n,), (n, L) or (n, ...)
        What was simulated at draws from the prior; 2,000 of them, chosen at random, are used.
    x_observed : array-like, Series or DataFrame of shape (m,), (m, L) or (m, ...)
        At least two observations, of theta that could be draws from the prior: not trials of one.
    n_permutations : int, default=500
        How many random splits make the null.
    random_state : None, int, RandomState or Generator, default=0
        Chooses the simulations and the splits.

    Returns
    -------
    float
        The p-value, at least 1 / (n_permutations + 1).

    Raises
    ------
    TypeError
        If an entry is no real number.
    ValueError
        If the shapes do not match, an entry is not finite, or there are fewer than two
        observations.

    References
    ----------
    .. [1] A Kernel Two-Sample Test (Gretton et al., 2012).
       https://www.jmlr.org/papers/v13/gretton12a.html
    .. [2] Detecting Model Misspecification in Amortized Bayesian Inference with Neural Networks
       (Schmitt et al., 2021). https://arxiv.org/abs/2112.08866

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.metrics import mmd_test
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(1000, 2))
    >>> mmd_test(x, rng.normal(size=(50, 2))) > 0.05, mmd_test(x, rng.normal(1, 1, (50, 2))) < 0.05
    (True, True)
    """
    n_permutations = check_count(n_permutations, "n_permutations")
    check_memory(n_permutations, "n_permutations", n_permutations)
    columns, observed, single = _check(x, x_observed)
    if single or len(observed) < 2:
        raise ValueError("x_observed must be at least two observations, got one.")
    generator = check_generator(random_state)
    chosen = generator.permutation(len(columns))[:_MOST_FOR_MMD]
    pooled = np.concatenate([observed, columns[chosen]])
    pooled = RobustViews(logarithms=False).fit(pooled).transform(pooled).astype(float)
    m, total = len(observed), len(pooled)
    shuffled = pooled[generator.permutation(total)]
    kernel = gaussian_kernel(pooled, pooled, median_distance(shuffled))
    np.fill_diagonal(kernel, 0.0)
    signs = np.full((total, n_permutations + 1), -1 / (total - m))
    signs[:m, 0] = 1 / m
    for column in range(1, n_permutations + 1):
        signs[generator.choice(total, m, replace=False), column] = 1 / m
    statistics = np.einsum("ik,ik->k", signs, kernel @ signs)
    as_large = statistics[1:] >= statistics[0] - _ROUNDING
    return float((1 + as_large.sum()) / (n_permutations + 1))


def _check(x: ArrayLike, x_observed: Row) -> tuple[Array, Array, bool]:
    """Check both and put them in columns; tell whether one observation was given."""
    simulated = check_finite(without_failures(x, x)[1], "x")
    observed = check_finite(check_observed_names(x_observed, x, "x_observed", "x"), "x_observed")
    shape = simulated.shape[1:]
    if simulated.ndim == 0 or observed.shape not in (shape, (*observed.shape[:1], *shape)):
        raise ValueError(
            f"x_observed must have the shape {shape} of one observation in x, or one dimension "
            f"more, got {observed.shape}."
        )
    for values, name in ((simulated, "x"), (observed, "x_observed")):
        if values.size == 0:
            raise ValueError(f"{name} must hold numbers, got shape {values.shape}.")
    single = observed.shape == shape
    rows = observed[None] if single else observed
    return simulated.reshape(len(simulated), -1), rows.reshape(len(rows), -1), single
