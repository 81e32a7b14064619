"""Containers of other libraries: the numbers in them, whatever is around."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
import xarray

from sksbi.utils.containers import as_floats, plain, tensor_to_numpy, without_na

COLUMNS = {
    "int": ([1, 2, None], pd.Series([1, 2, np.nan])),
    "bool": ([True, None, False], pd.Series([1.0, np.nan, 0.0])),
    "float": ([0.5, None, np.inf], pd.Series([0.5, np.nan, np.inf])),
    "words": (["a", None, "b"], pd.Series(["a", None, "b"], dtype=object)),
    "dates": (
        [datetime.datetime(2020, 1, 2), None, datetime.datetime(2021, 1, 1)],
        pd.Series(pd.to_datetime(["2020-01-02", None, "2021-01-01"])).astype("datetime64[us]"),
    ),
}


@pytest.mark.parametrize("convert", [pl.DataFrame, pa.table], ids=["polars", "pyarrow"])
def test_every_column_of_another_library_is_one_of_pandas(convert: type) -> None:
    table = plain(convert({name: values for name, (values, _) in COLUMNS.items()}), "x")
    assert list(table.columns) == list(COLUMNS)
    for name, (_, expected) in COLUMNS.items():
        pd.testing.assert_series_equal(table[name], expected, check_names=False, check_dtype=False)
        assert table[name].dtype.kind == expected.dtype.kind


def test_whole_numbers_without_a_gap_stay_whole() -> None:
    large = 2**53 + 1
    assert plain(pl.DataFrame({"a": [large]}), "x")["a"].tolist() == [large]


def test_categories_stay_categories() -> None:
    table = pl.DataFrame(
        {"a": ["b", None, "a"], "e": ["b", None, "a"]},
        schema={"a": pl.Categorical, "e": pl.Enum(["b", "a", "c"])},
    )
    read = plain(table, "x")
    assert read["a"].cat.categories.tolist() == ["a", "b"]
    assert read["e"].cat.categories.tolist() == ["b", "a", "c"]
    assert (read["a"].cat.ordered, read["e"].cat.ordered) == (False, True)
    assert read["e"].cat.codes.tolist() == [0, -1, 1]


def test_columns_have_their_name_or_none() -> None:
    assert plain(pl.Series("mass", [1, 2]), "theta").name == "mass"
    assert plain(pl.Series([1, 2]), "theta").name is None
    assert plain(pa.chunked_array([[1], [2, 3]]), "theta").tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("masked", "expected"),
    [
        (np.ma.array([1, 2], mask=[True, False]), [np.nan, 2]),
        (np.ma.array([True, False], mask=[True, False]), [np.nan, 0]),
        (np.ma.array([1.5, 2], mask=[True, False], dtype=np.float32), [np.nan, 2]),
        (np.ma.array([1, "b"], mask=[True, False], dtype=object), [None, "b"]),
        (np.ma.array(["a", "b"], mask=[True, False]), [None, "b"]),
        (np.ma.array([1, 2], mask=False), [1, 2]),
        ([np.ma.masked, 2.0], [np.nan, 2]),
    ],
)
def test_masked_means_missing(masked: object, expected: list) -> None:
    read = plain(masked, "x")
    assert not isinstance(read, np.ma.MaskedArray)
    np.testing.assert_array_equal(np.asarray(read), np.asarray(expected))


def test_what_pandas_and_numpy_know_is_not_touched() -> None:
    for known in (np.ones(2), pd.DataFrame({"a": [1]}), pd.Series([1]), "word", 3, None, [1, 2.0]):
        assert plain(known, "x") is known


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int32])
def test_tensors_keep_their_numbers(dtype: torch.dtype) -> None:
    tensor = torch.tensor([[1, 2], [3, 4]], dtype=dtype)
    tensor.requires_grad_(dtype.is_floating_point)
    np.testing.assert_array_equal(tensor_to_numpy(tensor), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(tensor_to_numpy(tensor.T), [[1, 3], [2, 4]])


def test_labelled_arrays_are_arrays() -> None:
    array = xarray.DataArray(np.arange(6.0).reshape(3, 2), dims=["run", "parameter"])
    assert plain(array, "x") is array
    np.testing.assert_array_equal(as_floats(array, "x"), array.to_numpy())


def test_nothing_of_every_kind_is_nan() -> None:
    for values in (
        [1, None, pd.NA],
        np.array([1, pd.NaT, pd.NA], dtype=object),
        pd.Series([1, None, pd.NA], dtype=object),
    ):
        np.testing.assert_array_equal(as_floats(values, "x"), [1, np.nan, np.nan])
    table = pd.DataFrame({"a": [1, 2], "b": pd.Series([pd.NA, 3], dtype=object)})
    np.testing.assert_array_equal(np.asarray(without_na(table), dtype=float), [[1, np.nan], [2, 3]])
    assert pd.isna(table.loc[0, "b"])  # the user's table is as it was
    assert table.loc[0, "b"] is pd.NA
