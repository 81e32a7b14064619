"""
Importance resampling: candidates from a density near the target, kept by weight.

With candidates from r and weights w = p / r, draws among the candidates by weight come from p in
the limit of many candidates. They are worth (sum w)^2 / sum w^2 independent ones: the share of
candidates that counts is about the volume of p's mass in that of r. So r is the reference for
targets that are not much narrower, and a proposal that lies near the target for all others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import HasMethods, Interval
from tqdm.auto import tqdm

from sksbi.samplers._adaptive import contract
from sksbi.samplers._defensive import Defended
from sksbi.samplers.base import ChainStatistics, LogProb, Sampler, checked
from sksbi.samplers.target import Target, chunks, systematic
from sksbi.utils.random import draw_seed
from sksbi.utils.types import Array

__all__ = ["ImportanceResampling"]

_COSTLY, _TIMES, _FEWEST, _FEWEST_FROM_PRIOR = 10, 10, 500, 20_000
# From the prior: where so many candidates are worth enough, there need not be more.
_FEW_TIMES, _FEW, _ENOUGH_TIMES, _ENOUGH = 20, 2_000, 2, 200
# With a proposal; where candidates are worth too few, there are more of them, with a margin.
_PROPOSED, _MARGIN, _MOST_POINTS = (2, 1_000), 1.25, 1_000
_MOST_KEPT = 10_000_000


class ImportanceResampling(Sampler):
    """
    Importance resampling of candidates from the reference, or from a proposal.

    Parameters
    ----------
    n_candidates : int or None, default=None
        The number of candidates of every target, at least the number of draws. None: with a
        proposal twice the number of draws, and 1,000 at least; for targets of which these are worth
        fewer than the number of draws as many as that takes, up to ten times. Without one ten
        times, and 20,000 at least, but no more than 20 times, and 2,000, where these are worth
        twice as many as the draws, and 200; where a point takes ten evaluations or more, as many
        trials do, candidates then contract onto one target after the other instead, until they are
        worth the number of draws, or are ten times as many.
    proposal : estimator or None, default=None
        A fitted posterior estimator of the same prior, parameters and x, with a normalised density:
        :class:`sksbi.NPE`, an Ensemble or CalibratedPosterior of it, or a Pipeline that ends in
        one. Candidates then come from its posterior of every observation, and are fewer. In
        ``sklearn.frozen.FrozenEstimator`` its fit survives ``clone``, and searches. None: from the
        prior.
    n_chains : int or None, default=None
        How many chains :meth:`count_chains` asks for; None is 1. The values of ``initial`` are not
        used, only its shape is.

    Notes
    -----
    The candidates of every target are drawn anew. They are chosen by systematic resampling, so a
    candidate is drawn twice only if it has more than the n-th part of the weight; take so many that
    the effective sample size, which :meth:`run` tells, is several times the number of draws.
    Of many candidates only the weights are kept: those that were chosen are drawn a second time.

    Of ten candidates eight come from the proposal. One comes from Student distributions twice as
    wide as it is, and one from a Student distribution as wide as the prior: where the proposal is
    too narrow, or beside the posterior, weights stay bounded, and draws right, as long as the
    effective sample size is good. Where that is below the number of draws, half of the candidates
    of a second round come from Student distributions fitted to the draws of the first.

    As an estimator's ``sampler`` the proposal is asked at that estimator's x: in a Pipeline that is
    x after the other steps. Of independent trials (``iid=True``) it takes as many as it was fitted
    to as one x, of shape (trials, ...) or in one row.

    References
    ----------
    .. [1] Monte Carlo theory, methods and examples (Owen, 2013), chapter 9.
       https://artowen.su.domains/mc/
    .. [2] Weighted average importance sampling and defensive mixture distributions (Hesterberg,
       1995). https://doi.org/10.1080/00401706.1995.10484303

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.samplers import ImportanceResampling, Target
    >>> class Normal:
    ...     def sample(self, shape, generator):
    ...         return generator.standard_normal((*shape, 1))
    ...     def log_prob(self, z):
    ...         return -0.5 * z[..., 0] ** 2
    >>> target = Target(lambda z: z[..., 0], Normal())  # N(1, 1)
    >>> draws, statistics = ImportanceResampling().run(target, np.zeros((1, 1, 1)), 10_000, 0)
    >>> float(draws.mean().round(1)), float(draws.std().round(1))
    (1.0, 1.0)
    """

    uses_starts = False
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Sampler._parameter_constraints,
        "n_candidates": [Interval(Integral, 1, None, closed="left"), None],
        "proposal": [HasMethods(["sample", "log_prob"]), None],
    }

    def __init__(
        self,
        n_candidates: int | None = None,
        *,
        proposal: Any = None,
        n_chains: int | None = None,
    ) -> None:
        self.n_candidates = n_candidates
        self.proposal = proposal
        self.n_chains = n_chains

    def advise(self) -> str:
        """
        Tell what to change where the draws are worth too few.

        Returns
        -------
        str
            More candidates, or chains.
        """
        if self.proposal is not None:
            return (
                "the posterior of the sampler's proposal lies beside this one, or is much narrower "
                "or wider: was it fitted to the same x (in a Pipeline, x after the other steps)? "
                "Fit it to more simulations, give more candidates, as in "
                "ImportanceResampling(200_000, proposal=...), now n_candidates="
                f"{self.n_candidates!r}, or take sampler='metropolis_hastings'"
            )
        return (
            "candidates from the prior seldom meet a posterior this narrow: give more of them, as "
            f"in ImportanceResampling(n_candidates=200_000), now {self.n_candidates!r}, or take "
            "sampler='metropolis_hastings'"
        )

    def _default_chains(self, n_samples: int) -> int:
        """Ask for one: the starts are not used."""
        return 1

    def _run(
        self,
        log_prob: LogProb,
        initial: Array,
        n_samples: int,
        generator: np.random.Generator,
        verbose: bool,
    ) -> tuple[Array, ChainStatistics]:
        """Weight all candidates, and choose."""
        if not isinstance(log_prob, Target):
            raise TypeError(
                "importance resampling needs a density to draw candidates from: log_prob must be a "
                f"sksbi.samplers.Target(log_ratio, reference), got {type(log_prob).__name__}."
            )
        if self.proposal is not None and log_prob.proposal is None:
            raise TypeError(
                "proposal is asked at an estimator's observations, of which log_prob knows none: "
                "give this sampler to an estimator, as in NRE(prior, sampler=...), or the density "
                "to draw from to the target, as in Target(log_ratio, reference, proposal=density)."
            )
        select = log_prob.select if self.n_candidates is None else None
        proposed = log_prob.proposal is not None
        if select is not None and not proposed and log_prob.cost >= _COSTLY:
            alone = [select(i) for i in range(len(initial))]
            return self._contract(alone, n_samples, generator, verbose)
        n_candidates = self._count_candidates(n_samples, log_prob)
        if proposed or select is None:
            draws, ess = _weigh(
                log_prob, initial.shape, n_samples, n_candidates, generator, verbose
            )
        else:
            draws, ess = _weigh_enough(
                log_prob, select, initial.shape, n_samples, n_candidates, generator, verbose
            )
        if select is not None and proposed:
            _improve(select, draws, ess, n_candidates, generator, verbose)
        each = np.repeat(ess[:, None], initial.shape[2], axis=1)
        return draws, ChainStatistics(np.full_like(each, np.nan), each)

    def _count_candidates(self, n_samples: int, target: Target) -> int:
        """Choose the number of candidates of every target."""
        times, fewest = (_TIMES, _FEWEST_FROM_PRIOR) if target.proposal is None else _PROPOSED
        n_candidates = int(self.n_candidates or max(fewest, times * n_samples))
        if n_candidates < n_samples:
            raise ValueError(
                f"n_candidates must be at least n_samples = {n_samples}, got {n_candidates}."
            )
        return n_candidates

    def _contract(
        self,
        targets: Sequence[Target],
        n_samples: int,
        generator: np.random.Generator,
        verbose: bool,
    ) -> tuple[Array, ChainStatistics]:
        """Let candidates contract onto one target after the other, and choose."""
        draws, ess = [], []
        most = _TIMES * max(n_samples, _FEWEST)
        for i, target in enumerate(targets):
            z, log_weights = contract(target, n_samples, most, generator, verbose, i)
            chosen = systematic(log_weights[None], n_samples, generator)[0]
            draws.append(z[generator.permutation(chosen)])
            ess.append(np.repeat(_effective(log_weights[None]), z.shape[1]))
        return np.stack(draws), ChainStatistics(np.full_like(ess, np.nan), np.stack(ess))


def _weigh(
    target: Target,
    shape: tuple[int, ...],
    n_samples: int,
    n_candidates: int,
    generator: np.random.Generator,
    verbose: bool,
    known: Array | None = None,
    *,
    may_miss: bool = False,
) -> tuple[Array, Array]:
    """Weight all candidates, choose, and tell how many independent ones they are worth."""
    m, _, D = shape
    source, log_weight = _source(target, (m, n_candidates, D), generator, known)
    keeps = m * n_candidates * D <= _MOST_KEPT
    pieces = [_Piece(part, source, draw_seed(generator), keeps) for part in chunks(n_candidates, m)]
    log_weights = np.empty((m, n_candidates))
    for piece in tqdm(pieces, desc="Candidates", disable=not verbose):
        candidates = piece.draw()
        if candidates.shape[-1] != D:
            raise ValueError(
                f"initial must have {candidates.shape[-1]} columns, as the reference of "
                f"log_prob draws them, got {D}."
            )
        log_weights[:, piece.part] = log_weight(candidates)
    missed = np.isneginf(log_weights).all(axis=1) & may_miss
    log_weights[missed] = 0.0
    chosen = generator.permuted(systematic(log_weights, n_samples, generator), axis=1)
    draws = np.empty((m, n_samples, D))
    for piece in pieces:
        row, place = np.nonzero((piece.part.start <= chosen) & (chosen < piece.part.stop))
        draws[row, place] = piece.draw()[row, chosen[row, place] - piece.part.start]
    return draws, np.where(missed, 0.0, _effective(log_weights))


def _weigh_enough(
    target: Target,
    select: Callable[[int], Target],
    shape: tuple[int, ...],
    n_samples: int,
    n_candidates: int,
    generator: np.random.Generator,
    verbose: bool,
) -> tuple[Array, Array]:
    """Draw from few candidates, and from all for targets of which few are worth too little."""
    n_few = max(_FEW_TIMES * n_samples, _FEW)
    if n_few >= n_candidates:
        return _weigh(target, shape, n_samples, n_candidates, generator, verbose)
    draws, ess = _weigh(target, shape, n_samples, n_few, generator, verbose, may_miss=True)
    for i in np.flatnonzero(ess < max(_ENOUGH, _ENOUGH_TIMES * n_samples)):
        alone = select(int(i)), (1, *shape[1:])
        again = _weigh(*alone, n_samples, n_candidates, generator, verbose)
        draws[i], ess[i] = again[0][0], again[1][0]
    return draws, ess


def _improve(
    select: Callable[[int], Target],
    draws: Array,
    ess: Array,
    n_candidates: int,
    generator: np.random.Generator,
    verbose: bool,
) -> None:
    """Draw again, from more candidates, for targets whose candidates were worth too few."""
    n_samples, D = draws.shape[1:]
    for i in np.flatnonzero(ess < n_samples):
        wanted = _MARGIN * n_samples * n_candidates / ess[i]
        n_more = int(np.clip(wanted, n_candidates, max(n_candidates, _TIMES * n_samples)))
        alone, known = select(int(i)), draws[i : i + 1, :_MOST_POINTS]
        again = _weigh(alone, (1, 1, D), n_samples, n_more, generator, verbose, known)
        draws[i], ess[i] = again[0][0], again[1][0]


@dataclass
class _Piece:
    """Some of the candidates, which come out the same every time they are drawn."""

    part: slice
    source: Callable[[slice, np.random.Generator], Array]
    seed: int
    keeps: bool
    kept: Array | None = None

    def draw(self) -> Array:
        """Draw them, unless they were kept."""
        if self.kept is not None:
            return self.kept
        z = self.source(self.part, np.random.default_rng(self.seed))
        self.kept = z if self.keeps else None
        return z


def _source(
    target: Target,
    shape: tuple[int, int, int],
    generator: np.random.Generator,
    known: Array | None,
) -> tuple[Callable[[slice, np.random.Generator], Array], LogProb]:
    """Tell where candidates come from, and how they are weighted."""
    if target.proposal is None:

        def sample(part: slice, noise: np.random.Generator) -> Array:
            return target.reference.sample((shape[0], part.stop - part.start), noise)

        return sample, checked(target.log_ratio)
    defended = Defended(target.proposal, target.reference, shape, generator, known)
    log_p = checked(target)

    def log_weight(z: Array) -> Array:
        dead = np.isnan(z[..., 0])
        z = np.where(dead[..., None], 0.0, z)
        return np.where(dead, -np.inf, log_p(z) - defended.log_prob(z))

    return defended.sample, log_weight


def _effective(log_weights: Array) -> Array:
    """Compute the effective number of candidates of every target."""
    weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
    return np.asarray(weights.sum(axis=1) ** 2 / (weights**2).sum(axis=1))
