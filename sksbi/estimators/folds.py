"""Cutting simulations into those to fit to and those that are set aside."""

from __future__ import annotations

from functools import partial
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import KFold, ShuffleSplit, check_cv

from sksbi.data import Pairs
from sksbi.utils.types import Rows

__all__ = ["set_aside"]


_FEWEST_ROWS, _DEFAULT = 3, 5


def set_aside(cv: object, pairs: Pairs, seed: int) -> list[tuple[Rows, Rows]]:
    """
    Cut rows as ``cv`` says.

    Parameters
    ----------
    cv : float, int, splitter, iterable or None
        A fraction to set aside at random, a number of folds, what splits as scikit-learn's
        splitters do, or pairs of row numbers or masks in the user's table.
    pairs : Pairs
        The pairs.
    seed : int
        Seeds the choice of rows.

    Returns
    -------
    list of (fit, aside)
        Row numbers among the pairs.

    Raises
    ------
    ValueError
        If there are fewer than 3 rows, or ``cv`` names rows that do not exist.
    """
    if len(pairs) < _FEWEST_ROWS:
        raise ValueError(
            f"theta must have at least {_FEWEST_ROWS} rows, some to fit to and some to set aside, "
            f"got {len(pairs)}."
        )
    cv = _DEFAULT if cv is None else cv
    splitter = cv
    if isinstance(cv, Integral):
        splitter = KFold(int(cv), shuffle=True, random_state=seed)
    elif isinstance(cv, Real):
        splitter = ShuffleSplit(1, test_size=float(cv), random_state=seed)
    splits = check_cv(splitter).split(pairs.theta, pairs.x)
    if hasattr(cv, "split") or isinstance(cv, Real):
        return list(splits)
    n_rows = len(pairs) if pairs.n_rows is None else pairs.n_rows
    places = partial(_places, pairs.row, n_rows)
    return [(places(fit), places(aside)) for fit, aside in splits]


def _places(rows: Rows, n_rows: int, wanted: ArrayLike) -> Rows:
    """Find where the wanted ones stand among rows, ascending; leave out those absent."""
    numbers = np.asarray(wanted)
    try:
        # Masks, and numbers from the end, too.
        numbers = np.arange(n_rows)[numbers if numbers.size else numbers.astype(np.intp)]
    except IndexError as error:
        raise ValueError(
            f"cv must give row numbers of theta's {n_rows} rows, or masks of them: {error}."
        ) from error
    return np.searchsorted(rows, numbers[np.isin(numbers, rows)])
