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

__all__ = ["Kind", "convert", "integer", "namespace", "silently", "view_arrays", "view_tensor"]

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
