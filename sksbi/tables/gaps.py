"""Which columns of x had missing values in fit, and which have them now for the first time."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse

from sksbi.exceptions import MisspecificationWarning
from sksbi.utils.containers import shape_of
from sksbi.utils.failures import are_failed
from sksbi.utils.types import Mask
from sksbi.utils.warn import warn_user

__all__ = ["gaps_of", "warn_of_new_gaps"]

_MOST_NAMED = 5


def gaps_of(x: Any) -> Mask | None:
    """
    Tell which columns have missing values, in rows that are not missing throughout.

    Parameters
    ----------
    x : array, DataFrame, Series, sparse matrix or list
        The observations.

    Returns
    -------
    ndarray of bool, of shape (L,), or None
        Whether something is missing in each column; None if x has no columns.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.tables.gaps import gaps_of
    >>> gaps_of(np.array([[1.0, np.nan], [np.nan, np.nan]])).tolist()
    [False, True]
    """
    if issparse(x) or len(shape_of(x, "x")) != 2:
        return None
    missing = np.asarray(pd.isna(x if isinstance(x, pd.DataFrame) else np.asarray(x)))
    if not missing.any():
        return np.zeros(missing.shape[1], dtype=bool)
    return np.asarray(missing[~are_failed(x)].any(axis=0))


def warn_of_new_gaps(x: Any, known: Mask | None, names: Sequence[Hashable] | None = None) -> None:
    """
    Warn of columns that are missing now, and were in no simulation.

    Parameters
    ----------
    x : array, DataFrame or Series
        Observations, in the form of fit's x.
    known : ndarray of bool, of shape (L,), or None
        What :func:`gaps_of` gave in fit.
    names : sequence or None, default=None
        The names of the columns, where x has none.

    Warns
    -----
    MisspecificationWarning
        If there are such columns.
    """
    gaps = None if known is None else gaps_of(x)
    if gaps is None or known is None or len(gaps) != len(known):
        return
    new = np.flatnonzero(gaps & ~known)
    if len(new):
        labels = list(x.columns if isinstance(x, pd.DataFrame) else names or range(len(known)))
        columns = [labels[place] for place in new]
        warn_user(
            f"x lacks values in the columns {columns[:_MOST_NAMED]}, which no simulation lacked: "
            "what fills such a gap has never been learnt, and the answer may be far off. Leave out "
            "values at random in the simulations, too, and fit again.",
            MisspecificationWarning,
        )
