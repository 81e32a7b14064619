"""
Multivariate normal and t distributions: dependent parameters on all of R^D.

With the standard deviations s and L L^T the correlations, theta = location + s L u. Correlations
have the same precision whatever the units of theta, so standard deviations of 1 and 1e-9 side by
side are nothing special, where scipy calls their covariance singular.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.linalg import solve_triangular
from scipy.special import gammaln

from sksbi.priors.joint import JointPrior
from sksbi.priors.maps import BoxMap
from sksbi.utils.types import Array

__all__ = ["MultivariatePrior", "is_multivariate", "multivariate_prior"]

_NORMAL = type(stats.multivariate_normal())
_STUDENT = type(stats.multivariate_t())
_FROZEN = _NORMAL.__mro__[1]
_UNFROZEN = type(stats.multivariate_normal).__mro__[1]
_SINGULAR = 1e-13
_ADVICE = "leave out the parameters that follow from the others"


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
    A multivariate normal or t distribution, with the identity as its map.

    Parameters
    ----------
    location : array-like of shape (D,)
        The location.
    root : array-like of shape (D, K)
        A root of the covariance, or of the t distribution's shape: root root^T is the matrix.
    df : float, default=inf
        The degrees of freedom; infinite: normal.
    spec : object, default=None
        What the user gave; None: this prior itself, made from another one.

    Raises
    ------
    ValueError
        If the matrix is singular, or not finite.
    """

    def __init__(
        self, location: ArrayLike, root: ArrayLike, df: float = np.inf, spec: Any = None
    ) -> None:
        self._location = np.array(location, dtype=np.float64, ndmin=1)
        root = np.array(root, dtype=np.float64, ndmin=2)
        self._scale, self._df = np.sqrt((root**2).sum(axis=1)), float(df)
        finite = np.isfinite(root).all() and np.isfinite(self._location).all()
        if not finite or self._scale.min() == 0:
            raise _singular(root @ root.T)
        # Of L L^T = A A^T, by the triangle of A^T: squares would lose half of the digits.
        factor = np.transpose(np.linalg.qr((root / self._scale[:, None]).T, mode="r"))
        self._root = factor * np.where(np.diag(factor) < 0, -1.0, 1.0)
        if np.linalg.svd(self._root, compute_uv=False)[-1] < _SINGULAR:
            raise _singular(root @ root.T)
        bounds = np.full(len(self._location), np.inf)
        super().__init__(spec, BoxMap(-bounds, bounds))

    def __repr__(self) -> str:
        kind = "multivariate_normal" if np.isinf(self._df) else "multivariate_t"
        return f"{type(self).__name__}({kind}, n_features={self.n_features})"

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """Draw (n, D)."""
        draws = generator.standard_normal((n, self.n_features)) @ self._root.T
        if np.isfinite(self._df):
            draws /= np.sqrt(generator.chisquare(self._df, size=(n, 1)) / self._df)
        return self._location + self._scale * draws

    def _log_prob(self, theta: Array) -> Array:
        """Evaluate the log density."""
        units = ((theta - self._location) / self._scale).T
        u = solve_triangular(self._root, units, lower=True, check_finite=False)
        square, d, df = (u**2).sum(axis=0), self.n_features, self._df
        log_volume = np.log(np.diag(self._root)).sum() + np.log(self._scale).sum()
        if np.isinf(df):
            return -0.5 * (square + d * np.log(2 * np.pi)) - log_volume
        constant = gammaln((df + d) / 2) - gammaln(df / 2) - 0.5 * d * np.log(df * np.pi)
        return constant - 0.5 * (df + d) * np.log1p(square / df) - log_volume

    def _marginal(self, columns: list[int]) -> MultivariatePrior:
        """Take rows out of the parameters."""
        root = (self._scale[:, None] * self._root)[columns]
        return MultivariatePrior(self._location[columns], root, self._df)


def multivariate_prior(distribution: Any) -> MultivariatePrior:
    """
    Make a prior from a multivariate distribution of scipy.

    Parameters
    ----------
    distribution : frozen scipy.stats distribution
        ``multivariate_normal`` or ``multivariate_t``.

    Returns
    -------
    MultivariatePrior
        The prior.

    Raises
    ------
    TypeError
        If ``distribution`` is not frozen.
    ValueError
        If it is another distribution, or its matrix is singular.
    """
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
    if isinstance(distribution, _NORMAL):
        location, matrix, df = distribution.mean, distribution.cov, np.inf
    else:
        location, matrix, df = distribution.loc, distribution.shape, distribution.df
    matrix = np.atleast_2d(np.asarray(matrix, dtype=np.float64))
    return MultivariatePrior(location, _root_of(matrix), df, distribution)


def _root_of(matrix: Array) -> Array:
    """Find a root of a covariance, by that of its correlations."""
    scale = np.sqrt(np.maximum(np.diag(matrix), 0.0))
    if not np.isfinite(matrix).all() or scale.min() == 0:
        raise _singular(matrix)
    correlations = matrix / scale[:, None] / scale
    try:
        smallest = np.linalg.eigvalsh(correlations)[0]
        if smallest < 10 * len(matrix) * np.finfo(np.float64).eps:
            raise _singular(matrix)
        return scale[:, None] * np.linalg.cholesky(correlations)
    except np.linalg.LinAlgError as error:
        raise _singular(matrix) from error


def _singular(matrix: Array) -> ValueError:
    """Say that there is no density."""
    return ValueError(
        f"prior must have a covariance of full rank, got {matrix.tolist()}, so that it has no "
        f"density: {_ADVICE}."
    )
