"""
A prior behind torch's transforms, theta = t(y).

The map of y to unbounded space, behind the inverse of the transforms, is one of theta, so nothing
that it leads to is outside the support, whatever torch says that the support is. Everything runs in
float64, since a float32 sum of a shift and a draw may lie beyond the bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.distributions import Transform, TransformedDistribution, constraints
from torch.distributions.transforms import ComposeTransform, IndependentTransform

from sksbi.priors.base import Prior, floats_inside
from sksbi.priors.derived import no_marginal
from sksbi.priors.joint import JointPrior
from sksbi.priors.maps import UnboundedMap
from sksbi.utils.types import Array

__all__ = ["TransformedPrior", "is_bijection"]


def is_bijection(distribution: TransformedDistribution, shape: tuple[int, ...]) -> bool:
    """
    Tell whether the transforms of a distribution invert, and keep its shape.

    Parameters
    ----------
    distribution : torch.distributions.TransformedDistribution
        The distribution.
    shape : tuple of int
        Its shape, () or (D,).

    Returns
    -------
    bool
        Whether they do.
    """
    base = distribution.base_dist
    same = tuple(base.batch_shape + base.event_shape) == shape
    return same and all(transform.bijective for transform in distribution.transforms)


class TransformedPrior(JointPrior):
    """
    A prior behind transforms that invert.

    Parameters
    ----------
    base : Prior
        The prior of y.
    transforms : sequence of torch.distributions.Transform
        They turn y into theta, one after the other.
    shape : tuple of int
        The shape of one y, () or (D,).
    spec : object
        What the user gave.
    """

    def __init__(
        self, base: Prior, transforms: Sequence[Transform], shape: tuple[int, ...], spec: Any
    ) -> None:
        self.base = base
        self._behind = own = _Behind(base, transforms, shape)
        inside = floats_inside(own.low, own.high)
        holes = own.mixes or base._holes
        super().__init__(spec, own, inside=inside, holes=holes, covered=base._covered)

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """Transform draws of the base; what is rounded onto a bound is moved inside."""
        theta = self._behind.forward(self.base.sample(n, generator))
        return np.clip(theta, *self._inside)

    def _log_prob(self, theta: Array) -> Array:
        """Evaluate the base's log density, and that of the transforms."""
        y = self._behind.inverse(theta)
        finite = np.isfinite(y).all(axis=1)
        log_p = self.base.log_prob(np.where(finite.reshape(-1, 1), y, 0.0))
        return np.where(finite, log_p - self._behind.log_slope(y, theta), -np.inf)

    def _marginal(self, columns: list[int]) -> Prior:
        """Refuse."""
        raise no_marginal(self)


class _Behind(UnboundedMap):
    """The base's map, behind the inverse of the transforms."""

    def __init__(
        self, base: Prior, transforms: Sequence[Transform], shape: tuple[int, ...]
    ) -> None:
        self.base, self.shape = base, shape
        self.transforms = [part for transform in transforms for part in _parts(transform)]
        self.mixes = any(part.domain.event_dim > 0 for part in self.transforms)
        if self.mixes:
            bounds = np.full(base.n_features, np.inf)
            super().__init__(-bounds, bounds)
        else:
            ends = self._ends(*base.support)
            super().__init__(np.minimum(*ends), np.maximum(*ends))

    def _ends(self, *ends: Array) -> tuple[Array, ...]:
        """Follow the bounds; torch keeps those of a sigmoid one float apart from 0 and 1."""
        for part in self.transforms:
            after = tuple(self._apply(part, end) for end in ends)
            low = getattr(part.codomain, "lower_bound", None)
            high = getattr(part.codomain, "upper_bound", None)
            if isinstance(part.codomain, constraints.interval):
                low, high = (np.asarray(torch.as_tensor(bound)) for bound in (low, high))
                rising = after[0] < after[1]
                limits = np.where(rising, low, high), np.where(rising, high, low)
                after = tuple(
                    np.where(np.isinf(end), limit, value)
                    for end, limit, value in zip(ends, limits, after, strict=True)
                )
            ends = after
        return ends

    def _apply(self, part: Transform, values: Array) -> Array:
        """Transform one bound of every coordinate."""
        with torch.no_grad():
            moved = part(torch.from_numpy(values).reshape(self.shape))
        return moved.double().numpy().reshape(-1)

    def forward(self, y: Array) -> Array:
        """Turn y into theta."""
        return self._run(y, self.transforms)

    def inverse(self, theta: Array) -> Array:
        """Turn theta into y."""
        return self._run(theta, [part.inv for part in reversed(self.transforms)])

    def log_slope(self, y: Array, theta: Array) -> Array:
        """Evaluate log |dtheta / dy|."""
        total = np.zeros(len(y))
        with torch.no_grad():
            before = torch.from_numpy(y).reshape(len(y), *self.shape)
            for part in self.transforms:
                after = part(before)
                slope = part.log_abs_det_jacobian(before, after).double()
                total += slope.reshape(len(y), -1).sum(dim=1).numpy()
                before = after
        return total

    def to_unbounded(self, theta: Array) -> Array:
        """Map theta to z."""
        return self.base.to_unbounded(self.inverse(theta))

    def from_unbounded(self, z: Array) -> Array:
        """Map z to theta."""
        return self.forward(self.base.from_unbounded(z))

    def log_abs_det_jacobian(self, theta: Array, z: Array) -> Array:
        """Evaluate log |dz / dtheta|."""
        y = self.base.from_unbounded(z)
        return self.base.log_abs_det_jacobian(y, z) - self.log_slope(y, theta)

    def _run(self, values: Array, parts: Sequence[Transform]) -> Array:
        """Apply transforms in float64."""
        with torch.no_grad():
            moved = torch.from_numpy(np.ascontiguousarray(values)).reshape(-1, *self.shape)
            for part in parts:
                moved = part(moved)
        return moved.double().numpy().reshape(values.shape)


def _parts(transform: Transform) -> list[Transform]:
    """Take chains of transforms apart, and layers off that only count dimensions."""
    if isinstance(transform, IndependentTransform):
        return _parts(transform.base_transform)
    if isinstance(transform, ComposeTransform):
        return [part for inner in transform.parts for part in _parts(inner)]
    return [transform]
