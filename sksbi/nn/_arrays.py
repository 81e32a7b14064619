"""
Small tensors as NumPy's arrays.

The tensors of a training step are so small that the time goes into calls, not into arithmetic. On
the CPU, NumPy's calls cost a third of torch's. Functions that write their derivatives out take
what :func:`view_arrays` gives, and the same lines run with either library.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "Kind",
    "arange",
    "convert",
    "device_of",
    "empty",
    "integer",
    "namespace",
    "silently",
    "view_arrays",
    "view_tensor",
]

# Where a training breaks, NaN is enough: torch says nothing beside it, either.
silently = np.errstate(all="ignore")

# One kind of array, the same in all places of a signature.
Kind = TypeVar("Kind", NDArray[Any], Tensor)


def view_arrays(*tensors: Tensor) -> list[Any]:
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


def view_tensor(array: NDArray[Any] | Tensor) -> Tensor:
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


def namespace(array: NDArray[Any] | Tensor) -> Any:
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


def device_of(array: NDArray[Any] | Tensor) -> torch.device | None:
    """
    Find where an array lies.

    Parameters
    ----------
    array : ndarray or Tensor
        The array.

    Returns
    -------
    device or None
        The device of a tensor; None for NumPy's arrays, which have none before NumPy 2.
    """
    return array.device if isinstance(array, Tensor) else None


def arange(n: int, device: torch.device | None) -> Any:
    """
    Count from 0.

    Parameters
    ----------
    n : int
        How far.
    device : device or None
        As :func:`device_of` gives it.

    Returns
    -------
    ndarray or Tensor
        The integers below n.
    """
    return np.arange(n) if device is None else torch.arange(n, device=device)


def empty(shape: tuple[int, ...], like: Kind) -> Kind:
    """
    Make an array without values.

    Parameters
    ----------
    shape : tuple of int
        Its shape.
    like : ndarray or Tensor
        An array of its library and type, where it is to lie.

    Returns
    -------
    ndarray or Tensor
        The array.
    """
    return like.new_empty(shape) if isinstance(like, Tensor) else np.empty(shape, like.dtype)


def convert(array: Kind, dtype: Any) -> Kind:
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


def integer(array: NDArray[Any] | Tensor) -> torch.dtype | type[np.int64]:
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
