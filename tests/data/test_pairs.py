"""Failed pairs are set aside and put back, with their weights and numbers."""

from __future__ import annotations

import numpy as np
import pytest

from sksbi.data import Pairs

WEIGHT = np.array([1.0, 2.0, 0.0, 3.0, 2.0])
X = np.array([[1.0, np.nan], [np.nan, np.nan], [np.nan, np.nan], [0.0, 0.0], [np.nan, np.nan]])


def test_failed_pairs_go_aside_and_come_back() -> None:
    pairs = Pairs.of_positive_weight(np.arange(5.0)[:, None], X, WEIGHT)
    rest = pairs.succeeded()
    assert rest.row.tolist() == [0, 3]
    assert rest.weight.tolist() == [0.5, 1.5]
    assert rest.failed is not None
    assert rest.failed.row.tolist() == [1, 4]
    assert rest.failed.weight.tolist() == [1.0, 1.0]
    back = rest.with_failures()
    np.testing.assert_array_equal(back.theta, pairs.theta)
    np.testing.assert_array_equal(back.x, pairs.x)
    np.testing.assert_allclose(back.weight, pairs.weight)
    np.testing.assert_array_equal(back.row, pairs.row)
    assert rest.find([4, 3, 0, 3]).tolist() == [1, 0, 1]


def test_equal_weights_of_what_succeeded_become_one() -> None:
    weight = np.array([0.3, 0.3, 0.3, 0.7])
    x = np.array([1.0, 2.0, 3.0, np.nan])
    assert Pairs(np.eye(4), x, weight, np.arange(4)).succeeded().weight.tolist() == [1.0] * 3


def test_without_failures_nothing_is_copied() -> None:
    pairs = Pairs(np.eye(2), np.eye(2), np.ones(2), np.arange(2))
    assert pairs.succeeded() is pairs
    assert pairs.with_failures() is pairs


def test_too_few_that_succeeded() -> None:
    pairs = Pairs(np.eye(3), np.array([1.0, np.nan, np.nan]), np.ones(3), np.arange(3))
    with pytest.raises(ValueError, match="at least 2 simulations that succeeded, got 1 of 3"):
        pairs.succeeded()
