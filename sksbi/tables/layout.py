"""
Observations x: what fit saw decides what counts as one observation and what as a batch.

A layout remembers the shape and the column names of x in fit. With x of shape (n, L) in fit, a 1-d
array, list, dict or Series is one observation, and everything 2-d is a batch; with x of shape (n,),
a scalar is one; with images, one dimension fewer is one. Nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from sksbi.tables.encoder import TableEncoder
from sksbi.tables.gaps import gaps_of, warn_of_new_gaps
from sksbi.tables.names import (
    check_unique,
    compare_names,
    has_names,
    labels_of,
    put_in_order,
    trials_of_table,
    warn_of_other_labels,
)
from sksbi.utils.containers import plain, shape_of
from sksbi.utils.failures import are_failed, refuse_failures
from sksbi.utils.types import Mask
from sksbi.utils.validation import check_numbers, name_place
from sksbi.utils.warn import warn_user

__all__ = ["ObservationLayout", "Observations"]

# Sums over columns round alike, whether x came as a table or as an array.
_ANY_SHAPE = {"ensure_2d": False, "allow_nd": True, "order": "C"}
_MAY_FAIL = _ANY_SHAPE | {"ensure_all_finite": "allow-nan"}
_WAY_OUT = (
    "impute it (SimpleImputer(add_indicator=True) in sksbi.pipeline.make_pipeline), or take "
    "ClassifierRatio, which takes NaN; if it means something, such as an event that was not seen, "
    "put a number in its place and a column beside it that is 1 there and 0 elsewhere; only rows "
    "that are NaN throughout, failed simulations, may hold it"
)
_OF_INFINITY = (
    "if it means something, put a number in its place and a column beside it that is 1 there and 0 "
    "elsewhere; else leave out such rows, or make it NaN and impute that"
)


@dataclass(frozen=True)
class Observations:
    """
    Validated observations.

    Parameters
    ----------
    values : ndarray of shape (m, ...)
        The observations, float64.
    single : bool
        Whether the user gave one observation rather than a batch (then m is 1).
    index : Index
        The labels of the observations.
    labelled : bool, default=False
        Whether the labels are the user's.
    """

    values: NDArray[np.float64]
    single: bool
    index: pd.Index
    labelled: bool = False

    def take(self, rows: slice) -> Observations:
        """Take some of them."""
        return Observations(self.values[rows], self.single, self.index[rows], self.labelled)


@dataclass(frozen=True)
class ObservationLayout:
    """
    The shape and the column names of x in fit.

    Parameters
    ----------
    shape : tuple of int
        The shape of one observation: () for x of shape (n,).
    names : tuple of str or None
        The columns, if x was a table with string columns.
    encoder : TableEncoder or None, default=None
        How missing and categorical values become numbers; None: there must be none.
    labels : tuple or None, default=None
        The columns, if x was a table with columns that are no strings, and not 0, 1, ...
    gaps : ndarray of bool, of shape (L,), or None, default=None
        Which columns had missing values, if there may be some.
    trials : bool, default=False
        Whether every observation consists of independent trials; shape and names are a trial's.
    dtypes : Series or None, default=None
        The columns and their dtypes, if x was a table.
    may_miss : bool, default=True
        Whether single values may be missing, where there is an encoder.
    """

    shape: tuple[int, ...]
    names: tuple[str, ...] | None
    encoder: TableEncoder | None = None
    labels: tuple[Hashable, ...] | None = None
    gaps: Mask | None = field(default=None, compare=False)
    trials: bool = False
    dtypes: pd.Series | None = field(default=None, compare=False)
    may_miss: bool = True

    @classmethod
    def learn(
        cls, x: ArrayLike, *, encoded: bool = False, may_miss: bool = True, trials: bool = False
    ) -> tuple[ObservationLayout, NDArray[np.float64]]:
        """
        Validate x in fit and remember its layout.

        Parameters
        ----------
        x : array-like of shape (n, ...)
            The observations, finite numbers; rows that are all NaN are failed simulations.
        encoded : bool, default=False
            Whether missing and categorical values are taken, too, and become numbers.
        may_miss : bool, default=True
            Whether missing values are among these.
        trials : bool, default=False
            Whether every observation consists of independent trials: x is (n, trials, ...), or a
            DataFrame whose last index level is the trial.

        Returns
        -------
        layout : ObservationLayout
            The layout.
        values : ndarray of shape (n, ...) or (n, trials, ...), float64
            The observations.
        """
        x = plain(x, "x")
        names = labels = None
        if isinstance(x, pd.DataFrame):
            check_unique(x.columns, "x")
            names = compare_names(BaseEstimator(), x, "x", reset=True)
            labels = None if names else labels_of(x.columns)
        encoder = TableEncoder.learn(x) if encoded else None
        gaps = gaps_of(x) if encoded and may_miss else None
        values = _numbers(x, encoder, names, may_miss=may_miss)
        if trials:
            values = _without_gaps(_in_trials(x, values), encoder, may_miss)
        if values.ndim > 1 and 0 in values.shape[1:]:
            raise ValueError(f"x must have at least one feature, got shape {values.shape}.")
        shape = values.shape[2:] if trials else values.shape[1:]
        dtypes = x.dtypes if isinstance(x, pd.DataFrame) else None
        return cls(shape, names, encoder, labels, gaps, trials, dtypes, may_miss), values

    def flat(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Put the trials of all observations below each other.

        Parameters
        ----------
        x : ndarray of shape (n, ...) or (n, trials, ...)
            Observations, as read.

        Returns
        -------
        ndarray of shape (n, ...) or (n * trials, ...)
            x itself where observations do not consist of trials.
        """
        return x.reshape(-1, *self.shape) if self.trials else x

    def count_trials(self, x: NDArray[np.float64]) -> int:
        """
        Count the trials of an observation.

        Parameters
        ----------
        x : ndarray of shape (n, ...) or (n, trials, ...)
            Observations, as read.

        Returns
        -------
        int
            1 where observations do not consist of trials.
        """
        return x.shape[1] if self.trials else 1

    def read(self, x: Any, *, simulated: bool = False) -> Observations:
        """
        Validate observations after fit.

        Parameters
        ----------
        x : array-like, scalar, dict, Series or DataFrame
            One observation or a batch.
        simulated : bool, default=False
            Whether they come from simulations, some of which may have failed.

        Returns
        -------
        Observations
            The observations as a batch.

        Raises
        ------
        ValueError
            If the shape or the columns are not those of fit, or an observation is NaN throughout.
        """
        if self.trials:
            return self.read_trials(x, simulated=simulated)
        return self._read(x, simulated=simulated)

    def _read(self, x: Any, *, simulated: bool) -> Observations:
        """Validate observations, or trials one by one."""
        x = plain(x, "x")
        index = x.index if isinstance(x, pd.DataFrame | pd.Series) else None
        x = self._unlabelled(x)
        is_number = self.shape == (1,) and x is not None and shape_of(x, "x") == ()
        x = [x] if is_number else x
        single = self._is_single(x)
        dtype = object if self.encoder is not None and self.encoder.has_labels else None
        rows = np.asarray(x, dtype)[None] if single else x
        values = self._numbers(rows)
        if not simulated:
            refuse_failures(rows)
            warn_of_new_gaps(rows, self.gaps, self.names)
        if single or index is None:
            return Observations(values, single, pd.RangeIndex(len(values)))
        return Observations(values, False, index, labelled=True)

    def read_trials(self, x: Any, *, simulated: bool = False) -> Observations:
        """
        Validate observations that consist of independent trials.

        Parameters
        ----------
        x : array-like, Series or DataFrame
            One observation of shape (trials, ...), or a batch of shape (m, trials, ...). As a
            DataFrame a batch has the trials as its last index level, and the observations as those
            before, with as many trials each.
        simulated : bool, default=False
            Whether they come from simulations, some of which may have failed.

        Returns
        -------
        Observations
            The observations as a batch, values of shape (m, trials, ...).

        Raises
        ------
        ValueError
            If the shape or the columns are not those of fit.
        """
        x = plain(x, "x")
        if isinstance(x, pd.DataFrame | pd.Series) and x.index.nlevels > 1:
            return self._read_table_of_trials(x, simulated=simulated)
        if isinstance(x, Mapping) or (isinstance(x, pd.Series) and len(self.shape) == 1):
            way_out = ""
            if isinstance(x, pd.Series) and self.shape == (1,):
                way_out = f" Give a table of one column, such as x.to_frame({x.name!r})."
            raise self._trials_error(f"a {type(x).__name__}", way_out)
        x = self._unlabelled(x)
        shape = shape_of(x, "x")
        n_more = len(shape) - len(self.shape)
        if n_more not in (1, 2) or shape[n_more:] != self.shape:
            raise self._trials_error(f"shape {shape}")
        single = n_more == 1
        if not (single or simulated or self.trials or self.shape) and shape[1] == 1 < shape[0]:
            warn_user(
                f"x of shape {shape} with iid=True is {shape[0]} observations of one trial each, "
                "as fit's x was one number a simulation. For one observation of "
                f"{shape[0]} trials give shape ({shape[0]},), such as a column of it.",
                UserWarning,
            )
        rows = x if single else np.reshape(x, (-1, *self.shape))
        values = self._numbers(rows).reshape(shape)
        if not simulated:
            refuse_failures(rows)
            warn_of_new_gaps(rows, self.gaps, self.names)
        values = _without_gaps(values[None] if single else values, self.encoder, self.may_miss)
        return Observations(values, single, pd.RangeIndex(len(values)))

    def _read_table_of_trials(
        self, x: pd.DataFrame | pd.Series, *, simulated: bool
    ) -> Observations:
        """Read a table whose last index level is the trial."""
        index, trials = trials_of_table(x)
        values = self._read(x, simulated=simulated).values
        values = values.reshape(len(index), trials, *self.shape)
        values = _without_gaps(values, self.encoder, self.may_miss)
        return Observations(values, False, index, True)

    def _numbers(self, x: ArrayLike) -> NDArray[np.float64]:
        """Turn observations (n, ...) into numbers."""
        return _numbers(x, self.encoder, self.names, may_miss=self.may_miss)

    def _trials_error(self, got: str, way_out: str = "") -> ValueError:
        """Say what x may look like with iid=True."""
        shape = "".join(f", {size}" for size in self.shape)
        return ValueError(
            f"x {self._of_trials()} must be one observation of shape (trials{shape}) or a batch of "
            f"shape (m, trials{shape}), got {got}.{way_out}"
        )

    def _of_trials(self) -> str:
        """Tell why x consists of trials."""
        return "of an estimator with x_trials=True" if self.trials else "with iid=True"

    def _is_single(self, x: Any) -> bool:
        """Tell one observation from a batch by the dimensions."""
        shape = shape_of(x, "x")
        if self.shape not in (shape, shape[1:]):
            raise self._shape_error(f"shape {shape}")
        return shape == self.shape

    def _shape_error(self, got: str) -> ValueError:
        """Say what x may look like."""
        batch = f"({', '.join(['m', *map(str, self.shape)])})"
        way_out = " Give the column by itself, such as x['name']." if self.shape == () else ""
        return ValueError(
            f"x must be one observation of shape {self.shape} or a batch of shape {batch}, as in "
            f"fit, got {got}.{way_out}"
        )

    def _unlabelled(self, x: Any) -> Any:
        """Check the labels of a dict, Series or DataFrame; turn one observation into an array."""
        if isinstance(x, Mapping):
            if len(self.shape) != 1:
                raise self._shape_error(f"a {type(x).__name__}")
            x = pd.Series(dict(x), dtype=object)
        if isinstance(x, pd.Series) and len(self.shape) == 1:
            return self._in_order(x).to_numpy()
        if isinstance(x, pd.DataFrame):
            self._check_labels(x.columns)
            if self.names is not None and has_names(x.columns):
                check_unique(x.columns, "x")
                reader = BaseEstimator()
                reader.feature_names_in_ = np.asarray(self.names, dtype=object)
                reader.n_features_in_ = len(self.names)
                compare_names(reader, x, "x", reset=False)
        return x

    def _in_order(self, x: pd.Series) -> pd.Series:
        """Put one observation with labels into the order of fit's columns."""
        names = list(self.names or [])
        if len(names) > 1 and x.name in names and not has_names(x.index):
            warn_user(
                f"x is a Series named {x.name!r}, as one of fit's columns, and is taken for one "
                f"observation with the values {names[:5]}. Of a table, x.iloc[0] is a row, and a "
                "batch is a table with all columns.",
                UserWarning,
            )
        elif labels_of(x.index) is not None:
            self._check_labels(x.index)
        if self.names is None and has_names(x.index) and len(x) > 1:
            warn_user(
                "x has names, but x in fit had none, so that they cannot be compared: values are "
                f"taken by position, in the order {list(x.index)[:5]}. Fit with a table, or give "
                "an array.",
                UserWarning,
            )
        is_named = self.names is not None and has_names(x.index)
        return put_in_order(x, self.names, "x") if is_named and self.names else x

    def _check_labels(self, labels: pd.Index) -> None:
        """Warn where labels are not looked at, as some are no names, now or in fit."""
        if self.names is not None and not has_names(labels):
            warn_user(
                "x does not have valid feature names, but the estimator was fitted with feature "
                f"names: columns labelled {list(labels)[:5]} are taken by position, as "
                f"{list(self.names)[:5]}. Give x these names, or an array.",
                UserWarning,
            )
        if self.names is None and len(self.shape) == 1:
            warn_of_other_labels(labels, self.labels or range(self.shape[0]), "x")


def _in_trials(x: Any, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Arrange what was read in fit as observations of trials: (n, trials, ...)."""
    if isinstance(x, pd.DataFrame) or (isinstance(x, pd.Series) and x.index.nlevels > 1):
        if x.index.nlevels < 2:
            raise ValueError(
                "x with x_trials=True as a DataFrame must have the trial as its last index level, "
                f"below the observation, got an index of one level and {len(x)} rows."
            )
        index, n_trials = trials_of_table(x)
        return values.reshape(len(index), n_trials, *values.shape[1:])
    if values.ndim < 2:
        raise ValueError(
            "x with x_trials=True must have shape (n, trials) or (n, trials, ...), got "
            f"{values.shape}."
        )
    return values


def _without_gaps(
    values: NDArray[np.float64], encoder: TableEncoder | None, may_miss: bool
) -> NDArray[np.float64]:
    """Hold that trials (n, trials, ...) are NaN throughout a simulation or nowhere, if they are."""
    if encoder is not None and may_miss:
        return values
    gaps = (
        np.isnan(values.reshape(*values.shape[:2], -1)).any(axis=2) & ~are_failed(values)[:, None]
    )
    if gaps.any():
        row, trial = (int(i) for i in np.argwhere(gaps)[0])
        raise ValueError(
            f"x contains NaN in trial {trial} of row {row}, and must be finite: only a simulation "
            "that is NaN in all of its trials counts as a failed one. Simulate as many trials for "
            "every theta."
        )
    return values


def _numbers(
    x: ArrayLike,
    encoder: TableEncoder | None,
    names: Sequence[str] | None,
    *,
    may_miss: bool = True,
) -> NDArray[np.float64]:
    """Turn observations (n, ...) into numbers, without gaps unless these may be."""
    if encoder is not None and may_miss:
        return encoder.encode(x)
    if encoder is not None and encoder.has_labels:
        values = encoder.encode(x, may_miss=False)
    else:
        values = check_numbers(x, "x", columns=names, way_out=_OF_INFINITY, **_MAY_FAIL)
    with np.errstate(over="ignore", invalid="ignore"):
        gaps = np.isnan(values) if np.isnan(values.sum()) else np.zeros(1, bool)
    if gaps.any():
        gaps[are_failed(values)] = False
    if gaps.any():
        at = tuple(int(i) for i in np.argwhere(gaps)[0])
        columns = list(x.columns) if isinstance(x, pd.DataFrame) else names
        place = name_place(at, columns, getattr(x, "index", None))
        raise ValueError(f"x contains NaN {place}, and must be finite: {_WAY_OUT}.")
    return values
