"""Compiling the networks of a module by torch.compile."""

from __future__ import annotations

from copy import deepcopy

import torch
from skorch import NeuralNet

from sksbi.data import TensorPairs
from sksbi.utils.random import borrowed_global_generator

__all__ = ["compile_networks"]


def compile_networks(net: NeuralNet, pairs: TensorPairs) -> None:
    """
    Compile what the module has to compile, and see on some rows that it can be.

    Parameters
    ----------
    net : skorch.NeuralNet
        An initialised net.
    pairs : TensorPairs
        The training set, on the net's device.

    Raises
    ------
    RuntimeError
        If there is no compiler, or it fails.
    """
    _try_step(net, pairs)
    net.module_.compile_networks()
    try:
        _try_step(net, pairs)
    except Exception as error:
        raise RuntimeError(
            "compile=True needs what torch.compile does on this device: on the CPU a C++ compiler "
            "such as g++, on a GPU triton; and an embedding that it can trace. Set compile=False "
            f"to do without. It said: {type(error).__name__}: {error}"
        ) from error


def _try_step(net: NeuralNet, pairs: TensorPairs) -> None:
    """Go forwards and backwards on two rows, and leave no trace."""
    x, target = pairs[:2]
    buffers = [b.clone() for b in net.module_.buffers()]
    with borrowed_global_generator(0):
        deepcopy(net.criterion_)(net.module_(x), target).mean().backward()
    net.optimizer_.zero_grad()
    with torch.no_grad():
        for buffer, before in zip(net.module_.buffers(), buffers, strict=True):
            buffer.copy_(before)
