"""
SLCP, a simple likelihood and a complex posterior: five parameters, eight numbers.

theta ~ U(-3, 3). x holds four independent draws from the bivariate normal with mean
(theta_1, theta_2), standard deviations theta_3^2 and theta_4^2 and correlation tanh(theta_5),
where 1e-6 is added to both variances. The signs of theta_3 and theta_4 leave no trace: four modes.
"""

from __future__ import annotations

import numpy as np

from sksbi.datasets._box import box_prior
from sksbi.datasets._task import Task

__all__ = ["make_task"]

_BOUND = 3.0
_N_POINTS = 4
_JITTER = 1e-6


def make_task() -> Task:
    """
    Make the task "slcp".

    Returns
    -------
    Task
        The task.
    """
    return Task("slcp", box_prior(5, _BOUND), 2 * _N_POINTS, _forward, _log_density)


def _cholesky(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the three entries of the covariance's lower Cholesky factor."""
    first, second = theta[:, 2] ** 2, theta[:, 3] ** 2
    covariance = np.tanh(theta[:, 4]) * first * second
    top = np.sqrt(first**2 + _JITTER)
    corner = covariance / top
    return top, corner, np.sqrt(second**2 + _JITTER - corner**2)


def _forward(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw four points a row."""
    top, corner, bottom = (entry[:, None] for entry in _cholesky(theta))
    noise = rng.normal(size=(len(theta), _N_POINTS, 2))
    first = theta[:, [0]] + top * noise[:, :, 0]
    second = theta[:, [1]] + corner * noise[:, :, 0] + bottom * noise[:, :, 1]
    return np.stack([first, second], axis=2).reshape(len(theta), 2 * _N_POINTS)


def _log_density(theta: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Sum the log densities of the four points, whitened by the Cholesky factor."""
    top, corner, bottom = (entry[:, None] for entry in _cholesky(theta))
    first = (x[:, 0::2] - theta[:, [0]]) / top
    second = (x[:, 1::2] - theta[:, [1]] - corner * first) / bottom
    log_p = -(first**2 + second**2) / 2 - np.log(2 * np.pi * top * bottom)
    return log_p.sum(axis=1)
