r"""
Candidates from a proposal that may be too narrow, or beside the target.

Weights p / q have no bound where a proposal q has lighter tails than the target p, and an infinite
variance that the effective size does not show: draws then are too narrow, and nothing tells. So
candidates come from

.. math::
    0.8 \, q(z) + 0.1 \, t_q(z) + 0.1 \, t_r(z),

with t_q a mixture of Student distributions as wide as twice the proposal, and t_r one as wide as
the reference. They have density everywhere and their densities are known, so weights are bounded
by ten times p / t_q and p / t_r: what the proposal leaves out is found, or lowers the effective
size. Where that has happened the draws, few as they are worth, tell where the target is: t_q is
fitted to them for the next candidates, and half of these come from it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import logsumexp

from sksbi.samplers._mixture import StudentMixture, fit_mixture
from sksbi.samplers.target import Reference
from sksbi.utils.types import Array

__all__ = ["Defended"]

_PILOT, _INFLATION = 250, 2.0
# Where every ten candidates come from: the proposal, what is fitted to points, or the widest.
_SOURCES = np.array([0, 0, 0, 0, 1, 0, 0, 0, 0, 2])
_SOURCES_WITH_DRAWS = np.array([1, 0, 1, 0, 1, 0, 1, 0, 1, 2])


class Defended:
    """
    A proposal, and a few candidates in ten from what is wider.

    Parameters
    ----------
    proposal : Reference
        The proposal at m observations.
    reference : Reference
        The density that the target is a ratio to.
    shape : tuple of int
        The number of observations m, of candidates n and of columns D.
    generator : numpy.random.Generator
        Where the points that the wider densities are fitted to come from.
    draws : ndarray of shape (m, k, D) or None, default=None
        Draws of the target, if there are some: the mixture of Student distributions is fitted to
        them, no wider than they are, and half of the candidates come from it.
    """

    def __init__(
        self,
        proposal: Reference,
        reference: Reference,
        shape: tuple[int, int, int],
        generator: np.random.Generator,
        draws: Array | None = None,
    ) -> None:
        m, n, D = shape
        self.pattern = _SOURCES if draws is None else _SOURCES_WITH_DRAWS
        self.proposal, self.m, self.D = proposal, m, D
        points, inflation = draws, 1.0
        if points is None:
            points, inflation = _finite(proposal.sample((m, _PILOT), generator)), _INFLATION
        mixture = fit_mixture(points, int(np.clip(16 // D, 1, 4)), generator)
        self.wider = replace(
            mixture, roots=inflation * mixture.roots, whiteners=mixture.whiteners / inflation
        )
        self.widest = fit_mixture(reference.sample((1, 4 * _PILOT), generator), 1, generator)
        with np.errstate(divide="ignore"):
            self.log_shares = np.log(np.bincount(self._sources(slice(0, n)), minlength=3) / n)

    def sample(self, part: slice, generator: np.random.Generator) -> Array:
        """
        Draw some of the n candidates of every observation.

        Parameters
        ----------
        part : slice
            Which: every source has a fixed share of the numbers.
        generator : numpy.random.Generator
            Where the noise comes from.

        Returns
        -------
        ndarray of shape (m, k, D)
            The candidates; NaN where the target is zero.
        """
        sources = self._sources(part)
        z = np.empty((self.m, len(sources), self.D))
        counts = np.bincount(sources, minlength=3)
        if counts[0]:
            z[:, sources == 0] = self.proposal.sample((self.m, counts[0]), generator)
        z[:, sources == 1] = self.wider.sample(counts[1], generator)
        widest = self.widest.sample(self.m * counts[2], generator)
        z[:, sources == 2] = widest.reshape(self.m, counts[2], self.D)
        return z

    def log_prob(self, z: Array) -> Array:
        """
        Compute the log density that candidates have.

        Parameters
        ----------
        z : ndarray of shape (m, k, D)
            Points.

        Returns
        -------
        ndarray of shape (m, k)
            The log densities.
        """
        widest: StudentMixture = self.widest
        each = [
            self.proposal.log_prob(z),
            self.wider.normalised_log_prob(z),
            widest.normalised_log_prob(z.reshape(1, -1, self.D)).reshape(z.shape[:2]),
        ]
        return np.asarray(logsumexp(np.stack(each, axis=-1) + self.log_shares, axis=-1))

    def _sources(self, part: slice) -> Array:
        """Number the source of every candidate."""
        return self.pattern[np.arange(part.start, part.stop) % len(self.pattern)]


def _finite(z: Array) -> Array:
    """Put finite points of the same observation in the place of others."""
    dead = np.isnan(z[:, :, 0])
    for row in np.flatnonzero(dead.any(axis=1)):
        good = np.flatnonzero(~dead[row])
        if not len(good):
            raise ValueError(
                "proposal must have draws inside the prior's support, got none among "
                f"{z.shape[1]} for target {row}."
            )
        z[row, dead[row]] = z[row, np.resize(good, np.count_nonzero(dead[row]))]
    return z
