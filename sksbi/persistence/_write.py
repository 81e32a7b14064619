"""Objects taken apart into nodes and arrays."""

from __future__ import annotations

import copyreg
import functools
from collections.abc import Callable, Iterable
from math import isfinite
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import stats
from scipy.interpolate import BSpline
from sklearn.utils._metadata_requests import MetadataRequest, MethodMetadataRequest
from torch import Tensor, nn

from sksbi.persistence._names import name_of
from sksbi.persistence._nodes import Node
from sksbi.persistence._tables import DTYPES

__all__ = ["Writer"]

# How pickle makes objects anew, of which the types that others wrote know nothing.
_NEW, _NEW_WITH_NAMES, _OLD = (
    getattr(copyreg, name) for name in ("__newobj__", "__newobj_ex__", "_reconstructor")
)
_LONGEST = 10_000  # bits
_PLAIN = (bool, int, str, type(None))
_FROZEN = (type(stats.norm()), type(stats.poisson(1)))
_NUMBERS = "biufcSUmM"
_SETTINGS = ("a", "b", "shapes", "xtol")  # of a distribution that somebody has made otherwise
_CLASSES = (type, FunctionType, BuiltinFunctionType, np.ufunc)


class Writer:
    """
    Take objects apart.

    Attributes
    ----------
    nodes : list of dict
        What they consist of.
    arrays : list of ndarray
        The arrays that nodes refer to by number.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.arrays: list[np.ndarray] = []
        self._done: dict[int, tuple[int, Any]] = {}  # with the object, so that its id stays its
        self._open: set[int] = set()

    def value(self, thing: Any) -> Any:
        """
        Write an object down.

        Parameters
        ----------
        thing : object
            The object.

        Returns
        -------
        object
            What JSON has for it: itself, or where its node is.

        Raises
        ------
        TypeError
            If it, or a part of it, cannot be written down.
        """
        if type(thing) is int and thing.bit_length() > _LONGEST:
            raise TypeError("save takes no whole numbers of thousands of digits.")
        if type(thing) in _PLAIN or (type(thing) is float and isfinite(thing)):
            return thing
        if id(thing) not in self._done:
            if id(thing) in self._open:
                raise TypeError(f"save takes no object that holds itself, got {_shown(thing)}.")
            self._open.add(id(thing))
            node = self._node(thing)
            self._open.discard(id(thing))
            self.nodes.append(node)
            self._done[id(thing)] = len(self.nodes) - 1, thing
        return {"at": self._done[id(thing)][0]}

    def _values(self, things: Iterable[Any]) -> list[Any]:
        """Write several objects down."""
        return [self.value(thing) for thing in things]

    def _pairs(self, items: Iterable[tuple[Any, Any]]) -> list[list[Any]]:
        """Write keys and values down."""
        return [[self.value(key), self.value(item)] for key, item in items]

    def _array(self, array: np.ndarray) -> int:
        """Keep an array, and number it."""
        self.arrays.append(array)
        return len(self.arrays) - 1

    def _node(self, thing: Any) -> Node:
        """Take an object apart."""
        for kinds, take_apart in _FORMS:
            if type(thing) in kinds:
                return take_apart(self, thing)
        if isinstance(thing, _CLASSES):
            return {"kind": "name", "name": name_of(thing)}
        if type(thing) in (np.ndarray, np.memmap):
            return self._numbers(np.asarray(thing))
        if isinstance(thing, np.ndarray):
            raise TypeError(f"save takes plain arrays, got {_shown(thing)}.")
        if isinstance(thing, np.generic):
            return self._scalar(thing)
        if isinstance(thing, np.dtype):
            return {"kind": "dtype", "array": self._array(np.zeros(0, thing))}
        if isinstance(thing, pd.Index):
            return self._index(thing)
        return self._object(thing)

    def _numbers(self, array: np.ndarray) -> Node:
        """Take an array apart: one of objects into these."""
        if array.dtype.kind == "O":
            return {
                "kind": "objects",
                "shape": list(array.shape),
                "items": self._values(array.flat),
            }
        if array.dtype.kind not in _NUMBERS and (array.dtype.kind != "V" or array.dtype.hasobject):
            raise TypeError(f"save takes arrays of numbers, text or objects, got {array.dtype}.")
        return {"kind": "array", "array": self._array(array)}

    def _scalar(self, number: np.generic) -> Node:
        """Write a number of NumPy's down."""
        if number.dtype.kind not in _NUMBERS:
            raise TypeError(f"save takes numbers of NumPy's own, got {_shown(number)}.")
        return {"kind": "scalar", "dtype": number.dtype.str, "bytes": number.tobytes().hex()}

    def _tensor(self, tensor: Tensor) -> Node:
        """Write a tensor down, wherever it is."""
        values = tensor.detach().cpu().resolve_conj().resolve_neg()
        narrow = values.dtype is torch.bfloat16
        return {
            "kind": "tensor",
            "array": self._array((values.view(torch.int16) if narrow else values).numpy()),
            "dtype": str(values.dtype).removeprefix("torch."),
            "parameter": isinstance(tensor, nn.Parameter),
            "requires_grad": tensor.requires_grad,
        }

    def _frozen(self, frozen: Any) -> Node:
        """Write a frozen distribution of scipy down; one of the user's own is an object."""
        own: Any = getattr(stats, frozen.dist.name or "", None)
        as_it_is = type(own) is type(frozen.dist) and all(
            getattr(own, name, None) == getattr(frozen.dist, name, None) for name in _SETTINGS
        )
        if not as_it_is:
            return self._object(frozen)
        args, kwds = self._values(frozen.args), self._pairs(frozen.kwds.items())
        return {"kind": "distribution", "name": frozen.dist.name, "args": args, "kwds": kwds}

    def _generator(self, generator: Any) -> Node:
        """Write a source of random numbers down."""
        if isinstance(generator, np.random.RandomState):
            bits, source = generator._bit_generator, generator.get_state(legacy=False)
            extra = {"has_gauss": source["has_gauss"], "gauss": float(source["gauss"])}
        else:
            bits, extra = generator.bit_generator, {}
        seed = getattr(bits, "seed_seq", None)
        return {
            "kind": "generator",
            "class": type(generator).__name__,
            "bits": type(bits).__name__,
            "state": self.value(bits.state),
            "seed": self._seed(seed) if isinstance(seed, np.random.SeedSequence) else None,
        } | extra

    def _seed(self, seed: np.random.SeedSequence) -> Node:
        """Write down what further generators are spawned from."""
        return {
            "entropy": self.value(seed.entropy),
            "spawn_key": self.value(seed.spawn_key),
            "pool_size": seed.pool_size,
            "n_children": seed.n_children_spawned,
        }

    def _index(self, index: pd.Index) -> Node:
        """Write an index of pandas down."""
        if isinstance(index, pd.MultiIndex):
            levels, codes = self._values(index.levels), [np.asarray(c) for c in index.codes]
            names = self._values(index.names)
            return {
                "kind": "levels",
                "levels": levels,
                "codes": self._values(codes),
                "names": names,
            }
        if isinstance(index, pd.RangeIndex):
            bounds = [index.start, index.stop, index.step]
            return {"kind": "range_index", "bounds": bounds, "name": self.value(index.name)}
        return {"kind": "index", "column": self._column(index), "name": self.value(index.name)}

    def _column(self, column: Any) -> list[Any]:
        """Write values down with their pandas type."""
        dtype = column.dtype
        if isinstance(dtype, pd.CategoricalDtype):
            codes = np.asarray(column.cat.codes if isinstance(column, pd.Series) else column.codes)
            return ["category", *self._values([dtype.categories, codes, bool(dtype.ordered)])]
        if isinstance(dtype, np.dtype):
            return ["numpy", self.value(column.to_numpy())]
        if str(dtype) not in DTYPES:
            raise TypeError(
                f"save takes columns of numbers, text, dates and categories, got {dtype}."
            )
        return [str(dtype), self.value(column.to_numpy(dtype=object, na_value=None))]

    def _object(self, thing: Any) -> Node:
        """Take apart what pickle would, too."""
        reduce = copyreg.dispatch_table.get(type(thing))
        made = reduce(thing) if reduce else thing.__reduce_ex__(4)
        if isinstance(made, str):
            return {"kind": "name", "name": name_of(thing)}
        function, args, state, items, pairs = (*made, None, None, None)[:5]
        if function in (_NEW, _OLD):
            cls, *args = args
            args = [] if function is _OLD else args
            node = {"kind": "object", "class": name_of(cls), "args": self._values(args)}
        elif function is _NEW_WITH_NAMES or len(made) > 5:
            raise TypeError(f"save cannot take {_shown(thing)} apart.")
        else:
            node = {"kind": "call", "class": name_of(function), "args": self._values(args)}
        if state is not None:
            node["state"] = self.value(_without_owner(thing, state))
        if items is not None:
            node["items"] = self._values(items)
        if pairs is not None:
            node["pairs"] = self._pairs(pairs)
        return node


def _without_owner(thing: Any, state: Any) -> Any:
    """Write requests of metadata without the estimator that holds them: its name will do."""
    if isinstance(thing, MetadataRequest | MethodMetadataRequest):
        owner = state["owner"]
        return state | {"owner": owner if isinstance(owner, str) else type(owner).__name__}
    return state


def _shown(thing: Any) -> str:
    """Show what cannot be saved."""
    return f"a {type(thing).__module__}.{type(thing).__qualname__}"


def _of(kind: str) -> Callable[[Writer, Any], Node]:
    """Write a container down."""
    return lambda writer, thing: {"kind": kind, "items": writer._values(thing)}


_Form = Callable[[Writer, Any], Node]
_FORMS: list[tuple[tuple[type, ...], _Form]] = [
    ((float,), lambda writer, thing: {"kind": "float", "value": repr(thing)}),
    ((type(...),), lambda writer, thing: {"kind": "ellipsis"}),
    ((complex,), lambda w, z: {"kind": "complex", "parts": w._values([z.real, z.imag])}),
    ((bytes,), lambda writer, thing: {"kind": "bytes", "bytes": thing.hex()}),
    ((list,), _of("list")),
    ((tuple,), _of("tuple")),
    ((set,), _of("set")),
    ((frozenset,), _of("frozenset")),
    ((torch.Size,), _of("size")),
    ((dict,), lambda writer, thing: {"kind": "dict", "pairs": writer._pairs(thing.items())}),
    ((slice, range), lambda w, s: _of(type(s).__name__)(w, [s.start, s.stop, s.step])),
    ((Tensor, nn.Parameter), Writer._tensor),
    ((torch.dtype,), lambda _, t: {"kind": "torch_dtype", "name": str(t).removeprefix("torch.")}),
    ((torch.device,), lambda writer, thing: {"kind": "device", "name": str(thing)}),
    (_FROZEN, Writer._frozen),
    ((np.random.RandomState, np.random.Generator), Writer._generator),
    (
        (functools.partial,),
        lambda w, p: {"kind": "partial", "items": w._values([p.func, p.args, p.keywords])},
    ),
    (
        (np.ma.MaskedArray,),
        lambda w, a: {
            "kind": "masked",
            "items": w._values([a.data, np.ma.getmaskarray(a), a.fill_value]),
        },
    ),
    (
        (BSpline,),
        lambda w, s: {
            "kind": "call",
            "class": "scipy.interpolate.BSpline",
            "args": w._values([s.t, s.c, s.k, s.extrapolate, s.axis]),
        },
    ),
    (
        (pd.DataFrame,),
        lambda w, t: {
            "kind": "frame",
            "columns": w._index(t.columns),
            "index": w._index(t.index),
            "values": [w._column(t.iloc[:, i]) for i in range(t.shape[1])],
        },
    ),
    (
        (pd.Series,),
        lambda w, s: {
            "kind": "series",
            "values": w._column(s),
            "index": w._index(s.index),
            "name": w.value(s.name),
        },
    ),
]
