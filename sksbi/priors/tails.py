"""Both tails of a univariate distribution, each counted from its own end."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from sksbi.priors.quantile import Univariate
from sksbi.utils.types import Array

__all__ = ["with_both_tails"]


def with_both_tails(distribution: Univariate) -> Univariate:
    """
    Take the uniform distribution's upper tail from its upper end, since scipy's 1 - F loses it.

    Parameters
    ----------
    distribution : Univariate
        A frozen distribution of scipy, or one in its spelling.

    Returns
    -------
    Univariate
        The distribution itself, unless it is scipy's uniform.
    """
    uniform = type(getattr(distribution, "dist", None)) is type(stats.uniform)
    return _Uniform(*map(float, distribution.support())) if uniform else distribution


class _Uniform:
    """The uniform distribution on (low, high)."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high, self.width = low, high, high - low

    def cdf(self, x: Array) -> Array:
        """Evaluate F."""
        return (x - self.low) / self.width

    def sf(self, x: Array) -> Array:
        """Evaluate 1 - F."""
        return (self.high - x) / self.width

    def ppf(self, q: Array) -> Array:
        """Invert F."""
        return self.low + self.width * q

    def isf(self, q: Array) -> Array:
        """Invert 1 - F."""
        return self.high - self.width * q

    def logpdf(self, x: ArrayLike) -> Array:
        """Evaluate the log density."""
        return np.full(np.shape(x), -np.log(self.width))
