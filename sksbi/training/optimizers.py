"""Optimizers by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from sksbi.training.muon import Muon
from sksbi.utils.choose import choose

__all__ = ["find_optimizer"]


def find_optimizer(name: str | Callable[..., Any]) -> Callable[..., Any]:
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
    classes: dict[str, Callable[..., Any]] = {
        key.lower(): value for key, value in vars(torch.optim).items() if isinstance(value, type)
    }
    classes |= {"adamw": partial(torch.optim.AdamW, fused=True), "muon": Muon}
    classes.pop("optimizer")
    if isinstance(name, str) and name.lower() in classes:
        return classes[name.lower()]
    return choose(name, classes, "optimizer", "a torch optimizer class or a partial of one")
