"""What a prior is known by in another process: its names, and its density at some places."""

from __future__ import annotations

from typing import Any

from sksbi.priors.base import Prior
from sksbi.utils.types import Array

__all__ = ["trace"]


def trace(prior: Prior, theta: Array) -> dict[str, Any]:
    """
    Write down what tells a prior from others, as JSON has it.

    Objects may hold anything, and their text may be an address in memory.

    Parameters
    ----------
    prior : Prior
        The prior.
    theta : ndarray of shape (n, D)
        Where its density is looked at, such as a few draws by a fixed seed.

    Returns
    -------
    dict
        Its names, these places, and the log-density there.
    """
    names = None if prior.names is None else list(map(str, prior.names))
    log_p = prior.log_prob(theta)
    return {"names": names, "theta": theta.tolist(), "log_prob": log_p.tolist()}
