"""What any prior of dependent parameters can do to a box or a region: reject."""

from __future__ import annotations

from sksbi.priors.base import Prior
from sksbi.priors.truncated import TruncatedPrior
from sksbi.priors.within import Region, WithinPrior
from sksbi.utils.types import Array

__all__ = ["JointPrior"]


class JointPrior(Prior):
    """A prior of dependent parameters, with `truncated` and `within` by rejection."""

    def _truncated(self, low: Array, high: Array) -> TruncatedPrior:
        """Reject what lies outside the box."""
        return TruncatedPrior(self, low, high)

    def _within(self, region: Region) -> WithinPrior:
        """Reject what lies outside the region."""
        return WithinPrior(self, (region,))
