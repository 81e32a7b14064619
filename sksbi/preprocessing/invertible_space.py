"""
The observations' way to a density of them, and back.

Columns of x are discrete or continuous. A discrete one is known by the place of its value among
those seen in fit, and has a probability. What is left has a density: counts of many values, spread
evenly over the unit interval around them, then perhaps a transformer, then a monotone map of every
column. All of it is invertible,

    log q(x | theta) = log P(d | theta) + log q(y | d, theta) + log |det dy/dx|,

so that q is a density in the units of x: for counts, a probability.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone

from sksbi.exceptions import TrainingWarning
from sksbi.preprocessing.determined import Determined, find_determined
from sksbi.preprocessing.jacobian import (
    cover_the_line,
    in_domain,
    log_abs_det_jacobian,
    returning_arrays,
)
from sksbi.preprocessing.monotone import choose_maps
from sksbi.utils.subset import some_rows
from sksbi.utils.types import Array, Mask, Rows
from sksbi.utils.validation import check_numbers
from sksbi.utils.warn import warn_user

__all__ = ["InvertibleSpace"]

_FEW, _ROWS_PER_VALUE, _MOST_VALUES, _MOST_TOLD = 10, 5, 1_000, 5
_MOST_ROWS, _LARGEST_COUNT = 20_000, 2.0**50
_ATOM, _PLACES = 0.05, 4
_REPEATED, _TIMES = 0.01, 5
_FARTHEST = 1e9  # the squares of what a network sees must be floats


class InvertibleSpace:
    """
    The invertible map between x and what a density of it is learnt in.

    Parameters
    ----------
    transformer : estimator or None
        A scikit-learn transformer with a known log-determinant, applied to the columns that are not
        discrete.
    discrete : ndarray of bool, of shape (L,), or None, default=None
        Which columns are discrete beside those with labels. None: those of at most ten values, and
        of five rows a value.
    names : sequence or None, default=None
        The columns, for messages.
    labels : mapping from int to sequence, or None, default=None
        What the values 0, 1, ... of columns mean, for messages.

    Attributes
    ----------
    shape_ : tuple of int
        The shape of one observation.
    discrete_, counts_ : ndarray of bool, of shape (L,)
        Which columns are discrete, and which of the others are counts.
    values_ : list of ndarray
        The values of every discrete column, ascending.
    offsets_ : ndarray of shape (k, number of counts)
        Where in the intervals of counts their density is to be averaged: in the middle, or at four
        places where a value has one in twenty of the rows, as a density jumps beside it.
    """

    def __init__(
        self,
        transformer: BaseEstimator | None = None,
        discrete: Mask | None = None,
        names: Sequence[Any] | None = None,
        labels: Mapping[int, Sequence[Any]] | None = None,
    ) -> None:
        self.transformer: Any = None
        if transformer is not None:
            self.transformer = returning_arrays(clone(transformer))
        self.discrete, self.names, self.labels = discrete, names, labels or {}

    def fit(
        self,
        x: Array,
        context: Array,
        generator: np.random.Generator | None = None,
        rows: Rows | None = None,
    ) -> InvertibleSpace:
        """
        Learn which columns are what, and their maps.

        Parameters
        ----------
        x : ndarray of shape (n, ...)
            The observations, finite.
        context : ndarray of shape (n, C)
            What a network is given of their theta.
        generator : numpy.random.Generator or None, default=None
            Spreads the counts.
        rows : ndarray of int or None, default=None
            Those that a network is trained on, which maps are chosen by; None: all.

        Returns
        -------
        InvertibleSpace
            Itself.
        """
        generator = np.random.default_rng(0) if generator is None else generator
        self.shape_, columns = x.shape[1:], x.reshape(len(x), -1)
        self._find_discrete(columns)
        rest = columns[:, ~self.discrete_]
        self.counts_ = np.array([_are_counts(column) for column in rest.T], bool)
        counts = rest[:, self.counts_]
        self.least_ = np.where(counts.min(axis=0, initial=np.inf) >= 0, 0.0, -np.inf)
        self.offsets_ = _offsets(counts)
        self._warn_of_repeated(rest)
        y = self._spread(rest, generator)
        self.maps_ = []
        if y.shape[1]:
            if self.transformer is not None:
                y = _fit_transformed(self.transformer, y)
            rows = np.arange(len(x)) if rows is None else rows
            are_counts = self.counts_ if self.transformer is None else np.zeros(y.shape[1], bool)
            some = np.linspace(0, len(rows) - 1, min(len(rows), _MOST_ROWS)).astype(int)
            rows = np.random.default_rng(0).permutation(rows[some])
            self.maps_ = choose_maps(y[rows], are_counts, context[rows])
            self._warn_of_determined(y[rows], columns[rows][:, self.discrete_], context[rows])
        return self

    def _find_discrete(self, columns: Array) -> None:
        """Learn which columns are discrete, and their values."""
        values = [_distinct(column) for column in columns.T]
        found = _are_few(values, len(columns)) if self.discrete is None else self.discrete
        self.discrete_ = found.copy()
        self.discrete_[list(self.labels)] = True  # the places of words are no numbers
        places = np.flatnonzero(self.discrete_)
        self.values_ = [values[j] for j in places]
        for j, own in zip(places, self.values_, strict=True):
            if len(own) > _MOST_VALUES:
                raise ValueError(
                    f"x_discrete must name columns of at most {_MOST_VALUES:,} values, got "
                    f"{self._name(int(j))} with {len(own):,} or more."
                )

    @property
    def n_values(self) -> list[int]:
        """The number of values of every discrete column."""
        return [len(values) for values in self.values_]

    @property
    def n_continuous(self) -> int:
        """The number of other columns."""
        return int(np.count_nonzero(~self.discrete_))

    def refuse_unseen(self, x: Array) -> None:
        """
        Hold that discrete columns have values that fit has seen, and counts are whole numbers.

        Parameters
        ----------
        x : ndarray of shape (n, ...)
            Observations.

        Raises
        ------
        ValueError
            If they do not: of such a value nothing was learnt.
        """
        columns = x.reshape(len(x), -1)
        of_discrete, others = np.flatnonzero(self.discrete_), np.flatnonzero(~self.discrete_)
        for j, values in zip(of_discrete, self.values_, strict=True):
            unseen = columns[~np.isin(columns[:, j], values), j]
            if len(unseen):
                seen = [self._value(int(j), value) for value in values[:_FEW]]
                more = ", ..." if len(values) > _FEW else ""
                raise ValueError(
                    f"x must have values in {self._name(int(j))} that fit has seen, as it is "
                    f"discrete, got {self._value(int(j), unseen[0])}; fit saw {', '.join(seen)}"
                    f"{more}. Simulate more until it occurs, or fit with an x_discrete without "
                    "this column, if its values are numbers."
                )
        for j, least in zip(others[self.counts_], self.least_, strict=True):
            _check_counts(columns[:, j], least, self._name(int(j)))

    def to_network(
        self,
        x: Array,
        generator: np.random.Generator | None = None,
        offset: Array | float = 0.0,
    ) -> tuple[Array, Array]:
        """
        Map x to what a density is learnt in.

        Parameters
        ----------
        x : ndarray of shape (n, ...)
            The observations, finite.
        generator : numpy.random.Generator or None, default=None
            Spreads the counts; None leaves them in the middle of their intervals.
        offset : float or ndarray of shape (number of counts,), default=0.0
            What is added to counts that are not spread, between -1/2 and 1/2.

        Returns
        -------
        target : ndarray of shape (n, L)
            First the columns that have a density, then the places of discrete values among those of
            fit, -1 for values that fit has not seen.
        ladj : ndarray of shape (n,)
            The log-determinant log |det dy/dx|.
        """
        columns = x.reshape(len(x), -1)
        rest = columns[:, ~self.discrete_]
        if generator is not None:
            rest = self._spread(rest, generator)
        elif np.any(offset):
            rest = rest.copy()
            rest[:, self.counts_] += offset
        rest, ladj = self._before_maps(rest)
        parts = []
        with np.errstate(over="ignore", invalid="ignore"):
            for one, column in zip(self.maps_, rest.T, strict=True):
                y, log_slope = one.forward(column)
                parts.append(np.clip(y, -_FARTHEST, _FARTHEST))
                ladj = ladj + log_slope
        for values, column in zip(self.values_, columns[:, self.discrete_].T, strict=True):
            place = np.minimum(np.searchsorted(values, column), len(values) - 1)
            parts.append(np.where(values[place] == column, place, -1))
        return np.column_stack(parts), ladj

    def _before_maps(self, rest: Array) -> tuple[Array, Array]:
        """Apply the transformer, with its log-determinant."""
        ladj = np.zeros(len(rest))
        if self.transformer is None or not rest.shape[1]:
            return rest, ladj
        defined = in_domain(self.transformer, rest)
        ladj[~defined] = -np.inf
        rest = np.where(defined[:, None], rest, 1.0)
        ladj = ladj + log_abs_det_jacobian(self.transformer, rest)
        return _transformed(self.transformer, rest), ladj

    def are_beyond(self, x: Array, ranges: Array) -> Mask:
        """
        Tell which values lie where nothing was simulated, on the scales of the maps.

        Parameters
        ----------
        x : ndarray of shape (n, ...)
            Observations.
        ranges : ndarray of shape (2, number of columns with a density)
            The lowest and the highest values that were simulated, as ``to_network`` gives them.

        Returns
        -------
        ndarray of bool, of shape (n, number of columns with a density)
            Whether they do.
        """
        rest = self._before_maps(x.reshape(len(x), -1)[:, ~self.discrete_])[0]
        found = np.zeros(rest.shape, bool)
        with np.errstate(over="ignore", invalid="ignore"):
            for j, one in enumerate(self.maps_):
                found[:, j] = one.is_beyond(rest[:, j], *ranges[:, j])
        return found

    def from_network(self, target: Array) -> Array:
        """
        Map back.

        Parameters
        ----------
        target : ndarray of shape (n, L)
            As ``to_network`` gives it.

        Returns
        -------
        ndarray of shape (n, ...)
            Observations; counts are whole numbers again, none below 0 if none was in fit.
        """
        n_continuous = self.n_continuous
        rest = np.empty((len(target), n_continuous))
        for j, one in enumerate(self.maps_):
            rest[:, j] = one.inverse(target[:, j])
        if self.transformer is not None and n_continuous:
            rest = self.transformer.inverse_transform(rest)
        rest[:, self.counts_] = np.maximum(np.round(rest[:, self.counts_]), self.least_)
        x = np.empty((len(target), len(self.discrete_)))
        x[:, ~self.discrete_] = rest
        codes = target[:, n_continuous:].astype(int)
        for values, code, at in zip(
            self.values_, codes.T, np.flatnonzero(self.discrete_), strict=True
        ):
            x[:, at] = values[code]
        return x.reshape(-1, *self.shape_)

    def _spread(self, rest: Array, generator: np.random.Generator) -> Array:
        """Spread counts evenly over the intervals around them."""
        counts = rest[:, self.counts_]
        if not counts.shape[1]:
            return rest
        rest = rest.copy()
        rest[:, self.counts_] = counts + generator.random(counts.shape) - 0.5
        return rest

    def _name(self, j: int) -> str:
        """Name a column."""
        return f"column {j if self.names is None else self.names[j]!r}"

    def _value(self, j: int, value: float) -> str:
        """Tell a value of a column in the user's words."""
        labels = self.labels.get(j, ())
        return repr(labels[int(value)]) if 0 <= value < len(labels) else f"{value:.6g}"

    def _warn_of_determined(self, y: Array, discrete: Array, context: Array) -> None:
        """Warn of columns that have no density given theta and the columns before them."""
        pairs = zip(self.maps_, y.T, strict=True)
        y = np.column_stack([one.forward(column)[0] for one, column in pairs])
        found = find_determined(y, discrete, context)
        if not found:
            return
        names = [self._name(int(j)) for j in np.flatnonzero(~self.discrete_)]
        warn_user(_text_of_determined(found, names), TrainingWarning)

    def _warn_of_repeated(self, rest: Array) -> None:
        """Warn of continuous columns in which single values have probability."""
        some = some_rows(rest, 1_000_000, 1_000)
        for j, column in zip(np.flatnonzero(~self.discrete_), some.T, strict=True):
            values, times = np.unique(column, return_counts=True)
            most = int(times.argmax())
            if _are_counts(column) or times[most] < max(_TIMES, _REPEATED * len(column)):
                continue
            share = times[most] / len(column)
            warn_user(
                f"{self._name(int(j))} of x is {values[most]:.6g} in {share:.0%} of the "
                "simulations, and a density gives no single value a probability: put an indicator "
                "column beside it, 1 where it is that value, and there replace it by noise from a "
                "distribution that does not depend on theta; or, if its values are few, name it in "
                "x_discrete.",
                TrainingWarning,
            )


def _fit_transformed(transformer: Any, y: Array) -> Array:
    """Fit a transformer, hold that its log-determinant is known, and apply it."""
    try:
        log_abs_det_jacobian(transformer.fit(y), y[:1])
        cover_the_line(transformer, y)
    except (ValueError, TypeError) as error:
        message = str(error).replace("theta_transformer", "x_transformer")
        raise type(error)(
            f"x_transformer={transformer!r} cannot be applied to x: {message}"
        ) from error
    return _transformed(transformer, y)


def _transformed(transformer: Any, y: Array) -> Array:
    """Apply a transformer."""
    y = transformer.transform(y)
    return np.asarray(check_numbers(y, f"x after x_transformer={transformer!r}"), float)


def _text_of_determined(found: Sequence[Determined], names: Sequence[str]) -> str:
    """Tell of columns that have no density."""
    told = []
    for one in found[:_MOST_TOLD]:
        by = "theta" if one.by is None else "the columns before it"
        told.append(f"{names[one.column]} (of {names[one.by[0]] if one.by else by})")
    more = f" and {len(found) - len(told)} more" if len(found) > len(told) else ""
    return (
        "x has columns that are functions of others or of theta, but for "
        f"{max(one.share for one in found):.1g} of their spread or less: {', '.join(told)}"
        f"{more}. So x has no density that a network could learn, and likelihoods and posteriors "
        "may be wrong: leave these columns out, or simulate the noise with which they are observed."
    )


def _check_counts(column: Array, least: float, name: str) -> None:
    """Hold that counts are whole numbers, and none below zero if none was in fit."""
    broken = column[column != np.round(column)]
    if len(broken):
        raise ValueError(f"x must be whole numbers in {name}, as in fit, got {broken[0]:.6g}.")
    if (column < least).any():
        raise ValueError(
            f"x must not be negative in {name}, a count, as in fit, got {column.min():.6g}."
        )


def _offsets(counts: Array) -> Array:
    """Spread places over the intervals of counts, each by its own order."""
    n, n_columns = counts.shape
    has_atom = any(
        np.unique(column, return_counts=True)[1].max() > _ATOM * n for column in counts.T
    )
    if not has_atom:
        return np.zeros((1, n_columns))
    places = (np.arange(_PLACES) + 0.5) / _PLACES - 0.5
    return np.random.default_rng(0).permuted(np.tile(places, (n_columns, 1)), axis=1).T


def _distinct(column: Array) -> Array:
    """Find the values of a column, of many some."""
    some = np.unique(column[: 2 * _MOST_VALUES])
    return some if len(some) > _MOST_VALUES else np.unique(column)


def _are_counts(column: Array) -> bool:
    """Tell whole numbers from others; all floats are whole where they are large enough."""
    return bool((column == np.round(column)).all() and np.abs(column).max() < _LARGEST_COUNT)


def _are_few(values: Sequence[Array], n: int) -> Mask:
    """Tell which columns have few values."""
    most = min(_FEW, max(1, n // _ROWS_PER_VALUE))
    return np.array([len(one) <= most for one in values])
