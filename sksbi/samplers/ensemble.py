"""
Affine-invariant ensembles of walkers, by the library emcee.

Walkers move by the differences, or along the lines, of other walkers, so the sampler works as well
on a target as on any linear image of it, and has nothing to learn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from tqdm.auto import tqdm

from sksbi.samplers._chains import (
    MarkovSampler,
    advise_chains,
    count_steps,
    default_chains,
    describe,
    live_starts,
    pick_draws,
)
from sksbi.samplers.base import ChainStatistics, LogProb, Sampler, checked
from sksbi.samplers.target import one_target
from sksbi.utils.random import draw_seed
from sksbi.utils.types import Array

__all__ = ["AffineInvariantEnsemble"]

_JITTER = 1e-3
# Differential moves take two walkers of the other half.
_FEWEST = 4


class AffineInvariantEnsemble(Sampler):
    """
    Ensembles of walkers by the library emcee, one target after the other.

    Parameters
    ----------
    n_chains : int or None, default=None
        How many walkers :meth:`count_chains` asks for, at least 2 D, and 4 for the default moves.
        None: a tenth of the number of draws, between 100 and 1,000.
    n_warmup : int, default=100
        The number of steps that are not kept.
    thin : int, default=40
        Of how many further steps one is kept.
    moves : list or None, default=None
        What ``emcee.EnsembleSampler`` takes. None: of five steps four are differential, and one is
        a jump by a whole difference.

    Notes
    -----
    Where ``log_prob`` has a method ``select(i)``, which gives the log density of target i alone as
    a callable (1, chains, D) -> (1, chains), that is what is evaluated. Otherwise the walkers of
    one target are evaluated for all m targets, m times as many points as needed.

    One draw that is worth an independent one takes 8 evaluations of the density on a Gaussian in 2
    dimensions, 18 in 5 dimensions, 45 on two thin crescents, 57 on a banana and 97 on four modes in
    5 dimensions; with emcee's own default, the stretch move, 56 in 5 dimensions and 200 to 550 on
    the others.

    References
    ----------
    .. [1] emcee: The MCMC Hammer (Foreman-Mackey et al., 2013). https://arxiv.org/abs/1202.3665
    .. [2] Run-ensemble Markov chain Monte Carlo by differential evolution: Run DMC (Nelson et al.,
       2014). https://arxiv.org/abs/1311.5229

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.samplers import AffineInvariantEnsemble
    >>> sampler = AffineInvariantEnsemble(n_warmup=50, thin=5)
    >>> initial = np.random.default_rng(0).normal(size=(1, sampler.count_chains(1000), 2))
    >>> draws = sampler(lambda z: -0.5 * (z**2).sum(axis=-1), initial, 1000, random_state=0)
    >>> draws.shape
    (1, 1000, 2)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **MarkovSampler._parameter_constraints,
        "moves": [list, None],
    }

    def __init__(
        self,
        n_chains: int | None = None,
        n_warmup: int = 100,
        thin: int = 40,
        *,
        moves: list[Any] | None = None,
    ) -> None:
        self.n_chains = n_chains
        self.n_warmup = n_warmup
        self.thin = thin
        self.moves = moves

    def advise(self) -> str:
        """
        Tell what to change where the draws are worth too few.

        Returns
        -------
        str
            More warm-up, thinning or chains.
        """
        return advise_chains(self)

    def _default_chains(self, n_samples: int) -> int:
        """Ask for many chains."""
        return default_chains(n_samples)

    def _run(
        self,
        log_prob: LogProb,
        initial: Array,
        n_samples: int,
        generator: np.random.Generator,
        verbose: bool,
    ) -> tuple[Array, ChainStatistics]:
        """Run one target after the other."""
        n_chains, n_columns = initial.shape[1:]
        rule, fewest = "2 D", 2 * n_columns
        if self.moves is None and fewest < _FEWEST:
            rule, fewest = "for the default moves", _FEWEST
        if n_chains < fewest:
            raise ValueError(
                f"initial must have at least {rule} = {fewest} chains, got {n_chains}: set "
                f"n_chains={fewest} or more."
            )
        n_kept = count_steps(n_samples, n_chains)
        z = _distinct_starts(checked(log_prob), initial, generator)
        one_by_one = [
            self._run_one(one_target(log_prob, i, len(z)), z[i], n_kept, generator)
            for i in tqdm(range(len(z)), desc="Targets", disable=not verbose)
        ]
        chains = np.stack(one_by_one)
        return pick_draws(chains, n_samples, generator), describe(chains)

    def _run_one(
        self,
        log_prob: Callable[[Array], Array],
        z: Array,
        n_kept: int,
        generator: np.random.Generator,
    ) -> Array:
        """Run the walkers of one target: shape (chains, steps, D)."""
        emcee = _import_emcee()
        moves = self.moves
        if moves is None:
            moves = [(emcee.moves.DEMove(), 0.8), (emcee.moves.DEMove(gamma0=1.0), 0.2)]
        sampler = emcee.EnsembleSampler(*z.shape, log_prob, moves=moves, vectorize=True)
        sampler.random_state = np.random.RandomState(draw_seed(generator)).get_state()
        state = emcee.State(z, random_state=sampler.random_state)
        if self.n_warmup:
            state = sampler.run_mcmc(
                state, self.n_warmup, store=False, skip_initial_state_check=True
            )
        sampler.run_mcmc(state, n_kept, thin_by=self.thin, skip_initial_state_check=True)
        return sampler.get_chain().swapaxes(0, 1)


def _distinct_starts(log_prob: LogProb, initial: Array, generator: np.random.Generator) -> Array:
    """Move the starts a little, so that none of them coincide."""
    z, _ = live_starts(log_prob, initial, generator)
    moved = z + _JITTER * (z.std() or 1.0) * generator.standard_normal(z.shape)
    return np.where(np.isfinite(log_prob(moved))[..., None], moved, z)


def _import_emcee() -> Any:
    """Import emcee, or tell how to install it."""
    try:
        import emcee
    except ImportError as error:
        raise ImportError(
            "AffineInvariantEnsemble needs emcee, which is not installed: "
            'pip install "sksbi[mcmc]".'
        ) from error
    return emcee
