"""
Metropolis-Hastings with proposals learnt from many chains.

From z a point z' is proposed with density q(z' | z) and accepted with probability
min(1, p(z') q(z | z') / (p(z) q(z' | z))), which leaves p invariant. Four proposals are mixed:

- a Gaussian step with the covariance of the target, of a size adapted to the acceptance;
- a differential step, gamma (z_a - z_b), from other chains a and b, gamma = 2.38 / sqrt(2 D), which
  has the shape of the target, whatever that is;
- the same with gamma = 1, a jump from mode to mode where a and b lie in different ones;
- a point that does not depend on z, from a mixture of Student distributions fitted to the chains
  in the warm-up: where the mixture is close to the target, nearly independent of the last draw.

The chains move in two halves, in turn. A half takes its differences from the other one, which
stands still meanwhile, so q is symmetric and the density of all chains together is invariant.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions

from sksbi.samplers._chains import MarkovSampler
from sksbi.samplers._halves import differences, halves
from sksbi.samplers._mixture import StudentMixture, fit_mixture
from sksbi.samplers._steps import GaussianSteps
from sksbi.samplers.base import LogProb
from sksbi.utils.types import Array, Mask, Rows

__all__ = ["MetropolisHastings"]


_GAUSSIAN, _DIFFERENTIAL, _JUMP, _INDEPENDENT = range(4)
_SHARES = np.array([0.3, 0.55, 0.15])
_NOISE = 1e-3
_LEAST_SHARE, _MOST_SHARE = 0.1, 0.7
_FEWEST_STEPS, _MOST_STEPS, _LEFT = 4, 16, 0.1
_FITS = (0.25, 0.5, 0.75, 1.0)
_MAY_SETTLE, _SETTLED_RATE = 0.5, 0.5
_POINTS_PER_FIT = 4000


class MetropolisHastings(MarkovSampler):
    """
    Metropolis-Hastings with proposals learnt from many chains.

    Parameters
    ----------
    n_chains : int or None, default=None
        How many chains :meth:`count_chains` asks for. None: a tenth of the number of draws, between
        100 and 1,000.
    n_warmup : int, default=100
        The number of steps in which the proposals adapt; they are not kept. The warm-up ends at
        half of them, or three quarters, if by then at least half of the points that the mixture
        proposes are accepted for every target.
    thin : int or None, default=None
        Of how many further steps one is kept. None: so many that all but 10% of the chains of every
        target have accepted a point of the mixture in between, as far as the rate of acceptance
        tells, but at least 4 and at most 16; 16 without a mixture.
    proposal : {"mixture", "differential", "gaussian"}, default="mixture"
        "gaussian" takes steps of the target's covariance alone; "differential" adds differences of
        chains and jumps between modes; "mixture" adds points from a mixture of Student
        distributions. Differences need at least 2 (D + 1) chains: with fewer there are none.
    step_size : float or None, default=None
        The standard deviation of Gaussian steps in every direction, never adapted. None adapts
        the covariance and the size of the steps.

    Notes
    -----
    Measured after the warm-up with 1,000 chains, one draw that is worth an independent one takes so
    many evaluations of the density with "mixture", "differential" and "gaussian": 2, 8 and 8 on a
    Gaussian of condition number 100 in 2 dimensions, 3, 17 and 17 in 5 dimensions, 22, 116 and 215
    on a thin banana, 3, 34 and 220 on two crescents, 4, 63 and 250 on four modes in 5 dimensions,
    5, 28 and 27 on a Gaussian in 8 dimensions of which the prior's draws hardly ever meet the mass,
    14, 38 and 35 on one in 10 dimensions. Where few starts are distinct, in 10 dimensions and more,
    the mixture helps less.

    With the defaults 1,000 draws take 9,000 to 26,000 evaluations, 10,000 draws 91,000 to 260,000,
    the fewest in few dimensions. On these targets, chains started by :func:`resample_reference`
    with 20,000 candidates, 10,000 draws are worth 0.8 to 1 of as many independent ones, on the
    banana 0.6; 1,000 draws 0.5 to 1. A network tells the 10,000 from exact draws no better than by
    chance (C2ST between 0.49 and 0.51).

    References
    ----------
    .. [1] A Markov chain Monte Carlo version of the genetic algorithm differential evolution (ter
       Braak, 2006). https://doi.org/10.1007/s11222-006-8769-1
    .. [2] Adaptive independent Metropolis-Hastings by fast estimation of mixtures of normals
       (Giordani and Kohn, 2010). https://arxiv.org/abs/0801.1864
    .. [3] emcee: The MCMC Hammer (Foreman-Mackey et al., 2013). https://arxiv.org/abs/1202.3665

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.samplers import MetropolisHastings
    >>> sampler = MetropolisHastings()
    >>> initial = np.random.default_rng(0).normal(size=(3, sampler.count_chains(1000), 2))
    >>> draws = sampler(lambda z: -0.5 * (z**2).sum(axis=-1), initial, 1000, random_state=0)
    >>> draws.shape
    (3, 1000, 2)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **MarkovSampler._parameter_constraints,
        "thin": [Interval(Integral, 1, None, closed="left"), None],
        "proposal": [StrOptions({"mixture", "differential", "gaussian"})],
        "step_size": [Interval(Real, 0, None, closed="neither"), None],
    }

    def __init__(
        self,
        n_chains: int | None = None,
        n_warmup: int = 100,
        thin: int | None = None,
        *,
        proposal: str = "mixture",
        step_size: float | None = None,
    ) -> None:
        self.n_chains = n_chains
        self.n_warmup = n_warmup
        self.thin = thin
        self.proposal = proposal
        self.step_size = step_size

    def _kernel(
        self, log_prob: LogProb, z: Array, log_p: Array, generator: np.random.Generator
    ) -> _MetropolisKernel:
        """Build the kernel."""
        return _MetropolisKernel(log_prob, z, log_p, generator, self)


class _MetropolisKernel:
    """The state of a run: the chains, and what the proposals have learnt."""

    def __init__(
        self,
        log_prob: LogProb,
        z: Array,
        log_p: Array,
        generator: np.random.Generator,
        sampler: MetropolisHastings,
    ) -> None:
        m, n_chains, D = z.shape
        self.log_prob, self.generator = log_prob, generator
        self.z, self.log_p, self.log_q = z, log_p, np.zeros_like(log_p)
        self.steps = GaussianSteps(z, sampler.step_size)
        self.fixed_thin, proposal = sampler.thin, sampler.proposal
        self.differential = proposal != "gaussian" and n_chains >= 2 * (D + 1)
        self.n_components = int(np.clip(64 // D, 2, 16)) if proposal == "mixture" else 0
        self.mixture: StudentMixture | None = None
        self.snapshots: list[tuple[float, Array]] = []
        self.accepted_steps = self.accepted_points = np.full(m, np.nan)
        self.rate = np.full(m, 0.5)
        self.settled = False

    @property
    def share(self) -> Array:
        """How often a point of the mixture is proposed: the more, the more of them are accepted."""
        return np.clip(self.rate, _LEAST_SHARE, _MOST_SHARE)

    @property
    def thin(self) -> int:
        """After how many steps nearly all chains have accepted a point of the mixture."""
        if self.fixed_thin is not None:
            return self.fixed_thin
        if self.mixture is None:
            return _MOST_STEPS
        slowest = (self.share * self.rate).min()
        n_steps = np.log(_LEFT) / np.log1p(-slowest)
        return int(np.clip(np.ceil(n_steps), _FEWEST_STEPS, _MOST_STEPS))

    def step(self) -> None:
        """Move all chains, half after half."""
        if not self.differential:
            self._move(np.arange(self.z.shape[1]), None)
            return
        for mine, others in halves(self.z.shape[1], self.generator):
            self._move(mine, others)

    def _move(self, mine: Rows, others: Rows | None) -> None:
        """Propose and accept for some chains of every target."""
        z, kinds = self.z[:, mine], self._choose_kinds(len(mine))
        proposed = self._propose(z, kinds, others)
        log_p = self.log_prob(proposed)
        log_q = self.log_q[:, mine] if self.mixture is None else self.mixture.log_prob(proposed)
        log_ratio = log_p - self.log_p[:, mine]
        log_ratio += np.where(kinds == _INDEPENDENT, self.log_q[:, mine] - log_q, 0.0)
        probability = np.exp(np.minimum(log_ratio, 0.0))
        accept = self.generator.random(kinds.shape) < probability
        self.z[:, mine] = np.where(accept[..., None], proposed, z)
        self.log_p[:, mine] = np.where(accept, log_p, self.log_p[:, mine])
        self.log_q[:, mine] = np.where(accept, log_q, self.log_q[:, mine])
        self.accepted_steps = _mean_where(probability, kinds == _GAUSSIAN)
        self.accepted_points = _mean_where(probability, kinds == _INDEPENDENT)

    def _choose_kinds(self, n: int) -> NDArray[np.intp]:
        """Choose a proposal for every chain."""
        shape = (len(self.z), n)
        edges = np.cumsum(_SHARES)[:-1]
        walk = np.searchsorted(edges, self.generator.random(shape), side="right")
        kinds = walk if self.differential else np.full(shape, _GAUSSIAN)
        if self.mixture is None:
            return kinds
        independent = self.generator.random(shape) < self.share[:, None]
        return np.where(independent, _INDEPENDENT, kinds)

    def _propose(self, z: Array, kinds: NDArray[np.intp], others: Rows | None) -> Array:
        """Propose points of the kinds that were chosen."""
        directions = self.steps.directions(z.shape[1], self.generator)
        proposed = z + self.steps.steps(directions)
        if others is not None:
            gamma = np.where(kinds == _JUMP, 1.0, 2.38 / np.sqrt(2 * z.shape[-1]))
            moved = differences(self.z[:, others], z.shape[1], self.generator)
            moved = z + gamma[..., None] * moved + _NOISE * directions
            proposed = np.where((kinds == _GAUSSIAN)[..., None], proposed, moved)
        if self.mixture is not None:
            fresh = self.mixture.sample(z.shape[1], self.generator)
            proposed = np.where((kinds == _INDEPENDENT)[..., None], fresh, proposed)
        return proposed

    def adapt(self, progress: float) -> None:
        """Learn size and shape of the steps, the mixture, and how often to draw from it."""
        self.steps.learn_size(self.accepted_steps)
        self.steps.learn_shape(self.z)
        self.rate = 0.9 * self.rate + 0.1 * np.nan_to_num(self.accepted_points, nan=0.5)
        if self.n_components:
            self._learn_mixture(progress)

    def _learn_mixture(self, progress: float) -> None:
        """Keep the chains of the last half of the warm-up so far, and fit at the quarters of it."""
        before = self.snapshots[-1][0] if self.snapshots else 0.0
        self.snapshots.append((progress, self.z.copy()))
        self.snapshots = [pair for pair in self.snapshots if pair[0] > progress / 2]
        if not any(before < edge <= progress for edge in _FITS):
            return
        n_sets = min(len(self.snapshots), -(-_POINTS_PER_FIT // self.z.shape[1]))
        chosen = np.linspace(len(self.snapshots) - 1, 0, n_sets).astype(int)
        points = np.concatenate([self.snapshots[i][1] for i in chosen], axis=1)
        if points.shape[1] > 4 * self.z.shape[-1]:
            self.mixture = fit_mixture(points, self.n_components, self.generator)
            self.log_q = self.mixture.log_prob(self.z)
            self.settled = progress >= _MAY_SETTLE and bool((self.rate >= _SETTLED_RATE).all())


def _mean_where(values: Array, mask: Mask) -> Array:
    """Average the marked values of every target; NaN where there are none."""
    with np.errstate(invalid="ignore"):
        return (values * mask).sum(axis=1) / mask.sum(axis=1)
