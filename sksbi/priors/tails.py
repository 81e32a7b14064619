"""Both tails of a univariate distribution, each counted from its own end, in no time."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.stats.distributions import rv_frozen

from sksbi.priors.quantile import Univariate
from sksbi.priors.tabulated import Tabulated, is_searched, parameters_of
from sksbi.utils.types import Array

__all__ = ["Cauchy", "with_both_tails"]

# Before 1.15 scipy's Cauchy distribution is 1/2 + arctan(x) / pi, which is 0 or 1 beyond 1e16.
_LACKS_TAILS = float(stats.cauchy.sf(1e30)) == 0.0


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
        it, or a twin of the uniform distribution, or of the Cauchy distribution.
    """
    if isinstance(distribution, rv_frozen):
        if type(distribution.dist) is type(stats.uniform):
            return _Uniform(*map(float, distribution.support()))
        if _LACKS_TAILS and type(distribution.dist) is type(stats.cauchy):
            return Cauchy(**parameters_of(distribution))
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


class Cauchy:
    """
    The Cauchy distribution with both tails.

    Parameters
    ----------
    loc, scale : float
        As scipy's.
    """

    def __init__(self, loc: float, scale: float) -> None:
        self.loc, self.scale = loc, scale

    def rvs(self, size: int, random_state: np.random.Generator) -> Array:
        """Draw."""
        return stats.cauchy.rvs(self.loc, self.scale, size=size, random_state=random_state)

    def cdf(self, x: ArrayLike) -> Array:
        """Evaluate F."""
        return np.arctan2(self.scale, np.subtract(self.loc, x)) / np.pi

    def sf(self, x: ArrayLike) -> Array:
        """Evaluate 1 - F."""
        return np.arctan2(self.scale, np.subtract(x, self.loc)) / np.pi

    def ppf(self, q: ArrayLike) -> Array:
        """Invert F."""
        with np.errstate(divide="ignore"):
            return self.loc - self.scale / np.tan(np.multiply(np.pi, q))

    def isf(self, q: ArrayLike) -> Array:
        """Invert 1 - F."""
        with np.errstate(divide="ignore"):
            return self.loc + self.scale / np.tan(np.multiply(np.pi, q))

    def logpdf(self, x: ArrayLike) -> Array:
        """Evaluate the log density."""
        z = np.subtract(x, self.loc) / self.scale
        return -np.log(np.pi * self.scale) - 2 * np.log(np.hypot(1.0, z))
