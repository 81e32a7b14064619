"""
Slice sampling along lines between chains.

Draw a level u uniformly below p(z); then draw z' uniformly from the slice {z' : p(z') > u}. On a
line through z that is easy: an interval of random position around z is stepped out until both ends
lie outside the slice, then points are drawn from it, and it shrinks to every point that lies
outside. No step is refused, and a wrong width only costs evaluations. The lines have the directions
of differences between two chains of the other half, which stands still meanwhile: so they have the
target's shape.

Lines seldom meet another mode. So every chain is also offered the whole difference as a jump, which
is accepted with probability min(1, p(z') / p(z)): it leads from mode to mode where the two chains
lie in different ones.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval

from sksbi.samplers._chains import MarkovSampler
from sksbi.samplers._halves import differences, halves
from sksbi.samplers._steps import GaussianSteps
from sksbi.samplers.base import LogProb
from sksbi.utils.types import Array, Mask, Rows

__all__ = ["SliceSampler"]

_MOST_SHRINKS = 100
_NOISE = 1e-3


class SliceSampler(MarkovSampler):
    """
    Slice sampling along lines between chains.

    Parameters
    ----------
    n_chains : int or None, default=None
        How many chains :meth:`count_chains` asks for. None: a tenth of the number of draws, between
        100 and 1,000.
    n_warmup : int, default=50
        The number of steps in which the width adapts; they are not kept.
    thin : int, default=10
        Of how many further steps one is kept.
    max_expansions : int, default=16
        How many widths the interval may grow to.

    Notes
    -----
    One draw that is worth an independent one takes 14 evaluations of the density on a Gaussian in 2
    dimensions, 38 in 5 dimensions, 97 on two thin crescents, 123 on four modes in 5 dimensions, and
    180 on a banana: several times those of :class:`MetropolisHastings`. With the defaults 10,000
    draws take about 900,000. In return there is no step size, and no draw occurs twice.

    References
    ----------
    .. [1] Slice sampling (Neal, 2003). https://doi.org/10.1214/aos/1056562461
    .. [2] Ensemble slice sampling (Karamanis and Beutler, 2021). https://arxiv.org/abs/2002.06212

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.samplers import SliceSampler
    >>> sampler = SliceSampler()
    >>> initial = np.random.default_rng(0).normal(size=(3, sampler.count_chains(1000), 2))
    >>> draws = sampler(lambda z: -0.5 * (z**2).sum(axis=-1), initial, 1000, random_state=0)
    >>> draws.shape
    (3, 1000, 2)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **MarkovSampler._parameter_constraints,
        "max_expansions": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_chains: int | None = None,
        n_warmup: int = 50,
        thin: int = 10,
        *,
        max_expansions: int = 16,
    ) -> None:
        self.n_chains = n_chains
        self.n_warmup = n_warmup
        self.thin = thin
        self.max_expansions = max_expansions

    def _kernel(
        self, log_prob: LogProb, z: Array, log_p: Array, generator: np.random.Generator
    ) -> _SliceKernel:
        """Build the kernel."""
        return _SliceKernel(log_prob, z, log_p, generator, self.max_expansions, self.thin)


class _SliceKernel:
    """The state of a run: the chains, the width, and the shape of the target."""

    settled = False

    def __init__(
        self,
        log_prob: LogProb,
        z: Array,
        log_p: Array,
        generator: np.random.Generator,
        max_expansions: int,
        thin: int,
    ) -> None:
        self.log_prob, self.generator, self.max_expansions = log_prob, generator, max_expansions
        self.thin = thin
        self.z, self.log_p = z, log_p
        self.steps = GaussianSteps(z, None)
        self.differential = z.shape[1] >= 2 * (z.shape[2] + 1)
        self.log_width = np.zeros(len(z))
        self.n_seen = 0
        self.counts = np.zeros((2, len(z)))

    def step(self) -> None:
        """Move all chains, half after half."""
        self.counts[:] = 0
        if not self.differential:
            every = np.arange(self.z.shape[1])
            self._move(every, self.steps.directions(len(every), self.generator))
            return
        for mine, others in halves(self.z.shape[1], self.generator):
            self._move(mine, self._differences(mine, others))
            self._jump(mine, self._differences(mine, others))

    def _differences(self, mine: Rows, others: Rows) -> Array:
        """Draw differences between other chains, with a little noise so that all can be reached."""
        noise = self.steps.directions(len(mine), self.generator)
        return differences(self.z[:, others], len(mine), self.generator) + _NOISE * noise

    def _jump(self, mine: Rows, jumps: Array) -> None:
        """Offer jumps, and accept as Metropolis does."""
        proposed = self.z[:, mine] + jumps
        log_p = self.log_prob(proposed)
        level = self.log_p[:, mine] - self.generator.standard_exponential(log_p.shape)
        accept = log_p > level
        self.z[:, mine] = np.where(accept[..., None], proposed, self.z[:, mine])
        self.log_p[:, mine] = np.where(accept, log_p, self.log_p[:, mine])

    def _move(self, mine: Rows, directions: Array) -> None:
        """Draw a level, and a point of the slice on a line, for some chains of every target."""
        z, log_p = self.z[:, mine], self.log_p[:, mine]
        level = log_p - self.generator.standard_exponential(log_p.shape)
        low, high = self._step_out(z, directions, level)
        moved, found = self._shrink(z, directions, level, low, high)
        stayed = np.isneginf(found)
        self.z[:, mine], self.log_p[:, mine] = moved, np.where(stayed, log_p, found)

    def _step_out(self, z: Array, directions: Array, level: Array) -> tuple[Array, Array]:
        """Find intervals whose ends lie outside the slice, both ends in one call."""
        width = np.exp(self.log_width)[:, None]
        low = -width * self.generator.random(level.shape)
        ends = np.stack([low, low + width])
        left = np.floor(self.max_expansions * self.generator.random(level.shape))
        left = np.stack([left, self.max_expansions - 1 - left])
        outwards = np.stack([-width, width])
        growing = left > 0
        while growing.any():
            inside = self._are_inside(z, directions, level, ends, growing)
            ends = ends + np.where(inside, outwards, 0.0)
            left = left - inside
            growing = inside & (left > 0)
            self.counts[0] += inside.sum(axis=(0, 2))
        return ends[0], ends[1]

    def _are_inside(
        self, z: Array, directions: Array, level: Array, ends: Array, growing: Mask
    ) -> Mask:
        """Tell which ends lie in the slice, of those that may grow."""
        points = z + ends[..., None] * directions
        points = np.concatenate(list(points), axis=1)
        values = self._evaluate(points, np.concatenate(list(growing), axis=1))
        return np.stack(np.split(values, 2, axis=1)) > level

    def _shrink(
        self, z: Array, directions: Array, level: Array, low: Array, high: Array
    ) -> tuple[Array, Array]:
        """Draw points from the intervals until they lie in the slice; -inf where none was found."""
        log_p = np.full(level.shape, -np.inf)
        place, searching = np.zeros(level.shape), np.ones(level.shape, dtype=bool)
        for _ in range(_MOST_SHRINKS):
            draw = low + (high - low) * self.generator.random(level.shape)
            place = np.where(searching, draw, place)
            values = self._evaluate(z + place[..., None] * directions, searching)
            found = searching & (values > level)
            log_p = np.where(found, values, log_p)
            searching &= ~found
            low = np.where(searching & (place < 0), place, low)
            high = np.where(searching & (place >= 0), place, high)
            self.counts[1] += searching.sum(axis=1)
            if not searching.any():
                break
        return np.where(searching, 0.0, place)[..., None] * directions + z, log_p

    def _evaluate(self, points: Array, wanted: Mask) -> Array:
        """Evaluate the points that are wanted, the others are -inf: as few columns as possible."""
        width = int(wanted.sum(axis=1).max())
        order = np.argsort(~wanted, axis=1, kind="stable")[:, :width]
        values = self.log_prob(np.take_along_axis(points, order[..., None], axis=1))
        result = np.full(wanted.shape, -np.inf)
        np.put_along_axis(result, order, values, axis=1)
        return np.where(wanted, result, -np.inf)

    def adapt(self, progress: float) -> None:
        """Widen where steps outwards outnumber shrinks, narrow elsewhere."""
        self.n_seen += 1
        self.steps.learn_shape(self.z)
        expansions, shrinks = self.counts + 1.0
        wanted = np.log(2 * expansions / (expansions + shrinks))
        self.log_width = self.log_width + wanted * self.n_seen**-0.5
