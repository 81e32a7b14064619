"""Checks of what shapes a part: flags, widths of layers, and what makes one."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from typing import Any, cast

import numpy as np
from sklearn.utils._param_validation import InvalidParameterError

from sksbi.utils.validation import check_count

__all__ = ["check_factory", "check_flag", "check_widths"]


def check_flag(value: object, name: str) -> bool:
    """
    Validate what is True or False.

    Parameters
    ----------
    value : bool
        What the user passed.
    name : str
        The argument's name, for errors.

    Returns
    -------
    bool
        The same.

    Raises
    ------
    TypeError
        If it is neither.
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}.")
    return bool(value)


def check_widths(value: object, name: str, *, least: int = 1) -> list[int]:
    """
    Validate the widths of layers.

    Parameters
    ----------
    value : sequence of int
        What the user passed.
    name : str
        The argument's name, for errors.
    least : int, default=1
        How many there must be at least.

    Returns
    -------
    list of int
        The widths.

    Raises
    ------
    ValueError, TypeError
        If it is no sequence of positive ints, or too short.
    """
    is_array = isinstance(value, np.ndarray) and value.ndim == 1
    is_sequence = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if not (is_array or is_sequence) or len(cast(Sized, value)) < least:
        raise InvalidParameterError(
            f"{name} must be a sequence of at least {least} width(s), such as (64, 64), got "
            f"{value!r}."
        )
    return [check_count(width, f"every width in {name}") for width in cast(Sequence[Any], value)]


def check_factory(value: object, name: str) -> Callable[[], Any]:
    """
    Validate what makes a part, such as a class.

    Parameters
    ----------
    value : callable
        What the user passed.
    name : str
        The argument's name, for errors.

    Returns
    -------
    callable
        The same.

    Raises
    ------
    TypeError
        If it cannot be called.
    """
    if not callable(value):
        raise TypeError(
            f"{name} must be a class, or a callable without arguments, that makes one, got "
            f"{value!r}."
        )
    return value
