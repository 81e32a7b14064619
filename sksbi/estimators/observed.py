"""From x to what a network is given, for the estimators of theta in the context of x."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.stats import norm
from sklearn.utils._param_validation import HasMethods, StrOptions
from torch import nn

from sksbi.data import Pairs, TensorPairs
from sksbi.preprocessing import ObservationSpace, ParameterSpace
from sksbi.priors import Prior
from sksbi.tables.layout import ObservationLayout
from sksbi.utils.random import seeded_copy
from sksbi.utils.types import Array, Floats, Mask, Rows
from sksbi.utils.validation import check_instance

__all__ = ["OBSERVED", "ObservedMixin"]

Spaces = tuple[ParameterSpace, ObservationSpace]

OBSERVED: dict[str, list[Any]] = {
    "embedding": [nn.Module, callable, None],
    "x_transformer": [
        HasMethods(["fit_transform", "transform"]),
        StrOptions({"passthrough"}),
        None,
    ],
    "x_features": [HasMethods(["fit_transform", "transform"]), StrOptions({"auto"}), None],
}
_TRANSFORMERS = ("theta_transformer", "x_transformer", "x_features")


class ObservedMixin:
    """The maps of an estimator whose network is given x, and whose output judges theta."""

    prior_: Prior | None
    embedding: Any
    x_layout_: ObservationLayout
    _theta_space: ParameterSpace
    _x_space: ObservationSpace

    @property
    def x_kept_(self) -> Mask:
        """The columns of x, after x_transformer, that the network sees: an array of bool."""
        if "_x_space" not in vars(self):
            raise AttributeError(f"this {type(self).__name__} has no x_kept_ before fit.")
        return self._x_space.kept_.copy()

    def _learn_spaces(
        self, pairs: Pairs, rows: Rows, generator: np.random.Generator
    ) -> tuple[Spaces, TensorPairs]:
        """Fit the maps between the user's units and the network's; apply them to all pairs."""
        _check_features(self)
        layout = self.x_layout_
        x, n_trials = layout.flat(pairs.x), layout.count_trials(pairs.x)
        keep_shape = x.ndim > 2 and self.embedding is not None
        keep_shape |= isinstance(self.embedding, nn.Module)
        for name in _TRANSFORMERS:
            check_instance(getattr(self, name), name)
        theta_transformer, x_transformer, x_features = (
            t if t is None or isinstance(t, str) else seeded_copy(t, generator)
            for t in (getattr(self, name) for name in _TRANSFORMERS)
        )
        theta_space = ParameterSpace(self.prior_, theta_transformer)
        theta_space.fit(pairs.theta, pairs.weight)
        if self.embedding is not None and x_features == "auto":
            x_features = None
        x_space = ObservationSpace(x_transformer, keep_shape, x_features)
        u = None
        if x_features is not None:
            u = theta_space.to_network(pairs.theta)[0].repeat(n_trials, axis=0)
        if n_trials > 1:
            rows = (rows[:, None] * n_trials + np.arange(n_trials)).ravel()
        features = x_space.fit_transform(x, u, generator, rows)
        return (theta_space, x_space), _encoded(theta_space, pairs, features, layout)

    def _encode(
        self, spaces: Spaces, pairs: Pairs, generator: np.random.Generator | None = None
    ) -> TensorPairs:
        """Apply the maps: what the network sees of pairs."""
        theta_space, x_space = spaces
        features = x_space.transform(self.x_layout_.flat(pairs.x))
        return _encoded(theta_space, pairs, features, self.x_layout_)

    @property
    def _uninformed(self) -> str:
        """What a fit is compared with."""
        return "the normal distribution of theta" if self.prior_ is None else "the prior"

    def _losses_of_prior(self, spaces: Spaces, valid: TensorPairs) -> Array:
        """Compute minus log-densities of theta without x, in the network's units."""
        u = valid.target.cpu().double().numpy()
        if self.prior_ is None:
            return np.asarray(-norm.logpdf(u).sum(axis=1))
        theta = spaces[0].from_network(u)
        return spaces[0].to_network(theta)[1] - self.prior_.log_prob(theta)

    def _sizes(self, spaces: Spaces, pairs: TensorPairs) -> dict[str, Any]:
        """Note what the network's shape depends on beside the parameters."""
        x_shape = pairs.context.shape[1 if pairs.trials is None else 2 :]
        return {"n_theta": pairs.target.shape[1], "x_shape": tuple(x_shape)}


def _encoded(
    theta_space: ParameterSpace, pairs: Pairs, features: Floats, layout: ObservationLayout
) -> TensorPairs:
    """Bring pairs to the network's units, as tensors."""
    u, _ = theta_space.to_network(pairs.theta)
    if layout.trials:
        features = features.reshape(len(u), -1, *features.shape[1:])
    return TensorPairs(
        torch.from_numpy(features),
        torch.from_numpy(u.astype(np.float32)),
        torch.from_numpy(pairs.weight.astype(np.float32)),
        "context" if layout.trials else None,
    )


def _check_features(estimator: Any) -> None:
    """Hold that features are asked for where there are some."""
    features = estimator.x_features
    if features is None or isinstance(features, str):
        return
    taken = "embedding" if estimator.embedding is not None else None
    taken = "x_transformer" if estimator.x_transformer == "passthrough" else taken
    if taken is not None:
        raise ValueError(
            f"x_features={features!r} makes features of the columns of x, and "
            f"{taken}={getattr(estimator, taken)!r} hands x to the network without: give one of "
            "the two, or the features as x_transformer."
        )
