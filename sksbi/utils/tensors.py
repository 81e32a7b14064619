"""Arrays to tensors and back, in nested states."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["to_numpy", "to_torch"]


def to_numpy(state: Any) -> Any:
    """
    Turn the tensors of a nested state into arrays.

    Parameters
    ----------
    state : object
        Tensors in dicts and lists, and anything else.

    Returns
    -------
    object
        The same with arrays, copies on the CPU; bfloat16, which NumPy lacks, becomes float32.
    """
    if isinstance(state, Tensor):
        values = state.detach().cpu()
        return (values.float() if values.dtype is torch.bfloat16 else values).numpy().copy()
    if isinstance(state, dict):
        return {key: to_numpy(value) for key, value in state.items()}
    return [to_numpy(value) for value in state] if isinstance(state, list) else state


def to_torch(state: Any) -> Any:
    """
    Turn the arrays of a nested state into tensors.

    Parameters
    ----------
    state : object
        Arrays in dicts and lists, and anything else.

    Returns
    -------
    object
        The same with tensors, copies on the CPU.
    """
    if isinstance(state, np.ndarray):
        return torch.from_numpy(state.copy())
    if isinstance(state, dict):
        return {key: to_torch(value) for key, value in state.items()}
    return [to_torch(value) for value in state] if isinstance(state, list) else state
