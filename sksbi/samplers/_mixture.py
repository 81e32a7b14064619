"""
Mixtures of Student distributions, one for each of m sets of points, fitted together.

The fit is expectation maximisation of a Gaussian mixture, a few rounds from centres that are spread
as in k-means++. Every covariance is drawn a little towards that of the whole set, as a conjugate
prior would do, so no component collapses onto few points. The components then become Student
distributions with five degrees of freedom: what proposes points to a Markov chain must have
heavier tails than the target, or the chain stands still in them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from sksbi.samplers._steps import with_floor
from sksbi.utils.types import Array

__all__ = ["StudentMixture", "fit_mixture"]

_FREEDOM = 5
_PRIOR_POINTS = 0.1
_BLOCK = 4_000_000


@dataclass(frozen=True, eq=False)
class StudentMixture:
    """
    The density sum_k w_k |R_k| / (1 + |(z - c_k) R_k|^2 / 5)^((5 + D) / 2), up to a constant.

    Parameters
    ----------
    weights : ndarray of shape (m, K)
        The weights, w.
    centers : ndarray of shape (m, K, D)
        The centres, c.
    roots : ndarray of shape (m, K, D, D)
        The lower Cholesky factors of the scale matrices.
    whiteners : ndarray of shape (m, K, D, D)
        Their inverses, transposed: R.
    """

    weights: Array
    centers: Array
    roots: Array
    whiteners: Array

    def sample(self, n: int, generator: np.random.Generator) -> Array:
        """Draw n points for every set: shape (m, n, D)."""
        m, _, D = self.centers.shape
        edges = np.cumsum(self.weights, axis=1)[:, None, :-1]
        k = (generator.random((m, n, 1)) > edges).sum(axis=-1)
        rows = np.arange(m)[:, None]
        widths = np.sqrt(_FREEDOM / generator.chisquare(_FREEDOM, (m, n, 1)))
        noise = widths * generator.standard_normal((m, n, D))
        return self.centers[rows, k] + (self.roots[rows, k] @ noise[..., None])[..., 0]

    def log_prob(self, z: Array) -> Array:
        """Compute the log density, up to a constant: (m, n, D) -> (m, n)."""
        power = 0.5 * (_FREEDOM + z.shape[-1])
        distances = _squared_distances(z, self.centers, self.whiteners)
        terms = self._log_factors()[:, None] - power * np.log1p(distances / _FREEDOM)
        top = terms.max(axis=-1)
        return top + np.log(np.exp(terms - top[..., None]).sum(axis=-1))

    def normalised_log_prob(self, z: Array) -> Array:
        """Compute the log density: (m, n, D) -> (m, n)."""
        D = z.shape[-1]
        constant = gammaln((_FREEDOM + D) / 2) - gammaln(_FREEDOM / 2)
        return self.log_prob(z) + constant - 0.5 * D * np.log(_FREEDOM * np.pi)

    def _log_factors(self) -> Array:
        """Compute log w_k |R_k|."""
        return np.log(self.weights) + _log_determinants(self.whiteners)


def fit_mixture(
    z: Array, n_components: int, generator: np.random.Generator, *, rounds: int = 8
) -> StudentMixture:
    """
    Fit a mixture to every set of points.

    Parameters
    ----------
    z : ndarray of shape (m, n, D)
        The points.
    n_components : int
        The number of components, K.
    generator : numpy.random.Generator
        Chooses the first centres.
    rounds : int, default=8
        The number of rounds of expectation maximisation.

    Returns
    -------
    StudentMixture
        The mixtures.
    """
    m, n, D = z.shape
    n_blocks = min(m, -(-m * n * n_components * D // _BLOCK))
    blocks = np.array_split(z, n_blocks)
    parts = [_fit_block(block, n_components, generator, rounds) for block in blocks]
    weights, centers, covariances = (np.concatenate(part) for part in zip(*parts, strict=True))
    roots = np.linalg.cholesky(covariances)
    return StudentMixture(weights, centers, roots, np.linalg.inv(roots).swapaxes(-1, -2))


def _fit_block(
    z: Array, n_components: int, generator: np.random.Generator, rounds: int
) -> tuple[Array, Array, Array]:
    """Fit sets that fit into memory: weights, centres and covariances."""
    whole = _covariance(z)
    shares = _first_shares(z, whole, n_components, generator)
    for _ in range(rounds):
        weights, centers, covariances = _maximise(z, shares, whole)
        shares = _expect(z, weights, centers, covariances)
    return _maximise(z, shares, whole)


def _covariance(z: Array) -> Array:
    """Compute the covariance of every set, positive definite even where the points coincide."""
    centered = z - z.mean(axis=1, keepdims=True)
    return with_floor(centered.swapaxes(1, 2) @ centered / z.shape[1])


def _first_shares(
    z: Array, whole: Array, n_components: int, generator: np.random.Generator
) -> Array:
    """Assign every point to the nearest of centres that are far from each other."""
    rows = np.arange(len(z))
    y = z @ np.linalg.inv(np.linalg.cholesky(whole)).swapaxes(1, 2)
    chosen = generator.integers(z.shape[1], size=len(z))
    distances = []
    for _ in range(n_components):
        distances.append(((y - y[rows, chosen][:, None]) ** 2).sum(axis=-1))
        edges = np.cumsum(np.min(distances, axis=0), axis=1)
        level = generator.random((len(z), 1)) * edges[:, -1:]
        chosen = np.minimum((edges < level).sum(axis=1), z.shape[1] - 1)
    nearest = np.argmin(distances, axis=0)
    return np.eye(n_components)[nearest]


def _maximise(z: Array, shares: Array, whole: Array) -> tuple[Array, Array, Array]:
    """Compute weights, centres and covariances from every component's shares in the points."""
    D = z.shape[-1]
    prior = _PRIOR_POINTS * (D + 2)
    counts = shares.sum(axis=1)
    middle = z.mean(axis=1, keepdims=True)
    y = z - middle
    offsets = shares.swapaxes(1, 2) @ y / (counts + 1e-9)[..., None]
    products = (y[..., :, None] * y[..., None, :]).reshape(*z.shape[:2], D * D)
    seconds = (shares.swapaxes(1, 2) @ products).reshape(*offsets.shape, D)
    scatter = seconds - counts[..., None, None] * offsets[..., :, None] * offsets[..., None, :]
    covariances = (scatter + prior * whole[:, None]) / (counts + prior)[..., None, None]
    weights = (counts + 1) / (counts + 1).sum(axis=1, keepdims=True)
    return weights, middle + offsets, covariances + 1e-9 * whole[:, None]


def _expect(z: Array, weights: Array, centers: Array, covariances: Array) -> Array:
    """Compute every component's share in every point."""
    whiteners = np.linalg.inv(np.linalg.cholesky(covariances)).swapaxes(-1, -2)
    logs = np.log(weights) + _log_determinants(whiteners)
    logs = logs[:, None] - 0.5 * _squared_distances(z, centers, whiteners)
    shares = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


def _squared_distances(z: Array, centers: Array, whiteners: Array) -> Array:
    """Compute |(z - c_k) R_k|^2: shape (m, n, K)."""
    m, K, D = centers.shape
    flat = whiteners.transpose(0, 2, 1, 3).reshape(m, D, K * D)
    y = (z @ flat).reshape(m, z.shape[1], K, D) - (centers[:, :, None] @ whiteners)[:, None, :, 0]
    return np.einsum("mnkd,mnkd->mnk", y, y)


def _log_determinants(whiteners: Array) -> Array:
    """Compute log |R_k|, from the diagonal."""
    return np.log(np.einsum("mkdd->mkd", whiteners)).sum(axis=-1)
