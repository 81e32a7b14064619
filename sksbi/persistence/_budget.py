"""Networks are built as a file says, but not larger than what it holds of them."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

__all__ = ["Budget"]

_A_STEP = 256  # numbers that a step counts for at least


class Budget(TorchDispatchMode):
    """
    Stop torch before it makes more numbers than allowed.

    Parameters
    ----------
    most : int
        How many numbers may be made.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._left = most

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Look at what a step will make before it does."""
        kwargs = kwargs or {}
        if func is torch.ops.aten.repeat_interleave.Tensor:
            self._pay(int(args[0].sum()))
        else:
            try:
                made = func(*tree_map(_shape, args), **tree_map(_shape, kwargs) | _nowhere(func))
            except RuntimeError:  # it depends on the numbers, and makes no more than they are
                made = ()
            self._pay(sum(part.numel() for part in tree_leaves(made) if hasattr(part, "numel")))
        return func(*args, **kwargs)

    def _pay(self, n: int) -> None:
        """Count what a step makes."""
        self._left -= max(_A_STEP, n)
        if self._left < 0:
            raise ValueError("a network would be much larger than its weights in the file")


def _shape(value: Any) -> Any:
    """Take a tensor's shape and type, without its numbers."""
    return value.to("meta") if isinstance(value, torch.Tensor) else value


def _nowhere(func: Any) -> dict[str, Any]:
    """Let what is made from nothing be made nowhere, too."""
    names = [argument.name for argument in func._schema.arguments]
    where = {"device": torch.device("meta"), "generator": None}
    return {name: value for name, value in where.items() if name in names}
