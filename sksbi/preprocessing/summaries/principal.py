r"""
Principal components, whose scores are alike on the rows they were learnt from and on new ones.

A component is a combination of the rows, :math:`v = \sum_i s_i x_i / w` with the scores s and the
eigenvalue w of the sums of squares, so that the score of a row holds a part that is its own,
:math:`s_i |x_i|^2 / w`, and no other row has. It is taken out (Convergence and prediction of
principal component scores in high-dimensional settings, Lee, Zou and Wright, 2010,
https://arxiv.org/abs/1211.2970), and components that consist of little else are left out.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg
from sklearn.utils.extmath import randomized_svd

from sksbi.utils.types import Array, Floats

__all__ = ["PrincipalScores"]

_MOST_EXACTLY = 1_000
_OWN = 0.5


class PrincipalScores:
    """
    Scores of the leading principal components.

    Parameters
    ----------
    n_components : int
        How many there are at most.
    seed : int
        Seeds the search for the components of large tables.
    """

    def __init__(self, n_components: int, seed: int) -> None:
        self.n_components, self.seed = n_components, seed

    def fit_transform(self, x: Floats) -> Array:
        """
        Learn the components.

        Parameters
        ----------
        x : ndarray of shape (n, p)
            Columns of mean zero.

        Returns
        -------
        ndarray of shape (n, k)
            The scores of every row by the components of the other ones.
        """
        squares = (x.astype(np.float64) ** 2).sum(axis=1)
        components, sums = self._components(x)
        kept = sums * _OWN > squares.mean()
        kept[0] = True
        self.components_, sums = components[:, kept], np.maximum(sums[kept], 1e-300)
        own = np.minimum(squares[:, None] / sums, 1.0)
        return self.transform(x) * (1 - own)

    def _components(self, x: Floats) -> tuple[Array, Array]:
        """Find components, (p, k), and their sums of squares (k,), largest first."""
        n, p = x.shape
        k = min(self.n_components, n, p)
        if min(n, p) > _MOST_EXACTLY:
            _, roots, rows = randomized_svd(x, k, n_iter=6, random_state=self.seed)
            return rows.T.astype(np.float64), roots.astype(np.float64) ** 2
        wide = p > n
        gram = (x @ x.T if wide else x.T @ x).astype(np.float64)
        last = len(gram) - 1
        sums, vectors = linalg.eigh(gram, subset_by_index=[last - k + 1, last])
        sums, vectors = np.maximum(sums[::-1], 0.0), vectors[:, ::-1]
        if wide:
            vectors = x.T @ (vectors / np.sqrt(np.maximum(sums, 1e-300)))
        return vectors, sums

    def transform(self, x: Floats) -> Array:
        """
        Compute scores of new rows.

        Parameters
        ----------
        x : ndarray of shape (m, p)
            Columns, centred as in fit.

        Returns
        -------
        ndarray of shape (m, k)
            The scores.
        """
        return x @ self.components_
