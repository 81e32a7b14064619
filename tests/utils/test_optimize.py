"""Maximisation: known modes, of several functions at once."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from sksbi.utils.optimize import maximise

MEANS = np.array([[1.0, -2.0, 30.0], [0.0, 0.0, 0.0]])
ROWS = np.arange(2)
COVARIANCE = np.array([[1.0, 0.95, 0.0], [0.95, 1.0, 0.5], [0.0, 0.5, 4.0]])


def gaussians(points: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Evaluate one correlated Gaussian for every mean."""
    pairs = zip(points, MEANS[rows], strict=True)
    return np.array(
        [np.atleast_1d(multivariate_normal(mean, COVARIANCE).logpdf(p)) for p, mean in pairs]
    )


def start_around(centers: np.ndarray, seed: int, spread: float = 1.0) -> np.ndarray:
    """Draw 1,000 points around every centre."""
    noise = np.random.default_rng(seed).normal(scale=spread, size=(len(centers), 1000, 3))
    return centers[:, None] + noise


@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_the_modes_of_correlated_gaussians_are_found(offset: float) -> None:
    start = start_around(MEANS + offset, seed=1)
    best = maximise(gaussians, start, np.random.default_rng(0))
    lost = gaussians(MEANS[:, None], ROWS) - gaussians(best[:, None], ROWS)
    assert lost.max() < 1e-5  # what float32 would round away
    np.testing.assert_allclose(best, MEANS, atol=0.01)


@pytest.mark.parametrize("higher", [-3.0, 3.0])
def test_the_higher_of_two_modes_wins_over_the_wider(higher: float) -> None:
    def log_density(z: np.ndarray, rows: np.ndarray) -> np.ndarray:
        narrow = 1.0 - 0.5 * ((z - higher) / 0.3) ** 2
        wide = -0.5 * (z + higher) ** 2
        return np.logaddexp(narrow, wide)[..., 0]

    rng = np.random.default_rng(2)
    start = rng.choice([-3.0, 3.0], (1, 1000, 1)) + rng.normal(size=(1, 1000, 1))
    np.testing.assert_allclose(maximise(log_density, start, rng), [[higher]], atol=3e-3)


def test_what_has_no_density_is_never_the_best() -> None:
    def log_density(z: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.where(z[..., 0] > 0, -z[..., 0], -np.inf)

    start = np.random.default_rng(3).normal(size=(1, 1000, 1))
    best = maximise(log_density, start, np.random.default_rng(0))
    assert 0 < best[0, 0] < 1e-2


def test_the_result_is_no_worse_than_the_start_and_repeats() -> None:
    start = start_around(MEANS + 5, seed=4)
    results = [maximise(gaussians, start, np.random.default_rng(0), rounds=n) for n in (1, 1, 3)]
    np.testing.assert_array_equal(results[0], results[1])
    values = [gaussians(r[:, None], ROWS)[:, 0] for r in results]
    assert (values[0] >= gaussians(start, ROWS).max(axis=1)).all()
    assert (values[2] >= values[0]).all()


@pytest.mark.parametrize("unit", [1e-150, 1e-12, 1e12, 1e150])
def test_the_units_do_not_matter(unit: float) -> None:
    start = start_around(MEANS, seed=5)
    plain = maximise(gaussians, start, np.random.default_rng(0))
    units = np.array([unit, 1.0, 1 / unit])
    best = maximise(
        lambda z, rows: gaussians(z / units, rows), start * units, np.random.default_rng(0)
    )
    np.testing.assert_allclose(best / units, plain, atol=0.01)


def test_what_is_found_for_one_does_not_depend_on_the_others() -> None:
    start = start_around(MEANS, seed=6)
    both = maximise(gaussians, start, np.random.default_rng(0))
    alone = maximise(lambda z, rows: gaussians(z, rows + 1), start[1:], np.random.default_rng(0))
    np.testing.assert_array_equal(both[1:], alone)


def test_a_maximum_at_one_point_of_many_dimensions_is_found() -> None:
    center = np.linspace(-1, 1, 20)
    start = center + np.random.default_rng(7).normal(size=(1, 256, 20))

    def log_density(z: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return -0.5 * ((z - center) ** 2).sum(axis=2)

    best = maximise(log_density, start, np.random.default_rng(0))
    assert log_density(best[:, None], ROWS[:1])[0, 0] > -1e-3


def test_draws_that_are_all_one_point_stay_there_where_nothing_is_better() -> None:
    start = np.ones((1, 10, 2))
    best = maximise(lambda z, rows: -abs(z - 1).sum(axis=2), start, np.random.default_rng(0))
    np.testing.assert_array_equal(best, [[1.0, 1.0]])
