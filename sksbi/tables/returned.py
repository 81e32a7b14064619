"""What a simulator returned, read as numbers, or as text where a column has a name."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from numbers import Real

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray

from sksbi.tables.simulated import Table, Value, check_text, is_missing
from sksbi.utils.containers import plain

__all__ = ["check_table", "check_value"]

Where = Callable[[int], str]  # puts the place of a value, by the first dimension, into words

_NOTHING = "The simulator must return at least one value (None or NaN marks a run that failed)"
_NUMBERS = "The simulator must return real numbers (float, int or bool, or arrays of them)"
_PER_ROW = " Is the simulator for one row at a time? Then pass vectorized=False."


def check_value(result: object, row: int) -> Value:
    """Turn the result of one row into an array or a dict of single values, free of aliases."""
    if isinstance(result, pd.DataFrame):
        raise TypeError(
            f"The simulator must return a number, an array, a dict or a Series, got a DataFrame of "
            f"shape {result.shape} at row {row}: return a Series, or pass vectorized=True."
        )
    if isinstance(result, pd.Series):
        _check_unique(result.index)
        result = result.to_dict()
    if not isinstance(result, Mapping):
        return _numbers(_to_array(result, f"row {row}"), lambda i: f"row {row}")
    if not result:
        raise ValueError(f"{_NOTHING}, got no name at row {row}.")
    values = {key: _single(value, f"row {row}, {key!r}") for key, value in result.items()}
    if shapes := {k: v.shape for k, v in values.items() if isinstance(v, np.ndarray) and v.ndim}:
        raise ValueError(
            f"Every named value must be a single one, got the shapes {shapes} at row {row}: give "
            "each entry a name of its own."
        )
    return values


def _single(value: object, where: str) -> object:
    """Read a named value of one row: a number, or a text."""
    if isinstance(value, str):
        return str(value)
    array = _to_array(value, where)
    if array.dtype.kind == "U" and array.ndim == 0:
        return str(array)
    return _numbers(array, lambda i: where)[()]


def check_table(result: object, n_rows: int, start: int = 0) -> Table:
    """Turn the result of a vectorised simulator into a table, free of aliases."""
    if isinstance(result, Mapping | pd.DataFrame):
        return _check_columns(result, n_rows, start)
    array = _to_array(result, f"its chunk of {n_rows} rows")
    _check_length(array.shape, n_rows)
    return _numbers(array, lambda i: f"row {start + i}")


def _check_columns(
    result: Mapping[Hashable, object] | pd.DataFrame, n_rows: int, start: int
) -> pd.DataFrame:
    """Turn named columns into a table."""
    if isinstance(result, pd.DataFrame):
        _check_unique(result.columns)
        _check_length(result.shape, n_rows)
        names: list[Hashable] | pd.Index = result.columns
        given: list[object] = [result.iloc[:, i] for i in range(len(names))]
    else:
        names, given = list(result), list(result.values())
        if not names:
            raise ValueError(f"{_NOTHING}, got a dict without columns.")
    read = [_column(value, name, start) for name, value in zip(names, given, strict=True)]
    shapes = {key: np.shape(value) for key, value in zip(names, read, strict=True)}
    if wrong := {key: shape for key, shape in shapes.items() if shape != (n_rows,)}:
        raise ValueError(
            f"Every column of a vectorised simulator must have shape ({n_rows},), as the chunk "
            f"has {n_rows} rows, got {wrong}.{_PER_ROW}"
        )
    table = pd.DataFrame(dict(enumerate(read)))
    table.columns = pd.Index(names) if isinstance(names, list) else names
    return table


def _check_length(shape: tuple[int, ...], n_rows: int) -> None:
    """Check that a table has a row for every row of the chunk, and a value in each."""
    if shape[:1] != (n_rows,):
        raise ValueError(
            "The first dimension of what a vectorised simulator returns must be the "
            f"{n_rows} rows of its chunk, got shape {shape}.{_PER_ROW}"
        )
    if 0 in shape:
        raise ValueError(f"{_NOTHING}, got a table of shape {shape}.")


def _column(values: object, name: Hashable, start: int) -> np.ndarray | ExtensionArray:
    """Read a named column: numbers, or text in every row that has a value."""
    dtype = getattr(values, "dtype", None)
    if isinstance(dtype, pd.CategoricalDtype | pd.StringDtype):
        return pd.Series(values).array.copy()

    def where(i: int) -> str:
        return f"row {start + i}, column {name!r}"

    array = _to_array(values, f"column {name!r}")
    if array.dtype.kind == "U" and isinstance(values, np.ndarray):
        return array
    if array.dtype.kind == "U":  # NumPy turns numbers beside text into text
        array = np.array(values, dtype=object)
    if array.dtype.kind == "O" and any(isinstance(value, str) for value in array.flat):
        check_text(list(array), list(range(start, start + len(array))), name)
        return array
    return _numbers(array, where)


def _to_array(result: object, where: str) -> np.ndarray:
    """Copy what a simulator returned into an array that holds at least one value."""
    try:
        read = plain(result, where)
        # Records have names, which an array would drop.
        array = np.array(result if isinstance(read, pd.DataFrame | dict) else read)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"The simulator must return a number, an array, a dict or a Series, got at {where} a "
            f"{type(result).__name__} that NumPy makes no array of, as where rows differ in "
            f"length: {error}"
        ) from error
    if array.size == 0:
        raise ValueError(f"{_NOTHING}, got an array of shape {array.shape} at {where}.")
    return array


def _numbers(array: np.ndarray, where: Where) -> np.ndarray:
    """Hold that an array is of real numbers; None and NA in an array of objects become NaN."""
    kind = array.dtype.kind
    if kind in "biuf":
        return array
    if kind == "O":
        return _numbers_of_objects(array, where)
    advice = {
        "c": ": return the real and the imaginary part, or the modulus",
        "U": ": text, as a category, needs a name, in a dict or Series",
    }
    raise TypeError(
        f"{_NUMBERS}, got {_describe(array.flat[0])} at {where(0)}{advice.get(kind, '')}."
    )


def _describe(value: object) -> str:
    """Put a value that is no number into words, not too many."""
    return f"{' '.join(repr(value).split())[:60]} of type {type(value).__name__}"


def _numbers_of_objects(array: np.ndarray, where: Where) -> np.ndarray:
    """Read numbers from an array of objects."""
    values = list(array.flat)
    per_row = len(values) // len(array) if array.ndim else 1
    for i, value in enumerate(values):
        if not (isinstance(value, Real | np.bool_) or is_missing(value)):
            raise TypeError(f"{_NUMBERS}, got {_describe(value)} at {where(i // per_row)}.")
    numbers = np.array([np.nan if is_missing(value) else value for value in values])
    if numbers.dtype.kind == "O":
        try:
            numbers = numbers.astype(float)
        except OverflowError as error:
            raise TypeError(
                f"{_NUMBERS} that a float holds, but at {where(0)}: {error}."
            ) from error
    return numbers.reshape(array.shape)


def _check_unique(names: pd.Index) -> None:
    """Check that no name occurs twice."""
    if not names.is_unique:
        twice = names[names.duplicated()].unique().tolist()
        raise ValueError(f"The names that the simulator returns must differ, got {twice} twice.")
