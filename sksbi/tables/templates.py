"""What x looked like in fit, and other x brought into that form, row by row."""

from __future__ import annotations

import reprlib
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from sksbi.tables.names import has_names, put_in_order
from sksbi.utils.containers import plain, shape_of
from sksbi.utils.warn import warn_user

__all__ = ["as_table", "for_steps", "shape_error", "template_of"]


def for_steps(x: Any) -> Any:
    """
    Turn x into what transformers take: tables of any library are left to them.

    Parameters
    ----------
    x : object
        What the user gave.

    Returns
    -------
    object
        The same, but that tensors, masked and structured arrays become arrays and tables.
    """
    read = plain(x, "x")
    is_foreign = isinstance(read, pd.DataFrame) and not isinstance(x, pd.DataFrame | np.ndarray)
    return x if is_foreign else read


def template_of(x: Any) -> Any:
    """
    Remember columns and dtypes, or the number of dimensions, of x in fit, and no row of it.

    Parameters
    ----------
    x : DataFrame, Series, sparse matrix or array-like
        What fit was given.

    Returns
    -------
    DataFrame, Series, sparse matrix or ndarray
        The same without rows.
    """
    x = plain(x, "x")
    if isinstance(x, pd.DataFrame | pd.Series):
        return x.iloc[:0].reset_index(drop=True).copy()
    if scipy.sparse.issparse(x):
        return x.tocsr()[:0]
    return np.asarray(x)[:0].copy()


def as_table(x: Any, template: Any) -> tuple[Any, bool]:
    """
    Turn one observation into one row in the form of fit's x.

    Parameters
    ----------
    x : object
        One observation or a batch.
    template : object
        What :func:`template_of` gave.

    Returns
    -------
    table : object
        The rows.
    single : bool
        Whether x was one observation.

    Raises
    ------
    ValueError
        If x is not in the form of fit's x.
    """
    given, x = for_steps(x), plain(x, "x")
    if not isinstance(template, pd.DataFrame):
        return _as_batch(x, template)
    if isinstance(x, Mapping | pd.Series):
        x = _in_order(pd.Series(dict(x), dtype=object), template)
    if isinstance(x, pd.DataFrame):
        _check_labels(x, template)
        return _widened_columns(given, template), False
    if scipy.sparse.issparse(x):
        raise TypeError("x must be dense, as in fit, got a sparse array: give x.toarray().")
    n_axes = len(shape_of(x, "x"))
    if n_axes not in (1, 2):
        raise shape_error(x, template)
    single = n_axes == 1
    # Without object, numbers next to strings would become strings.
    dtype = object if isinstance(x, list | tuple) else None
    rows = [list(x)] if single else np.asarray(x, dtype=dtype)
    width = np.shape(rows)[1]
    if width != template.shape[1]:
        raise ValueError(f"x must have {template.shape[1]} columns as in fit, got {width}.")
    raw = pd.DataFrame(rows, columns=template.columns)
    table = pd.DataFrame({i: _cast(raw.iloc[:, i], d) for i, d in enumerate(template.dtypes)})
    return table.set_axis(template.columns, axis=1), single


def _check_labels(x: Any, template: pd.DataFrame) -> None:
    """Hold that names in x are fit's columns, in order."""
    labels, names = list(x.columns), list(template.columns)
    if has_names(x.columns) and labels != names:
        raise ValueError(f"x must have fit's columns in the same order, {names}, got {labels}.")
    if not has_names(x.columns) and has_names(template.columns):
        warn_user(
            "x does not have valid feature names, but the Pipeline was fitted with feature names: "
            f"columns labelled {labels[:5]} are taken by position, as {names[:5]}.",
            UserWarning,
        )


def _in_order(x: pd.Series, template: pd.DataFrame) -> pd.Series:
    """Put one observation with names into the order of fit's columns."""
    if has_names(x.index) and has_names(template.columns):
        return put_in_order(x, list(template.columns), "x")
    return x


def _as_batch(x: Any, template: Any) -> tuple[Any, bool]:
    """Do the same for arrays, sparse matrices, Series and lists."""
    holds_objects = template.ndim == 1 and template.dtype == object
    if scipy.sparse.issparse(x):
        if not scipy.sparse.issparse(template):
            raise TypeError("x must be dense, as in fit, got a sparse array: give x.toarray().")
        return (x.reshape(1, -1).tocsr(), True) if x.ndim == 1 else (x, False)
    if isinstance(x, Mapping) and not holds_objects:
        x = list(x.values())
    n_axes = len(shape_of(x, "x"))
    if n_axes < template.ndim - 1:
        raise shape_error(x, template)
    single = n_axes == template.ndim - 1
    rows = np.asarray(x)[None] if single else x
    dtype = getattr(template, "dtype", None)
    narrow = _has_fewer_digits(getattr(rows, "dtype", None), dtype)
    return (rows.astype(dtype) if narrow else rows), single


def _widened_columns(table: Any, template: pd.DataFrame) -> Any:
    """Give columns fit's dtype where theirs has fewer digits, in which steps would compute."""
    if not isinstance(table, pd.DataFrame) or table.shape[1] != template.shape[1]:
        return table
    pairs = zip(table.dtypes.items(), template.dtypes, strict=True)
    wider = {label: dtype for (label, own), dtype in pairs if _has_fewer_digits(own, dtype)}
    return table.astype(wider) if wider and table.columns.is_unique else table


def _has_fewer_digits(dtype: Any, other: Any) -> bool:
    """Compare two float dtypes of NumPy."""
    if not isinstance(dtype, np.dtype) or not isinstance(other, np.dtype):
        return False
    return dtype.kind == other.kind == "f" and dtype.itemsize < other.itemsize


def shape_error(x: Any, template: Any, *, trials: str = "") -> ValueError:
    """
    Say what x may look like.

    Parameters
    ----------
    x : object
        What was given.
    template : object
        What :func:`template_of` gave.
    trials : str, default=""
        What says that observations consist of trials, if they do.

    Returns
    -------
    ValueError
        To be raised.
    """
    shape = "".join(f", {size}" for size in template.shape[1:])
    one = f"(trials{shape})" if trials else f"{template.shape[1:]}"
    batch = f"(m, trials{shape})" if trials else f"(m{shape})"
    what = f"x with {trials}" if trials else "x"
    return ValueError(
        f"{what} must be one observation of shape {one} or a batch of shape {batch}, as in fit, "
        f"got {reprlib.repr(x)} of shape {np.shape(x)}."
    )


def _cast(column: pd.Series, dtype: Any) -> pd.Series:
    """Give a column fit's dtype; numbers that it cannot hold stay float."""
    if isinstance(dtype, pd.CategoricalDtype):
        unknown = column.notna() & ~column.isin(dtype.categories)
        _refuse(column, unknown, f"one of fit's categories {list(dtype.categories)}")
    elif dtype.kind in "biuf":
        return _cast_numbers(column, dtype)
    try:
        return column.astype(dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"x must hold {dtype} in column {column.name!r}, as in fit, got "
            f"{reprlib.repr(column.tolist())}: {error}"
        ) from error


def _cast_numbers(column: pd.Series, dtype: Any) -> pd.Series:
    """Give a column fit's numeric dtype if that keeps the values; else make it float."""
    missing = column.isna()
    if dtype.kind != "f" and isinstance(dtype, np.dtype):
        _refuse(column, missing, f"a number in every row, for {dtype} holds no missing one,")
    if column.dtype.kind not in "biuf":
        _refuse(column, ~missing & ~column.map(_is_number).astype(bool), f"{dtype} numbers")
        values = [np.nan if gap else v for v, gap in zip(column, missing, strict=True)]
        column = pd.Series(values, column.index, dtype=object, name=column.name)
    if dtype.kind == "f":
        return column.astype(dtype)
    try:
        with np.errstate(invalid="ignore"), warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)
            cast = column.astype(dtype)
        if (cast == column)[~missing].all():
            return cast
    except (TypeError, ValueError, OverflowError, DeprecationWarning):
        pass  # a fraction in Int64, or a number out of range, of which NumPy 1 only warns
    return column.astype(np.float64)


def _is_number(value: Any) -> bool:
    """Tell whether something counts as a real number; text never does."""
    if isinstance(value, str | bytes):
        return False
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _refuse(column: pd.Series, wrong: pd.Series, rule: str) -> None:
    """Raise for the first value of a column that breaks a rule."""
    if wrong.any():
        value = column[wrong].iloc[0]
        raise ValueError(
            f"x must hold {rule} in column {column.name!r}, as in fit, got {value!r}: give a "
            "value that fit's column could hold, or fit with such values."
        )
