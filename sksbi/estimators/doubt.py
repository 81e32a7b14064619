"""Warnings before an answer is given: of what it may be wrong about, and for which observations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sksbi.exceptions import MisspecificationWarning, SamplingWarning, TrainingWarning
from sksbi.posteriors.base import Doubt, PosteriorAt
from sksbi.preprocessing import Edges, TypicalObservations
from sksbi.samplers import ChainStatistics
from sksbi.tables.layout import Observations
from sksbi.utils.types import Array
from sksbi.utils.warn import warn_user

__all__ = [
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


def warn_of_observations(
    asked: PosteriorAt,
    observations: Observations,
    typical: TypicalObservations,
    edges: Edges | None,
    parameters: Sequence[str],
    names: Sequence[str] | None,
    *,
    trials: bool,
) -> None:
    """
    Warn of observations that are unlike the simulations, or about which a fit contradicts itself.

    Parameters
    ----------
    asked : PosteriorAt
        The posteriors.
    observations : Observations
        The observations.
    typical : TypicalObservations
        The region that x filled in fit.
    edges : Edges or None
        The outermost simulations of fit; None if they are not known.
    parameters : sequence of str
        The names of the parameters.
    names : sequence of str or None
        The columns of x.
    trials : bool
        Whether an observation consists of trials.
    """
    if warn_of_outliers(typical, observations, names, trials=trials):
        return
    doubts = asked.doubts()
    warn_of_doubts(doubts, observations, parameters)
    impossible = any(doubt.category is MisspecificationWarning for doubt in doubts)
    if edges is not None and not impossible:
        _warn_of_edges(edges, observations, names, trials=trials)


def _warn_of_edges(
    edges: Edges, observations: Observations, names: Sequence[str] | None, *, trials: bool
) -> None:
    """Warn of an observation with hardly any simulation beyond it."""
    x = observations.values
    rows = _rows(x, trials)
    found = edges.find(rows)
    if found is None:
        return
    first = found[0] * len(x) // len(rows)
    who = "x" if observations.single else f"observation {observations.index[first]} in x"
    warn_user(
        f"{who} is at the edge of what was simulated: {edges.describe(found, rows, names)}. Little "
        "is known there: means of such posteriors are often off by half a standard deviation, and "
        "at times by more than one. Give more simulations, or a prior under which such x "
        "are less rare.",
        TrainingWarning,
    )


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
