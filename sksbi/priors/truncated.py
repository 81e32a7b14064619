"""A prior of dependent parameters on a smaller box."""

from __future__ import annotations

import numpy as np

from sksbi.priors.base import Prior, floats_inside
from sksbi.priors.derived import no_marginal
from sksbi.priors.maps import BoxMap
from sksbi.priors.rejection import RestrictedPrior
from sksbi.priors.within import Region, WithinPrior
from sksbi.utils.types import Array, Mask

__all__ = ["TruncatedPrior"]


class TruncatedPrior(RestrictedPrior):
    """
    A prior restricted to a box, by rejection; the map follows from the box.

    Parameters
    ----------
    prior : Prior
        The prior before.
    low, high : ndarray of shape (D,)
        The box, inside its support.
    """

    def __init__(self, prior: Prior, low: Array, high: Array) -> None:
        first, last = floats_inside(low, high)
        inside = np.maximum(first, prior._inside[0]), np.minimum(last, prior._inside[1])
        super().__init__(prior, _Box(low, high), "low and high", BoxMap(low, high), inside=inside)

    def __repr__(self) -> str:
        low, high = (bound.tolist() for bound in self.support)
        return f"{type(self).__name__}({self.prior!r}, low={low}, high={high})"

    def _marginal(self, columns: list[int]) -> Prior:
        """Leave out parameters whose bounds are as they were before."""
        (low, high), (low_before, high_before) = self.support, self.prior.support
        cut = (low > low_before) | (high < high_before)
        if np.delete(cut, columns).any():
            raise no_marginal(self)
        return self.prior.marginal(columns).truncated(low[columns], high[columns])

    def _truncated(self, low: Array, high: Array) -> Prior:
        """Truncate the prior before, once."""
        return self.prior.truncated(low, high)

    def _within(self, region: Region) -> WithinPrior:
        """Reject once more."""
        return WithinPrior(self, (region,))


class _Box:
    """The closed box, as a condition."""

    def __init__(self, low: Array, high: Array) -> None:
        self.low, self.high = low, high

    def __call__(self, theta: Array) -> Mask:
        """Say which rows lie inside."""
        return np.all((theta >= self.low) & (theta <= self.high), axis=1)
