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
from sksbi.utils.types import Array, Mask

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
    prior_draws : ndarray of shape (k, D) or None, default=None
        Draws from the prior; None: the theta of the held-out pairs stand in.
    """

    held_out: HeldOutDraws
    seed: int
    prior_draws: Array | None = None

    @cached_property
    def varies(self) -> Mask:
        """Which parameters are not the same at all observations, (D,)."""
        return np.ptp(self.held_out.theta, axis=0) > 0

    @cached_property
    def names(self) -> list[str]:
        """The names of the parameters that vary."""
        return [
            name for name, varies in zip(self.held_out.names, self.varies, strict=True) if varies
        ]

    @cached_property
    def n_equal(self) -> NDArray[np.intp]:
        """For how many observations all draws are equal, (D,)."""
        return np.count_nonzero(np.ptp(self.held_out.draws, axis=1) == 0, axis=0)

    @cached_property
    def coverage(self) -> RankCurve[float] | None:
        """The coverage of highest-density regions, None where densities cannot be compared."""
        log_p = self.held_out.log_prob_draws, self.held_out.log_prob_theta
        if any(np.isnan(values).any() or np.isposinf(values).any() for values in log_p):
            return None
        return rank_curve(hpd_ranks(*log_p), self.held_out.n_draws)

    @cached_property
    def tarp(self) -> RankCurve[float] | None:
        """The coverage of balls around random points, None where no parameter varies."""
        if not self.names:
            return None
        return rank_curve(tarp_ranks(*self._varying, random_state=self.seed), self.held_out.n_draws)

    @cached_property
    def ranks(self) -> NDArray[np.intp]:
        """The rank of every parameter that varies at every observation, (n, k)."""
        return sbc_ranks(*self._varying)

    @cached_property
    def rank_curves(self) -> RankCurve[Array] | None:
        """The distribution functions of the ranks, None where no parameter varies."""
        return rank_curve(self.ranks, self.held_out.n_draws) if self.names else None

    @cached_property
    def z_score(self) -> Array:
        """By how many standard deviations posterior means are off, (n, k)."""
        return posterior_z_score(*self._varying)

    @cached_property
    def contraction(self) -> Array:
        """How much of the prior's variance posteriors have lost, (n, k)."""
        draws, theta = self._varying
        prior = self.prior_draws
        return posterior_contraction(draws, theta if prior is None else prior[:, self.varies])

    @property
    def n_of_prior(self) -> int:
        """From how many theta the prior's variance is known."""
        prior = self.held_out.theta if self.prior_draws is None else self.prior_draws
        return len(prior)

    @property
    def _varying(self) -> tuple[Array, Array]:
        """Draws and theta of the parameters that vary."""
        return self.held_out.draws[..., self.varies], self.held_out.theta[:, self.varies]
