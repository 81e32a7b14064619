"""Dividing rows into those to train on and those to validate on."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from sksbi.data import Pairs
from sksbi.utils.random import seeded_copy
from sksbi.utils.types import Rows

__all__ = ["divide"]


def divide(
    choice: Any, pairs: Pairs, least: int, generator: np.random.Generator
) -> tuple[Rows, Rows | None]:
    """
    Divide rows as ``validation_fraction`` says.

    Parameters
    ----------
    choice : float, splitter, tuple or None
        A fraction, or what splits as scikit-learn's splitters do. A tuple is a user's own
        validation set, and None asks for none.
    pairs : Pairs
        The pairs.
    least : int
        How many rows a loss takes; of a fraction either part has as many, if there are enough.
    generator : numpy.random.Generator
        Seeds the choice.

    Returns
    -------
    train : ndarray of int
        The rows to train on, ascending.
    valid : ndarray of int or None
        Those to validate on; None where there are none.

    Raises
    ------
    ValueError
        If a splitter does not give two sets of rows that share none.
    """
    n = len(pairs)
    if choice is None or isinstance(choice, tuple):
        return np.arange(n), None
    if isinstance(choice, Real):
        n_valid = max(0, min(max(least, round(float(choice) * n)), n - least))
        order = generator.permutation(n)
        valid, train = order[:n_valid], order[n_valid:]
    else:
        everything = pairs.with_failures()  # a splitter's numbers may be those of the user's rows
        parts = _first_split(seeded_copy(choice, generator), everything)
        train, valid = (pairs.find(everything.row[part]) for part in parts)
    return np.sort(train), np.sort(valid)


def _first_split(splitter: Any, pairs: Pairs) -> list[Rows]:
    """Take the first split, as row numbers."""
    n = len(pairs)
    try:
        parts = [np.asarray(part) for part in next(iter(splitter.split(pairs.theta, pairs.x)))]
        rows = [np.arange(n)[part] for part in parts]
    except (StopIteration, IndexError, TypeError) as error:
        raise ValueError(
            f"validation_fraction={splitter!r} must split into row numbers below {n} or masks of "
            f"{n} rows: {type(error).__name__}: {error}"
        ) from error
    if len(rows) != 2 or len(np.intersect1d(*rows)):
        raise ValueError(
            f"validation_fraction={splitter!r} must split into two sets of rows that share none."
        )
    return rows
