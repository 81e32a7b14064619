"""All checks of a fitted posterior in one call: a table with verdicts, and a figure."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from sksbi.data import some_pairs
from sksbi.diagnostics.checks import table_of_checks
from sksbi.diagnostics.figure import draw_checks
from sksbi.diagnostics.observed import compare_observed, one_trial_each
from sksbi.diagnostics.results import HeldOutChecks
from sksbi.exceptions import MisspecificationWarning, SamplingWarning
from sksbi.inspection._estimators import sample_many
from sksbi.inspection._style import import_pyplot
from sksbi.tables.draws import check_draws
from sksbi.tables.theta import warn_of_other_theta
from sksbi.utils.containers import as_rows
from sksbi.utils.failures import rows_of, without_failures
from sksbi.utils.random import check_generator, draw_seed
from sksbi.utils.settings import check_flag
from sksbi.utils.types import Array, RandomState, Row, Table
from sksbi.utils.validation import check_count, count_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Diagnosis", "diagnose"]

_MOST_INTEGRALS, _PRIOR_DRAWS = 20, 10_000
_OF_CHECKS = (
    "The checks hold for theta drawn from the prior, or from what fit's theta were drawn from: of "
    "others a posterior that is right looks wrong. Where simulations that failed were left out, in "
    "fit as here, there is nothing to mend."
)
_FEWEST, _MOST = 10, 10_000  # the latter of pairs on the disk


class Diagnosis(NamedTuple):
    """
    What :func:`diagnose` found: ``table, figure = diagnose(...)``.

    Parameters
    ----------
    table : DataFrame
        One row a check and parameter, columns value, p_value and verdict.
    figure : matplotlib Figure or None
        The pictures of the checks, None where none was asked for.

    Examples
    --------
    >>> import pandas as pd
    >>> from sksbi.diagnostics import Diagnosis
    >>> table, figure = Diagnosis(pd.DataFrame(), None)
    """

    table: pd.DataFrame
    figure: Figure | None

    def __str__(self) -> str:
        """Write the whole table, verdicts in full."""
        return self.table.to_string(float_format="{:.3g}".format)


def diagnose(
    estimator: Any,
    theta: Table,
    x: Table,
    x_observed: Row | None = None,
    *,
    iid: bool = False,
    n_samples: int = 1000,
    plot: bool = True,
    random_state: RandomState = 0,
    verbose: int = 0,
) -> Diagnosis:
    """
    Check a fitted posterior on simulations that it was not fitted to.

    Draws once from the posterior of every x, and judges these draws by the coverage of
    highest-density regions, TARP, the rank of every parameter (SBC), its mean's distance from the
    truth (z-score) and the prior's variance that is taken away (contraction). Given the real
    observation, it is tested whether the simulator could have produced that.

    Parameters
    ----------
    estimator : estimator or pipeline
        Fitted, with ``sample`` and ``log_prob``.
    theta : array-like or DataFrame of shape (n, D)
        Parameters from the prior that the estimator was not fitted to. Several hundred show errors
        of width of a third.
    x : array-like, Series or DataFrame of shape (n, ...)
        What was simulated from them, in the form of fit's x; rows that are NaN throughout, failed
        simulations, are left out. Of pairs on the disk, 10,000 are taken at random.
    x_observed : array-like, scalar, Series, dict or DataFrame, default=None
        One observation, or a batch, whose posterior is wanted.
    iid : bool, default=False
        Whether x consists of independent trials of each theta, of shape (n, trials, ...) or a table
        whose last index level is the trial, where fit had one of each: posteriors given so many
        trials are checked.
    n_samples : int, default=1000
        The number of draws for each observation.
    plot : bool, default=True
        Whether to draw the figure, which needs matplotlib.
    random_state : None, int, RandomState or Generator, default=0
        Seeds the draws and the tests.
    verbose : int, default=0
        Whether to show a progress bar.

    Returns
    -------
    Diagnosis
        A pair. ``table`` has the index levels check and of (a parameter, or "all") and the columns
        value, p_value and verdict; the value is the coverage of 90% regions ("coverage"), the
        largest distance of a distribution function from the exact one ("tarp", "ranks"), the mean
        z-score, the median contraction, of a ratio, given one trial, the median distance of the
        logarithm of its integral with the prior from 0 ("normaliser"), and the p-value of
        x_observed ("misspecification").
        ``figure`` shows them. Of a check that cannot be done, as where a parameter is the same in
        all pairs, or x or x_observed hold NaN or categories that the estimator takes, the verdict
        says so, and the value is NaN.

    Raises
    ------
    TypeError
        If the estimator cannot draw, as a search: give its ``best_estimator_``.
    ValueError
        If theta and x do not match, do not look like fit's or are fewer than 10, or x_observed does
        not look like x or holds what the estimator does not take.
    ImportError
        If matplotlib is missing and ``plot`` is true.

    Warns
    -----
    TrainingWarning
        If theta do not follow the prior.

    Notes
    -----
    Ranks, coverage and TARP are averages over x and pass for a posterior that is the prior:
    contraction tells. A parameter's verdict allows for the number of parameters (Bonferroni); at
    every row chance finds a deviation in 5% of exact posteriors or fewer.

    Examples
    --------
    >>> from scipy import stats
    >>> from sksbi import NPE, diagnose, simulate
    >>> prior = {"mean": stats.norm(0, 1), "sd": stats.uniform(0.5, 1.5)}
    >>> def simulator(theta, rng):
    ...     return rng.normal(theta["mean"], theta["sd"], size=10)
    >>> theta, x = simulate(simulator, prior, 900, random_state=0)
    >>> npe = NPE(prior, flow="maf", max_epochs=10, random_state=0).fit(theta[:600], x[:600])
    >>> table, _ = diagnose(npe, theta[600:], x[600:], x[0], plot=False)
    >>> table.loc[("contraction", "mean"), "verdict"]
    "x takes away 8...% of the prior's variance"
    """
    if check_flag(plot, "plot"):
        import_pyplot()
    all_theta, x = some_pairs(theta, x, _MOST)
    theta, x = without_failures(all_theta, x)
    n, n_samples = count_rows(theta, "theta"), check_count(n_samples, "n_samples")
    if n < _FEWEST or n_samples < _FEWEST:
        raise ValueError(
            f"theta must have at least {_FEWEST} rows and n_samples be at least {_FEWEST}, got "
            f"{n} and {n_samples}."
        )
    generator = check_generator(random_state)
    seed = draw_seed(generator)
    options = {"iid": True} if check_flag(iid, "iid") else {}
    observed = None
    if x_observed is not None:
        observed = compare_observed(estimator, x, x_observed, seed, options)
    held_out = sample_many(estimator, theta, x, n_samples, generator, verbose=verbose, **options)
    _warn_of_prior(estimator, all_theta, held_out.names)
    checks = HeldOutChecks(held_out, seed, _prior_draws(estimator, held_out.theta, seed))
    table = table_of_checks(checks, observed, _integrals(estimator, x, seed, options))
    distances = None if isinstance(observed, str) else observed
    return Diagnosis(table, draw_checks(checks, distances) if plot else None)


def _warn_of_prior(estimator: Any, theta: Table, names: list[str]) -> None:
    """Warn of theta, those of simulations that failed included, that do not follow the prior."""
    prior = getattr(_last_step(estimator), "prior_", None)
    values, _ = check_draws(theta, "theta")
    if prior is not None and prior.n_features == values.shape[1]:
        inside = values[prior.contains(values)]
        if len(inside):
            warn_of_other_theta(inside, prior, names, _OF_CHECKS)


def _prior_draws(estimator: Any, theta: Array, seed: int) -> Array | None:
    """Draw from the prior, if the estimator knows one, as theta may be few."""
    prior = getattr(_last_step(estimator), "prior_", None)
    if prior is None or prior.n_features != theta.shape[1]:
        return None
    draws: Array = prior.sample(_PRIOR_DRAWS, seed)
    return draws


def _last_step(estimator: Any) -> Any:
    """Give the last step of a pipeline, or the estimator."""
    return estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator


def _integrals(estimator: Any, x: Table, seed: int, options: dict[str, Any]) -> Array | None:
    """Integrate prior times ratio at some observations, if it is a ratio that was learnt."""
    if getattr(_last_step(estimator), "_estimates", None) != "ratio" or not hasattr(
        estimator, "log_evidence"
    ):
        return None
    if options:  # of trials the integral is not one
        x = one_trial_each(x)
    rows = np.arange(min(_MOST_INTEGRALS, count_rows(x, "x")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamplingWarning)
        warnings.simplefilter("ignore", MisspecificationWarning)
        return np.asarray(estimator.log_evidence(rows_of(as_rows(x, "x"), rows), random_state=seed))
