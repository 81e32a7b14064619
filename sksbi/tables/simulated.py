"""What simulators return: single results, tables of them, and how they go together."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import pandas as pd

__all__ = [
    "Table",
    "check_same_form",
    "check_table",
    "check_value",
    "concatenate",
    "fill",
    "form_of",
    "is_finite",
    "stack",
    "take",
    "take_row",
]

Table = np.ndarray | pd.DataFrame
Value = np.ndarray | dict[Hashable, object]

_NOTHING = "The simulator must return at least one value (None or NaN marks a run that failed)"


def take(table: Table, rows: slice | np.ndarray) -> Table:
    """Copy some rows of a table; a DataFrame gets a fresh index."""
    if isinstance(table, pd.DataFrame):
        return table.iloc[rows].reset_index(drop=True)
    return table[rows].copy()


def take_row(table: Table, row: int) -> np.ndarray | pd.Series:
    """Copy one row of a table."""
    return table.iloc[row] if isinstance(table, pd.DataFrame) else table[row].copy()


def _to_numpy(result: object) -> object:
    """Turn torch tensors, and those in a list, into arrays: NumPy would warn, or ask to detach."""
    if isinstance(result, list | tuple):
        return [_to_numpy(value) for value in result]
    if hasattr(result, "detach") and hasattr(result, "numpy"):
        return result.detach().cpu().numpy()
    return result


def _to_array(result: object, where: str) -> np.ndarray:
    """Copy what a simulator returned into an array that holds at least one value."""
    try:
        array = np.array(_to_numpy(result))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"The simulator must return a number, an array, a dict or a Series, got at {where} a "
            f"{type(result).__name__} that NumPy makes no array of, as where rows differ in "
            f"length: {error}"
        ) from error
    if array.size == 0:
        raise ValueError(f"{_NOTHING}, got an array of shape {array.shape} at {where}.")
    return array


def check_value(result: object, row: int) -> np.ndarray | dict[Hashable, object]:
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
        return _to_array(result, f"row {row}")
    if not result:
        raise ValueError(f"{_NOTHING}, got no name at row {row}.")
    values = {key: _to_array(value, f"row {row}, {key!r}") for key, value in result.items()}
    if shapes := {key: value.shape for key, value in values.items() if value.ndim}:
        raise ValueError(
            f"Every named value must be a single one, got the shapes {shapes} at row {row}: give "
            "each entry a name of its own."
        )
    return {key: value[()] for key, value in values.items()}


def check_table(result: object, n_rows: int) -> Table:
    """Turn the result of a vectorised simulator into a table, free of aliases."""
    if isinstance(result, Mapping):
        if not result:
            raise ValueError(f"{_NOTHING}, got a dict without columns.")
        result = {key: _to_array(value, f"column {key!r}") for key, value in result.items()}
        if shapes := {k: v.shape for k, v in result.items() if v.shape != (n_rows,)}:
            raise ValueError(
                f"Every column of a vectorised simulator must have shape ({n_rows},), as the chunk "
                f"has {n_rows} rows, got {shapes}."
            )
        return pd.DataFrame(result)
    if isinstance(result, pd.DataFrame):
        _check_unique(result.columns)
        result = result.reset_index(drop=True)
    else:
        result = _to_array(result, f"its chunk of {n_rows} rows")
    if result.shape[:1] != (n_rows,):
        raise ValueError(
            "The first dimension of what a vectorised simulator returns must be the "
            f"{n_rows} rows of its chunk, got shape {result.shape}."
        )
    if 0 in result.shape:
        raise ValueError(f"{_NOTHING}, got a table of shape {result.shape}.")
    return result


def _check_unique(names: pd.Index) -> None:
    """Check that no name occurs twice."""
    if not names.is_unique:
        twice = names[names.duplicated()].unique().tolist()
        raise ValueError(f"The names that the simulator returns must differ, got {twice} twice.")


def stack(rows: list[int], values: list[Value]) -> Table | None:
    """Put the results of rows on top of each other."""
    if not values:
        return None
    for row, value in zip(rows, values, strict=True):
        check_same_form(form_of(values[0]), rows[0], form_of(value), row)
    named = [value for value in values if isinstance(value, dict)]
    if named:
        return pd.DataFrame({key: [value[key] for value in named] for key in named[0]})
    return np.stack([np.asarray(value) for value in values])


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
            f"{first} at row {first_row} and {other} at row {row}."
        )


def is_finite(values: Table) -> np.ndarray:
    """Tell which rows hold no NaN, inf or missing value."""
    if isinstance(values, pd.DataFrame):
        columns = [is_finite(values.iloc[:, i].to_numpy()) for i in range(values.shape[1])]
        return np.all(columns, axis=0) if columns else np.ones(len(values), dtype=bool)
    finite = np.isfinite(values) if values.dtype.kind in "biufc" else ~pd.isna(values)
    return np.all(finite, axis=tuple(range(1, finite.ndim)))


def concatenate(tables: list[Table]) -> Table:
    """Put tables on top of each other."""
    named = [table for table in tables if isinstance(table, pd.DataFrame)]
    if named:
        return pd.concat([table[named[0].columns] for table in named], ignore_index=True)
    return np.concatenate([np.asarray(table) for table in tables])


def fill(values: Table, rows: np.ndarray, n_rows: int) -> Table:
    """Put results at their rows, NaN at all others."""
    if len(rows) == n_rows:
        return values
    if isinstance(values, pd.DataFrame):
        return values.set_axis(rows).reindex(range(n_rows))
    kind = values.dtype.kind
    dtype = values.dtype if kind in "fc" else float if kind in "biu" else object
    filled = np.full((n_rows, *values.shape[1:]), np.nan, dtype=dtype)
    filled[rows] = values
    return filled
