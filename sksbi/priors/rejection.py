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

__all__ = ["RestrictedPrior", "count_kept"]

_SEED = 608_135_816
_BATCH = 10_000
_LARGEST_BATCH = 100_000
# So many of so many draws. To within 1 % if one draw in ten is kept or more, 10 % if one in ten
# thousand is; and to within 5 % if one in ten is.
_FINE = {_BATCH: 10_000, 100_000: 100, 1_000_000: 10}
_ROUGH = {2_000: 400, 20_000: 100, 200_000: 20, 1_000_000: 10}
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
    rough : bool, default=False
        Whether the acceptance need not be known to better than a twentieth.

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
        rough: bool = False,
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
        generator, rules = np.random.default_rng(_SEED), _ROUGH if rough else _FINE
        kept, tried = count_kept(lambda n: len(self._keep(n, generator)), rules)
        if tried >= max(rules) and kept < rules[max(rules)]:
            raise ValueError(
                f"{label} must hold at least one in 100,000 draws of {prior!r}, to be drawn from "
                f"by rejection, but only {kept} of {tried:,} lie inside, an acceptance of about "
                f"{kept / tried:.2g}: make it larger, or give a prior that is closer to it."
            )
        self.acceptance = kept / tried
        self.acceptance_error = float(np.sqrt(self.acceptance * (1 - self.acceptance) / tried))
        relative = self.acceptance_error / self.acceptance
        self.log_prob_error = float(np.hypot(relative, prior.log_prob_error))

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


def count_kept(keep: Callable[[int], int], rules: dict[int, int] = _FINE) -> tuple[int, int]:
    """
    Count what is kept of draws, until that is enough for their number.

    Parameters
    ----------
    keep : callable
        Draws so many, and returns how many are kept.
    rules : dict, default={10000: 10000, 100000: 100, 1000000: 10}
        What is enough: {number of draws: number that is kept}. The least number is drawn at once.

    Returns
    -------
    kept : int
        How many were kept.
    tried : int
        How many were drawn, the largest number of the rules at most.
    """
    kept = tried = 0
    while tried < max(rules):
        kept += keep(min(rules))
        tried += min(rules)
        if any(tried >= n and kept >= enough for n, enough in rules.items()):
            break
    return kept, tried
