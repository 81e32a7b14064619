"""Likelihoods that were learnt: densities of x by a network in the context of theta."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.special import logsumexp
from torch import Tensor

from sksbi.exceptions import MisspecificationWarning
from sksbi.nn import ConditionalLikelihood
from sksbi.posteriors.doubt import Doubt
from sksbi.posteriors.factor import FactorAt, Likelihood
from sksbi.preprocessing import InvertibleSpace, ParameterViews
from sksbi.utils.batches import EVALUATION_BATCH, batches
from sksbi.utils.devices import device_of
from sksbi.utils.random import torch_generator
from sksbi.utils.types import Array, Rows

__all__ = ["NetworkLikelihood", "RangeRecord", "find_ranges"]

# The squares of what a network sees must be floats.
_FARTHEST = 1e9


class NetworkLikelihood(Likelihood):
    """
    Likelihood by a density of x in the context of theta, in the units of x.

    Parameters
    ----------
    network : ConditionalLikelihood
        The trained density.
    views : ParameterViews
        The map from theta to what the network is given.
    x_space : InvertibleSpace
        The map between x and the network's units.
    """

    def __init__(
        self, network: ConditionalLikelihood, views: ParameterViews, x_space: InvertibleSpace
    ) -> None:
        self.network, self.views, self.x_space = network.eval(), views, x_space

    @property
    def n_units(self) -> int:
        """The number of views."""
        return self.views.n_views

    @property
    def is_density(self) -> bool:
        """Whether no column is discrete or a count."""
        return not (self.x_space.discrete_.any() or self.x_space.counts_.any())

    def units(self, theta: Array) -> Array:
        """Compute the views of theta."""
        return self.views(theta)

    def units_from_unbounded(self, z: Array) -> Array:
        """Compute the views at points of the prior's unbounded space."""
        return self.views.from_unbounded(z)

    def refuse_unseen(self, x: Array) -> None:
        """Hold that discrete values were seen in fit."""
        self.x_space.refuse_unseen(x)

    def at(self, x: Array) -> FactorAt:
        """Bring trials to the network's units."""
        places = [self.x_space.to_network(x, offset=offset) for offset in self.x_space.offsets_]
        target = np.stack([one for one, _ in places])
        tensor = torch.from_numpy(np.nan_to_num(target).astype(np.float32))
        ladj = np.stack([one for _, one in places])
        return _LikelihoodAt(self.network, tensor.to(device_of(self.network)), ladj)

    def draw(self, theta: Array, n: int, generator: np.random.Generator) -> Array:
        """
        Draw observations.

        Parameters
        ----------
        theta : ndarray of shape (m, D)
            Parameters.
        n : int
            The number of draws for each.
        generator : numpy.random.Generator
            Where the noise comes from.

        Returns
        -------
        ndarray of shape (m, n, ...)
            The draws.
        """
        noise, context = torch_generator(generator), _as_tensor(self.units(theta))
        rows = torch.arange(len(theta)).repeat_interleave(n)
        device = device_of(self.network)
        parts = [
            self.network.draw(context[rows[part]].to(device), noise).cpu()
            for part in batches(len(rows), EVALUATION_BATCH)
        ]
        x = self.x_space.from_network(torch.cat(parts).double().numpy())
        return x.reshape(len(theta), n, *x.shape[1:])


class _LikelihoodAt(FactorAt):
    """The density at fixed trials, averaged over the places (k, n) that stand for each."""

    def __init__(self, network: ConditionalLikelihood, target: Tensor, ladj: Array) -> None:
        self.network, self.target, self.ladj = network, target, ladj

    def __call__(self, u: Array, rows: Rows) -> Array:
        """Evaluate pair by pair."""
        each = [self._evaluate(u, rows, k) for k in range(len(self.ladj))]
        return each[0] if len(each) == 1 else logsumexp(each, axis=0) - np.log(len(each))

    def _evaluate(self, u: Array, rows: Rows, place: int) -> Array:
        """Evaluate at one of the places."""
        target, device = self.target[place], self.target.device
        context, numbers = _as_tensor(u), torch.from_numpy(rows)
        with torch.no_grad():
            parts = [
                self.network.log_prob_at(target[numbers[part]], context[part].to(device)).cpu()
                for part in batches(len(u), EVALUATION_BATCH)
            ]
        return torch.cat(parts).double().numpy() + self.ladj[place, rows]

    def take(self, rows: Rows | slice) -> FactorAt:
        """Take some of the trials."""
        return _LikelihoodAt(self.network, self.target[:, rows], self.ladj[:, rows])


def _as_tensor(u: Array) -> Tensor:
    """Round what a network is given to float32."""
    return torch.from_numpy(np.clip(u, -_FARTHEST, _FARTHEST).astype(np.float32))


class RangeRecord:
    """
    The ranges of what was simulated, against which observations are held.

    What is outside by little in units of x may be far outside on the scale of a logarithm, on which
    a density was learnt, and there it means nothing.

    Parameters
    ----------
    x_space : InvertibleSpace
        The map between x and the network's units.
    ranges : ndarray of shape (2, number of columns with a density)
        The lowest and the highest values that were simulated, by ``find_ranges``.
    names : sequence or None, default=None
        The columns of x.
    """

    def __init__(
        self, x_space: InvertibleSpace, ranges: Array, names: Sequence[Any] | None = None
    ) -> None:
        self.x_space, self.ranges, self.names = x_space, ranges, names

    def doubts(self, posterior: Any) -> list[Doubt]:
        """
        Find observations outside of the ranges.

        Parameters
        ----------
        posterior : PriorTimesAt
            The posteriors of m observations, each of as many trials.

        Returns
        -------
        list of Doubt
            One or none.
        """
        x = posterior.x
        beyond = self.x_space.are_beyond(x.reshape(-1, *x.shape[2:]), self.ranges)
        if not beyond.any():
            return []
        row, place = np.argwhere(beyond)[0]
        column = int(np.flatnonzero(~self.x_space.discrete_)[place])
        value = x.reshape(len(beyond), -1)[row, column]
        name = column if self.names is None else repr(self.names[column])
        name = str(name).replace("{", "{{").replace("}", "}}")
        text = (
            f"column {name} of {{who}} is {value:.6g}, where nothing was simulated, on the scale "
            f"that its density was learnt on ({self.x_space.maps_[place].kind}): the posterior "
            "there is an extrapolation and may mean nothing."
        )
        rows = np.flatnonzero(beyond.any(axis=1).reshape(len(x), -1).any(axis=1))
        return [Doubt(MisspecificationWarning, text, rows, len(x))]


def find_ranges(x_space: InvertibleSpace, x: Array, before: Array | None = None) -> Array:
    """
    Find the ranges of simulations on the scales on which their density is learnt.

    Parameters
    ----------
    x_space : InvertibleSpace
        The map between x and the network's units.
    x : ndarray of shape (n, ...)
        Simulations, at least one.
    before : ndarray of shape (2, number of columns with a density) or None, default=None
        The ranges of earlier ones, which are covered as well.

    Returns
    -------
    ndarray of shape (2, number of columns with a density)
        The lowest and the highest values.
    """
    y = x_space.to_network(x)[0][:, : x_space.n_continuous]
    ranges = np.stack([y.min(axis=0), y.max(axis=0)])
    if before is None:
        return ranges
    return np.stack([np.minimum(before[0], ranges[0]), np.maximum(before[1], ranges[1])])
