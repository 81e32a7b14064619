"""
Maps to R^D that a prior brings itself, checked on points.

With a map of its own a prior reaches every shape that is the image of R^D, such as
theta_1 < theta_2, so that nothing has to be redrawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sksbi.priors.maps import UnboundedMap
from sksbi.utils.tensors import to_numpy
from sksbi.utils.types import Array

__all__ = ["METHODS", "OwnMap", "check_own_map"]

METHODS = ("to_unbounded", "from_unbounded", "log_abs_det_jacobian")
_STEP, _LOOSE = 1e-5, 1e-3
_N_SLOPES = 8


class OwnMap(UnboundedMap):
    """
    The map of a user's object.

    Parameters
    ----------
    spec : object
        It has ``to_unbounded(theta)``, ``from_unbounded(z)`` and
        ``log_abs_det_jacobian(theta, z)``.
    low, high : array-like of shape (D,)
        A box around what it reaches, possibly infinite.
    """

    def __init__(self, spec: Any, low: ArrayLike, high: ArrayLike) -> None:
        super().__init__(low, high)
        self.spec = spec

    def to_unbounded(self, theta: Array) -> Array:
        """Map theta (n, D) to z (n, D)."""
        return _shaped(self.spec.to_unbounded(theta), METHODS[0], theta.shape)

    def from_unbounded(self, z: Array) -> Array:
        """Map z (n, D) to theta (n, D)."""
        return _shaped(self.spec.from_unbounded(z), METHODS[1], z.shape)

    def log_abs_det_jacobian(self, theta: Array, z: Array) -> Array:
        """Evaluate log |dz / dtheta|, shape (n,)."""
        found = self.spec.log_abs_det_jacobian(theta, z)
        return _shaped(found, METHODS[2], (len(theta),))


def check_own_map(own: UnboundedMap, draws: Array, z: Array) -> None:
    """
    Hold that a map inverts, and that its log-determinant is that of its slopes.

    Parameters
    ----------
    own : UnboundedMap
        The map.
    draws : ndarray of shape (n, D)
        Draws of the prior.
    z : ndarray of shape (n, D)
        Points of the unbounded space.

    Raises
    ------
    ValueError
        If it does not.
    """
    with np.errstate(all="ignore"):
        again = own.from_unbounded(own.to_unbounded(draws))
        _compare(again, draws, "from_unbounded(to_unbounded(theta)) must be theta")
        theta = own.from_unbounded(z)
        _compare(own.to_unbounded(theta), z, "to_unbounded(from_unbounded(z)) must be z")
        theta, z = theta[:_N_SLOPES], z[:_N_SLOPES]
        scale = _STEP * np.maximum(1, abs(z))
        slopes = np.empty((len(z), z.shape[1], z.shape[1]))
        for i in range(z.shape[1]):
            step = scale * (np.arange(z.shape[1]) == i)
            change = own.from_unbounded(z + step) - own.from_unbounded(z - step)
            slopes[:, :, i] = change / (2 * scale[:, i : i + 1])
        expected = -np.linalg.slogdet(slopes)[1]
        found = own.log_abs_det_jacobian(theta, z)
    wrong = ~(abs(found - expected) <= 10 * _LOOSE * (1 + abs(expected)))
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            "prior.log_abs_det_jacobian(theta, z) must be log |det dz/dtheta|, got "
            f"{found[row]:.6g} at theta={theta[row]}, where finite differences of from_unbounded "
            f"give {expected[row]:.6g}: correct it; the other sign is that of dtheta/dz."
        )


def _compare(found: Array, given: Array, rule: str) -> None:
    """Hold that points came back."""
    spread = np.ptp(given, axis=0) + 1e-12 * abs(given).max(axis=0)
    wrong = ~(abs(found - given) <= _LOOSE * spread).all(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"prior.{rule}, got {found[row]} for {given[row]}: correct the two methods."
        )


def _shaped(values: Any, name: str, shape: tuple[int, ...]) -> Array:
    """Convert what a method returns, and check its shape."""
    array = np.asarray(to_numpy(values), dtype=np.float64)
    if array.shape != shape:
        raise ValueError(f"prior.{name} must return shape {shape}, got {array.shape}.")
    return array
