"""Tables that have rows, and what has none."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from sksbi.utils.containers import as_floats, as_rows, shape_of
from sksbi.utils.validation import count_rows

NUMBERS = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])


class OnlyArray:
    """Something that only says how it becomes an array."""

    def __array__(self, dtype=None, copy=None):
        return np.array(NUMBERS, dtype=dtype)


@pytest.mark.parametrize(
    "table",
    [
        NUMBERS,
        NUMBERS.tolist(),
        tuple(NUMBERS),
        pd.DataFrame(NUMBERS),
        torch.tensor(NUMBERS, requires_grad=True),
        torch.tensor(NUMBERS).to(torch.bfloat16),
        scipy.sparse.csr_array(NUMBERS),
        OnlyArray(),
    ],
)
def test_every_table_has_its_rows(table):
    assert count_rows(table, "x") == 3
    rows = as_rows(table, "x")
    assert np.array_equal(rows.toarray() if scipy.sparse.issparse(rows) else rows, NUMBERS)


@pytest.mark.parametrize("value", [None, 1.0, "abc", len, dict, {1.0}, iter([1.0]), {"a": 1.0}])
def test_what_has_no_rows_is_refused(value):
    with pytest.raises(TypeError, match="theta must be a table of one row an observation, got"):
        as_rows(value, "theta")


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (1j, "dtype complex128"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "dtype datetime64"),
        ([[1.0], [1.0, 2.0]], "inhomogeneous"),
        (["a"], "'a'"),
        ([10**400], "too large"),
        ({}, "got dict"),
    ],
)
def test_what_is_no_number_is_refused(values, match):
    with pytest.raises(TypeError, match=f"z must hold real numbers, .*{match}"):
        as_floats(values, "z")


def test_rows_of_other_lengths_have_no_shape():
    assert shape_of([[1.0, 2.0]], "x") == (1, 2)
    with pytest.raises(ValueError, match="x must hold rows of one shape"):
        shape_of([[1.0], [1.0, 2.0]], "x")
