"""Reasons not to trust an answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sksbi.exceptions import TrainingWarning
from sksbi.utils.types import Array, Rows

__all__ = ["Doubt", "doubts_above"]


@dataclass(frozen=True, eq=False)
class Doubt:
    """
    A reason not to trust the answer for some observations.

    Parameters
    ----------
    category : type
        The kind of warning.
    text : str
        What to say, with "{who}" for the observations and "{parameter}" for a parameter's name.
    rows : ndarray of int
        The observations.
    n_seen : int
        How many were looked at.
    parameter : int, default=0
        The number of the parameter.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.posteriors import Doubt
    >>> doubt = Doubt(UserWarning, "{who} is at night", np.array([3]), 10)
    >>> doubt.text.format(who="1 of 10 observations")
    '1 of 10 observations is at night'
    """

    category: type[Warning]
    text: str
    rows: Rows
    n_seen: int
    parameter: int = 0


def doubts_above(size: Array, text: str, most: float) -> list[Doubt]:
    """
    Doubt the posteriors of which something is too large.

    Parameters
    ----------
    size : ndarray of shape (m,)
        How large it is.
    text : str
        What is told, "{who}" in the place of the observations, and "{size}" in that of the number.
    most : float
        How large it may be.

    Returns
    -------
    list of Doubt
        One or none.
    """
    rows = np.flatnonzero(size > most)
    if not len(rows):
        return []
    told = f"{'' if len(size) == 1 else 'up to '}{size.max():.2g}"
    return [Doubt(TrainingWarning, text.replace("{size}", told), rows, len(size))]
