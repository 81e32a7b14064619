"""
The region where posteriors of a few observations can be: highest-density regions, and their union.

A network from few simulations is often too sure of itself. So the threshold, the density that all
but a thousandth of its draws exceed, is lowered until the regions of pairs that it has not seen
hold their parameters as often as they should.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sksbi.posteriors.base import PosteriorAt
from sksbi.utils.types import Array, Mask

__all__ = ["PosteriorRegion", "slack_of"]

_OUTSIDE = 1e-3  # of the posterior
_TOLERATED = 0.005  # of pairs held out
_TAIL, _FEWEST = (
    0.1,
    5,
)  # the share of pairs held out, and their least number, that tell of the tail
_MOST_PAIRS, _MOST_SAMPLED, _DRAWS, _MOST_SLACK = 400, 50, 500, 100.0


class PosteriorRegion:
    """
    Where the density at one of the observations exceeds its threshold.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator.
    x : object
        The observations, in the form that it takes.
    thresholds : ndarray of shape (m,)
        The least log-densities.
    """

    def __init__(self, estimator: Any, x: Any, thresholds: Array) -> None:
        self.estimator, self.x, self.thresholds = estimator, x, thresholds
        self._asked: PosteriorAt | None = None

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_asked": None}

    @property
    def asked(self) -> PosteriorAt:
        """The posteriors, which are encoded once."""
        if self._asked is None:
            self._asked = self.estimator._ask(self.x, warns=False)[1]
        return self._asked

    @classmethod
    def around(
        cls, estimator: Any, x: Any, n: int, slack: float, generator: np.random.Generator
    ) -> tuple[PosteriorRegion, Array, Array]:
        """
        Find the region that holds nearly all of n draws.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator.
        x : object
            The observations.
        n : int
            The number of draws for each.
        slack : float
            By how much thresholds are lowered.
        generator : numpy.random.Generator
            Where the noise comes from.

        Returns
        -------
        region : PosteriorRegion
            The region.
        theta : ndarray of shape (k, D)
            The draws inside.
        stretch : ndarray of shape (k,)
            How much farther from the mode a normal density would fall to the lowered threshold.
        """
        made = cls(estimator, x, np.zeros(0))
        draws, log_p = made.asked.sample_and_log_prob(n, generator)
        made.thresholds = np.quantile(log_p, _OUTSIDE, axis=1) - slack
        kept = log_p > made.thresholds[:, None]
        height = np.maximum(log_p.max(axis=1) - made.thresholds - slack, 1e-3)
        stretch = np.broadcast_to(np.sqrt(1 + slack / height)[:, None], kept.shape)
        return made, draws.theta[kept], stretch[kept]

    def __call__(self, theta: Array) -> Mask:
        """Say which parameters lie in the region of an observation at least."""
        inside = np.zeros(len(theta), dtype=bool)
        for row, threshold in enumerate(self.thresholds):
            left = np.flatnonzero(~inside)
            if len(left):
                rows = np.full(len(left), row)
                inside[left] = self.asked.log_prob(theta[left], rows) > threshold
        return inside


def slack_of(estimator: Any, theta: Array, x: Any, generator: np.random.Generator) -> float:
    """
    Find by how much thresholds have to be lowered, for regions to hold pairs held out.

    Pairs are too few to show how far the rarest of them lie outside. As log-densities of normal
    posteriors have exponential tails, so is taken what pairs at the ends of theirs lack.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator.
    theta : ndarray of shape (n, D)
        The parameters of pairs that it was not fitted to.
    x : table
        What was simulated from them.
    generator : numpy.random.Generator
        Where the noise comes from.

    Returns
    -------
    float
        The difference of log-densities that all but one in 200 pairs need at most.
    """
    asked = estimator._ask(x, warns=False)[1]
    n_pairs = min(len(theta), _MOST_SAMPLED if hasattr(asked, "log_factor") else _MOST_PAIRS)
    rows = np.sort(generator.choice(len(theta), n_pairs, replace=False))
    some = asked.take(rows)
    log_p = some.sample_and_log_prob(_DRAWS, generator)[1]
    own = some.log_prob(theta[rows], np.arange(n_pairs))
    missing = np.quantile(log_p, _OUTSIDE, axis=1) - own
    return float(np.clip(_far_quantile(missing), 0.0, _MOST_SLACK))


def _far_quantile(values: Array) -> float:
    """Extrapolate the quantile that few values exceed, by an exponential tail."""
    n = len(values)
    n_tail = min(max(_FEWEST, int(_TAIL * n)), n - 1)
    ordered = np.sort(values)
    start, tail = ordered[-n_tail - 1], ordered[-n_tail:]
    excess = np.minimum(tail - start, _MOST_SLACK).mean()
    return float(start + excess * np.log(n_tail / n / _TOLERATED))
