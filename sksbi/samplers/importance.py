"""
Importance resampling: candidates from a density near the target, kept by weight.

With candidates from r and weights w = p / r, draws among the candidates by weight come from p in
the limit of many candidates. They are worth (sum w)^2 / sum w^2 independent ones: the share of
candidates that counts is about the volume of p's mass in that of r, so this is for targets that are
not much narrower than the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval
from tqdm.auto import tqdm

from sksbi.samplers._adaptive import contract
from sksbi.samplers.base import ChainStatistics, LogProb, Sampler, checked
from sksbi.samplers.target import Reference, Target, chunks, systematic
from sksbi.utils.random import draw_seed
from sksbi.utils.types import Array

__all__ = ["ImportanceResampling"]

_COSTLY, _TIMES, _FEWEST = 10, 10, 500


class ImportanceResampling(Sampler):
    """
    Importance resampling of candidates from the reference.

    Parameters
    ----------
    n_candidates : int or None, default=None
        The number of candidates of every target, at least the number of draws. None: ten times the
        number of draws, and 20,000 at least; where a point takes ten evaluations or more, as many
        trials do, candidates contract onto one target after the other instead, until they are worth
        the number of draws, or are ten times as many.
    n_chains : int or None, default=None
        How many chains :meth:`count_chains` asks for; None is 1. The values of ``initial`` are not
        used, only its shape is.

    Notes
    -----
    The candidates of every target are drawn anew. They are chosen by systematic resampling, so a
    candidate is drawn twice only if it has more than the n-th part of the weight; take so many that
    the effective sample size, which :meth:`run` tells, is several times the number of draws.
    Only the weights are kept: the candidates that were chosen are drawn a second time.

    References
    ----------
    .. [1] Monte Carlo theory, methods and examples (Owen, 2013), chapter 9.
       https://artowen.su.domains/mc/

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
    }

    def __init__(self, n_candidates: int | None = None, *, n_chains: int | None = None) -> None:
        self.n_candidates = n_candidates
        self.n_chains = n_chains

    def advise(self) -> str:
        """
        Tell what to change where the draws are worth too few.

        Returns
        -------
        str
            More candidates, or chains.
        """
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
        """Weight all candidates, choose, and draw the chosen ones again: none is kept."""
        if not isinstance(log_prob, Target):
            raise TypeError(
                "importance resampling needs a density to draw candidates from: log_prob must be a "
                f"sksbi.samplers.Target(log_ratio, reference), got {type(log_prob).__name__}."
            )
        if self.n_candidates is None and log_prob.cost >= _COSTLY and log_prob.select is not None:
            alone = [log_prob.select(i) for i in range(len(initial))]
            return self._contract(alone, n_samples, generator, verbose)
        n_candidates = self.n_candidates or max(20_000, 10 * n_samples)
        if n_candidates < n_samples:
            raise ValueError(
                f"n_candidates must be at least n_samples = {n_samples}, got {n_candidates}."
            )
        m, _, D = initial.shape
        log_ratio = checked(log_prob.log_ratio)
        pieces = [
            _Piece(part, m, log_prob.reference, draw_seed(generator))
            for part in chunks(n_candidates, m)
        ]
        log_weights = np.empty((m, n_candidates))
        for piece in tqdm(pieces, desc="Candidates", disable=not verbose):
            candidates = piece.draw()
            if candidates.shape[-1] != D:
                raise ValueError(
                    f"initial must have {candidates.shape[-1]} columns, as the reference of "
                    f"log_prob draws them, got {D}."
                )
            log_weights[:, piece.part] = log_ratio(candidates)
        chosen = generator.permuted(systematic(log_weights, n_samples, generator), axis=1)
        draws = np.empty((m, n_samples, D))
        for piece in pieces:
            row, place = np.nonzero((piece.part.start <= chosen) & (chosen < piece.part.stop))
            draws[row, place] = piece.draw()[row, chosen[row, place] - piece.part.start]
        return draws, _describe(log_weights, D)

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
            ess.append(_describe(log_weights[None], z.shape[1]).ess[0])
        return np.stack(draws), ChainStatistics(np.full_like(ess, np.nan), np.stack(ess))


@dataclass(frozen=True)
class _Piece:
    """Some of the candidates, which come out the same every time they are drawn."""

    part: slice
    m: int
    reference: Reference
    seed: int

    def draw(self) -> Array:
        """Draw them."""
        shape = (self.m, self.part.stop - self.part.start)
        return self.reference.sample(shape, np.random.default_rng(self.seed))


def _describe(log_weights: Array, n_columns: int) -> ChainStatistics:
    """Compute the effective number of candidates of every target."""
    top = log_weights.max(axis=1, keepdims=True)
    weights = np.exp(log_weights - top)
    ess = weights.sum(axis=1) ** 2 / (weights**2).sum(axis=1)
    ess = np.repeat(ess[:, None], n_columns, axis=1)
    return ChainStatistics(np.full_like(ess, np.nan), ess)
