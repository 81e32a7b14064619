"""
Problems by kind of x, whose exact posteriors are known: tables with gaps, sets of trials, and those
of wide_problems.py as series, images and histograms.

A problem has ``prior``, ``joint(n, seed)``, which gives pairs, and ``exact(n, seed)``, which gives
pairs with the means and deviations of their exact posteriors and the log-density of theta in them.
Posteriors of two parameters are computed on a grid of 400 by 400 of the prior's quantiles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats
from wide_problems import PROBLEMS

__all__ = ["KINDS", "Exact", "OnGrid", "Wide"]

Array = NDArray[np.float64]

GRID = 400
HOURS = np.array([1.0, 2.0, 4.0, 8.0])
VOLUMES, ERRORS = {"female": 30.0, "male": 40.0}, {"old": 0.3, "new": 0.1}
DOSE, MISSING = 500.0, 0.25
N_TRIALS, SPREAD, LOG_SECONDS = 20, 0.5, 0.3


@dataclass(frozen=True)
class Exact:
    """Observations, and what is exact about their posteriors."""

    theta: Array
    x: object
    mean: Array
    sd: Array
    log_prob: Array

    def first(self, n: int) -> Exact:
        """Take the first n."""
        parts = (self.theta, self.x, self.mean, self.sd, self.log_prob)
        return Exact(*(part[:n] for part in parts))


@dataclass(frozen=True)
class OnGrid:
    """
    A problem of two parameters, whose posterior is computed on a grid.

    Parameters
    ----------
    prior : dict
        Frozen scipy.stats distributions by name.
    simulate : callable (theta (n, 2), rng) -> x
        The simulator.
    log_likelihood : callable (theta (k, 2), x, i) -> (k,)
        The logarithm of p(x_i | theta), up to a term in x.
    """

    prior: dict
    simulate: Callable[[Array, np.random.Generator], object]
    log_likelihood: Callable[[Array, object, int], Array]

    def joint(self, n: int, seed: int) -> tuple[Array, object]:
        """Draw n pairs (theta, x)."""
        rng = np.random.default_rng(seed)
        theta = np.stack([d.rvs(n, random_state=rng) for d in self.prior.values()], axis=1)
        return theta, self.simulate(theta, rng)

    def exact(self, n: int, seed: int) -> Exact:
        """Draw n pairs, with their exact posteriors."""
        theta, x = self.joint(n, seed)
        levels = (np.arange(GRID) + 0.5) / GRID
        axes = [marginal.ppf(levels) for marginal in self.prior.values()]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
        log_prior = sum(d.logpdf(theta[:, j]) for j, d in enumerate(self.prior.values()))
        found = []
        for i in range(n):
            log_p = self.log_likelihood(grid, x, i)
            weight = special.softmax(log_p)
            mean = weight @ grid
            log_evidence = special.logsumexp(log_p) - np.log(len(grid))
            own = self.log_likelihood(theta[i : i + 1], x, i)[0]
            found.append((mean, np.sqrt(weight @ (grid - mean) ** 2), own - log_evidence))
        mean, sd, log_ratio = (np.array(part) for part in zip(*found, strict=True))
        return Exact(theta, x, mean, sd, log_prior + log_ratio)


@dataclass(frozen=True)
class Wide:
    """
    A problem of wide_problems.py, whose rows have a shape.

    Parameters
    ----------
    name : str
        Its name there.
    shape : tuple of int
        The shape of one observation.
    """

    name: str
    shape: tuple[int, ...]
    prior: dict = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "prior", PROBLEMS[self.name]().prior)

    def joint(self, n: int, seed: int) -> tuple[Array, Array]:
        """Draw n pairs (theta, x)."""
        theta, x = PROBLEMS[self.name]().joint(n, seed)
        return theta, x.reshape(-1, *self.shape)

    def exact(self, n: int, seed: int) -> Exact:
        """Draw n pairs, with their exact posteriors."""
        problem = PROBLEMS[self.name]()
        theta, x = problem.joint(n, seed)
        exact = [problem.exact(theta[i], x[i], i) for i in range(n)]
        log_p = [problem.log_likelihood(theta[i : i + 1], x[i])[0] for i in range(n)]
        mean, sd = np.array([e.mean for e in exact]), np.array([e.sd for e in exact])
        log_prob = problem.log_prior(theta) + log_p - [e.log_evidence for e in exact]
        return Exact(theta, x.reshape(-1, *self.shape), mean, sd, log_prob)


def drug() -> OnGrid:
    """
    Samples of blood after a drug: four concentrations, one in four of them missing, and two words.

    The concentration after t hours is dose * absorbed / volume * exp(-elimination * t), with a
    relative error that depends on the assay, and a volume that depends on the patient.
    """

    def simulate(theta: Array, rng: np.random.Generator) -> pd.DataFrame:
        n = len(theta)
        sex, assay = rng.choice(list(VOLUMES), n), rng.choice(list(ERRORS), n)
        error = pd.Series(assay).map(ERRORS).to_numpy()[:, None]
        log_c = _log_concentration(theta, pd.Series(sex).map(VOLUMES).to_numpy()[:, None])
        log_c = log_c + error * rng.standard_normal((n, len(HOURS)))
        log_c[rng.random(log_c.shape) < MISSING] = np.nan
        table = pd.DataFrame(np.exp(log_c), columns=[f"after_{t:.0f}h" for t in HOURS])
        words = {"sex": pd.Categorical(sex), "assay": pd.Categorical(assay)}
        return table.assign(**words)

    def log_likelihood(theta: Array, x: pd.DataFrame, i: int) -> Array:
        row = x.iloc[i]
        left = np.log(row.iloc[: len(HOURS)].to_numpy(float))
        left = (left - _log_concentration(theta, VOLUMES[row["sex"]])) / ERRORS[row["assay"]]
        return -0.5 * np.nansum(left**2, axis=1)

    prior = {"absorbed": stats.uniform(0.3, 0.7), "elimination": stats.lognorm(0.5, scale=0.2)}
    return OnGrid(prior, simulate, log_likelihood)


def _log_concentration(theta: Array, volume: Array | float) -> Array:
    """Compute the logarithms of concentrations (n, 4)."""
    return np.log(DOSE * theta[:, :1] / volume) - theta[:, 1:] * HOURS


def decisions() -> OnGrid:
    """
    Twenty answers of one person: which of two choices, and after how many seconds.

    Two accumulators arrive at log-normal times, and the faster one makes the choice.
    """

    def simulate(theta: Array, rng: np.random.Generator) -> Array:
        size = (len(theta), N_TRIALS)
        left = rng.lognormal(LOG_SECONDS, SPREAD, size)
        right = rng.lognormal(LOG_SECONDS - theta[:, :1], SPREAD, size)
        return np.stack([right < left, theta[:, 1:] + np.minimum(left, right)], axis=-1)

    def log_likelihood(theta: Array, x: Array, i: int) -> Array:
        right, seconds = x[i].T
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.log(np.maximum(seconds - theta[:, 1:], 0)) - LOG_SECONDS
            own = (z + right * theta[:, :1]) / SPREAD
            other = (z + (1 - right) * theta[:, :1]) / SPREAD
            log_p = -0.5 * own**2 - z + special.log_ndtr(-other)
        return np.where(np.isfinite(z).all(axis=1), np.nan_to_num(log_p).sum(axis=1), -np.inf)

    prior = {"advantage": stats.norm(0, 1), "delay": stats.uniform(0.1, 0.4)}
    return OnGrid(prior, simulate, log_likelihood)


KINDS: dict[str, Callable[[], OnGrid | Wide]] = {
    "table": drug,
    "series": partial(Wide, "ar_100", (1, 100)),
    "wave": partial(Wide, "oscillation_300", (1, 300)),
    "image": partial(Wide, "blob", (1, 32, 32)),
    "trials": decisions,
    "histogram": partial(Wide, "spectrum_30", (30,)),
}
