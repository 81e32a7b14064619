"""From observations to the contexts that a network has made of them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sksbi.nn.embedded import Embedded
from sksbi.preprocessing import ObservationSpace
from sksbi.utils.batches import EVALUATION_BATCH, batches
from sksbi.utils.devices import device_of

__all__ = ["encode"]


def encode(module: Embedded, x_space: ObservationSpace, x: NDArray[np.float64]) -> Tensor:
    """
    Scale and embed observations, batch by batch.

    Parameters
    ----------
    module : Embedded
        What embeds.
    x_space : ObservationSpace
        The map from x to what the module sees.
    x : ndarray of shape (m, ...)
        The observations.

    Returns
    -------
    Tensor of shape (m, C)
        The contexts, on the module's device.
    """
    module, device = module.eval(), device_of(module)
    with torch.no_grad():
        parts = [
            module.embed(torch.from_numpy(x_space.transform(x[part])).to(device))
            for part in batches(len(x), EVALUATION_BATCH)
        ]
    return torch.cat(parts)
