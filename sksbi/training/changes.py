"""
What a training changes beside weights: attributes of callbacks, of networks and losses, of the net.

What is as it was when the training began need not be kept, whatever it is. What has changed is
written down, if it is numbers, text, tensors or containers of them, a generator, or an object with
``state_dict`` and ``load_state_dict``, such as torch's schedulers. Anything else is refused, as a
training that goes on without it would be another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from torch import Tensor, nn

from sksbi.training.callbacks import EachEpoch, Progress
from sksbi.utils.fingerprint import fingerprint
from sksbi.utils.packing import check_packable

__all__ = ["Changes", "memory_of"]

_STATE, _VALUE = "state", "value"
# Kept with the weights, or set by torch itself.
_NOT_OF_NETWORKS = ("_parameters", "_buffers", "_modules", "_compiled_call_impl")

_Generators = torch.Generator | np.random.Generator | np.random.RandomState


class Changes:
    """
    Find what a training changes, and change it again.

    A callback that has ``state_dict`` and ``load_state_dict`` is asked instead.

    Parameters
    ----------
    net : skorch.NeuralNet
        A net whose training begins.

    Raises
    ------
    TypeError
        If nothing can tell whether an attribute changes.
    """

    def __init__(self, net: NeuralNet) -> None:
        self._net = net
        self._parts = _parts(net)  # which must not die, or others would have their ids
        self._known = {id(part): name for name, part in self._parts.items()}
        self._began, self._stateful = {}, {}
        for name, owner in _owners(net):
            self._began[name] = self._fingerprints(name, owner)
            values = _attributes(owner).items()
            self._stateful[name] = {k: v for k, v in values if _has_state(v)}

    def collect(self) -> dict[str, dict[str, Any]]:
        """
        Collect what has changed.

        Returns
        -------
        dict
            By owner and attribute, a value or a state.

        Raises
        ------
        TypeError
            If it cannot be kept.
        """
        live = memory_of(self._net)
        return {name: self._changes(name, owner, live) for name, owner in _owners(self._net)}

    def put_back(self, found: dict[str, dict[str, Any]]) -> None:
        """
        Change attributes as they were changed before.

        Parameters
        ----------
        found : dict
            What was collected.
        """
        for name, owner in _owners(self._net):
            for attribute, change in found.get(name, {}).items():
                if _STATE in change:
                    _load(vars(owner)[attribute] if attribute else owner, change[_STATE])
                elif _VALUE in change:
                    _set(owner, attribute, change[_VALUE])
                else:
                    vars(owner).pop(attribute, None)

    def _changes(self, name: str, owner: Any, live: set[int]) -> dict[str, Any]:
        """Collect what has changed of one owner."""
        values = {"": owner} if _is_asked(owner) else _attributes(owner)
        began, now = self._began[name], self._fingerprints(name, owner)
        found: dict[str, Any] = {attribute: {} for attribute in began if attribute not in values}
        for attribute in (a for a in now if not now[a] or now[a] != began.get(a)):
            try:
                change = self._change(name, attribute, values[attribute])
                check_packable(change, live)
            except TypeError as error:
                if _has_state(values[attribute]) or not _may_be_lost(owner, attribute):
                    raise _refused(name, attribute, str(error)) from error
            else:
                found[attribute] = change
        return found

    def _change(self, name: str, attribute: str, value: Any) -> dict[str, Any]:
        """Tell what has become of an attribute."""
        if not _has_state(value):
            return {_VALUE: value}
        if attribute and value is not self._stateful[name].get(attribute):
            raise TypeError("it is another object than when training began")
        return {_STATE: _state(value)}

    def _fingerprints(self, name: str, owner: Any) -> dict[str, str]:
        """Tell attributes apart by their contents; nothing is told of some that have a state."""
        if _is_asked(owner):
            return {"": ""}
        found: dict[str, str] = {}
        for attribute, value in _attributes(owner).items():
            try:
                found[attribute] = fingerprint(value, self._known, with_globals=False)
            except TypeError as error:
                if _has_state(value):
                    found[attribute] = ""
                elif not _may_be_lost(owner, attribute):
                    raise _refused(name, attribute, str(error)) from error
        return found


def memory_of(net: NeuralNet) -> set[int]:
    """
    Find where a net's weights, and what its optimizer knows of them, stand in memory.

    Parameters
    ----------
    net : skorch.NeuralNet
        The net.

    Returns
    -------
    set of int
        The addresses.
    """
    kept = [net.module_.state_dict(), net.criterion_.state_dict(), *net.optimizer_.state.values()]
    parts = [part for state in kept for part in state.values()]
    tensors = [part for part in parts if isinstance(part, Tensor) and part.numel()]
    return {part.untyped_storage().data_ptr() for part in tensors}


def _owners(net: NeuralNet) -> Iterator[tuple[str, Any]]:
    """List what has attributes that a training may change."""
    yield "the net", net
    for name, callback in net.callbacks_:
        if not isinstance(callback, EachEpoch | Progress):
            yield f"the callback {name!r}", callback
    for kind in ("module", "criterion"):
        for name, module in getattr(net, f"{kind}_").named_modules():
            yield f"{kind} {name!r}", module


def _parts(net: NeuralNet) -> dict[str, Any]:
    """Name what is kept apart, or is an owner itself."""
    apart = {"optimizer": net.optimizer_, "history": net.history_, "split": net.train_split}
    found = apart | dict(_owners(net)) | {f"bar {name}": c for name, c in net.callbacks_}
    for kind in ("module", "criterion"):
        module = getattr(net, f"{kind}_")
        kept = module.state_dict(keep_vars=True)
        found |= {f"{kind}.{name}": part for name, part in kept.items()}
    return {name: part for name, part in found.items() if part is not None}


def _attributes(owner: Any) -> dict[str, Any]:
    """List the attributes of an owner that may have to be kept."""
    if not isinstance(owner, nn.Module):
        return dict(vars(owner))
    buffers = {name: owner._buffers[name] for name in owner._non_persistent_buffers_set}
    return {k: v for k, v in vars(owner).items() if k not in _NOT_OF_NETWORKS} | buffers


def _set(owner: Any, attribute: str, value: Any) -> None:
    """Set an attribute, or a buffer."""
    buffers = owner._buffers if isinstance(owner, nn.Module) else {}
    (buffers if attribute in buffers else vars(owner))[attribute] = value


def _is_asked(owner: Any) -> bool:
    """Tell a callback that says itself what is to be kept."""
    return not isinstance(owner, nn.Module) and _has_state(owner)


def _has_state(value: Any) -> bool:
    """Tell what gives its state, and takes it."""
    asked = all(callable(getattr(value, f"{verb}state_dict", None)) for verb in ("", "load_"))
    return isinstance(value, _Generators) or asked and not isinstance(value, type)


def _state(value: Any) -> Any:
    """Give the state of an object."""
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if isinstance(value, np.random.RandomState):
        return value.get_state(legacy=False)
    return value.get_state() if isinstance(value, torch.Generator) else value.state_dict()


def _load(value: Any, state: Any) -> None:
    """Bring an object into a state."""
    if isinstance(value, np.random.Generator):
        value.bit_generator.state = state
    elif isinstance(value, np.random.RandomState | torch.Generator):
        value.set_state(state)
    else:
        value.load_state_dict(state)


def _may_be_lost(owner: Any, attribute: str) -> bool:
    """Tell what skorch's own callbacks make anew in every epoch: outputs and bars."""
    return type(owner).__module__.startswith("skorch.callbacks.") and attribute.endswith("_")


def _refused(name: str, attribute: str, reason: str) -> TypeError:
    """Say what cannot be kept, and the way out."""
    what = repr(attribute) if attribute else "what state_dict() gives"
    return TypeError(
        f"checkpoint must hold all that a training changes, and in {name} it cannot keep "
        f"{what}: {reason}. A callback may have state_dict() and load_state_dict(state) of "
        "its own; or set checkpoint=None."
    )
