"""Tables, rows and draws of many forms, and the names in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from sksbi.tables.draws import as_float
from sksbi.utils.types import Array, Row

__all__ = [
    "check_levels",
    "check_names",
    "check_points",
    "check_row",
    "names_of_row",
    "parameter_labels",
]


def parameter_labels(
    names: Sequence[str] | None, columns: list[str] | None, n_features: int
) -> list[str]:
    """Take the names that were given, else those of the columns, else count."""
    if names is None:
        return columns or [f"theta_{j}" for j in range(n_features)]
    return check_names(names, n_features)


def check_names(names: Sequence[str], n_names: int) -> list[str]:
    """Check that there is one distinct name for each."""
    if not isinstance(names, Iterable):
        raise TypeError(f"names must be {n_names} distinct names, got {names!r}.")
    checked = [names] if isinstance(names, str) else [str(name) for name in names]
    if len(checked) != n_names or len(set(checked)) != n_names:
        raise ValueError(f"names must be {n_names} distinct names, got {names!r}.")
    return checked


def check_levels(levels: Sequence[float]) -> list[float]:
    """Check probabilities strictly between 0 and 1, and sort them from wide to narrow."""
    rule = "levels must be probabilities strictly between 0 and 1, such as (0.5, 0.9), got"
    try:
        values = np.unique(np.asarray(levels, dtype=np.float64))[::-1]
    except (TypeError, ValueError) as error:
        raise TypeError(f"{rule} {levels!r}.") from error
    if values.size == 0 or not np.all((values > 0) & (values < 1)):
        raise ValueError(f"{rule} {levels!r}.")
    return values.tolist()


def check_row(row: Row, names: list[str], argument: str) -> Array:
    """Check one row of values, by name or by position; NaN where a name has none."""
    values = _row(row, names, argument)
    if np.isinf(values).any():
        raise ValueError(f"{argument} must hold numbers, NaN where there is none, got {row!r}.")
    return values


def check_points(
    points: Mapping[str, Row] | None, names: list[str], shown: list[str]
) -> dict[str, pd.Series] | None:
    """Check rows that have a name each, and give their values other names."""
    if points is None:
        return None
    if not isinstance(points, Mapping):
        raise TypeError(
            "points must be a dict of rows by their name in the legend, such as "
            f'{{"mode": npe.map(x)}}, got {type(points).__name__}.'
        )
    return {
        str(label): pd.Series(check_row(row, names, f"points[{label!r}]"), index=shown)
        for label, row in points.items()
    }


def _row(row: Row, names: list[str], argument: str) -> Array:
    """Read one row of values, by name or by position."""
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
    if not labelled:
        raise ValueError(f"{argument} must name some of {names}, got an empty one.")
    if unknown:
        raise ValueError(f"{argument} must be named as {names}, got the unknown {unknown}.")
    return as_float([labelled.get(name, np.nan) for name in names], argument)


def names_of_row(row: Row, n_names: int) -> list[str] | None:
    """Return the names in a row, where there are so many and all are distinct words."""
    names = list(_labelled(row) or ())
    is_named = len(names) == n_names and all(isinstance(name, str) for name in names)
    return names if is_named else None


def _labelled(row: Row) -> dict[str, float] | None:
    """Return what a dict, a table of one row or a Series with names says by name, else None."""
    if isinstance(row, pd.DataFrame):
        if len(row) != 1:
            raise ValueError(f"A row given as a DataFrame must be one row, got {len(row)}.")
        row = row.iloc[0]
    if isinstance(row, pd.Series):
        named = all(isinstance(label, str) for label in row.index)
        return dict(row) if named else None
    return dict(row) if isinstance(row, Mapping) else None
