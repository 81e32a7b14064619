"""X and y as scikit-learn has them, with their names in every error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from sksbi.tables.names import check_unique
from sksbi.utils.containers import plain, without_na
from sksbi.utils.validation import refuse_dates, shortened

__all__ = ["read_labels", "validated_X"]


def validated_X(estimator: BaseEstimator, X: Any, **options: Any) -> Any:
    """
    Validate X as scikit-learn does, as an array of floats.

    Parameters
    ----------
    estimator : estimator
        Whose X it is.
    X : array-like or DataFrame
        What to validate.
    **options : object
        Passed to ``validate_data``; with ``skip_check_array=True`` X stays a table, of which names
        and shape are validated.

    Returns
    -------
    ndarray or DataFrame
        X.

    Raises
    ------
    ValueError, TypeError
        If it is not what the estimator takes.
    """
    X = plain(X, "X")
    if not options.get("skip_check_array", False):
        options = {"dtype": np.float64} | options
    try:
        X = X if isinstance(X, pd.DataFrame) else without_na(X)
        refuse_dates(X, "X")
        if isinstance(X, pd.DataFrame):
            check_unique(X.columns, "X")
        return validate_data(estimator, X, **options)
    except (ValueError, TypeError) as error:
        if type(error) in (ValueError, TypeError) and "X" in str(error).split():
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"X: {shortened(str(error))}") from error


def read_labels(labels: Any, name: str = "y") -> NDArray[Any]:
    """
    Read one label a row: numbers, names, or anything else that classes can be.

    Parameters
    ----------
    labels : array-like of shape (n,)
        The labels.
    name : str, default="y"
        The argument, for errors.

    Returns
    -------
    ndarray of shape (n,)
        The labels.

    Raises
    ------
    ValueError, TypeError
        If they are no column of labels, or one is missing.
    """
    try:
        column = column_or_1d(plain(labels, name), warn=True)
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name} must have one label for each row: {error}") from error
    if column.dtype.kind == "f":
        assert_all_finite(column, input_name=name)
    missing = pd.isna(column)
    if missing.any():
        row = int(np.argmax(missing))
        raise ValueError(f"{name} must have a label in every row, got {column[row]} in row {row}.")
    try:
        check_classification_targets(column)
        hash(tuple(column.tolist()))
    except (ValueError, TypeError) as error:
        raise type(error)(f"{name} must be labels: {error}") from error
    return column
