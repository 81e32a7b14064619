"""
How much a round has changed the posterior, and how much the next one may.

A change is measured between two sets of draws: the largest difference of a parameter's mean, in
standard deviations, or of the logarithm of its standard deviation; or the C2ST, the accuracy of a
classifier that tells the sets apart. Both have a floor that noise leaves, which is told beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from sksbi.metrics import c2st_score
from sksbi.utils.types import Array

__all__ = ["Tolerance", "change_of", "forecast"]

_MEASURES = ("sd", "c2st")
_C2ST_DRAWS = 2_000


class Tolerance:
    """
    What change of the posterior does not count any more.

    Parameters
    ----------
    tol : float, mapping or None
        A number of standard deviations; {"sd": ...}, or {"c2st": ...}, an accuracy above .5.

    Raises
    ------
    ValueError, TypeError
        If it is none of these.
    """

    def __init__(self, tol: float | Mapping[str, float] | None) -> None:
        given = {"sd": tol} if isinstance(tol, Real) else tol
        self.measure, self.least = "sd", -np.inf
        if given is None:
            return
        rule = (
            "tol must be None, a positive number of standard deviations, {'sd': number}, or "
            "{'c2st': accuracy} with an accuracy between 0.5 and 1"
        )
        if not isinstance(given, Mapping) or len(given) != 1 or set(given) - set(_MEASURES):
            raise ValueError(f"{rule}, got {tol!r}.")
        ((self.measure, value),) = given.items()
        if not isinstance(value, Real) or isinstance(value, bool):
            raise TypeError(f"{rule}, got {tol!r}.")
        least, most = (0.5, 1.0) if self.measure == "c2st" else (0.0, np.inf)
        if not least < value < most:
            raise ValueError(f"{rule}, got {tol!r}.")
        self.least = float(value)

    @property
    def still(self) -> float:
        """The measure of no change."""
        return 0.5 if self.measure == "c2st" else 0.0

    def change(self, before: Array, after: Array) -> tuple[float, float]:
        """
        Measure a change.

        Parameters
        ----------
        before, after : ndarray of shape (m, n, D)
            Draws for m observations.

        Returns
        -------
        change : float
            The largest one of an observation.
        error : float
            Its standard error.
        """
        measured = [
            _c2st(*pair) if self.measure == "c2st" else change_of(*pair)
            for pair in zip(before, after, strict=True)
        ]
        return max(measured)


def change_of(before: Array, after: Array) -> tuple[float, float]:
    """
    Compare means and standard deviations, in standard deviations.

    Parameters
    ----------
    before, after : ndarray of shape (n, D)
        Draws.

    Returns
    -------
    change : float
        The largest difference.
    error : float
        Its standard error, as of normal distributions.
    """
    n, k = len(before), len(after)
    sd = np.maximum(np.std(before, axis=0), np.std(after, axis=0))
    sd = np.where(sd > 0, sd, 1.0)
    shift = np.abs(before.mean(axis=0) - after.mean(axis=0)) / sd
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.abs(np.log(np.std(before, axis=0) / np.std(after, axis=0)))
    ratio = np.nan_to_num(ratio, nan=0.0, posinf=np.inf)
    if shift.max() >= ratio.max():
        return float(shift.max()), float(np.sqrt(1 / n + 1 / k))
    return float(ratio.max()), float(np.sqrt((1 / n + 1 / k) / 2))


def _c2st(before: Array, after: Array) -> tuple[float, float]:
    """Tell draws apart."""
    n = min(len(before), len(after), _C2ST_DRAWS)
    score = c2st_score(after[:n], before[:n])
    return score, float(np.sqrt(0.25 / (2 * n)))


def forecast(rounds: list[dict[str, Any]], still: float) -> float:
    """
    Expect how much the next round will change the posterior.

    Noise of the fit, and what more simulations teach, fall with the root of their number; the last
    two changes are averaged, as each is noisy.

    Parameters
    ----------
    rounds : list of dict
        What is known of the rounds so far: "change" and "pairs".
    still : float
        The measure of no change.

    Returns
    -------
    float
        The expected change; infinite before the third round.
    """
    if len(rounds) < 3:
        return np.inf
    after, before = rounds[-1], rounds[-2]
    scaled = [
        (one["change"] - still) * np.sqrt(one["pairs"] / after["pairs"]) for one in (before, after)
    ]
    return still + float(np.mean(scaled)) * _shrinking(rounds)


def _shrinking(rounds: list[dict[str, Any]]) -> float:
    """Tell by what factor the number of simulations lets changes shrink."""
    return float(np.sqrt(rounds[-2]["pairs"] / rounds[-1]["pairs"]))
