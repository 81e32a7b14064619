"""Simulations of several models, as they are given to a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import StratifiedKFold

from sksbi.tables.encoder import TableEncoder
from sksbi.tables.features import read_labels, validated_X
from sksbi.tables.layout import ObservationLayout
from sksbi.utils.containers import plain
from sksbi.utils.failures import are_failed
from sksbi.utils.types import Array, Rows
from sksbi.utils.validation import check_lengths

__all__ = ["SimulatedModels", "features_of", "read_simulations"]


@dataclass(frozen=True, eq=False)
class SimulatedModels:
    """
    Simulations that succeeded, and the models that made them.

    Parameters
    ----------
    layout : ObservationLayout
        The form of x.
    values : ndarray of shape (n, ...)
        The simulations.
    classes : ndarray of int, of shape (n,)
        The place of the model of each.
    models : ndarray of shape (K,)
        The models.
    counts : ndarray of int, of shape (K,)
        How many simulations each has, failed ones included.
    """

    layout: ObservationLayout
    values: Array
    classes: NDArray[np.intp]
    models: NDArray[Any]
    counts: NDArray[np.intp]

    @property
    def categorical(self) -> list[int]:
        """The columns that hold codes of categories."""
        columns = _encoder(self.layout).columns or ()
        return [place for place, column in enumerate(columns) if column.categories is not None]

    def for_classifiers(self, *, as_given: bool) -> Any:
        """
        Give what classifiers take.

        Parameters
        ----------
        as_given : bool
            Whether in the form of fit's X; else numbers, a row an observation.

        Returns
        -------
        ndarray or DataFrame
            The simulations.
        """
        return features_of(self.layout, self.values, as_given=as_given)

    def split(self, n_folds: int, seed: int) -> list[tuple[Rows, Rows]]:
        """
        Cut into folds with all models in each: no more than a model has simulations.

        Parameters
        ----------
        n_folds : int
            The number of folds.
        seed : int
            Shuffles.

        Returns
        -------
        list of pairs of ndarray of int
            The rows to fit to, and those held out.
        """
        n_folds = int(min(n_folds, np.bincount(self.classes).min()))
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
        return list(folds.split(np.zeros(len(self.classes)), self.classes))


def features_of(layout: ObservationLayout, values: Array, *, as_given: bool) -> Any:
    """
    Give what classifiers take.

    Parameters
    ----------
    layout : ObservationLayout
        The form of x.
    values : ndarray of shape (m, ...)
        Observations.
    as_given : bool
        Whether in the form of fit's X; else numbers, a row an observation.

    Returns
    -------
    ndarray or DataFrame
        The observations.
    """
    if not as_given:
        return values.reshape(len(values), -1)
    encoder = _encoder(layout)
    return values if encoder.columns is None else encoder.decode(values)


def read_simulations(estimator: BaseEstimator, X: Any, y: Any) -> SimulatedModels:
    """
    Validate simulations and models.

    Parameters
    ----------
    estimator : estimator
        Whose fit they are for.
    X : array-like or DataFrame of shape (n, ...)
        The simulations of all models.
    y : array-like of shape (n,)
        The model of each.

    Returns
    -------
    SimulatedModels
        Those that succeeded.

    Raises
    ------
    ValueError, TypeError
        If they are no simulations of two models at least, two of each.
    """
    if y is None:
        raise ValueError(
            "ModelComparison requires y to be passed, but the target y is None: y has the model "
            "that each row of X was simulated from."
        )
    X = _validated(estimator, X)
    layout, values = ObservationLayout.learn(X, encoded=True)
    models, classes = np.unique(read_labels(y), return_inverse=True)
    check_lengths(X=values, y=classes)
    kept = ~are_failed(values)
    _check_counts(models, np.bincount(classes[kept], minlength=len(models)))
    return SimulatedModels(layout, values[kept], classes[kept], models, np.bincount(classes))


def _validated(estimator: BaseEstimator, X: Any) -> Any:
    """Validate X: tables stay tables, and may hold words."""
    X = plain(X, "X")
    if isinstance(X, pd.DataFrame) and not all(map(pd.api.types.is_numeric_dtype, X.dtypes)):
        return validated_X(estimator, X, skip_check_array=True)
    options = {"ensure_all_finite": "allow-nan", "allow_nd": True, "ensure_min_samples": 2}
    values = validated_X(estimator, X, **options)
    return X if isinstance(X, pd.DataFrame) else values


def _check_counts(models: NDArray[Any], succeeded: NDArray[np.intp]) -> None:
    """Hold that there is something to compare."""
    if len(models) < 2:
        raise ValueError(
            "y must have at least two models (classes), each of which may be named anything, got "
            f"one class, {models.tolist()}."
        )
    if succeeded.min() < 2:
        raise ValueError(
            "every model (class) must have at least 2 simulations that succeeded, got "
            f"{succeeded.min()} of {models.tolist()[succeeded.argmin()]!r}."
        )


def _encoder(layout: ObservationLayout) -> TableEncoder:
    """Give the encoder, which these layouts have."""
    return layout.encoder or TableEncoder(None)
