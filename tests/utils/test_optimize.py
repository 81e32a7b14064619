"""Maximisation: known modes, of several functions at once."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from sksbi.utils.optimize import maximise

MEANS = np.array([[1.0, -2.0, 30.0], [0.0, 0.0, 0.0]])
COVARIANCE = np.array([[1.0, 0.95, 0.0], [0.95, 1.0, 0.5], [0.0, 0.5, 4.0]])


def gaussians(points: np.ndarray) -> np.ndarray:
    """Evaluate one correlated Gaussian for every mean."""
    columns = zip(points, MEANS, strict=True)
    return np.array(
        [np.atleast_1d(multivariate_normal(mean, COVARIANCE).logpdf(p)) for p, mean in columns]
    )


def start_around(centers: np.ndarray, seed: int, spread: float = 1.0) -> np.ndarray:
    """Draw 1,000 points around every centre."""
    noise = np.random.default_rng(seed).normal(scale=spread, size=(len(centers), 1000, 3))
    return centers[:, None] + noise


@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_the_modes_of_correlated_gaussians_are_found(offset: float) -> None:
    start = start_around(MEANS + offset, seed=1)
    best = maximise(gaussians, start, np.random.default_rng(0))
    np.testing.assert_allclose(best, MEANS, atol=1e-4)


@pytest.mark.parametrize("higher", [-3.0, 3.0])
def test_the_higher_of_two_modes_wins_over_the_wider(higher: float) -> None:
    def log_density(z: np.ndarray) -> np.ndarray:
        narrow = 1.0 - 0.5 * ((z - higher) / 0.3) ** 2
        wide = -0.5 * (z + higher) ** 2
        return np.logaddexp(narrow, wide)[..., 0]

    rng = np.random.default_rng(2)
    start = rng.choice([-3.0, 3.0], (1, 1000, 1)) + rng.normal(size=(1, 1000, 1))
    np.testing.assert_allclose(maximise(log_density, start, rng), [[higher]], atol=1e-3)


def test_what_has_no_density_is_never_the_best() -> None:
    def log_density(z: np.ndarray) -> np.ndarray:
        return np.where(z[..., 0] > 0, -z[..., 0], -np.inf)

    start = np.random.default_rng(3).normal(size=(1, 1000, 1))
    best = maximise(log_density, start, np.random.default_rng(0))
    assert 0 < best[0, 0] < 1e-2


def test_the_result_is_no_worse_than_the_start_and_repeats() -> None:
    start = start_around(MEANS + 5, seed=4)
    results = [maximise(gaussians, start, np.random.default_rng(0), rounds=n) for n in (1, 1, 3)]
    np.testing.assert_array_equal(results[0], results[1])
    values = [gaussians(r[:, None])[:, 0] for r in results]
    np.testing.assert_allclose(values[0], gaussians(start).max(axis=1))
    assert (values[2] >= values[0]).all()
