"""
A prior of independent parameters, restricted to a box whose edges follow correlated draws.

Where a region is long and oblique, hardly any draw of a box along the axes lies in it. In the
prior's unbounded space z, where the prior is the standard normal distribution, the box here is

.. math::
    \\{z : |A^{-1} (z - m)|_\\infty \\le 1\\},

and a point of it, drawn uniformly, is kept with probability p(z) over the largest p(z) in the box,
so draws are exact.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import lsq_linear

from sksbi.priors.around import FAR
from sksbi.priors.base import Prior
from sksbi.priors.derived import no_marginal
from sksbi.priors.rejection import count_kept
from sksbi.priors.within import Region, WithinPrior
from sksbi.utils.types import Array, Mask

__all__ = ["TiltedPrior"]

_LOG_2PI = np.log(2 * np.pi)
_BATCH, _LEAST = 10_000, 1e-4


class TiltedPrior(Prior):
    """
    The prior on an oblique box.

    Parameters
    ----------
    prior : Prior
        A prior of independent marginals, with their quantile map.
    center : ndarray of shape (D,)
        The center m, in the unbounded space.
    edges : ndarray of shape (D, D)
        The matrix A: its columns lead from the center to the sides.

    Raises
    ------
    ValueError
        If hardly any point of the box would be kept, as the prior varies too much over it.
    """

    def __init__(self, prior: Prior, center: Array, edges: Array) -> None:
        self.prior, self.center, self.edges = prior, center, edges
        self._inverse = np.linalg.inv(edges)
        super().__init__(
            None,
            prior._map,
            names=prior.names,
            inside=prior._inside,
            region=self.holds,
            covered=False,
        )
        # The point of highest density is the one nearest to the origin.
        nearest = lsq_linear(edges, -center, (-1, 1)).x
        self._log_highest = _log_normal((center + edges @ nearest)[None])[0]
        generator = np.random.default_rng(0)
        kept, tried = count_kept(lambda n: len(self._keep(n, generator)))
        self.acceptance = kept / tried
        if self.acceptance < _LEAST:
            raise ValueError("the prior varies too much over an oblique box.")
        error = np.sqrt((1 - self.acceptance) / kept)
        log_volume = np.linalg.slogdet(2 * edges)[1]
        self._log_mass = log_volume + self._log_highest + np.log(self.acceptance)
        self.log_prob_error = float(np.hypot(error, prior.log_prob_error))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.prior!r})"

    def holds(self, theta: Array) -> Mask:
        """
        Say which parameters lie in the box.

        Parameters
        ----------
        theta : ndarray of shape (n, D)
            Parameters.

        Returns
        -------
        ndarray of shape (n,)
            True inside.
        """
        z = self.prior.to_unbounded(theta) - self.center
        return np.all(np.abs(z @ self._inverse.T) <= 1, axis=1)

    @property
    def mass(self) -> float:
        """The share of the prior in the box."""
        return float(np.exp(self._log_mass))

    @property
    def boxed(self) -> Prior:
        """The prior on the smallest box along the parameters' axes that holds this one."""
        reach = np.abs(self.edges).sum(axis=1)
        z = np.stack([self.center - reach, self.center + reach])
        ends = self.prior.from_unbounded(np.clip(z, -FAR, FAR))
        low, high = np.where(np.abs(z) < FAR, ends, self.prior.support)
        return self.prior.truncated(low, high)

    def _keep(self, n: int, generator: np.random.Generator) -> Array:
        """Draw n points of the box, and keep them as the prior has it."""
        z = self.center + generator.uniform(-1, 1, size=(n, len(self.center))) @ self.edges.T
        log_share = _log_normal(z) - self._log_highest
        return z[np.log(generator.random(n)) < log_share]

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """Draw until n are kept."""
        kept, found = [], 0
        while found < n:
            wanted = int(1.1 * (n - found) / self.acceptance) + 10
            kept.append(self._keep(min(wanted, 10 * _BATCH), generator))
            found += len(kept[-1])
        return self.prior.from_unbounded(np.concatenate(kept)[:n])

    def _log_prob(self, theta: Array) -> Array:
        """Normalise the prior in the box."""
        return self.prior.log_prob(theta) - self._log_mass

    def _marginal(self, columns: list[int]) -> Prior:
        """Refuse."""
        raise no_marginal(self)

    def _truncated(self, low: Array, high: Array) -> Prior:
        """Truncate first, and ask about this box after."""
        return WithinPrior(self.prior.truncated(low, high), (self.holds,))

    def _within(self, region: Region) -> WithinPrior:
        """Reject."""
        return WithinPrior(self, (self.holds, region))


def _log_normal(z: Array) -> Array:
    """Evaluate the log-density of the standard normal distribution."""
    return -0.5 * (z**2).sum(axis=1) - 0.5 * z.shape[1] * _LOG_2PI
