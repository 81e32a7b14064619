"""
The mean of a Gaussian under a uniform prior, in ten dimensions.

theta ~ U(-1, 1) and x | theta ~ N(theta, 0.1 I), where 0.1 is a variance; so the posterior is
N(x, 0.1 I) cut to the box.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from sksbi.datasets._box import box_prior, draw_truncated_normal
from sksbi.datasets._task import Task

__all__ = ["make_task"]

_DIMENSION = 10
_BOUND = 1.0
_SCALE = np.sqrt(0.1)


def make_task() -> Task:
    """
    Make the task "gaussian_linear_uniform".

    Returns
    -------
    Task
        The task.
    """
    prior = box_prior(_DIMENSION, _BOUND)
    name = "gaussian_linear_uniform"
    return Task(name, prior, _DIMENSION, _forward, _log_density, _exact_posterior)


def _forward(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add noise to every mean."""
    return rng.normal(theta, _SCALE)


def _log_density(theta: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Compute the log density of x around its mean."""
    return stats.norm.logpdf(x, theta, _SCALE).sum(axis=1)


def _exact_posterior(x: np.ndarray, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw from the normal distribution around x, cut to the box."""
    loc = np.broadcast_to(x, (n_samples, _DIMENSION))
    return draw_truncated_normal(loc, np.full_like(loc, _SCALE), _BOUND, rng)
