"""Warnings before an answer is given: of what it may be wrong about, and for which observations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from sksbi.exceptions import MisspecificationWarning, SamplingWarning, TrainingWarning
from sksbi.posteriors.base import Doubt, PosteriorAt
from sksbi.preprocessing import Edges, Regularity, TypicalObservations
from sksbi.samplers import ChainStatistics
from sksbi.tables.layout import Observations
from sksbi.utils.types import Array
from sksbi.utils.warn import warn_user

__all__ = [
    "look_at_edges",
    "warn_of_doubts",
    "warn_of_evidence",
    "warn_of_observations",
    "warn_of_outliers",
    "warn_of_sampling",
]

_FEWEST_TO_JUDGE = 8
_MOST_R_HAT, _LEAST_ESS = 1.3, 0.1
_MOST_NAMED = 10


def warn_of_outliers(
    typical: TypicalObservations,
    observations: Observations,
    names: Sequence[str] | None,
    *,
    trials: bool,
) -> bool:
    """
    Warn of observations that are far from all that were simulated.

    Parameters
    ----------
    typical : TypicalObservations
        The region that x filled in fit.
    observations : Observations
        The observations.
    names : sequence of str or None
        The columns of x.
    trials : bool
        Whether an observation consists of trials.

    Returns
    -------
    bool
        Whether a warning was given.
    """
    x = observations.values
    rows = _rows(x, trials)
    far = typical.are_far(rows)
    if not far.any():
        return False
    row = int(np.argmax(far))
    first = row * len(x) // len(rows)
    n_far = np.count_nonzero(far.reshape(len(x), -1).any(axis=1))
    what = typical.describe(rows[row : row + 1], names)
    single = observations.single
    who = "x is" if single else f"{n_far} of {len(x)} observations in x are"
    where = "" if single else f"in observation {observations.index[first]} "
    warn_user(
        f"{who} far from everything that was simulated: {where}{what}. The posterior there is an "
        "extrapolation and may mean nothing.",
        MisspecificationWarning,
    )
    return True


class Seen(NamedTuple):
    """What simulations looked like: their region, edges and regularity, and the names of x."""

    typical: TypicalObservations
    edges: Edges | None
    regularity: Regularity | None
    names: Sequence[str] | None


def look_at_edges(estimator: Any, x: Array, *, goes_on: bool, whole: bool) -> None:
    """
    Learn what is rare among simulations.

    Parameters
    ----------
    estimator : estimator
        Gets ``_edges`` and ``_regularity``.
    x : ndarray of shape (n, ...)
        The simulations.
    goes_on : bool
        Whether those of earlier fits count, too.
    whole : bool
        Whether these are all; of a part nobody knows how many are beyond.
    """
    if goes_on and whole:
        estimator._edges = estimator._edges and estimator._edges.joined(Edges(x))
        estimator._regularity = estimator._regularity and estimator._regularity.stretched(x)
    else:
        estimator._edges = Edges(x) if whole else None
        estimator._regularity = Regularity(x) if whole and Regularity.takes(x) else None


def warn_of_observations(
    seen: Seen,
    asked: PosteriorAt,
    observations: Observations,
    parameters: Sequence[str],
    *,
    trials: bool,
) -> None:
    """
    Warn of observations that are unlike the simulations, or about which a fit contradicts itself.

    Parameters
    ----------
    seen : Seen
        What is known of the simulations.
    asked : PosteriorAt
        The posteriors.
    observations : Observations
        The observations.
    parameters : sequence of str
        The names of the parameters.
    trials : bool
        Whether an observation consists of trials.
    """
    if warn_of_outliers(seen.typical, observations, seen.names, trials=trials):
        return
    x = _rows(observations.values, trials)
    irregular = np.zeros(len(x), bool) if seen.regularity is None else seen.regularity.are_far(x)
    if seen.regularity is not None and irregular.any():
        row = int(np.argmax(irregular))
        warn_user(
            f"{_who(observations, row, len(x))} is unlike everything that was simulated, though no "
            f"single column is: {seen.regularity.describe(x[row : row + 1])}. If a sensor is "
            "stuck, or data are smoothed, the simulator should do so, too. The posterior there is "
            "an extrapolation and may mean nothing.",
            MisspecificationWarning,
        )
        return
    doubts = asked.doubts()
    warn_of_doubts(doubts, observations, parameters)
    if all(doubt.category is not MisspecificationWarning for doubt in doubts):
        _warn_of_edges(seen, observations, x)


def _warn_of_edges(seen: Seen, observations: Observations, x: Array) -> None:
    """Warn of an observation with hardly any simulation beyond it."""
    found = None if seen.edges is None else seen.edges.find(x)
    row = None if seen.regularity is None else seen.regularity.at_the_edge(x)
    if seen.edges is not None and found is not None:
        row, where = found[0], seen.edges.describe(found, x, seen.names)
    elif seen.regularity is not None and row is not None:
        where = seen.regularity.describe(x[row : row + 1])
    else:
        return
    warn_user(
        f"{_who(observations, row, len(x))} is at the edge of what was simulated: {where}. Little "
        "is known there: means of such posteriors are often off by half a standard deviation, and "
        "at times by more than one. Give more simulations, or a prior under which such x are less "
        "rare.",
        TrainingWarning,
    )


def _who(observations: Observations, row: int, n_rows: int) -> str:
    """Name the observation that a row is of."""
    first = row * len(observations.values) // n_rows
    return "x" if observations.single else f"observation {observations.index[first]} in x"


def warn_of_doubts(
    doubts: Sequence[Doubt], observations: Observations, parameters: Sequence[str]
) -> None:
    """
    Warn of observations about which a fit contradicts itself.

    Parameters
    ----------
    doubts : sequence of Doubt
        The reasons.
    observations : Observations
        The observations.
    parameters : sequence of str
        The names of the parameters.
    """
    for doubt in doubts:
        who = "x"
        if not observations.single:
            first = observations.index[doubt.rows[0]]
            of = "" if doubt.n_seen == len(observations.values) else " looked at"
            who = f"{len(doubt.rows)} of {doubt.n_seen} observations{of}, first {first},"
        name = parameters[doubt.parameter]
        warn_user(doubt.text.format(who=who, parameter=name), doubt.category)


def warn_of_sampling(
    statistics: ChainStatistics | None, n_samples: int, observations: Observations
) -> None:
    """
    Warn of observations whose chains disagree or are worth little.

    Parameters
    ----------
    statistics : ChainStatistics or None
        What a sampler told of the draws, if they come from one.
    n_samples : int
        The number of draws for each observation.
    observations : Observations
        The observations.
    """
    if statistics is None:
        return
    r_hat = np.max(np.nan_to_num(statistics.r_hat, nan=1.0), axis=1)
    unknown = 0.0 if n_samples >= _FEWEST_TO_JUDGE else np.inf
    ess = np.min(np.nan_to_num(statistics.ess, nan=unknown), axis=1)
    bad = (r_hat > _MOST_R_HAT) | (ess < _LEAST_ESS * n_samples)
    if bad.any():
        names = "" if observations.single else f" {list(observations.index[bad][:_MOST_NAMED])}"
        agreement = f"R-hat is up to {r_hat.max():.2f} (at most {_MOST_R_HAT} is good), "
        agreement = "" if np.isnan(statistics.r_hat).all() else agreement
        warn_user(
            f"the draws are not to be trusted for {np.count_nonzero(bad)} of {len(bad)} "
            f"observations{names}: {agreement}the effective sample size is down to "
            f"{ess.min():.0f}. See sample(..., return_report=True); {statistics.advice}.",
            SamplingWarning,
        )


def warn_of_evidence(log_z: Array, effective: Array, observations: Observations) -> None:
    """
    Warn of observations whose evidence could not be told.

    Parameters
    ----------
    log_z : ndarray of shape (m,)
        The logarithms; NaN where they could not.
    effective : ndarray of shape (m,)
        How many independent points they rest on.
    observations : Observations
        Theirs.
    """
    unknown = np.flatnonzero(np.isnan(log_z))
    if len(unknown) == 0:
        return
    first = unknown[0]
    where = "" if observations.single else f" of observation {observations.index[first]}"
    others = f", and of {len(unknown) - 1} others" if len(unknown) > 1 else ""
    warn_user(
        f"the evidence{where}{others} could not be told: its points are worth "
        f"{effective[first]:.0f} independent ones, and 200 are needed, so it is NaN. "
        "sampler='nested' looks everywhere.",
        SamplingWarning,
    )


def _rows(x: Array, trials: bool) -> Array:
    """Put the trials of all observations below each other."""
    return x.reshape(-1, *x.shape[2:]) if trials else x
