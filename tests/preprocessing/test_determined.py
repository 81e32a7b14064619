"""Columns that have no density: copies, sums, products and functions of theta are found by name."""

from __future__ import annotations

import numpy as np
import pytest

from sksbi.preprocessing.determined import Determined, find_determined
from sksbi.utils.types import Array

RNG = np.random.default_rng(0)
THETA, Y, NOISE = RNG.normal(size=(3, 1000, 3))
NONE = np.zeros((1000, 0))


def standardised(*columns: Array) -> Array:
    """Bring columns to mean 0 and deviation 1."""
    x = np.column_stack(columns)
    return (x - x.mean(axis=0)) / x.std(axis=0)


def found(y: Array, discrete: Array = NONE, context: Array = THETA) -> list[tuple[int, object]]:
    """Tell columns, and what they are functions of."""
    return [(one.column, one.by) for one in find_determined(y, discrete, context)]


@pytest.mark.parametrize("noise", [1.0, 0.01, 1e-3])
def test_columns_with_noise_are_not(noise: float) -> None:
    y = standardised(Y[:, 0], Y[:, 0] + noise * NOISE[:, 0], THETA[:, 0] + noise * NOISE[:, 1])
    assert found(y) == []


def test_what_is_left_is_the_share_of_the_noise() -> None:
    y = standardised(Y[:, 0], Y[:, 0] + 3e-5 * NOISE[:, 0])
    [one] = find_determined(y, NONE, NONE)
    assert isinstance(one, Determined)
    # The root mean square of 1,000 normal numbers is off by 2%.
    assert one.share == pytest.approx(3e-5, rel=0.1)


@pytest.mark.parametrize(
    ("y", "answer"),
    [
        (standardised(Y[:, 0], Y[:, 1], -7 * Y[:, 1] + 3), [(2, (1,))]),
        (standardised(Y[:, 0], Y[:, 1], Y[:, 0] + Y[:, 1]), [(2, ())]),
        (standardised(Y[:, 0], Y[:, 1], Y[:, 0] * Y[:, 1]), [(2, ())]),
        (standardised(Y[:, 0], Y[:, 1], Y[:, 0] ** 2), [(2, (0,))]),
        (standardised(Y[:, 0], Y[:, 0], Y[:, 0]), [(1, (0,)), (2, (0,))]),
        (standardised(Y[:, 0], THETA[:, 1]), [(1, None)]),
        (standardised(Y[:, 0], THETA[:, 1] * THETA[:, 2] + THETA[:, 0] ** 3), [(1, None)]),
        (standardised(Y[:, 0], Y[:, 0] + THETA[:, 0]), [(1, None)]),
    ],
)
def test_functions_are_found(y: Array, answer: list[tuple[int, object]]) -> None:
    assert found(y) == answer


def test_discrete_columns_explain_too() -> None:
    sign = np.sign(NOISE[:, :1])
    assert found(standardised(Y[:, 0], sign[:, 0] * Y[:, 0]), sign) == [(1, (0,))]


def test_few_rows_and_wide_tables_accuse_nobody() -> None:
    rng = np.random.default_rng(1)
    for shape in [(1, 1), (5, 3), (20, 4), (60, 80), (1000, 600)]:
        y = rng.normal(size=shape)
        assert found(y, np.zeros((len(y), 0)), rng.normal(size=(len(y), 4))) == []


def test_a_constant_column_is_left_to_others() -> None:
    assert found(np.column_stack([np.zeros(1000), Y[:, 0]])) == []
