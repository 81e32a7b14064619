"""
Lotka-Volterra: a predator and its prey, seen ten times each with noise.

d prey/dt = alpha prey - beta prey predator, d predator/dt = -gamma predator + delta prey predator,
from 30 prey and 1 predator; alpha, gamma ~ LogNormal(-0.125, 0.5), beta, delta ~
LogNormal(-3, 0.5). x holds ten prey, then ten predators, at the times 0, 2.1, 4.2, ..., 18.9, each
LogNormal(log u, 0.1) with u clipped to [1e-10, 10000]. Both populations are integrated as
logarithms, so they stay positive and a tolerance of the steps is a relative one.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from sksbi.datasets._ode import solve_ode
from sksbi.datasets._task import Task

__all__ = ["make_task", "solve"]

_NOISE = 0.1
_TIMES = 2.1 * np.arange(10)
_START = np.log([30.0, 1.0])
_SMALLEST, _LARGEST = 1e-10, 1e4


def make_task() -> Task:
    """
    Make the task "lotka_volterra".

    Returns
    -------
    Task
        The task.
    """
    rate, interaction = (stats.lognorm(0.5, scale=np.exp(loc)) for loc in (-0.125, -3.0))
    prior = {"alpha": rate, "beta": interaction, "gamma": rate, "delta": interaction}
    return Task("lotka_volterra", prior, 2 * len(_TIMES), _forward, _log_density)


def solve(theta: np.ndarray) -> np.ndarray:
    """
    Compute both populations, free of noise.

    Parameters
    ----------
    theta : ndarray of shape (n, 4)
        The parameters alpha, beta, gamma and delta.

    Returns
    -------
    ndarray of shape (n, 20)
        Ten prey, then ten predators, clipped to [1e-10, 10000].
    """
    logs = solve_ode(_derivative, _START, theta.T, _TIMES)
    populations = np.exp(logs).clip(_SMALLEST, _LARGEST)
    return populations.transpose(2, 1, 0).reshape(len(theta), 2 * len(_TIMES))


def _derivative(state: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """Compute the slopes of log prey and log predator."""
    alpha, beta, gamma, delta = parameters
    prey, predator = np.exp(state)
    return np.stack([alpha - beta * predator, delta * prey - gamma])


def _forward(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Multiply both populations with noise."""
    populations = solve(theta)
    return populations * np.exp(rng.normal(0.0, _NOISE, size=populations.shape))


def _log_density(theta: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Sum the log-normal log densities."""
    return stats.lognorm.logpdf(x, _NOISE, scale=solve(theta)).sum(axis=1)
