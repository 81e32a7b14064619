"""Working on the simulations that succeeded, around those that failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, issparse, vstack
from sklearn.utils.validation import check_consistent_length

from sksbi.tables.simulated import fill
from sksbi.utils.failures import are_failed, rows_of, without_failures
from sksbi.utils.types import Mask, Rows

__all__ = ["around_failures"]


def around_failures(transform: Callable[..., Any], x: Any, *theta: Any, **options: Any) -> Any:
    """
    Transform the simulations that succeeded, and set NaN in the places of those that failed.

    Parameters
    ----------
    transform : callable
        Takes x, theta if it is given, and the options, and gives a table of as many rows.
    x : array, DataFrame, sparse matrix or list
        The simulations; failed ones are NaN throughout.
    *theta : array or DataFrame
        The parameters, or nothing.
    **options : object
        Passed on; of what is as long as x, the rows that succeeded.

    Returns
    -------
    array, DataFrame or sparse matrix
        As many rows as x has.

    Raises
    ------
    ValueError
        If a row that succeeded becomes NaN throughout.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.tables.around import around_failures
    >>> around_failures(lambda x: x - x.mean(), np.array([[1.0], [np.nan], [3.0]])).tolist()
    [[-1.0], [nan], [1.0]]
    """
    kept = ~are_failed(x)
    if kept.all():
        return _hold(transform(x, *theta, **options), kept)
    check_consistent_length(x, *theta)
    some, targets = without_failures(x, x)[0], [rows_of(part, kept) for part in theta]
    own = {k: rows_of(v, kept) if np.size(v) == len(kept) else v for k, v in options.items()}
    transformed = _hold(transform(some, *targets, **own), kept)
    return _in_places(transformed, np.flatnonzero(kept), x)


def _hold(transformed: Any, kept: Mask) -> Any:
    """Hold that nothing that succeeded has become NaN, which would make it a failure."""
    lost = are_failed(transformed)
    if lost.any():
        row = int(np.flatnonzero(kept)[lost.argmax()])
        raise ValueError(
            f"x must not become NaN throughout, got that in {lost.sum()} of {len(lost)} rows, the "
            f"first in row {row}: has a step taken the logarithm of a negative number?"
        )
    return transformed


def _in_places(transformed: Any, rows: Rows, x: Any) -> Any:
    """Set rows into their places in a table as long as x, of NaN where there is none."""
    n = len(are_failed(x))
    if issparse(transformed):
        nothing = csr_matrix(np.full((1, transformed.shape[1]), np.nan))
        place = np.full(n, len(rows))
        place[rows] = np.arange(len(rows))
        return vstack([transformed, nothing], format="csr")[place]
    if not isinstance(transformed, pd.DataFrame):
        return fill(np.asarray(transformed), rows, n)
    index = x.index if isinstance(x, pd.DataFrame | pd.Series) else None
    table = pd.DataFrame(fill(transformed, rows, n))
    return table if index is None else table.set_axis(index)
