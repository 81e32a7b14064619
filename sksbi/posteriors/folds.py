r"""
Whether ratios that were learnt on parts of the simulations agree about many trials.

The mean of K classifiers, each trained without one of K folds, errs by about what the jackknife
that deletes groups tells from their differences: with l_k(theta) the k-th log-ratio summed over the
trials of an observation, the variance of their mean is

.. math::
    V(\theta) = \frac{K - 1}{K} \sum_k (l_k(\theta) - \bar l(\theta))^2.

What is constant in theta does no harm. So l_k less its mean over the posterior is taken, and the
root of the mean of V over the posterior is the error of the log-posterior: where that is linear in
theta, the mean of a Gaussian posterior is wrong by so many of its standard deviations. Errors that
all folds have in common, as of a classifier that cannot bend, are not seen.

As a posterior that is wrong may be a narrow spike, draws are looked at a second time farther apart,
as in :mod:`sksbi.posteriors.normaliser`.

The Jackknife and the Bootstrap for General Stationary Observations (Künsch, 1989),
https://doi.org/10.1214/aos/1176347265, has deleted groups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sksbi.posteriors.doubt import Doubt, doubts_above
from sksbi.posteriors.factor import Ratio
from sksbi.posteriors.normaliser import NormaliserRecord
from sksbi.posteriors.trials import (
    FEWEST_POINTS,
    MOST_CHANGE,
    MOST_OBSERVATIONS,
    looked_at,
)
from sksbi.utils.batches import batches
from sksbi.utils.types import Array

__all__ = ["FoldsRecord"]

_EVALUATIONS = 200_000

FoldRatios = Callable[[Array, Array], Array]


class FoldsRecord:
    """
    Ratios of several folds, and whether their mean averages to one.

    Parameters
    ----------
    normaliser : NormaliserRecord
        Of the mean ratio.
    members : sequence of pairs (Ratio, callable)
        A ratio and what gives the log-ratios of its folds, (n, D), (n, ...) -> (K, n), theta in the
        ratio's units; several of an ensemble.
    """

    def __init__(
        self, normaliser: NormaliserRecord, members: Sequence[tuple[Ratio, FoldRatios]]
    ) -> None:
        self.normaliser, self.members = normaliser, members

    def pooled(self, others: Sequence[FoldsRecord]) -> FoldsRecord:
        """
        Pool this and others; the simulations are the same, so that errors do not average out.

        Parameters
        ----------
        others : sequence of FoldsRecord
            Those of other fits to the same problem.

        Returns
        -------
        FoldsRecord
            One record.
        """
        normaliser = self.normaliser.pooled([other.normaliser for other in others])
        return FoldsRecord(normaliser, [m for one in (self, *others) for m in one.members])

    def doubts(self, posterior: Any, theta: Sequence[Array]) -> list[Doubt]:
        """
        Find observations about whose posteriors folds disagree, or whose normaliser changes.

        Parameters
        ----------
        posterior : PriorTimesAt
            The posteriors of m observations, each of as many trials.
        theta : sequence of m ndarrays of shape (k, D)
            Draws from them; a hundred observations are looked at.

        Returns
        -------
        list of Doubt
            Two at most.
        """
        seen, n_trials = theta[:MOST_OBSERVATIONS], posterior.factor_at.n_trials
        if n_trials < 2:
            return []
        pairs = zip(seen, posterior.x, strict=False)
        error = np.array([self._error(one, trials, posterior.prior) for one, trials in pairs])
        text = (
            f"over {n_trials} trials of {{who}} the classifiers of different folds disagree, and "
            "errors add up: expect the posterior to be off by {size} of its standard deviations or "
            "more. Give more simulations, take a smoother ratio such as NRE, or simulate all "
            "trials as one x, with sksbi.nn.DeepSet as the embedding."
        )
        all_are = (error > MOST_CHANGE).all()
        others = [] if all_are else self.normaliser.doubts(posterior, theta)
        return doubts_above(error, text, MOST_CHANGE) + others

    def stand_ins(self, posterior: Any, theta: Array, log_p: Array) -> Array:
        """Make what serves as draws out of points, if they cost more than a look at them does."""
        return self.normaliser.stand_ins(posterior, theta, log_p)

    def _error(self, theta: Array, trials: Array, prior: Any) -> float:
        """Estimate by how much the log-posterior given trials (T, ...) is wrong."""
        if len(theta) < FEWEST_POINTS:
            return 0.0
        near, apart, factor = looked_at(theta, prior, len(trials))
        return max(self._spread(near, trials), self._spread(apart, trials) / factor)

    def _spread(self, theta: Array, trials: Array) -> float:
        """Compute the root of the mean of V over some theta."""
        variances = []
        for ratio, log_ratios in self.members:
            sums = _sums(log_ratios, ratio.units(theta), trials)
            sums = sums - sums.mean(axis=1, keepdims=True)
            # (K - 1) / K times a sum over K folds is K - 1 times their variance.
            variances.append((len(sums) - 1) * sums.var(axis=0).mean())
        return float(np.sqrt(np.mean(variances)))


def _sums(log_ratios: FoldRatios, u: Array, trials: Array) -> Array:
    """Sum the log-ratios of every fold over trials: (K, k)."""
    n_trials, sums = len(trials), []
    for part in batches(len(u), max(1, _EVALUATIONS // n_trials)):
        points = u[part].repeat(n_trials, axis=0)
        logs = log_ratios(points, np.tile(trials, (len(u[part]), *(trials.ndim - 1) * [1])))
        sums.append(logs.reshape(len(logs), -1, n_trials).sum(axis=2))
    return np.concatenate(sums, axis=1)
