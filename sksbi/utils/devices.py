"""Devices: from what a user passes to one that is there."""

from __future__ import annotations

import torch

__all__ = ["check_device", "device_of", "device_or_cpu"]


def check_device(device: str | torch.device) -> str:
    """
    Turn ``device`` into a torch device that is there.

    Parameters
    ----------
    device : str or torch.device
        "auto" takes a CUDA GPU if there is one, the CPU otherwise.

    Returns
    -------
    str
        The device.

    Raises
    ------
    ValueError
        If there is no such device.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=torch.device(device)).item()
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(
            'device must be "auto", "cpu" or a torch device that this machine has, got '
            f"{device!r}: {str(error).splitlines()[0]}"
        ) from error
    return str(device)


def device_or_cpu(device: str | torch.device) -> str:
    """
    Take a device if it is there and the CPU otherwise.

    Parameters
    ----------
    device : str or torch.device
        As in ``check_device``.

    Returns
    -------
    str
        The device.
    """
    try:
        return check_device(device)
    except ValueError:
        return "cpu"


def device_of(module: torch.nn.Module) -> torch.device:
    """
    Tell where a module is.

    Parameters
    ----------
    module : torch.nn.Module
        A module.

    Returns
    -------
    torch.device
        The device of its first parameter; the CPU if it has none.
    """
    first = next(module.parameters(), None)
    return torch.device("cpu") if first is None else first.device
