"""
Two moons: a posterior of two thin crescents, in two dimensions.

theta ~ U(-1, 1). The noise p = (r cos a + 0.25, r sin a), with a ~ U(-pi/2, pi/2) and
r ~ N(0.1, 0.01^2), is a crescent; x = p + (-|theta_1 + theta_2|, theta_2 - theta_1) / sqrt(2).

The shift is a rotation of theta with one sign folded, so p(x | theta) is the density of the noise,
N(r; 0.1, 0.01^2) / (pi r) on the right half plane, and every p with p_1 >= x_1 comes from exactly
two parameters. Drawing the noise, inverting one of both branches at random, and leaving out what
lies outside the prior draws from the posterior.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from sksbi.datasets._box import box_prior
from sksbi.datasets._task import Task

__all__ = ["make_task"]

_BOUND = 1.0
_OFFSET, _RADIUS, _WIDTH = 0.25, 0.1, 0.01
_MOST_PROPOSALS = 1_000_000


def make_task() -> Task:
    """
    Make the task "two_moons".

    Returns
    -------
    Task
        The task.
    """
    return Task("two_moons", box_prior(2, _BOUND), 2, _forward, _log_density, _exact_posterior)


def _crescent(n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the noise."""
    angle = rng.uniform(-np.pi / 2, np.pi / 2, size=n)
    radius = rng.normal(_RADIUS, _WIDTH, size=n)
    return np.column_stack([radius * np.cos(angle) + _OFFSET, radius * np.sin(angle)])


def _shift(theta: np.ndarray) -> np.ndarray:
    """Compute where theta moves the crescent."""
    total, difference = theta[:, 0] + theta[:, 1], theta[:, 1] - theta[:, 0]
    return np.column_stack([-np.abs(total), difference]) / np.sqrt(2)


def _forward(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Move crescents."""
    return _crescent(len(theta), rng) + _shift(theta)


def _log_density(theta: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Compute the log density of the noise that leads from theta to x."""
    u, v = (x - _shift(theta) - [_OFFSET, 0.0]).T
    radius = np.hypot(u, v)
    with np.errstate(divide="ignore"):
        log_p = stats.norm.logpdf(radius, _RADIUS, _WIDTH) - np.log(np.pi * radius)
    return np.where(u > 0, log_p, -np.inf)


def _exact_posterior(x: np.ndarray, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw noise and invert until there are enough parameters inside the prior."""
    found, proposed = np.empty((0, 2)), 0
    while len(found) < n_samples:
        if proposed >= _MOST_PROPOSALS and not len(found):
            raise ValueError(
                f"x = {x} is all but impossible under this prior: none of {proposed} proposals "
                "lies inside it. Take an x that the task can simulate."
            )
        size = max(2 * n_samples, 10_000)
        found = np.vstack([found, _invert(x, _crescent(size, rng), rng)])
        proposed += size
    return found[:n_samples]


def _invert(x: np.ndarray, noise: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Find the parameters inside the prior, at one branch each, that lead from the noise to x."""
    size, difference = ((noise - x) * [1.0, -1.0]).T
    total = size * rng.choice([-1.0, 1.0], size=len(noise))
    theta = np.column_stack([total - difference, total + difference]) / np.sqrt(2)
    return theta[(size >= 0) & (np.abs(theta) <= _BOUND).all(axis=1)]
