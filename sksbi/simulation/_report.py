"""What is said of simulations: which failed, of what, and for whom the rest stays right."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd

from sksbi.exceptions import SimulationWarning
from sksbi.simulation._runner import Failure, Runner
from sksbi.tables.simulated import Table, take
from sksbi.utils.warn import warn_user

__all__ = ["MOST_DEATHS", "PATIENCE", "explain", "warn_dropped", "warn_early"]

MOST_DEATHS = 5  # so many rows that kill their process, and none with a result: all will
PATIENCE = 30.0  # seconds without a result after which the first error is told

_SHARE = 0.01  # of failures, from which p(theta | success) is told from p(theta)

_SLIPS = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)

# What NumPy says where an array is asked for a column by its name.
_NO_NAMES = "only integers, slices"


def warn_dropped(
    failure: Failure, kinds: Counter[str], theta: Table, n: int, start: int = 0
) -> None:
    """
    Warn of rows left out of n, and above a share of them say who may not learn from the rest.

    Here and below, theta begins at the row ``start`` of all.
    """
    share = kinds.total() / n
    advice = (
        ", so theta follows p(theta | success). NPE is right as it is; ratio and likelihood "
        "estimators (NRE, ClassifierRatio) are not: simulate with on_error='keep' for them, and "
        "they learn p(success | theta)"
    )
    counted = _count(failure, kinds, theta, n, start)
    warn_user(
        f"{counted}. They were left out{advice if share > _SHARE else ''}.", SimulationWarning
    )


def warn_early(failure: Failure, kinds: Counter[str], theta: Table, n: int, start: int = 0) -> None:
    """Warn before the end that nothing has succeeded."""
    counted = _count(failure, kinds, theta, n, start)
    warn_user(f"No simulation has succeeded so far. {counted}.", SimulationWarning)


def _count(failure: Failure, kinds: Counter[str], theta: Table, n: int, start: int) -> str:
    """Count failures by kind, the most frequent first, and tell of the first."""
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    error = f"{type(failure.error).__name__}: {failure.error}".rstrip(".")
    return (
        f"{kinds.total()} of {n} simulations failed: {counts}. The first, at "
        f"{_where(theta, failure.row, start)}: {error}"
    )


def _where(theta: Table, row: int, start: int) -> str:
    """Put the parameters of a row into words."""
    at = row - start
    values = theta.iloc[at].to_dict() if isinstance(theta, pd.DataFrame) else theta[at].tolist()
    return f"theta = {values} (row {row})"


def explain(
    failure: Failure, runner: Runner, theta: Table, *, alone: bool, start: int = 0
) -> Exception:
    """Note at an error where it was; if no row gave a result, whether the other way would have."""
    failure.error.add_note(f"The simulation failed at {_where(theta, failure.row, start)}.")
    if _NO_NAMES in str(failure.error) and not isinstance(theta, pd.DataFrame):
        failure.error.add_note(
            "The simulator is given an array, as the parameters have no names: it may ask for "
            "theta[0], but not for theta['name'], unless the prior is a dictionary."
        )
    was_raised = type(failure.error).__name__ == failure.kind
    if alone and was_raised and isinstance(failure.error, _SLIPS) and _works(runner, theta):
        failure.error.add_note(
            "The simulator works on one row at a time: did you mean vectorized=False?"
            if runner.vectorized
            else "The simulator works on a table of two rows: did you mean vectorized=True?"
        )
    return failure.error


def _works(runner: Runner, theta: Table) -> bool:
    """Call the simulator once the other way and tell whether that gives results."""
    rows = np.array([0] if runner.vectorized else [0, min(1, len(theta) - 1)])
    other = replace(runner, vectorized=not runner.vectorized, diary=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return len(other((0,), 0, take(theta, rows)).rows) == len(rows)
        except Exception:
            return False
