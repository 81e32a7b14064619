r"""
Whether probabilities of classes are what they say, on rows that no classifier has seen.

If they are, the class of row i is a draw from p_i. So the statistics below have a distribution that
can be drawn from: the classes are drawn again from the probabilities, again and again, and the
p-value is the share of draws that are as far off. No approximation is made, however rare a class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sksbi.utils.types import Array

__all__ = ["ClassCalibration", "Reliability", "class_calibration"]

_DRAWS, _MOST_BINS, _FEWEST_IN_BIN = 999, 10, 20
_TINY = 1e-300


@dataclass(frozen=True, eq=False)
class Reliability:
    """
    How often a class was right where it had about some probability.

    Parameters
    ----------
    said : ndarray of shape (n_bins,)
        The mean probabilities of the bins, in ascending order.
    found : ndarray of shape (n_bins,)
        The shares of rows that were of the class.
    error : ndarray of shape (n_bins,)
        The standard deviations of these shares, if the probabilities are right.
    p_value : float
        Of the sum of squared deviations.
    """

    said: Array
    found: Array
    error: Array
    p_value: float


@dataclass(frozen=True, eq=False)
class ClassCalibration:
    """
    The calibration of all classes.

    Parameters
    ----------
    log_loss : float
        The mean of minus log-probabilities of the right class.
    entropy : float
        What it would be by the shares of the classes alone.
    sharpness : float
        By how many standard errors the right classes are less likely than the probabilities make
        them believe: above 2 they are too sure, below -2 not sure enough.
    p_value : float
        Of the sharpness, on both sides.
    reliability : list of Reliability
        One a class.
    """

    log_loss: float
    entropy: float
    sharpness: float
    p_value: float
    reliability: list[Reliability]


def class_calibration(
    probabilities: Array, classes: NDArray[np.intp], generator: np.random.Generator
) -> ClassCalibration:
    """
    Judge probabilities of classes by the classes.

    Parameters
    ----------
    probabilities : ndarray of shape (n, K)
        The probabilities.
    classes : ndarray of int, of shape (n,)
        The classes, 0 to K - 1.
    generator : numpy.random.Generator
        Draws classes from the probabilities.

    Returns
    -------
    ClassCalibration
        What was found.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.metrics.class_calibration import class_calibration
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(size=1000)
    >>> classes = (rng.uniform(size=1000) < p).astype(int)
    >>> class_calibration(np.column_stack([1 - p, p]), classes, rng).p_value > 0.01
    True
    """
    n, n_classes = probabilities.shape
    drawn = _draw(probabilities, generator)
    log_p = np.log(np.maximum(probabilities, _TINY))
    surprise = (probabilities * log_p).sum(axis=1)
    variance = (probabilities * (log_p - surprise[:, None]) ** 2).sum()
    rows = np.arange(n)
    off = surprise.sum() - log_p[rows, classes].sum()
    null = surprise.sum() - log_p[rows, drawn].sum(axis=1)
    shares = np.bincount(classes, minlength=n_classes) / n
    entropy = -float((shares * np.log(np.maximum(shares, _TINY))).sum())
    return ClassCalibration(
        -float(log_p[rows, classes].mean()),
        entropy,
        float(off / np.sqrt(variance)) if variance > 0 else 0.0,
        _share_beyond(abs(off), np.abs(null)),
        [_reliability(probabilities[:, k], classes == k, drawn == k) for k in range(n_classes)],
    )


def _draw(probabilities: Array, generator: np.random.Generator) -> NDArray[np.intp]:
    """Draw classes for every row, (draws, n)."""
    edges = probabilities.cumsum(axis=1)
    edges /= edges[:, -1:]
    found = np.empty((_DRAWS, len(probabilities)), dtype=np.intp)
    for draw in found:
        draw[:] = (generator.random((len(edges), 1)) >= edges[:, :-1]).sum(axis=1)
    return found


def _reliability(p: Array, is_class: NDArray[np.bool_], drawn: NDArray[np.bool_]) -> Reliability:
    """Compare a class's probabilities with how often it was right, in bins of as many rows."""
    n_bins = int(np.clip(len(p) // _FEWEST_IN_BIN, 1, _MOST_BINS))
    bins = np.array_split(np.argsort(p, kind="stable"), n_bins)
    said = np.array([p[rows].mean() for rows in bins])
    error = np.array([np.sqrt((p[rows] * (1 - p[rows])).sum()) / len(rows) for rows in bins])
    found = np.array([is_class[rows].mean() for rows in bins])
    redrawn = np.stack([drawn[:, rows].mean(axis=1) for rows in bins], axis=1)
    known = error > 0
    weight = np.divide(1.0, error**2, out=np.zeros_like(error), where=known)
    statistic = ((found - said) ** 2 * weight).sum()
    null = ((redrawn - said) ** 2 * weight).sum(axis=1)
    return Reliability(said, found, error, _share_beyond(statistic, null))


def _share_beyond(value: float, null: Array) -> float:
    """Rank a value among draws; it is one of them if all is right."""
    edge = value - 1e-9 * abs(value)
    return float((1 + (null >= edge).sum()) / (len(null) + 1))
