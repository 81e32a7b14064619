"""What an emulator is asked, and what it gives back in the form of fit's x."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sksbi.priors import Prior
from sksbi.tables.layout import ObservationLayout
from sksbi.tables.names import put_in_order
from sksbi.tables.results import with_level
from sksbi.tables.theta import Reader, check_against_prior, read_theta
from sksbi.utils.containers import plain, shape_of
from sksbi.utils.types import Array

__all__ = ["AskedParameters", "emulated_table", "in_form_of", "observed_table", "read_parameters"]


@dataclass(frozen=True, eq=False)
class AskedParameters:
    """
    Parameters to emulate at.

    Parameters
    ----------
    values : ndarray of shape (m, D)
        The parameters.
    single : bool
        Whether the user gave one theta rather than m.
    index : Index
        Their labels.
    """

    values: Array
    single: bool
    index: pd.Index


def read_parameters(reader: Reader, theta: Any, prior: Prior | None) -> AskedParameters:
    """
    Read one theta, or m.

    Parameters
    ----------
    reader : estimator
        Remembers the columns of theta in fit.
    theta : array-like, dict, Series or DataFrame
        One theta of shape (D,), a dict or Series by names; or m of shape (m, D).
    prior : Prior or None
        The prior, inside of which they must lie.

    Returns
    -------
    AskedParameters
        The parameters.

    Raises
    ------
    ValueError
        If they do not look like fit's theta, or lie outside the prior's support.
    """
    theta = plain(theta, "theta")
    if isinstance(theta, Mapping):
        theta = pd.Series(dict(theta))
    names = getattr(reader, "feature_names_in_", None)
    single = len(shape_of(theta, "theta")) == 1
    if isinstance(theta, pd.Series):
        if names is not None and not isinstance(theta.index, pd.RangeIndex):
            theta = put_in_order(theta, list(names), "theta")
            theta = pd.DataFrame([theta.to_numpy()], columns=list(names))
        else:
            theta = theta.to_numpy()[None]
    elif single:
        theta = np.asarray(theta)[None]
    array = read_theta(reader, theta, prior)
    if prior is not None:
        array = check_against_prior(theta, array, prior)
    is_table = isinstance(theta, pd.DataFrame) and not single
    index = theta.index if is_table else pd.RangeIndex(len(array))
    return AskedParameters(array, single, index)


def emulated_table(
    x: Array, asked: AskedParameters, layout: ObservationLayout
) -> Array | pd.Series | pd.DataFrame:
    """
    Give emulated observations the form of x in fit.

    Parameters
    ----------
    x : ndarray of shape (m, n_samples, ...)
        What was drawn.
    asked : AskedParameters
        For which parameters.
    layout : ObservationLayout
        What x looked like in fit.

    Returns
    -------
    ndarray, or DataFrame if fit's x was one
        (n_samples, ...) for one theta, (m, n_samples, ...) for m; a table of m has the labels of
        theta as its first index level, and the draw as its last.
    """
    if layout.dtypes is None:
        return x[0] if asked.single else x
    table = _as_in_fit(x.reshape(-1, *layout.shape), layout, layout.dtypes)
    if not asked.single:
        draws = pd.RangeIndex(x.shape[1], name="draw")
        table.index = with_level(asked.index, draws, "theta")
    return table


def in_form_of(template: Any, rows: Any, asked: AskedParameters) -> Array | pd.DataFrame:
    """
    Give emulated observations the form of a template.

    Parameters
    ----------
    template : DataFrame or ndarray
        x in fit, without rows.
    rows : DataFrame or ndarray of shape (m * n_samples, ...)
        What was drawn.
    asked : AskedParameters
        For which parameters.

    Returns
    -------
    ndarray or DataFrame
        As :func:`emulated_table` gives it.
    """
    n = len(rows) // len(asked.values)
    if not isinstance(template, pd.DataFrame):
        x = np.asarray(rows)
        return x if asked.single else x.reshape(-1, n, *x.shape[1:])
    table = pd.DataFrame(np.asarray(rows), columns=template.columns)
    if isinstance(rows, pd.DataFrame):
        table = rows.reset_index(drop=True).set_axis(template.columns, axis=1)
    _cast_columns(table, template.dtypes)
    if not asked.single:
        table.index = with_level(asked.index, pd.RangeIndex(n, name="draw"), "theta")
    return table


def observed_table(x: Array, layout: ObservationLayout) -> Array | pd.DataFrame:
    """
    Give observations, as they were read, the form of x in fit, for an estimator to be fitted to.

    Parameters
    ----------
    x : ndarray of shape (n, ...) or (n, trials, ...)
        The observations.
    layout : ObservationLayout
        What x looked like in fit.

    Returns
    -------
    ndarray, or DataFrame if fit's x was one
        The observations; labels are categories, so that any rows of them have the same.
    """
    if layout.dtypes is None:
        return x
    table = _as_in_fit(layout.flat(x), layout, layout.dtypes)
    columns = layout.encoder.columns if layout.encoder is not None else None
    for j, column in enumerate(columns or ()):
        if column.categories is not None and column.ordered is None:
            dtype = pd.CategoricalDtype(list(column.categories))
            table.isetitem(j, table.iloc[:, j].astype(dtype).array)
    if layout.trials:
        trials = pd.RangeIndex(x.shape[1], name="trial")
        table.index = with_level(pd.RangeIndex(len(x)), trials)
    return table


def _as_in_fit(values: Array, layout: ObservationLayout, dtypes: pd.Series) -> pd.DataFrame:
    """Give numbers (n, L) the columns and dtypes of fit's table."""
    has_labels = layout.encoder is not None and layout.encoder.has_labels
    decoded = layout.encoder.decode(values) if has_labels and layout.encoder else values
    table = pd.DataFrame(decoded)
    table.columns = dtypes.index
    _cast_columns(table, dtypes)
    return table


def _cast_columns(table: pd.DataFrame, dtypes: pd.Series) -> None:
    """Give columns the dtypes of fit's, where these can hold their values."""
    for j, dtype in enumerate(dtypes):
        column = table.iloc[:, j]
        if column.dtype != dtype and (cast := _cast(column, dtype)) is not None:
            table.isetitem(j, cast.array)


def _cast(column: pd.Series, dtype: Any) -> pd.Series | None:
    """Give a column the dtype of fit's; None if that cannot hold its values."""
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        return None
    try:
        with np.errstate(invalid="ignore", over="ignore"):
            cast = column.astype(dtype)
    except (TypeError, ValueError, OverflowError):
        return None
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return cast
    before, after = (np.asarray(one.astype("Float64").fillna(0)) for one in (column, cast))
    is_float = pd.api.types.is_float_dtype(dtype)
    kept = np.isfinite(after) == np.isfinite(before) if is_float else after == before
    return cast if kept.all() else None
