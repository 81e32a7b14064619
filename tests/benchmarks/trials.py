"""
How far posteriors given many trials are off, over what is expected.

For NLE and NRE fitted to n simulations of eight problems with exact answers, by default settings,
the mean of the posterior given T trials is compared with the exact one, in exact standard
deviations (Mahalanobis), for 12 observations from the prior. A row has the root mean square of that
error, of sqrt(D_T T / n), and of what ``sksbi/posteriors/expected.py`` expects; the last lines have
quantiles of error over expected error, and of how many observations a warning would tell.

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


def measure(name: str, kind: str, n: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Fit once; write a row for every number of trials; give errors and expected ones."""
    d, draw, log_density = PROBLEMS[name]
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(n, d))
    estimator = ESTIMATORS[kind]([stats.norm()] * d, random_state=seed)
    estimator.fit(theta, draw(theta, rng))
    ask = estimator.log_likelihood if kind == "NLE" else estimator.predict_log_ratio
    axis = np.linspace(-4, 4, 601 if d == 1 else 61)
    coarse = np.stack(np.meshgrid(*[axis] * d, indexing="ij"), axis=-1).reshape(-1, d)
    rows, pairs = [], []
    for n_trials in TRIALS:
        found = []
        for true in rng.normal(size=(OBSERVATIONS, d)):
            x = draw(np.tile(true, (n_trials, 1)), rng)
            mean, spread = moments(coarse, log_density(coarse, x).sum(axis=1))
            around = mean + (coarse / 4 * 7) @ np.linalg.cholesky(spread).T
            mean, spread = moments(around, log_density(around, x).sum(axis=1))
            other, other_spread = moments(around, ask(around, x, iid=True))
            error = (other - mean) @ np.linalg.solve(spread, other - mean)
            least = max(d - np.trace(other_spread), 0.0) * n_trials / n
            found.append([error, least, 4 * least * np.exp(np.max(other**2) / 2)])
        numbers = [f"{value:8.2f}" for value in np.mean(found, axis=0) ** 0.5]
        rows.append(f"{kind:4} {name:15} {n:6} {seed:4} {n_trials:6} {' '.join(numbers)}")
        pairs += np.sqrt(np.array(found)[:, [0, 2]]).tolist()
    return rows, np.array(pairs)


def main() -> None:
    """Write the table."""
    print("     problem              n seed trials      rms    least expected")
    warnings.simplefilter("ignore")
    for kind in sys.argv[1:] or ESTIMATORS:
        pairs = []
        for name in PROBLEMS:
            for n in SIMULATIONS:
                for seed in SEEDS:
                    rows, more = measure(name, kind, n, seed)
                    pairs.append(more)
                    print("\n".join(rows), flush=True)
        error, expected = np.concatenate(pairs).T
        quantiles = np.quantile(error / expected, [0.1, 0.5, 0.9, 0.99]).round(2)
        told = expected > 0.5
        print(
            f"{kind}: {len(error)} posteriors, quantiles 10, 50, 90, 99% of the ratio {quantiles}"
        )
        for text, where in (("> 1", error > 1), ("> 0.5", error > 0.5), ("< 0.25", error < 0.25)):
            print(f"  error {text}: {where.sum()}, of which told {told[where].mean():.2f}")


if __name__ == "__main__":
    main()
