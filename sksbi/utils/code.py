"""
Whether a user's code is as it was: a digest of what it does, and of the constants it uses.

Unlike a fingerprint this leaves out what code may change while it runs: lists it fills, numbers it
counts with, files it holds. So the same code has the same digest after each of its runs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dis import get_instructions
from functools import partial
from hashlib import sha256
from types import CellType, FunctionType, MethodType
from typing import Any

from sksbi.utils.fingerprint import (
    code_within,
    fingerprint,
    global_names,
    is_installed,
    is_known_by_name,
)

__all__ = ["code_of"]

_CHANGE = ("STORE_GLOBAL", "DELETE_GLOBAL", "STORE_DEREF", "DELETE_DEREF")


def code_of(value: Any) -> str:
    """
    Make a digest of code.

    Parameters
    ----------
    value : callable
        A function, a method, a class or an object that can be called.

    Returns
    -------
    str
        The version of Python, whose codes differ, and sixteen hexadecimal digits.

    Examples
    --------
    >>> from sksbi.utils.code import code_of
    >>> code_of(lambda n: n + 1) == code_of(lambda n: n + 2)
    False
    """
    made = sha256()
    for part in _parts(value, set()):
        made.update(part.encode())
    return f"{sys.version_info[0]}.{sys.version_info[1]}:{made.hexdigest()[:16]}"


def _parts(value: Any, seen: set[int]) -> Iterator[str]:
    """Go through code and constants."""
    if id(value) in seen:
        return
    if isinstance(value, FunctionType | MethodType | partial | type) or callable(value):
        seen.add(id(value))
    if isinstance(value, partial):
        yield from _all((value.func, *value.args, *value.keywords.items()), seen)
    elif isinstance(value, MethodType):
        yield from _all((value.__func__, type(value.__self__)), seen)
    elif isinstance(value, FunctionType):
        yield from _of_function(value, seen)
    elif isinstance(value, type):
        yield from _of_class(value, seen)
    elif callable(value):
        yield f"{getattr(value, '__name__', '')};"
        yield from _all((type(value), *_attributes(value)), seen)
    elif isinstance(value, tuple):
        yield from _all(value, seen)
    elif _is_constant(value):
        yield f"{value!r};"


def _all(values: Any, seen: set[int]) -> Iterator[str]:
    """Go through several."""
    for value in values:
        yield from _parts(value, seen)


def _of_function(value: FunctionType, seen: set[int]) -> Iterator[str]:
    """Take a user's function apart."""
    yield f"{value.__qualname__};"
    if is_known_by_name(value):
        return
    code = value.__code__
    yield fingerprint(code)
    steps = (step for part in code_within(code) for step in get_instructions(part))
    changed = {step.argval for step in steps if step.opname in _CHANGE}
    names = sorted({*global_names(code)} & {*value.__globals__} - changed)
    outside = [(name, value.__globals__[name]) for name in names]
    closed = zip(code.co_freevars, value.__closure__ or (), strict=True)
    outside += [(name, _content(cell)) for name, cell in closed if name not in changed]
    defaults = [*(value.__defaults__ or ()), *sorted((value.__kwdefaults__ or {}).items())]
    yield from _all((*outside, *defaults), seen)


def _attributes(value: Any) -> list[Any]:
    """List what nobody counts with: functions, texts and fractions, but no whole numbers."""
    own = sorted(getattr(value, "__dict__", {}).items())
    kept = [item for item in own if isinstance(item[1], str | bytes | float) or callable(item[1])]
    texts = [f"{name}={part!r}" for name, part in own if _holds_texts(part)]
    return [*(part for item in kept for part in item), *texts]


def _holds_texts(value: Any) -> bool:
    """Tell lists and dicts of texts."""
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    return isinstance(value, dict | list | tuple) and all(isinstance(part, str) for part in parts)


def _of_class(value: type, seen: set[int]) -> Iterator[str]:
    """Take a user's class apart."""
    yield f"{value.__qualname__};"
    if is_installed(value.__module__):
        return
    for name, member in sorted(vars(value).items()):
        inner = getattr(member, "__func__", getattr(member, "fget", member))
        if not name.startswith("__") or callable(inner):
            yield from _all((name, inner), seen)
    yield from _all(value.__bases__, seen)


def _content(cell: CellType) -> Any:
    """Give what a function has closed over."""
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _is_constant(value: Any) -> bool:
    """Tell text and numbers."""
    return isinstance(value, str | bytes | int | float | complex | type(None))
