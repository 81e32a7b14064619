"""Tables of what simulators returned, and how they go together."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sksbi.utils.types import Mask

__all__ = [
    "Table",
    "Value",
    "check_same_form",
    "check_text",
    "concatenate",
    "fill",
    "form_of",
    "gaps",
    "is_missing",
    "stack",
    "take",
    "take_row",
]

Table = np.ndarray | pd.DataFrame
Value = np.ndarray | dict[Hashable, object]


def take(table: Table, rows: slice | np.ndarray) -> Table:
    """Copy some rows of a table; a DataFrame gets a fresh index."""
    if isinstance(table, pd.DataFrame):
        return table.iloc[rows].reset_index(drop=True)
    return table[rows].copy()


def take_row(table: Table, row: int) -> np.ndarray | pd.Series:
    """Copy one row of a table."""
    return table.iloc[row] if isinstance(table, pd.DataFrame) else table[row].copy()


def is_missing(value: Any) -> bool:
    """Tell whether a value is None, NaN or one of pandas' own."""
    return value is None or bool(pd.api.types.is_scalar(value) and pd.isna(value))


def check_text(values: Sequence[object], rows: Sequence[int], name: Hashable) -> None:
    """Check that a column that holds text does so in every row that has a value."""
    first: dict[bool, str] = {}
    for row, value in zip(rows, values, strict=True):
        if not is_missing(value):
            first.setdefault(isinstance(value, str), f"{value!r} at row {row}")
    if len(first) == 2:
        raise TypeError(
            "A column that the simulator returns must hold numbers in every row, or text in every "
            f"row, got in {name!r} {' and '.join(first.values())}."
        )


def stack(rows: list[int], values: list[Value]) -> Table | None:
    """Put the results of rows on top of each other."""
    if not values:
        return None
    for row, value in zip(rows, values, strict=True):
        check_same_form(form_of(values[0]), rows[0], form_of(value), row)
    named = [value for value in values if isinstance(value, dict)]
    if named:
        names = list(named[0])
        columns = [_stack_column(rows, [value[name] for value in named], name) for name in names]
        table = pd.DataFrame(dict(enumerate(columns)))
        return table.set_axis(pd.Index(names), axis=1)
    return np.stack([np.asarray(value) for value in values])


def _stack_column(
    rows: list[int], values: list[object], name: Hashable
) -> np.ndarray | list[object]:
    """Put the values of a column on top of each other."""
    if not any(isinstance(value, str) for value in values):
        return np.array(values)
    check_text(values, rows, name)
    return values


def form_of(value: Value | pd.DataFrame) -> str:
    """Put the shape or the names of one row's result into words."""
    if isinstance(value, dict | pd.DataFrame):
        return f"the names {sorted(value, key=str)}"
    return f"an array of shape {shape}" if (shape := np.shape(value)) else "a number"


def check_same_form(first: str, first_row: int, other: str, row: int) -> None:
    """Check that two rows have results of the same shape or names."""
    if first != other:
        raise ValueError(
            "All results of the simulator must have the same shape or names, got "
            f"{first} at row {first_row} and {other} at row {row}. A simulation that has no such "
            "result may raise an error: then it counts as failed."
        )


def gaps(values: Table) -> tuple[Mask, Mask, Mask]:
    """Tell which rows have something missing, which have nothing else, and which hold inf."""
    if isinstance(values, pd.DataFrame):
        missing = values.isna().to_numpy()
        columns = [_infinite(column.to_numpy()) for _, column in values.items()]
        infinite = np.stack(columns, axis=1)
    else:
        flat = values.reshape(len(values), -1)
        missing, infinite = pd.isna(flat), _infinite(flat)
    return np.any(missing, axis=1), np.all(missing, axis=1), np.any(infinite, axis=1)


def _infinite(values: np.ndarray) -> Mask:
    """Tell which values are inf."""
    return np.isinf(values) if values.dtype.kind == "f" else np.zeros(values.shape, dtype=bool)


def _is_number(dtype: object) -> bool:
    """Tell whether a column is of numbers."""
    return isinstance(dtype, np.dtype) and dtype.kind in "biuf"


def concatenate(tables: list[Table], rows: list[np.ndarray]) -> Table:
    """Put tables on top of each other; ``rows`` are their rows' numbers, for errors."""
    named = [table for table in tables if isinstance(table, pd.DataFrame)]
    if not named:
        return np.concatenate([np.asarray(table) for table in tables])
    names = named[0].columns
    numbers = np.concatenate(rows)
    columns = [_join([table[name] for table in named], numbers, name) for name in names]
    return pd.DataFrame(dict(enumerate(columns))).set_axis(names, axis=1)


def _join(parts: list[pd.Series], rows: np.ndarray, name: Hashable) -> np.ndarray | pd.Series:
    """Put the parts of a column on top of each other."""
    if all(_is_number(part.dtype) for part in parts):
        return np.concatenate([part.to_numpy() for part in parts])
    joined = pd.concat(parts, ignore_index=True).infer_objects()
    if any(_is_number(part.dtype) for part in parts):
        check_text(joined.tolist(), rows.tolist(), name)
    return joined


def fill(values: Table, rows: np.ndarray, n_rows: int) -> Table:
    """Put results at their rows, NaN at all others."""
    if len(rows) == n_rows:
        return values
    if isinstance(values, pd.DataFrame):
        columns = [_fill_column(column, rows, n_rows) for _, column in values.items()]
        return pd.DataFrame(dict(enumerate(columns))).set_axis(values.columns, axis=1)
    dtype = values.dtype if values.dtype.kind == "f" else float
    filled = np.full((n_rows, *values.shape[1:]), np.nan, dtype=dtype)
    filled[rows] = values
    return filled


def _fill_column(column: pd.Series, rows: np.ndarray, n_rows: int) -> np.ndarray | pd.Series:
    """Put a column's values at their rows, NaN at all others."""
    if _is_number(column.dtype):
        filled = fill(column.to_numpy(), rows, n_rows)
        return np.asarray(filled)
    return column.set_axis(rows).reindex(range(n_rows))
