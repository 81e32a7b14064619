"""What was simulated in many calls, by which the probability of success is learnt."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sksbi.data import Pairs
from sksbi.utils.types import Array, Mask

__all__ = ["Tried"]

_MOST, _GROWTH = 20_000, 1.5


@dataclass(frozen=True, eq=False)
class Tried:
    """
    A sample of all simulations so far, failed ones too.

    Parameters
    ----------
    theta : ndarray of shape (n, D)
        The parameters.
    has_failed : ndarray of bool, of shape (n,)
        Which simulations failed.
    weight : ndarray of shape (n,)
        Their weights.
    lot : ndarray of shape (n,)
        A random number each; the smallest are in the sample.
    n_seen : int
        How many there were.
    n_learnt : int, default=0
        How many there were when they were last learnt from.
    """

    theta: Array
    has_failed: Mask
    weight: Array
    lot: Array
    n_seen: int
    n_learnt: int = 0

    @classmethod
    def of(cls, pairs: Pairs, generator: np.random.Generator) -> Tried:
        """
        Take the simulations of a call.

        Parameters
        ----------
        pairs : Pairs
            Those that succeeded, with the failed ones aside.
        generator : numpy.random.Generator
            Where the random numbers come from.

        Returns
        -------
        Tried
            The sample.
        """
        everything = pairs.with_failures()
        has_failed = ~np.isin(everything.row, pairs.row)
        n = len(everything)
        return cls(everything.theta, has_failed, everything.weight, generator.random(n), n)

    def followed_by(self, other: Tried) -> Tried:
        """
        Take in the simulations of a further call.

        Parameters
        ----------
        other : Tried
            A sample of them.

        Returns
        -------
        Tried
            A sample of all.
        """
        lot = np.concatenate([self.lot, other.lot])
        drawn = np.sort(np.argsort(lot)[:_MOST])
        theta, has_failed, weight = (
            np.concatenate([getattr(self, name), getattr(other, name)])[drawn]
            for name in ("theta", "has_failed", "weight")
        )
        n_seen = self.n_seen + other.n_seen
        return Tried(theta, has_failed, weight, lot[drawn], n_seen, self.n_learnt)

    @property
    def is_to_be_learnt(self) -> bool:
        """Whether some have failed, and there are half as many more as were learnt from."""
        return bool(self.has_failed.any()) and self.n_seen >= _GROWTH * self.n_learnt

    def learnt(self) -> Tried:
        """
        Note that these have been learnt from.

        Returns
        -------
        Tried
            The same sample.
        """
        return replace(self, n_learnt=self.n_seen)

    def pairs(self) -> Pairs:
        """
        Make pairs that tell success from failure, and nothing else.

        Returns
        -------
        Pairs
            The sample.
        """
        x = np.where(self.has_failed, np.nan, 0.0)
        return Pairs(self.theta, x, self.weight / self.weight.mean(), np.arange(len(x)))
