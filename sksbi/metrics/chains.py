"""
Convergence of Markov chains: whether they agree, and how many independent draws they are worth.

Every chain is cut in two, so that a drift within a chain shows as a difference between halves, and
every column is replaced by normal scores of its ranks over all chains, so that moments need not
exist. With W the mean variance within the chains, N their length and B / N the variance of their
means, the variance of the whole is (N - 1) / N W + B / N; R-hat is the square root of its ratio to
W, and 1 where all chains say the same. It is taken of the scores and of the scores of the distances
from the median, which see chains that differ in width alone; the larger one counts.

The autocorrelation at lag t is 1 - V_t / (2 variance), where V_t is the mean square of
x_{i + t} - x_i over all chains. No chain's own mean enters, so it has no bias in short chains,
where the usual estimate is too low by about 1 / N. The sum over t ends at the first pair of lags
whose sum is negative, and the pairs are made to decrease, as in any reversible chain.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import fft
from scipy.special import ndtri
from scipy.stats import rankdata

from sksbi.tables.draws import as_float
from sksbi.utils.types import Array

__all__ = ["effective_sample_size", "split_r_hat"]

_MIN_STEPS = 4


def split_r_hat(chains: ArrayLike) -> Array:
    """
    Rank-normalised split R-hat of Markov chains, many sets of them at once.

    Parameters
    ----------
    chains : array-like of shape (..., chains, steps, D)
        The draws, in the order of the steps.

    Returns
    -------
    ndarray of shape (..., D)
        About 1 where the chains agree; 1.01 is the usual limit with thousands of draws. NaN where
        it is not defined: fewer than four steps, or a column that does not vary. Infinite where
        the chains stand still at different values.

    Raises
    ------
    TypeError
        If the entries are no real numbers.
    ValueError
        If there are fewer than three axes, or no chain, or NaN or infinity.

    References
    ----------
    .. [1] Rank-normalization, folding, and localization: An improved R-hat for assessing
       convergence of MCMC (Vehtari et al., 2021). https://arxiv.org/abs/1903.08008

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.metrics import split_r_hat
    >>> chains = np.random.default_rng(0).normal(size=(4, 1000, 2))
    >>> split_r_hat(chains).round(2)
    array([1., 1.])
    >>> chains[0, :, 1] += 3
    >>> split_r_hat(chains).round(1)
    array([1. , 1.5])
    """
    halves = _split(_check_chains(chains))
    if halves.shape[-2] < _MIN_STEPS // 2:
        return _undefined(halves)
    folded = np.abs(halves - np.median(halves, axis=(-3, -2), keepdims=True))
    return np.maximum(_r_hat(_normal_scores(halves)), _r_hat(_normal_scores(folded)))


def effective_sample_size(chains: ArrayLike) -> Array:
    """
    Bulk effective sample size of Markov chains, many sets of them at once.

    The number of independent draws that would estimate the mean of the normal scores as well.

    Parameters
    ----------
    chains : array-like of shape (..., chains, steps, D)
        The draws, in the order of the steps.

    Returns
    -------
    ndarray of shape (..., D)
        The sizes, over all chains; at most n log10(n) of n draws. NaN where they are not defined:
        fewer than four steps, or a column that does not vary.

    Raises
    ------
    TypeError
        If the entries are no real numbers.
    ValueError
        If there are fewer than three axes, or no chain, or NaN or infinity.

    References
    ----------
    .. [1] Rank-normalization, folding, and localization: An improved R-hat for assessing
       convergence of MCMC (Vehtari et al., 2021). https://arxiv.org/abs/1903.08008
    .. [2] Bayesian Data Analysis (Gelman et al., 2013), section 11.5.
       https://sites.stat.columbia.edu/gelman/book/

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.metrics import effective_sample_size
    >>> chains = np.random.default_rng(0).normal(size=(4, 1000, 1))
    >>> effective_sample_size(chains).round(-2)
    array([3900.])
    >>> effective_sample_size(chains.repeat(2, axis=1)).round(-2)
    array([4000.])
    """
    chains = _check_chains(chains)
    halves = _split(chains)
    if halves.shape[-2] < _MIN_STEPS // 2:
        return _undefined(halves)
    n_draws = chains.shape[-3] * chains.shape[-2]
    correlation = _autocorrelation(_normal_scores(halves))
    return n_draws / np.maximum(_autocorrelation_time(correlation), 1 / np.log10(n_draws))


def _check_chains(chains: ArrayLike) -> Array:
    """Check the shape and that all is finite."""
    array = as_float(chains, "chains")
    if array.ndim < 3 or 0 in array.shape:
        raise ValueError(
            f"chains must have shape (..., chains, steps, D), none of them 0, got {array.shape}."
        )
    if not np.isfinite(array).all():
        raise ValueError(f"chains must be finite, got {array[~np.isfinite(array)][0]}.")
    return array


def _split(chains: Array) -> Array:
    """Cut every chain into halves; of an odd number of steps the middle one is left out."""
    half = chains.shape[-2] // 2
    return np.concatenate([chains[..., :half, :], chains[..., chains.shape[-2] - half :, :]], -3)


def _undefined(chains: Array) -> Array:
    """Say that nothing can be said."""
    return np.full((*chains.shape[:-3], chains.shape[-1]), np.nan)


def _normal_scores(chains: Array) -> Array:
    """Replace values by normal quantiles of their ranks, column by column."""
    flat = chains.reshape(*chains.shape[:-3], -1, chains.shape[-1])
    scores = ndtri((rankdata(flat, axis=-2) - 0.375) / (flat.shape[-2] + 0.25))
    return scores.reshape(chains.shape)


def _variances(chains: Array) -> tuple[Array, Array]:
    """Compute the variance within chains, and that of the whole."""
    within = chains.var(axis=-2, ddof=1).mean(axis=-2)
    between = chains.mean(axis=-2).var(axis=-2, ddof=1)
    within = np.where(within > 1e-20 * between, within, 0.0)  # else rounding alone
    n_steps = chains.shape[-2]
    return within, (n_steps - 1) / n_steps * within + between


def _r_hat(chains: Array) -> Array:
    """Compare the variance of the whole to that within chains."""
    within, whole = _variances(chains)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt(whole / within)


def _autocorrelation(chains: Array) -> Array:
    """Estimate the correlation at lags 0 to N - 1: (..., chains, N, D) -> (..., N, D)."""
    n_steps = chains.shape[-2]
    spectrum = fft.rfft(chains, fft.next_fast_len(2 * n_steps, real=True), axis=-2)
    products = fft.irfft(np.abs(spectrum) ** 2, fft.next_fast_len(2 * n_steps, real=True), axis=-2)
    cross = products[..., :n_steps, :].mean(axis=-3)
    squares = np.cumsum((chains**2).mean(axis=-3), axis=-2)
    backwards = np.cumsum((chains[..., ::-1, :] ** 2).mean(axis=-3), axis=-2)
    ends = (squares + backwards)[..., ::-1, :]
    counts = np.arange(n_steps, 0, -1)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - (ends - 2 * cross) / counts / (2 * _variances(chains)[1][..., None, :])


def _autocorrelation_time(correlation: Array) -> Array:
    """Sum the initial pairs of lags that are positive, made to decrease."""
    n_pairs = correlation.shape[-2] // 2
    pairs = correlation[..., : 2 * n_pairs : 2, :] + correlation[..., 1 : 2 * n_pairs : 2, :]
    positive = np.logical_and.accumulate(np.isnan(pairs) | (pairs > 0), axis=-2)
    decreasing = np.minimum.accumulate(pairs, axis=-2)
    return 2 * np.where(positive, decreasing, 0.0).sum(axis=-2) - 1
