"""Posteriors of which every number is known: of Gaussian means seen through Gaussian noise."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

SD = np.sqrt(0.5)


@dataclass(frozen=True)
class Posteriors:
    """Pairs, and draws from what is to be judged as their posterior."""

    theta: NDArray
    x: NDArray
    draws: NDArray
    log_prob_theta: NDArray
    log_prob_draws: NDArray


@pytest.fixture(scope="session")
def gaussian() -> Callable[..., Posteriors]:
    """Draw theta ~ N(0, 1), x ~ N(theta, 1); the posterior is N(x / 2, 1 / 2), or is made wrong."""

    def make(n, n_draws, d=2, *, width=1.0, shift=0.0, is_prior=False, seed=0):
        """Widen by a factor, shift by standard deviations, or take the prior as posterior."""
        rng = np.random.default_rng(seed)
        theta = rng.normal(size=(n, d))
        x = rng.normal(theta)
        mean, scale = (0 * x, 1.0) if is_prior else (x / 2 + shift * SD, width * SD)
        draws = mean[:, None] + scale * rng.normal(size=(n, n_draws, d))
        q = stats.norm(mean, scale)
        log_prob_draws = stats.norm.logpdf(draws, mean[:, None], scale).sum(axis=2)
        return Posteriors(theta, x, draws, q.logpdf(theta).sum(axis=1), log_prob_draws)

    return make


@pytest.fixture(scope="session")
def as_table() -> Callable[..., pd.DataFrame]:
    """Put draws (n, n_samples, D) in the table that ``sample`` returns for a batch."""

    def make(draws, columns, labels=None):
        n, n_samples, d = draws.shape
        levels = [range(n) if labels is None else labels, range(n_samples)]
        index = pd.MultiIndex.from_product(levels, names=["observation", "draw"])
        return pd.DataFrame(draws.reshape(-1, d), index=index, columns=columns)

    return make
