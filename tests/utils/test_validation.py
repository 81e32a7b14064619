"""Checks of arguments: what is taken, and that every error names argument, rule and value."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import torch

from sksbi.utils.validation import (
    check_count,
    check_lengths,
    check_memory,
    check_numbers,
    check_real,
    check_weights,
)

NUMBERS = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def read_only() -> np.ndarray:
    """Make an array that cannot be written to."""
    array = NUMBERS.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "values",
    [
        *(NUMBERS.astype(t) for t in (bool, "i1", "u2", "i8", "f2", "f4", ">f8", object)),
        np.asfortranarray(NUMBERS),
        np.repeat(NUMBERS, 2, axis=0)[::2],
        NUMBERS.tolist(),
        pd.DataFrame(NUMBERS.astype(int)).astype("Int64"),
        pd.DataFrame({"a": [False, True, True], "b": [1, 0, 1]}),
        pd.DataFrame({"a": [0, 1, 1], "b": [1.0, 0, True]}, dtype=object),
    ],
)
def test_every_kind_of_number_becomes_the_same_array(values: object) -> None:
    result = check_numbers(values, "x")
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result, NUMBERS)


def test_read_only_and_memory_mapped_arrays_are_taken(tmp_path) -> None:
    np.save(tmp_path / "x.npy", NUMBERS)
    for values in (read_only(), np.load(tmp_path / "x.npy", mmap_mode="r")):
        np.testing.assert_array_equal(check_numbers(values, "x"), NUMBERS)


@pytest.mark.parametrize("name", ["x", "theta"])
@pytest.mark.parametrize(
    ("values", "value"),
    [
        ([[np.nan, 1.0]], "NaN"),
        ([[np.inf, 1.0]], "infinity"),
        ([[1j, 1.0]], "0.\\+1.j|complex"),
        ([["apple", 1.0]], "apple"),
        (pd.DataFrame({"a": [{}]}), "dict"),
        (pd.DataFrame({"a": [pd.NA]}), "NAType|NaN"),
        (scipy.sparse.csr_array(NUMBERS), "[Ss]parse"),
        ([[1, 2], [3]], "inhomogeneous"),
        (np.ones((0, 2)), r"\(0, 2\)"),
        (np.ones((2, 0)), r"\(2, 0\)"),
        ([1.0, 2.0], r"array=\[1. 2.\]"),
        (np.ones((2, 2, 2)), "dim 3"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "'a' 2 times"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(values: object, value: str, name: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"(?s)(?=.*\\b{name}\\b)(?=.*({value}))"):
        check_numbers(values, name)


@pytest.mark.parametrize("same", [None, 1, 7.5, np.float32(3)])
def test_equal_weights(same: object) -> None:
    np.testing.assert_array_equal(check_weights(same, 4), np.ones(4))


def test_weights_keep_their_proportions_and_have_mean_one() -> None:
    given = np.array([0, 1, 2, 5])
    weights = check_weights(given, 4)
    np.testing.assert_allclose(weights.mean(), 1.0)
    np.testing.assert_allclose(weights, given / 2)


@pytest.mark.parametrize(
    ("weights", "value"),
    [
        ([1, 2], r"\(3,\).*got \(2,\)"),
        ([[1], [2], [3]], r"got \(3, 1\)"),
        ([1, -0.5, 1], "non-negative, got -0.5"),
        ([0, 0, 0], "not be all zero, got 3"),
        ([1, np.nan, 1], "NaN"),
        (["a", "b", "c"], "'a'"),
    ],
)
def test_bad_weights_are_refused(weights: object, value: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"sample_weight.*{value}"):
        check_weights(weights, 3)


@pytest.mark.parametrize("count", [1, np.int32(1), 10**9])
def test_counts(count: object) -> None:
    assert check_count(count, "n_samples") == count
    assert type(check_count(count, "n_samples")) is int


@pytest.mark.parametrize("real", [0.5, np.float32(0.5), 1e-300])
def test_reals(real: object) -> None:
    assert check_real(real, "level", high=1.0) == real


@pytest.mark.parametrize(
    ("check", "value", "error"),
    [
        (check_count, 0, ValueError),
        (check_count, -5, ValueError),
        (check_count, 1.0, TypeError),
        (check_count, True, TypeError),
        (check_count, None, TypeError),
        (check_count, "3", TypeError),
        (check_real, 0.0, ValueError),
        (check_real, -0.5, ValueError),
        (check_real, np.inf, ValueError),
        (check_real, np.nan, ValueError),
        (check_real, True, TypeError),
        (check_real, "0.5", TypeError),
    ],
)
def test_bad_counts_and_reals_are_refused(
    check: Callable, value: object, error: type[Exception]
) -> None:
    with pytest.raises(error, match=f"(level must be).*got {value!r}"):
        check(value, "level")


def test_the_ends_of_an_interval_are_excluded() -> None:
    with pytest.raises(ValueError, match="level must be > 0 and < 1, got 1.0"):
        check_real(1.0, "level", high=1.0)


def test_what_does_not_fit_into_memory_is_refused() -> None:
    check_memory(1_000, "n_samples", 1_000)
    with pytest.raises(ValueError, match=r"n_samples must .*got 1000, which takes 7,450,581 GiB"):
        check_memory(1_000, "n_samples", 10**15)


def test_unequal_lengths_are_named() -> None:
    check_lengths(theta=NUMBERS, x=[1, 2, 3], weight=scipy.sparse.csr_array(NUMBERS))
    with pytest.raises(ValueError, match=r"^theta and x must have one length, got \[3, 2\] rows"):
        check_lengths(theta=NUMBERS, x=[1, 2])


def test_weights_of_every_container_are_the_same() -> None:
    numbers = [1.0, 2.0, 0.0]
    expected = check_weights(numbers, 3)
    for weights in (
        pl.Series("w", numbers),
        pa.chunked_array([numbers]),
        torch.tensor(numbers, requires_grad=True),
        torch.tensor(numbers, dtype=torch.bfloat16),
        pd.Series(numbers, dtype="Float64"),
    ):
        np.testing.assert_array_equal(check_weights(weights, 3), expected)
    with pytest.raises(ValueError, match="sample_weight contains NaN in row 1"):
        check_weights(pl.Series([1.0, None, 0.0]), 3)
