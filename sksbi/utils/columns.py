"""Parameters by name or by position."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral

import numpy as np

__all__ = ["find_columns"]


def find_columns(
    columns: Iterable[int | str], names: Sequence[str] | None, n_features: int
) -> list[int]:
    """
    Turn names and positions into positions.

    Parameters
    ----------
    columns : sequence of str or int
        The parameters, in the order wanted.
    names : sequence of str or None
        The names of all parameters; None: they have none.
    n_features : int
        Their number.

    Returns
    -------
    list of int
        The positions.

    Raises
    ------
    TypeError
        If ``columns`` is no sequence of names and positions.
    ValueError
        If a column does not exist, stands twice, or there is none.
    """
    if isinstance(columns, str) or not isinstance(columns, Iterable):
        raise TypeError(
            f"columns must be a list of names or positions, got {columns!r}: put it in a list."
        )
    positions = [_position(column, names, n_features) for column in columns]
    if not positions or len(set(positions)) < len(positions):
        raise ValueError(
            f"columns must name at least one parameter, and none twice, got {[*columns]}."
        )
    return positions


def _position(column: int | str, names: Sequence[str] | None, n_features: int) -> int:
    """Find one column."""
    if isinstance(column, str):
        if names is None or column not in names:
            have = "no names: give positions" if names is None else f"the names {list(names)}"
            raise ValueError(f"columns must be parameters, got {column!r}; these have {have}.")
        return names.index(column)
    if not isinstance(column, Integral) or isinstance(column, bool | np.bool_):
        raise TypeError(f"columns must be names or integer positions, got {column!r}.")
    if not 0 <= column < n_features:
        raise ValueError(f"columns must be positions from 0 to {n_features - 1}, got {column}.")
    return int(column)
