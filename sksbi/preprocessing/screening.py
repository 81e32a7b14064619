r"""
Screening: which columns of x tell anything about theta.

A network that sees hundreds of columns of noise beside the few that matter learns the noise of its
training set. A column is kept if it depends on theta, or on a column that does: a reading of the
background alone says nothing of the signal, but everything about the reading beside it.

Dependence is tested by moments that are zero for independent variables. With a, b standardised and
clipped to four standard deviations, and the sizes |a|, |b| standardised too, these are E[a b] for
all pairs of them, and E[a b c] for two columns and a parameter, which finds columns that matter
only together. Columns whose dependence is certain (error probability 1e-3 over all tests) bring in
those that depend on them; one that may depend on theta itself, or on those columns (0.01 each, over
its own tests), is kept too.

What such moments see late is a column that says how good another one is: which instrument was used,
whether a value was missing. It is independent of theta, and changes a variance. So columns of few
values are kept whatever the tests say, up to eleven of them, which no network minds.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from sksbi.utils.types import Floats, Mask

__all__ = ["few_valued_columns", "relevant_columns"]

_CERTAIN, _POSSIBLE = 1e-3, 0.01
_FEWEST_ROWS, _MOST_ROWS = 500, 20_000
_FEWEST_COLUMNS, _MOST_COLUMNS = 12, 1_000
_CLIP = 4.0
_FEW_VALUES, _HEAD = 10, 200


def relevant_columns(x: Floats, theta: Floats) -> Mask:
    """
    Find the columns of x that depend on theta, directly or through other columns.

    Parameters
    ----------
    x : ndarray of shape (n, L)
        The observations, each column without heavy tails.
    theta : ndarray of shape (n, D)
        The parameters, likewise.

    Returns
    -------
    ndarray of shape (L,), bool
        The columns to keep; all of them where there are too few rows (500) or columns (12) for
        screening to pay, too many columns (1000) to test them all, or where none would be left.
    """
    everything = np.ones(x.shape[1], bool)
    if len(x) < _FEWEST_ROWS or not _FEWEST_COLUMNS <= x.shape[1] <= _MOST_COLUMNS:
        return everything
    x, theta = x[:_MOST_ROWS], theta[:_MOST_ROWS]
    a, c = _standardise(x), _standardise(theta)
    with_x, with_theta = _pair_statistics(a, a), _pair_statistics(a, c)
    n_tests = 4 * with_x.size + 4 * with_theta.size
    certain = _threshold(_CERTAIN / n_tests)
    kept = (with_theta > certain).any(axis=1) | _in_triples(a, c)
    while (more := kept | (with_x[:, kept] > certain).any(axis=1)).sum() > kept.sum():
        kept = more
    with_kept = with_x[:, kept] > _threshold(_POSSIBLE / (4 * max(1, kept.sum())))
    possible = _threshold(_POSSIBLE / (4 * theta.shape[1]))
    kept |= (with_theta > possible).any(axis=1) | with_kept.any(axis=1)
    return kept if kept.any() else everything


def few_valued_columns(x: Floats) -> Mask:
    """
    Find columns of two to ten values, such as indicators and codes of categories.

    Parameters
    ----------
    x : ndarray of shape (n, L)
        The observations.

    Returns
    -------
    ndarray of shape (L,), bool
        The columns; none if there are more than eleven.
    """
    found = 1 + np.count_nonzero(np.diff(np.sort(x[:_HEAD], axis=0), axis=0), axis=0)
    few = found <= _FEW_VALUES
    if few.sum() < _FEWEST_COLUMNS:
        for j in np.flatnonzero(few):
            few[j] = 1 < len(np.unique(x[:, j])) <= _FEW_VALUES
    return few if few.sum() < _FEWEST_COLUMNS else np.zeros(len(few), bool)


def _threshold(probability: float) -> float:
    """Find what a standard normal exceeds in size with this probability."""
    return stats.norm.isf(probability / 2)


def _standardise(columns: Floats) -> Floats:
    """Bring columns to mean 0 and standard deviation 1, clipped; constant ones to 0."""
    for _ in range(2):
        spread = columns.std(axis=0)
        columns = (columns - columns.mean(axis=0)) / np.where(spread > 0, spread, np.inf)
        columns = np.clip(columns, -_CLIP, _CLIP)
    return columns


def _pair_statistics(a: Floats, b: Floats) -> Floats:
    """Compute the largest |sqrt(n) E[f(a_j) g(b_k)]|, over f and g the identity and the size."""
    sizes = [(v, _standardise(np.abs(v))) for v in (a, b)]
    products = [np.abs(f.T @ g) for f in sizes[0] for g in sizes[1]]
    return np.max(products, axis=0) / np.sqrt(len(a))


def _in_triples(a: Floats, c: Floats) -> Mask:
    """Find columns in a pair whose product goes with a parameter."""
    found = np.zeros(a.shape[1], bool)
    certain = _threshold(_CERTAIN / (a.shape[1] ** 2 * c.shape[1]))
    for parameter in c.T:
        weighted = a * parameter[:, None]
        size = np.sqrt((weighted**2).T @ a**2)
        together = np.abs(weighted.T @ a) > certain * np.where(size > 0, size, np.inf)
        np.fill_diagonal(together, False)
        found |= together.any(axis=1)
    return found
