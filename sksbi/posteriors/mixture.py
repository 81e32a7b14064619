r"""
Posteriors with a normalised density, and their equally weighted mixture.

.. math::
    q(\theta | x) = \frac{1}{K} \sum_{k=1}^K q_k(\theta | x)

is normalised if all members are, and draws from it are draws from members that are chosen at
random. Neither holds for posteriors that are known up to a factor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.utils.metaestimators import available_if

from sksbi.posteriors.base import Draws, Posterior, PosteriorAt
from sksbi.posteriors.doubt import Doubt
from sksbi.utils.failures import are_failed
from sksbi.utils.types import Array, Rows

__all__ = ["Mixture", "Normalised", "NormalisedAt"]

_CANDIDATES = 256


class Normalised(Posterior):
    """Base of the posteriors whose density integrates to one: they mix, and score by it."""

    def pooled(self, others: Sequence[Self]) -> Posterior:
        """
        Mix this and others.

        Parameters
        ----------
        others : sequence of Normalised
            The others, fitted to the same problem.

        Returns
        -------
        Posterior
            The mixture.
        """
        return Mixture([self, *others])

    def score(self, theta: Array, x: Array, weights: Array, *, trials: bool = False) -> float:
        """
        Average the log-density over the simulations that succeeded.

        Parameters
        ----------
        theta : ndarray of shape (n, D)
            Parameters.
        x : ndarray of shape (n, ...)
            What was simulated from them; NaN throughout where that failed.
        weights : ndarray of shape (n,)
            Weights of the rows.
        trials : bool, default=False
            Whether a row of x consists of independent trials, which a density cannot take.

        Returns
        -------
        float
            The mean of log q(theta | x).
        """
        failed = are_failed(x)
        if failed.any():
            theta, x, weights = theta[~failed], x[~failed], weights[~failed]
        log_q = self.at(x, trials=trials).log_prob(theta, np.arange(len(theta)))
        return float(np.average(log_q, weights=weights))


class NormalisedAt(PosteriorAt):
    """
    Base of the normalised posteriors of m observations, which draw by themselves.

    Parameters
    ----------
    prior : Prior or None
        The prior; None: theta is unbounded.
    n_observations : int
        Their number m.
    record : Record or None, default=None
        What observations are held against.
    trials_record : TrialsRecord or None, default=None
        What draws are held against, where observations consist of many trials.
    """

    def _candidates(self, generator: np.random.Generator) -> Array:
        """Draw."""
        return self.sample(_CANDIDATES, generator, shared_noise=True).theta


def _all_have_marginals(mixture: Mixture) -> bool:
    """Tell whether all members have marginals."""
    return all(hasattr(member, "marginal") for member in mixture.members)


class Mixture(Normalised):
    """
    Equally weighted mixture.

    Parameters
    ----------
    members : sequence of Normalised
        The members.
    """

    def __init__(self, members: Sequence[Normalised]) -> None:
        self.members = members
        self.prior = members[0].prior

    @available_if(_all_have_marginals)  # type: ignore[untyped-decorator]
    def marginal(self, columns: Sequence[int]) -> Mixture:
        """
        Mix the members' marginals.

        Parameters
        ----------
        columns : sequence of int
            The parameters, in the order wanted.

        Returns
        -------
        Mixture
            The posterior of these.
        """
        members: Sequence[Any] = self.members
        return Mixture([member.marginal(columns) for member in members])

    def _at(self, x: Array) -> MixtureAt:
        """Fix observations for every member."""
        return MixtureAt([member.at(x) for member in self.members])


def _all_draw_alike(mixture: MixtureAt) -> bool:
    """Tell whether all members can draw with the same noise for every observation."""
    return all(hasattr(member, "_draw_alike") for member in mixture.members)


class MixtureAt(NormalisedAt):
    """
    The mixtures for m observations.

    Parameters
    ----------
    members : sequence of PosteriorAt
        The members, at the same observations.
    """

    def __init__(self, members: Sequence[PosteriorAt]) -> None:
        super().__init__(members[0].prior, members[0].n_observations)
        self.members = members

    def take(self, rows: Rows | slice) -> MixtureAt:
        """Take some of the observations."""
        return MixtureAt([member.take(rows) for member in self.members])

    def doubts(self) -> Sequence[Doubt]:
        """Pass on the members' doubts, one of a kind: the one of the most observations."""
        kinds: dict[type[Warning], list[Doubt]] = {}
        for doubt in (doubt for member in self.members for doubt in member.doubts()):
            kinds.setdefault(doubt.category, []).append(doubt)
        return [self._together(doubts) for doubts in kinds.values()]

    def _together(self, doubts: Sequence[Doubt]) -> Doubt:
        """Make one doubt of members' of one kind, about all observations that any of them names."""
        most = max(doubts, key=lambda doubt: len(doubt.rows))
        rows = np.unique(np.concatenate([doubt.rows for doubt in doubts]))
        text = most.text
        if len(self.members) > 1:
            text += f" So found {len(doubts)} of the {len(self.members)} fits that are mixed."
        return replace(most, rows=rows, text=text)

    def _draw(self, n: int, generator: np.random.Generator, *, log_prob: bool) -> Draws:
        """Choose a member for every draw, and let each member make as many as were chosen."""
        if len(self.members) == 1:
            return self.members[0]._draw(n, generator, log_prob=log_prob)
        chosen = generator.integers(len(self.members), size=(self.n_observations, n))
        theta = np.empty((*chosen.shape, 0))
        for number, member in enumerate(self.members):
            counts = (chosen == number).sum(axis=1)
            rows = np.flatnonzero(counts)
            if not len(rows):
                continue
            drawn = member.take(rows).sample(counts.max(), generator).theta
            if theta.shape[2] == 0:
                theta = np.empty((*chosen.shape, drawn.shape[2]))
            theta[chosen == number] = drawn[np.arange(counts.max()) < counts[rows, None]]
        return Draws(theta)

    @available_if(_all_draw_alike)  # type: ignore[untyped-decorator]
    def _draw_alike(self, n: int, generator: np.random.Generator) -> Draws:
        """Draw with the same noise, and the same choice of members, for every observation."""
        chosen = generator.integers(len(self.members), size=n) if len(self.members) > 1 else 0
        theta = np.empty((self.n_observations, n, 0))
        for number, member in enumerate(self.members):
            places = np.flatnonzero(np.broadcast_to(chosen == number, n))
            if not len(places):
                continue
            drawn = member.sample(len(places), generator, shared_noise=True).theta
            if theta.shape[2] == 0:
                theta = np.empty((*theta.shape[:2], drawn.shape[2]))
            theta[:, places] = drawn
        return Draws(theta)

    def _log_prob(self, theta: Array, rows: Rows) -> Array:
        """Compute the logarithm of the mean of the members' densities."""
        log_q = [member.log_prob(theta, rows) for member in self.members]
        return np.logaddexp.reduce(log_q, axis=0) - np.log(len(log_q))
