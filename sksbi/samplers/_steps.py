"""Gaussian steps whose covariance and size are learnt from the chains, for every target its own."""

from __future__ import annotations

import numpy as np

from sksbi.utils.types import Array

__all__ = ["GaussianSteps", "with_floor"]

_WANTED_ACCEPTANCE = 0.3
_DECAY = 0.6


class GaussianSteps:
    """
    Steps N(0, s^2 C) of m targets, C the covariance of the target, s what is accepted often enough.

    Both are stochastic approximations [1]_, over the chains and over the steps, so that one chain
    is enough.

    Parameters
    ----------
    z : ndarray of shape (m, chains, D)
        Where the chains start.
    step_size : float or None
        The standard deviation of steps in every direction, never adapted; None learns it.

    References
    ----------
    .. [1] A tutorial on adaptive MCMC (Andrieu and Thoms, 2008), algorithm 4.
       https://doi.org/10.1007/s11222-008-9110-y
    """

    def __init__(self, z: Array, step_size: float | None) -> None:
        m, _, D = z.shape
        self.fixed = step_size is not None
        self.mean = z.mean(axis=1)
        centered = z - self.mean[:, None]
        spread = z.reshape(-1, D).var(axis=0)
        floor = 1e-3 * np.diag(np.where(spread > 0, spread, 1.0))
        self.covariance = centered.swapaxes(1, 2) @ centered / z.shape[1] + floor
        self.log_scale = np.full(m, np.log(2.38 / np.sqrt(D)))
        self.n_seen = 0
        if step_size is not None:
            self.covariance = np.tile(np.eye(D), (m, 1, 1))
            self.log_scale = np.full(m, np.log(step_size))
        self.root = np.linalg.cholesky(self.covariance)

    def directions(self, n: int, generator: np.random.Generator) -> Array:
        """Draw from N(0, C): shape (m, n, D)."""
        noise = generator.standard_normal((len(self.root), n, self.root.shape[-1]))
        return noise @ self.root.swapaxes(1, 2)

    def steps(self, directions: Array) -> Array:
        """Scale directions to steps."""
        return np.exp(self.log_scale)[:, None, None] * directions

    def learn_size(self, acceptance: Array) -> None:
        """Lengthen the steps where more than 0.3 of them are accepted, shorten them elsewhere."""
        if self.fixed:
            return
        rate = 2 * (self.n_seen + 1.0) ** -_DECAY
        surplus = np.where(np.isnan(acceptance), 0.0, acceptance - _WANTED_ACCEPTANCE)
        self.log_scale = self.log_scale + rate * surplus

    def learn_shape(self, z: Array) -> None:
        """Move mean and covariance towards those of the chains."""
        if self.fixed:
            return
        self.n_seen += 1
        rate = (self.n_seen + 1.0) ** -_DECAY
        self.mean = self.mean + rate * (z.mean(axis=1) - self.mean)
        centered = z - self.mean[:, None]
        present = centered.swapaxes(1, 2) @ centered / z.shape[1]
        self.covariance = (1 - rate) * self.covariance + rate * present
        self.root = np.linalg.cholesky(with_floor(self.covariance))


def with_floor(covariance: Array) -> Array:
    """Raise the diagonal by a billionth, so that a singular matrix (m, D, D) has a root too."""
    diagonal = np.einsum("mdd->md", covariance)
    return covariance + (1e-9 * diagonal + 1e-30)[..., None] * np.eye(covariance.shape[-1])
