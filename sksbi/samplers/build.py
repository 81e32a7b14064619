"""Samplers by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sksbi.samplers.base import Sampler
from sksbi.samplers.ensemble import AffineInvariantEnsemble
from sksbi.samplers.importance import ImportanceResampling
from sksbi.samplers.metropolis_hastings import MetropolisHastings
from sksbi.samplers.nested import NestedSampling
from sksbi.samplers.slice import SliceSampler
from sksbi.utils.choose import choose

__all__ = ["build_sampler", "sampler_names"]

_SAMPLERS: dict[str, type[Sampler]] = {
    "auto": MetropolisHastings,
    "emcee": AffineInvariantEnsemble,
    "importance": ImportanceResampling,
    "metropolis_hastings": MetropolisHastings,
    "nested": NestedSampling,
    "slice": SliceSampler,
}


def sampler_names() -> list[str]:
    """
    List the samplers that have a name.

    Returns
    -------
    list of str
        The names.

    Examples
    --------
    >>> from sksbi.samplers import sampler_names
    >>> sampler_names()
    ['auto', 'emcee', 'importance', 'metropolis_hastings', 'nested', 'slice']
    """
    return sorted(_SAMPLERS)


def build_sampler(sampler: str | Callable[..., Any]) -> Callable[..., Any]:
    """
    Build a sampler from its name.

    Parameters
    ----------
    sampler : str or callable
        A name of :func:`sampler_names`, or what is called as
        ``sampler(log_prob, initial, n_samples, random_state=None)``, an object of
        :mod:`sksbi.samplers` included, which is returned as it is.

    Returns
    -------
    callable
        The sampler.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If it is neither a name nor callable, or a class.

    Notes
    -----
    "auto" is :class:`MetropolisHastings`. Resampling candidates from the prior instead, where they
    are worth enough, hardly ever pays: for 1,000 draws that are nearly independent, the chains take
    22,000 evaluations whatever the width of the posterior, and candidates take 5,000 divided by the
    share of the prior's volume that the posterior has, so fewer only where that is above a fifth.

    Examples
    --------
    >>> from sksbi.samplers import build_sampler
    >>> build_sampler("slice")
    SliceSampler()
    """
    otherwise = "a callable sampler(log_prob, initial, n_samples, random_state)"
    if isinstance(sampler, type):
        raise TypeError(
            f"sampler must be one of {sampler_names()} or {otherwise}, got the class "
            f"{sampler.__name__}: call it, as in {sampler.__name__}()."
        )
    chosen = choose(sampler, _SAMPLERS, "sampler", otherwise)
    return chosen() if isinstance(sampler, str) else chosen
