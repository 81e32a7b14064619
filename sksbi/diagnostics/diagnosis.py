"""All checks of a fitted posterior in one call: a table with verdicts, and a figure."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from sksbi.data import some_pairs
from sksbi.diagnostics.checks import table_of_checks
from sksbi.diagnostics.figure import draw_checks
from sksbi.diagnostics.results import HeldOutChecks
from sksbi.exceptions import MisspecificationWarning, SamplingWarning
from sksbi.inspection import MisspecificationDisplay
from sksbi.inspection._estimators import sample_many
from sksbi.inspection._style import import_pyplot
from sksbi.utils.containers import as_rows
from sksbi.utils.failures import rows_of, without_failures
from sksbi.utils.random import check_generator, draw_seed
from sksbi.utils.settings import check_flag
from sksbi.utils.types import Array, RandomState, Row, Table
from sksbi.utils.validation import check_count, count_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Diagnosis", "diagnose"]

_MOST_INTEGRALS = 20
_FEWEST, _MOST = 10, 10_000  # the latter of pairs on the disk
_N_NEIGHBORS = 10
_REFUSED = "x_observed must be finite, got one that {}, which the estimator does not take"


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


def diagnose(
    estimator: Any,
    theta: Table,
    x: Table,
    x_observed: Row | None = None,
    *,
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
        z-score, the median contraction, of a ratio the median distance of the logarithm of its
        integral with the prior from 0 ("normaliser"), and the p-value of x_observed
        ("misspecification").
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
    theta, x = without_failures(*some_pairs(theta, x, _MOST))
    n, n_samples = count_rows(theta, "theta"), check_count(n_samples, "n_samples")
    if n < _FEWEST or n_samples < _FEWEST:
        raise ValueError(
            f"theta must have at least {_FEWEST} rows and n_samples be at least {_FEWEST}, got "
            f"{n} and {n_samples}."
        )
    generator = check_generator(random_state)
    seed = draw_seed(generator)
    observed = None if x_observed is None else _compare(estimator, x, x_observed, seed)
    held_out = sample_many(estimator, theta, x, n_samples, generator, verbose)
    checks = HeldOutChecks(held_out, seed)
    table = table_of_checks(checks, observed, _integrals(estimator, x, seed))
    distances = None if isinstance(observed, str) else observed
    return Diagnosis(table, draw_checks(checks, distances) if plot else None)


def _integrals(estimator: Any, x: Table, seed: int) -> Array | None:
    """Integrate prior times ratio at some observations, if it is a ratio that was learnt."""
    last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    if getattr(last, "_estimates", None) != "ratio" or not hasattr(estimator, "log_evidence"):
        return None
    rows = np.arange(min(_MOST_INTEGRALS, count_rows(x, "x")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamplingWarning)
        warnings.simplefilter("ignore", MisspecificationWarning)
        return np.asarray(estimator.log_evidence(rows_of(as_rows(x, "x"), rows), random_state=seed))


def _compare(estimator: Any, x: Table, x_observed: Row, seed: int) -> MisspecificationDisplay | str:
    """Compute how far the observation is from the simulations, or say why that is not possible."""
    flaw, flaw_of_x = _flaw(x_observed), _flaw(x)
    if flaw is None and flaw_of_x is None and count_rows(x, "x") >= 2 * _N_NEIGHBORS:
        return MisspecificationDisplay._measure(x, x_observed, _N_NEIGHBORS, seed)
    try:
        draws = estimator.sample(x_observed, 1, random_state=seed)
        taken = bool(np.isfinite(np.asarray(draws, dtype=np.float64)).all())
    except (TypeError, ValueError) as error:
        if flaw is None:
            raise
        raise ValueError(f"{_REFUSED.format(flaw)}: {error}") from error
    if not taken:
        raise ValueError(f"{_REFUSED.format(flaw or flaw_of_x)}: its draws are not finite.")
    if flaw or flaw_of_x:
        return f"x_observed {flaw}" if flaw else f"x {flaw_of_x}"
    return f"x has fewer than {2 * _N_NEIGHBORS} rows"


def _flaw(x: Table | Row) -> str | None:
    """Say what keeps x from being finite numbers."""
    try:
        values = np.asarray(list(x.values()) if isinstance(x, Mapping) else x)
    except ValueError:
        return "holds what is no number"
    if values.dtype.kind in "cmM":
        return "holds what is no number"
    if values.dtype.kind in "biuf":
        missing, infinite = np.isnan(values), np.isinf(values)
    else:
        missing, infinite = pd.isna(values), np.array(False)
    if missing.any():
        return "holds NaN"
    if infinite.any():
        return "holds infinity"
    try:
        values.astype(np.float64)
    except (TypeError, ValueError):
        return "holds what is no number"
    return None
