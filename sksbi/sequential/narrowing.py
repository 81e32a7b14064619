"""
Rounds that draw from the prior, on regions that shrink towards the posterior.

Each round adds a region, and the prior is restricted to their intersection. Parameters are drawn
there, a twentieth of them from all of the prior. Simulations of earlier rounds stay: inside, all of
them together follow the prior, see :mod:`sksbi.posteriors.restricted`.
"""

from __future__ import annotations

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
from sksbi.utils.types import Array, Mask
from sksbi.utils.warn import warn_user

__all__ = ["Atomic", "Boxes", "Narrowing"]

_DRAWS, _MARGIN, _SEEN = 10_000, 0.05, 1.0
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
    """

    def __init__(self, base: Prior) -> None:
        super().__init__(base)
        self.low, self.high = base.support
        self.regions: list[Region] = []
        self.draws: Array | None = None

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
        return bool(self.regions)

    def _draw(self, n: int, generator: np.random.Generator) -> Array:
        """Draw from the restricted prior."""
        return self.prior.sample(n, generator)

    def view(self, theta: Array) -> tuple[Prior, Mask]:
        """See all in a wide box around the region."""
        seen = self.base if self.draws is None else seen_from(self.base, self.draws, _SEEN)
        return unsampled(seen), seen.contains(theta)

    def narrow(self, estimator: Any, x: Any, slack: float, generator: np.random.Generator) -> None:
        """Add the region of a fit, with thresholds that are lowered by the slack."""
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
        self.regions, self.draws = regions, theta

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

    fit_parameters: ClassVar[dict[str, Any]] = {"criterion": "atomic"}


class Boxes(Narrowing):
    """
    The prior, cut to boxes, for estimators of marginals: simulations outside are left out.

    A marginal of the prior on a region of any shape has no density in closed form.
    """

    def view(self, theta: Array) -> tuple[Prior, Mask]:
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
