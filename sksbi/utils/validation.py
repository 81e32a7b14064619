"""Checks of what a user passes: every error names the argument, the rule and the value."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.validation import check_array

from sksbi.utils.containers import as_rows, plain, without_na
from sksbi.utils.types import Array

__all__ = [
    "check_count",
    "check_instance",
    "check_lengths",
    "check_memory",
    "check_numbers",
    "check_real",
    "check_weights",
    "count_rows",
    "name_place",
    "refuse_dates",
    "shortened",
]

_SHOWN = 60
_NO_NUMBERS = ("could not convert", "float()", "Cannot convert", "must be real", "setting an array")


def check_numbers(
    values: ArrayLike,
    name: str,
    *,
    columns: Sequence[Hashable] | None = None,
    way_out: str = "leave out such rows",
    **options: Any,
) -> Array:
    """
    Convert to a float64 array of finite numbers.

    Parameters
    ----------
    values : array-like
        Numbers of any kind; object columns of numbers are converted.
    name : str
        The argument's name, for errors.
    columns : sequence or None, default=None
        The names of the columns, for errors; None: those of a DataFrame.
    way_out : str, default="leave out such rows"
        What to do about NaN and infinity, for errors.
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
    values = plain(values, name)
    if isinstance(values, pd.DataFrame):
        columns = _distinct_columns(values, name)
    refuse_dates(values, name)
    finite = options.pop("ensure_all_finite", True)
    options = {"dtype": np.float64} | options | {"input_name": name, "ensure_all_finite": False}
    try:
        with np.errstate(over="ignore"):  # of long doubles; they are infinite then
            array = check_array(without_na(values), **options)
    except (ValueError, TypeError, OverflowError) as error:
        raise _explained(error, values, name) from error
    bad = _find_bad(array, nan=finite is True)
    if len(bad):
        at = tuple(int(i) for i in bad[0])
        kind = "NaN" if np.isnan(array[at]) else f"infinity ({array[at]})"
        place = name_place(at, columns, getattr(values, "index", None))
        raise ValueError(f"{name} contains {kind} {place}, and must be finite: {way_out}.")
    return array


def _distinct_columns(table: pd.DataFrame, name: str) -> list[Hashable]:
    """Read the names of the columns, of which there must be some, each once."""
    if not len(table.columns):
        raise ValueError(f"{name} must have at least one column, got shape {table.shape}.")
    again = table.columns[table.columns.duplicated()]
    if len(again):
        times = int((table.columns == again[0]).sum())
        raise ValueError(
            f"{name} must have columns of different names, got {again[0]!r} {times} times."
        )
    return list(table.columns)


def name_place(
    at: tuple[int, ...], columns: Sequence[Hashable] | None, index: pd.Index | None
) -> str:
    """
    Say where in an array something stands.

    Parameters
    ----------
    at : tuple of int
        The place.
    columns : sequence or None
        The names of the columns.
    index : Index or None
        The labels of the rows.

    Returns
    -------
    str
        In words.
    """
    if len(at) > 2:
        return f"at index {at}"
    row = f"row {at[0]}" if at else "its only value"
    if isinstance(index, pd.Index) and not isinstance(index, pd.RangeIndex):
        row += f" (label {index[[at[0]]].tolist()[0]!r})"
    if len(at) < 2:
        return f"in {row}"
    return f"in column {at[1] if columns is None else columns[at[1]]!r}, {row}"


def _find_bad(array: Array, *, nan: bool) -> NDArray[np.intp]:
    """Find what is infinite, or NaN; a sum tells at once that there is none."""
    with np.errstate(all="ignore"):
        if np.isfinite(array.sum()):
            return np.empty((0, array.ndim), dtype=np.intp)
    return np.argwhere(~np.isfinite(array) if nan else np.isinf(array))


def _explained(error: Exception, values: Any, name: str) -> Exception:
    """Put an error of scikit-learn's into our words."""
    kind = TypeError if isinstance(error, TypeError) else ValueError
    message = shortened(str(error))
    if message.startswith("Complex data") and isinstance(values, pd.DataFrame):
        return kind(f"{name}: Complex data not supported, {_name_column(values)}give real numbers")
    if type(values) is dict:  # some sparse matrices are dicts too
        return kind(
            f"{name} must be a table or an array, got a dict: make it a pandas.DataFrame, or a "
            "pandas.Series for one row"
        )
    if message.startswith(_NO_NUMBERS) or isinstance(error, OverflowError):
        return kind(f"{name} must hold numbers only: {_name_column(values)}{message}")
    return kind(
        message if re.search(rf"\b{re.escape(name)}\b(?!\.)", message) else f"{name}: {message}"
    )


def shortened(message: str) -> str:
    """Show the first numbers only of an array that scikit-learn prints in full, on one line."""
    printed = r"\n(array=)?\[.*\](?=\.\n|\n?$)"
    return re.sub(printed, _first_numbers, message, flags=re.DOTALL).rstrip()


def _first_numbers(match: re.Match[str]) -> str:
    """Shorten a printed array."""
    numbers = " ".join(match[0].split())
    return " " + (numbers if len(numbers) < 2 * _SHOWN else numbers[:_SHOWN] + " ...]")


def _name_column(values: Any) -> str:
    """Name the first column of a table that holds anything but real numbers."""
    columns = list(values.columns) if isinstance(values, pd.DataFrame) else []
    for i, column in enumerate(columns):
        if not _holds_reals(values.iloc[:, i]):
            return f"in column {column!r}, "
    return ""


def _holds_reals(column: pd.Series) -> bool:
    """Tell whether a column becomes real numbers."""
    numbers = np.asarray(without_na(column))
    try:
        return not np.iscomplexobj(numbers) and numbers.astype(np.float64).ndim == 1
    except (ValueError, TypeError, OverflowError):
        return False


def refuse_dates(values: Any, name: str) -> None:
    """
    Hold that no column is of dates or durations.

    Parameters
    ----------
    values : array-like or DataFrame
        What the user gave.
    name : str
        The argument's name, for errors.

    Raises
    ------
    TypeError
        If one is.
    """
    is_table = isinstance(values, pd.DataFrame)
    dtypes = list(values.dtypes) if is_table else [getattr(values, "dtype", None)]
    of_dates = [i for i, d in enumerate(dtypes) if getattr(d, "kind", None) in ("m", "M")]
    if of_dates:
        column = f" in column {values.columns[of_dates[0]]!r}" if is_table else ""
        raise TypeError(
            f"{name} must hold numbers only, got dates or durations{column}, which would count "
            "nanoseconds: turn them into numbers of a unit, as in (t - t[0]) / pd.Timedelta('1D')."
        )


def check_lengths(**arguments: Any) -> None:
    """
    Hold that arguments have as many rows as each other.

    Parameters
    ----------
    **arguments : object
        Arrays or tables by the name of the argument.

    Raises
    ------
    ValueError, TypeError
        If they have not, or one has no rows.

    Examples
    --------
    >>> from sksbi.utils.validation import check_lengths
    >>> check_lengths(theta=[1, 2], x=[3, 4])
    """
    lengths = {name: count_rows(value, name) for name, value in arguments.items()}
    if len(set(lengths.values())) > 1:
        counts = list(lengths.values())
        raise ValueError(f"{' and '.join(lengths)} must have one length, got {counts} rows.")


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


def count_rows(table: Any, name: str) -> int:
    """
    Count the rows of a table.

    Parameters
    ----------
    table : array-like, sparse matrix or DataFrame of shape (n, ...)
        The table.
    name : str
        The argument's name, for errors.

    Returns
    -------
    int
        The number n.

    Raises
    ------
    TypeError
        If it has no rows.
    """
    rows = as_rows(table, name)
    return len(rows) if isinstance(rows, list) else int(rows.shape[0])


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


def check_memory(value: int, name: str, n_numbers: int) -> None:
    """
    Hold that what a count asks for fits into the memory of this machine.

    Parameters
    ----------
    value : int
        The count.
    name : str
        The argument's name, for errors.
    n_numbers : int
        How many float64 numbers it takes.

    Raises
    ------
    InvalidParameterError
        A ValueError and a TypeError, as of :func:`check_count`: if it does not.

    Examples
    --------
    >>> from sksbi.utils.validation import check_memory
    >>> check_memory(1_000, "n_samples", 1_000 * 3)
    """
    needed, there = 8 * n_numbers, _memory()
    if needed > there:
        raise InvalidParameterError(
            f"{name} must be a count whose results fit into memory, got {value}, which takes "
            f"{needed / 2**30:,.0f} GiB where this machine has {there / 2**30:,.0f} GiB: ask for "
            "fewer, or in parts, such as some observations at a time, and keep each part on disk."
        )


def _memory() -> int:
    """Tell how many bytes of memory this machine has; 1 TiB where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**40


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
