"""
The engine of the Markov chains: warm-up, thinning, and from chains to draws.

All chains of all targets move together. While warming up, a kernel may adapt to what it has seen;
after that its transition probabilities are fixed, so that the targets are exactly invariant.
"""

from __future__ import annotations

from abc import abstractmethod
from numbers import Integral
from typing import Any, ClassVar, Protocol

import numpy as np
from sklearn.utils._param_validation import Interval
from tqdm.auto import tqdm

from sksbi.metrics.chains import effective_sample_size, split_r_hat
from sksbi.samplers.base import ChainStatistics, LogProb, Sampler, checked
from sksbi.utils.types import Array

__all__ = [
    "Kernel",
    "MarkovSampler",
    "advise_chains",
    "count_steps",
    "default_chains",
    "describe",
    "live_starts",
    "pick_draws",
]


_FEWEST_CHAINS, _MOST_CHAINS, _DRAWS_PER_CHAIN = 100, 1000, 10
_FEWEST_STEPS = 4
_LENGTHS = ("n_warmup", "thin", "n_chains")


class Kernel(Protocol):
    """
    What moves the chains.

    ``z`` of shape (m, chains, D) is where they are, ``settled`` tells that more warm-up would not
    help, and of ``thin`` steps after the warm-up one is kept.
    """

    z: Array
    settled: bool

    @property
    def thin(self) -> int:
        """One of so many steps is kept."""

    def step(self) -> None:
        """Move all chains once."""

    def adapt(self, progress: float) -> None:
        """Learn from the present state; progress is how much of the warm-up is over, in (0, 1]."""


class MarkovSampler(Sampler):
    """
    Base of the samplers by Markov chains.

    Subclasses build a kernel; the rest is here.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Sampler._parameter_constraints,
        "n_warmup": [Interval(Integral, 0, None, closed="left")],
        "thin": [Interval(Integral, 1, None, closed="left")],
    }

    n_warmup: int

    @abstractmethod
    def _kernel(
        self, log_prob: LogProb, z: Array, log_p: Array, generator: np.random.Generator
    ) -> Kernel:
        """Build the kernel, with chains at z, which it may overwrite."""

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
        """Warm up until the kernel has settled, then keep every thin-th step."""
        log_prob = checked(log_prob)
        kernel = self._kernel(log_prob, *live_starts(log_prob, initial, generator), generator)
        n_targets, n_chains, n_columns = initial.shape
        n_kept = count_steps(n_samples, n_chains)
        chains = np.empty((n_targets, n_chains, n_kept, n_columns))
        with tqdm(desc="Markov chains", unit="step", disable=not verbose) as bar:
            bar.total = self.n_warmup + n_kept * kernel.thin
            for t in range(self.n_warmup):
                kernel.step()
                kernel.adapt((t + 1) / self.n_warmup)
                bar.update()
                if kernel.settled:
                    break
            thin = kernel.thin
            bar.total = bar.n + n_kept * thin
            for t in range(n_kept * thin):
                kernel.step()
                chains[:, :, t // thin] = kernel.z
                bar.update()
        return pick_draws(chains, n_samples, generator), describe(chains)


def advise_chains(sampler: Any) -> str:
    """
    Advise on a sampler with chains.

    Parameters
    ----------
    sampler : Sampler
        With the parameters ``n_warmup``, ``thin`` and ``n_chains``.

    Returns
    -------
    str
        The advice.
    """
    now = ", ".join(f"{name}={getattr(sampler, name)!r}" for name in _LENGTHS)
    name = type(sampler).__name__
    return f"give a sampler with more warm-up, thinning or chains, such as {name}: now {now}"


def default_chains(n_samples: int) -> int:
    """Ask for a tenth of the number of draws, between 100 and 1,000."""
    return int(np.clip(-(-n_samples // _DRAWS_PER_CHAIN), _FEWEST_CHAINS, _MOST_CHAINS))


def count_steps(n_samples: int, n_chains: int) -> int:
    """Count the steps to keep of every chain, never too few for the statistics."""
    return max(_FEWEST_STEPS, -(-n_samples // n_chains))


def live_starts(
    log_prob: LogProb, initial: Array, generator: np.random.Generator
) -> tuple[Array, Array]:
    """
    Replace starts without density by others of the same target.

    Parameters
    ----------
    log_prob : callable
        Maps points (m, chains, D) to log densities (m, chains).
    initial : ndarray of shape (m, chains, D)
        The starts.
    generator : numpy.random.Generator
        Chooses the others.

    Returns
    -------
    z : ndarray of shape (m, chains, D)
        The starts, all with a density.
    log_p : ndarray of shape (m, chains)
        Their log densities.

    Raises
    ------
    ValueError
        If a target has no start with a density.
    """
    log_p = log_prob(initial)
    alive = np.isfinite(log_p)
    if not alive.any(axis=1).all():
        target = int(np.argmin(alive.any(axis=1)))
        raise ValueError(
            f"log_prob must be finite in at least one initial point of every target, got none "
            f"among the {initial.shape[1]} of target {target}."
        )
    z = initial.copy()
    for i in np.flatnonzero(~alive.all(axis=1)):
        dead = ~alive[i]
        chosen = generator.choice(np.flatnonzero(alive[i]), dead.sum())
        z[i, dead], log_p[i, dead] = z[i, chosen], log_p[i, chosen]
    return z, log_p


def pick_draws(chains: Array, n_samples: int, generator: np.random.Generator) -> Array:
    """
    Take draws out of chains, as evenly as possible, and put them into random order.

    Parameters
    ----------
    chains : ndarray of shape (m, chains, steps, D)
        At least ``n_samples`` a target.
    n_samples : int
        How many to take of every target: as many last steps as it takes, all of them but the first
        of all chains, and that of chains at random.
    generator : numpy.random.Generator
        Where the order comes from.

    Returns
    -------
    ndarray of shape (m, n_samples, D)
        The draws.
    """
    n_targets, n_chains, n_steps, n_columns = chains.shape
    rank = np.arange(n_steps, 0, -1) + generator.random((n_targets, n_chains, n_steps))
    order = np.argsort(rank.reshape(n_targets, -1), axis=1)[:, :n_samples]
    order = generator.permuted(order, axis=1)[:, :, None]
    return np.take_along_axis(chains.reshape(n_targets, -1, n_columns), order, axis=1)


def describe(chains: Array) -> ChainStatistics:
    """Compute the statistics of chains of shape (m, chains, steps, D)."""
    return ChainStatistics(split_r_hat(chains), effective_sample_size(chains), chains)
