"""Random states: from what a user passes to generators, and the one lock around the global ones."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone

from sksbi.utils.types import RandomState

__all__ = [
    "seeded_copy",
    "borrowed_global_generator",
    "check_generator",
    "draw_seed",
    "draw_seeds",
    "torch_generator",
]

_RANDOM_STATE = re.compile(r"(^|__)random_state$")
_GLOBAL_GENERATOR_LOCK = threading.RLock()


def check_generator(random_state: RandomState, name: str = "random_state") -> np.random.Generator:
    """
    Turn what a user passes as ``random_state`` into a NumPy Generator.

    Parameters
    ----------
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator
        None takes fresh entropy from the system, never NumPy's global generator. A RandomState is
        asked for one integer, so it advances; a Generator is returned as it is.
    name : str, default="random_state"
        The argument's name, for errors.

    Returns
    -------
    numpy.random.Generator
        The generator.

    Raises
    ------
    ValueError
        If ``random_state`` is none of these, or a negative integer.
    """
    if random_state is None:
        return np.random.default_rng()
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31 - 1))
    if (
        isinstance(random_state, Integral)
        and not isinstance(random_state, bool)
        and random_state >= 0
    ):
        return np.random.default_rng(int(random_state))
    raise ValueError(
        f"{name} must be None, a non-negative int, a numpy.random.RandomState or a "
        f"numpy.random.Generator, got {random_state!r}."
    )


def draw_seed(generator: np.random.Generator) -> int:
    """Draw one integer that seeds another generator."""
    return int(generator.integers(2**31 - 1))


def draw_seeds(estimator: BaseEstimator, generator: np.random.Generator) -> dict[str, int]:
    """
    Draw a seed for every ``random_state`` of an estimator and of its parts, a Pipeline's steps.

    Parameters
    ----------
    estimator : estimator
        What is to be seeded; it is not changed.
    generator : numpy.random.Generator
        Where the seeds come from.

    Returns
    -------
    dict
        For ``estimator.set_params``.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi import NPE
    >>> from sksbi.utils.random import draw_seeds
    >>> list(draw_seeds(NPE(random_state=0), np.random.default_rng(0)))
    ['random_state']
    """
    names = sorted(filter(_RANDOM_STATE.search, estimator.get_params()))
    return {name: draw_seed(generator) for name in names}


def torch_generator(
    generator: np.random.Generator, device: str | torch.device = "cpu"
) -> torch.Generator:
    """Seed a torch Generator from a NumPy one."""
    return torch.Generator(device).manual_seed(draw_seed(generator))


def seeded_copy(part: Any, generator: np.random.Generator) -> Any:
    """
    Copy a transformer or a splitter, and seed what has ``random_state=None`` in it.

    Parameters
    ----------
    part : object
        An estimator, which is cloned, or a splitter, which is copied.
    generator : numpy.random.Generator
        Where the seeds come from.

    Returns
    -------
    object
        The copy.
    """
    if not hasattr(part, "get_params"):
        part = deepcopy(part)
        if getattr(part, "random_state", 0) is None:
            part.random_state = draw_seed(generator)
        return part
    part = clone(part)
    names = [n for n, v in part.get_params().items() if v is None and _RANDOM_STATE.search(n)]
    return part.set_params(**{name: draw_seed(generator) for name in sorted(names)})


@contextmanager
def borrowed_global_generator(seed: int) -> Iterator[None]:
    """
    Seed torch's global generators for a while and give them back as they were.

    For parts that can draw from no other generator (the initialisation of modules, torch's
    distributions). One lock keeps two fits in two threads from disturbing each other.

    Parameters
    ----------
    seed : int
        The seed inside the block.

    Yields
    ------
    None
        While the block runs.
    """
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with _GLOBAL_GENERATOR_LOCK, torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)
        for device in devices:
            torch.cuda.default_generators[device].manual_seed(seed)
        yield
