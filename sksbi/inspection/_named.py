"""Named tables and rows for the displays: several tables at once, and one row of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from sksbi.tables.draws import as_float, check_batch, check_draws, check_same_columns

__all__ = ["check_named_batch", "check_names", "check_row", "check_tables", "count_names"]


def check_tables(
    tables: Mapping[str, object], argument: str, min_rows: int = 2
) -> tuple[dict[str, np.ndarray], list[str] | None]:
    """Check labelled tables of the same columns; return their values and the names, if any."""
    values, names = {}, None
    for label, table in tables.items():
        where = f"{argument}[{label!r}]" if len(tables) > 1 else argument
        values[str(label)], columns = check_draws(table, where, min_rows)
        check_same_columns(columns, names, where, "the tables before it")
        names = names or columns
    widths = {label: table.shape[1] for label, table in values.items()}
    if len(set(widths.values())) != 1:
        raise ValueError(
            f"{argument} must hold tables of the same number of columns, got {widths or 'none'}."
        )
    return values, names


def check_named_batch(
    draws: object, theta: object, names: Sequence[str] | None, min_draws: int = 1
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Check draws (n, n_samples, D) and theta (n, D); find or check the names."""
    values, theta, columns = check_batch(draws, theta, min_draws)
    n_features = theta.shape[1]
    if names is not None:
        return values, theta, check_names(names, n_features, "names")
    return values, theta, columns or count_names(n_features)


def count_names(n_features: int) -> list[str]:
    """Name parameters by their numbers."""
    return [f"theta_{j}" for j in range(n_features)]


def check_names(names: Sequence[str], n_names: int, argument: str) -> list[str]:
    """Check that there is one distinct name a column."""
    checked = [names] if isinstance(names, str) else [str(name) for name in names]
    if len(checked) != n_names or len(set(checked)) != n_names:
        raise ValueError(f"{argument} must be {n_names} distinct names, got {names!r}.")
    return checked


def check_row(row: object, names: list[str], argument: str) -> np.ndarray:
    """Check one row of values, by name or by position; NaN where a name has none."""
    labelled = _labelled(row)
    if labelled is None:
        values = as_float(row, argument)
        if values.ndim == 0 and len(names) == 1:
            values = values.reshape(1)
        if values.shape not in {(len(names),), (1, len(names))}:
            raise ValueError(
                f"{argument} must have {len(names)} values, got an array of shape {values.shape}."
            )
        return values.reshape(-1)
    unknown = [name for name in labelled if name not in names]
    if unknown:
        raise ValueError(f"{argument} must be named as {names}, got the unknown {unknown}.")
    return as_float([labelled.get(name, np.nan) for name in names], argument)


def _labelled(row: object) -> dict[str, object] | None:
    """Return what a dict, a table of one row or a Series with names says by name, else None."""
    if isinstance(row, pd.DataFrame):
        if len(row) != 1:
            raise ValueError(f"A row given as a DataFrame must be one row, got {len(row)}.")
        row = row.iloc[0]
    if isinstance(row, pd.Series):
        named = all(isinstance(label, str) for label in row.index)
        return dict(row) if named else None
    return dict(row) if isinstance(row, Mapping) else None
