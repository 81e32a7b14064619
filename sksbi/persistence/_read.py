"""Objects put together from nodes and arrays, each from earlier ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import numpy as np
import torch

from sksbi.persistence import _numbers, _objects, _tables
from sksbi.persistence._names import is_known
from sksbi.persistence._nodes import Node
from sksbi.persistence._reader import Reader, of_type
from sksbi.persistence._sound import check_sound

__all__ = ["read_objects", "unknown_names"]

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)
_DEEPEST, _LARGEST, _TIMES = 100, 2**20, 20  # nodes on top of each other, and in each other
_LONGEST = 2**17  # of ranges, which some take apart
_NAMED = {"name": "name", "object": "class", "call": "class"}  # kinds of nodes, and where


def _short(found: range) -> range:
    """Hold that a range is no way to make a million of nothing."""
    if len(found) > _LONGEST:
        raise ValueError("a range is too long")
    return found


_MAKERS: dict[str, Callable[[Reader, Node], Any]] = {
    "float": lambda _, node: float(of_type(str, node["value"])),
    "ellipsis": lambda reader, node: ...,
    "complex": lambda reader, node: complex(*reader.items(node, "parts")),
    "bytes": lambda _, node: bytes.fromhex(node["bytes"]),
    "list": Reader.items,
    "tuple": lambda reader, node: tuple(reader.items(node)),
    "set": lambda reader, node: set(reader.items(node)),
    "frozenset": lambda reader, node: frozenset(reader.items(node)),
    "size": lambda reader, node: torch.Size(reader.items(node)),
    "dict": lambda reader, node: dict(reader.pairs(node)),
    "slice": lambda reader, node: slice(*reader.items(node)),
    "range": lambda reader, node: _short(range(*reader.items(node))),
    "array": lambda reader, node: reader.array(node).copy(order="K"),
    "dtype": lambda reader, node: reader.array(node).dtype,
    "objects": _numbers.objects,
    "scalar": _numbers.scalar,
    "masked": _numbers.masked,
    "tensor": _numbers.tensor,
    "torch_dtype": lambda _, node: _numbers.torch_dtype(node["name"]),
    "device": lambda _, node: torch.device(of_type(str, node["name"])),
    "distribution": _numbers.distribution,
    "generator": _numbers.generator,
    "name": _objects.named,
    "partial": _objects.partial,
    "object": _objects.stateful,
    "call": _objects.call,
    "index": _tables.index,
    "levels": _tables.index,
    "range_index": _tables.index,
    "frame": _tables.frame,
    "series": _tables.series,
}


def unknown_names(nodes: Iterable[Node], trusted: Collection[str]) -> list[str]:
    """
    List the names in a file that are not to be built.

    Parameters
    ----------
    nodes : iterable of dict
        What the file consists of.
    trusted : collection of str
        The names that the caller trusts.

    Returns
    -------
    list of str
        The others that the table does not have.

    Raises
    ------
    ValueError
        If a name is none.
    """
    names = {_checked(node[_NAMED[node["kind"]]]) for node in nodes if node["kind"] in _NAMED}
    return sorted(name for name in names if name not in trusted and not is_known(name))


def _checked(name: Any) -> str:
    """Hold that a name is one."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name")
    return name


def read_objects(
    nodes: list[Node],
    root: Any,
    arrays: Callable[[int], np.ndarray],
    trusted: Collection[str],
) -> Any:
    """
    Put objects together.

    Parameters
    ----------
    nodes : list of dict
        What they consist of.
    root : object
        The value that is wanted.
    arrays : callable (number) -> ndarray
        Reads an array.
    trusted : collection of str
        The names that the caller trusts.

    Returns
    -------
    object
        What ``root`` stands for.
    """
    reader = Reader(arrays, trusted)
    sizes, depths = list[int](), list[int]()
    for node in nodes:
        parts = [at for at in _places(node) if 0 <= at < len(sizes)]
        sizes.append(1 + sum(sizes[at] for at in parts))
        depths.append(1 + max((depths[at] for at in parts), default=0))
        if depths[-1] > _DEEPEST or sizes[-1] > _LARGEST + _TIMES * len(nodes):
            raise ValueError("its objects are nested too deeply, or shared too often")
        made = _MAKERS[node["kind"]](reader, node)
        check_sound(made)
        reader.made.append(made)
    for made in reader.made:  # which a later one may have changed
        check_sound(made)
    return reader.value(root)


def _places(value: Any) -> Iterator[int]:
    """List the nodes that a node refers to."""
    if isinstance(value, list):
        for part in value:
            yield from _places(part)
    elif isinstance(value, dict):
        at = value.get("at")
        if type(at) is int:
            yield at
        else:
            yield from _places([*value.values()])
