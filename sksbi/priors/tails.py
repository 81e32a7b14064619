"""Both tails of a univariate distribution, each counted from its own end, in no time."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.stats.distributions import rv_frozen

from sksbi.priors.quantile import Univariate
from sksbi.priors.tabulated import Tabulated, is_searched
from sksbi.utils.types import Array

__all__ = ["with_both_tails"]


def with_both_tails(distribution: Univariate) -> Univariate:
    """
    Replace what scipy does slowly or by 1 - F, which loses the upper tail.

    Parameters
    ----------
    distribution : Univariate
        A frozen distribution of scipy, or one in its spelling.

    Returns
    -------
    Univariate
        The distribution itself where scipy has all four functions in closed form; else a table of
        it, or a twin of the uniform distribution.
    """
    if isinstance(distribution, rv_frozen) and type(distribution.dist) is type(stats.uniform):
        return _Uniform(*map(float, distribution.support()))
    if is_searched(distribution):
        return Tabulated(cast(rv_frozen, distribution))
    return distribution


class _Uniform:
    """The uniform distribution on (low, high)."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high, self.width = low, high, high - low

    def cdf(self, x: ArrayLike) -> Array:
        """Evaluate F."""
        return np.subtract(x, self.low) / self.width

    def sf(self, x: ArrayLike) -> Array:
        """Evaluate 1 - F."""
        return np.subtract(self.high, x) / self.width

    def ppf(self, q: ArrayLike) -> Array:
        """Invert F."""
        return self.low + np.multiply(self.width, q)

    def isf(self, q: ArrayLike) -> Array:
        """Invert 1 - F."""
        return self.high - np.multiply(self.width, q)

    def logpdf(self, x: ArrayLike) -> Array:
        """Evaluate the log density."""
        return np.full(np.shape(x), -np.log(self.width))
