"""
A training that goes on from call to call, with other rows in each.

Every call makes a net of its own, which is given the averaged weights of the one before, the
weights that move, and the states of the optimizer and of the schedule. So an interrupted call
leaves the net before as it was, and a net that has been saved goes on like one that has not.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback

from sksbi.training.callbacks import WeightAveraging
from sksbi.training.schedule import InverseRoot

__all__ = ["GoOn", "go_on"]


class GoOn(Callback):
    """Begin where another training was, and leave in ``stream_`` what the next one begins with."""

    def __init__(self) -> None:
        self.before_: dict[str, Any] | None = None

    def on_train_begin(self, net: NeuralNet, **_: object) -> None:
        """Put everything in place; without an earlier call the optimizer begins anew."""
        net.optimizer_.state.clear()
        if self.before_ is None:
            return
        averaging, schedule = _find(net)
        if self.before_["kind"] == type(net.optimizer_).__name__:
            # What is loaded changes in place, and the net before is not to.
            state = {"state": deepcopy(self.before_["optimizer"])}
            net.optimizer_.load_state_dict(net.optimizer_.state_dict() | state)
        if averaging is not None and self.before_["moving"] is not None:
            averaging.go_on(self.before_["moving"], self.before_["averaged"])
        if schedule is not None:
            schedule.go_on(net, self.before_["steps"])

    def on_train_end(self, net: NeuralNet, **_: object) -> None:
        """Note everything."""
        averaging, schedule = _find(net)
        net.stream_ = {
            "kind": type(net.optimizer_).__name__,
            "optimizer": net.optimizer_.state_dict()["state"],
            "moving": None if averaging is None else averaging.other_,
            "averaged": 0 if averaging is None else averaging.steps_,
            "steps": 0 if schedule is None else schedule.step_,
        }


def _find(net: NeuralNet) -> tuple[WeightAveraging | None, InverseRoot | None]:
    """Find the callbacks that have a state, unless the user has put others in their places."""
    callbacks = dict(net.callbacks_)
    averaging, schedule = (callbacks.get(name) for name in ("weight_averaging", "lr_scheduler"))
    return (
        averaging if isinstance(averaging, WeightAveraging) else None,
        schedule if isinstance(schedule, InverseRoot) else None,
    )


def go_on(net: NeuralNet, earlier: NeuralNet | None) -> None:
    """
    Let a training go on where another one was.

    Parameters
    ----------
    net : skorch.NeuralNet
        The net, built as ``endless``; its training begins there.
    earlier : skorch.NeuralNet or None
        The net that another call has trained, or what began otherwise.
    """
    dict(net.callbacks_)["go_on"].before_ = getattr(earlier, "stream_", None)
