r"""
Quantiles of a forest: those of the rows that share a leaf with X, averaged over its trees.

The trees are scikit-learn's, fitted to the mean as ever (Quantile regression forests, Meinshausen,
2006, https://www.jmlr.org/papers/v7/meinshausen06a.html). Larger nodes can serve for leaves, so
that one fit gives forests of leaves of all sizes.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline

from sksbi.estimators.quantile_models import (
    Features,
    QuantileModel,
    fitted,
    last_step,
    take_rows,
)
from sksbi.utils.batches import batches
from sksbi.utils.types import Array, Rows

__all__ = ["SMALLEST_LEAF", "ForestModel"]

SMALLEST_LEAF, _LARGEST_LEAF = 5, 320
_LARGEST_PRODUCT = 10_000_000


class ForestModel(QuantileModel):
    """
    Quantiles of the targets of rows that share a leaf, averaged over the trees of a forest.

    Parameters
    ----------
    regressor : estimator
        The forest that is cloned and fitted.
    levels : ndarray of shape (K,)
        The levels, ascending.
    has_sizes : bool, default=False
        Whether the size of the leaves is free: what counts as a leaf may be a larger node.
    """

    def __init__(self, regressor: BaseEstimator, levels: Array, has_sizes: bool = False) -> None:
        super().__init__(regressor, levels)
        self.has_sizes = has_sizes

    def fit(self, table: Features, y: Array, weight: Array) -> ForestModel:
        """Fit the forest, and keep which leaves hold which targets."""
        order = np.argsort(y, kind="stable")
        self.targets_, self._weight = y[order], weight[order]
        table = take_rows(table, order)
        self.regressor_ = fitted(clone(self.regressor), table, self.targets_, self._weight)
        trees = [tree.tree_ for tree in last_step(self.regressor_).estimators_]
        self._starts = np.cumsum([0, *(tree.node_count for tree in trees)])
        self._node_of_row = self._leaves(table)
        self._nodes = np.arange(self._starts[-1])
        self._hold()
        return self

    def sizes(self) -> list[int]:
        """
        List sizes of leaves: from the forest's own up to those that hold all rows.

        Returns
        -------
        list of int
            The sizes; one of leaves as they are, if that is to be.
        """
        n, sizes = len(self.targets_), [1]
        size = SMALLEST_LEAF
        while self.has_sizes and size <= min(n // 3, _LARGEST_LEAF):
            sizes.append(size)
            size *= 2
        return [*sizes[1:], n] if self.has_sizes else sizes

    def resized(self, size: int) -> ForestModel:
        """
        Take nodes of a size and more for leaves.

        Parameters
        ----------
        size : int
            The fewest rows in a node.

        Returns
        -------
        ForestModel
            A copy with these.
        """
        model, trees = copy(self), [tree.tree_ for tree in last_step(self.regressor_).estimators_]
        parents = [_parents(tree) + start for tree, start in zip(trees, self._starts, strict=False)]
        parent, count = np.concatenate(parents), np.concatenate([t.n_node_samples for t in trees])
        nodes = np.arange(len(parent))
        for _ in range(max(tree.max_depth for tree in trees)):
            nodes = np.where(count[nodes] < size, parent[nodes], nodes)
        model._nodes = nodes
        model._hold()
        return model

    def compact(self) -> ForestModel:
        """
        Drop what only other sizes need.

        Returns
        -------
        ForestModel
            A copy without it.
        """
        model = copy(self)
        model._node_of_row, model._weight = self._node_of_row[:0], self._weight[:0]
        return model

    def _hold(self) -> None:
        """Compute the share of each row in each leaf, of all trees together."""
        n, trees = self._node_of_row.shape
        inside = _marks(self._nodes[self._node_of_row], self._starts[-1])
        inside = inside.multiply(self._weight[:, None]).tocsc()
        mass = np.asarray(inside.sum(axis=0)).ravel()
        share = np.divide(1 / trees, mass, out=np.zeros(len(mass)), where=mass > 0)
        # Where all leaves are whole trees, one row of weights serves everything.
        self._whole = len(np.unique(self._nodes)) == trees
        self._held = inside.multiply(share).T.tocsr()

    def _leaves(self, table: Features) -> Rows:
        """Number the leaves (n, trees) that rows fall into."""
        step = self.regressor_
        while isinstance(step, Pipeline):
            table, step = step[:-1].transform(table), step.steps[-1][1]
        return step.apply(table) + self._starts[:-1]

    def _predict(self, table: Features) -> Array:
        """Interpolate the distribution of the rows that share leaves."""
        n = len(table)
        if self._whole:
            return np.repeat(self._quantiles(self._nodes[self._starts[None, :-1]]), n, axis=0)
        leaves = self._nodes[self._leaves(table)]
        per_row = leaves.shape[1] * self._held.nnz // self._held.shape[0]
        parts = batches(n, _LARGEST_PRODUCT // max(1, per_row))
        return np.concatenate([self._quantiles(leaves[part]) for part in parts])

    def _quantiles(self, leaves: Rows) -> Array:
        """Take quantiles of the rows in leaves (n, trees), which are sorted by target."""
        weights = (_marks(leaves, self._starts[-1]) @ self._held).tocsr()
        weights.eliminate_zeros()
        weights.sort_indices()
        n, first, last = len(leaves), weights.indptr[:-1, None], weights.indptr[1:, None] - 1
        # Halfway up each step, the rows one above the other: one ascending array for all of them.
        heights = np.cumsum(weights.data)
        steps = heights - weights.data / 2
        before = np.concatenate([[0.0], heights])
        total = before[last + 1] - before[first]
        wanted = before[first] + total * self.levels
        right = np.searchsorted(steps, wanted.ravel()).reshape(n, -1)
        left, right = np.clip(right - 1, first, last), np.clip(right, first, last)
        y = self.targets_[weights.indices]
        width = steps[right] - steps[left]
        share = np.divide(wanted - steps[left], width, out=np.zeros(width.shape), where=width > 0)
        return y[left] + np.clip(share, 0.0, 1.0) * (y[right] - y[left])


def _marks(nodes: Rows, n_nodes: int) -> Any:
    """Mark nodes (n, trees) in a sparse matrix (n, n_nodes)."""
    n, trees = nodes.shape
    starts = np.arange(0, n * trees + 1, trees)
    return sparse.csr_matrix((np.ones(n * trees), nodes.ravel(), starts), (n, n_nodes))


def _parents(tree: Any) -> Rows:
    """Give the parent of every node of a tree, of the root itself."""
    parents = np.zeros(tree.node_count, dtype=np.intp)
    for children in (tree.children_left, tree.children_right):
        inner = np.flatnonzero(children >= 0)
        parents[children[inner]] = inner
    return parents
