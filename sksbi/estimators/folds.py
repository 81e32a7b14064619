"""Cutting simulations into those to fit to and those that are set aside."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
from sklearn.model_selection import KFold, ShuffleSplit, check_cv

from sksbi.data import Pairs, PairsOnDisk
from sksbi.utils.types import Rows

__all__ = ["choose_aside", "set_aside"]

_FEWEST_ROWS, _DEFAULT = 3, 5
_MOST_ASIDE = 10_000  # of pairs on the disk: coverage is then known to three thousandths


def set_aside(cv: object, pairs: Pairs | PairsOnDisk, seed: int) -> list[tuple[Rows, Rows]]:
    """
    Cut rows as ``cv`` says.

    Parameters
    ----------
    cv : float, int, splitter, iterable or None
        A fraction to set aside at random, a number of folds, what splits as scikit-learn's
        splitters do, or pairs of row numbers or masks in the user's table.
    pairs : Pairs or PairsOnDisk
        The pairs, of which failed ones may be held aside.
    seed : int
        Seeds the choice of rows.

    Returns
    -------
    list of (fit, aside)
        Row numbers: those to fit to among all pairs, those set aside among the successful ones, or
        of pairs on the disk among the sample.

    Raises
    ------
    ValueError
        If there are fewer than 3 rows, ``cv`` names rows that do not exist, or none that is set
        aside has succeeded.
    """
    if isinstance(pairs, PairsOnDisk):
        splits = _split_on_disk(cv, pairs, seed)
    else:
        everything = pairs.with_failures()
        splits = _split(cv, everything, seed)
        splits = [(fit, pairs.find(everything.row[aside])) for fit, aside in splits]
    if not any(len(aside) for _, aside in splits):
        raise ValueError(
            f"cv={cv!r} must set aside simulations that succeeded, got none among {len(pairs)}."
        )
    return splits


def choose_aside(pairs: Pairs | PairsOnDisk, n: int, seed: int | np.random.Generator) -> Rows:
    """
    Choose rows to score, of pairs on the disk a bounded number.

    Parameters
    ----------
    pairs : Pairs or PairsOnDisk
        The pairs.
    n : int
        How many are wanted.
    seed : int or numpy.random.Generator
        Seeds the choice.

    Returns
    -------
    ndarray of int
        Row numbers of the successful ones, or of the sample.
    """
    if isinstance(pairs, Pairs):
        return np.arange(len(pairs))
    return _some(np.flatnonzero(pairs.at_random), min(n, _MOST_ASIDE), seed)


def _split_on_disk(cv: object, pairs: PairsOnDisk, seed: int) -> list[tuple[Rows, Rows]]:
    """Cut all rows, and set a bounded number of the sample aside."""
    if isinstance(cv, Real) and not isinstance(cv, Integral):
        n = min(round(float(cv) * len(pairs)), int(pairs.at_random.sum()) // 2)
        aside = choose_aside(pairs, n, seed)
        rest = np.ones(len(pairs), dtype=bool)
        rest[pairs.some.row[aside]] = False
        return [(np.flatnonzero(rest), aside)]
    splits = _split(cv, pairs, seed)
    most = _MOST_ASIDE // len(splits)
    found = ((fit, pairs.some.find(aside)) for fit, aside in splits)
    return [(fit, _some(rows[pairs.at_random[rows]], most, seed)) for fit, rows in found]


def _some(rows: Rows, most: int, seed: int | np.random.Generator) -> Rows:
    """Take a bounded number of rows at random."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def _split(cv: object, pairs: Pairs | PairsOnDisk, seed: int) -> list[tuple[Rows, Rows]]:
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
    given = pairs.blank() if isinstance(pairs, PairsOnDisk) else (pairs.theta, pairs.x)
    splits = check_cv(splitter).split(*given)
    if hasattr(cv, "split") or isinstance(cv, Real):
        return list(splits)
    try:
        return [(pairs.find(fit), pairs.find(aside)) for fit, aside in splits]
    except IndexError as error:
        n_rows = pairs.n_rows or len(pairs)
        raise ValueError(
            f"cv must give row numbers of theta's {n_rows} rows, or masks of them: {error}."
        ) from error
