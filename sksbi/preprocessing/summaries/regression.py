r"""
Posterior means of functions of theta, by linear regression on any number of columns.

The regression is a ridge in a subspace: that of the leading principal components and of the block
Krylov space :math:`B, X^T X B, (X^T X)^2 B` with :math:`B = X^T \phi(\theta)`, in which the
coefficients of partial least squares lie (Partial least squares regression, Phatak and de Hoog,
2002, https://doi.org/10.1002/cem.728). It costs a few products with X, whatever its width.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from sksbi.preprocessing.summaries.ridge import fit_ridge
from sksbi.utils.types import Array, Floats

__all__ = ["LinearMeans"]


_STEPS, _MOST_DIRECTIONS = 2, 400
_PENALTIES = np.geomspace(1e-9, 0.1, 9)


class LinearMeans:
    """
    Linear posterior means.

    Parameters
    ----------
    x : ndarray of shape (n, p)
        The columns.
    functions : ndarray of shape (n, K)
        Functions of theta, of mean 0.
    components : ndarray of shape (p, k)
        Principal components of x.
    """

    def __init__(self, x: Floats, functions: Array, components: Array) -> None:
        center = x.mean(axis=0)
        directions = _directions(x - center, functions, components)
        scores = (x - center) @ directions
        ridge = fit_ridge(scores.astype(np.float64), functions, _PENALTIES)
        self.weights = directions @ ridge.slope
        self.offset = ridge.offset - (ridge.center @ ridge.slope) - center @ self.weights

    def __call__(self, x: Floats) -> Array:
        """Estimate the posterior means (m, K) at x (m, p)."""
        return x @ self.weights + self.offset


def _directions(x: Floats, functions: Array, components: Array) -> Array:
    """Span the subspace, (p, r), by orthonormal directions."""
    block = x.T @ functions / len(x)
    blocks = [components, block]
    for _ in range(_STEPS):
        if sum(b.shape[1] for b in blocks) >= _MOST_DIRECTIONS:
            break
        block, _ = linalg.qr(block, mode="economic", check_finite=False)
        block = x.T @ (x @ block) / len(x)
        blocks.append(block)
    sizes = [np.linalg.norm(b, axis=0) for b in blocks]
    scaled = [b / np.where(size > 0, size, 1.0) for b, size in zip(blocks, sizes, strict=True)]
    return linalg.qr(np.hstack(scaled), mode="economic", check_finite=False)[0]
