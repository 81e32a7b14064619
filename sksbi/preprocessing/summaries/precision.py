r"""
How precisely theta determines a statistic: its signal-to-noise ratio.

.. math::
    \mathrm{SNR} = \sqrt{\frac{R^2}{1 - R^2}}, \qquad
    R^2 = 1 - \frac{E\, \mathrm{Var}(t | \theta)}{\mathrm{Var}(t)}

with E[t | theta] by a ridge regression on Gaussian bumps around some of the theta, its error judged
by leaving rows out.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from sksbi.preprocessing.summaries.ridge import fit_ridge
from sksbi.utils.types import Array

__all__ = ["signal_to_noise"]

_WIDTHS = (0.4, 1.0, 2.5)
_BUMPS, _MOST_ROWS = 100, 5_000
_PENALTIES = np.geomspace(1e-7, 0.1, 5)
_LEAST, _MOST = 1e-3, 1 - 1e-6


def signal_to_noise(statistics: Array, theta: Array, generator: np.random.Generator) -> Array:
    """
    Estimate signal-to-noise ratios.

    Parameters
    ----------
    statistics : ndarray of shape (n, K)
        The statistics, of mean 0 and deviation 1.
    theta : ndarray of shape (n, D)
        The parameters, about standardised.
    generator : numpy.random.Generator
        Chooses the rows that are looked at.

    Returns
    -------
    ndarray of shape (K,)
        The ratios, from 0.03 for noise to 1,000.
    """
    rows = generator.permutation(len(theta))[:_MOST_ROWS]
    statistics, theta = statistics[rows], theta[rows]
    explained = np.zeros(statistics.shape[1])
    for width in _WIDTHS:
        distance = cdist(theta, theta[:_BUMPS], "sqeuclidean") / theta.shape[1]
        columns = np.hstack([theta, np.exp(-0.5 * distance / width**2)])
        error = fit_ridge(columns, statistics, _PENALTIES).error
        explained = np.maximum(explained, 1 - error / np.maximum(statistics.var(axis=0), 1e-300))
    explained = np.clip(explained, _LEAST, _MOST)
    return np.sqrt(explained / (1 - explained))
