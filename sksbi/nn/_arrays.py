"""
Small tensors as NumPy's arrays.

The tensors of a training step are so small that the time goes into calls, not into arithmetic. On
the CPU, NumPy's calls cost a third of torch's. Functions that write their derivatives out take
what :func:`view_arrays` gives, and the same lines run with either library.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["convert", "integer", "namespace", "view_arrays", "view_tensor"]


def view_arrays(*tensors: Tensor) -> list:
    """
    View tensors on the CPU as NumPy's arrays; detach others.

    Parameters
    ----------
    *tensors : Tensor
        Tensors on one device.

    Returns
    -------
    list of ndarray or of Tensor
        The same memory, all of one kind.
    """
    detached = [t.detach() for t in tensors]
    return [t.numpy() for t in detached] if tensors[0].device.type == "cpu" else detached


def view_tensor(array: object) -> Tensor:
    """
    View an array as a tensor.

    Parameters
    ----------
    array : ndarray or Tensor
        The array.

    Returns
    -------
    Tensor
        The same memory.
    """
    return array if isinstance(array, Tensor) else torch.from_numpy(array)


def namespace(array: object) -> object:
    """
    Find the library of an array.

    Parameters
    ----------
    array : ndarray or Tensor
        The array.

    Returns
    -------
    module
        numpy or torch.
    """
    return torch if isinstance(array, Tensor) else np


def convert(array: object, dtype: object) -> object:
    """
    Convert an array to another type.

    Parameters
    ----------
    array : ndarray or Tensor
        The array.
    dtype : dtype
        A type of its library.

    Returns
    -------
    ndarray or Tensor
        The converted array.
    """
    return array.to(dtype) if isinstance(array, Tensor) else array.astype(dtype)


def integer(array: object) -> object:
    """
    Find the type of places in an array.

    Parameters
    ----------
    array : ndarray or Tensor
        The array.

    Returns
    -------
    dtype
        int64, of its library.
    """
    return torch.int64 if isinstance(array, Tensor) else np.int64
