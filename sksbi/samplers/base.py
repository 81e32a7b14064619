"""
The sampler protocol: from an unnormalised density to draws, for many densities at once.

A target is a density p(z) on R^D known up to a factor, one for every observation. Whatever is
called as ``sampler(log_prob, initial, n_samples, random_state=None)`` is a sampler: ``log_prob``
maps points of shape (m, chains, D) to log densities of shape (m, chains), row i those of target i;
``initial`` has shape (m, chains, D); what comes back has shape (m, n_samples, D). The samplers of
this package are objects with parameters, and tell besides how well their chains agree.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval

from sksbi.utils.containers import plain, without_na
from sksbi.utils.random import check_generator
from sksbi.utils.types import Array, RandomState
from sksbi.utils.validation import check_count, check_memory

__all__ = ["ChainStatistics", "LogProb", "Sampler", "checked", "real_numbers"]

LogProb = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class ChainStatistics:
    """
    How well the chains of every target agree, and what their draws are worth.

    Parameters
    ----------
    r_hat : ndarray of shape (m, D)
        Rank-normalised split R-hat, about 1 after convergence; NaN where it is not defined.
    ess : ndarray of shape (m, D)
        Effective sample sizes; NaN where they are not defined.
    chains : ndarray of shape (m, chains, steps, D) or None, default=None
        The chains from which the draws were taken; None where there are none.
    advice : str, default=""
        What to change where the draws are worth too little.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.samplers import MetropolisHastings
    >>> sampler = MetropolisHastings()
    >>> initial = np.random.default_rng(0).normal(size=(1, 100, 2))
    >>> draws, statistics = sampler.run(lambda z: -0.5 * (z**2).sum(-1), initial, 1000, 0)
    >>> bool((statistics.r_hat < 1.1).all())
    True
    """

    r_hat: Array
    ess: Array
    chains: Array | None = None
    advice: str = ""

    @classmethod
    def joined(cls, parts: Sequence[ChainStatistics | None]) -> ChainStatistics | None:
        """
        Put together what was found for some targets at a time, without the chains.

        Parameters
        ----------
        parts : sequence of ChainStatistics or None
            The statistics of some targets each.

        Returns
        -------
        ChainStatistics or None
            Those of all targets; None if there are none of any.
        """
        found = [part for part in parts if part is not None]
        if not found:
            return None
        r_hat, ess = (np.concatenate([getattr(p, n) for p in found]) for n in ("r_hat", "ess"))
        return cls(r_hat, ess, advice=found[0].advice)


class Sampler(ABC, BaseEstimator):
    """
    Base of the samplers: parameters, checks, and the call.

    Subclasses name their parameters in ``_parameter_constraints`` and compute in ``_run``.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_chains": [Interval(Integral, 1, None, closed="left"), None],
    }

    # Whether it looks at the values of ``initial``, which cost a thousand evaluations or more.
    uses_starts: ClassVar[bool] = True
    n_chains: int | None

    def __call__(
        self,
        log_prob: LogProb,
        initial: ArrayLike,
        n_samples: int,
        random_state: RandomState = None,
    ) -> Array:
        """
        Draw from every target.

        Parameters
        ----------
        log_prob : callable
            Maps points (m, chains, D) to log densities (m, chains), up to a constant a target. NaN
            counts as -inf.
        initial : array-like of shape (m, chains, D)
            Where the chains start.
        n_samples : int
            The number of draws of every target.
        random_state : None, int, RandomState or Generator, default=None
            Where the noise comes from; None takes fresh entropy.

        Returns
        -------
        ndarray of shape (m, n_samples, D)
            The draws, in random order.
        """
        return self.run(log_prob, initial, n_samples, random_state)[0]

    def run(
        self,
        log_prob: LogProb,
        initial: ArrayLike,
        n_samples: int,
        random_state: RandomState = None,
        *,
        verbose: int = 0,
    ) -> tuple[Array, ChainStatistics]:
        """
        Draw from every target, and tell how well that went.

        Parameters
        ----------
        log_prob : callable
            Maps points (m, chains, D) to log densities (m, chains), up to a constant a target. NaN
            counts as -inf.
        initial : array-like of shape (m, chains, D)
            Where the chains start. Starts without density are replaced by others of the same
            target.
        n_samples : int
            The number of draws of every target.
        random_state : None, int, RandomState or Generator, default=None
            Where the noise comes from; None takes fresh entropy.
        verbose : int, default=0
            Whether a progress bar is shown.

        Returns
        -------
        draws : ndarray of shape (m, n_samples, D)
            The draws, in random order: the first ones are as good as all.
        statistics : ChainStatistics
            How well the chains agree.

        Raises
        ------
        TypeError
            If ``log_prob`` cannot be called.
        ValueError
            If a parameter or a shape is wrong, ``initial`` is not finite, ``log_prob`` returns
            +inf, or no start of a target has a density.
        """
        self._validate_params()
        if not callable(log_prob):
            raise TypeError(f"log_prob must be callable, got {type(log_prob).__name__}.")
        n_samples, initial = check_count(n_samples, "n_samples"), _check_initial(initial)
        check_memory(n_samples, "n_samples", n_samples * initial[:, 0].size)
        generator = check_generator(random_state)
        return self._run(log_prob, initial, n_samples, generator, bool(verbose))

    def count_chains(self, n_samples: int) -> int:
        """
        Tell how many chains ``initial`` should have.

        Parameters
        ----------
        n_samples : int
            The number of draws of every target.

        Returns
        -------
        int
            ``n_chains``, or what is best for so many draws where that is None.
        """
        self._validate_params()
        n_samples = check_count(n_samples, "n_samples")
        return self._default_chains(n_samples) if self.n_chains is None else int(self.n_chains)

    @abstractmethod
    def advise(self) -> str:
        """
        Tell what to change where the draws are worth too few.

        Returns
        -------
        str
            A sentence that begins with a small letter and has no stop, naming parameters of this
            sampler and what they are set to.
        """

    @abstractmethod
    def _default_chains(self, n_samples: int) -> int:
        """Choose the number of chains."""

    @abstractmethod
    def _run(
        self,
        log_prob: LogProb,
        initial: Array,
        n_samples: int,
        generator: np.random.Generator,
        verbose: bool,
    ) -> tuple[Array, ChainStatistics]:
        """Draw; everything is checked but what log_prob returns."""


def _check_initial(initial: ArrayLike) -> Array:
    """Check that the starts are numbers and have three axes."""
    array = real_numbers(initial, "initial").copy()
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(
            f"initial must have shape (m, chains, D), none of them 0, got {array.shape}."
        )
    if not np.isfinite(array).all():
        target, chain, _ = np.argwhere(~np.isfinite(array))[0]
        raise ValueError(
            f"initial must be finite, got {array[target, chain]} in chain {chain} of target "
            f"{target}."
        )
    return array


def real_numbers(values: ArrayLike, name: str) -> Array:
    """
    Convert to float64, or tell what is there instead of real numbers.

    Parameters
    ----------
    values : array-like
        The numbers.
    name : str
        The argument's name, for errors.

    Returns
    -------
    ndarray
        The numbers.

    Raises
    ------
    TypeError
        If they are complex, text, or anything else.
    """
    try:
        array = np.asarray(without_na(plain(values, name)))
        if array.dtype.kind in "biuf":
            return np.asarray(array, dtype=np.float64)
        if array.dtype.kind == "O" and not any(isinstance(v, str | bytes) for v in array.flat):
            return np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be real numbers: {error}") from error
    raise TypeError(
        f"{name} must be real numbers, got {array.dtype} values such as {array.flat[:1].tolist()}."
    )


def checked(log_prob: LogProb) -> LogProb:
    """
    Wrap a log density: its results are checked, and NaN becomes -inf.

    Parameters
    ----------
    log_prob : callable
        Maps points (m, chains, D) to log densities (m, chains).

    Returns
    -------
    callable
        The same for finite values and -inf; a ValueError on other shapes and on +inf.
    """

    def evaluate(z: Array) -> Array:
        """Evaluate and check."""
        values = real_numbers(log_prob(z), "the values of log_prob")
        if values.shape != z.shape[:-1]:
            raise ValueError(
                f"log_prob must return shape {z.shape[:-1]} for points of shape {z.shape}, got "
                f"{values.shape}."
            )
        if np.isposinf(values).any():
            target, chain = np.argwhere(np.isposinf(values))[0]
            raise ValueError(
                f"log_prob must be below inf, got inf for target {target} at {z[target, chain]}."
            )
        return np.where(np.isnan(values), -np.inf, values)

    return evaluate
