"""Factors of many trials: sums over all of them, whether some are alike or none."""

import numpy as np
import pytest

from sksbi.posteriors.factor import FactorAt, OfTrials, Ratio
from sksbi.utils.types import Array, Rows


class Linear(Ratio):
    """Log-ratios theta x_0 + x_1, which count their evaluations."""

    n_units = 1

    def __init__(self) -> None:
        self.n_evaluated = 0

    def units(self, theta: Array) -> Array:
        return theta

    def units_from_unbounded(self, z: Array) -> Array:
        return z

    def at(self, x: Array) -> FactorAt:
        return LinearAt(self, x)


class LinearAt(FactorAt):
    """The same at fixed trials."""

    def __init__(self, ratio: Linear, x: Array) -> None:
        self.ratio, self.x = ratio, x

    def __call__(self, u: Array, rows: Rows) -> Array:
        self.ratio.n_evaluated += len(u)
        return u[:, 0] * self.x[rows, 0] + self.x[rows, 1]

    def take(self, rows: Rows | slice) -> FactorAt:
        return LinearAt(self.ratio, self.x[rows])


RNG = np.random.default_rng(0)
FEW = RNG.integers(0, 3, size=(5, 300, 2)).astype(float)
MANY = RNG.normal(size=(5, 300, 2))
THETA, ROWS = RNG.normal(size=(40, 1)), RNG.integers(0, 5, 40)


def exact(x: Array, theta: Array, rows: Rows) -> Array:
    """Sum over trials one by one."""
    return (theta * x[rows, :, 0] + x[rows, :, 1]).sum(axis=1)


@pytest.mark.parametrize("x", [FEW, MANY, FEW[:, :1], MANY[:, :5]], ids=["few", "many", "1", "5"])
def test_all_trials_count(x: Array) -> None:
    at = Linear().at_trials(x)
    assert at.n_trials == x.shape[1]
    np.testing.assert_allclose(at(THETA, ROWS), exact(x, THETA, ROWS), rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("x", [FEW, MANY], ids=["few", "many"])
@pytest.mark.parametrize("taken", [slice(2, 4), np.array([4, 0, 0]), slice(None)], ids=str)
def test_some_observations_are_taken(x: Array, taken: Rows | slice) -> None:
    at: OfTrials = Linear().at_trials(x).take(taken)
    rows = np.array([0, 1, 1])
    expected = exact(x[taken], THETA[:3], rows)
    np.testing.assert_allclose(at(THETA[:3], rows), expected, rtol=1e-12, atol=1e-9)
    again = at.take(slice(1, 2))(THETA[:1], np.zeros(1, int))
    np.testing.assert_allclose(again, exact(x[taken][1:2], THETA[:1], np.zeros(1, int)), rtol=1e-12)


def test_of_trials_that_are_alike_one_is_evaluated() -> None:
    ratio = Linear()
    ratio.at_trials(FEW)(THETA, ROWS)
    assert ratio.n_evaluated == 9 * len(THETA)  # nine pairs of 0, 1, 2
    ratio = Linear()
    ratio.at_trials(MANY)(THETA, ROWS)
    assert ratio.n_evaluated == 300 * len(THETA)


def test_a_trial_that_does_not_occur_counts_nothing_even_where_it_is_impossible() -> None:
    x = np.zeros((2, 20, 2))
    x[1, :10, 1] = -np.inf
    log_r = Linear().at_trials(x)(np.ones((2, 1)), np.arange(2))
    np.testing.assert_array_equal(log_r, [0.0, -np.inf])
