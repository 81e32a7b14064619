r"""
Whether a learnt likelihood may be multiplied over many trials.

The score of an exact likelihood, its gradient by theta, averages to zero over x given theta, and
the mean of its square is minus that of the second derivative. A learnt one has

.. math::
    g(\theta) = E_{p(x | \theta)} \nabla_\theta \log q(x | \theta),

which over T trials moves the mean of a posterior of covariance C by T C g, that is by
T sqrt(g' C g) of its standard deviations. Where the mean square of the score is a multiple of minus
the mean second derivative, that mean scatters by the root of the multiple instead of once the
standard deviation: the posterior is too narrow, or too wide.

Both are estimated by simulations held out, and again by all, as a fit that has not come to its end,
or cannot follow the data, errs on those that it has learnt from, too. They are weighted by how
close their theta is to the middle of the posterior, so that half of them count, and derivatives are
differences of small steps in the prior's unbounded space. With C = A A' the estimate of T A' g is a
sum over rows, the covariance of whose noise is known from the rows; by the triangle inequality the
shift is at least the length of the estimate less that of the noise, whose quantile comes from the
gamma distribution of the same mean and variance.

They say something of a posterior that has one peak, whose variance is about what the curvature in
its middle gives: others are not judged.

No test can tell more than its rows do: as the mean of n scores has the standard error that n
trials leave in theta, the noise alone is sqrt(T / n) standard deviations. A
shift is found where it is above 0.5 + 3.8 sqrt(T / n) for one parameter, and 0.5 + 5 sqrt(T / n)
for five, with n rows that count. Of 10,000 simulations that is 5,000: above 0.7, 1, 2.2 and 5.9
standard deviations at T = 10, 100, 1,000 and 10,000. Errors are smoothed over half of theta's
range: one that is confined to a small part of it shows in part.

For the same reason no fit to n pairs knows g better than so. What is to be expected of any is told
where it is much, though the test finds nothing (:mod:`sksbi.posteriors.expected`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from sksbi.posteriors.doubt import Doubt, doubts_above
from sksbi.posteriors.expected import expected_doubts
from sksbi.posteriors.factor import Factor
from sksbi.posteriors.trials import (
    FEWEST_POINTS,
    MOST_CHANGE,
    MOST_OBSERVATIONS,
    SIGNIFICANT,
    squared_noise,
    stand_ins,
)
from sksbi.priors import Prior
from sksbi.utils.batches import batches
from sksbi.utils.types import Array, Mask, Rows

__all__ = ["ScoreRecord", "choose_pairs", "join_pairs"]

_MOST_VALUES, _MOST_ROWS, _FEWEST_ROWS = 1_000_000, 10_000, 50
# So many rows a trial are looked at, lest the look cost more than a tenth of the draws.
_ROWS_PER_TRIAL = 250
_SHARE, _HALVINGS = 0.5, 25
# Steps in standard deviations of the posterior, and of one of a single trial.
_STEP, _STEP_OF_TRIAL = 0.3, 0.03
_MOST_FACTOR = 1.25
_LEAST_SHARE = 0.5
# The variance of a posterior that is local, against what the curvature alone gives, is 1 at most.
_MOST_SPREAD = 4.0
_EVALUATIONS = 200_000


def choose_pairs(n_values: int, weight: Array, held_out: Mask) -> tuple[Rows, int]:
    """
    Choose pairs by which a likelihood is judged, as many as a fit may keep.

    Parameters
    ----------
    n_values : int
        The number of values of a pair.
    weight : ndarray of shape (n,)
        Their weights: a pair is taken with a probability in proportion.
    held_out : ndarray of bool, of shape (n,)
        Which the fit has not learnt from; they come first.

    Returns
    -------
    rows : ndarray of int
        At most 10,000, and 1,000,000 values but for 50 pairs of any size, in random order.
    n_held_out : int
        How many of them, the first ones, were held out.
    """
    generator = np.random.default_rng(0)
    order = generator.permutation(len(weight))
    order = order[generator.random(len(weight)) * weight.max() <= weight[order]]
    apart = held_out[order]
    rows = np.concatenate([order[apart], order[~apart]])[: _most(n_values)]
    return rows, min(int(np.count_nonzero(apart)), len(rows))


def _most(n_values: int) -> int:
    """Tell how many pairs a fit may keep."""
    return min(_MOST_ROWS, max(_FEWEST_ROWS, _MOST_VALUES // n_values))


def join_pairs(
    theta: Array,
    x: Array,
    n_held_out: int,
    n_learnt: float,
    theta_before: Array,
    x_before: Array,
    _: int,
    n_before: float,
) -> tuple[Array, Array, int, float]:
    """
    Put pairs of earlier calls, all of them learnt from since, below those of a call.

    Parameters
    ----------
    theta, x, n_held_out, n_learnt : ndarray, ndarray, int and float
        The pairs of the call, as :class:`ScoreRecord` has them.
    theta_before, x_before, _, n_before : ndarray, ndarray, int and float
        Those before.

    Returns
    -------
    tuple
        As many as may be kept, in the same form.
    """
    most = slice(_most(theta[:1].size + x[:1].size))
    theta, x = np.concatenate([theta, theta_before])[most], np.concatenate([x, x_before])[most]
    return theta, x, n_held_out, n_learnt + n_before


class ScoreRecord:
    """
    A likelihood, and pairs over which its score should average to zero.

    Parameters
    ----------
    likelihood : Factor
        The likelihood.
    theta : ndarray of shape (n, D)
        Parameters.
    x : ndarray of shape (n, ...)
        What was simulated from them, a trial each.
    n_held_out : int
        How many of the pairs, the first ones, the fit has not learnt from.
    n_learnt : float
        From how many pairs the fit learnt.
    """

    def __init__(
        self, likelihood: Factor, theta: Array, x: Array, n_held_out: int, n_learnt: float
    ) -> None:
        self.likelihood, self.theta, self.x = likelihood, theta, x
        self.n_held_out, self.n_learnt = n_held_out, n_learnt

    def pooled(self, others: Sequence[ScoreRecord]) -> ScoreRecord:
        """
        Average the likelihoods, and take pairs of all, each once.

        Parameters
        ----------
        others : sequence of ScoreRecord
            Those of other fits to the same simulations.

        Returns
        -------
        ScoreRecord
            One record.
        """
        if not others:
            return self
        each = [self, *others]
        likelihood = self.likelihood.pooled([one.likelihood for one in others])
        theta, x = (
            np.concatenate(
                [getattr(one, name)[: one.n_held_out] for one in each]
                + [getattr(one, name)[one.n_held_out :] for one in each]
            )
            for name in ("theta", "x")
        )
        distinct = _distinct(np.hstack([theta, x.reshape(len(x), -1)]))
        held_out = distinct < sum(one.n_held_out for one in each)
        n_values = theta[:1].size + x[:1].size
        chosen, n_held_out = choose_pairs(n_values, np.ones(len(distinct)), held_out)
        rows = distinct[chosen]
        n_learnt = max(one.n_learnt for one in each)
        return ScoreRecord(likelihood, theta[rows], x[rows], n_held_out, n_learnt)

    def doubts(self, posterior: Any, theta: Sequence[Array]) -> list[Doubt]:
        """
        Find observations whose posterior is moved or of the wrong width.

        Parameters
        ----------
        posterior : PriorTimesAt
            The posteriors of m observations, each of as many trials.
        theta : sequence of m ndarrays of shape (k, D)
            Draws from them; a hundred observations are looked at.

        Returns
        -------
        list of Doubt
            Up to one of a shift found, of each wrong width, and of a shift to be expected.
        """
        seen, n_trials = list(theta[:MOST_OBSERVATIONS]), posterior.factor_at.n_trials
        enough = [i for i, one in enumerate(seen) if len(one) >= FEWEST_POINTS]
        if n_trials < 2 or not enough:
            return []
        z = [posterior.prior.to_unbounded(seen[i]) for i in enough]
        look = _Look(self, posterior.prior, z, n_trials, SIGNIFICANT / len(seen))
        found = np.zeros((len(seen), 2))
        for i, one in zip(enough, z, strict=True):
            found[i] = look.at(one)
        shift, log_factor = found.T
        shifted = (
            f"the likelihood's score does not average to zero over simulations, and over {n_trials}"
            " trials of {who} that adds up: the posterior is off by {size} of its standard "
            "deviations or more. Give more simulations, or simulate all trials as one x for NPE, "
            "with sksbi.nn.DeepSet."
        )
        doubts = doubts_above(shift, shifted, MOST_CHANGE)
        for wrong, factor in (("narrow", np.exp(log_factor)), ("wide", np.exp(-log_factor))):
            width = (
                "the likelihood's score varies otherwise over simulations than its curvature says: "
                f"the posterior of {n_trials} trials of {{who}} is too {wrong} by a factor of "
                "{size} or more. Give more simulations, train longer, or take another flow."
            )
            doubts += doubts_above(factor, width, _MOST_FACTOR)
        return doubts + expected_doubts(posterior, seen, self.n_learnt, shift > MOST_CHANGE)

    def stand_ins(self, posterior: Any, theta: Array, log_p: Array) -> Array:
        """Make what serves as draws out of points, if they cost more than a look at them does."""
        n_rows = min(len(self.theta), _ROWS_PER_TRIAL * posterior.factor_at.n_trials)
        return stand_ins(posterior, theta, log_p, n_rows * (2 * self.theta.shape[1] + 1))


class _Look:
    """
    Scores of the pairs, and what they say of posteriors.

    Parameters
    ----------
    record : ScoreRecord
        The pairs.
    prior : Prior
        The prior.
    draws : sequence of ndarray of shape (k, D)
        Draws from all posteriors, in the prior's unbounded space.
    n_trials : int
        The number of trials.
    level : float
        How seldom an exact likelihood may be blamed for a posterior.
    """

    def __init__(
        self,
        record: ScoreRecord,
        prior: Prior,
        draws: Sequence[Array],
        n_trials: int,
        level: float,
    ) -> None:
        self.n_trials = n_trials
        some = slice(_ROWS_PER_TRIAL * n_trials)
        z, x = prior.to_unbounded(record.theta[some]), record.x[some]
        sd = np.median([one.std(axis=0) for one in draws], axis=0)
        step = np.maximum(sd, 1e-9) * max(_STEP, _STEP_OF_TRIAL * n_trials**0.5)
        score, curvature = _derivatives(record.likelihood, z, x, step)
        fine = np.flatnonzero(np.isfinite(np.hstack([score, curvature])).all(axis=1))
        n_held_out = int(np.count_nonzero(fine < record.n_held_out))
        self.z, self.score, self.curvature = z[fine], score[fine], curvature[fine]
        n_all = len(self.z)
        self.parts = [n for n in {n_held_out, n_all} if n >= _FEWEST_ROWS]
        self.level = level / (3 * max(1, len(self.parts)))

    def at(self, draws: Array) -> tuple[float, float]:
        """
        Judge one posterior.

        Parameters
        ----------
        draws : ndarray of shape (k, D)
            Draws from it.

        Returns
        -------
        shift : float
            A bound from below of how far its mean is off, in standard deviations.
        log_factor : float
            The logarithm of a factor by which it is too narrow at least; negative: too wide.
        """
        center = draws.mean(axis=0)
        spread = (draws - center).T @ (draws - center) / len(draws)
        root = np.linalg.cholesky(spread + 1e-12 * np.trace(spread) * np.eye(len(spread)))
        shift, log_factor = 0.0, 0.0
        for n in self.parts:
            weight = _weights(self.z[:n], center)
            if self._is_local(weight, np.diag(spread), n):
                scores = self.n_trials * self.score[:n] @ root
                shift = max(shift, self._bound(weight, scores))
                width = self._width(weight, np.diag(spread), n)
                log_factor = width if abs(width) > abs(log_factor) else log_factor
        return shift, log_factor

    def _is_local(self, weight: Array, variance: Array, n: int) -> bool:
        """Tell a posterior of one peak, of which derivatives in its middle tell something."""
        bend = weight @ -self.curvature[:n]
        return bool((self.n_trials * variance * bend <= _MOST_SPREAD).all())

    def _bound(self, weight: Array, scores: Array) -> float:
        """Estimate the length of the mean of scores, less its noise."""
        each = weight[:, None] * scores
        return float(
            np.linalg.norm(each.sum(axis=0)) - np.sqrt(squared_noise(each.T @ each, self.level))
        )

    def _width(self, weight: Array, variance: Array, n: int) -> float:
        """Bound the log-factor of the width, where trials count for more than the prior."""
        square, bend = self.score[:n] ** 2, -self.curvature[:n]
        excess = weight @ (square - bend)
        noise = np.sqrt(weight**2 @ (square - bend) ** 2)
        noise *= stats.norm.isf(self.level / (2 * len(variance)))
        larger = np.maximum(weight @ square, weight @ bend)
        surely = np.sign(excess) * np.maximum(np.abs(excess) - noise, 0.0)
        known = self.n_trials * variance * larger >= _LEAST_SHARE
        share = np.where(known, surely / np.where(larger > 0, larger, np.inf), 0.0)
        log_factor = -np.sign(share) * np.log1p(-np.minimum(np.abs(share), 0.99)) / 2
        return float(max(log_factor, key=abs))


def _distinct(rows: Array) -> Rows:
    """Find where rows stand first, as fits to the same simulations share them."""
    whole = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.itemsize * rows.shape[1])))
    return np.sort(np.unique(whole.ravel(), return_index=True)[1])


def _derivatives(likelihood: Factor, z: Array, x: Array, step: Array) -> tuple[Array, Array]:
    """Compute first and second derivatives of log q(x[i] | z[i]) along every parameter."""
    at_rows = likelihood.at(x)

    def log_q(points: Array) -> Array:
        parts = [
            at_rows(likelihood.units_from_unbounded(points[part]), np.arange(len(z))[part])
            for part in batches(len(z), _EVALUATIONS)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    here, score, curvature = log_q(z), np.empty(z.shape), np.empty(z.shape)
    for j, h in enumerate(step):
        move = np.zeros(len(step))
        move[j] = h
        above, below = log_q(z + move), log_q(z - move)
        with np.errstate(invalid="ignore"):
            score[:, j] = (above - below) / (2 * h)
            curvature[:, j] = (above - 2 * here + below) / h**2
    return score, curvature


def _weights(z: Array, center: Array) -> Array:
    """Weight rows by how near they are to a point, so that about half of them count."""
    scale = z.std(axis=0)
    squared = (((z - center) / np.where(scale > 0, scale, 1.0)) ** 2).sum(axis=1)
    squared -= squared.min()
    low, high = -10.0, 10.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        weight = np.exp(-squared * np.exp(-middle))
        if weight.sum() ** 2 < _SHARE * len(z) * (weight**2).sum():
            low = middle
        else:
            high = middle
    weight = np.exp(-squared * np.exp(-high))
    return weight / weight.sum()
