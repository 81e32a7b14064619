"""Cutting simulations into those to fit to and those that are set aside."""

from __future__ import annotations

from numbers import Integral, Real

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
        The pairs, of which failed ones may be held aside.
    seed : int
        Seeds the choice of rows.

    Returns
    -------
    list of (fit, aside)
        Row numbers: those to fit to among all pairs, those set aside among the successful ones.

    Raises
    ------
    ValueError
        If there are fewer than 3 rows, ``cv`` names rows that do not exist, or none that is set
        aside has succeeded.
    """
    everything = pairs.with_failures()
    splits = _split(cv, everything, seed)
    splits = [(fit, pairs.find(everything.row[aside])) for fit, aside in splits]
    if not any(len(aside) for _, aside in splits):
        raise ValueError(
            f"cv={cv!r} must set aside simulations that succeeded, got none among {len(pairs)}."
        )
    return splits


def _split(cv: object, pairs: Pairs, seed: int) -> list[tuple[Rows, Rows]]:
    """Cut all rows."""
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
    try:
        return [(pairs.find(fit), pairs.find(aside)) for fit, aside in splits]
    except IndexError as error:
        n_rows = len(pairs) if pairs.n_rows is None else pairs.n_rows
        raise ValueError(
            f"cv must give row numbers of theta's {n_rows} rows, or masks of them: {error}."
        ) from error
