"""
The common mean of two Gaussians, a wide and a narrow one, in two dimensions.

theta ~ U(-10, 10) and x | theta ~ 0.5 N(theta, I) + 0.5 N(theta, 0.01 I). The posterior is the
mixture of both normals around x, each cut to the box: near an edge the two lose different parts of
their mass, which shifts the weights from one half each.
"""

from __future__ import annotations

import numpy as np
from scipy import special, stats

from sksbi.datasets._box import box_prior, draw_truncated_normal, log_box_mass
from sksbi.datasets._task import Task

__all__ = ["make_task"]

_DIMENSION = 2
_BOUND = 10.0
_SCALES = np.array([1.0, 0.1])


def make_task() -> Task:
    """
    Make the task "gaussian_mixture".

    Returns
    -------
    Task
        The task.
    """
    prior = box_prior(_DIMENSION, _BOUND)
    return Task("gaussian_mixture", prior, _DIMENSION, _forward, _log_density, _exact_posterior)


def _forward(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Choose a width for every row, then add noise to its mean."""
    scale = _SCALES[rng.integers(2, size=(len(theta), 1))]
    return rng.normal(theta, scale)


def _log_density(theta: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Average the densities of the wide and of the narrow normal."""
    components = [stats.norm.logpdf(x, theta, scale).sum(axis=1) for scale in _SCALES]
    return np.logaddexp(*components) - np.log(2)


def _exact_posterior(x: np.ndarray, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Choose a width by its mass inside the box, then draw inside the box."""
    weights = special.softmax([log_box_mass(x, scale, _BOUND) for scale in _SCALES])
    scale = rng.choice(_SCALES, size=(n_samples, 1), p=weights)
    loc = np.broadcast_to(x, (n_samples, _DIMENSION))
    return draw_truncated_normal(loc, np.broadcast_to(scale, loc.shape), _BOUND, rng)
