"""
Objects whose compiled code believes what it is told, held against what can be true.

A tree whose nodes point beyond its end, or ask for a feature that a table has not, would read
memory that is not its own. scikit-learn, scipy and NumPy do not look; so this does, when a file is
read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.tree._tree import Tree

__all__ = ["check_arguments", "check_sound"]

_LEAF = -1
_MOST_CLASSES = 2**20


def check_arguments(function: Any, args: list[Any]) -> None:
    """
    Hold that something may be called with arguments, where it would not look itself.

    Parameters
    ----------
    function : callable
        What is called.
    args : list
        The arguments.

    Raises
    ------
    ValueError
        If it may not.
    """
    if function is Tree:
        n_features, n_classes, n_outputs = args
        numbers = np.asarray(n_classes)
        if not (
            type(n_features) is type(n_outputs) is int
            and 0 < n_features < _MOST_CLASSES
            and numbers.dtype.kind == "i"
            and numbers.shape == (n_outputs,)
            and ((numbers > 0) & (numbers < _MOST_CLASSES)).all()
        ):
            raise ValueError("a tree has other outputs than classes of them")


def check_sound(thing: Any) -> None:
    """
    Hold that an object can be used without reading foreign memory.

    Parameters
    ----------
    thing : object
        The object.

    Raises
    ------
    ValueError
        If it cannot.
    """
    if isinstance(thing, Tree):
        _check_tree(thing)
    elif issparse(thing):
        thing.check_format(full_check=True)
    elif type(thing).__name__ == "TreePredictor":
        _check_predictor(thing)
    elif isinstance(thing, BaseEstimator):
        _check_estimator(thing)


def _check_tree(tree: Tree) -> None:
    """Hold that every inner node has two children behind it, and asks for a feature there is."""
    n = tree.node_count
    left, right = np.asarray(tree.children_left), np.asarray(tree.children_right)
    inner = left != _LEAF
    feature = np.asarray(tree.feature)[inner]
    _check_children(left[inner], right[inner], np.flatnonzero(inner), n)
    if not n or ((feature < 0) | (feature >= tree.n_features)).any():
        raise ValueError("a tree asks for features that there are not")
    depth = [0] * n
    for parent, *both in zip(np.flatnonzero(inner), left[inner], right[inner], strict=True):
        for child in both:
            depth[child] = depth[parent] + 1
    if max(depth) > tree.max_depth:
        raise ValueError("a tree is deeper than it says")


def _check_predictor(predictor: Any) -> None:
    """Hold the same of a tree of gradient boosting, and that its categories are there."""
    nodes = predictor.nodes
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    some = nodes[inner]
    _check_children(some["left"].astype(int), some["right"].astype(int), inner, len(nodes))
    sets = [predictor.binned_left_cat_bitsets, predictor.raw_left_cat_bitsets]
    n_sets = min(len(part) if np.shape(part)[1:] == (8,) else 0 for part in sets)
    chosen = some["bitset_idx"][some["is_categorical"] != 0]
    if not len(nodes) or (chosen >= n_sets).any():
        raise ValueError("a tree asks for categories that there are not")


def _check_children(left: np.ndarray, right: np.ndarray, parent: np.ndarray, n: int) -> None:
    """Hold that the way from the root ends."""
    first, last = np.minimum(left, right), np.maximum(left, right)
    if (first <= parent).any() or (last >= n).any():
        raise ValueError("a tree's nodes have children that there are not")


def _check_estimator(estimator: BaseEstimator) -> None:
    """Hold that trees ask for no more features than their estimator holds a table to have."""
    state = vars(estimator)
    n = state.get("n_features_in_")
    asked = [*_features_of_trees(state), *_features_of_boosting(state)]
    if any(type(n) is not int or needed > n for needed in asked):
        raise ValueError("a tree asks for features that the table has not")
    mapper, stages = state.get("_bin_mapper"), state.get("estimators_")
    if mapper is not None and any(
        len(part) != n for part in (mapper.is_categorical_, mapper.bin_thresholds_)
    ):
        raise ValueError("the bins of boosting are of other features than the table's")
    a_stage = state.get("n_trees_per_iteration_")
    if a_stage is not None and isinstance(stages, np.ndarray) and stages.shape[1:] != (a_stage,):
        raise ValueError("boosting has other trees in a stage than it says")


def _features_of_trees(state: dict[str, Any]) -> Iterator[int]:
    """Count the features that trees of an estimator ask for, itself or its members."""
    members = np.ravel(np.asarray(state.get("estimators_", ()), dtype=object))
    subsets: Any = state.get("estimators_features_")
    for number, member in enumerate(members):
        tree = getattr(member, "tree_", None)
        if isinstance(tree, Tree) and subsets is None:
            yield tree.n_features
        elif isinstance(tree, Tree):  # of some features each
            yield 0 if tree.n_features <= len(subsets[number]) else _MOST_CLASSES
    if isinstance(state.get("tree_"), Tree):
        yield state["tree_"].n_features


def _features_of_boosting(state: dict[str, Any]) -> Iterator[int]:
    """Count the features that the trees of histogram boosting ask for."""
    for row in state.get("_predictors", ()):
        for predictor in row:
            nodes = predictor.nodes
            yield int(nodes["feature_idx"][nodes["is_leaf"] == 0].max(initial=-1)) + 1
