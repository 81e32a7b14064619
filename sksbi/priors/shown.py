"""Priors as they are written, for the text and the tables that show an estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats.distributions import rv_frozen

from sksbi.priors.multivariate import is_multivariate
from sksbi.priors.univariate import describe

__all__ = ["Shown", "shown_prior"]

_MOST_SHOWN = 3


class Shown:
    """
    Something that is shown as a text.

    Parameters
    ----------
    text : str
        The text.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def shown_prior(prior: Any) -> Any:
    """
    Replace what shows itself by its address in memory.

    Parameters
    ----------
    prior : object
        What the user gave as ``prior``.

    Returns
    -------
    object
        Something with a readable ``repr``; the prior itself, if it has one.

    Examples
    --------
    >>> from scipy import stats
    >>> from sksbi.priors.shown import shown_prior
    >>> shown_prior({"mass": stats.uniform(10, 50)})
    {'mass': uniform(10, 50)}
    """
    if isinstance(prior, dict):
        return {name: shown_prior(part) for name, part in prior.items()}
    if isinstance(prior, list | tuple):
        return type(prior)(map(shown_prior, prior)) if type(prior) in (list, tuple) else prior
    if isinstance(prior, rv_frozen):
        return Shown(describe(prior))
    if is_multivariate(prior):
        return Shown(_describe_multivariate(prior))
    if getattr(type(prior), "__repr__") is object.__repr__:  # noqa: B009
        return Shown(f"{type(prior).__name__}()")
    return prior


def _describe_multivariate(prior: Any) -> str:
    """Write few parameters out, and of many the number."""
    name = type(prior).__name__.removesuffix("_frozen").removesuffix("_gen")
    names = {"multivariate_normal": ("mean", "cov"), "multivariate_t": ("loc", "shape", "df")}
    values = {key: np.asarray(getattr(prior, key, 0)) for key in names.get(name, ())}
    if not values or any(max(value.shape, default=0) > _MOST_SHOWN for value in values.values()):
        return f"{name}(...)"
    return f"{name}({', '.join(f'{key}={value.tolist()}' for key, value in values.items())})"
