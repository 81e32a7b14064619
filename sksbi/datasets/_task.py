"""
A benchmark task: a prior, a simulator, its likelihood, and exact posterior draws where they exist.

A task is a record of four functions on arrays; the methods here check what a user passes, name the
columns and hand out the generators, for all tasks alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sksbi.simulation import simulate
from sksbi.utils.containers import as_floats, plain
from sksbi.utils.random import check_generator
from sksbi.utils.types import RandomState, Table
from sksbi.utils.validation import check_count

__all__ = ["Task"]

_CHUNK_SIZE = 10_000


@dataclass(frozen=True, repr=False)
class Task:
    """
    A benchmark task of simulation-based inference.

    Made by :func:`sksbi.datasets.load_task`.

    Parameters
    ----------
    name : str
        The name in the benchmark.
    prior : dict of frozen scipy.stats distributions
        The prior of every parameter; the keys name theta's columns.
    n_outputs : int
        L, the width of x.
    forward : callable (theta (n, D), rng) -> (n, L)
        Draws one x a row of theta.
    log_density : callable (theta (n, D), x (n, L) or (1, L)) -> (n,)
        The log likelihood.
    exact_posterior : callable (x (L,), n_samples, rng) -> (n_samples, D), optional
        Draws from the posterior of one observation, where it has a closed form.

    Examples
    --------
    >>> from sksbi.datasets import load_task
    >>> task = load_task("two_moons")
    >>> theta, x = task.simulate(5, random_state=0)
    >>> theta.shape, x.shape
    ((5, 2), (5, 2))
    >>> task.sample_posterior(x[0], 100, random_state=0).columns.tolist()
    ['theta_1', 'theta_2']
    """

    name: str
    prior: dict[str, Any]
    n_outputs: int
    forward: Callable[[np.ndarray, np.random.Generator], np.ndarray]
    log_density: Callable[[np.ndarray, np.ndarray], np.ndarray]
    exact_posterior: Callable[[np.ndarray, int, np.random.Generator], np.ndarray] | None = None

    def __repr__(self) -> str:
        return f"Task({self.name!r}, parameters={self.names}, n_outputs={self.n_outputs})"

    @property
    def names(self) -> list[str]:
        """The names of the parameters, in the order of theta's columns."""
        return list(self.prior)

    @property
    def has_exact_posterior(self) -> bool:
        """Whether :meth:`sample_posterior` works."""
        return self.exact_posterior is not None

    def simulator(self, theta: Table, rng: RandomState = None) -> np.ndarray:
        """
        Simulate one x for every row of theta.

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D)
            The parameters; the columns of a DataFrame are taken by name.
        rng : None, int, numpy.random.RandomState or numpy.random.Generator, default=None
            Source of the noise.

        Returns
        -------
        ndarray of shape (n, L)
            The simulated data; NaN where theta is so large that there are none.

        Raises
        ------
        ValueError
            If theta has another width, lacks a parameter, or is not finite.
        """
        theta, generator = self._check_theta(theta), check_generator(rng, "rng")
        with np.errstate(all="ignore"):
            return self.forward(theta, generator)

    def simulate(
        self, n_samples: int, random_state: RandomState = None
    ) -> tuple[pd.DataFrame, np.ndarray]:
        """
        Draw parameters from the prior and simulate with them.

        Parameters
        ----------
        n_samples : int
            Number of pairs.
        random_state : None, int, numpy.random.RandomState or numpy.random.Generator, default=None
            Source of all draws.

        Returns
        -------
        theta : DataFrame of shape (n_samples, D)
            The parameters.
        x : ndarray of shape (n_samples, L)
            The simulated data.
        """
        pairs = simulate(
            self.simulator,
            self.prior,
            n_samples,
            vectorized=True,
            chunk_size=_CHUNK_SIZE,
            random_state=random_state,
        )
        return cast(tuple[pd.DataFrame, np.ndarray], pairs)

    def log_likelihood(self, theta: Table, x: ArrayLike) -> np.ndarray:
        """
        Compute log p(x | theta), pair by pair.

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D)
            The parameters.
        x : array-like of shape (n, L) or (L,)
            The data; one observation goes with every row of theta.

        Returns
        -------
        ndarray of shape (n,)
            The log likelihoods, -inf where the data are impossible.

        Raises
        ------
        ValueError
            If a shape does not fit, or theta or x is not finite.
        """
        theta, x = self._check_theta(theta), self._check_x(x)
        if len(x) not in (1, len(theta)):
            raise ValueError(
                "x must be one observation or have as many rows as theta, "
                f"got {len(x)} rows of x for {len(theta)} of theta."
            )
        with np.errstate(all="ignore"):
            return np.nan_to_num(self.log_density(theta, x), nan=-np.inf, neginf=-np.inf)

    def sample_posterior(
        self, x: ArrayLike, n_samples: int = 1000, random_state: RandomState = None
    ) -> pd.DataFrame:
        """
        Draw from the exact posterior given one observation.

        Parameters
        ----------
        x : array-like of shape (L,) or (1, L)
            The observation.
        n_samples : int, default=1000
            Number of independent draws.
        random_state : None, int, numpy.random.RandomState or numpy.random.Generator, default=None
            Source of the draws.

        Returns
        -------
        DataFrame of shape (n_samples, D)
            The draws.

        Raises
        ------
        ValueError
            If the posterior of this task has no closed form (see ``has_exact_posterior``), x is not
            one finite observation, n_samples is not positive, or no parameters inside the prior can
            have produced x.
        """
        if self.exact_posterior is None:
            raise ValueError(
                f"The posterior of the task {self.name!r} has no closed form: draw from it by MCMC "
                "on log_likelihood and the prior."
            )
        x = self._check_x(x)
        if len(x) != 1:
            raise ValueError(f"x must be one observation, got {len(x)} rows: pass them one by one.")
        n_samples = check_count(n_samples, "n_samples")
        draws = self.exact_posterior(x[0], n_samples, check_generator(random_state))
        return pd.DataFrame(draws, columns=self.names)

    def _check_theta(self, theta: Table) -> np.ndarray:
        """Turn theta into a float array of shape (n, D)."""
        theta = plain(theta, "theta")
        if isinstance(theta, pd.DataFrame):
            missing = [name for name in self.names if name not in theta.columns]
            if missing:
                raise ValueError(
                    f"theta must have the columns {self.names}, got {list(theta.columns)}: "
                    f"{missing} missing."
                )
            theta = theta[self.names]
        return _check_matrix(theta, "theta", len(self.prior))

    def _check_x(self, x: ArrayLike) -> np.ndarray:
        """Turn x into a float array of shape (n, L); one observation becomes one row."""
        x = as_floats(x, "x")
        return _check_matrix(x[None] if x.ndim == 1 else x, "x", self.n_outputs)


def _check_matrix(values: Table, name: str, width: int) -> np.ndarray:
    """Check the shape of a matrix and that it is finite."""
    matrix = as_floats(values, name)
    if matrix.ndim != 2 or matrix.shape[1] != width:
        raise ValueError(f"{name} must have shape (n, {width}), got {matrix.shape}.")
    if not np.isfinite(matrix).all():
        bad = matrix[~np.isfinite(matrix)][0]
        raise ValueError(f"{name} must be finite, got {bad}: leave such rows out.")
    return matrix
