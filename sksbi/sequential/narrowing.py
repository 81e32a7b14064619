"""
Rounds that draw from the prior, on regions that shrink towards the posterior.

Each round adds a region, and the prior is restricted to their intersection. Parameters are drawn
there, a twentieth of them from all of the prior. Simulations of earlier rounds stay: inside, all of
them together follow the prior, see :mod:`sksbi.posteriors.restricted`.

A region may turn out to be wrong, as that of a fit to few simulations. If most of a later posterior
lies outside, the rounds that drew in that region are forgotten, and the region with them.
"""

from __future__ import annotations

from copy import copy
from typing import Any, ClassVar

import numpy as np

from sksbi.exceptions import TrainingWarning
from sksbi.priors import Prior
from sksbi.priors.around import box_around, seen_from
from sksbi.priors.marginals import has_quantile_map
from sksbi.priors.reach import unsampled
from sksbi.priors.tilted import TiltedPrior
from sksbi.priors.within import Region, WithinPrior
from sksbi.sequential.posterior_region import PosteriorRegion
from sksbi.sequential.proposals import Proposals
from sksbi.sequential.restricted import final_of
from sksbi.utils.types import Array, Mask, Rows
from sksbi.utils.warn import warn_user

__all__ = ["Atomic", "Boxes", "Narrowing"]

_DRAWS, _LOOK, _MARGIN, _SEEN = 10_000, 2_000, 0.05, 1.0
_MOST_WEIGHT = 50.0
_MOST_OUTSIDE, _LITTLE_OUTSIDE = 0.5, 0.05  # of the posterior
_FEW, _TRIES = 0.02, 2_000


class Narrowing(Proposals):
    """
    The prior, narrowed round by round; any posterior, ratio or likelihood estimator learns there.

    Parameters
    ----------
    base : Prior
        The prior that the user gave.

    Attributes
    ----------
    prior : Prior
        The prior, restricted to the intersection of all regions.
    number : int
        The number of the round, from 0.
    before : Narrowing or None
        The proposals of the round before that counts; None: this is the first.
    """

    sees_outside: ClassVar[bool] = True  # whether a fit is right outside of its simulations

    def __init__(self, base: Prior) -> None:
        super().__init__(base)
        self.low, self.high = base.support
        self.regions: list[Region] = []
        self.draws: Array | None = None
        self.margin = 0.0
        self.number = 0
        self.before: Narrowing | None = None

    @property
    def share(self) -> float:
        """The share of the prior's mass that is left."""
        if self.prior is self.base:
            return 1.0
        theta = self.prior.sample(1, 0)
        return float(np.exp(self.base.log_prob(theta) - self.prior.log_prob(theta))[0])

    @property
    def acceptance(self) -> float:
        """The share of candidates in which the restricted prior is drawn."""
        return float(getattr(self.prior, "acceptance", 1.0))

    @property
    def _are_narrow(self) -> bool:
        """Whether there is a region."""
        return self.prior is not self.base

    @property
    def _chain(self) -> list[Narrowing]:
        """These proposals, and those of the rounds before that count, down to the prior."""
        return [self, *([] if self.before is None else self.before._chain)]

    def _draw(self, n: int, generator: np.random.Generator) -> Array:
        """Draw from the restricted prior."""
        return self.prior.sample(n, generator)

    def view(self, theta: Array, rounds: Rows) -> tuple[Prior, Mask]:
        """See all in a wide box around the region, of the rounds that count."""
        seen = self.base
        if self.draws is not None:
            seen = seen_from(self.base, self.draws, max(_SEEN, self.margin))
        count = np.isin(rounds, [one.number for one in self._chain])
        return unsampled(seen), seen.contains(theta) & count

    def inside(
        self, estimator: Any, x: Any, counts: list[int], generator: np.random.Generator
    ) -> float:
        """Count draws; the fewer simulations there are around one, the more it stands for."""
        if not self.sees_outside:
            return np.nan
        theta, weight = self._weighted(estimator, x, counts, generator)
        return _least_inside(self.prior, theta, weight)

    def _weighted(
        self, estimator: Any, x: Any, counts: list[int], generator: np.random.Generator
    ) -> tuple[Array, Array]:
        """
        Draw from the posterior, and weigh draws by the prior over the density of simulations.

        A density that is learnt from all of them together is one under their density. But networks
        are smooth, and densities of simulations are not: there is a largest weight.
        """
        asked = estimator._ask(x, warns=False)[1]
        theta = asked.sample(_LOOK, generator, shared_noise=True).theta
        weight = np.ones(theta.shape[:2])
        if getattr(final_of(estimator), "_estimates", "posterior") == "posterior":
            flat = theta.reshape(-1, theta.shape[-1])
            dense = [one._simulated(flat, counts[one.number]) for one in self._chain]
            weight = 1 / np.sum(dense, axis=0).reshape(weight.shape)
            weight = np.minimum(weight, _MOST_WEIGHT * weight.min(axis=1, keepdims=True))
        return theta, weight / weight.sum(axis=1, keepdims=True)

    def _simulated(self, theta: Array, n: int) -> Array:
        """Compute how dense the n simulations of a round are, over the prior."""
        wide = self._share_from_prior * n
        inside: Array = np.where(self.prior.contains(theta), (n - wide) / self.share, 0.0)
        return wide + inside

    def narrow(
        self,
        estimator: Any,
        x: Any,
        slack: float,
        counts: list[int],
        generator: np.random.Generator,
    ) -> None:
        """Add the region of a fit, with thresholds that are lowered by the slack."""
        last = copy(self)
        if self.sees_outside and self._are_narrow:
            theta, weight = self._weighted(estimator, x, counts, generator)
            if _least_inside(self.prior, theta, weight) < 1 - _MOST_OUTSIDE:
                slack += float(np.log(weight.max() / weight.min()))
                last = _last_that_holds(self._chain, theta, weight)
                self.prior, self.low, self.high = last.prior, last.low, last.high
                self.regions, self.draws, self.margin = last.regions, last.draws, last.margin
        self.before, self.number = last, len(counts)
        self._add_region(estimator, x, slack, generator)

    def _add_region(
        self, estimator: Any, x: Any, slack: float, generator: np.random.Generator
    ) -> None:
        """Cut the prior to the region of a fit, too."""
        region, theta, stretch = PosteriorRegion.around(estimator, x, _DRAWS, slack, generator)
        inside = self.prior.contains(theta)
        theta, margin = theta[inside], _MARGIN + 0.5 * (np.max(stretch) - 1)
        if not len(theta):
            self._stay("no draw of the last fit lies in the region of the rounds before")
            return
        low, high = box_around(self.base, theta, margin)
        low, high = np.maximum(low, self.low), np.minimum(high, self.high)
        regions: list[Region] = [*self.regions, region]
        try:
            prior, regions = self._restricted(low, high, regions, theta, margin)
        except ValueError as error:
            self._stay(str(error))
            return
        self.prior, self.low, self.high = prior, low, high
        self.regions, self.draws, self.margin = regions, theta, margin

    def _stay(self, why: str) -> None:
        """Tell that the region stays as it was."""
        warn_user(
            f"the region of the prior stays as it is, {self.share:.2g} of the prior: {why}",
            TrainingWarning,
        )

    def _restricted(
        self, low: Array, high: Array, regions: list[Region], theta: Array, margin: float
    ) -> tuple[Prior, list[Region]]:
        """Restrict the prior, by whichever box leaves fewer candidates to reject."""
        box = self.base.truncated(low, high)
        if has_quantile_map(self.base) and theta.shape[1] > 1:
            share = _Share(regions)
            in_box = share(box)
            if in_box < _FEW and (tilted := self._tilted(theta, margin)) is not None:
                around: list[Region] = [_Box(low, high), *regions]
                if _Share(around)(tilted) > in_box:
                    regions = [*around, tilted.holds]
                    return WithinPrior(tilted, tuple(reversed(regions)), rough=True), regions
        return WithinPrior(box, tuple(reversed(regions)), rough=True), regions

    def _tilted(self, theta: Array, margin: float) -> TiltedPrior | None:
        """Find the oblique box around draws, along the axes of their covariance."""
        z = self.base.to_unbounded(theta)
        axes = np.linalg.svd(z - z.mean(axis=0), full_matrices=False)[2].T
        along = z @ axes
        low, high = along.min(axis=0), along.max(axis=0)
        half = (0.5 + margin) * (high - low)
        if not np.all(half > 0):
            return None
        try:
            return TiltedPrior(self.base, axes @ ((low + high) / 2), axes * half)
        except ValueError:
            return None


class Atomic(Narrowing):
    """
    The same, for NPE with the atomic loss.

    Where there are no atoms, that loss leaves a density what it is. Proposals that are posteriors
    hardly ever show the tails, and mass leaks there: a spline flow was off by ten deviations.
    """

    sees_outside: ClassVar[bool] = False
    fit_parameters: ClassVar[dict[str, Any]] = {"criterion": "atomic"}


class Boxes(Narrowing):
    """
    The prior, cut to boxes, for estimators of marginals: simulations outside are left out.

    A marginal of the prior on a region of any shape has no density in closed form.
    """

    sees_outside: ClassVar[bool] = False

    def view(self, theta: Array, rounds: Rows) -> tuple[Prior, Mask]:
        """See the box."""
        return self.prior, self.prior.contains(theta)

    def _restricted(
        self, low: Array, high: Array, regions: list[Region], theta: Array, margin: float
    ) -> tuple[Prior, list[Region]]:
        """Cut the prior."""
        return self.base.truncated(low, high), []


class _Box:
    """The closed box, as a region."""

    def __init__(self, low: Array, high: Array) -> None:
        self.low, self.high = low, high

    def __call__(self, theta: Array) -> Mask:
        """Say which parameters lie inside."""
        return np.all((theta >= self.low) & (theta <= self.high), axis=1)


class _Share:
    """The share of a prior in some regions, by a few draws."""

    def __init__(self, regions: list[Region]) -> None:
        self.regions = regions

    def __call__(self, prior: Prior) -> float:
        """Count."""
        theta = prior.sample(_TRIES, 0)
        for region in reversed(self.regions):
            theta = theta[region(theta)] if len(theta) else theta
        return len(theta) / _TRIES


def _least_inside(prior: Prior, theta: Array, weight: Array) -> float:
    """Weigh the draws inside, of the posterior that has least there."""
    inside = prior.contains(theta.reshape(-1, theta.shape[-1])).reshape(weight.shape)
    return float(np.min(np.sum(weight * inside, axis=1)))


def _last_that_holds(chain: list[Narrowing], theta: Array, weight: Array) -> Narrowing:
    """Find the last round whose region holds nearly all of a posterior, or the first of all."""
    wide = 1 - _LITTLE_OUTSIDE
    return next(
        one
        for one in chain
        if one.before is None or _least_inside(one.prior, theta, weight) >= wide
    )
