"""
What stands in a dict or list of marginals: scipy's univariate continuous distributions, checked.

Only the classical spelling is taken, ``stats.norm(1, 0.5)``. scipy's newer objects do not survive a
copy: measured with scipy 1.17, ``stats.Normal(mu=1, sigma=0.5)`` draws from the standard normal
after pickle or deepcopy, so every clone and every parallel worker would be silently wrong. Beside
them stands the `Interval`, which is what is left of one after a truncation.
"""

from __future__ import annotations

import threading

import numpy as np
from scipy import stats
from scipy.stats.distributions import rv_frozen

from sksbi.priors.interval import Interval
from sksbi.priors.quantile import AffineMap, LogAffineMap, QuantileMap, first_finite
from sksbi.priors.tabulated import Tabulated, parameters_of, quiet
from sksbi.priors.tails import Cauchy, with_both_tails
from sksbi.utils.types import Array

__all__ = ["Marginal", "check_univariate", "describe"]

_RVS_LOCK = threading.RLock()


class Marginal:
    """
    One checked distribution with its draws, log density and map to the real line.

    Parameters
    ----------
    distribution : frozen scipy.stats distribution or Interval
        The distribution, as `check_univariate` lets it through.
    label : str
        What it is called in messages.

    Attributes
    ----------
    inside : pair of float
        The outermost points at which the density is evaluated.
    map : CoordinateMap
        The map to the real line.
    """

    def __init__(self, distribution: rv_frozen | Interval, label: str) -> None:
        self.distribution, self._label = distribution, label
        low, high = (float(bound) for bound in distribution.support())
        if not low < high:
            raise ValueError(
                f"{label} must have a support with low < high, got [{low}, {high}] from "
                f"{describe(distribution)}: check its parameters."
            )
        density = with_both_tails(distribution)
        self._source = density if isinstance(density, Tabulated | Cauchy) else distribution
        try:
            with quiet():
                first = first_finite(density, low, float(np.nextafter(low, np.inf)))
                last = first_finite(density, high, float(np.nextafter(high, -np.inf)))
                self.inside = first, last
                self.map = _analytic_map(distribution) or QuantileMap(
                    density, low, high, first, last
                )
        except ArithmeticError as error:
            raise ValueError(
                f"{label} must be a distribution that scipy can evaluate, but "
                f"{describe(distribution)} raised: {error}"
            ) from error

    def sample(self, n: int, generator: np.random.Generator) -> Array:
        """
        Draw from the distribution.

        Parameters
        ----------
        n : int
            The number of draws.
        generator : numpy.random.Generator
            The source of randomness.

        Returns
        -------
        ndarray of shape (n,)
            The draws.
        """
        # A frozen distribution keeps the generator in itself while it draws.
        with _RVS_LOCK:
            return self._source.rvs(size=n, random_state=generator)

    def log_prob(self, theta: Array) -> Array:
        """
        Evaluate the log density.

        Parameters
        ----------
        theta : ndarray of shape (n,)
            Points inside the support.

        Returns
        -------
        ndarray of shape (n,)
            The log densities.
        """
        return self._source.logpdf(theta)

    def truncated(self, low: float, high: float) -> rv_frozen | Interval:
        """
        Restrict the distribution to an interval.

        Parameters
        ----------
        low, high : float
            The interval, inside its support.

        Returns
        -------
        frozen scipy.stats distribution or Interval
            The distribution itself where nothing is cut off.
        """
        is_whole = (low, high) == (self.map.low, self.map.high)
        return (
            self.distribution if is_whole else Interval(self.distribution, low, high, self._label)
        )


def check_univariate(distribution: object, label: str) -> None:
    """
    Let a frozen univariate continuous distribution with scalar parameters through.

    Parameters
    ----------
    distribution : object
        What the user gave.
    label : str
        What it is called in messages.

    Raises
    ------
    TypeError
        If it is no distribution of scipy.stats, or not frozen.
    ValueError
        If it is discrete, circular, or a batch of distributions.
    """
    if isinstance(distribution, Interval):
        return
    if isinstance(distribution, stats.rv_continuous | stats.rv_discrete):
        raise TypeError(
            f"{label} must be a frozen distribution, got {distribution.name} without parameters: "
            "call it, as in stats.uniform(0, 10)."
        )
    if not isinstance(distribution, rv_frozen):
        raise TypeError(
            f"{label} must be a frozen scipy.stats distribution, got {distribution!r} of type "
            f"{type(distribution).__name__}: write for example stats.uniform(0, 10), or "
            "stats.norm(1, 0.5) in place of stats.Normal(mu=1, sigma=0.5)."
        )
    if isinstance(distribution.dist, stats.rv_discrete):
        raise ValueError(
            f"{label} must be continuous, got {describe(distribution)}, which is discrete: "
            "discrete parameters are not supported."
        )
    if np.ndim(distribution.support()[0]) > 0:
        raise ValueError(
            f"{label} must have scalar parameters, got {describe(distribution)}: give one "
            "distribution for each parameter."
        )
    if _is_circular(distribution):
        raise ValueError(
            f"{label} must be a density on an interval, got {describe(distribution)}, which is "
            "circular: take stats.vonmises_line."
        )


def describe(distribution: rv_frozen | Interval) -> str:
    """
    Write a distribution as its constructor is called.

    Parameters
    ----------
    distribution : frozen scipy.stats distribution or Interval
        A distribution.

    Returns
    -------
    str
        For example "uniform(0, 10)", or "norm() on (0, inf)".
    """
    if isinstance(distribution, Interval):
        low, high = distribution.support()
        return f"{describe(distribution.distribution)} on ({low:.12g}, {high:.12g})"
    keywords = [f"{name}={value}" for name, value in distribution.kwds.items()]
    arguments = ", ".join([*map(str, distribution.args), *keywords])
    return f"{distribution.dist.name}({arguments})"


def _is_circular(distribution: rv_frozen) -> bool:
    """Recognise the von Mises distribution that goes round and round."""
    circular = isinstance(distribution.dist, type(stats.vonmises))
    return circular and bool(np.isinf(distribution.support()[0]))


def _analytic_map(distribution: rv_frozen | Interval) -> AffineMap | LogAffineMap | None:
    """Give the exact map of the normal and the lognormal."""
    family = type(getattr(distribution, "dist", None))
    if family is type(stats.norm):
        return AffineMap(**parameters_of(distribution))
    if family is type(stats.lognorm):
        return LogAffineMap(**parameters_of(distribution))
    return None
