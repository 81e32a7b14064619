"""Networks and losses, and what their arguments are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from sksbi import losses
from sksbi import nn as networks

from .laws import Call
from .metric_calls import Arguments
from .part_calls import with_signature
from .specimens import choice, count, flag, only, real

# Modules with quick settings, which are counts, widths or reals, and a batch that they take.
NO_WIDTHS = ((0,), (-1,), "a", (2.5,), ("a",), 3.5, {})
WIDTHS = only((8, 8), [8], (8,), bad=(*NO_WIDTHS, None))
ACTIVATION = only(nn.ReLU, nn.GELU, nn.Tanh, bad=("nonsense", 3, None))
MODULES: dict[str, tuple[Callable[..., Any], Arguments, tuple[int, ...]]] = {
    "MLP": (
        networks.MLP,
        {
            "in_features": count(3),
            "out_features": count(2),
            "hidden_features": WIDTHS,
            "activation": ACTIVATION,
        },
        (3,),
    ),
    "ResidualMLP": (
        networks.ResidualMLP,
        {
            "in_features": count(3),
            "out_features": count(2),
            "hidden_features": count(8),
            "blocks": count(1, low=0),
            "activation": ACTIVATION,
        },
        (3,),
    ),
    "ConvNet1d": (
        networks.ConvNet1d,
        {
            "in_shape": only(
                12, (12,), [12], (12, 2), bad=((), 0, "a", None, (0, 2), (12, 2, 2), 2.5, (12, -1))
            ),
            "out_features": count(2),
            "channels": only((4,), [4, 4], bad=((), (0,), 3, "a", None)),
            "kernel_size": count(3),
            "cells": count(2),
            "hidden_features": WIDTHS,
            "activation": ACTIVATION,
        },
        (),
    ),
    "ConvNet2d": (
        networks.ConvNet2d,
        {
            "in_shape": only(
                (8, 8), [8, 8], (8, 8, 2), bad=((), 8, "a", None, (0, 2), (8, 8, 2, 2))
            ),
            "out_features": count(2),
            "channels": only((4,), [4, 4], bad=((), (0,), 3, "a", None)),
            "kernel_size": count(3),
            "cells": count(2),
            "hidden_features": WIDTHS,
            "activation": ACTIVATION,
        },
        (),
    ),
    "DeepSet": (
        networks.DeepSet,
        {
            "in_shape": only(5, (5,), (5, 2), bad=((), 0, "a", None, (0, 2))),
            "out_features": count(2),
            "element_features": WIDTHS,
            "pooling": choice("mean"),
            "hidden_features": WIDTHS,
            "activation": ACTIVATION,
        },
        (),
    ),
    "RatioMLP": (
        networks.RatioMLP,
        {
            "features": count(2),
            "context": count(3),
            "members": count(2),
            "hidden_features": WIDTHS,
            "activation": ACTIVATION,
        },
        (),
    ),
    "SplineFlow": (
        networks.SplineFlow,
        {
            "features": count(2),
            "context": count(3, low=0),
            "transforms": count(2),
            "hidden_features": WIDTHS,
            "bins": count(3),
            "members": count(2),
        },
        (),
    ),
    "MarginalFlow": (
        networks.MarginalFlow,
        {
            "features": count(2),
            "context": count(3, low=0),
            "transforms": count(2),
            "hidden_features": WIDTHS,
            "bins": count(3),
            "members": count(2),
        },
        (),
    ),
    "build_flow": (
        networks.build_flow,
        {
            "flow": choice("maf"),
            "features": count(2),
            "context": count(3, low=0),
            "transforms": count(2),
        },
        (),
    ),
    "MaskedCategorical": (
        networks.MaskedCategorical,
        {
            "n_values": only([2, 3], (2, 3), bad=((0,), (-1,), "a", 3, None, (2.5,))),
            "context": count(3, low=0),
            "hidden_features": WIDTHS,
            "unseen": only(1e-4, 0.5, bad=(0.0, 1.0, -0.1, np.nan, "a", None)),
        },
        (),
    ),
    "build_ratio_network": (
        networks.build_ratio_network,
        {"network": choice("mlp"), "features": count(2), "context": count(3)},
        (),
    ),
}


def _module(name: str) -> Call:
    """Make a module, and look at the shapes of its weights, and at what it makes of zeros."""
    function, arguments, shape = MODULES[name]

    def build(**given: Any) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            module = function(**given)
            out = [module(torch.zeros(2, *shape))] if shape else []
        return [str(tuple(weight.shape)) for weight in module.parameters()], out

    return Call(name, with_signature(build, function), lambda rng: arguments, tuple(arguments))


CRITERIA: dict[str, Arguments] = {
    "BalancedBinaryCrossEntropy": {"penalty": real(10.0, low=None), "n_marginal": count(2)},
    "BalancedContrastive": {
        "penalty": real(10.0, low=None),
        "n_contrastive": count(4),
        "gamma": real(1.0),
    },
    "BinaryCrossEntropy": {"n_marginal": count(2)},
    "Contrastive": {"n_contrastive": count(4), "gamma": real(1.0)},
    "CoverageContrastive": {
        "strength": real(10.0, low=None),
        "conservative": flag(),
        "n_contrastive": count(4),
        "gamma": real(1.0),
    },
    "CoverageLogLikelihood": {
        "strength": real(10.0, low=None),
        "conservative": flag(),
        "n_draws": count(4),
    },
}


def _criterion(name: str) -> Call:
    """Make a criterion."""
    cls = getattr(losses, name)

    def build(**given: Any) -> str:
        with torch.random.fork_rng(devices=[]):
            return type(cls(**given)).__name__

    return Call(name, with_signature(build, cls), lambda rng: CRITERIA[name])


def _named_criterion(criterion: Any, estimates: Any) -> str:
    with torch.random.fork_rng(devices=[]):
        return type(losses.build_criterion(criterion, estimates)).__name__


def _criteria(rng: np.random.Generator) -> Arguments:
    estimates = str(rng.choice(["posterior", "ratio", "likelihood"]))
    names = losses.criterion_names(estimates)
    return {"criterion": choice(str(rng.choice(names))), "estimates": choice(estimates)}


CALLS = [
    *map(_module, MODULES),
    *map(_criterion, CRITERIA),
    Call("build_criterion", _named_criterion, _criteria),
    Call("criterion_names", losses.criterion_names, lambda rng: {"estimates": choice("ratio")}),
]
