"""
A text that tells contents apart, and is the same in every process.

Pickles are not: functions are names in them, torch's tensors addresses, and sets come in an order
that changes from process to process. So what is given is taken apart, down to numbers and text, and
what cannot be taken apart is refused. Of functions and classes the code counts; of those that were
installed the name and the version.
"""

from __future__ import annotations

import copyreg
import dis
import re
import sys
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterator, Mapping
from functools import cache, cached_property, partial
from hashlib import sha256
from pathlib import Path
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import is_lazy

__all__ = ["code_within", "fingerprint", "global_names", "is_installed", "is_known_by_name"]

_ATOMS = (type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented))
_DICTS = (dict, OrderedDict, defaultdict, Counter, MappingProxyType)
_WRAPPERS = (classmethod, staticmethod, property, cached_property)
# What changes no number, in an estimator that scikit-learn knows.
_FREE = ("n_jobs", "verbose", "_skl_callbacks")
_LOOK_UP = ("LOAD_GLOBAL", "LOAD_NAME")
_NOWHERE = re.compile(r"<locals>|<lambda>")


def fingerprint(
    value: Any, known: Mapping[int, str] | None = None, *, with_globals: bool = True
) -> str:
    """
    Make a text of contents that is the same in every process.

    Parameters
    ----------
    value : object
        Numbers, text, arrays, tables, tensors, containers, functions, classes, or objects that can
        be pickled.
    known : mapping of int to str, default=None
        Names for objects, by their ``id``: these are not taken apart.
    with_globals : bool, default=True
        Whether that counts which a user's functions find outside of themselves.

    Returns
    -------
    str
        Sixteen bytes as hexadecimal digits.

    Raises
    ------
    TypeError
        If an object in it cannot be taken apart.

    Examples
    --------
    >>> from sksbi.utils.fingerprint import fingerprint
    >>> fingerprint({"lr": 1e-3}) == fingerprint({"lr": 1 / 1000})
    True
    >>> fingerprint(lambda n: n + 1) == fingerprint(lambda n: n + 2)
    False
    """
    return _Reader(known or {}, with_globals).read(value).hex()[:32]


class _Reader:
    """
    Read contents, each object once.

    Parameters
    ----------
    known : mapping of int to str
        Names for objects.
    with_globals : bool
        Whether functions are what they find outside, too.
    """

    def __init__(self, known: Mapping[int, str], with_globals: bool) -> None:
        self._known, self._with_globals = known, with_globals
        self._read: dict[int, tuple[bytes, Any]] = {}  # with the object, so that its id stays its
        self._open: list[int] = []

    def read(self, value: Any) -> bytes:
        """Make a digest."""
        if type(value) in _ATOMS:
            return _joined(type(value).__name__, repr(value).encode())
        at = id(value)
        if at in self._known:
            return _joined("known", self._known[at].encode())
        if at in self._read:
            return self._read[at][0]
        if at in self._open:
            return _joined("again", str(len(self._open) - self._open.index(at)).encode())
        self._open.append(at)
        kind, parts = _apart(value)
        if self._with_globals and isinstance(value, FunctionType):
            parts = [*parts, _globals_of(value)]
        digests = [part if isinstance(part, _Raw) else self.read(part) for part in parts]
        if kind == "set":
            digests.sort()
        self._open.pop()
        self._read[at] = (_joined(kind, *digests), value)
        return self._read[at][0]


class _Raw(bytes):
    """Bytes that stand for themselves."""


def _joined(kind: str, *parts: bytes) -> bytes:
    """Make a digest of digests."""
    made = sha256(kind.encode())
    for part in parts:
        made.update(b"%d:" % len(part))
        made.update(part)
    return made.digest()


def _apart(value: Any) -> tuple[str, list[Any]]:
    """Take an object apart: what it is, and its parts."""
    kind = type(value)
    for types, name, parts in _KINDS:
        if isinstance(value, types):
            return name, parts(value)
    if kind in (list, tuple):
        return kind.__name__, list(value)
    if kind in (set, frozenset):
        return "set", list(value)
    if kind in _DICTS:
        return kind.__name__, [part for item in value.items() for part in item]
    return "object", _of_object(value)


def _of_array(value: Any) -> list[Any]:
    """Take the numbers of an array, or its objects."""
    if value.dtype.hasobject:
        return [value.shape, np.asarray(value).ravel().tolist()]
    data = np.ascontiguousarray(value).reshape(-1)
    return [str(value.dtype), value.shape, _Raw(sha256(data.view(np.uint8).data).digest())]


def _of_tensor(value: Tensor) -> list[Any]:
    """Take the numbers of a tensor, wherever it is; a lazy one has none yet."""
    if is_lazy(value):
        return [type(value).__name__, str(value.dtype)]
    data = value.detach().cpu()
    if data.is_quantized or data.is_meta:
        raise TypeError(f"tensors of {data.dtype} on {value.device} cannot be read")
    data = data.to_dense().contiguous().resolve_conj().resolve_neg().reshape(-1).view(torch.uint8)
    raw = _Raw(sha256(data.numpy().data).digest())
    return [type(value).__name__, str(value.dtype), value.requires_grad, tuple(value.shape), raw]


def _of_network(value: nn.Module) -> list[Any]:
    """Take the attributes of a network, parameters among them; pickle takes not every one."""
    state = {k: v for k, v in vars(value).items() if k != "_compiled_call_impl"}
    if isinstance(value, LazyModuleMixin):  # its hooks have numbers that are never the same
        state = {k: v for k, v in state.items() if "_hook" not in k}
    return [type(value), _by_name(state, ())]


def _of_table(value: pd.DataFrame) -> list[Any]:
    """Take labels and columns."""
    columns = [value.iloc[:, i] for i in range(value.shape[1])]
    return [value.columns, value.index, *(part for c in columns for part in _of_values(c))]


def _of_series(value: pd.Series) -> list[Any]:
    """Take name, labels and values."""
    return [value.name, value.index, *_of_values(value)]


def _of_index(value: pd.Index) -> list[Any]:
    """Take names and values."""
    return [list(value.names), *_of_values(value)]


def _of_values(value: pd.Series | pd.Index) -> list[Any]:
    """Take values that pandas holds; what NumPy lacks as objects."""
    return [str(value.dtype), value.to_numpy()]


def _of_random_state(value: np.random.RandomState) -> list[Any]:
    """Take the state of a generator; the global one, to which scipy's distributions refer, not."""
    is_global = value is np.random.mtrand._rand
    return [] if is_global else [value.get_state(legacy=False)]


def _of_function(value: FunctionType) -> list[Any]:
    """Take the code of a user's function and what it refers to; of others the name."""
    place = _place(value)
    if is_known_by_name(value):
        return place
    bound = [value.__defaults__, value.__kwdefaults__, value.__closure__]
    return [*place, value.__code__, *bound]


def is_known_by_name(value: FunctionType) -> bool:
    """
    Tell functions that were installed; wrappers may have others' names.

    Parameters
    ----------
    value : function
        A function.

    Returns
    -------
    bool
        Whether its name and the version of its package say all.
    """
    written = value.__globals__.get("__name__")
    return is_installed(written) and not _NOWHERE.search(value.__code__.co_qualname)


def _globals_of(value: FunctionType) -> list[Any]:
    """Take what a user's function finds outside."""
    if is_known_by_name(value):
        return []
    names, found = {*global_names(value.__code__)}, value.__globals__
    return [(name, _of_global(found[name], value.__code__)) for name in sorted(names & {*found})]


def _of_global(value: Any, code: CodeType) -> Any:
    """Take what a function finds outside; of a user's module what may be asked of it by name."""
    if not isinstance(value, ModuleType) or is_installed(value.__name__):
        return value
    asked = sorted({name for part in code_within(code) for name in part.co_names} & {*vars(value)})
    return [value.__name__, [(name, getattr(value, name)) for name in asked]]


def _of_code(value: CodeType) -> list[Any]:
    """Take what a function does, wherever it was written."""
    names = [value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars]
    counts = [value.co_argcount, value.co_posonlyargcount, value.co_kwonlyargcount, value.co_flags]
    return [value.co_code, value.co_exceptiontable, value.co_consts, *counts, *names]


def _of_cell(value: CellType) -> list[Any]:
    """Take what a function has closed over."""
    try:
        return [value.cell_contents]
    except ValueError:  # not filled yet
        return []


def _of_class(value: type) -> list[Any]:
    """Take the code of a user's class; of others the name."""
    place = _place(value)
    if is_installed(value.__module__) and not _NOWHERE.search(value.__qualname__):
        return place
    own = [(k, v) for k, v in sorted(vars(value).items()) if _is_member(k, v)]
    return [*place, *value.__bases__, own]


def _of_object(value: Any) -> list[Any]:
    """Take an object apart as pickle would, its attributes by name."""
    try:
        reduced = value.__reduce_ex__(4)
    except Exception as error:  # whatever says that there are no pickles of it
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        raise TypeError(f"a {kind} cannot be told from others: {error}") from error
    if isinstance(reduced, str):
        return [type(value), reduced, getattr(value, "__wrapped__", None)]
    function, arguments, state, *items = [*reduced, None][:3] + list(reduced[3:5])
    if function is copyreg.__newobj__ and arguments:  # type: ignore[attr-defined]
        function, arguments = arguments[0], arguments[1:]
    slots = state[1] if isinstance(state, tuple) and len(state) == 2 else None
    state, slots = (state, None) if not isinstance(slots, dict) else (state[0], slots)
    free = _FREE if isinstance(value, BaseEstimator) else ()
    named = [_by_name(part, free) for part in (state, slots)]
    return [function, arguments, *named, *(list(item or ()) for item in items)]


def _by_name(state: Any, free: tuple[str, ...]) -> Any:
    """Put attributes in the order of their names."""
    if type(state) is not dict:
        return state
    return sorted(((str(k), v) for k, v in state.items() if k not in free), key=lambda kv: kv[0])


def _place(value: Any) -> list[Any]:
    """Tell where a function or class comes from, and the version of that."""
    module = str(getattr(value, "__module__", None)).replace("__mp_main__", "__main__")
    root = sys.modules.get(module.split(".")[0])
    version = str(getattr(root, "__version__", "")) if is_installed(module) else ""
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", type(value).__name__)
    return [module, name, version]


def _of_builtin(value: Any) -> list[Any]:
    """Take the name of what is no Python code, and what it is bound to."""
    own = getattr(value, "__self__", None)
    return [*_place(value), None if isinstance(own, ModuleType) else own]


def is_installed(module: str | None) -> bool:
    """
    Tell code that came with a version from a user's own.

    Parameters
    ----------
    module : str or None
        The name of the module.

    Returns
    -------
    bool
        Whether it was installed.
    """
    return _is_library(str(module).split(".")[0])


@cache
def _is_library(root: str) -> bool:
    """Tell a package that was installed, unlike what runs, wherever that was started from."""
    if root in ("__main__", "__mp_main__"):
        return False
    if root in sys.stdlib_module_names or root in ("sksbi", "builtins"):
        return True
    file = getattr(sys.modules.get(root), "__file__", None)
    return file is not None and bool({"site-packages", "dist-packages"} & set(Path(file).parts))


def _is_member(name: str, value: Any) -> bool:
    """Tell what matters of a class: methods and attributes, but for its name and place."""
    if isinstance(value, (FunctionType, partial, *_WRAPPERS)):
        return True
    is_made = isinstance(value, GetSetDescriptorType | MemberDescriptorType)
    return not (is_made or name.startswith(("__", "_abc_")))


def global_names(code: CodeType) -> Iterator[str]:
    """
    List the global names that a function, and those in it, look up.

    Parameters
    ----------
    code : code
        The function's.

    Yields
    ------
    str
        A name, which may come again.
    """
    for part in code_within(code):
        looked_up = (i for i in dis.get_instructions(part) if i.opname in _LOOK_UP)
        yield from (instruction.argval for instruction in looked_up)


def code_within(code: CodeType) -> Iterator[CodeType]:
    """
    Give the code of a function, and of those in it.

    Parameters
    ----------
    code : code
        The function's.

    Yields
    ------
    code
        Its own, and that of each.
    """
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from code_within(constant)


_KINDS: list[tuple[Any, str, Any]] = [
    (np.ndarray | np.generic, "array", _of_array),
    (np.dtype, "dtype", lambda value: [str(value)]),
    (np.random.RandomState, "generator", _of_random_state),
    (np.random.Generator, "generator", lambda value: [value.bit_generator.state]),
    (np.ufunc | BuiltinFunctionType, "builtin", _of_builtin),
    (Tensor, "tensor", _of_tensor),
    (nn.Module, "network", _of_network),
    (torch.Generator, "generator", lambda value: [value.get_state()]),
    (pd.DataFrame, "table", _of_table),
    (pd.Series, "series", _of_series),
    (pd.Index, "index", _of_index),
    (type, "class", _of_class),
    (FunctionType, "function", _of_function),
    (MethodType, "method", lambda value: [value.__func__, value.__self__]),
    (partial, "partial", lambda value: [value.func, value.args, value.keywords]),
    (classmethod | staticmethod, "wrapper", lambda value: [type(value), value.__func__]),
    (cached_property, "property", lambda value: [value.func]),
    (property, "property", lambda value: [value.fget, value.fset]),
    (CodeType, "code", _of_code),
    (CellType, "cell", _of_cell),
    (ModuleType, "module", lambda value: [value.__name__]),
]
