"""Containers of other libraries, as NumPy and pandas know them: tensors, masked arrays, tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse
from torch import Tensor

from sksbi.utils.lazy import Loadable

__all__ = ["as_floats", "as_rows", "plain", "shape_of", "tensor_to_numpy", "without_na"]

_PLAIN = np.ndarray, np.generic, pd.DataFrame, pd.Series, pd.Index, str, int, float, type(None)


def plain(values: Any, name: str) -> Any:
    """
    Turn what a user may pass into what NumPy and pandas read alike.

    Parameters
    ----------
    values : object
        Anything.
    name : str
        The argument's name, for errors.

    Returns
    -------
    object
        Arrays for tensors, detached and on the CPU, and for masked arrays, NaN where masked; a
        DataFrame or Series of pandas for tables and columns of other libraries, and for structured
        arrays; what a lazy table of ours has, read; in lists and dicts the same; everything else as
        it is.

    Raises
    ------
    TypeError
        If it is a lazy table.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.utils.containers import plain
    >>> plain(np.ma.array([1, 2], mask=[False, True]), "x")
    array([ 1., nan])
    """
    if isinstance(values, Loadable):
        return values.load()
    if isinstance(values, np.ma.MaskedArray):
        return _unmasked(values)
    if isinstance(values, Tensor):
        return tensor_to_numpy(values)
    if isinstance(values, list | tuple):
        return _plain_items(values, name)
    if issparse(values):
        return values
    if isinstance(values, Mapping):
        return {key: plain(value, name) for key, value in values.items()}
    if _is_structured(values):
        return _from_records(np.asarray(values))
    return values if isinstance(values, _PLAIN) else _from_library(values, name)


def as_floats(values: Any, name: str) -> NDArray[np.float64]:
    """
    Turn numbers of any container into a float64 array.

    Parameters
    ----------
    values : array-like, tensor or table
        The numbers, such as what a user's function returned.
    name : str
        The argument's name, for errors.

    Returns
    -------
    ndarray, float64
        The numbers, NaN where one is missing.

    Raises
    ------
    TypeError
        If there is anything but real numbers, such as dates, or a list whose rows differ in length.
    """
    rule, kind = f"{name} must hold real numbers, got", type(values).__name__
    try:
        array = np.asarray(without_na(plain(values, name)))
        if array.dtype.kind in "cmM":
            raise TypeError(f"{rule} dtype {array.dtype}.")
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        if str(error).startswith(rule):
            raise
        raise TypeError(f"{rule} {kind}: {error}") from error


def as_rows(values: Any, name: str) -> Any:
    """
    Turn a table of any container into what has rows.

    Parameters
    ----------
    values : array-like, tensor or table
        The table, or what the user gave for one.
    name : str
        The argument's name, for errors.

    Returns
    -------
    object
        What :func:`plain` gives, or an array.

    Raises
    ------
    TypeError
        If it has no rows.
    """
    table = plain(values, name)
    if not isinstance(table, list | Mapping) and not hasattr(table, "shape"):
        table = np.asarray(table)
    if isinstance(table, Mapping) or getattr(table, "shape", (0,)) == ():
        raise TypeError(
            f"{name} must be a table of one row an observation, got {values!r:.60} of type "
            f"{type(values).__name__}."
        )
    return table


def shape_of(values: Any, name: str) -> tuple[int, ...]:
    """
    Tell the shape of anything that NumPy reads.

    Parameters
    ----------
    values : array-like
        What :func:`plain` gave.
    name : str
        The argument's name, for errors.

    Returns
    -------
    tuple of int
        The shape.

    Raises
    ------
    ValueError
        If it is a list of rows that differ in length.
    """
    try:
        return np.shape(values)
    except ValueError as error:
        raise ValueError(f"{name} must hold rows of one shape: {error}") from error


def tensor_to_numpy(tensor: Tensor) -> NDArray[Any]:
    """
    Turn a tensor into an array, whatever it takes.

    Parameters
    ----------
    tensor : Tensor
        On any device, with or without a gradient, of a dtype that NumPy has or lacks.

    Returns
    -------
    ndarray
        The numbers, of the nearest dtype, in memory of their own only where they must be.
    """
    tensor = tensor.detach().cpu().to_dense().resolve_conj().resolve_neg()
    try:
        return np.asarray(tensor.numpy())
    except TypeError:  # bfloat16 and smaller ones
        return np.asarray(tensor.to(torch.float32).numpy())


def without_na(values: Any) -> Any:
    """
    Put NaN where objects hold another kind of nothing, such as pd.NA.

    Parameters
    ----------
    values : object
        What :func:`plain` gave.

    Returns
    -------
    object
        An array of objects, if anything was replaced; else the same.
    """
    if isinstance(values, list | tuple):
        values = np.asarray(values)
    if isinstance(values, pd.DataFrame):
        holds_objects = any(getattr(dtype, "kind", "") == "O" for dtype in values.dtypes)
    else:
        holds_objects = getattr(getattr(values, "dtype", None), "kind", "") == "O"
    missing = np.asarray(pd.isna(values)) if holds_objects else np.zeros(1, bool)
    if not missing.any():
        return values
    array = np.array(values, dtype=object)
    array[missing] = np.nan
    return array


def _unmasked(values: np.ma.MaskedArray[Any, Any]) -> NDArray[Any]:
    """Put NaN, or None among words and objects, where an array is masked."""
    if not np.ma.is_masked(values):
        return values.data
    if values.dtype.kind in "SUO":
        array = np.array(values.data, dtype=object)
        array[np.ma.getmaskarray(values)] = None
        return array
    nothing = np.datetime64("NaT") if values.dtype.kind in "mM" else np.nan
    dtype = np.float64 if values.dtype.kind in "biu" else values.dtype
    return np.ma.filled(values.astype(dtype), nothing)


def _plain_items(values: list[Any] | tuple[Any, ...], name: str) -> Any:
    """Do so with what a list holds, if anything in it is of such a kind."""
    if all(isinstance(value, int | float) for value in values):
        return values
    return [plain(value, name) for value in values]


def _is_structured(values: Any) -> bool:
    """Tell an array of records, whose fields have names."""
    return bool(getattr(getattr(values, "dtype", None), "names", None))


def _from_records(records: NDArray[Any]) -> Any:
    """Turn a structured array into a table, and one record into a dict."""
    if records.ndim == 0:
        return {key: records[key][()] for key in records.dtype.names or ()}
    return pd.DataFrame({key: records[key] for key in records.dtype.names or ()})


def _from_library(values: Any, name: str) -> Any:
    """Turn a table or a column of another library into one of pandas."""
    frame = nw.from_native(values, pass_through=True, allow_series=True)
    if frame is values and hasattr(values, "__arrow_c_stream__") and hasattr(values, "schema"):
        frame = nw.from_arrow(values, backend="pyarrow")
    if isinstance(frame, nw.LazyFrame):
        raise TypeError(
            f"{name} must be a table in memory, got the lazy {type(values).__name__}: collect() "
            "first (compute() in dask)."
        )
    if isinstance(frame, nw.DataFrame | nw.Series) and frame.implementation.is_pandas_like():
        return frame.to_pandas()  # with its index
    if isinstance(frame, nw.Series):
        return _to_pandas(frame).rename(frame.name or None)
    if isinstance(frame, nw.DataFrame):
        columns = {i: _to_pandas(column) for i, column in enumerate(frame.iter_columns())}
        return pd.DataFrame(columns).set_axis(list(frame.columns), axis=1)
    is_opaque = hasattr(values, "__array__") and not hasattr(values, "shape")
    return np.asarray(values) if is_opaque else values


def _to_pandas(column: Any) -> pd.Series:
    """Turn a column into one of pandas; null becomes NaN, or None among objects."""
    dtype = column.dtype
    if isinstance(dtype, nw.Categorical | nw.Enum):
        return pd.Series(_categorical(column))
    if dtype.is_numeric() or isinstance(dtype, nw.Boolean):
        rounds = isinstance(dtype, nw.Decimal) or column.null_count() > 0
        return pd.Series(np.array((column.cast(nw.Float64) if rounds else column).to_numpy()))
    if dtype.is_temporal() and not isinstance(dtype, nw.Time):
        return pd.Series(np.array(column.to_numpy()))
    return pd.Series(column.to_list(), dtype=object)


def _categorical(column: Any) -> pd.Categorical:
    """Turn a column of categories into one of pandas."""
    ordered = isinstance(column.dtype, nw.Enum)
    values = column.to_list()
    seen = sorted({value for value in values if value is not None}, key=str)
    categories = list(column.dtype.categories) if isinstance(column.dtype, nw.Enum) else seen
    return pd.Categorical(values, categories=categories, ordered=ordered)
