"""Tables of draws: from what a user passes to a float64 array and the names of its columns."""

from __future__ import annotations

import numpy as np

__all__ = ["as_float", "check_draws", "check_same_columns"]


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
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        raise ValueError(
            f"{argument} must be finite, got {values[row, column]} in row {row}, column {column}; "
            "drop such rows first."
        )
    columns = getattr(draws, "columns", None)
    return values, None if columns is None else [str(name) for name in columns]


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
    """Convert to float64, refusing complex numbers and what is no number."""
    array = np.asarray(draws)
    if np.iscomplexobj(array):
        raise TypeError(f"{argument} must hold real numbers, got dtype {array.dtype}.")
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{argument} must hold real numbers, got {type(draws).__name__}: {error}"
        ) from error
