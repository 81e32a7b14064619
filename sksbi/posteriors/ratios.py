"""Ratios that were learnt: by a network, or by whatever evaluates pairs (theta, x)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from sksbi.nn import ConditionalRatio
from sksbi.posteriors.encoding import encode
from sksbi.posteriors.factor import FactorAt, Ratio
from sksbi.preprocessing import ObservationSpace, ParameterSpace
from sksbi.priors import Prior
from sksbi.utils.batches import EVALUATION_BATCH, batches
from sksbi.utils.types import Array, Rows

__all__ = ["NetworkRatio", "PairwiseRatio"]

# The squares of what a network sees must be floats.
_FARTHEST = 1e9
_ROWS_PER_CALL = 200_000


class NetworkRatio(Ratio):
    """
    Ratio by a network of theta in the context of x.

    Parameters
    ----------
    network : ConditionalRatio
        The trained network.
    theta_space : ParameterSpace
        The map between theta and the network's units.
    x_space : ObservationSpace
        The map from x to what the network sees.
    reach : ndarray of shape (2, D) or None, default=None
        Beyond these, in the network's units, theta counts as there: no simulation tells what a
        ratio does farther out, and a network's may outgrow the prior, all the sooner for trials.
    """

    def __init__(
        self,
        network: ConditionalRatio,
        theta_space: ParameterSpace,
        x_space: ObservationSpace,
        reach: Array | None = None,
    ) -> None:
        self.network, self.theta_space, self.x_space = network, theta_space, x_space
        self.reach = reach

    @property
    def n_units(self) -> int:
        """The number of parameters."""
        return len(self.theta_space.scaler_.mean_)

    def units(self, theta: Array) -> Array:
        """Bring theta to the network's units."""
        return self.units_from_unbounded(self.theta_space.to_unbounded(theta))

    def units_from_unbounded(self, z: Array) -> Array:
        """Bring points of the prior's unbounded space to the network's units, within its reach."""
        u = self.theta_space.unbounded_to_network(z)
        return u if self.reach is None else np.clip(u, *self.reach)

    def marginal(self, columns: Sequence[int]) -> NetworkRatio:
        """
        Take the ratio of some of the parameters, by a network that has marginals.

        Parameters
        ----------
        columns : sequence of int
            The parameters, in the order wanted.

        Returns
        -------
        NetworkRatio
            The ratio of these.

        Raises
        ------
        ValueError
            If the prior has no such marginal.
        """
        space = self.theta_space.marginal(columns)
        reach = None if self.reach is None else self.reach[:, list(columns)]
        return NetworkRatio(self.network.marginal(columns), space, self.x_space, reach)

    def at(self, x: Array) -> FactorAt:
        """Encode and embed trials."""
        return _NetworkAt(self.network, encode(self.network, self.x_space, x))


class _NetworkAt(FactorAt):
    """The network in fixed contexts."""

    def __init__(self, network: ConditionalRatio, context: Tensor) -> None:
        self.network, self.context = network, context
        self.of_one = network.at(context) if len(context) == 1 else None

    def __call__(self, u: Array, rows: Rows) -> Array:
        """Evaluate pair by pair; of one context, what depends on it only once."""
        points = torch.from_numpy(np.clip(u, -_FARTHEST, _FARTHEST).astype(np.float32))
        numbers, device = torch.from_numpy(rows), self.context.device
        with torch.no_grad():
            parts = [
                self._evaluate(points[part].to(device), numbers[part]).cpu()
                for part in batches(len(u), EVALUATION_BATCH)
            ]
        return torch.cat(parts).double().numpy()

    def _evaluate(self, u: Tensor, rows: Tensor) -> Tensor:
        """Evaluate a batch."""
        if self.of_one is not None:
            return self.of_one(u[:, None])[:, 0]
        return self.network.at(self.context[rows])(u)

    def take(self, rows: Rows | slice) -> FactorAt:
        """Take some of the contexts."""
        return _NetworkAt(self.network, self.context[rows])


class PairwiseRatio(Ratio):
    """
    Ratio by a function of pairs, in theta's own units.

    Parameters
    ----------
    log_ratio : callable
        Maps theta (n, D) and x (n, ...) to log-ratios (n,).
    prior : Prior or None
        Outside its support theta is moved to the nearest point inside.
    low, high : ndarray of shape (D,)
        Beyond these, theta counts as there.
    """

    def __init__(
        self,
        log_ratio: Callable[[Array, Array], Array],
        prior: Prior | None,
        low: Array,
        high: Array,
    ) -> None:
        self.log_ratio, self.prior, self.low, self.high = log_ratio, prior, low, high

    @property
    def n_units(self) -> int:
        """The number of parameters."""
        return len(self.low)

    def units(self, theta: Array) -> Array:
        """Take theta as it is, within the support and some way around the simulations."""
        theta = theta if self.prior is None else np.clip(theta, *self.prior.support)
        return np.clip(theta, self.low, self.high)

    def units_from_unbounded(self, z: Array) -> Array:
        """Bring points of the prior's unbounded space to theta."""
        return self.units(z if self.prior is None else self.prior.from_unbounded(z))

    def at(self, x: Array) -> FactorAt:
        """Keep trials."""
        return _PairwiseAt(self.log_ratio, x)


class _PairwiseAt(FactorAt):
    """A function of pairs, with x fixed."""

    def __init__(self, log_ratio: Callable[[Array, Array], Array], x: Array) -> None:
        self.log_ratio, self.x = log_ratio, x

    def __call__(self, u: Array, rows: Rows) -> Array:
        """Evaluate pair by pair, in batches."""
        parts = batches(len(u), _ROWS_PER_CALL)
        return np.concatenate([self.log_ratio(u[part], self.x[rows[part]]) for part in parts])

    def take(self, rows: Rows | slice) -> FactorAt:
        """Take some of the trials."""
        return _PairwiseAt(self.log_ratio, self.x[rows])
