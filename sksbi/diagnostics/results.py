"""The numbers of all checks of held-out draws, each computed once for the table and the figure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sksbi.inspection._curve_display import RankCurve, rank_curve
from sksbi.metrics import (
    HeldOutDraws,
    hpd_ranks,
    posterior_contraction,
    posterior_z_score,
    sbc_ranks,
    tarp_ranks,
)
from sksbi.utils.types import Array

__all__ = ["HeldOutChecks"]


@dataclass(frozen=True, eq=False)
class HeldOutChecks:
    """
    What held-out draws show of the posteriors.

    Parameters
    ----------
    held_out : HeldOutDraws
        The draws.
    seed : int
        Seeds the references of TARP.
    """

    held_out: HeldOutDraws
    seed: int

    @cached_property
    def coverage(self) -> RankCurve[float]:
        """The coverage of highest-density regions."""
        ranks = hpd_ranks(self.held_out.log_prob_draws, self.held_out.log_prob_theta)
        return rank_curve(ranks, self.held_out.n_draws)

    @cached_property
    def tarp(self) -> RankCurve[float]:
        """The coverage of balls around random points."""
        ranks = tarp_ranks(self.held_out.draws, self.held_out.theta, random_state=self.seed)
        return rank_curve(ranks, self.held_out.n_draws)

    @cached_property
    def ranks(self) -> NDArray[np.intp]:
        """The rank of every parameter at every observation, (n, D)."""
        return sbc_ranks(self.held_out.draws, self.held_out.theta)

    @cached_property
    def rank_curves(self) -> RankCurve[Array]:
        """The distribution functions of the ranks."""
        return rank_curve(self.ranks, self.held_out.n_draws)

    @cached_property
    def z_score(self) -> Array:
        """By how many standard deviations posterior means are off, (n, D)."""
        return posterior_z_score(self.held_out.draws, self.held_out.theta)

    @cached_property
    def contraction(self) -> Array:
        """How much of the prior's variance posteriors have lost, (n, D)."""
        return posterior_contraction(self.held_out.draws, self.held_out.theta)
