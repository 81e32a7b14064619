"""What the numbers of a check mean, in words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid

from sksbi.utils.types import Array

__all__ = [
    "contraction_verdict",
    "coverage_verdict",
    "normaliser_verdict",
    "rank_verdict",
    "typical_verdict",
    "z_verdict",
]

FINE = "no deviation found"

_INFORMATIVE = 0.05
_CLEAR = 2.0
_LEAST = 0.01
_FAR = 0.25


def rank_verdict(ranks: NDArray[np.intp], n_draws: int, p_value: float, alpha: float) -> str:
    """
    Say what ranks that are not uniform look like.

    Parameters
    ----------
    ranks : ndarray of shape (n,)
        The ranks of the true values among the draws.
    n_draws : int
        The number of draws.
    p_value : float
        Of the test for uniformity.
    alpha : float
        Up to which p-value there is a deviation.

    Returns
    -------
    str
        The verdict.
    """
    if p_value > alpha:
        return FINE
    u, n = (ranks + 0.5) / (n_draws + 1), len(ranks)
    shift = (u.mean() - 0.5) / np.sqrt(1 / (12 * n))
    spread = ((u - 0.5) ** 2).mean() - 1 / 12
    width = spread / np.sqrt(1 / (180 * n))
    if abs(shift) > max(abs(width), _CLEAR):
        side = "high" if shift < 0 else "low"
        below = 100 * (u < 0.5).mean()
        return f"biased: too {side}, {below:.0f}% of the truth lies below the median"
    if abs(width) > _CLEAR:
        in_half = 100 * (np.abs(u - 0.5) < 0.25).mean()
        kind = "overconfident: too narrow" if width > 0 else "conservative: too wide"
        return f"{kind}, central 50% intervals cover {in_half:.0f}%"
    inside = (np.abs(u - 0.5) < 0.475).mean()
    if abs(inside - 0.95) > _CLEAR * np.sqrt(0.95 * 0.05 / n):
        kind = "overconfident in the tails" if inside < 0.95 else "conservative in the tails"
        return f"{kind}, central 95% intervals cover {100 * inside:.0f}%"
    return "deviates, but not by a bias, the width or the tails alone"


def coverage_verdict(levels: Array, coverage: Array, n: int, p_value: float, alpha: float) -> str:
    """
    Say how many of the 90% regions hold the truth, and whether that is chance.

    Parameters
    ----------
    levels : ndarray of shape (k,)
        The levels, from 0 to 1.
    coverage : ndarray of shape (k,)
        The share of regions of that level that hold the truth.
    n : int
        The number of observations.
    p_value : float
        Of the test for uniformity.
    alpha : float
        Up to which p-value there is a deviation.

    Returns
    -------
    str
        The verdict.
    """
    at = float(np.interp(0.9, levels, coverage))
    error = np.sqrt(max(at * (1 - at), 1 / n) / n)
    figures = f"90% regions cover {100 * at:.0f} ± {100 * error:.0f}%"
    if p_value > alpha:
        return f"{FINE}: {figures}"
    mean = trapezoid(coverage - levels, levels)
    return f"{'overconfident' if mean < 0 else 'conservative'}: {figures}"


def contraction_verdict(contraction: Array, n: int) -> str:
    """
    Say how much of the prior's variance x takes away.

    It is hardly anything if it is within two standard errors of 5%: the prior's variance is known
    from n values of theta, up to about sqrt(2 / n).

    Parameters
    ----------
    contraction : ndarray of shape (k,)
        The contractions at every observation.
    n : int
        From how many theta the prior's variance is known.

    Returns
    -------
    str
        The verdict.
    """
    middle = np.median(contraction)
    figures = f"x takes away {100 * middle:.0f}% of the prior's variance"
    least = _INFORMATIVE + _CLEAR * np.sqrt(2 / n)
    return f"hardly narrower than the prior: {figures}" if middle < least else figures


def normaliser_verdict(z: Array, distance: float) -> str:
    """
    Say whether prior times ratio integrates to one.

    It does if the ratio is right. That it does not moves no draw by itself, for draws take any
    constant; but a ratio that is wrong by a factor of its mean is hardly right elsewhere.

    Parameters
    ----------
    z : ndarray of shape (k,)
        The integrals.
    distance : float
        The median of the absolute values of their logarithms.

    Returns
    -------
    str
        The verdict.
    """
    low, high = np.quantile(z, [0.05, 0.95])
    figures = f"prior times ratio integrates to {low:.2f} to {high:.2f}"
    return figures if distance <= _FAR else f"the ratio is far off: {figures}, and 1 is right"


def z_verdict(z: Array, p_value: float, alpha: float) -> str:
    """
    Say how far posterior means are off.

    Parameters
    ----------
    z : ndarray of shape (n,)
        How many standard deviations the mean is above the truth at every observation.
    p_value : float
        Of the test that their mean is 0.
    alpha : float
        Up to which p-value there is a deviation.

    Returns
    -------
    str
        The verdict.
    """
    if p_value > alpha:
        return FINE
    error = z.std(ddof=1) / np.sqrt(len(z))
    return f"biased: means are off by {z.mean():+.2f} ± {error:.2f} posterior sd"


def typical_verdict(p_value: float, n: int) -> str:
    """
    Say whether an observation is like the simulations.

    Parameters
    ----------
    p_value : float
        The share of simulations that are as far from the others.
    n : int
        The number of simulations that it was compared with.

    Returns
    -------
    str
        The verdict.
    """
    if p_value <= _LEAST:
        return "unlike the simulations: do not trust it"
    if p_value * (n + 1) < 2:  # no simulation is as far
        return f"further than any of {n} simulations, which are too few to tell: look at it"
    return "like the simulations"
