"""Checks of what a user passes: every error names the argument, the rule and the value."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence, Sized
from numbers import Integral, Real
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.validation import check_array

from sksbi.utils.types import Array, Table

__all__ = [
    "check_count",
    "check_factory",
    "check_flag",
    "check_instance",
    "check_numbers",
    "check_real",
    "check_weights",
    "check_widths",
    "count_rows",
]

_NO_NUMBERS = ("could not convert", "float()", "Cannot convert", "must be real", "setting an array")


def check_numbers(values: ArrayLike, name: str, **options: Any) -> Array:
    """
    Convert to a float64 array of finite numbers.

    Parameters
    ----------
    values : array-like
        Numbers of any kind; object columns of numbers are converted.
    name : str
        The argument's name, for errors.
    **options : object
        Passed on to :func:`sklearn.utils.check_array`.

    Returns
    -------
    ndarray, float64
        The numbers.

    Raises
    ------
    ValueError, TypeError
        If there is anything but finite real numbers, or the shape is wrong.
    """
    if _holds_dates(values):
        raise TypeError(
            f"{name} must hold numbers only, got dates or durations, which would count "
            "nanoseconds: turn them into numbers of a unit, as in (t - t[0]) / pd.Timedelta('1D')."
        )
    try:
        return check_array(values, input_name=name, **{"dtype": np.float64, **options})
    except (ValueError, TypeError) as error:
        message = str(error)
        if message.startswith(_NO_NUMBERS):
            raise type(error)(f"{name} must hold numbers only: {message}") from error
        if re.search(rf"\b{re.escape(name)}\b(?!\.)", message):
            raise
        raise type(error)(f"{name}: {message}") from error


def _holds_dates(values: ArrayLike) -> bool:
    """Tell whether a column is of dates or durations."""
    dtypes = values.dtypes if isinstance(values, pd.DataFrame) else [getattr(values, "dtype", None)]
    return any(getattr(dtype, "kind", None) in ("m", "M") for dtype in dtypes)


def check_weights(sample_weight: ArrayLike | None, n: int) -> Array:
    """
    Validate sample weights and bring them to mean 1.

    Parameters
    ----------
    sample_weight : None, scalar or array-like of shape (n,)
        Non-negative, not all zero. None or a scalar: equal weights.
    n : int
        The number of rows.

    Returns
    -------
    ndarray of shape (n,)
        The weights.

    Raises
    ------
    ValueError
        If the length is wrong, a weight is negative or all are zero.
    """
    if sample_weight is None or (isinstance(sample_weight, Real) and float(sample_weight) > 0):
        return np.ones(n)
    weights = check_numbers(sample_weight, "sample_weight", ensure_2d=False)
    if weights.shape != (n,):
        raise ValueError(f"sample_weight must have shape ({n},), one a row, got {weights.shape}.")
    if weights.min() < 0:
        raise ValueError(f"sample_weight must be non-negative, got {weights.min()}.")
    if weights.max() == 0:
        raise ValueError(f"sample_weight must not be all zero, got {n} zeros.")
    weights = weights / weights.max()  # so that equal weights become one, bit for bit
    return weights / weights.mean()


def count_rows(table: Table) -> int:
    """
    Count the rows of a table.

    Parameters
    ----------
    table : array-like or DataFrame of shape (n, ...)
        The table.

    Returns
    -------
    int
        The number n.
    """
    return len(cast(Sized, table))


def check_instance(value: object, name: str) -> None:
    """
    Hold that an estimator is not a class.

    Parameters
    ----------
    value : object
        What the user passed.
    name : str
        The argument's name, for errors.

    Raises
    ------
    TypeError
        If it is a class.
    """
    if isinstance(value, type):
        raise TypeError(
            f"{name} must be an estimator, got the class {value.__name__}: call it, as in "
            f"{value.__name__}()."
        )


def check_count(value: object, name: str, *, low: int = 1) -> int:
    """
    Validate a count.

    Parameters
    ----------
    value : int
        What the user passed.
    name : str
        The argument's name, for errors.
    low : int, default=1
        The least value.

    Returns
    -------
    int
        The count.

    Raises
    ------
    InvalidParameterError
        A ValueError and a TypeError, as of scikit-learn's parameters: if it is no integer, or too
        small.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        kind = f" of {type(value).__name__}" if value is not None else ""
        raise InvalidParameterError(f"{name} must be an int >= {low}, got {value!r}{kind}.")
    if value < low:
        raise InvalidParameterError(f"{name} must be an int >= {low}, got {value}.")
    return int(value)


def check_real(value: object, name: str, *, low: float = 0.0, high: float = np.inf) -> float:
    """
    Validate a real number in an open interval.

    Parameters
    ----------
    value : float
        What the user passed.
    name : str
        The argument's name, for errors.
    low, high : float, default=0 and inf
        The interval, its ends excluded.

    Returns
    -------
    float
        The number.

    Raises
    ------
    TypeError
        If it is no real number.
    ValueError
        If it is not in the interval.
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, got {value!r} of type {type(value).__name__}.")
    number = float(value)
    if not low < number < high:
        raise ValueError(f"{name} must be > {low:g} and < {high:g}, got {value}.")
    return number


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
