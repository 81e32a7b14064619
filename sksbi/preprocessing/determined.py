"""
Columns of x that have no density given theta and the columns before them.

A column that is a copy of another, their sum or product, or a function of theta without noise: x
then lies on a surface, where a density is infinite. What of a column is left by a regression on
powers and products of the columns before it is read off a triangular factorisation,

    [1, theta, y_1, y_1^2, y_2, y_1 y_2, y_2^2, ...] = Q R,

as the diagonal element of R at that column.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sksbi.utils.types import Array

__all__ = ["Determined", "find_determined"]

_ROWS, _ROWS_PER_TERM, _MOST_TERMS = 4_000, 3, 400
_MOST_PRODUCTS, _MOST_PAIRS, _MOST_NAMED = 10, 50, 5
# A network of float32 numbers follows noise down to about this share of a column.
_LEAST_SHARE = 1e-4


@dataclass(frozen=True)
class Determined:
    """
    A column without noise of its own.

    Parameters
    ----------
    column : int
        Which.
    share : float
        The part of its deviation that nothing explains.
    by : tuple of int or None
        The columns that explain it, none if these are several; None: theta does, at least in part.
    """

    column: int
    share: float
    by: tuple[int, ...] | None


def find_determined(y: Array, discrete: Array, context: Array) -> list[Determined]:
    """
    Find columns that powers and products of others, or of theta, explain.

    Parameters
    ----------
    y : ndarray of shape (n, L)
        The columns, about standardised.
    discrete : ndarray of shape (n, d)
        Further columns, which may explain these.
    context : ndarray of shape (n, C)
        What is known of theta, about standardised.

    Returns
    -------
    list of Determined
        The columns, in order; nothing is found where rows are few.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.preprocessing.determined import find_determined
    >>> y = np.random.default_rng(0).normal(size=(100, 1))
    >>> none = np.zeros((100, 0))
    >>> [(one.column, one.by) for one in find_determined(np.hstack([y, 2 * y]), none, none)]
    [(1, (0,))]
    """
    y, discrete, context = y[:_ROWS], discrete[:_ROWS], context[:_ROWS]
    given = np.column_stack([context, _products(context)])
    alone, with_theta = _left(y, discrete), _left(y, discrete, given)
    found: list[Determined] = []
    for j in map(int, np.flatnonzero(np.minimum(alone, with_theta) < _LEAST_SHARE)):
        by: tuple[int, ...] | None = None
        if alone[j] < _LEAST_SHARE:
            others = range(min(j, _MOST_PAIRS) if len(found) < _MOST_NAMED else 0)
            pairs = (_left(y[:, np.array([i, j])], discrete)[1] for i in others)
            by = next(((i,) for i, share in enumerate(pairs) if share < _LEAST_SHARE), ())
        found.append(Determined(j, float(min(alone[j], with_theta[j])), by))
    return found


def _left(y: Array, discrete: Array, given: Array | None = None) -> Array:
    """Compute what is left of every column, as a share of its deviation: 1 where rows are few."""
    terms, places = [np.ones(len(y))], []
    terms += [*discrete.T] if given is None else [*given.T, *discrete.T]
    before = [*discrete.T]
    for column in y.T:
        places.append(len(terms))
        terms.append(column)
        before.append(column)
        if len(before) <= _MOST_PRODUCTS:
            with np.errstate(over="ignore"):
                terms += [column * other for other in before]
    left, most = np.ones(y.shape[1]), max(1, min(len(y) // _ROWS_PER_TERM, _MOST_TERMS))
    with np.errstate(over="ignore", invalid="ignore"):
        columns = np.column_stack(terms[:most])
        size = np.linalg.norm(columns - columns.mean(axis=0), axis=0)
        diagonal = np.abs(np.diag(np.linalg.qr(columns / np.where(size > 0, size, 1.0), mode="r")))
        inside = np.array(places) < most
        left[inside] = diagonal[np.array(places)[inside]]
        # Of squares that are too large nothing is told.
        return np.where((y.std(axis=0) > 0) & np.isfinite(left), left, 1.0)


def _products(x: Array) -> Array:
    """Compute squares, products and cubes, if the columns are not many."""
    if not 0 < x.shape[1] <= _MOST_PRODUCTS:
        return np.zeros((len(x), 0))
    first, second = np.triu_indices(x.shape[1])
    return np.hstack([x[:, first] * x[:, second], x**3])
