"""A prior within a region of any shape."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sksbi.priors.base import Prior
from sksbi.priors.derived import no_marginal
from sksbi.priors.rejection import RestrictedPrior
from sksbi.utils.types import Array, Mask

__all__ = ["Region", "WithinPrior"]

Region = Callable[[Array], Mask]


class WithinPrior(RestrictedPrior):
    """
    A prior restricted to where all of some regions hold, in the same box and with the same map.

    Parameters
    ----------
    prior : Prior
        The prior before.
    regions : tuple of callable
        Each takes theta (n, D), float64, and returns n booleans. A later one is asked only about
        what lies in the earlier ones.
    rough : bool, default=False
        Whether the acceptance need not be known to better than a twentieth.

    Attributes
    ----------
    regions : tuple of callable
        The regions.
    """

    def __init__(self, prior: Prior, regions: tuple[Region, ...], *, rough: bool = False) -> None:
        self.regions = regions
        common, inside = _Intersection(regions), prior._inside
        super().__init__(
            prior, common, "region", prior._map, inside=inside, region=common, rough=rough
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, (self.prior, *self.regions)))})"

    def _marginal(self, columns: list[int]) -> Prior:
        """Refuse."""
        raise no_marginal(self)

    def _truncated(self, low: Array, high: Array) -> WithinPrior:
        """Truncate first, which may be exact."""
        return WithinPrior(self.prior.truncated(low, high), self.regions)

    def _within(self, region: Region) -> WithinPrior:
        """Ask one region more."""
        return WithinPrior(self.prior, (*self.regions, region))


class _Intersection:
    """Some regions as one, with their answers checked."""

    def __init__(self, regions: tuple[Region, ...]) -> None:
        self.regions = regions

    def __call__(self, theta: Array) -> Mask:
        """Say which rows lie in every region."""
        rows = np.arange(len(theta))
        for region in self.regions:
            rows = rows[_ask(region, theta[rows])]
        inside = np.zeros(len(theta), dtype=bool)
        inside[rows] = True
        return inside


def _ask(region: Region, theta: Array) -> Mask:
    """Call a region, unless about nothing, and check what it says."""
    if len(theta) == 0:
        return np.zeros(0, dtype=bool)
    try:
        answer = np.asarray(region(theta))
    except (IndexError, KeyError, TypeError) as error:
        raise type(error)(
            f"region must take an array of shape (n, D), {theta.shape} here, whose columns are the "
            f"parameters in order, as in theta[:, 0] > 0, but {region!r} raised: {error}"
        ) from error
    if answer.shape != (len(theta),) or answer.dtype != bool:
        raise ValueError(
            f"region must return n booleans for theta of shape (n, D) = {theta.shape}, got "
            f"{answer.dtype} of shape {answer.shape} from {region!r}."
        )
    return answer
