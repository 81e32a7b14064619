"""What a trained net leaves: its history, and its weights as NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skorch import NeuralNet

from sksbi.utils.tensors import to_numpy, to_torch

__all__ = ["extend_history", "load_state", "pack_state"]


def extend_history(history: list[dict[str, Any]], net: NeuralNet) -> list[dict[str, Any]]:
    """
    Append a net's training history to an earlier one.

    Parameters
    ----------
    history : list of dict
        The earlier epochs.
    net : skorch.NeuralNet
        A trained net.

    Returns
    -------
    list of dict
        One an epoch: epoch, train_loss, valid_loss (if there was a validation set), lr, dur
        (seconds), skipped (the number of steps, if a callback skips some).
    """
    columns = ["train_loss", "valid_loss", "lr", "dur", "skipped"]
    rows = [{c: float(epoch[c]) for c in columns if c in epoch} for epoch in net.history]
    return history + [{"epoch": len(history) + 1 + i} | row for i, row in enumerate(rows)]


def pack_state(net: NeuralNet, *, optimizer: bool, stream: bool = False) -> dict[str, Any]:
    """
    Reduce a net to NumPy arrays.

    Parameters
    ----------
    net : skorch.NeuralNet
        The net.
    optimizer : bool
        Whether to keep the state of the optimizer, most of the size.
    stream : bool, default=False
        Whether to keep what a training without end goes on from, if it is one.

    Returns
    -------
    dict
        Weights and, if asked for, the state of the optimizer.
    """
    state = {"module": to_numpy(dict(net.module_.state_dict()))}
    if stream and hasattr(net, "stream_"):
        state["stream"] = to_numpy(net.stream_)
    if optimizer:
        state["optimizer"] = to_numpy(net.optimizer_.state_dict())
    return state


def load_state(net: NeuralNet, state: Mapping[str, Any]) -> None:
    """
    Load what :func:`pack_state` made into a net of the same architecture.

    Parameters
    ----------
    net : skorch.NeuralNet
        An initialised net.
    state : mapping
        The state.
    """
    net.module_.load_state_dict(to_torch(state["module"]))
    if "stream" in state:
        net.stream_ = to_torch(state["stream"])
    if "optimizer" in state:
        # lr, weight_decay, ... are the net's own: they may have been changed since.
        settings = {"param_groups": net.optimizer_.state_dict()["param_groups"]}
        net.optimizer_.load_state_dict(to_torch(state["optimizer"]) | settings)
