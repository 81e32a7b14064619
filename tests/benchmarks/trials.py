"""
How far posteriors given many trials are off, over the least possible.

For NLE and NRE fitted to n simulations of eight problems with exact answers, by default settings,
the mean of the posterior given T trials is compared with the exact one: the root mean square, over
12 observations from the prior, of the distance in exact standard deviations (Mahalanobis), divided
by sqrt(D_T T / n), with D_T what trials tell of D parameters. The constant in
``sksbi/posteriors/expected.py`` is the median of the last column.

    .venv/bin/python tests/benchmarks/trials.py [NLE] [NRE]
"""

from __future__ import annotations

import sys
import warnings

import numpy as np
from scipy import stats
from scipy.special import logsumexp

from sksbi import NLE, NRE

# Of theta (k, D), x (T, L): draws of x, and log-densities (k, T).
PROBLEMS = {
    "normal mean": (
        1,
        lambda a, rng: rng.normal(a, 0.5),
        lambda a, x: stats.norm.logpdf(x.T, a, 0.5),
    ),
    "normal scale": (
        1,
        lambda a, rng: rng.normal(0, np.exp(a)),
        lambda a, x: stats.norm.logpdf(x.T, 0, np.exp(a)),
    ),
    "exponential": (
        1,
        lambda a, rng: rng.exponential(np.exp(-a)),
        lambda a, x: a - np.exp(a) * x.T,
    ),
    "count": (
        1,
        lambda a, rng: rng.poisson(np.exp(1.5 + a / 2)),
        lambda a, x: stats.poisson.logpmf(x.T, np.exp(1.5 + a / 2)),
    ),
    "choice": (
        1,
        lambda a, rng: (rng.random(a.shape) < 1 / (1 + np.exp(-a))) * 1.0,
        lambda a, x: -np.logaddexp(0, np.where(x.T == 1, -a, a)),
    ),
    "two means": (
        2,
        lambda a, rng: rng.normal(a, 0.5),
        lambda a, x: sum(stats.norm.logpdf(x[:, i], a[:, i : i + 1], 0.5) for i in range(2)),
    ),
    "mean and scale": (
        2,
        lambda a, rng: rng.normal(a[:, :1], np.exp(a[:, 1:] / 2)),
        lambda a, x: stats.norm.logpdf(x.T, a[:, :1], np.exp(a[:, 1:] / 2)),
    ),
    "gamma": (
        2,
        lambda a, rng: rng.gamma(np.exp(1 + a[:, :1] / 2), np.exp(a[:, 1:] / 2)),
        lambda a, x: stats.gamma.logpdf(x.T, np.exp(1 + a[:, :1] / 2), scale=np.exp(a[:, 1:] / 2)),
    ),
}
ESTIMATORS = {"NLE": NLE, "NRE": NRE}
SIMULATIONS, TRIALS, SEEDS, OBSERVATIONS = (1_000, 5_000), (5, 20, 80), (0, 1), 12


def moments(grid: np.ndarray, log_p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute mean and covariance of a density on a grid, with the standard normal prior."""
    log_p = log_p - (grid**2).sum(axis=1) / 2
    weight = np.exp(log_p - logsumexp(log_p))
    mean = weight @ grid
    return mean, (grid - mean).T @ ((grid - mean) * weight[:, None])


def measure(name: str, kind: str, n: int, seed: int) -> list[str]:
    """Fit once, and write a row for every number of trials."""
    d, draw, log_density = PROBLEMS[name]
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(n, d))
    estimator = ESTIMATORS[kind]([stats.norm()] * d, random_state=seed)
    estimator.fit(theta, draw(theta, rng))
    axis = np.linspace(-4, 4, 601 if d == 1 else 61)
    coarse = np.stack(np.meshgrid(*[axis] * d, indexing="ij"), axis=-1).reshape(-1, d)
    rows = []
    for n_trials in TRIALS:
        errors, told = [], []
        for true in rng.normal(size=(OBSERVATIONS, d)):
            x = draw(np.tile(true, (n_trials, 1)), rng)
            mean, spread = moments(coarse, log_density(coarse, x).sum(axis=1))
            around = mean + (coarse / 4 * 7) @ np.linalg.cholesky(spread).T
            mean, spread = moments(around, log_density(around, x).sum(axis=1))
            ask = estimator.log_likelihood if kind == "NLE" else estimator.predict_log_ratio
            found, _ = moments(around, ask(around, x, iid=True))
            errors.append((found - mean) @ np.linalg.solve(spread, found - mean))
            told.append(d - np.trace(spread))
        rms, least = np.mean(errors) ** 0.5, (np.mean(told) * n_trials / n) ** 0.5
        row = f"{kind:4} {name:15} {n:6} {seed:4} {n_trials:6} {rms:6.2f} {least:6.2f}"
        rows.append(f"{row} {rms / least:6.1f}")
    return rows


def main() -> None:
    """Write the table."""
    print("     problem              n seed trials    rms  least  ratio")
    warnings.simplefilter("ignore")
    ratios = []
    for kind in sys.argv[1:] or ESTIMATORS:
        for name in PROBLEMS:
            for n in SIMULATIONS:
                for seed in SEEDS:
                    rows = measure(name, kind, n, seed)
                    ratios += [float(row.split()[-1]) for row in rows]
                    print("\n".join(rows), flush=True)
        print(kind, "quantiles of the ratio", np.quantile(ratios, [0, 0.1, 0.5, 0.9, 1]).round(1))
        ratios = []


if __name__ == "__main__":
    main()
