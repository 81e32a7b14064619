"""Statistics over the columns of a row: its mean, its scale, and the shape of what is left."""

from __future__ import annotations

import numpy as np

from sksbi.utils.types import Array

__all__ = ["row_statistics"]

_LEVELS = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
_LEAST = 1e-12


def row_statistics(x: Array) -> tuple[Array, Array]:
    """
    Compute statistics of rows, which do not depend on the order of the columns.

    Parameters
    ----------
    x : ndarray of shape (n, L)
        Columns, brought to one location and one scale.

    Returns
    -------
    statistics : ndarray of shape (n, 11)
        Mean, logarithm of the standard deviation, skewness, logarithm of the kurtosis, and seven
        quantiles of the standardised row.
    standardised : ndarray of shape (n, L)
        Rows of mean 0 and standard deviation 1.
    """
    mean = x.mean(axis=1, keepdims=True)
    spread = x.std(axis=1, keepdims=True) + _LEAST
    r = (x - mean) / spread
    skewness, kurtosis = (r**3).mean(axis=1), (r**4).mean(axis=1)
    quantiles = np.quantile(r, _LEVELS, axis=1)
    log_kurtosis = np.log(np.maximum(kurtosis, _LEAST))
    columns = [mean[:, 0], np.log(spread[:, 0]), skewness, log_kurtosis, *quantiles]
    return np.stack(columns, axis=1), r
