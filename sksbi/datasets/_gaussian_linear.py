"""
The mean of a Gaussian under a Gaussian prior, in ten dimensions.

theta ~ N(0, 0.1 I) and x | theta ~ N(theta, 0.1 I), where 0.1 are variances; so the posterior is
N(x / 2, 0.05 I).
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from sksbi.datasets._task import Task

__all__ = ["make_task"]

_DIMENSION = 10
_SCALE = np.sqrt(0.1)


def make_task() -> Task:
    """
    Make the task "gaussian_linear".

    Returns
    -------
    Task
        The task.
    """
    names = [f"theta_{i + 1}" for i in range(_DIMENSION)]
    prior = {name: stats.norm(0.0, _SCALE) for name in names}
    return Task("gaussian_linear", prior, _DIMENSION, _forward, _log_density, _exact_posterior)


def _forward(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add noise to every mean."""
    return rng.normal(theta, _SCALE)


def _log_density(theta: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Compute the log density of x around its mean."""
    return stats.norm.logpdf(x, theta, _SCALE).sum(axis=1)


def _exact_posterior(x: np.ndarray, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw from the conjugate posterior."""
    return rng.normal(x / 2, _SCALE / np.sqrt(2), size=(n_samples, _DIMENSION))
