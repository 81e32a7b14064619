"""The prior in its unbounded space, where samplers move."""

from __future__ import annotations

import numpy as np

from sksbi.priors.base import Prior
from sksbi.priors.marginals import has_quantile_map
from sksbi.utils.types import Array

__all__ = ["UnboundedPrior"]


_LOG_SQRT_2PI = 0.5 * np.log(2 * np.pi)


class UnboundedPrior:
    """
    The density of z, the image of theta under the prior's map to R^D.

    Independent marginals have the quantile map, under which z is standard normal, so that neither
    draws nor densities need the distributions of theta.

    Parameters
    ----------
    prior : Prior
        The prior of theta.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import stats
    >>> from sksbi.priors import UnboundedPrior, check_prior
    >>> prior = UnboundedPrior(check_prior([stats.uniform(0, 10)]))
    >>> z = prior.sample((3, 5), np.random.default_rng(0))
    >>> z.shape, prior.log_prob(z).shape
    ((3, 5, 1), (3, 5))
    """

    def __init__(self, prior: Prior) -> None:
        self.prior = prior
        self._is_normal = has_quantile_map(prior)

    def sample(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        """
        Draw z.

        Parameters
        ----------
        shape : tuple of int
            How many draws.
        generator : numpy.random.Generator
            Where the randomness comes from.

        Returns
        -------
        ndarray of shape (..., D)
            The draws.
        """
        d = self.prior.n_features
        if self._is_normal:
            return generator.standard_normal((*shape, d))
        theta = self.prior.sample(int(np.prod(shape)), generator)
        return self.prior.to_unbounded(theta).reshape(*shape, d)

    def log_prob(self, z: Array) -> Array:
        """
        Evaluate the log-density of z.

        Parameters
        ----------
        z : ndarray of shape (..., D)
            Points.

        Returns
        -------
        ndarray of shape (...)
            The log-densities.
        """
        if self._is_normal:
            return -(0.5 * z**2 + _LOG_SQRT_2PI).sum(axis=-1)
        flat = z.reshape(-1, z.shape[-1])
        theta = self.prior.from_unbounded(flat)
        log_p = self.prior.log_prob(theta) - self.prior.log_abs_det_jacobian(theta, flat)
        return log_p.reshape(z.shape[:-1])
