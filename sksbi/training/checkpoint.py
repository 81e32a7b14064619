"""
The state of a training in a file, from which a fit goes on that was killed.

It is written after an epoch, in one step, and holds all that the next epochs depend on: weights,
what the optimizer and the callbacks remember, generators of random numbers, the history. So a
training that goes on is the one that was never killed, bit for bit on the CPU.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from skorch import NeuralNet
from torch import Tensor
from torch.optim import Optimizer

from sksbi.data import StreamedPairs, TensorPairs
from sksbi.data.parts import make_folder, replace_file
from sksbi.exceptions import TrainingWarning
from sksbi.training.callbacks import Progress
from sksbi.training.changes import Changes
from sksbi.utils.packing import check_packable, packed, unpacked
from sksbi.utils.warn import warn_user

__all__ = ["Checkpoint"]

SECONDS_BETWEEN = 5.0  # two writes, at least
LARGEST_SHARE = 0.05  # of the time, for writing
_HEAD, _DIGEST = b"sksbi checkpoint 1\n", 32
_PARTS = ("module", "criterion", "optimizer")


class Checkpoint:
    """
    The file of one fit, in a folder of many.

    Parameters
    ----------
    folder : str or Path
        The folder, which is made.
    name : str
        Tells the fit from all others.

    Raises
    ------
    ValueError
        If a file is in place of the folder, or the path is empty.
    """

    def __init__(self, folder: str | Path, name: str) -> None:
        if not str(folder):
            raise ValueError("checkpoint must be the path of a folder, got ''.")
        self.path = Path(folder).expanduser().absolute() / f"{name}.checkpoint"
        make_folder(self.path.parent, "checkpoint")
        self._ended = False
        self._written = self._cost = 0.0

    def run(
        self, net: NeuralNet, pairs: TensorPairs | StreamedPairs, *, draws_globally: bool
    ) -> None:
        """
        Train a net on from where the file has it, and write the file meanwhile.

        Parameters
        ----------
        net : skorch.NeuralNet
            The net, whose callbacks know that the training begins.
        pairs : TensorPairs or StreamedPairs
            The training set, on the net's device.
        draws_globally : bool
            Whether training draws from torch's global generator.

        Raises
        ------
        TypeError
            If the training changes what cannot be kept.
        """
        self._net, self._changes, self._draws_globally = net, Changes(net), draws_globally
        found = self._read()
        if found is not None:
            self._put_back(found)
        self._written, first = time.monotonic(), len(net.history)
        for _ in range(0 if self._ended else net.max_epochs - first):
            net.fit_loop(pairs, epochs=1)
            if time.monotonic() - self._written >= self._pause():
                self._write()
            elif len(net.history) == first + 1:
                self._collect()  # what cannot be kept is told now, not after a while

    def end(self) -> None:
        """Write that the training has come to its end."""
        if not self._ended:
            self._ended = True
            self._write()

    def _pause(self) -> float:
        """Tell for how long nothing is written."""
        return max(SECONDS_BETWEEN, self._cost / LARGEST_SHARE)

    def _collect(self) -> dict[str, Any]:
        """Collect the state after an epoch."""
        net, generators = self._net, None
        if self._draws_globally:
            on_gpu = torch.device(net.device).type == "cuda"
            on_gpu_state = torch.cuda.get_rng_state(net.device) if on_gpu else None
            generators = [torch.get_rng_state(), on_gpu_state]
        state = {part: getattr(net, f"{part}_").state_dict() for part in _PARTS}
        state |= {
            "learns": [p.requires_grad for p in _parameters(net)],
            "history": list(net.history),
            "generators": generators,
        }
        try:
            check_packable(state)
        except TypeError as error:
            raise TypeError(
                "checkpoint must hold the history and the states of module, criterion and "
                f"optimizer, and cannot: {error}. Do without it, or set checkpoint=None."
            ) from error
        return state | {"changes": self._changes.collect()}

    def _put_back(self, state: Mapping[str, Any]) -> None:
        """Bring the net into the state after an epoch."""
        net = self._net
        for part in _PARTS:
            getattr(net, f"{part}_").load_state_dict(state[part])
        _hold_exactly(net.optimizer_, state["optimizer"])
        for p, learns in zip(_parameters(net), state["learns"], strict=True):
            p.requires_grad_(learns)
        net.history.extend(state["history"])
        self._changes.put_back(state["changes"])
        if state["generators"] is not None:
            on_cpu, on_gpu = state["generators"]
            torch.set_rng_state(on_cpu)
            if on_gpu is not None:
                torch.cuda.set_rng_state(on_gpu, net.device)
        self._ended = state["ended"]
        for _, callback in net.callbacks_:
            if isinstance(callback, Progress):
                callback.skip(len(net.history))

    def _write(self) -> None:
        """Write the file in one step."""
        begin = time.monotonic()
        content = packed(self._collect() | {"name": self.path.name, "ended": self._ended})
        replace_file(self.path, _HEAD + sha256(content).digest() + content)
        self._written = time.monotonic()
        self._cost = self._written - begin

    def _read(self) -> dict[str, Any] | None:
        """Read the file, if it is there."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        content = data[len(_HEAD) + _DIGEST :]
        whole = data == _HEAD + sha256(content).digest() + content
        state: dict[str, Any] = unpacked(content) if whole else {}
        if state.get("name") == self.path.name:
            return state
        kind = "is of another fit" if whole else "is damaged"
        warn_user(
            f"the checkpoint {self.path} {kind}: this fit begins anew, and ends with the same "
            "numbers as if it had gone on.",
            TrainingWarning,
        )
        return None


def _parameters(net: NeuralNet) -> list[torch.nn.Parameter]:
    """List what can be trained."""
    return [*net.module_.parameters(), *net.criterion_.parameters()]


def _hold_exactly(optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """Undo that torch brings an optimizer's state to the types of the weights."""
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for number, p in zip(numbers, parameters, strict=True):
        if number in state["state"]:
            items = state["state"][number].items()
            optimizer.state[p].update({k: v for k, v in items if isinstance(v, Tensor)})
