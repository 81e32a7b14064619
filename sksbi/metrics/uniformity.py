r"""
Are ranks uniform? A test and a band for their distribution function, both of the same statistic.

If theta and L draws are independent given x and of the same distribution, the rank of theta among
the draws, by whatever order, is uniform on 0, ..., L. So of n ranks, the number below k is
binomial,

.. math::
    N_k = \#\{i : r_i < k\} \sim \mathrm{Binomial}\left(n, \tfrac{k}{L + 1}\right) .

The statistic is the least two-sided probability of N_k over a hundred k. Its distribution under
uniformity is simulated, once for every n and L and always alike. The band is where the statistic is
not among the lowest 5%, so that a curve leaves the 95% band if and only if its p-value is at most
0.05.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom

from sksbi.tables.draws import as_float
from sksbi.utils.types import Array
from sksbi.utils.validation import check_count, check_real

__all__ = ["ecdf_band", "rank_ecdf", "uniformity_test"]

_POINTS = 100
_REPETITIONS = 10_000
_BLOCK = 1_000
_HIGHEST = 0.999


def rank_ecdf(ranks: ArrayLike, n_draws: int | None) -> tuple[Array, Array]:
    """
    Compute the distribution function of ranks, as fractions of all possible ones.

    Parameters
    ----------
    ranks : array-like of shape (n,) or (n, D)
        Ranks among ``n_draws`` draws, from 0 to ``n_draws``; or, where that is None, numbers
        between 0 and 1.
    n_draws : int or None
        The number of draws.

    Returns
    -------
    levels : ndarray of shape (k,)
        From 0 to 1, at most 101; of ranks, multiples of 1 / (n_draws + 1).
    ecdf : ndarray of shape (k,) or (k, D)
        The share of ranks whose fraction (rank + 1) / (n_draws + 1) is at most the level.

    Raises
    ------
    ValueError
        If there is no rank, or one is out of range.

    Examples
    --------
    >>> from sksbi.metrics import rank_ecdf
    >>> levels, ecdf = rank_ecdf([0, 1, 1, 3], n_draws=3)
    >>> levels.tolist(), ecdf.tolist()
    ([0.0, 0.25, 0.5, 0.75, 1.0], [0.0, 0.25, 0.75, 0.75, 1.0])
    """
    values = _check_ranks(ranks, n_draws)
    levels = _levels(n_draws)
    counts = np.apply_along_axis(_counts, 0, values, n_draws, levels)
    return levels, counts / len(values)


def uniformity_test(ranks: ArrayLike, n_draws: int | None = None) -> float | Array:
    """
    Test whether ranks are uniform.

    Parameters
    ----------
    ranks : array-like of shape (n,) or (n, D)
        Ranks among ``n_draws`` draws, from 0 to ``n_draws``, such as those of
        :func:`~sksbi.metrics.sbc_ranks`; or, where that is None, numbers between 0 and 1.
    n_draws : int or None, default=None
        The number of draws.

    Returns
    -------
    float or ndarray of shape (D,)
        The p-value, or one a column: how often the distribution function of n uniform ranks leaves
        what is likely at some point as far as this one does. At least 1 / 10,001.

    Raises
    ------
    ValueError
        If there is no rank, or one is out of range.

    References
    ----------
    .. [1] Graphical test for discrete uniformity and its applications in goodness of fit evaluation
       and multiple sample comparison (Säilynoja et al., 2022). https://arxiv.org/abs/2103.10522

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.metrics import uniformity_test
    >>> ranks = np.random.default_rng(0).integers(0, 101, size=500)
    >>> bool(uniformity_test(ranks, 100) > 0.05), bool(uniformity_test(ranks // 2, 100) < 0.001)
    (True, True)
    """
    values = _check_ranks(ranks, n_draws)
    levels = _levels(n_draws)
    null = _null(len(values), n_draws)
    counts = np.apply_along_axis(_counts, 0, values, n_draws, levels)
    columns = counts.reshape(len(levels), -1).T[:, 1:-1]
    statistic = _least_probability(columns, len(values), levels[1:-1])
    below = np.searchsorted(null, statistic, side="right")
    p_values = (1 + below) / (len(null) + 1)
    return float(p_values[0]) if values.ndim == 1 else p_values


def ecdf_band(
    n: int, n_draws: int | None = None, *, level: float = 0.95
) -> tuple[Array, Array, Array]:
    """
    Compute the band in which the distribution function of uniform ranks lies as a whole.

    Parameters
    ----------
    n : int
        The number of ranks.
    n_draws : int or None, default=None
        The number of draws that they were counted among; None: of numbers between 0 and 1.
    level : float, default=0.95
        The probability that the whole function lies inside, at least.

    Returns
    -------
    levels : ndarray of shape (k,)
        The levels of :func:`rank_ecdf`.
    lower : ndarray of shape (k,)
        The lower edge of the band, which belongs to it.
    upper : ndarray of shape (k,)
        The upper edge, likewise.

    Raises
    ------
    ValueError, TypeError
        If ``n`` or ``n_draws`` is no positive integer, or ``level`` not between 0 and 0.999.

    References
    ----------
    .. [1] Graphical test for discrete uniformity and its applications in goodness of fit evaluation
       and multiple sample comparison (Säilynoja et al., 2022). https://arxiv.org/abs/2103.10522

    Examples
    --------
    >>> from sksbi.metrics import ecdf_band
    >>> levels, lower, upper = ecdf_band(500, n_draws=1000)
    >>> float(lower[50].round(2)), float(upper[50].round(2))
    (0.43, 0.57)
    """
    n = check_count(n, "n")
    if check_real(level, "level", high=1.0) > _HIGHEST:
        raise ValueError(f"level must be at most {_HIGHEST}, got {level!r}.")
    levels = _levels(n_draws if n_draws is None else check_count(n_draws, "n_draws"))
    null = _null(n, n_draws)
    least = null[max(int((1 - level) * (len(null) + 1) + 1e-9) - 1, 0)]
    allowed = _probabilities(n, levels[1:-1]) >= least
    lower, upper = np.argmax(allowed, axis=0), n - np.argmax(allowed[::-1], axis=0)
    edges = [np.concatenate([[0], edge, [n]]) / n for edge in (lower, upper)]
    return levels, edges[0], edges[1]


def _check_ranks(ranks: ArrayLike, n_draws: int | None) -> Array:
    """Check that ranks are in range."""
    values = as_float(ranks, "ranks")
    if values.ndim not in (1, 2) or values.size == 0:
        raise ValueError(f"ranks must have shape (n,) or (n, D), got {values.shape}.")
    top = 1 if n_draws is None else check_count(n_draws, "n_draws")
    whole = n_draws is None or (values == np.floor(values)).all()
    if not (whole and (values >= 0).all() and (values <= top).all()):
        kind = "numbers" if n_draws is None else "integers"
        raise ValueError(
            f"ranks must be {kind} from 0 to {top}, got values from {values.min():.6g} to "
            f"{values.max():.6g}; n_draws is {n_draws}."
        )
    return values


def _levels(n_draws: int | None) -> Array:
    """Choose where the distribution function is evaluated, both ends included."""
    fractions = np.linspace(0, 1, _POINTS + 1)
    if n_draws is None:
        return fractions
    return np.unique(np.round(fractions * (n_draws + 1))) / (n_draws + 1)


def _counts(values: Array, n_draws: int | None, levels: Array) -> NDArray[np.intp]:
    """Count the ranks up to every level."""
    if n_draws is None:
        return np.searchsorted(np.sort(values), levels, side="right")
    return np.searchsorted(np.sort(values), np.round(levels * (n_draws + 1)), side="left")


def _probabilities(n: int, levels: Array) -> Array:
    """Compute the two-sided probability of every count (n + 1, k)."""
    counts = np.arange(n + 1)[:, None]
    at_most, at_least = binom.cdf(counts, n, levels), binom.sf(counts - 1, n, levels)
    return np.minimum(2 * np.minimum(at_most, at_least), 1.0)


def _least_probability(counts: NDArray[np.intp], n: int, levels: Array) -> Array:
    """Compute the statistic of rows of counts (rows, k)."""
    return _probabilities(n, levels)[counts, np.arange(len(levels))].min(axis=1, initial=1.0)


@lru_cache(maxsize=64)
def _null(n: int, n_draws: int | None) -> Array:
    """Simulate the statistic under uniformity, in ascending order."""
    generator = np.random.default_rng([n, n_draws or 0])
    levels = _levels(n_draws)
    table, columns = _probabilities(n, levels[1:-1]), np.arange(len(levels) - 2)
    statistics = []
    for _ in range(_REPETITIONS // _BLOCK):
        cells = generator.multinomial(n, np.diff(levels), size=_BLOCK)
        counts = np.cumsum(cells, axis=1)[:, :-1]
        statistics.append(table[counts, columns].min(axis=1, initial=1.0))
    return np.sort(np.concatenate(statistics))
