"""Independent marginals, p(theta) = p(theta_1) ... p(theta_D): RandomizedSearchCV's language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sksbi.priors.base import Prior
from sksbi.priors.maps import StackedMap
from sksbi.priors.univariate import Marginal, check_univariate, describe
from sksbi.priors.within import Region, WithinPrior
from sksbi.utils.types import Array

__all__ = ["MarginalPrior", "has_quantile_map", "marginal_prior"]


class MarginalPrior(Prior):
    """
    A product of univariate distributions, with the quantile map of each.

    Parameters
    ----------
    distributions : sequence of frozen scipy.stats distributions or Intervals
        The D marginals.
    names : sequence of str, default=None
        Their names.
    spec : object, default=None
        What the user gave; None: this prior itself, made from another one.
    """

    def __init__(
        self,
        distributions: Sequence[object],
        names: Sequence[str] | None = None,
        spec: Any = None,
    ) -> None:
        labels = [
            f"prior[{key!r}]" for key in (range(len(distributions)) if names is None else names)
        ]
        for distribution, label in zip(distributions, labels, strict=True):
            check_univariate(distribution, label)
        self._marginals = [Marginal(*pair) for pair in zip(distributions, labels, strict=True)]
        super().__init__(
            spec,
            StackedMap([marginal.map for marginal in self._marginals]),
            names=names,
            inside=tuple(np.array([marginal.inside for marginal in self._marginals]).T),
        )

    def __repr__(self) -> str:
        texts = [describe(marginal.distribution) for marginal in self._marginals]
        if self.names is not None:
            texts = [f"{name}={text}" for name, text in zip(self.names, texts, strict=True)]
        return f"{type(self).__name__}({', '.join(texts)})"

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """Draw column by column."""
        return np.column_stack([marginal.sample(n, generator) for marginal in self._marginals])

    def _log_prob(self, theta: Array) -> Array:
        """Sum the marginal log densities."""
        columns = zip(self._marginals, theta.T, strict=True)
        return np.sum([marginal.log_prob(column) for marginal, column in columns], axis=0)

    def _marginal(self, columns: list[int]) -> MarginalPrior:
        """Take some of the distributions."""
        names = None if self.names is None else [self.names[i] for i in columns]
        return MarginalPrior([self._marginals[i].distribution for i in columns], names)

    def _truncated(self, low: Array, high: Array) -> MarginalPrior:
        """Truncate every distribution by itself."""
        parts = zip(self._marginals, low.tolist(), high.tolist(), strict=True)
        return MarginalPrior([marginal.truncated(*box) for marginal, *box in parts], self.names)

    def _within(self, region: Region) -> WithinPrior:
        """Reject."""
        return WithinPrior(self, (region,))


def marginal_prior(spec: Mapping[str, object] | Sequence[object]) -> MarginalPrior:
    """
    Make a prior from a dict or a list of univariate scipy distributions.

    Parameters
    ----------
    spec : dict or sequence
        Frozen scipy.stats distributions; the keys of a dict name the parameters.

    Returns
    -------
    MarginalPrior
        The prior.

    Raises
    ------
    TypeError
        If a name is no string or an entry no frozen distribution.
    ValueError
        If ``spec`` is empty, or an entry is discrete, circular or a batch of distributions.
    """
    if len(spec) == 0:
        raise ValueError(
            f"prior must have at least one parameter, got {spec!r}: write for example "
            "{'mass': stats.uniform(0, 10)}."
        )
    if not isinstance(spec, Mapping):
        return MarginalPrior(list(spec), spec=spec)
    for name in spec:
        if not isinstance(name, str):
            raise TypeError(f"prior must name its parameters by strings, got the key {name!r}.")
    return MarginalPrior(list(spec.values()), list(spec), spec)


def has_quantile_map(prior: Prior) -> bool:
    """
    Say whether draws of a prior are independent and standard normal in its unbounded space.

    Parameters
    ----------
    prior : Prior
        The prior.

    Returns
    -------
    bool
        Whether it has independent marginals, with their map, and not that of a joint prior.
    """
    return isinstance(prior, MarginalPrior) and isinstance(prior._map, StackedMap)
