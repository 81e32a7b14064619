"""Every constructor of a network names the argument that is wrong, and takes NumPy's integers."""

import numpy as np
import pytest
import torch

from sksbi.nn import (
    MLP,
    ConvNet1d,
    ConvNet2d,
    DeepSet,
    RatioMLP,
    ResidualMLP,
    SplineFlow,
    build_flow,
    build_ratio_network,
)

MAKERS = {
    "mlp": (MLP, {"in_features": 3, "out_features": 2}),
    "residual": (ResidualMLP, {"in_features": 3, "out_features": 2}),
    "series": (ConvNet1d, {"in_shape": 12, "out_features": 2}),
    "image": (ConvNet2d, {"in_shape": (8, 8), "out_features": 2}),
    "set": (DeepSet, {"in_shape": 5, "out_features": 2}),
    "ratio": (RatioMLP, {"features": 2, "context": 3}),
    "flow": (SplineFlow, {"features": 2, "context": 3}),
    "named flow": (build_flow, {"flow": "maf", "features": 2, "context": 3}),
    "named ratio": (build_ratio_network, {"network": "mlp", "features": 2, "context": 3}),
}


@pytest.mark.parametrize(
    ("maker", "argument", "value", "rule"),
    [
        ("mlp", "in_features", 0, "in_features must be an int >= 1, got 0"),
        ("mlp", "in_features", [3], r"in_features must be an int >= 1, got \[3\]"),
        ("mlp", "out_features", 2.0, "out_features must be an int >= 1, got 2.0"),
        ("mlp", "hidden_features", None, "hidden_features must be a sequence .* got None"),
        ("mlp", "hidden_features", "ab", "hidden_features must be a sequence .* got 'ab'"),
        ("mlp", "hidden_features", {}, "hidden_features must be a sequence"),
        ("mlp", "hidden_features", (0,), "every width in hidden_features must be an int >= 1"),
        ("mlp", "activation", 3, "activation must be a class, .* got 3"),
        ("residual", "hidden_features", "8", "hidden_features must be an int >= 1, got '8'"),
        ("residual", "blocks", None, "blocks must be an int >= 0, got None"),
        ("residual", "activation", None, "activation must be a class, .* got None"),
        ("series", "channels", 3, "channels must be a sequence of at least 1 width"),
        ("series", "activation", "relu", "activation must be a class, .* got 'relu'"),
        ("image", "channels", (), "channels must be a sequence of at least 1 width"),
        ("image", "hidden_features", (-1,), "every width in hidden_features"),
        ("set", "element_features", None, "element_features must be a sequence"),
        ("set", "pooling", [["mean"]], r"pooling must be one or several .* got \[\['mean'\]\]"),
        ("set", "pooling", 3, "pooling must be one or several .* got 3"),
        ("ratio", "features", "2", "features must be an int >= 1, got '2'"),
        ("ratio", "context", 0, "context must be an int >= 1, got 0"),
        ("ratio", "hidden_features", None, "hidden_features must be a sequence"),
        ("flow", "features", True, "features must be an int >= 1, got True"),
        ("flow", "context", -1, "context must be an int >= 0, got -1"),
        ("flow", "hidden_features", (8.5,), "every width in hidden_features"),
        ("named flow", "context", None, "context must be an int >= 0, got None"),
        ("named flow", "transforms", 0, "transforms must be an int >= 1, got 0"),
        ("named ratio", "features", 1.5, "features must be an int >= 1, got 1.5"),
    ],
)
def test_a_wrong_argument_is_named(maker, argument, value, rule):
    make, arguments = MAKERS[maker]
    with pytest.raises((ValueError, TypeError), match=rule):
        make(**arguments | {argument: value})


@pytest.mark.parametrize("maker", MAKERS)
def test_integers_of_numpy_make_the_same_network(maker):
    make, arguments = MAKERS[maker]

    def weights(**given):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            return make(**given).state_dict()

    numpys = {k: np.int64(v) if isinstance(v, int) else v for k, v in arguments.items()}
    plain, given = weights(**arguments), weights(**numpys)
    assert all(torch.equal(plain[name], given[name]) for name in plain)


def test_widths_may_be_an_array():
    assert [layer.out_features for layer in MLP(3, 2, np.array([8, 4])).layers[::2]] == [8, 4, 2]
