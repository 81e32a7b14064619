"""How to run a simulator: what a user may choose, checked, and the runner that it makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from sksbi.simulation._runner import Runner, takes_rng
from sksbi.utils.code import code_of
from sksbi.utils.settings import check_flag
from sksbi.utils.validation import check_count, check_real

__all__ = ["Options", "draw_entropy"]

_ON_ERROR = ("drop", "raise", "keep")


@dataclass(frozen=True)
class Options:
    """How to run a simulator, checked."""

    vectorized: bool
    chunk_size: int | None
    n_jobs: int | None
    on_error: str
    timeout: float | None
    verbose: int = 0

    def __post_init__(self) -> None:
        check_flag(self.vectorized, "vectorized")
        if self.chunk_size is not None:
            check_count(self.chunk_size, "chunk_size")
        _check_n_jobs(self.n_jobs)
        if self.timeout is not None:
            check_real(self.timeout, "timeout")
        if self.on_error not in _ON_ERROR:
            raise ValueError(f"on_error must be one of {_ON_ERROR}, got {self.on_error!r}.")

    def of(self, simulator: Callable[..., Any]) -> dict[str, Any]:
        """List those that the numbers depend on, and what a simulator's code is known by."""
        return {
            "vectorized": bool(self.vectorized),
            "chunk_size": self.chunk_size if self.vectorized else None,
            "on_error": self.on_error,
            "simulator": _digest(simulator),
        }

    def runner(self, simulator: Callable[..., Any], entropy: list[int]) -> Runner:
        """Make what runs the chunks of a simulator."""
        return Runner(
            simulator=simulator,
            vectorized=bool(self.vectorized),
            takes_rng=takes_rng(simulator),
            on_error=self.on_error,
            entropy=entropy,
            timeout=self.timeout,
        )


def _digest(simulator: Callable[..., Any]) -> str | None:
    """Make a digest of a simulator's code; None if there is none to be had."""
    try:
        return code_of(simulator)
    except Exception:  # of objects that answer to anything
        return None


def draw_entropy(rng: np.random.Generator) -> list[int]:
    """Draw what every row's generator is made from."""
    return rng.integers(2**32, size=4).tolist()


def _check_n_jobs(n_jobs: object) -> None:
    """Check that the number of jobs is None or an integer other than 0."""
    rule = "n_jobs must be None or an int other than 0, such as -1 for all cores"
    if n_jobs is None:
        return
    if not isinstance(n_jobs, Integral) or isinstance(n_jobs, bool):
        raise TypeError(f"{rule}, got {n_jobs!r} of type {type(n_jobs).__name__}.")
    if n_jobs == 0:
        raise ValueError(f"{rule}, got 0.")
