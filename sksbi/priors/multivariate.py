"""scipy's multivariate normal and t distributions: dependent parameters on all of R^D."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from sksbi.priors.joint import JointPrior
from sksbi.priors.maps import BoxMap
from sksbi.utils.types import Array

__all__ = ["MultivariatePrior", "is_multivariate"]

_NORMAL = type(stats.multivariate_normal())
_STUDENT = type(stats.multivariate_t())
_FROZEN = _NORMAL.__mro__[1]
_UNFROZEN = type(stats.multivariate_normal).__mro__[1]


def is_multivariate(spec: object) -> bool:
    """
    Recognise a multivariate distribution of scipy, frozen or not, whether it can be a prior or not.

    Parameters
    ----------
    spec : object
        Anything.

    Returns
    -------
    bool
        Whether it is one.
    """
    return isinstance(spec, _FROZEN | _UNFROZEN)


class MultivariatePrior(JointPrior):
    """
    A frozen ``multivariate_normal`` or ``multivariate_t`` of scipy, with the identity as its map.

    Parameters
    ----------
    distribution : frozen scipy.stats distribution
        The distribution.
    spec : object, default=None
        What the user gave; None: this prior itself, made from another one.

    Raises
    ------
    TypeError
        If ``distribution`` is not frozen.
    ValueError
        If it is another distribution, or its matrix is singular.
    """

    def __init__(self, distribution: object, spec: Any = None) -> None:
        if isinstance(distribution, _UNFROZEN):
            raise TypeError(
                f"prior must be a frozen distribution, got {type(distribution).__name__} without "
                "parameters: call it, as in stats.multivariate_normal([0, 0])."
            )
        if not isinstance(distribution, _NORMAL | _STUDENT):
            raise ValueError(
                "prior must be multivariate_normal or multivariate_t, if a multivariate scipy "
                f"distribution, got {type(distribution).__name__}: its support is not all of R^D. "
                "Give a dict of marginals, or an object with sample, log_prob and support."
            )
        matrix = distribution.cov if isinstance(distribution, _NORMAL) else distribution.shape
        if np.linalg.matrix_rank(matrix, hermitian=True) < distribution.dim:
            raise ValueError(
                f"prior must have a covariance of full rank, got {np.asarray(matrix).tolist()}: "
                "leave out the parameters that follow from the others."
            )
        self._distribution = distribution
        bounds = np.full(distribution.dim, np.inf)
        super().__init__(spec, BoxMap(-bounds, bounds))

    def __repr__(self) -> str:
        kind = type(self._distribution).__name__.removesuffix("_frozen")
        return f"{type(self).__name__}({kind}, n_features={self.n_features})"

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """Draw (n, D)."""
        draws = self._distribution.rvs(size=n, random_state=generator)
        return np.reshape(draws, (n, self.n_features))

    def _log_prob(self, theta: Array) -> Array:
        """Evaluate the log density."""
        return np.reshape(self._distribution.logpdf(theta), len(theta))

    def _marginal(self, columns: list[int]) -> MultivariatePrior:
        """Take rows and columns out of the parameters."""
        whole, block = self._distribution, np.ix_(columns, columns)
        if isinstance(whole, _NORMAL):
            return MultivariatePrior(
                stats.multivariate_normal(
                    np.atleast_1d(whole.mean)[columns], np.atleast_2d(whole.cov)[block]
                )
            )
        loc, shape = np.atleast_1d(whole.loc)[columns], np.atleast_2d(whole.shape)[block]
        return MultivariatePrior(stats.multivariate_t(loc, shape, df=whole.df))
