r"""
Whether a learnt ratio may be multiplied over many trials.

An exact ratio r(theta, x) = p(x | theta) / p(x) averages to one over x from p(x), for every theta.
A learnt one has

.. math::
    Z(\theta) = E_{p(x)} \, r(\theta, x),

which is a factor too many in every trial: over T trials the logarithm of the posterior is wrong by
T log Z(theta), or more. What is constant in it does no harm. What matters is its standard deviation
over the posterior: where T log Z is linear, the mean of a Gaussian posterior is wrong by just so
many of its standard deviations.

Z is estimated by the mean over n rows of x, the same for every theta, so that only differences of
their noise count. To first order row j moves log Z(theta_i) by h_ij / n with
h_ij = r(theta_i, x_j) / Z(theta_i) - 1, so that the noise of T log Z is a Gaussian vector with the
covariance T^2 h h' / n^2, and its squared length a weighted sum of chi-squares, whose quantile is
taken from the gamma distribution of the same mean and variance (Satterthwaite). By the triangle
inequality the standard deviation of T log Z is at least that of the estimate less that quantile.

A posterior that is wrong may be a narrow spike on a step of its ratio, within which nothing
changes. So the draws are looked at a second time moved away from their mean by the factor
T^(1/4), about as far apart as draws given the root of T trials; what is found there is divided by
the same factor, which changes nothing where log Z is linear.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sksbi.posteriors.doubt import Doubt, doubts_above
from sksbi.posteriors.expected import expected_doubts
from sksbi.posteriors.factor import FactorAt, Ratio
from sksbi.posteriors.trials import (
    FEWEST_POINTS,
    MOST_CHANGE,
    MOST_OBSERVATIONS,
    POINTS,
    SIGNIFICANT,
    looked_at,
    squared_noise,
    stand_ins,
)
from sksbi.priors import Prior
from sksbi.utils.batches import batches
from sksbi.utils.subset import some_rows
from sksbi.utils.types import Array

__all__ = ["NormaliserRecord", "keep_rows"]

_MOST_VALUES, _MOST_ROWS, _FEWEST_ROWS = 1_000_000, 1_000, 50
# Fewer rows than that, of those with weight at a theta, do not tell their own noise.
_FEWEST_EFFECTIVE = 20
_EVALUATIONS = 200_000


def keep_rows(x: Array, weight: Array | None = None, before: Array | None = None) -> Array:
    """
    Take rows of x from which Z is estimated, as many as a fit may keep.

    Parameters
    ----------
    x : ndarray of shape (n, ...)
        The rows.
    weight : ndarray of shape (n,) or None, default=None
        Their weights: a row is taken with a probability in proportion, so that those taken are
        draws from what the fit was made for.
    before : ndarray of shape (m, ...) or None, default=None
        Rows that were kept of others before; they stay while there is room.

    Returns
    -------
    ndarray of shape (at most 1,000, ...)
        Copies of some of them, at most 1,000,000 values but for 50 rows of any size.
    """
    if weight is not None and np.ptp(weight) > 0:
        x = x[np.random.default_rng(0).random(len(x)) * weight.max() < weight]
    some = np.array(some_rows(x, _MOST_VALUES, _FEWEST_ROWS, _MOST_ROWS), dtype=np.float64)
    if before is None:
        return some
    most = min(_MOST_ROWS, max(_FEWEST_ROWS, _MOST_VALUES // max(1, x[:1].size)))
    return np.concatenate([some, before])[:most]


class NormaliserRecord:
    """
    A ratio, and rows of x over which it should average to one.

    Parameters
    ----------
    ratio : Ratio
        The ratio.
    x : ndarray of shape (n, ...)
        Draws from p(x).
    n_learnt : float or None, default=None
        From how many pairs the ratio was learnt, if its error over trials is to be expected.
    """

    def __init__(self, ratio: Ratio, x: Array, n_learnt: float | None = None) -> None:
        self.ratio, self.x, self.n_learnt = ratio, x, n_learnt

    def pooled(self, others: Sequence[NormaliserRecord]) -> NormaliserRecord:
        """
        Average the ratios, and take rows of all.

        Parameters
        ----------
        others : sequence of NormaliserRecord
            Those of other fits to the same problem.

        Returns
        -------
        NormaliserRecord
            One record.
        """
        ratio = self.ratio.pooled([other.ratio for other in others])
        x = keep_rows(np.concatenate([self.x, *(other.x for other in others)]))
        n_learnt = [one.n_learnt for one in (self, *others) if one.n_learnt is not None]
        return NormaliserRecord(ratio, x, max(n_learnt, default=None))

    def doubts(self, posterior: Any, theta: Sequence[Array]) -> list[Doubt]:
        """
        Find observations over whose posterior T log Z changes too much, or is likely to.

        Parameters
        ----------
        posterior : PriorTimesAt
            The posteriors of m observations, each of as many trials.
        theta : sequence of m ndarrays of shape (k, D)
            Draws from them; a hundred observations are looked at.

        Returns
        -------
        list of Doubt
            Up to one of what was found, and of what is to be expected.
        """
        seen, n_trials = theta[:MOST_OBSERVATIONS], posterior.factor_at.n_trials
        if n_trials < 2:
            return []
        change = self._changes(posterior, seen, n_trials)
        text = (
            f"the ratio does not average to one over x, and over {n_trials} trials of {{who}} that "
            "adds up: the posterior is off by {size} of its standard deviations or more. Give more "
            "simulations, take a smoother ratio if this is of trees, or simulate all trials as one "
            "x, with sksbi.nn.DeepSet as the embedding."
        )
        expected = expected_doubts(posterior, seen, self.n_learnt, change > MOST_CHANGE)
        return doubts_above(change, text, MOST_CHANGE) + expected

    def stand_ins(self, posterior: Any, theta: Array, log_p: Array) -> Array:
        """Make what serves as draws out of points, if they cost more than a look at them does."""
        return stand_ins(posterior, theta, log_p, 2 * POINTS * len(self.x))

    def _changes(self, posterior: Any, theta: Sequence[Array], n_trials: int) -> Array:
        """Bound the standard deviations of T log Z over some posteriors from below."""
        if len(self.x) < _FEWEST_ROWS:
            return np.zeros(len(theta))
        at_rows, level = self.ratio.at(self.x), SIGNIFICANT / max(1, len(theta))
        changes = [
            self._least_change(at_rows, one, posterior.prior, n_trials, level) for one in theta
        ]
        return np.array(changes)

    def _least_change(
        self, at_rows: FactorAt, theta: Array, prior: Prior, n_trials: int, level: float
    ) -> float:
        """Bound the standard deviation of T log Z over a posterior from below."""
        if len(theta) < FEWEST_POINTS:
            return 0.0
        near, apart, wider = looked_at(theta, prior, n_trials)
        return max(
            self._bound(at_rows, near, n_trials, level),
            self._bound(at_rows, apart, n_trials / wider, level),
        )

    def _bound(self, at_rows: FactorAt, theta: Array, n_trials: float, level: float) -> float:
        """Estimate the standard deviation of T log Z over some theta, less its noise."""
        log_r = self._log_ratios(at_rows, theta)
        top = log_r.max(axis=1, keepdims=True)
        r = np.exp(log_r - top)
        mean = r.mean(axis=1, keepdims=True)
        effective = r.sum(axis=1) ** 2 / (r**2).sum(axis=1)
        enough = effective >= _FEWEST_EFFECTIVE
        if np.count_nonzero(enough) < FEWEST_POINTS:
            return 0.0
        log_z = (np.log(mean) + top)[enough, 0]
        moves = (r / mean - 1)[enough]
        moves = n_trials / len(self.x) * (moves - moves.mean(axis=0)) / np.sqrt(len(moves))
        spread = n_trials * log_z.std()
        return float(spread - np.sqrt(squared_noise(moves @ moves.T, level)))

    def _log_ratios(self, at_rows: FactorAt, theta: Array) -> Array:
        """Evaluate every theta at every row: (k, n)."""
        u, n = self.ratio.units(theta), len(self.x)
        parts = [
            at_rows(u[part].repeat(n, axis=0), np.tile(np.arange(n), part.stop - part.start))
            for part in batches(len(u), _EVALUATIONS // n)
        ]
        return np.concatenate(parts).reshape(len(u), n)
