"""The observations' way to the network: x_transformer, robust scaling, summary statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone

from sksbi.exceptions import TrainingWarning
from sksbi.preprocessing.channels import ChannelViews
from sksbi.preprocessing.screening import few_valued_columns, relevant_columns
from sksbi.preprocessing.summaries import SummaryStatistics
from sksbi.preprocessing.views import RobustViews
from sksbi.utils.random import draw_seed
from sksbi.utils.subset import choose_rows, some_rows
from sksbi.utils.types import Array, Floats, Mask, Rows
from sksbi.utils.validation import check_numbers
from sksbi.utils.warn import warn_user

__all__ = ["ObservationSpace"]

# What is learnt from x is learnt from so many values and rows at most.
_MOST_VALUES, _FEWEST_ROWS, _MOST_ROWS = 20_000_000, 1_000, 20_000
# Up to so many columns a network sees them all; of fewer simulations there is little to learn.
_NARROW, _FEWEST_FOR_SUMMARIES = 24, 100
_MOST_NAMED = 5


class ObservationSpace:
    """
    The map from x to what the network sees.

    Parameters
    ----------
    transformer : estimator, "passthrough" or None
        A scikit-learn transformer that is applied to x first. For x of three or more dimensions,
        what it returns goes to the network as it is; so does x itself with "passthrough".
    keep_shape : bool
        Whether the network sees observations in their own shape (for images, series, and a user's
        embedding) instead of the robust views of their columns.
    features : estimator, "auto" or None, default="auto"
        What becomes of the columns: a transformer that is fitted to them and to theta; "auto": all
        that tell about theta, or summary statistics where these are many; None: all.

    Attributes
    ----------
    kept_ : ndarray of bool
        The columns, after the transformer, that are looked at.
    """

    views_: RobustViews | ChannelViews | None
    features_: Any  # SummaryStatistics, a user's transformer or None

    def __init__(
        self,
        transformer: BaseEstimator | str | None,
        keep_shape: bool,
        features: BaseEstimator | str | None = "auto",
    ) -> None:
        self.transformer = transformer
        if not isinstance(transformer, str) and transformer is not None:
            self.transformer = clone(transformer)
        self.keep_shape, self.features = keep_shape, features

    def fit(self, x: Floats, theta: Array | None = None) -> ObservationSpace:
        """
        Learn what ``fit_transform`` learns.

        Parameters
        ----------
        x : ndarray of shape (n, ...)
            The observations, finite.
        theta : ndarray of shape (n, D) or None, default=None
            The parameters in the network's units; without them no features are learnt.

        Returns
        -------
        ObservationSpace
            Itself.
        """
        self.fit_transform(x, theta, np.random.default_rng(0))
        return self

    def fit_transform(
        self,
        x: Floats,
        theta: Array | None,
        generator: np.random.Generator,
        rows: Rows | None = None,
    ) -> NDArray[np.float32]:
        """
        Learn the transformer, the scaling and the features, and apply them.

        Parameters
        ----------
        x : ndarray of shape (n, ...)
            The observations, finite.
        theta : ndarray of shape (n, D) or None
            The parameters in the network's units; without them no features are learnt.
        generator : numpy.random.Generator
            Seeds the features.
        rows : ndarray of int or None, default=None
            The rows that a user's features are learnt from; None: all. Our own are learnt from all
            of them, in folds.

        Returns
        -------
        ndarray of shape (n, ...), float32
            What the network sees in training: features that are learnt from theta are computed for
            every row without its own theta, so this is not ``transform(x)``.
        """
        self.views_, self.features_ = None, None
        self.as_it_is_ = self.transformer is not None and (
            self.transformer == "passthrough" or (self.keep_shape and x.ndim > 2)
        )
        x = self._transformed(x, fit=True)
        if self.as_it_is_:
            self.kept_ = np.ones(x[:1].size, bool)
            return _as_float32(x, x)
        if self.keep_shape:
            self.kept_ = np.ones(1 if x.ndim != 2 else x.shape[1], bool)
            some = some_rows(x, _MOST_VALUES // 10, min(100, _FEWEST_ROWS))
            is_table = x.ndim <= 2
            robust = RobustViews(logarithms=False)
            self.views_ = robust.fit(_columns(some)) if is_table else ChannelViews(some)
            return _as_float32(x, self._scaled(x))
        columns = _columns(x)
        self.kept_ = self._choose(columns, theta)
        columns = self._kept(columns)
        if self.features_ is not None and theta is not None:
            features = self._fit_features(columns, theta, generator, rows)
            if isinstance(self.features_, SummaryStatistics):
                return features
            columns = features
        logarithms = self.features_ is None
        self.views_ = RobustViews(logarithms=logarithms).fit(
            some_rows(columns, _MOST_VALUES, _FEWEST_ROWS, _MOST_ROWS)
        )
        return self.views_.transform(columns)

    def _choose(self, columns: Floats, theta: Array | None) -> Mask:
        """Choose the columns to look at, and the features to make of them."""
        kept = np.ones(columns.shape[1], bool)
        if theta is None or self.features is None:
            return kept
        if not isinstance(self.features, str):
            self.features_ = clone(self.features)
            return kept
        n, width = columns.shape
        some = choose_rows(n, width, _MOST_VALUES, _FEWEST_ROWS, _MOST_ROWS)
        views = RobustViews(logarithms=False).fit_transform(columns[some])
        kept = relevant_columns(views, theta[some]) | few_valued_columns(columns[some])
        if kept.sum() > _NARROW and len(columns) >= _FEWEST_FOR_SUMMARIES:
            self.features_ = SummaryStatistics()
        return kept

    def _fit_features(
        self,
        columns: Floats,
        theta: Array,
        generator: np.random.Generator,
        rows: Rows | None,
    ) -> Floats:
        """Learn features of the columns."""
        if isinstance(self.features_, SummaryStatistics):
            if isinstance(self.features, str):
                self.features_.set_params(random_state=draw_seed(generator))
            return self.features_.fit_transform(columns, theta)
        name = f"x_features={self.features!r}"
        rows = np.arange(len(columns)) if rows is None else rows
        try:
            learnt = np.asarray(self.features_.fit_transform(columns[rows], theta[rows]))
            features = np.asarray(self.features_.transform(columns))
        except (ValueError, TypeError, IndexError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{name} cannot be fitted to x and theta: {error}") from error
        if features.ndim != 2 or learnt.shape[1:] != features.shape[1:]:
            raise ValueError(
                f"{name} must return a table (n, K) from fit_transform(x, theta) and transform(x), "
                f"got shapes {learnt.shape} and {features.shape}."
            )
        features = features.astype(np.result_type(features, learnt))
        features[rows] = learnt
        return check_numbers(features, f"x after {name}")

    def transform(self, x: Floats) -> NDArray[np.float32]:
        """
        Apply what was learnt.

        Parameters
        ----------
        x : ndarray of shape (m, ...)
            Observations of the shape seen in fit.

        Returns
        -------
        ndarray of shape (m, ...), float32
            What the network sees.
        """
        x = self._transformed(x, fit=False)
        if self.as_it_is_:
            return x.astype(np.float32)
        return self._scaled(x)

    def _transformed(self, x: Floats, *, fit: bool) -> Floats:
        """Apply the transformer, and hold that finite numbers come out."""
        if self.transformer is None or isinstance(self.transformer, str):
            return x
        if x.ndim != 2 and not self.as_it_is_:
            raise ValueError(
                f"x_transformer works on x of two dimensions (n, L), got shape {x.shape}; for x of "
                "more dimensions give an embedding too."
            )
        name = f"x_transformer={self.transformer!r}"
        apply: Callable[..., Any] = (
            self.transformer.fit_transform if fit else self.transformer.transform
        )
        try:
            x = apply(x)
        except (ValueError, TypeError) as error:
            raise type(error)(f"{name} cannot be applied to x: {error}") from error
        return check_numbers(x, f"x after {name}", ensure_2d=False, allow_nd=self.as_it_is_)

    def _scaled(self, x: Floats) -> NDArray[np.float32]:
        """Scale, and make features or restore the shape."""
        columns = x if self.keep_shape and x.ndim > 2 else self._kept(_columns(x))
        if self.features_ is not None:
            columns = self.features_.transform(columns)
        return columns if self.views_ is None else self.views_.transform(np.asarray(columns))

    def _kept(self, columns: Floats) -> Floats:
        """Take the columns that are looked at, without a copy if these are all."""
        return columns if self.kept_.all() else columns[:, self.kept_]


def _columns(x: Floats) -> Floats:
    """Arrange x in columns."""
    return x.reshape(len(x), -1)


def _as_float32(x: Floats, scaled: Floats) -> NDArray[np.float32]:
    """Round what the network sees to float32, and warn of what becomes constant by that."""
    scaled = scaled.astype(np.float32)
    before = _columns(some_rows(x, 1_000_000, 100))
    after = _columns(some_rows(scaled, 1_000_000, 100))
    lost = (np.ptp(before, axis=0) > 0) & (np.ptp(after, axis=0) == 0)
    if lost.any():
        places = np.flatnonzero(lost)
        shape = x.shape[1:] or (1,)
        named = (np.unravel_index(k, shape) for k in places[:_MOST_NAMED])
        names = [", ".join(str(int(i)) for i in place) for place in named]
        more = "" if len(places) <= _MOST_NAMED else ", ..."
        warn_user(
            f"{len(places)} of the {before.shape[1]} elements of an observation vary, but not in "
            f"the float32 numbers that the network sees: x[:, {'], x[:, '.join(names)}]{more}. "
            "Their changes are lost beside the size of the others, or of their own mean: subtract "
            "the mean, or give parts in units of their own, along the first or the last dimension.",
            TrainingWarning,
        )
    return scaled
