"""Parameters theta as users give them: read in fit, and held against fit's afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import validate_data

from sksbi.exceptions import TrainingWarning
from sksbi.priors import Prior
from sksbi.priors.reach import differences, reach
from sksbi.tables.layout import Observations
from sksbi.tables.names import (
    check_unique,
    compare_names,
    outer_labels,
    warn_of_other_labels,
    warn_of_other_order,
)
from sksbi.utils.containers import plain
from sksbi.utils.types import Array
from sksbi.utils.validation import check_numbers
from sksbi.utils.warn import warn_user

__all__ = [
    "PairedRows",
    "Reader",
    "check_against_prior",
    "pair_rows",
    "read_theta",
    "theta_table",
    "warn_of_far_theta",
    "warn_of_few_values",
    "warn_of_other_theta",
]

Support = tuple[Array, Array]

_SHOWN = 3
_DIFFERENT, _UNLIKELY = 0.05, 1e-9
_OF_FACTORS = (
    "If simulations that failed were left out, the posterior will be wrong: simulate(..., "
    "on_error='keep') keeps them. If the prior has other units, give the right one. If theta was "
    "drawn from another distribution on purpose, the posterior is that of the prior that was given."
)
_MARGIN, _FAR_SHARE, _FEWEST_FAR = 0.01, 0.01, 3
_FEWEST_ROWS = 50
_WAY_OUT = "leave out such rows of theta and x"


class Reader(Protocol):
    """What remembers columns, as scikit-learn's estimators do."""

    n_features_in_: int


@dataclass(frozen=True, eq=False)
class PairedRows:
    """
    Parameters, each with the number of its observation.

    Parameters
    ----------
    theta : ndarray of shape (k, D)
        The parameters.
    rows : ndarray of int, of shape (k,)
        The observation of each.
    shape : tuple of int
        The shape in which results for the k pairs go back.
    """

    theta: Array
    rows: NDArray[np.intp]
    shape: tuple[int, ...]


def theta_table(theta: Any) -> Any:
    """
    Turn theta of any kind into a DataFrame of pandas, if it has names, or into an array-like.

    Parameters
    ----------
    theta : array-like, Series or DataFrame
        What the user gave; a Series with a name is one parameter.

    Returns
    -------
    DataFrame or array-like
        The same.
    """
    theta = plain(theta, "theta")
    if isinstance(theta, pd.Series):
        return theta.to_frame() if _is_named(theta) else theta.to_numpy()
    return theta


def _is_named(theta: Any) -> bool:
    """Tell a Series with a name, which is a column."""
    return isinstance(theta, pd.Series) and isinstance(theta.name, str)


def read_theta(
    reader: Reader,
    theta: ArrayLike | pd.DataFrame,
    prior: Prior | None = None,
    *,
    reset: bool = False,
    minimum: int = 1,
) -> Array:
    """
    Validate parameters, and their columns against those seen in fit.

    Parameters
    ----------
    reader : estimator
        Remembers ``n_features_in_`` and ``feature_names_in_``.
    theta : array-like or DataFrame of shape (n, D)
        The parameters.
    prior : Prior or None, default=None
        float32 values that rounding took over a bound of it are moved back onto it.
    reset : bool, default=False
        True in fit: columns are remembered; False: they are compared.
    minimum : int, default=1
        The least number of rows.

    Returns
    -------
    ndarray of shape (n, D), float64
        The parameters.
    """
    theta = theta_table(theta)
    if isinstance(theta, pd.DataFrame):
        check_unique(theta.columns, "theta")
        if not reset:
            warn_of_other_labels(theta.columns, getattr(reader, "theta_columns_", None), "theta")
    array = check_numbers(theta, "theta", ensure_min_samples=minimum, order="C", way_out=_WAY_OUT)
    names = getattr(reader, "feature_names_in_", None)
    if isinstance(theta, pd.DataFrame):
        compare_names(reader, theta, "theta", reset=reset, way_out=_order_of(prior))
    elif reset or names is None or array.shape[1] != len(names):
        try:
            validate_data(reader, array, reset=reset, skip_check_array=True)
        except ValueError as error:
            raise ValueError(f"theta: {error}") from error
    return array if prior is None else _undo_rounding(theta, array, prior.support)


def _order_of(prior: Prior | None) -> str:
    """Say how a user who has a prior selects columns in its order."""
    is_mapping = prior is not None and isinstance(prior.spec, Mapping)
    return "list(prior)" if is_mapping else ""


def check_against_prior(theta: ArrayLike | pd.DataFrame, array: Array, prior: Prior) -> Array:
    """
    Hold that theta in fit has the prior's names, and lies in its support.

    Parameters
    ----------
    theta : array-like or DataFrame of shape (n, D)
        What the user gave.
    array : ndarray of shape (n, D)
        The same as float64.
    prior : Prior
        The prior.

    Returns
    -------
    ndarray of shape (n, D)
        The parameters; float32 values that rounding took over a bound are moved back onto it.

    Raises
    ------
    ValueError
        If names differ, or theta lies outside the support, or where the prior is zero.
    """
    theta = theta_table(theta)
    array = _undo_rounding(theta, array, prior.support)
    names = list(theta.columns) if isinstance(theta, pd.DataFrame) else None
    has_names = names is not None and all(isinstance(name, str) for name in names)
    if prior.names is not None and names is not None and has_names and names != list(prior.names):
        raise ValueError(
            "theta's columns must be the prior's names in the same order, "
            f"{list(prior.names)}, got {names}{_difference(names, prior)}"
        )
    outside = np.flatnonzero(~prior.contains(array))
    if len(outside):
        first = outside[0]
        low, high = prior.support
        if np.all((array >= low) & (array <= high)):
            raise ValueError(
                "theta must lie where the prior is positive, but the prior's log_prob is -inf in "
                f"{len(outside)} of {len(array)} rows, the first row {first}: {array[first]}. "
                "Leave such rows out, as in keep = prior.contains(theta), with prior = "
                "sksbi.priors.check_prior(prior), or give the prior that theta was drawn from."
            )
        j = int(((array[first] < low) | (array[first] > high)).argmax())
        name = j if prior.names is None else repr(prior.names[j])
        raise ValueError(
            f"theta must lie in the prior's support, but {len(outside)} of {len(array)} rows do "
            f"not, the first in row {first}: {array[first]}, where parameter {name} is "
            f"{array[first, j]:.6g} and the prior runs from {low[j]:.6g} to {high[j]:.6g}. Are the "
            "units and columns the prior's? Were theta and x swapped? The order is fit(theta, x)."
        )
    return array


def warn_of_far_theta(theta: Array, weight: Array, prior: Prior, names: Sequence[Any]) -> None:
    """
    Warn of parameters that cannot have come from the prior, as many lie where it has no mass.

    Parameters drawn from a part of the prior only are no reason to warn: others may have failed.
    That leaves no hundredth of them where a millionth should be, unless nearly all fail.

    Parameters
    ----------
    theta : ndarray of shape (n, D)
        The parameters, inside the support.
    weight : ndarray of shape (n,)
        Their weights, positive.
    prior : Prior
        The prior.
    names : sequence
        The parameters' names.

    Warns
    -----
    TrainingWarning
        If more than half of a parameter's values lie where the prior has hardly any mass, or more
        than a hundredth farther out than rounding takes them.
    """
    low, high = reach(prior)
    margin = _MARGIN * (high - low)
    out = (theta < low) | (theta > high)
    far = (theta < low - margin) | (theta > high + margin)
    share, share_far = (np.average(where, axis=0, weights=weight) for where in (out, far))
    some_are_far = (share_far > _FAR_SHARE) & (np.count_nonzero(far, axis=0) >= _FEWEST_FAR)
    for i in np.flatnonzero((share > 0.5) | some_are_far).tolist():
        warn_user(
            f"{share[i]:.0%} of theta's values of {names[i]!r} lie outside [{low[i]:.4g}, "
            f"{high[i]:.4g}], where next to all of the prior's mass is; their median is "
            f"{np.median(theta[:, i]):.4g}: they cannot be draws of this prior. Give the prior "
            "that they were drawn from, in the same units and the same order of columns.",
            TrainingWarning,
        )


def warn_of_few_values(theta: Array, names: Sequence[Any]) -> None:
    """
    Warn of parameters that take a few values only, for what learns a density of theta.

    Parameters
    ----------
    theta : ndarray of shape (n, D)
        The parameters.
    names : sequence
        The parameters' names.

    Warns
    -----
    TrainingWarning
        If one takes fewer values than the root of n, which is that of 50 or more.
    """
    n = len(theta)
    for name, column in zip(names, theta.T if n >= _FEWEST_ROWS else (), strict=False):
        values = np.unique(column)
        if len(values) >= np.sqrt(n):
            continue
        some = ", ".join(f"{value:.4g}" for value in values[:_SHOWN])
        takes = f"is {some} throughout"
        if len(values) > 1:
            takes = f"takes {len(values)} values only, such as {some}"
        warn_user(
            f"theta's {name!r} {takes}, in {n} rows: a density gives no single value a "
            "probability, and the posterior becomes a few spikes, or one. Leave out what is "
            "constant, draw the rest from a continuous prior, or take a ratio, NRE, whose theta "
            "may have any values; which of a few, as of models, ModelComparison tells.",
            TrainingWarning,
        )


def warn_of_other_theta(
    theta: Array, prior: Prior, names: Sequence[Any], advice: str = _OF_FACTORS
) -> None:
    """
    Warn of parameters of another distribution than the prior's, for what multiplies the prior.

    Parameters
    ----------
    theta : ndarray of shape (n, D)
        The parameters of all simulations, failed ones too.
    prior : Prior
        The prior.
    names : sequence
        The parameters' names.
    advice : str, optional
        What may be the reason, and what to do.

    Warns
    -----
    TrainingWarning
        If one differs beyond chance, and by more than a twentieth.
    """
    distance, p_value = differences(theta, prior)
    worst = int(distance.argmax())
    if distance[worst] > _DIFFERENT and p_value[worst] < _UNLIKELY:
        warn_user(
            f"theta's values of {names[worst]!r} do not follow the prior: their distribution "
            f"functions differ by up to {distance[worst]:.2f}. {advice}",
            TrainingWarning,
        )


def _difference(names: list[str], prior: Prior) -> str:
    """Say what has to change for names to become the prior's."""
    own = list(prior.names or [])
    missing, unknown = ([n for n in a if n not in b] for a, b in ((own, names), (names, own)))
    if missing or unknown:
        return f": missing {missing}, unknown {unknown}."
    return f": give theta[{_order_of(prior) or own}]."


def pair_rows(
    reader: Reader,
    theta: ArrayLike | pd.DataFrame | pd.Series,
    observations: Observations,
    prior: Prior | None,
    *,
    any_pairs: bool = False,
) -> PairedRows:
    """
    Validate theta of shape (n, D) or (m, n, D), and pair it with observations.

    Parameters
    ----------
    reader : estimator
        Remembers the columns of theta in fit.
    theta : array-like, Series or DataFrame
        The parameters: as many rows as observations, any number for one observation, or with three
        dimensions, or as the table of draws of a batch, as many for each.
    observations : Observations
        The observations.
    prior : Prior or None
        As in :func:`read_theta`.
    any_pairs : bool, default=False
        Whether theta may well be paired with an x that was not simulated from it, so that rows
        whose labels are in another order are no reason for a warning.

    Returns
    -------
    PairedRows
        The pairs.

    Raises
    ------
    ValueError
        If the numbers of theta and of observations do not match.
    """
    m = len(observations.values)
    theta = plain(theta, "theta")
    if isinstance(theta, pd.Series):
        theta = _row_or_column(reader, theta)
    if getattr(theta, "ndim", 0) == 3 or isinstance(theta, list) and _depth(theta) == 3:
        array = _read_stack(reader, theta, m)
        array = array if prior is None else _undo_rounding(theta, array, prior.support)
    else:
        array = read_theta(reader, theta, prior)
        if isinstance(theta, pd.DataFrame) and _is_batch_of_draws(theta, observations):
            _check_draws_match(theta, observations)
            array = array.reshape(m, -1, array.shape[1])
    in_pairs = observations.labelled and array.ndim == 2 and not any_pairs
    if in_pairs and isinstance(theta, pd.DataFrame):
        warn_of_other_order(theta.index, observations.index)
    if array.ndim == 2 and m not in (1, len(array)):
        raise ValueError(
            f"theta has {len(array)} rows and x has {m} observations: give as many, or one x."
        )
    each = array.shape[1] if array.ndim == 3 else len(array) // m
    rows = np.arange(m).repeat(each)
    return PairedRows(array.reshape(-1, array.shape[-1]), rows, array.shape[:-1])


def _row_or_column(reader: Reader, theta: pd.Series) -> pd.DataFrame | pd.Series:
    """Tell a row of parameters from a column of the only one; the latter has its name."""
    columns = list(getattr(reader, "feature_names_in_", []))
    if _is_named(theta) and reader.n_features_in_ == 1 and list(theta.index) != columns:
        return theta.to_frame()
    return theta if isinstance(theta.index, pd.RangeIndex) else theta.to_frame().T


def _read_stack(reader: Reader, theta: ArrayLike, m: int) -> Array:
    """Validate theta of shape (m, n, D)."""
    array, d = check_numbers(theta, "theta", allow_nd=True), reader.n_features_in_
    if (array.shape[0], array.shape[2]) != (m, d):
        raise ValueError(
            f"theta of three dimensions must have shape ({m}, n, {d}) for {m} observations, got "
            f"{array.shape}."
        )
    return array


def _undo_rounding(theta: ArrayLike | pd.DataFrame, array: Array, support: Support) -> Array:
    """Move float32 and float16 values that rounding took over a bound back onto it."""
    of_table = list(theta.dtypes) if isinstance(theta, pd.DataFrame) else None
    dtypes = [getattr(theta, "dtype", None)] if of_table is None else of_table
    coarse = [dtype for dtype in (np.dtype(np.float16), np.dtype(np.float32)) if dtype in dtypes]
    if any(dtype not in coarse for dtype in dtypes):
        return array
    on_bound = np.clip(array, *support)
    slack = np.finfo(coarse[0]).eps * np.abs(on_bound)
    return np.where(np.abs(array - on_bound) <= slack, on_bound, array)


def _depth(theta: Any) -> int:
    """Count how deep lists of theta are nested, by their first items."""
    is_nested = isinstance(theta, list | tuple) and len(theta)
    return 1 + _depth(theta[0]) if is_nested else getattr(theta, "ndim", 0)


def _is_batch_of_draws(theta: pd.DataFrame, observations: Observations) -> bool:
    """Tell a table that sample gave for a batch."""
    names = theta.index.names
    return not observations.single and len(names) > 1 and names[-1] == "draw"


def _check_draws_match(theta: pd.DataFrame, observations: Observations) -> None:
    """Hold that a table of draws has the observations of x, in order, with as many draws each."""
    m, n = len(observations.values), len(theta)
    labels = outer_labels(theta.index)
    if n % m or not labels.equals(observations.index.repeat(n // m)):
        raise ValueError(
            "theta as a table of draws must have the observations of x, in order, with as many "
            f"draws each: x has {m}, {list(observations.index[:_SHOWN])} and so on, theta "
            f"{list(labels.unique()[:_SHOWN])} and so on in {n} rows. To pair rows with rows, give "
            "theta.to_numpy() and one x a row."
        )
