"""Optimizers by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from sksbi.training.muon import Muon

__all__ = ["find_optimizer"]


def find_optimizer(name: str | Callable) -> Callable:
    """
    Find an optimizer: "muon", or one of torch's by name; AdamW is fused.

    Parameters
    ----------
    name : str or callable
        The name, or what makes an optimizer of parameters, which is returned as it is.

    Returns
    -------
    callable
        Makes an optimizer.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    classes = {
        key.lower(): value for key, value in vars(torch.optim).items() if isinstance(value, type)
    }
    classes |= {"adamw": partial(torch.optim.AdamW, fused=True), "muon": Muon}
    classes.pop("optimizer")
    if callable(name):
        return name
    if not isinstance(name, str) or name.lower() not in classes:
        raise ValueError(
            f"optimizer must be one of {sorted(classes)}, a torch optimizer class or a partial of "
            f"one, got {name!r}."
        )
    return classes[name.lower()]
