"""Orders in which no row meets its own or an equal one."""

import numpy as np
import pytest
from scipy import stats

from sksbi.utils.derangement import derangement

RNG = np.random.default_rng(0)
TABLES = {
    "two rows": np.array([[0.0], [1.0]]),
    "three rows": np.arange(3.0)[:, None],
    "distinct": RNG.normal(size=(101, 2)),
    "sorted": np.arange(100.0)[:, None],
    "few values": RNG.integers(0, 3, size=(200, 1)).astype(float),
    "half alike": np.repeat([[0.0, 1.0], [2.0, 1.0]], 10, axis=0),
    "half alike, others distinct": np.concatenate([np.zeros(10), np.arange(1.0, 11)])[:, None],
    "half alike, among others": np.array([0, 1, 0, 2, 0, 3.0])[:, None],
    "both zeros": np.array([[0.0], [-0.0], [1.0], [2.0]]),
    "equal in one column": np.column_stack([np.zeros(9), np.arange(9.0)]),
}

every_table = pytest.mark.parametrize("theta", TABLES.values(), ids=TABLES)


@every_table
def test_every_row_takes_one_with_another_theta_and_is_taken_once(theta: np.ndarray) -> None:
    for seed in range(20):
        others = derangement(theta, np.random.default_rng(seed))
        np.testing.assert_array_equal(np.sort(others), np.arange(len(theta)))
        assert (theta[others] != theta).any(axis=1).all()


@every_table
def test_a_seed_gives_the_same_order(theta: np.ndarray) -> None:
    first, second = (derangement(theta, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("row", [0, 4, 8])
def test_a_row_takes_any_row_with_another_theta_with_the_same_probability(row: int) -> None:
    """Rows 0 to 2 are alike."""
    theta = np.array([0, 0, 0, 1, 2, 3, 4, 5, 6.0])[:, None]
    generator = np.random.default_rng(0)
    taken = np.bincount([derangement(theta, generator)[row] for _ in range(4_000)], minlength=9)
    allowed = (theta != theta[row]).ravel()
    assert taken[~allowed].sum() == 0
    if row == 0:
        assert stats.chisquare(taken[allowed]).pvalue > 1e-4
    else:
        assert taken[allowed].min() > 0


def test_distinct_rows_take_any_other_with_the_same_probability() -> None:
    generator = np.random.default_rng(0)
    theta = np.arange(8.0)[:, None]
    taken = np.bincount([derangement(theta, generator)[5] for _ in range(4_000)], minlength=8)
    assert taken[5] == 0
    assert stats.chisquare(np.delete(taken, 5)).pvalue > 1e-4


@pytest.mark.parametrize(
    ("theta", "got"),
    [
        (np.array([[1.0], [1.0]]), "2 of 2 rows"),
        (np.array([[1.0], [2.0], [1.0]]), "2 of 3 rows"),
        (np.array([[0.0], [-0.0], [1.0]]), "2 of 3 rows"),
        (np.zeros((10, 2)), "10 of 10 rows"),
    ],
)
def test_one_theta_in_more_than_half_of_the_rows_is_refused(theta: np.ndarray, got: str) -> None:
    with pytest.raises(ValueError, match=f"theta must not have the same value.*{got} are equal"):
        derangement(theta, np.random.default_rng(0))


def test_a_single_row_has_no_other() -> None:
    with pytest.raises(ValueError, match="at least 2 rows of positive weight.*got 1"):
        derangement(np.ones((1, 2)), np.random.default_rng(0))
