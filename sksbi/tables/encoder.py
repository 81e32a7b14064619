"""Tables with missing and categorical values as arrays of numbers, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.sparse import issparse

from sksbi.utils.containers import without_na
from sksbi.utils.types import Array
from sksbi.utils.validation import check_numbers
from sksbi.utils.warn import warn_user

__all__ = ["ColumnEncoder", "TableEncoder"]


_MAY_BE_MISSING: dict[str, Any] = {
    "ensure_2d": False,
    "allow_nd": True,
    "ensure_all_finite": "allow-nan",
}


@dataclass(frozen=True)
class ColumnEncoder:
    """
    One column: numbers stay, other values become their place among those seen in fit.

    Parameters
    ----------
    name : object
        The column's name.
    categories : tuple or None
        The values seen in fit, in order; None: numbers.
    ordered : bool or None
        Whether the column was an ordered categorical; None: it held plain objects.
    """

    name: object
    categories: tuple[object, ...] | None = None
    ordered: bool | None = None

    @classmethod
    def learn(cls, column: pd.Series) -> ColumnEncoder:
        """
        Look at a column in fit.

        Parameters
        ----------
        column : Series
            The column.

        Returns
        -------
        ColumnEncoder
            What to do with it.
        """
        if isinstance(column.dtype, pd.CategoricalDtype):
            return cls(column.name, tuple(column.cat.categories), bool(column.cat.ordered))
        if not _holds_words(column):
            return cls(column.name)
        return cls(column.name, tuple(sorted(column.dropna().unique(), key=str)))

    def encode(self, column: pd.Series, *, may_miss: bool = True) -> Array:
        """
        Turn a column into numbers, NaN where a value is missing.

        Parameters
        ----------
        column : Series
            The column.
        may_miss : bool, default=True
            Whether values may be missing.

        Returns
        -------
        ndarray of shape (n,)
            The numbers.

        Raises
        ------
        ValueError
            If a value was not seen in fit, and none may be missing.

        Warns
        -----
        UserWarning
            If a value was not seen in fit, and counts as missing.
        """
        if self.categories is None:
            if column.dtype.kind not in "mM":
                column = column.astype(object).where(column.notna(), np.nan)
            return check_numbers(column.to_frame(self.name), "x", **_MAY_BE_MISSING)[:, 0]
        codes = pd.Index(self.categories).get_indexer(pd.Index(column.astype(object)))
        unseen = column[(codes < 0) & column.notna().to_numpy()]
        if len(unseen) and not may_miss:
            raise ValueError(
                f"x must have values in column {self.name!r} that fit has seen, "
                f"{list(self.categories)}, got {unseen.iloc[0]!r}: simulate more until it occurs."
            )
        if len(unseen):
            warn_user(
                f"x has values in column {self.name!r} that fit has not seen, such as "
                f"{unseen.iloc[0]!r}, and they count as missing; fit saw {list(self.categories)}.",
                UserWarning,
            )
        return np.where(codes >= 0, codes, np.nan)

    def decode(self, values: Array) -> pd.Series:
        """
        Turn numbers back into a column.

        Parameters
        ----------
        values : ndarray of shape (n,)
            What :meth:`encode` gave.

        Returns
        -------
        Series
            Float64, a categorical, or objects, as it was in fit.
        """
        if self.categories is None:
            return pd.Series(values, name=self.name)
        codes = np.where(np.isnan(values), -1, values).astype(np.int64)
        if self.ordered is not None:
            dtype = pd.CategoricalDtype(list(self.categories), self.ordered)
            return pd.Series(pd.Categorical.from_codes(codes, dtype=dtype), name=self.name)
        objects = np.array([*self.categories, np.nan], dtype=object)
        return pd.Series(objects[codes], name=self.name, dtype=object)


@dataclass(frozen=True)
class TableEncoder:
    """
    Observations as numbers, for what computes with arrays, and back, for a classifier.

    Parameters
    ----------
    columns : tuple of ColumnEncoder or None
        What to do with the columns of a DataFrame; None: x was an array of numbers in fit, of which
        some may be missing.

    Examples
    --------
    >>> import pandas as pd
    >>> from sksbi.tables.encoder import TableEncoder
    >>> x = pd.DataFrame({"site": ["north", "south", None], "count": [3, 1, 2]})
    >>> encoder = TableEncoder.learn(x)
    >>> encoder.encode(x).tolist()
    [[0.0, 3.0], [1.0, 1.0], [nan, 2.0]]
    >>> encoder.decode(encoder.encode(x))["site"].tolist()
    ['north', 'south', nan]
    """

    columns: tuple[ColumnEncoder, ...] | None

    @classmethod
    def learn(cls, x: ArrayLike) -> TableEncoder:
        """
        Look at x in fit.

        Parameters
        ----------
        x : array-like or DataFrame
            The observations.

        Returns
        -------
        TableEncoder
            What to do with them.
        """
        if not isinstance(x, pd.DataFrame):
            return cls(None)
        return cls(tuple(ColumnEncoder.learn(x.iloc[:, i]) for i in range(x.shape[1])))

    @property
    def has_labels(self) -> bool:
        """Whether some column holds other values than numbers."""
        return any(column.categories is not None for column in self.columns or ())

    def encode(self, x: ArrayLike, *, may_miss: bool = True) -> Array:
        """
        Turn observations into numbers.

        Parameters
        ----------
        x : array-like or DataFrame of shape (n, ...)
            The observations.
        may_miss : bool, default=True
            Whether values that fit has not seen count as missing; else they are refused.

        Returns
        -------
        ndarray of shape (n, ...)
            The numbers, NaN where missing.
        """
        may_hold_labels = isinstance(x, pd.DataFrame) or getattr(x, "dtype", None) == np.object_
        of_numbers = self.columns is None or not (self.has_labels or may_hold_labels)
        if of_numbers or issparse(x) or 0 in np.shape(x):
            return check_numbers(x, "x", **_MAY_BE_MISSING)
        if isinstance(x, pd.DataFrame):
            table = x
        else:
            table = pd.DataFrame(without_na(np.asarray(x, dtype=object)), dtype=object)
        pairs = ((column, table.iloc[:, i]) for i, column in enumerate(self.columns or ()))
        return np.column_stack(
            [column.encode(values, may_miss=may_miss) for column, values in pairs]
        )

    def decode(self, values: Array) -> Array | pd.DataFrame:
        """
        Turn numbers back into what they were in fit.

        Parameters
        ----------
        values : ndarray of shape (n, ...)
            What :meth:`encode` gave.

        Returns
        -------
        ndarray of shape (n, L) or DataFrame
            The observations, flattened.
        """
        if self.columns is None:
            return values.reshape(len(values), -1)
        pairs = ((column, values[:, i]) for i, column in enumerate(self.columns))
        return pd.concat([column.decode(numbers) for column, numbers in pairs], axis=1)


def _holds_words(column: pd.Series) -> bool:
    """Tell a column of strings or other labels from one of numbers."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind != "O":
        return False
    present = column.dropna()
    return len(present) > 0 and bool(present.map(lambda value: isinstance(value, str)).all())
