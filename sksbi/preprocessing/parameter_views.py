"""
Views of theta: what the network of a likelihood is given.

The mean of x is often a simple function of theta in its own units, linear to begin with, and the
network's unbounded parameters bend it. So a parameter that fills its bounds about evenly is given
as it is, standardised. Others may reach over decades: they are given in unbounded units, and beside
that as they are, robustly scaled, where the two differ.
"""

from __future__ import annotations

import numpy as np

from sksbi.preprocessing.parameter_space import ParameterSpace
from sksbi.preprocessing.views import RobustViews
from sksbi.utils.types import Array, Mask

__all__ = ["ParameterViews"]

_ALIKE, _EVEN = 0.999, 0.95
_BEYOND = 2.0


class ParameterViews:
    """
    The map from theta to its views.

    Parameters
    ----------
    space : ParameterSpace
        The map from theta to unbounded parameters, fitted.
    theta : ndarray of shape (n, D)
        The parameters that the views are learnt from.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import stats
    >>> from sksbi.preprocessing import ParameterSpace, ParameterViews
    >>> from sksbi.priors import check_prior
    >>> prior = check_prior({"rate": stats.lognorm(1.0), "share": stats.uniform()})
    >>> theta = prior.sample(1000, np.random.default_rng(0))
    >>> views = ParameterViews(ParameterSpace(prior, None).fit(theta), theta)
    >>> views(theta).shape  # the logarithm of the rate, the rate, and the share
    (1000, 3)
    """

    def __init__(self, space: ParameterSpace, theta: Array) -> None:
        self.space = space
        u = space.to_network(theta)[0]
        bounded = self._bounded(theta.shape[1])
        self.mean, sd = theta.mean(axis=0), theta.std(axis=0)
        self.sd = np.where(sd > 0, sd, 1.0)
        self.robust = RobustViews(logarithms=False).fit(theta)
        self.bounded = bounded
        likeness = np.abs((_standardised(self._own(theta)) * _standardised(u)).mean(axis=0))
        even = bounded & (likeness > _EVEN)
        self.unbounded = np.flatnonzero(~even)
        low, high = u.min(axis=0), u.max(axis=0)
        # Beyond that nothing was simulated, and at a bound there is no end to it.
        self.low, self.high = low - _BEYOND, high + _BEYOND
        self.own = np.flatnonzero(even | (likeness <= _ALIKE))

    @property
    def n_views(self) -> int:
        """The number of views."""
        return len(self.unbounded) + len(self.own)

    def __call__(self, theta: Array) -> Array:
        """
        Compute the views.

        Parameters
        ----------
        theta : ndarray of shape (n, D)
            Parameters; outside the prior's support those of the nearest point inside.

        Returns
        -------
        ndarray of shape (n, n_views)
            The views.
        """
        z = self.space.to_unbounded(theta) if len(self.unbounded) else None
        return self._of(z, theta)

    def from_unbounded(self, z: Array) -> Array:
        """
        Compute the views at points of the prior's unbounded space.

        Parameters
        ----------
        z : ndarray of shape (n, D)
            Points.

        Returns
        -------
        ndarray of shape (n, n_views)
            The views.
        """
        prior = self.space.prior
        theta = z if prior is None or not len(self.own) else prior.from_unbounded(z)
        return self._of(z, theta)

    def _of(self, z: Array | None, theta: Array) -> Array:
        """Set unbounded parameters and theta's own units side by side."""
        parts = []
        if z is not None and len(self.unbounded):
            u = np.clip(self.space.unbounded_to_network(z), self.low, self.high)
            parts.append(u[:, self.unbounded])
        if len(self.own):
            parts.append(self._own(theta)[:, self.own])
        return np.hstack(parts)

    def _own(self, theta: Array) -> Array:
        """Scale theta as it is: plainly where it is bounded, robustly elsewhere."""
        if self.space.prior is not None:
            theta = np.clip(theta, *self.space.prior.support)
        plain = (theta - self.mean) / self.sd
        if self.bounded.all():
            return plain
        return np.where(self.bounded, plain, self.robust.transform(theta))

    def _bounded(self, n_parameters: int) -> Mask:
        """Tell which parameters have two bounds; where a transformer mixes them, none counts."""
        if self.space.prior is None or self.space.transformer is not None:
            return np.zeros(n_parameters, bool)
        low, high = self.space.prior.support
        return np.isfinite(low) & np.isfinite(high)


def _standardised(columns: Array) -> Array:
    """Bring columns to mean 0 and deviation 1; a constant one becomes zero."""
    sd = columns.std(axis=0)
    return (columns - columns.mean(axis=0)) / np.where(sd > 0, sd, 1.0)
