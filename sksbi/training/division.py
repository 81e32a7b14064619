"""Dividing rows into those to train on and those to validate on."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from sksbi.data import Pairs, PairsOnDisk
from sksbi.utils.random import seeded_copy
from sksbi.utils.types import Mask, Rows

__all__ = ["Division", "divide"]


@dataclass(frozen=True)
class Division:
    """
    Which rows of pairs, or of their sample where they are on the disk, are for what.

    Parameters
    ----------
    train : ndarray of int
        The rows to train on, ascending.
    valid : ndarray of int or None
        Those to validate on; None where there are none.
    wanted : ndarray of bool, of shape (n,), or None, default=None
        Of pairs on the disk, which of all rows to train on.
    """

    train: Rows
    valid: Rows | None
    wanted: Mask | None = None


def divide(
    choice: Any, pairs: Pairs | PairsOnDisk, least: int, generator: np.random.Generator
) -> Division:
    """
    Divide rows as ``validation_fraction`` says.

    Parameters
    ----------
    choice : float, splitter, tuple or None
        A fraction, or what splits as scikit-learn's splitters do. A tuple is a user's own
        validation set, and None asks for none.
    pairs : Pairs or PairsOnDisk
        The pairs. On the disk, what is held out is of the sample, and half of it at most; of rows
        that a splitter holds out, half as many as the sample has are looked at.
    least : int
        How many rows a loss takes; of a fraction either part has as many, if there are enough.
    generator : numpy.random.Generator
        Seeds the choice.

    Returns
    -------
    Division
        The rows.

    Raises
    ------
    ValueError
        If a splitter does not give two sets of rows that share none.
    """
    if isinstance(pairs, PairsOnDisk):
        return _divide_on_disk(choice, pairs, least, generator)
    n = len(pairs)
    if choice is None or isinstance(choice, tuple):
        return Division(np.arange(n), None)
    if isinstance(choice, Real):
        n_valid = max(0, min(max(least, round(float(choice) * n)), n - least))
        order = generator.permutation(n)
        valid, train = order[:n_valid], order[n_valid:]
    else:
        everything = pairs.with_failures()  # a splitter's numbers may be those of the user's rows
        parts = _first_split(seeded_copy(choice, generator), everything.theta, everything.x)
        train, valid = (pairs.find(everything.row[part]) for part in parts)
    return Division(np.sort(train), np.sort(valid))


def _divide_on_disk(
    choice: Any, pairs: PairsOnDisk, least: int, generator: np.random.Generator
) -> Division:
    """Divide the sample, and tell which of all rows are not held out."""
    some, wanted = pairs.some, pairs.used.copy()
    if choice is None or isinstance(choice, tuple):
        return Division(np.arange(len(some)), None, wanted)
    if isinstance(choice, Real):
        order = generator.permutation(np.flatnonzero(pairs.at_random))
        n_valid = min(max(least, round(float(choice) * len(pairs))), len(order) // 2)
        valid = np.sort(order[:n_valid])
        wanted[some.row[valid]] = False
        return Division(np.setdiff1d(np.arange(len(some)), valid), valid, wanted)
    parts = _first_split(seeded_copy(choice, generator), *pairs.blank())
    is_train = np.zeros(len(pairs), dtype=bool)
    is_train[parts[0]] = True
    valid = pairs.include(parts[1], generator)
    return Division(np.sort(pairs.some.find(parts[0])), valid, wanted & is_train)


def _first_split(splitter: Any, theta: Any, x: Any) -> list[Rows]:
    """Take the first split, as row numbers."""
    n = len(theta)
    try:
        parts = [np.asarray(part) for part in next(iter(splitter.split(theta, x)))]
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
