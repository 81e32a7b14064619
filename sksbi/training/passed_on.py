"""What an estimator passes on to skorch: parameters with prefixes, and callbacks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from skorch.callbacks import Callback

__all__ = ["PASSED_ON", "check_callback", "check_callback_names", "check_passed_on", "for_skorch"]

PASSED_ON = ("module__", "criterion__", "optimizer__", "iterator_train__", "callbacks__")

_RESERVED = {
    "optimizer__": {"lr": "set lr", "params": "they are the network's"},
    "module__": {
        "flow": "set flow",
        "network": "set network",
        "features": "it is the number of parameters",
        "context": "it is the width of the embedding",
        "transforms": "set transforms",
        "hidden_features": "set hidden_features",
    },
    "iterator_train__": {
        "dataset": "give theta and x to fit",
        "generator": "set random_state",
    },
}


def check_callback(callback: object, taken: set[str]) -> None:
    """
    Hold that a user's callback is one, under a name of its own.

    Parameters
    ----------
    callback : object
        A callback, or a pair (name, callback).
    taken : set of str
        The names of the built-in ones.

    Raises
    ------
    ValueError, TypeError
        If it is none, or its name is taken.
    """
    name, inner = callback if isinstance(callback, tuple) and len(callback) == 2 else ("", callback)
    if not (isinstance(inner, Callback) or isinstance(inner, type) and issubclass(inner, Callback)):
        raise TypeError(
            f"callbacks must hold skorch callbacks, or pairs (name, callback), got {callback!r}."
        )
    if name in taken:
        raise ValueError(
            f"callbacks holds {name!r}, the name of a built-in one: replace that by "
            f"callbacks__{name}=..., or choose another name."
        )


def check_passed_on(
    passed_on: Mapping[str, object], prefix: str, constructor: Callable[..., Any]
) -> dict[str, object]:
    """
    Select the parameters with a prefix, and hold that their receiver takes them.

    Parameters
    ----------
    passed_on : mapping of str to object
        All that is passed on, with prefixes.
    prefix : str
        Such as ``"optimizer__"``.
    constructor : callable
        The receiver.

    Returns
    -------
    dict of str to object
        The selected parameters, without the prefix.

    Raises
    ------
    ValueError
        If the receiver does not take one of them.
    """
    chosen = {k[len(prefix) :]: v for k, v in passed_on.items() if k.startswith(prefix)}
    parameters = inspect.signature(constructor).parameters.values()
    names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    for name in _RESERVED.get(prefix, {}).keys() & chosen.keys():
        raise ValueError(f"{prefix}{name} is not to be set: {_RESERVED[prefix][name]}.")
    of_skorch = ["param_groups"] if prefix == "optimizer__" else []
    unknown = [name for name in chosen if name not in names + of_skorch]
    if unknown and len(names) == len(parameters):
        raise ValueError(
            f"{prefix}{unknown[0]} is not a parameter of {prefix[:-2]}={constructor!r}, which "
            f"takes {names}."
        )
    return chosen


def check_callback_names(
    passed_on: Mapping[str, object],
    callbacks: Sequence[Any],
    optional: Mapping[str, type[Callback]],
) -> None:
    """
    Hold that every callbacks__name refers to a callback, and sets what that one has.

    Parameters
    ----------
    passed_on : mapping of str to object
        All that is passed on, with prefixes.
    callbacks : sequence
        The callbacks, or pairs (name, callback).
    optional : mapping of str to type
        Built-in callbacks that this fit may be without.

    Raises
    ------
    ValueError, TypeError
        If there is no such callback, or it has no such parameter.
    """
    names = {c[0] if isinstance(c, tuple) else type(c).__name__ for c in callbacks}
    for key in (k for k in passed_on if k.startswith("callbacks__")):
        _, name, *option = key.split("__", 2)
        if name not in {*names, *optional, "epoch_timer"}:
            known = sorted({*names, *optional})
            raise ValueError(f"{key}: there is no callback {name!r}, there are {known}.")
        if not option and not isinstance(passed_on[key], Callback | None):
            raise TypeError(f"{key} must be a skorch callback or None, got {passed_on[key]!r}.")
        if option and name in optional and name not in names:
            check_passed_on({f"{name}__{option[0]}": 0}, f"{name}__", optional[name])


def for_skorch(passed_on: Mapping[str, object], callbacks: Sequence[Any]) -> dict[str, object]:
    """
    Select what skorch takes; settings of callbacks that this fit is without are left out.

    Parameters
    ----------
    passed_on : mapping of str to object
        All that is passed on, with prefixes.
    callbacks : sequence
        The callbacks of this fit.

    Returns
    -------
    dict of str to object
        What goes on.
    """
    present = {c[0] for c in callbacks if isinstance(c, tuple)}
    return {key: value for key, value in passed_on.items() if _is_for_skorch(key, present)}


def _is_for_skorch(key: str, present: set[str]) -> bool:
    """Tell whether a parameter goes on to skorch, in a fit with these callbacks."""
    replaces_callback = key.startswith("callbacks__") and key.count("__") == 1
    sets_callback = key.startswith("callbacks__") and key.split("__")[1] in present
    is_other = key.startswith(("optimizer__", "iterator_train__"))
    return is_other or replaces_callback or sets_callback
