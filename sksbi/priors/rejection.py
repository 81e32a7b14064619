"""
A prior restricted by rejection.

Draws of another prior are kept where a condition holds, so they are exact; the density is the other
one's divided by the share that is kept, the acceptance, which a fixed set of draws estimates.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sksbi.priors.base import Prior
from sksbi.priors.maps import UnboundedMap
from sksbi.utils.types import Array, Mask

__all__ = ["RestrictedPrior"]

_SEED = 608_135_816
_BATCH = 10_000
_LARGEST_BATCH = 100_000
# To within 1 % if one draw in ten is kept or more, 10 % if one in ten thousand is.
_ENOUGH = {_BATCH: 10_000, 100_000: 100, 1_000_000: 10}
_PATIENCE = 10


class RestrictedPrior(Prior):
    """
    Another prior where a condition holds.

    Parameters
    ----------
    prior : Prior
        The other prior.
    condition : callable
        It takes draws (n, D) and returns n booleans.
    label : str
        What the condition is called in messages.
    unbounded_map, inside, region : object
        As of `Prior`.

    Attributes
    ----------
    prior : Prior
        The other prior.
    acceptance : float
        The estimated share of the other prior's mass where the condition holds.
    acceptance_error : float
        Its standard error.
    log_prob_error : float
        The standard error of its logarithm, with that of the other prior's density.

    Raises
    ------
    ValueError
        If fewer than 10 of 1,000,000 draws meet the condition.
    """

    def __init__(
        self,
        prior: Prior,
        condition: Callable[[Array], Mask],
        label: str,
        unbounded_map: UnboundedMap,
        *,
        inside: tuple[Array, Array],
        region: Callable[[Array], Mask] | None = None,
    ) -> None:
        self.prior = prior
        super().__init__(
            None,
            unbounded_map,
            names=prior.names,
            inside=inside,
            region=region,
            holes=prior._holes,
            covered=prior._covered and unbounded_map is prior._map,
        )
        self._condition, self._label = condition, label
        kept, tried = self._count()
        self.acceptance = kept / tried
        self.acceptance_error = float(np.sqrt(self.acceptance * (1 - self.acceptance) / tried))
        relative = self.acceptance_error / self.acceptance
        self.log_prob_error = float(np.hypot(relative, prior.log_prob_error))

    def _count(self) -> tuple[int, int]:
        """Count draws that are kept, until they are enough for their number."""
        generator = np.random.default_rng(_SEED)
        kept = tried = 0
        while tried < max(_ENOUGH):
            kept += len(self._keep(_BATCH, generator))
            tried += _BATCH
            if any(tried >= n and kept >= enough for n, enough in _ENOUGH.items()):
                return kept, tried
        raise ValueError(
            f"{self._label} must hold at least one in 100,000 draws of {self.prior!r}, to be drawn "
            f"from by rejection, but only {kept} of {tried:,} lie inside, an acceptance of about "
            f"{kept / tried:.2g}: make it larger, or give a prior that is closer to it."
        )

    def _keep(self, n: int, generator: np.random.Generator) -> Array:
        """Draw n times and keep what meets the condition."""
        theta = self.prior.sample(n, generator)
        return theta[self._condition(theta)]

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """Draw until n are kept."""
        kept, found, tried = [], 0, 0
        while found < n:
            if tried > _PATIENCE * (n + _PATIENCE) / self.acceptance:
                raise ValueError(
                    f"{self._label} must give the same answer for the same theta, but kept only "
                    f"{found} of {tried:,} draws; its acceptance was {self.acceptance:.2g} before."
                )
            wanted = int(1.1 * (n - found) / self.acceptance) + _PATIENCE
            kept.append(self._keep(min(wanted, _LARGEST_BATCH), generator))
            found += len(kept[-1])
            tried += min(wanted, _LARGEST_BATCH)
        return np.concatenate(kept)[:n]

    def _log_prob(self, theta: Array) -> Array:
        """Normalise the other density, where the condition holds."""
        return self.prior.log_prob(theta) - np.log(self.acceptance)
