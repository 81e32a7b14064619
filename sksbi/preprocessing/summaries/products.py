r"""
Products of columns, pooled by how they go with theta.

In a series the order tells: neighbours are alike, or loud together. Of a standardised row r,

.. math::
    r^T M r, \quad r^T M^2 r, \quad r^T M^3 r, \qquad
    M_{ij} \approx \mathrm{Corr}(\phi(\theta), r_i r_j),

are such statistics: where columns are a series in any order, M finds neighbours, and its powers
reach further. M is partial least squares of one component on all products; small entries are set to
zero by a soft threshold, as there are more products than simulations (Ideal spatial adaptation by
wavelet shrinkage, Donoho and Johnstone, 1994, https://doi.org/10.1093/biomet/81.3.425).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sksbi.utils.types import Array

__all__ = ["pool", "pooled_products", "standardised"]


_THRESHOLD = 0.7
_POWERS = 3
_MOST_ENTRIES = 40
_CLIP = 6.0
_LEAST = 1e-6


def standardised(r: Array, *, sizes: bool) -> NDArray[np.float32]:
    """Clip standardised rows (n, L); with ``sizes``, standardise the sizes of their entries."""
    rows = np.clip(r, -_CLIP, _CLIP).astype(np.float32)
    if sizes:
        rows = np.abs(rows)
        rows -= rows.mean(axis=1, keepdims=True)
        rows /= rows.std(axis=1, keepdims=True) + np.float32(_LEAST)
    return rows


def pooled_products(
    r: NDArray[np.float32], functions: Array, folds: NDArray[np.intp]
) -> tuple[Array, list[sparse.csr_array]]:
    """
    Learn the matrices, and pool the products of every row by those of the other folds.

    Parameters
    ----------
    r : ndarray of shape (n, L)
        The rows, from :func:`standardised`.
    functions : ndarray of shape (n, K)
        Functions of theta, of mean 0 and deviation 1.
    folds : ndarray of shape (n,), int
        The number of each row's fold.

    Returns
    -------
    pooled : ndarray of shape (n, 3 K')
        The statistics, for those functions whose matrix is not zero.
    matrices : list of csr_array
        The K' matrices, from all folds.
    """
    deviations = _deviations(r)
    members = [np.flatnonzero(folds == k) for k in range(folds.max() + 1)]
    pooled, matrices = [], []
    for function in functions.T.astype(np.float32):
        sums = [(r[rows] * function[rows, None]).T @ r[rows] for rows in members]
        total = sum(sums)
        matrix = _thresholded(total / len(r) / deviations, len(r))
        if not matrix.nnz:
            continue
        values = np.empty((len(r), _POWERS))
        for rows, own in zip(members, sums, strict=True):
            n = len(r) - len(rows)
            values[rows] = pool(r[rows], [_thresholded((total - own) / n / deviations, n)])
        pooled.append(values)
        matrices.append(matrix)
    return np.hstack(pooled) if pooled else np.empty((len(r), 0)), matrices


def pool(r: NDArray[np.float32], matrices: list[sparse.csr_array]) -> Array:
    """
    Pool the products of rows.

    Parameters
    ----------
    r : ndarray of shape (m, L)
        The rows, from :func:`standardised`.
    matrices : list of csr_array
        The K matrices.

    Returns
    -------
    ndarray of shape (m, 3 K)
        The statistics.
    """
    columns = []
    for matrix in matrices:
        product = r
        for _ in range(_POWERS):
            product = product @ matrix
            columns.append((product * r).sum(axis=1, dtype=np.float64))
    return np.stack(columns, axis=1) if columns else np.empty((len(r), 0))


def _deviations(r: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the standard deviations of all products, (L, L)."""
    mean = r.T @ r / len(r)
    squares = r * r
    return np.sqrt(np.maximum(squares.T @ squares / len(r) - mean * mean, _LEAST))


def _thresholded(correlations: NDArray[np.float32], n: int) -> sparse.csr_array:
    """Shrink correlations from n rows, keep the largest, and scale the matrix to norm one."""
    width = len(correlations)
    noise = _THRESHOLD * np.sqrt(2 * np.log(width**2 / 2 + 2) / n)
    matrix = np.sign(correlations) * np.maximum(np.abs(correlations) - np.float32(noise), 0)
    np.fill_diagonal(matrix, 0)
    if matrix.size > (most := _MOST_ENTRIES * width):
        least = np.partition(np.abs(matrix), -most, axis=None)[-most]
        matrix[np.abs(matrix) < least] = 0
    norm = np.linalg.norm(matrix)
    return sparse.csr_array(matrix / norm if norm > 0 else matrix)
