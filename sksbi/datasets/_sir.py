"""
SIR: an epidemic in a population of a million, of which ten samples of a thousand are tested.

dS/dt = -beta S I / N, dI/dt = beta S I / N - gamma I from one infected; contact rate
beta ~ LogNormal(log 0.4, 0.5), recovery rate gamma ~ LogNormal(log 0.125, 0.2). x holds the
infected among 1000 people, Binomial(1000, I / N), on the days 0, 17, 34, ..., 153. The fractions
S / N and I / N are integrated as logarithms.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from sksbi.datasets._ode import solve_ode
from sksbi.datasets._task import Task

__all__ = ["make_task", "solve"]

_POPULATION = 1_000_000
_TESTED = 1000
_DAYS = np.arange(0.0, 160.0, 17.0)
_START = np.log([(_POPULATION - 1) / _POPULATION, 1 / _POPULATION])


def make_task() -> Task:
    """
    Make the task "sir".

    Returns
    -------
    Task
        The task.
    """
    prior = {"beta": stats.lognorm(0.5, scale=0.4), "gamma": stats.lognorm(0.2, scale=0.125)}
    return Task("sir", prior, len(_DAYS), _forward, _log_density)


def solve(theta: np.ndarray) -> np.ndarray:
    """
    Compute the infected fraction on the days of the tests.

    Parameters
    ----------
    theta : ndarray of shape (n, 2)
        The parameters beta and gamma.

    Returns
    -------
    ndarray of shape (n, 10)
        I / N, between 0 and 1.
    """
    logs = solve_ode(_derivative, _START, theta.T, _DAYS)
    return np.exp(logs[:, 1]).clip(max=1.0).T


def _derivative(state: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """Compute the slopes of log S / N and log I / N."""
    beta, gamma = parameters
    susceptible, infected = np.exp(state)
    return np.stack([-beta * infected, beta * susceptible - gamma])


def _forward(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Count the infected among those tested; NaN where the integration failed."""
    fraction = solve(theta)
    counts = rng.binomial(_TESTED, np.nan_to_num(fraction)).astype(float)
    return np.where(np.isnan(fraction), np.nan, counts)


def _log_density(theta: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Sum the log probabilities of the counts."""
    return stats.binom.logpmf(x, _TESTED, solve(theta)).sum(axis=1)
