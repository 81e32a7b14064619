"""Objects of classes put together: names, states, calls."""

from __future__ import annotations

import functools
from types import MemberDescriptorType
from typing import Any

from sklearn.base import BaseEstimator
from torch import nn, optim

from sksbi.persistence._names import name_of, resolve
from sksbi.persistence._nodes import Node
from sksbi.persistence._reader import Reader
from sksbi.persistence._sound import check_arguments

__all__ = ["call", "named", "partial", "stateful"]

_MADE_BY_PARTIAL = (nn.Module, optim.Optimizer, BaseEstimator)


def named(reader: Reader, node: Node) -> Any:
    """Give the class or the function of a name."""
    return resolve(node["name"], reader.trusted)


def stateful(reader: Reader, node: Node) -> Any:
    """Make an object without its constructor, and give it its state."""
    cls = resolve(node["class"], reader.trusted)
    if not isinstance(cls, type) or not reader.may("make", node["class"]):
        raise ValueError(f"{node['class']} is no class to make objects of")
    return _filled(reader, cls.__new__(cls, *reader.items(node, "args")), node)


def call(reader: Reader, node: Node) -> Any:
    """Make an object by a call."""
    function = resolve(node["class"], reader.trusted)
    if not reader.may("call", node["class"]):
        raise ValueError(f"{node['class']} may not be called")
    args = reader.items(node, "args")
    check_arguments(function, args)
    return _filled(reader, function(*args), node)


def _filled(reader: Reader, made: Any, node: Node) -> Any:
    """Give an object its state, as pickle does."""
    state = reader.value(node.get("state"))
    if state is not None and hasattr(made, "__setstate__"):
        made.__setstate__(state)
    elif state is not None:
        attributes, slots = state if isinstance(state, tuple) else (state, None)
        if attributes:
            vars(made).update(attributes)
        for name, item in (slots or {}).items():
            if not isinstance(getattr(type(made), name, None), MemberDescriptorType):
                raise ValueError(f"{name!r} is no slot")
            object.__setattr__(made, name, item)
    if ("items" in node or "pairs" in node) and not reader.may("fill", node["class"]):
        raise ValueError(f"{node['class']} is no container")
    if "items" in node:
        made.extend(reader.items(node))
    for key, item in reader.pairs(node) if "pairs" in node else ():
        made[key] = item
    return made


def partial(reader: Reader, node: Node) -> functools.partial[Any]:
    """Make a function with some arguments: one that makes networks and their like."""
    function, args, kwds = reader.items(node)
    if not (isinstance(function, type) and issubclass(function, _MADE_BY_PARTIAL)):
        name = name_of(function)
        if not reader.may("bind", name):
            raise ValueError(f"no file may give arguments to {name} unless it is trusted")
    return functools.partial(function, *args, **kwds)
