"""Names of columns, in scikit-learn's sense: strings; and the order of columns and of rows."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import validate_data

from sksbi.utils.containers import plain
from sksbi.utils.validation import check_lengths
from sksbi.utils.warn import warn_user

__all__ = [
    "check_pairs",
    "check_unique",
    "compare_names",
    "has_names",
    "labels_of",
    "outer_labels",
    "put_in_order",
    "trials_of_table",
    "warn_of_other_labels",
    "warn_of_other_order",
]


def has_names(labels: pd.Index) -> bool:
    """Tell whether labels are names: some of them are strings."""
    return any(isinstance(label, str) for label in labels)


def outer_labels(index: pd.Index) -> pd.Index:
    """Give the labels of observations, those of their draws or trials left out."""
    return index.droplevel(-1)  # type: ignore[arg-type]  # the stub is of an Index of one level


def labels_of(labels: pd.Index) -> tuple[Hashable, ...] | None:
    """Give labels that are no names; None if they are 0, 1, ..., as those of an array."""
    return None if labels.equals(pd.RangeIndex(len(labels))) else tuple(labels)


def check_unique(labels: pd.Index, argument: str) -> None:
    """Hold that no label stands twice."""
    if not labels.is_unique:
        twice = labels[labels.duplicated()].unique().tolist()
        raise ValueError(
            f"{argument} must have columns that differ, got {twice} more than once: rename or drop "
            "them."
        )


def compare_names(
    reader: Any, table: pd.DataFrame, argument: str, *, reset: bool, way_out: str = ""
) -> tuple[str, ...] | None:
    """
    Remember columns in a reader, or compare them, in scikit-learn's words.

    Parameters
    ----------
    reader : estimator
        What has ``n_features_in_`` and ``feature_names_in_``.
    table : DataFrame
        The table.
    argument : str
        The argument's name, for errors.
    reset : bool
        True: remember; False: compare.
    way_out : str, default=""
        What to do where only the order differs; "" chooses by what the reader remembers.

    Returns
    -------
    tuple of str or None
        The names, if there are some.

    Raises
    ------
    TypeError, ValueError
        If some labels are strings and others not, or they are not those remembered.
    """
    try:
        validate_data(reader, table, reset=reset, skip_check_array=True)
    except (ValueError, TypeError) as error:
        names = list(getattr(reader, "feature_names_in_", []))
        message = f"{argument}: {str(error).rstrip()}"
        if names != list(table.columns) and sorted(names) == sorted(map(str, table.columns)):
            message += f"\nTo put them in order, give {argument}[{way_out or names}]."
        raise type(error)(message) from error
    return tuple(reader.feature_names_in_) if hasattr(reader, "feature_names_in_") else None


def put_in_order(row: pd.Series, names: Sequence[str], argument: str) -> pd.Series:
    """Put the values of one row into the order of names, which must be the same ones."""
    check_unique(row.index, argument)
    if any(not isinstance(label, str) for label in row.index):
        kinds = sorted({type(label).__name__ for label in row.index})
        raise TypeError(f"{argument}: labels must all be strings, got {kinds}.")
    missing = [name for name in names if name not in row.index]
    unknown = [name for name in row.index if name not in names]
    if missing or unknown:
        raise ValueError(
            f"{argument}: labels must be the names of fit, {list(names)}, got {list(row.index)}: "
            f"names unseen at fit: {unknown}, missing: {missing}."
        )
    return row[list(names)]


def warn_of_other_labels(
    labels: pd.Index, fitted: Sequence[Hashable] | None, argument: str
) -> None:
    """Warn where columns have the labels of fit, which are no names, in another order."""
    if fitted is None or has_names(labels) or list(labels) == list(fitted):
        return
    if set(labels) == set(fitted):
        warn_user(
            f"{argument} has the labels of fit in another order, {list(labels)[:5]}, and as they "
            "are no strings they are not looked at: columns are taken by position, as "
            f"{list(fitted)[:5]}. To put them in order, give {argument}[{list(fitted)[:5]}].",
            UserWarning,
        )


def warn_of_other_order(theta: pd.Index, x: pd.Index, argument: str = "x") -> None:
    """
    Warn where rows of theta and x have the same labels, and not in the same order.

    Parameters
    ----------
    theta, x : Index of length n
        The labels.
    argument : str, default="x"
        What x is, for the warning.

    Warns
    -----
    UserWarning
        If a label stands at different places, and the labels are the same, or both are the user's.
    """
    if len(theta) != len(x) or theta.nlevels != x.nlevels or theta.equals(x):
        return
    common = theta.isin(x)
    moved = common & (np.asarray(theta, dtype=object) != np.asarray(x, dtype=object))
    is_default = any(index.equals(pd.RangeIndex(len(index))) for index in (theta, x))
    if moved.any() and (not is_default or common.all()):
        first = int(np.flatnonzero(moved)[0])
        labels = [index[[first]].tolist()[0] for index in (theta, x)]
        warn_user(
            f"theta and {argument} have the same index labels in another order, and rows are "
            f"paired by position: row {first} of theta, labelled {labels[0]!r}, goes with row "
            f"{first} of {argument}, labelled {labels[1]!r}. To align them, give "
            f"{argument}.loc[theta.index]; if the order is right, give "
            f"{argument}.set_axis(theta.index).",
            UserWarning,
        )


def trials_of_table(x: pd.DataFrame | pd.Series) -> tuple[pd.Index, int]:
    """
    Read the index of a table whose last level is the trial.

    Parameters
    ----------
    x : DataFrame or Series
        The table.

    Returns
    -------
    index : Index
        The labels of the observations.
    n_trials : int
        The number of trials of every observation.

    Raises
    ------
    ValueError
        If the observations differ in it, or do not stand together.
    """
    labels = outer_labels(x.index)
    index = labels.unique()
    n_trials = len(x) // max(len(index), 1)
    if not labels.equals(index.repeat(n_trials)):
        counts = labels.value_counts(sort=False).to_dict()
        raise ValueError(
            "x of trials as a table with several index levels must have as many trials for "
            f"every observation, one observation after the other, got {counts} trials."
        )
    return index, n_trials


def check_pairs(theta: Any, x: Any, sample_weight: Any = None, *, trials: bool = False) -> None:
    """
    Hold that theta and x have one length, and warn where their labels are in another order.

    Parameters
    ----------
    theta, x : array-like, Series or DataFrame
        What the user gave, readable as such.
    sample_weight : array-like or Series, default=None
        Weights, whose labels are looked at, too.
    trials : bool, default=False
        Whether every observation consists of trials: a table then has them as its last index level.

    Raises
    ------
    ValueError
        If the lengths differ.

    Warns
    -----
    UserWarning
        If they have the same index labels in another order.
    """
    if trials and isinstance(x := plain(x, "x"), pd.DataFrame | pd.Series) and x.index.nlevels > 1:
        index = trials_of_table(x)[0]
        x = pd.Series(0, index)
    check_lengths(theta=plain(theta, "theta"), x=plain(x, "x"))
    if all(isinstance(table, pd.DataFrame | pd.Series) for table in (theta, x)):
        warn_of_other_order(theta.index, x.index)
    if isinstance(theta, pd.DataFrame) and isinstance(sample_weight, pd.Series):
        warn_of_other_order(theta.index, sample_weight.index, "sample_weight")
