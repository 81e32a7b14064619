"""The observations' way to the network: x_transformer, robust scaling, screening of columns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone

from sksbi.preprocessing.screening import relevant_columns
from sksbi.preprocessing.views import RobustViews
from sksbi.utils.validation import check_numbers

__all__ = ["ObservationSpace"]


class ObservationSpace:
    """
    The map from x to what the network sees.

    Parameters
    ----------
    transformer : estimator or None
        A scikit-learn transformer that is applied to x first, for x of two dimensions.
    keep_shape : bool
        Whether the network sees observations in their own shape (for images, series, and a user's
        embedding) instead of the robust views of their columns.
    """

    def __init__(self, transformer: BaseEstimator | None, keep_shape: bool) -> None:
        self.transformer = None if transformer is None else clone(transformer)
        self.keep_shape = keep_shape

    def fit(
        self, x: NDArray[np.floating], theta: NDArray[np.floating] | None = None
    ) -> ObservationSpace:
        """
        Learn the transformer and the scaling.

        Parameters
        ----------
        x : ndarray of shape (n, ...)
            The observations, finite.
        theta : ndarray of shape (n, D) or None, default=None
            The parameters in the network's units, if columns that tell nothing about them are to
            be left out.

        Returns
        -------
        ObservationSpace
            Itself.

        Raises
        ------
        ValueError
            If there is a transformer and x has not two dimensions.
        """
        if self.transformer is not None:
            if x.ndim != 2:
                raise ValueError(
                    f"x_transformer works on x of two dimensions (n, L), got shape {x.shape}; "
                    "scale images and series before fit, or in the embedding."
                )
            x = self._transformed(self.transformer.fit_transform, x)
        columns = self._columns(x)
        self.kept_ = np.ones(columns.shape[1], bool)
        if theta is not None and x.ndim == 2 and not self.keep_shape:
            self.kept_ = relevant_columns(
                RobustViews(logarithms=False).fit_transform(columns), theta
            )
        self.views_ = RobustViews(logarithms=not self.keep_shape).fit(columns[:, self.kept_])
        return self

    def transform(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """
        Apply the scaling.

        Parameters
        ----------
        x : ndarray of shape (m, ...)
            Observations of the shape seen in fit.

        Returns
        -------
        ndarray of shape (m, ...), float32
            What the network sees.
        """
        if self.transformer is not None:
            x = self._transformed(self.transformer.transform, x)
        return self._scaled(x)

    def _transformed(self, transform: Callable, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Apply the transformer, and hold that finite numbers come out."""
        name = f"x_transformer={self.transformer!r}"
        try:
            x = transform(x)
        except (ValueError, TypeError) as error:
            raise type(error)(f"{name} cannot be applied to x: {error}") from error
        return check_numbers(x, f"x after {name}", ensure_2d=False)

    def _columns(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        """Arrange x in columns: all elements of an image or a series share one scale."""
        if x.ndim == 1 or (self.keep_shape and x.ndim > 2):
            return x.reshape(-1, 1)
        return x.reshape(len(x), -1)

    def _scaled(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """Scale, and restore the shape if it is kept."""
        views = self.views_.transform(self._columns(x)[:, self.kept_])
        return views.reshape(x.shape) if self.keep_shape and x.ndim > 2 else views
