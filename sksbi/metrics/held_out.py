"""
Draws for all checks at once: many posteriors at held-out pairs, drawn together and shared.

Ranks, coverage, TARP, contraction and scores all begin with draws at x whose theta is known. They
are drawn once, in batches, and each thing is computed when it is first asked for: ranks need draws
alone, the mean log-density no draws, and coverage all.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from sksbi.metrics.plain import PlainBatch
from sksbi.tables.draws import check_draws
from sksbi.tables.names import trials_of_table
from sksbi.utils.batches import batches
from sksbi.utils.containers import plain
from sksbi.utils.failures import are_failed, rows_of, without_failures
from sksbi.utils.random import check_generator
from sksbi.utils.settings import check_flag
from sksbi.utils.types import Array, Mask, RandomState, Table
from sksbi.utils.validation import check_count, check_memory, count_rows

__all__ = ["Drawing", "HeldOutDraws", "draw_held_out"]

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
    iid: bool = False,
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
        What was simulated from them, in the form of fit's x; rows that are NaN throughout, failed
        simulations, are left out.
    n_samples : int, default=1000
        The number of draws for each observation.
    iid : bool, default=False
        Whether x consists of independent trials of each theta, of shape (n, trials, ...) or a table
        whose last index level is the trial, where fit had one of each.
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
    options: dict[str, Any] = {"random_state": random_state, "verbose": verbose}
    drawing = Drawing(estimator, theta, x, n_samples, iid=iid, **options)
    drawing.draw(densities=True)
    return HeldOutDraws(
        drawing.theta,
        drawing.draws,
        drawing.log_prob_theta,
        drawing.log_prob_draws,
        drawing.names,
    )


class Drawing:
    """
    Draws from the posteriors at held-out pairs, and log-densities of theta and of the draws.

    It holds the estimator weakly, so it can be kept without keeping that alive.

    Parameters
    ----------
    estimator : estimator or pipeline
        Fitted, with ``sample`` and ``log_prob``.
    theta : array-like or DataFrame of shape (n, D)
        The parameters.
    x : array-like, Series or DataFrame of shape (n, ...)
        What was simulated from them.
    n_samples : int
        The number of draws for each observation.
    iid : bool, default=False
        Whether x consists of independent trials of each theta, where fit had one of each.
    random_state : None, int, RandomState or Generator, default=0
        Seeds the draws.
    verbose : int, default=0
        Whether to show a progress bar.
    """

    def __init__(
        self,
        estimator: Any,
        theta: Table,
        x: Table,
        n_samples: int,
        *,
        iid: bool = False,
        random_state: RandomState = 0,
        verbose: int = 0,
    ) -> None:
        _check_estimator(estimator)
        self.n_draws = check_count(n_samples, "n_samples")
        self._options = {"iid": True} if check_flag(iid, "iid") else {}
        trials = bool(self._options) or getattr(estimator, "_has_trials", False)
        theta, x, n_observations = _succeeded(theta, x, trials)
        self.theta, names = check_draws(theta, "theta")
        if len(self.theta) != n_observations:
            raise ValueError(
                f"x must be a batch of as many observations as theta has rows, {len(self.theta)}, "
                f"got {n_observations}."
            )
        check_memory(self.n_draws, "n_samples", self.n_draws * self.theta.size)
        self._estimator = _weakly(estimator)
        self._table, self._x, self._names = theta, x, names
        self._generator, self._verbose = check_generator(random_state), verbose
        self._parts = batches(len(self.theta), _DRAWS_PER_BATCH // self.n_draws)

    @property
    def has_drawn(self) -> bool:
        """Whether there are draws, which took their time."""
        return "_draws" in vars(self)

    @property
    def names(self) -> list[str]:
        """The parameters' names, as theta has them, or the draws."""
        return self._names or [f"theta_{j}" for j in range(self.theta.shape[1])]

    @cached_property
    def log_prob_theta(self) -> Array:
        """The log-densities of theta, of shape (n,)."""
        return np.asarray(self.ask(warns=False).log_prob(self._table))

    @cached_property
    def log_density_theta(self) -> Array:
        """
        The same, normalised for each observation, so that families can be compared.

        NaN where prior times ratio could not be integrated; -inf stays -inf.
        """
        log_p = self.log_prob_theta
        # A stream of its own, so that draws are the same before and after.
        log_z = self.ask(warns=False).log_evidence(self._generator.spawn(1)[0])
        return np.where(np.isneginf(log_p), log_p, log_p - log_z)

    @property
    def draws(self) -> Array:
        """The draws, of shape (n, n_samples, D)."""
        self.draw(densities=False)
        return self._draws

    @cached_property
    def log_prob_draws(self) -> Array:
        """The log-densities of the draws, of shape (n, n_samples)."""
        self.draw(densities=True)
        asked = self.ask(warns=False) if None in self._densities else None
        return np.concatenate(
            [
                _densities(asked, density, self._draws[part], part)
                for density, part in zip(self._densities, self._parts, strict=True)
            ]
        )

    def draw(self, *, densities: bool) -> None:
        """
        Draw, unless that was done.

        Parameters
        ----------
        densities : bool
            Whether log-densities of the draws are wanted, too: they then come part by part, and
            nothing has to be kept for later.
        """
        if self.has_drawn:
            return
        asked, (n, d), m = self.ask(), self.theta.shape, self.n_draws
        draws, found, later = np.empty((n, m, d)), [], []
        bar = tqdm(total=n, desc="Posteriors", unit="observation", disable=not self._verbose)
        with bar:
            for part in self._parts:
                some = asked.draw(part, m, self._generator)
                if some.theta.shape[-1] != d:
                    raise ValueError(
                        f"theta must have {some.theta.shape[-1]} columns, as in fit, got {d}."
                    )
                draws[part] = some.theta
                if densities:
                    found.append(_densities(asked, some.density, some.theta, part))
                else:
                    later.append(some.density)
                bar.update(part.stop - part.start)
        asked.warn()
        self._names = self._names or asked.columns and [str(name) for name in asked.columns]
        self._draws, self._densities = draws, later
        if densities:
            # Asked now, what is odd about x is told once.
            vars(self).setdefault("log_prob_theta", np.asarray(asked.log_prob(self._table)))
            self.log_prob_draws = np.concatenate(found)

    def ask(self, *, warns: bool = True) -> Any:
        """
        Fix the observations, to ask the estimator about them.

        Parameters
        ----------
        warns : bool, default=True
            Whether to warn of what is odd about x.

        Returns
        -------
        AskedBatch or PlainBatch
            What can be asked about some of them at a time.
        """
        estimator, shape = self._estimator(), (self.n_draws, self.theta.shape[1])
        if not hasattr(estimator, "_ask_batch"):
            return PlainBatch(estimator, self._x, shape, self._options)
        asked = estimator._ask_batch(self._x, warns=warns, **self._options)
        if asked.single:
            raise ValueError(
                f"x must be a batch of {len(self.theta)} observations, but the draws of the "
                f"estimator have shape {shape}: is it one observation?{self._of_trials()}"
            )
        return asked

    def _of_trials(self) -> str:
        """Say what a batch of trials is, if x is to be one."""
        if not self._options:
            return ""
        return (
            " With iid=True a batch has shape (n, trials, ...), or is a table whose last index "
            "level is the trial."
        )


def _densities(
    asked: Any, density: Callable[[Array], Array] | None, theta: Array, part: slice
) -> Array:
    """Compute log-densities of draws, in the way that costs less if there is one."""
    return asked.log_prob_at(theta, part) if density is None else density(theta)


def _succeeded(theta: Any, x: Any, trials: bool) -> tuple[Any, Any, int]:
    """Leave failed simulations out, and count the others; a table of trials has many rows each."""
    table = plain(x, "x") if trials else None
    if not isinstance(table, pd.DataFrame | pd.Series) or table.index.nlevels == 1:
        theta, x = without_failures(theta, x)
        return theta, x, count_rows(x, "x")
    index, n_trials = trials_of_table(table)
    failed: Mask = np.logical_and.reduce(are_failed(table).reshape(len(index), -1), axis=1)
    if failed.any() and len(failed) == count_rows(theta, "theta"):
        theta, table = rows_of(theta, ~failed), table[~failed.repeat(n_trials)]
        return theta, table, int(np.count_nonzero(~failed))
    return theta, table, len(index)


def _weakly(estimator: Any) -> Callable[[], Any]:
    """Refer to an estimator without keeping it alive, where that can be done."""
    try:
        return weakref.ref(estimator)
    except TypeError:
        return lambda: estimator


def _check_estimator(estimator: Any) -> None:
    """Check that one can draw from it and evaluate it."""
    lacks = [name for name in ("sample", "log_prob") if not hasattr(estimator, name)]
    if lacks or isinstance(estimator, type | pd.DataFrame | pd.Series):
        is_class = isinstance(estimator, type)
        got = f"the class {estimator.__name__}" if is_class else type(estimator).__name__
        if hasattr(estimator, "log_bayes_factors"):
            raise TypeError(
                "estimator must have sample and log_prob, got a comparison of models, "
                f"{type(estimator).__name__}: sksbi.diagnostics.diagnose_models checks that."
            )
        raise TypeError(
            "estimator must be fitted and have sample and log_prob, such as NPE, got "
            f"{got}; of a search give best_estimator_, of a PosteriorRegressor estimator_."
        )
