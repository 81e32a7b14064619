"""Numbers put together: of NumPy, torch and scipy, and sources of random ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import nn

from sksbi.persistence._nodes import Node
from sksbi.persistence._reader import Reader, of_type

__all__ = ["distribution", "generator", "masked", "objects", "scalar", "tensor", "torch_dtype"]

_BITS = {"MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"}
_LARGEST_POOL, _MOST_DISTRIBUTIONS = 64, 10_000


def objects(reader: Reader, node: Node) -> np.ndarray:
    """Make an array of objects."""
    items, shape = reader.items(node), tuple(node["shape"])
    made = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        made[place] = item
    return made.reshape(shape)


def scalar(_: Reader, node: Node) -> Any:
    """Make a number of NumPy's."""
    dtype = np.dtype(of_type(str, node["dtype"]))
    data = bytes.fromhex(node["bytes"])
    if dtype.hasobject or len(data) != dtype.itemsize:
        raise ValueError("a number has another size")
    return np.frombuffer(data, dtype)[0] if data else dtype.type()


def masked(reader: Reader, node: Node) -> np.ma.MaskedArray:
    """Make an array with missing values."""
    data, mask, fill = reader.items(node)
    return np.ma.MaskedArray(data, mask=mask, fill_value=fill)


def tensor(reader: Reader, node: Node) -> torch.Tensor:
    """Make a tensor, or a parameter of a network."""
    dtype, array = torch_dtype(node["dtype"]), reader.array(node)
    values = torch.from_numpy(np.array(array, order="C"))
    values = values.view(dtype) if dtype is torch.bfloat16 else values
    if values.dtype is not dtype:
        raise ValueError("a tensor has another type")
    learns = of_type(bool, node["requires_grad"])
    if node["parameter"]:
        return nn.Parameter(values, requires_grad=learns)
    return values.requires_grad_(learns)


def torch_dtype(name: Any) -> torch.dtype:
    """Find a type of torch's."""
    found: torch.dtype = of_type(torch.dtype, getattr(torch, of_type(str, name), None))
    return found


def distribution(reader: Reader, node: Node) -> Any:
    """Freeze a distribution of scipy."""
    dist = getattr(stats, of_type(str, node["name"]), None)
    if not isinstance(dist, stats.rv_continuous | stats.rv_discrete):
        raise ValueError(f"{node['name']} is no distribution")
    args, kwds = reader.items(node, "args"), dict(reader.pairs(node, "kwds"))
    shapes = [np.shape(part) for part in (*args, *kwds.values())]
    if np.prod(np.broadcast_shapes(*shapes), dtype=float) > _MOST_DISTRIBUTIONS:
        raise ValueError("a distribution is too many")
    return dist(*args, **kwds)


def generator(reader: Reader, node: Node) -> Any:
    """Make a source of random numbers."""
    if node["bits"] not in _BITS or node["class"] not in ("Generator", "RandomState"):
        raise ValueError(f"{node['bits']} and {node['class']} are no generators")
    state = reader.value(node["state"])
    if node["bits"] == "Philox" and not 0 <= int(state["buffer_pos"]) <= 4:
        raise ValueError("a generator is nowhere in its state")
    if node["bits"] == "MT19937" and not 0 <= int(state["state"]["pos"]) <= 624:
        raise ValueError("a generator is nowhere in its state")
    seed = 0 if node["seed"] is None else _seed(reader, node["seed"])
    bits = getattr(np.random, node["bits"])(seed)
    bits.state = state
    if node["class"] == "Generator":
        return np.random.Generator(bits)
    made = np.random.RandomState(bits)
    extra = {name: node[name] for name in ("has_gauss", "gauss")}
    made.set_state(made.get_state(legacy=False) | extra)
    return made


def _seed(reader: Reader, node: Node) -> np.random.SeedSequence:
    """Make what further generators are spawned from."""
    if not 4 <= node["pool_size"] <= _LARGEST_POOL:
        raise ValueError("a pool has another size")
    return np.random.SeedSequence(
        reader.value(node["entropy"]),
        spawn_key=reader.value(node["spawn_key"]),
        pool_size=node["pool_size"],
        n_children_spawned=node["n_children"],
    )
