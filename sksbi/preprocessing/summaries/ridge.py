r"""
Ridge regression of many targets, the penalty of each chosen by leaving rows out one by one.

With the singular value decomposition of the centred columns, :math:`A = U S V^T`, the fit at
penalty :math:`\lambda` is :math:`U \frac{S^2}{S^2 + \lambda} U^T y`, and the residual of a row that
was left out is its residual divided by :math:`1 - h_i` with the leverage :math:`h_i`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from sksbi.utils.types import Array

__all__ = ["Ridge", "fit_ridge"]


_RANK, _LEAST_LEFT = 1e-12, 0.02


@dataclass(frozen=True)
class Ridge:
    """
    A linear map columns -> targets.

    Parameters
    ----------
    center : ndarray of shape (p,)
        What is subtracted from the columns.
    offset : ndarray of shape (K,)
        What is added to the targets.
    slope : ndarray of shape (p, K)
        The coefficients.
    error : ndarray of shape (K,)
        The mean squared error of rows left out.
    """

    center: Array
    offset: Array
    slope: Array
    error: Array


def fit_ridge(columns: Array, targets: Array, penalties: Array) -> Ridge:
    """
    Regress targets on columns.

    Parameters
    ----------
    columns : ndarray of shape (n, p)
        The columns.
    targets : ndarray of shape (n, K)
        The targets.
    penalties : ndarray
        The penalties to choose from, as multiples of the largest eigenvalue.

    Returns
    -------
    Ridge
        The regression.
    """
    center, offset = columns.mean(axis=0), targets.mean(axis=0)
    a, y = columns - center, targets - offset
    values, vectors = linalg.eigh(a.T @ a, check_finite=False)
    kept = values > _RANK * max(values[-1], np.finfo(float).tiny)
    values, vectors = values[kept], vectors[:, kept] / np.sqrt(values[kept])
    u = a @ vectors
    along, squares = u.T @ y, u**2
    best, chosen = np.full(y.shape[1], np.inf), np.zeros(y.shape[1])
    for penalty in penalties * values.max(initial=0.0):
        shrink = values / (values + penalty)
        left = np.maximum(1 - squares @ shrink - 1 / len(y), _LEAST_LEFT)
        error = (((y - u @ (shrink[:, None] * along)) / left[:, None]) ** 2).mean(axis=0)
        chosen = np.where(error < best, penalty, chosen)
        best = np.minimum(best, error)
    slope = vectors @ (along * (values[:, None] / (values[:, None] + chosen)))
    return Ridge(center, offset, slope, best)
