"""
Draws for all checks at once: many posteriors at held-out pairs, drawn together and shared.

Ranks, coverage, TARP, contraction and scores all begin with draws at x whose theta is known. They
are drawn here once, in batches, together with their log-densities.
"""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from sksbi.tables.draws import as_float, check_draws
from sksbi.utils.batches import batches
from sksbi.utils.random import check_generator
from sksbi.utils.types import Array, Draws, RandomState, Table
from sksbi.utils.validation import check_count, check_memory

__all__ = ["HeldOutDraws", "draw_held_out"]

_DRAWS_PER_BATCH = 100_000


@dataclass(frozen=True, eq=False)
class HeldOutDraws:
    """
    Draws from the posteriors of n observations whose parameters are known.

    Parameters
    ----------
    theta : ndarray of shape (n, D)
        The parameters that the observations were simulated from.
    draws : ndarray of shape (n, n_samples, D)
        The draws.
    log_prob_theta : ndarray of shape (n,)
        The log-densities of theta.
    log_prob_draws : ndarray of shape (n, n_samples)
        The log-densities of the draws.
    names : list of str
        The parameters' names.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.metrics import HeldOutDraws, hpd_ranks, sbc_ranks
    >>> rng = np.random.default_rng(0)
    >>> theta, draws = rng.normal(size=(5, 1)), rng.normal(size=(5, 9, 1))
    >>> held_out = HeldOutDraws(
    ...     theta, draws, -(theta[:, 0] ** 2), -(draws[..., 0] ** 2), ["mean"]
    ... )
    >>> held_out.n_draws, sbc_ranks(held_out.draws, held_out.theta).shape
    (9, (5, 1))
    """

    theta: Array
    draws: Array
    log_prob_theta: Array
    log_prob_draws: Array
    names: list[str]

    @property
    def n_draws(self) -> int:
        """The number of draws for each observation."""
        return self.draws.shape[1]


def draw_held_out(
    estimator: Any,
    theta: Table,
    x: Table,
    n_samples: int = 1000,
    *,
    random_state: RandomState = 0,
    verbose: int = 0,
) -> HeldOutDraws:
    """
    Draw from the posteriors at held-out pairs.

    Parameters
    ----------
    estimator : estimator or pipeline
        Fitted, with ``sample`` and ``log_prob``.
    theta : array-like or DataFrame of shape (n, D)
        Parameters from the prior that the estimator was not fitted to.
    x : array-like, Series or DataFrame of shape (n, ...)
        What was simulated from them, in the form of fit's x.
    n_samples : int, default=1000
        The number of draws for each observation.
    random_state : None, int, RandomState or Generator, default=0
        Seeds the draws; None takes fresh entropy.
    verbose : int, default=0
        Whether to show a progress bar.

    Returns
    -------
    HeldOutDraws
        The draws and the log-densities.

    Raises
    ------
    TypeError
        If the estimator has no ``sample`` or no ``log_prob``.
    ValueError
        If theta and x do not match, or do not look like fit's.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi import NPE
    >>> from sksbi.metrics import draw_held_out
    >>> rng = np.random.default_rng(0)
    >>> theta = rng.normal(size=(300, 1))
    >>> x = theta + rng.normal(size=(300, 2))
    >>> npe = NPE(max_epochs=2, random_state=0).fit(theta[:200], x[:200])
    >>> draw_held_out(npe, theta[200:], x[200:], 50).draws.shape
    (100, 50, 1)
    """
    _check_estimator(estimator)
    n_samples = check_count(n_samples, "n_samples")
    values, names = check_draws(theta, "theta")
    if not isinstance(x, Sized) or isinstance(x, dict) or len(values) != len(x):
        got = len(x) if isinstance(x, Sized) else repr(x)
        raise ValueError(
            f"x must be a batch of as many observations as theta has rows, {len(values)}, got "
            f"{'a dict of ' if isinstance(x, dict) else ''}{got}."
        )
    check_memory(n_samples, "n_samples", n_samples * values.size)
    generator = check_generator(random_state)
    draws, log_prob_theta, log_prob_draws = [], [], []
    bar = tqdm(total=len(values), desc="Posteriors", unit="observation", disable=not verbose)
    with bar:
        for part in batches(len(values), _DRAWS_PER_BATCH // n_samples):
            some, own = _rows(x, part), _rows(theta, part)
            if hasattr(estimator, "_draw_at_pairs"):
                drawn, dense, log_p, columns = estimator._draw_at_pairs(
                    own, some, n_samples, generator
                )
                names = names or columns and [str(name) for name in columns]
                draws.append(drawn)
                log_prob_draws.append(dense)
            else:
                drawn = estimator.sample(some, n_samples, random_state=generator)
                names = names or _columns(drawn)
                draws.append(_stack(drawn, (len(values[part]), n_samples, values.shape[1])))
                log_prob_draws.append(estimator.log_prob(draws[-1], some))
                log_p = estimator.log_prob(own, some)
            log_prob_theta.append(log_p)
            bar.update(len(log_p))
    return HeldOutDraws(
        values,
        np.concatenate(draws),
        np.concatenate(log_prob_theta),
        np.concatenate(log_prob_draws),
        names or [f"theta_{j}" for j in range(values.shape[1])],
    )


def _check_estimator(estimator: Any) -> None:
    """Check that one can draw from it and evaluate it."""
    lacks = [name for name in ("sample", "log_prob") if not hasattr(estimator, name)]
    if lacks or isinstance(estimator, type | pd.DataFrame | pd.Series):
        is_class = isinstance(estimator, type)
        got = f"the class {estimator.__name__}" if is_class else type(estimator).__name__
        raise TypeError(
            "estimator must be fitted and have sample and log_prob, such as NPE, got "
            f"{got}; of a search give best_estimator_, of a PosteriorRegressor estimator_."
        )


def _stack(drawn: Draws, shape: tuple[int, int, int]) -> Array:
    """Hold that as many draws came as observations were meant."""
    values = as_float(drawn, "draws")
    if values.size != np.prod(shape):
        raise ValueError(
            f"x must be a batch of {shape[0]} observations, but the draws of the estimator have "
            f"shape {values.shape}: is it one observation?"
        )
    return values.reshape(shape)


def _rows(table: Any, part: slice) -> Any:
    """Take rows of an array, a list or a table."""
    return table.iloc[part] if hasattr(table, "iloc") else table[part]


def _columns(drawn: Draws) -> list[str] | None:
    """Name the columns of a table of draws."""
    return [str(name) for name in drawn.columns] if isinstance(drawn, pd.DataFrame) else None
