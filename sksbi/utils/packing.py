"""
Contents as ``torch.load(weights_only=True)`` gives them back: numbers, text, tensors, containers.

What stands in two places is one thing afterwards as well. Anything else is refused.
"""

from __future__ import annotations

import io
from collections import Counter, OrderedDict
from collections.abc import Collection
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["check_packable", "packed", "unpacked"]

_ATOMS = (type(None), bool, int, float, complex, str)
_ARRAY = "\0array"  # the key that no other dict has


def packed(value: Any, live: Collection[int] = ()) -> bytes:
    """
    Write contents down.

    Parameters
    ----------
    value : object
        Numbers, text, tensors, arrays of numbers; lists, tuples, sets and dicts of them.
    live : collection of int, default=()
        Addresses of memory that tensors must not refer to, as a copy would not follow it.

    Returns
    -------
    bytes
        For :func:`unpacked`.

    Raises
    ------
    TypeError
        If there is something else in it.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.utils.packing import packed, unpacked
    >>> unpacked(packed({"loss": 0.5, "best": [np.arange(2)]}))
    {'loss': 0.5, 'best': [array([0, 1])]}
    """
    buffer = io.BytesIO()
    torch.save(_Packer(live).pack(value), buffer)
    return buffer.getvalue()


def check_packable(value: Any, live: Collection[int] = ()) -> None:
    """
    Hold that contents can be written down.

    Parameters
    ----------
    value : object
        The contents.
    live : collection of int, default=()
        As for :func:`packed`.

    Raises
    ------
    TypeError
        If they cannot.
    """
    _Packer(live).pack(value)


def unpacked(content: bytes) -> Any:
    """
    Read contents.

    Parameters
    ----------
    content : bytes
        From :func:`packed`.

    Returns
    -------
    object
        What was written down, tensors on the devices where they were.
    """
    return _unpack(torch.load(io.BytesIO(content), weights_only=True), {})


class _Packer:
    """
    Make contents plain, each object once.

    Parameters
    ----------
    live : collection of int
        Addresses of memory that tensors must not refer to.
    """

    def __init__(self, live: Collection[int]) -> None:
        self._live = live
        self._done: dict[int, tuple[Any, Any]] = {}  # with the object, so that its id stays its

    def pack(self, value: Any) -> Any:
        """Make contents plain."""
        if type(value) in _ATOMS:
            return value
        if id(value) in self._done:
            return self._done[id(value)][0]
        made: Any = self._container(value)
        if made is None:
            made = self._numbers(value)
            self._done[id(value)] = made, value
        return made

    def _container(self, value: Any) -> Any:
        """Make a container; it may hold itself."""
        kind: Any = type(value)
        if kind in (dict, OrderedDict, Counter):
            made = self._begun(value, kind())
            for key, item in value.items():
                made[_checked(key)] = self.pack(item)
            vars_of = vars(value) if kind is OrderedDict else {}
            for name, item in vars_of.items():  # torch's version numbers of modules
                setattr(made, name, self.pack(item))
            return made
        if kind is list:
            made = self._begun(value, [])
            made.extend(map(self.pack, value))
            return made
        if kind in (tuple, torch.Size):
            return tuple(map(self.pack, value))
        return {_checked(item) for item in value} if kind is set else None

    def _begun(self, value: Any, made: Any) -> Any:
        """Note what an object becomes."""
        self._done[id(value)] = made, value
        return made

    def _numbers(self, value: Any) -> Any:
        """Make a tensor, or an array."""
        if type(value) in (Tensor, nn.Parameter):
            if value.numel() and value.untyped_storage().data_ptr() in self._live:
                raise TypeError("a tensor refers to the network's own memory: copy it by clone()")
            return value if value.is_leaf else value.detach()
        is_numbers = isinstance(value, np.generic) or type(value) is np.ndarray
        if is_numbers and value.dtype.kind in "biufcSUmM":
            shape = value.shape if isinstance(value, np.ndarray) else None
            data = torch.tensor(np.frombuffer(value.tobytes(), np.uint8))
            return {_ARRAY: data, "dtype": value.dtype.str, "shape": shape}
        raise TypeError(f"a {type(value).__module__}.{type(value).__qualname__} cannot be saved")


def _checked(key: Any) -> Any:
    """Hold that a key, or the item of a set, is a number or text, or a tuple of them."""
    parts = key if type(key) is tuple else (key,)
    if not all(type(part) in _ATOMS for part in parts):
        raise TypeError(f"the key {key!r} cannot be saved: it must be text or a number")
    return key


def _unpack(value: Any, done: dict[int, Any]) -> Any:
    """Make arrays again, in the containers that hold them."""
    if id(value) in done:
        return done[id(value)]
    if isinstance(value, dict) and _ARRAY in value:
        array = value[_ARRAY].numpy().view(value["dtype"])
        array = array[0] if value["shape"] is None else array.reshape(value["shape"])
        done[id(value)] = array
        return array
    if isinstance(value, tuple):
        return tuple(_unpack(item, done) for item in value)
    if isinstance(value, dict | list):
        done[id(value)] = value
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            value[key] = _unpack(item, done)
    return value
