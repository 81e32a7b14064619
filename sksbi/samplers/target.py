"""
Densities known by their ratio to one that can be drawn from, and starts for chains from them.

A posterior is the prior, which can be drawn from, times a ratio that a network has learnt. Drawing
candidates from the prior and weighting them by the ratio gives points that are already distributed
about like the posterior, all its modes included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sksbi.samplers.base import LogProb, checked, real_numbers
from sksbi.utils.types import Array, Rows
from sksbi.utils.validation import check_count

__all__ = [
    "Reference",
    "Target",
    "check_weights",
    "chunks",
    "one_target",
    "resample_reference",
    "systematic",
]

_POINTS_PER_CALL = 100_000


class Reference(Protocol):
    """A density that can be drawn from."""

    def sample(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        """Draw points, of this shape and D."""

    def log_prob(self, z: Array) -> Array:
        """Compute the log density: (..., D) -> (...)."""


@dataclass(frozen=True)
class Target:
    """
    The density of a reference times a ratio, one for every observation.

    Parameters
    ----------
    log_ratio : callable
        Maps points (m, chains, D) to the log of the ratio (m, chains), up to a constant.
    reference : object
        Has ``sample(shape, generator)``, which draws points of shape (..., D), and
        ``log_prob(z)``, which maps (..., D) to (...).
    select : callable or None, default=None
        Gives target i alone, ``select(i)``, for samplers that take one after the other.
    cost : int, default=1
        How many evaluations a point takes, such as the number of trials.
    proposal : object or None, default=None
        A normalised density near the target, with the methods of ``reference``, for points of shape
        (m, n, D): where importance resampling draws from, if there is one.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.samplers import Target
    >>> class Normal:
    ...     def sample(self, shape, generator):
    ...         return generator.standard_normal((*shape, 2))
    ...     def log_prob(self, z):
    ...         return -0.5 * (z**2).sum(axis=-1)
    >>> target = Target(lambda z: z[..., 0], Normal())
    >>> target(np.ones((1, 3, 2)))
    array([[0., 0., 0.]])
    """

    log_ratio: Callable[[Array], Array]
    reference: Reference
    select: Callable[[int], Target] | None = None
    cost: int = 1
    proposal: Reference | None = None

    def __post_init__(self) -> None:
        if not callable(self.log_ratio):
            raise TypeError(f"log_ratio must be callable, got {type(self.log_ratio).__name__}.")
        given = {"reference": self.reference}
        if self.proposal is not None:
            given["proposal"] = self.proposal
        for name, density in given.items():
            if not all(callable(getattr(density, m, None)) for m in ("sample", "log_prob")):
                raise TypeError(
                    f"{name} must have the methods sample(shape, generator) and log_prob(z), got "
                    f"{type(density).__name__}."
                )

    def __call__(self, z: Array) -> Array:
        """
        Compute the log density, up to a constant.

        Parameters
        ----------
        z : ndarray of shape (m, chains, D)
            The points.

        Returns
        -------
        ndarray of shape (m, chains)
            The log densities.
        """
        z = real_numbers(z, "z")
        return self.reference.log_prob(z) + self.log_ratio(z)


def resample_reference(
    target: Target, m: int, n_chains: int, n_candidates: int, generator: np.random.Generator
) -> Array:
    """
    Find starts for chains: candidates from the reference, resampled by their ratio.

    Parameters
    ----------
    target : Target
        The targets.
    m : int
        Their number.
    n_chains : int
        The number of chains of every target.
    n_candidates : int
        The number of candidates, the same ones for all targets.
    generator : numpy.random.Generator
        Where the noise comes from.

    Returns
    -------
    ndarray of shape (m, n_chains, D)
        The starts, in random order. Where few candidates have nearly all of the weight they occur
        many times.

    Raises
    ------
    TypeError
        If ``target`` is no Target, a number no int, or ``generator`` no Generator.
    ValueError
        If a number is below 1, or for some target no candidate has a finite ratio.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.samplers import Target, resample_reference
    >>> class Normal:
    ...     def sample(self, shape, generator):
    ...         return generator.standard_normal((*shape, 1))
    ...     def log_prob(self, z):
    ...         return -0.5 * z[..., 0] ** 2
    >>> target = Target(lambda z: 2 * z[..., 0], Normal())  # N(2, 1)
    >>> starts = resample_reference(target, 3, 100, 10_000, np.random.default_rng(0))
    >>> starts.shape, float(starts.mean().round())
    ((3, 100, 1), 2.0)
    """
    if not isinstance(target, Target):
        raise TypeError(f"target must be a sksbi.samplers.Target, got {type(target).__name__}.")
    if not isinstance(generator, np.random.Generator):
        raise TypeError(
            f"generator must be a numpy.random.Generator, got {type(generator).__name__}: "
            "numpy.random.default_rng(0) makes one."
        )
    m, n_chains = check_count(m, "m"), check_count(n_chains, "n_chains")
    n_candidates = check_count(n_candidates, "n_candidates")
    candidates = target.reference.sample((n_candidates,), generator)
    log_ratio = checked(target.log_ratio)
    parts = [log_ratio(np.tile(candidates[part], (m, 1, 1))) for part in chunks(n_candidates, m)]
    chosen = systematic(np.concatenate(parts, axis=1), n_chains, generator)
    return candidates[generator.permuted(chosen, axis=1)]


def one_target(log_prob: LogProb, i: int, m: int) -> LogProb:
    """
    Give the log density of one target.

    Parameters
    ----------
    log_prob : callable
        The log densities of all m, (m, chains, D) -> (m, chains). Its ``select(i)`` is asked, if
        there is one, for that of target i alone, (1, chains, D) -> (1, chains).
    i : int
        Which.
    m : int
        Their number.

    Returns
    -------
    callable
        Its log density, (chains, D) -> (chains,).
    """
    select = getattr(log_prob, "select", None)
    if select is not None:
        alone = checked(select(i))
        return lambda z: alone(z[None])[0]
    together = checked(log_prob)
    return lambda z: together(np.tile(z, (m, 1, 1)))[i]


def chunks(n: int, m: int) -> list[slice]:
    """Cut n points of m targets into pieces of at most 100,000 points in all, where possible."""
    size = max(1, _POINTS_PER_CALL // m)
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def check_weights(log_weights: Array, first: int = 0) -> None:
    """
    Hold that every target has a candidate with a weight.

    Parameters
    ----------
    log_weights : ndarray of shape (m, k)
        The logs of the weights, up to a constant a row.
    first : int, default=0
        The number of the first row's target.

    Raises
    ------
    ValueError
        If a row has no finite weight.
    """
    is_finite = np.isfinite(log_weights.max(axis=1))
    if not is_finite.all():
        raise ValueError(
            "log_ratio must be finite for at least one candidate of every target, got none among "
            f"the {log_weights.shape[1]} of target {first + int(np.argmin(is_finite))}."
        )


def systematic(log_weights: Array, n: int, generator: np.random.Generator) -> Rows:
    """
    Draw n indices of every row by weight, by systematic resampling.

    An index with the share w of the weight is drawn n w times, rounded down or up, and n w times on
    average, so none is drawn twice unless its weight asks for it.

    Parameters
    ----------
    log_weights : ndarray of shape (m, k)
        The logs of the weights, up to a constant a row.
    n : int
        The number of draws of every row.
    generator : numpy.random.Generator
        Where the noise comes from.

    Returns
    -------
    ndarray of int, of shape (m, n)
        The indices, in ascending order.

    Raises
    ------
    ValueError
        If a row has no finite weight.
    """
    check_weights(log_weights)
    top = log_weights.max(axis=1)
    levels = (np.arange(n) + generator.random((len(top), 1))) / n
    chosen = np.empty((len(top), n), dtype=np.intp)
    for row, (values, highest) in enumerate(zip(log_weights, top, strict=True)):
        edges = np.cumsum(np.exp(values - highest))
        chosen[row] = np.searchsorted(edges[:-1] / edges[-1], levels[row], side="right")
    return chosen
