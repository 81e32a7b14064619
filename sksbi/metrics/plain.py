"""Estimators of other libraries: a batch of observations, asked by ``sample`` and ``log_prob``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sksbi.utils.types import Array, Draws, Table
from sksbi.utils.validation import count_rows

__all__ = ["PlainBatch"]


class PlainBatch:
    """The batch of an estimator that has sample and log_prob, and is not ours."""

    columns = density = None

    def __init__(
        self, estimator: Any, x: Any, shape: tuple[int, int], options: dict[str, Any]
    ) -> None:
        self.estimator, self.x, self.shape, self.options = estimator, x, shape, options

    def draw(self, part: slice, n: int, generator: np.random.Generator) -> PlainBatch:
        """Draw for some of the observations."""
        x = _rows(self.x, part)
        drawn = self.estimator.sample(x, n, random_state=generator, **self.options)
        if isinstance(drawn, pd.DataFrame):
            self.columns = list(drawn.columns)
        self.theta = _stack(drawn, (part.stop - part.start, *self.shape))
        return self

    def log_prob_at(self, theta: Array, part: slice) -> Array:
        """Compute log-densities at many points, for some of the observations."""
        return np.asarray(self.estimator.log_prob(theta, _rows(self.x, part), **self.options))

    def log_prob(self, theta: Table) -> Array:
        """Compute the log-density of one theta for each observation."""
        return np.asarray(self.estimator.log_prob(theta, self.x, **self.options))

    def log_evidence(self, generator: np.random.Generator) -> Array:
        """Take it that log-densities are normalised."""
        return np.zeros(count_rows(self.x, "x"))

    def warn(self) -> None:
        """Do nothing: the estimator has warned."""


def _stack(drawn: Draws, shape: tuple[int, int, int]) -> Array:
    """Hold that as many draws came as observations were meant."""
    values = np.asarray(drawn)
    if values.size != np.prod(shape):
        raise ValueError(
            f"x must be a batch of {shape[0]} observations, but the draws of the estimator have "
            f"shape {values.shape}: is it one observation?"
        )
    return values.reshape(shape)


def _rows(table: Any, part: slice) -> Any:
    """Take rows of an array, a list or a table."""
    return table.iloc[part] if hasattr(table, "iloc") else table[part]
