"""An observation beside the simulations: how far it is, or why that cannot be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sksbi.inspection import MisspecificationDisplay
from sksbi.tables.names import trials_of_table
from sksbi.utils.types import Array, Row, Table
from sksbi.utils.validation import count_rows

__all__ = ["compare_observed", "one_trial_each"]

_N_NEIGHBORS = 10
_REFUSED = "x_observed must be finite, got one that {}, which the estimator does not take"


def compare_observed(
    estimator: Any, x: Any, x_observed: Any, seed: int, options: dict[str, Any]
) -> MisspecificationDisplay | str:
    """
    Compute how far the observation is from the simulations, or say why that is not possible.

    Parameters
    ----------
    estimator : estimator or pipeline
        Fitted, with ``sample``.
    x : array-like, Series or DataFrame of shape (n, ...)
        The simulations.
    x_observed : array-like, scalar, Series, dict or DataFrame
        One observation, or a batch.
    seed : int
        Cuts the simulations into two halves.
    options : dict
        Of ``sample``: whether observations consist of trials.

    Returns
    -------
    MisspecificationDisplay or str
        The distances, or why there are none.

    Raises
    ------
    TypeError, ValueError
        If the estimator does not take the observation.
    """
    flaw, flaw_of_x = _flaw(x_observed), _flaw(x)
    rows, observed, reason = x, x_observed, None
    if flaw or flaw_of_x:
        reason = f"x_observed {flaw}" if flaw else f"x {flaw_of_x}"
    elif options or getattr(estimator, "_has_trials", False):
        rows, observed = _sets_of_trials(x, x_observed)
        n_trials = [array.shape[1] if array.ndim > 1 else 1 for array in (rows, observed)]
        if rows.shape[1:] != observed.shape[1:]:
            reason = "x has {} trials, and x_observed {}".format(*n_trials)
        observed = observed if len(observed) > 1 else observed[0]
    if reason is None and count_rows(rows, "x") < 2 * _N_NEIGHBORS:
        reason = f"x has fewer than {2 * _N_NEIGHBORS} rows"
    if reason is None:
        return MisspecificationDisplay._measure(rows, observed, _N_NEIGHBORS, seed)
    _check_taken(estimator, x_observed, seed, options, flaw, flaw_of_x)
    return reason


def one_trial_each(x: Any) -> Any:
    """
    Take one trial of every observation.

    Parameters
    ----------
    x : array-like, Series or DataFrame of shape (n, trials, ...)
        The observations; a table has the trial as its last index level.

    Returns
    -------
    ndarray of shape (n, ...), Series or DataFrame
        Their first trials.
    """
    if hasattr(x, "iloc"):
        return x.iloc[:: trials_of_table(x)[1]].droplevel(-1)
    first: Array = np.asarray(x)[:, 0]
    return first


def _sets_of_trials(x: Any, x_observed: Any) -> tuple[Array, Array]:
    """Arrange trials as (n, trials, ...), every column sorted, as trials have no order."""
    columns = getattr(x, "columns", None)
    if isinstance(x_observed, Mapping):
        x_observed = pd.DataFrame(x_observed)
    if columns is not None and set(getattr(x_observed, "columns", ())) == set(columns):
        x_observed = x_observed[list(columns)]
    arrays = []
    for table in (x, x_observed):
        array = np.asarray(table)
        if hasattr(table, "iloc") and table.index.nlevels > 1:
            array = array.reshape(-1, trials_of_table(table)[1], *array.shape[1:])
        arrays.append(array)
    rows, observed = arrays
    observed = observed if observed.ndim == rows.ndim else observed[None]
    return np.sort(rows, axis=1), np.sort(observed, axis=1) if observed.ndim > 1 else observed


def _check_taken(
    estimator: Any,
    x_observed: Row,
    seed: int,
    options: dict[str, Any],
    flaw: str | None,
    flaw_of_x: str | None,
) -> None:
    """Hold that the estimator answers for an observation that could not be compared."""
    try:
        draws = estimator.sample(x_observed, 1, random_state=seed, **options)
        taken = bool(np.isfinite(np.asarray(draws, dtype=np.float64)).all())
    except (TypeError, ValueError) as error:
        if flaw is None:
            raise
        raise ValueError(f"{_REFUSED.format(flaw)}: {error}") from error
    if not taken:
        raise ValueError(f"{_REFUSED.format(flaw or flaw_of_x)}: its draws are not finite.")


def _flaw(x: Table | Row) -> str | None:
    """Say what keeps x from being finite numbers."""
    try:
        values = np.asarray(list(x.values()) if isinstance(x, Mapping) else x)
    except ValueError:
        return "holds what is no number"
    if values.dtype.kind in "cmM":
        return "holds what is no number"
    if values.dtype.kind in "biuf":
        missing, infinite = np.isnan(values), np.isinf(values)
    else:
        missing, infinite = pd.isna(values), np.array(False)
    if missing.any():
        return "holds NaN"
    if infinite.any():
        return "holds infinity"
    try:
        values.astype(np.float64)
    except (TypeError, ValueError):
        return "holds what is no number"
    return None
