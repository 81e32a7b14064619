"""
The parameters' way to the network: prior's map, theta_transformer, standardisation.

Each step is invertible and the whole keeps the density true,

    log q(theta | x) = log q(u | x) + log |det du/dtheta|,

while no u leads outside the support of the prior. All of it runs in float64 on the CPU.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import copy

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.preprocessing import StandardScaler

from sksbi.preprocessing.columns import take_columns
from sksbi.preprocessing.jacobian import (
    cover_the_line,
    in_domain,
    log_abs_det_jacobian,
    returning_arrays,
)
from sksbi.priors import Prior
from sksbi.priors.base import with_map_of
from sksbi.priors.reach import off_bounds
from sksbi.utils.types import Array

__all__ = ["ParameterSpace"]

_LARGEST, _SQUARES = 1e300, 400  # the latter as a power of two


class ParameterSpace:
    """
    The map between theta and the network's parameters u.

    Parameters
    ----------
    prior : Prior or None
        The prior whose support bounds theta; None: theta is unbounded.
    transformer : estimator or None
        A scikit-learn transformer with a known log-determinant, acting in the prior's unbounded
        space. The powers of a PowerTransformer are held where it reaches the whole real line.
    """

    def __init__(self, prior: Prior | None, transformer: BaseEstimator | None) -> None:
        self.prior = prior
        self.transformer = None if transformer is None else returning_arrays(clone(transformer))

    def fit(self, theta: Array, sample_weight: Array | None = None) -> ParameterSpace:
        """
        Learn the transformer and the standardisation.

        Parameters
        ----------
        theta : ndarray of shape (n, D)
            The parameters, inside the support.
        sample_weight : ndarray of shape (n,) or None
            Weights of the rows in the standardisation.

        Returns
        -------
        ParameterSpace
            Itself.
        """
        z = self.to_unbounded(theta)
        if self.transformer is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                log_abs_det_jacobian(self.transformer.fit(z), z[:1])
                z = cover_the_line(self.transformer, z)
        self.scaler_ = _standard_scaler(z, sample_weight)
        return self

    def marginal(self, columns: Sequence[int]) -> ParameterSpace:
        """
        Take the map of some parameters.

        Parameters
        ----------
        columns : sequence of int
            Which, in the order wanted.

        Returns
        -------
        ParameterSpace
            Their map, the same that they have beside the others.

        Raises
        ------
        ValueError
            If the prior has no marginal.
        """
        made = copy(self)
        made.prior = None if self.prior is None else with_map_of(self.prior, columns)
        if self.transformer is not None:
            made.transformer = take_columns(self.transformer, columns)
        made.scaler_ = take_columns(self.scaler_, columns)
        return made

    def to_unbounded(self, theta: Array) -> Array:
        """
        Map theta to the prior's unbounded space.

        Parameters
        ----------
        theta : ndarray of shape (n, D)
            The parameters, inside the support.

        Returns
        -------
        ndarray of shape (n, D)
            z; theta itself without a prior.
        """
        if self.prior is None:
            return theta
        return self.prior.to_unbounded(off_bounds(self.prior, theta))

    def to_network(self, theta: Array) -> tuple[Array, Array]:
        """
        Map theta to u.

        Parameters
        ----------
        theta : ndarray of shape (n, D)
            The parameters, inside the support.

        Returns
        -------
        u : ndarray of shape (n, D)
            What the network sees.
        ladj : ndarray of shape (n,)
            The log-determinant log |det du/dtheta|, -inf where the transformer is not defined
            (Box-Cox for negative numbers).
        """
        theta = theta if self.prior is None else off_bounds(self.prior, theta)
        z = self.to_unbounded(theta)
        if self.transformer is not None and not (defined := in_domain(self.transformer, z)).all():
            u, ladj = np.zeros(z.shape), np.full(len(z), -np.inf)
            if defined.any():
                u[defined], ladj[defined] = self.to_network(theta[defined])
            return u, ladj
        ladj = np.zeros(len(z)) if self.prior is None else self.prior.log_abs_det_jacobian(theta, z)
        if self.transformer is not None:
            ladj = ladj + log_abs_det_jacobian(self.transformer, z)
            z = self.transformer.transform(z)
        return self.scaler_.transform(z), ladj + log_abs_det_jacobian(self.scaler_, z)

    def unbounded_to_network(self, z: Array) -> Array:
        """
        Map points of the prior's unbounded space to u.

        Parameters
        ----------
        z : ndarray of shape (n, D)
            Points.

        Returns
        -------
        ndarray of shape (n, D)
            What the network sees; NaN where the transformer is not defined.
        """
        if self.transformer is None:
            return self._standardise(z)
        u, defined = np.full(z.shape, np.nan), in_domain(self.transformer, z)
        if defined.any():
            u[defined] = self._standardise(self.transformer.transform(z[defined]))
        return u

    def _standardise(self, z: Array) -> Array:
        """Do as the scaler does, without its checks, which take longer than few rows do."""
        return (z - self.scaler_.mean_) / self.scaler_.scale_

    def from_network(self, u: Array) -> Array:
        """
        Map u to theta.

        Parameters
        ----------
        u : ndarray of shape (n, D)
            What the network drew.

        Returns
        -------
        ndarray of shape (n, D)
            Parameters strictly inside the support; NaN where u is not finite, or the transformer
            leads too far for a float.
        """
        finite = np.isfinite(u).all(axis=1, keepdims=True)
        z = self._untransformed(self._to_transformed(np.where(finite, u, 0.0)))
        finite &= np.isfinite(z).all(axis=1, keepdims=True)
        z = np.where(finite, z, 0.0)
        theta = z if self.prior is None else self.prior.from_unbounded(z)
        return np.where(finite, theta, np.nan)

    def log_abs_det_jacobian(self, theta: Array, u: Array) -> Array:
        """
        Compute the log-determinant at points that are known in both units.

        Parameters
        ----------
        theta : ndarray of shape (n, D)
            The parameters, inside the support.
        u : ndarray of shape (n, D)
            What the network sees of them.

        Returns
        -------
        ndarray of shape (n,)
            log |det du/dtheta|.
        """
        scaled = z = self._to_transformed(u)
        ladj = log_abs_det_jacobian(self.scaler_, scaled)
        if self.transformer is not None:
            z = self._untransformed(scaled)
            ladj = ladj + log_abs_det_jacobian(self.transformer, z)
        return ladj if self.prior is None else ladj + self.prior.log_abs_det_jacobian(theta, z)

    def _to_transformed(self, u: Array) -> Array:
        """Undo the standardisation."""
        return u * self.scaler_.scale_ + self.scaler_.mean_

    def _untransformed(self, z: Array) -> Array:
        """Undo the transformer, if any; what is too far for a float is not finite."""
        if self.transformer is None:
            return z
        with warnings.catch_warnings(), np.errstate(over="ignore"):
            warnings.filterwarnings("ignore", "Some values in column", UserWarning)
            return self.transformer.inverse_transform(z)


def _standard_scaler(z: Array, sample_weight: Array | None) -> StandardScaler:
    """Learn the standardisation; of columns whose squares no float holds, in units of their own."""
    largest = np.abs(z).max(axis=0)
    if not (largest < _LARGEST).all():
        raise ValueError(
            f"theta, after theta_transformer if there is one, must lie below {_LARGEST:g}, got "
            f"{largest.max():g} in column {largest.argmax()}: give it in larger units."
        )
    _, exponent = np.frexp(largest)
    unit = np.ldexp(1.0, np.where(np.abs(exponent) > _SQUARES, exponent, 0))
    scaler = returning_arrays(StandardScaler()).fit(z / unit, sample_weight=sample_weight)
    scaler.mean_, scaler.scale_ = scaler.mean_ * unit, scaler.scale_ * unit
    return scaler
