"""Tables of draws: from what a user passes to a float64 array and the names of its columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sksbi.tables.names import outer_labels
from sksbi.utils.containers import as_floats, plain

__all__ = [
    "as_float",
    "check_batch",
    "check_draws",
    "check_finite",
    "check_observed_names",
    "check_rows",
    "check_same_columns",
    "check_scale",
    "check_stack",
    "is_stack",
]

# Squares of what is larger, in units of a scale, would overflow.
_LARGEST, _LEAST_SCALE = 1e100, 1e-50


def check_draws(
    draws: object, argument: str, min_rows: int = 1
) -> tuple[np.ndarray, list[str] | None]:
    """
    Check a table of finite numbers, one draw a row.

    Parameters
    ----------
    draws : array-like or DataFrame of shape (n, D)
        The table.
    argument : str
        The argument's name, for the errors.
    min_rows : int, default=1
        The least number of rows.

    Returns
    -------
    values : ndarray of shape (n, D)
        The numbers in float64.
    names : list of str or None
        The names of the columns; None for an array.

    Raises
    ------
    TypeError
        If the entries are no real numbers.
    ValueError
        If the table is not 2-d, has too few rows or no columns, or holds NaN or infinity.
    """
    draws = plain(draws, argument)
    values = as_float(draws, argument)
    if values.ndim != 2:
        hint = " Reshape a single column by reshape(-1, 1)." if values.ndim == 1 else ""
        raise ValueError(
            f"{argument} must be 2-d, one draw a row, got an array of shape {values.shape}.{hint}"
        )
    if values.shape[0] < min_rows or values.shape[1] == 0:
        raise ValueError(
            f"{argument} must have at least {min_rows} row(s) and one column, "
            f"got shape {values.shape}."
        )
    bad = np.argwhere(~_is_usable(values))
    if len(bad):
        row, column = bad[0]
        raise ValueError(
            f"{_rule(argument, values[row, column])} in row {row}, column {column}; "
            "drop such rows first."
        )
    return values, _names_of(draws)


def check_batch(
    draws: object, theta: object, min_draws: int = 1
) -> tuple[np.ndarray, np.ndarray, list[str] | None]:
    """
    Check draws for many observations, and one row of parameters for each.

    Parameters
    ----------
    draws : array-like of shape (n, n_samples, D), or DataFrame of n * n_samples rows
        The draws; a table has the draw as its last index level, as ``sample`` returns it.
    theta : array-like or DataFrame of shape (n, D)
        The parameters.
    min_draws : int, default=1
        The least number of draws for each observation.

    Returns
    -------
    draws : ndarray of shape (n, n_samples, D)
        The draws in float64.
    theta : ndarray of shape (n, D)
        The parameters in float64.
    names : list of str or None
        The names of the columns, None if neither has any.

    Raises
    ------
    TypeError
        If entries are no real numbers.
    ValueError
        If shapes or names do not match, or an entry is NaN or infinite.
    """
    theta, names = check_draws(theta, "theta")
    values, draws_names = check_stack(draws, min_draws)
    check_same_columns(draws_names, names, "draws", "theta")
    if values.shape[::2] != theta.shape:
        raise ValueError(
            f"draws must have shape ({len(theta)}, n_samples, {theta.shape[1]}) for theta of shape "
            f"{theta.shape}, got {values.shape}."
        )
    return values, theta, names or draws_names


def check_stack(
    draws: object, min_draws: int = 1, argument: str = "draws"
) -> tuple[np.ndarray, list[str] | None]:
    """
    Check draws for many observations.

    Parameters
    ----------
    draws : array-like of shape (n, n_samples, D), or DataFrame of n * n_samples rows
        The draws; a table has the draw as its last index level, as ``sample`` returns it.
    min_draws : int, default=1
        The least number of draws for each observation.
    argument : str, default="draws"
        The argument's name, for the errors.

    Returns
    -------
    values : ndarray of shape (n, n_samples, D)
        The draws in float64.
    names : list of str or None
        The names of the columns; None for an array.

    Raises
    ------
    TypeError
        If entries are no real numbers.
    ValueError
        If the shape is another, or an entry is NaN or infinite.
    """
    values, names = _stacked(draws, argument)
    if values.ndim != 3 or 0 in values.shape or values.shape[1] < min_draws:
        raise ValueError(
            f"{argument} must have shape (n, n_samples, D), n_samples at least "
            f"{min_draws}, got {values.shape}."
        )
    bad = np.argwhere(~_is_usable(values))
    if len(bad):
        row, draw, column = bad[0]
        raise ValueError(
            f"{_rule(argument, values[row, draw, column])} in observation {row}, draw {draw}, "
            f"column {column}."
        )
    return values, names


def check_finite(values: object, argument: str) -> np.ndarray:
    """Check that an array of any shape holds finite numbers."""
    array = as_float(values, argument)
    bad = np.argwhere(~_is_usable(array))
    if len(bad):
        place = tuple(int(i) for i in bad[0])
        raise ValueError(f"{_rule(argument, array[place])} at {place}.")
    return array


def check_scale(scale: object, width: int) -> np.ndarray:
    """Check what columns are divided by, one positive number each; None divides by one."""
    if scale is None:
        return np.ones(width)
    values = as_float(scale, "scale")
    if values.shape != (width,) or not ((values > _LEAST_SCALE) & (values < np.inf)).all():
        raise ValueError(
            f"scale must be {width} positive numbers, above {_LEAST_SCALE:g}, got {scale!r}."
        )
    return values


def _is_usable(values: np.ndarray) -> np.ndarray:
    """Tell which numbers are finite, and have squares that are."""
    return np.abs(values) < _LARGEST


def _rule(argument: str, value: float) -> str:
    """Say what numbers must be, and what one is."""
    kind = f"below {_LARGEST:g} in size" if np.isfinite(value) else "finite"
    return f"{argument} must be {kind}, got {value}"


def check_observed_names(observed: object, x: object, argument: str, other: str) -> object:
    """Hold that an observation's names, if it and x have any, are x's; put a row in their order."""
    observed, names = plain(observed, argument), _names_of(plain(x, other))
    if isinstance(observed, pd.DataFrame):
        check_same_columns(_names_of(observed), names, argument, other)
    elif isinstance(observed, dict):
        observed = {str(label): value for label, value in observed.items()}
        return [observed[name] for name in _in_order(list(observed), names, argument, other)]
    elif isinstance(observed, pd.Series) and all(isinstance(k, str) for k in observed.index):
        return observed[_in_order(list(observed.index), names, argument, other)]
    return observed


def _in_order(labels: list[str], names: list[str] | None, argument: str, other: str) -> list[str]:
    """Give the labels of one row in the order of names, which must be the same ones."""
    if names is not None and sorted(labels) == sorted(names):
        return names
    check_same_columns(labels, names, argument, other)
    return labels


def _names_of(table: object) -> list[str] | None:
    """Name the columns of a table; an array has none."""
    return [str(name) for name in table.columns] if isinstance(table, pd.DataFrame) else None


def check_rows(values: object, argument: str, n_rows: int) -> tuple[np.ndarray, list[str] | None]:
    """Check a table of as many rows as another has; give its names, too."""
    table, names = check_draws(values, argument)
    if len(table) != n_rows:
        raise ValueError(
            f"{argument} must have {n_rows} rows, one an observation, got {len(table)}."
        )
    return table, names


def is_stack(draws: Any) -> bool:
    """Tell draws for many observations from those for one."""
    draws = plain(draws, "draws")
    return np.ndim(draws) == 3 or getattr(getattr(draws, "index", None), "nlevels", 1) > 1


def _stacked(draws: object, argument: str) -> tuple[np.ndarray, list[str] | None]:
    """Turn a table of draws into an array of three dimensions."""
    draws = plain(draws, argument)
    values = as_float(draws, argument)
    if not isinstance(draws, pd.DataFrame):
        return values, None
    if draws.index.nlevels > 1:
        numbers = draws.index.get_level_values(-1)
        each = numbers.unique()
        if not np.array_equal(numbers, np.resize(each, len(numbers))) or len(numbers) % len(each):
            counts = outer_labels(draws.index).value_counts(sort=False).to_dict()
            raise ValueError(
                f"{argument} as a table must hold as many draws for every observation, one "
                f"observation after the other, got {counts}."
            )
        values = values.reshape(-1, len(each), values.shape[1])
    return values, _names_of(draws)


def check_same_columns(
    names: list[str] | None, others: list[str] | None, argument: str, other: str
) -> None:
    """Raise unless two tables have the same names in the same order; arrays agree with all."""
    if names is not None and others is not None and names != others:
        raise ValueError(
            f"{argument} and {other} must have the same columns in the same order, "
            f"got {names} and {others}."
        )


def as_float(draws: object, argument: str) -> np.ndarray:
    """Convert to float64, refusing complex numbers, dates and what is no number."""
    return as_floats(draws, argument)
