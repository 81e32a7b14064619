"""
The ten tasks of sbibm, with the observations and the reference draws in its wheel.

Seven are those of :func:`sksbi.datasets.load_task`; three are built here, as sbibm 1.1.0 builds
them (Benchmarking simulation-based inference, Lueckmann et al., 2021,
https://arxiv.org/abs/2101.04653):

- bernoulli_glm: theta holds an offset and a filter of nine steps under a smooth Gaussian prior;
  V is the design matrix of a white-noise stimulus, y_t ~ Bernoulli(sigmoid(V theta)_t) for 100
  steps, and x = V^T y is sufficient: the number of spikes and the spike-triggered average.
- bernoulli_glm_raw: the same with x = y.
- slcp_distractors: the 8 numbers of slcp among 92 that tell nothing, draws from a mixture of 20
  Student t distributions with 2 degrees of freedom, in a fixed order.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy import special, stats

from sksbi import simulate
from sksbi.datasets import Task, load_task

__all__ = ["LOW_DIMENSIONAL", "TASKS", "GLMTask", "Wheel", "make_task"]

LOW_DIMENSIONAL = (
    "two_moons",
    "gaussian_mixture",
    "slcp",
    "gaussian_linear",
    "gaussian_linear_uniform",
    "sir",
    "lotka_volterra",
    "bernoulli_glm",
)
TASKS = (*LOW_DIMENSIONAL, "bernoulli_glm_raw", "slcp_distractors")

# Variants that share a folder: the folder, and the name of the file of an observation.
_VARIANTS = {
    "bernoulli_glm_raw": ("bernoulli_glm", "observation_raw.csv"),
    "slcp_distractors": ("slcp", "observation_distractors.csv"),
}
_CHUNK_SIZE = 10_000
_N_COMPONENTS, _N_NOISE, _DF = 20, 92, 2


class Wheel:
    """
    The files in the wheel of sbibm.

    Parameters
    ----------
    path : str
        The wheel.
    """

    def __init__(self, path: str) -> None:
        self._files = zipfile.ZipFile(path)

    def _read(self, task: str, name: str) -> io.BytesIO:
        """Read a file of a task."""
        folder, _ = _VARIANTS.get(task, (task, ""))
        return io.BytesIO(self._files.read(f"sbibm/tasks/{folder}/files/{name}"))

    def _table(self, task: str, observation: int, name: str) -> np.ndarray:
        """Read a table that belongs to an observation."""
        file = self._read(task, f"num_observation_{observation}/{name}")
        compression = "bz2" if name.endswith("bz2") else None
        return pd.read_csv(file, compression=compression).to_numpy(float)

    def observation(self, task: str, observation: int) -> np.ndarray:
        """Read one observation, shape (L,)."""
        _, name = _VARIANTS.get(task, (task, "observation.csv"))
        return self._table(task, observation, name)[0]

    def parameters(self, task: str, observation: int) -> np.ndarray:
        """Read the parameters that an observation was simulated with, shape (D,)."""
        return self._table(task, observation, "true_parameters.csv")[0]

    def draws(self, task: str, observation: int) -> np.ndarray:
        """Read the reference draws, shape (10_000, D)."""
        return self._table(task, observation, "reference_posterior_samples.csv.bz2")

    def tensor(self, task: str, name: str) -> np.ndarray:
        """Read a tensor, as an array."""
        return torch.load(self._read(task, name), weights_only=True).numpy()


def make_task(name: str, wheel: Wheel) -> Task | GLMTask:
    """
    Make one of the ten tasks.

    Parameters
    ----------
    name : str
        One of TASKS.
    wheel : Wheel
        Where the design matrix and the order of the distractors are.

    Returns
    -------
    Task or GLMTask
        An object with ``prior``, ``simulate(n, random_state)`` and ``log_likelihood(theta, x)``.
    """
    if name in ("bernoulli_glm", "bernoulli_glm_raw"):
        design = wheel.tensor(name, "design_matrix.pt").astype(float)
        return GLMTask(_smooth_prior(design.shape[1]), design, raw=name.endswith("raw"))
    if name == "slcp_distractors":
        return _make_distractors(wheel.tensor(name, "permutation_idx.torch"))
    return load_task(name)


@dataclass(frozen=True)
class GLMTask:
    """
    A generalised linear model of spikes, whose prior is no dict and therefore no `Task`.

    Parameters
    ----------
    prior : frozen scipy.stats.multivariate_normal
        The prior.
    design : ndarray of shape (T, D)
        The design matrix.
    raw : bool
        Whether x holds the T spikes, not the D sufficient statistics.
    """

    prior: object
    design: np.ndarray
    raw: bool

    def simulate(self, n_samples: int, random_state: object = None) -> tuple:
        """Draw theta (n, D) from the prior and x with it."""
        options = {"vectorized": True, "chunk_size": _CHUNK_SIZE, "random_state": random_state}
        return simulate(self.simulator, self.prior, n_samples, **options)

    def simulator(self, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw spikes, and their statistics unless they are wanted raw."""
        rate = special.expit(theta @ self.design.T)
        spikes = (rng.random(rate.shape) < rate).astype(float)
        return spikes if self.raw else spikes @ self.design

    def log_likelihood(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Compute log p(x | theta); of the statistics without a term in x alone."""
        statistics = x @ self.design if self.raw else x
        normaliser = np.logaddexp(0.0, theta @ self.design.T).sum(axis=1)
        return (theta * statistics).sum(axis=1) - normaliser


def _smooth_prior(dimension: int) -> object:
    """Build the prior: a wide offset, and a filter with small second differences."""
    n = dimension - 1
    difference = np.eye(n) - np.eye(n, k=-1)
    factor = difference @ difference + np.diag(np.sqrt(np.arange(n) / n))
    precision = np.zeros((dimension, dimension))
    precision[0, 0] = 0.5
    precision[1:, 1:] = factor.T @ factor
    return stats.multivariate_normal(np.zeros(dimension), np.linalg.inv(precision))


def _make_distractors(order: np.ndarray) -> Task:
    """Hide the outputs of slcp among noise."""
    slcp = load_task("slcp")
    loc, factors = _noise_parameters(order)
    places = np.argsort(order)[: slcp.n_outputs]

    def forward(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noise = _draw_noise(loc, factors, len(theta), rng)
        return np.hstack([slcp.forward(theta, rng), noise])[:, order]

    def log_density(theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        return slcp.log_density(theta, x[:, places])

    return Task("slcp_distractors", slcp.prior, len(order), forward, log_density)


def _noise_parameters(order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Draw locations and Cholesky factors of the noise as sbibm drew them.

    Its file gmm.torch holds the same numbers (to rounding), but as objects that only pyro can read.
    The order was drawn after them from the same generator, which proves that they are the same.
    """
    rng = np.random.RandomState(42)
    size = (_N_NOISE, _N_NOISE)
    loc = np.array([15 * rng.normal(size=_N_NOISE) for _ in range(_N_COMPONENTS)])
    factors = np.array(
        [
            np.tril(rng.normal(size=size)) + np.diag(np.exp(rng.normal(size=_N_NOISE)))
            for _ in range(_N_COMPONENTS)
        ]
    )
    if not np.array_equal(rng.permutation(len(order)), order):
        raise RuntimeError("NumPy's RandomState(42) no longer draws the distractors of sbibm.")
    return loc, 3 * factors


def _draw_noise(
    loc: np.ndarray, factors: np.ndarray, n: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw n rows from the mixture of Student t distributions."""
    component = rng.integers(len(loc), size=n)
    noise = rng.normal(size=(n, loc.shape[1]))
    noise /= np.sqrt(rng.chisquare(_DF, size=(n, 1)) / _DF)
    for k, (centre, factor) in enumerate(zip(loc, factors, strict=True)):
        rows = component == k
        noise[rows] = centre + noise[rows] @ factor.T
    return noise
