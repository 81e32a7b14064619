"""
Rounds that draw from the posterior of the round before.

A likelihood is learnt right wherever parameters come from, and so is a ratio up to a factor that
does not depend on them: the prior enters when the posterior is asked. A density of theta would be
wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sksbi.posteriors.base import PosteriorAt
from sksbi.priors import Prior
from sksbi.priors.around import seen_from
from sksbi.priors.reach import unsampled
from sksbi.sequential.proposals import Proposals
from sksbi.utils.types import Array, Mask, Rows

__all__ = ["PosteriorProposals"]

_SEEN, _LOOK = 1.0, 2_000


class PosteriorProposals(Proposals):
    """
    Posteriors as proposals, for ratio and likelihood estimators.

    Parameters
    ----------
    base : Prior
        The prior that the user gave.
    """

    def __init__(self, base: Prior) -> None:
        super().__init__(base)
        self.last: Any = None
        self.x: Any = None

    @property
    def _are_narrow(self) -> bool:
        """Whether there is a posterior."""
        return self.last is not None

    def _draw(self, n: int, generator: np.random.Generator) -> Array:
        """Draw from the last posterior, as many for every observation."""
        if self.last is None:
            return self.base.sample(n, generator)
        asked = self._asked()
        n_each = -(-n // asked.n_observations)
        theta = asked.sample(n_each, generator).theta.reshape(-1, self.base.n_features)
        return generator.permutation(theta)[:n]

    def _asked(self) -> PosteriorAt:
        """Ask the last posterior about the observations."""
        asked: PosteriorAt = self.restricted(self.last)._ask(self.x, warns=False)[1]
        return asked

    def view(self, theta: Array, rounds: Rows) -> tuple[Prior, Mask]:
        """See all in a wide box around the last posterior."""
        return unsampled(self.prior), self.prior.contains(theta)

    def inside(
        self, estimator: Any, x: Any, counts: list[int], generator: np.random.Generator
    ) -> float:
        """All: there is no region."""
        return 1.0

    def narrow(
        self,
        estimator: Any,
        x: Any,
        slack: float,
        counts: list[int],
        generator: np.random.Generator,
    ) -> None:
        """Take the posterior of a fit as the next proposal; slack needs none."""
        self.last, self.x = estimator, x
        theta = self._asked().sample(_LOOK, generator).theta
        self.prior = seen_from(self.base, theta.reshape(-1, theta.shape[-1]), _SEEN)
