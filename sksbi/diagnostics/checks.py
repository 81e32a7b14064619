"""All checks of one set of held-out draws, and of an observation, as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from sksbi.diagnostics.results import HeldOutChecks
from sksbi.diagnostics.verdicts import (
    contraction_verdict,
    coverage_verdict,
    normaliser_verdict,
    rank_verdict,
    typical_verdict,
    z_verdict,
)
from sksbi.inspection import MisspecificationDisplay
from sksbi.utils.types import Array

__all__ = ["table_of_checks"]

Row = tuple[str, str, float, float, str]

_ALPHA = 0.05
_CONSTANT = "theta is constant in these pairs"


def table_of_checks(
    checks: HeldOutChecks,
    observed: MisspecificationDisplay | str | None,
    log_z: Array | None = None,
) -> pd.DataFrame:
    """
    Judge all checks; of one that cannot be done the verdict says why.

    Parameters
    ----------
    checks : HeldOutChecks
        The numbers of the held-out draws.
    observed : MisspecificationDisplay, str or None
        The distances of observations, or why they cannot be told.
    log_z : ndarray of shape (k,) or None, default=None
        What prior times ratio integrates to at some observations, as logarithms.

    Returns
    -------
    DataFrame
        Index: check, of. Columns: value, p_value, verdict.
    """
    rows = [*_coverage(checks), *_tarp(checks), *_ranks(checks), *_shape(checks)]
    rows += _normaliser(log_z) if log_z is not None else []
    rows += _observed(observed) if observed is not None else []
    table = pd.DataFrame(rows, columns=["check", "of", "value", "p_value", "verdict"])
    return table.set_index(["check", "of"])


def _not_done(check: str, of: str, reason: str) -> Row:
    """Say why a check is not done."""
    return check, of, np.nan, np.nan, f"not done: {reason}"


def _coverage(checks: HeldOutChecks) -> Iterator[Row]:
    """Check highest-density regions: value is the coverage at 90%."""
    if checks.coverage is None:
        yield _not_done("coverage", "all", "log_prob is NaN or infinite")
        return
    levels, coverage, _, _, p_value = checks.coverage
    verdict = coverage_verdict(levels, coverage, len(checks.held_out.theta), p_value, _ALPHA)
    fixed = [name for name in checks.held_out.names if name not in checks.names]
    if fixed:
        verdict += f"; but {', '.join(fixed)} is constant in these pairs, no draw from the prior"
    yield "coverage", "all", float(np.interp(0.9, levels, coverage)), p_value, verdict


def _tarp(checks: HeldOutChecks) -> Iterator[Row]:
    """Check balls around random points: value is the largest deviation."""
    curve = checks.tarp
    if curve is None:
        yield _not_done("tarp", "all", _CONSTANT)
        return
    verdict = "no deviation found" if curve.p_value > _ALPHA else "deviates"
    deviation = float(np.abs(curve.ecdf - curve.levels).max())
    yield "tarp", "all", deviation, curve.p_value, verdict


def _ranks(checks: HeldOutChecks) -> Iterator[Row]:
    """Check every parameter's ranks: value is the largest deviation."""
    curves, alpha = checks.rank_curves, _ALPHA / max(len(checks.names), 1)
    for name, k in _places(checks):
        if k is None or curves is None:
            yield _not_done("ranks", name, _CONSTANT)
            continue
        deviation = float(np.abs(curves.ecdf[:, k] - curves.levels).max())
        p_value = float(curves.p_value[k])
        verdict = rank_verdict(checks.ranks[:, k], checks.held_out.n_draws, p_value, alpha)
        yield "ranks", name, deviation, p_value, verdict


def _shape(checks: HeldOutChecks) -> Iterator[Row]:
    """Check location and width of every parameter's posterior."""
    alpha, places = _ALPHA / max(len(checks.names), 1), list(_places(checks))
    for j, (name, k) in enumerate(places):
        n_equal = checks.n_equal[j]
        if k is None or n_equal:
            reason = f"all draws are equal for {n_equal} of {len(checks.held_out.theta)} x"
            yield _not_done("z_score", name, _CONSTANT if k is None else reason)
            continue
        z = checks.z_score[:, k]
        p_value = _p_value_of_mean(z.mean(), _means_of_draws(checks.held_out.draws[..., j]))
        yield "z_score", name, float(z.mean()), p_value, z_verdict(z, p_value, alpha)
    for name, k in places:
        if k is None:
            yield _not_done("contraction", name, _CONSTANT)
            continue
        column = checks.contraction[:, k]
        verdict = contraction_verdict(column, checks.n_of_prior)
        yield "contraction", name, float(np.median(column)), np.nan, verdict


def _normaliser(log_z: Array) -> Iterator[Row]:
    """Check what prior times ratio integrates to: value is the median distance from 1, as logs."""
    known = log_z[np.isfinite(log_z)]
    if len(known) == 0:
        yield _not_done("normaliser", "all", "prior times ratio could not be integrated")
        return
    value = float(np.median(np.abs(known)))
    yield "normaliser", "all", value, np.nan, normaliser_verdict(np.exp(known), value)


def _places(checks: HeldOutChecks) -> Iterator[tuple[str, int | None]]:
    """Name the parameters, and give their place among those that vary, None for a constant one."""
    places = np.cumsum(checks.varies) - 1
    for name, place, varies in zip(checks.held_out.names, places, checks.varies, strict=True):
        yield name, int(place) if varies else None


def _means_of_draws(draws: Array) -> Array:
    """Compute the mean z-score with the k-th draws (n, n_draws) in theta's place, for every k."""
    z = (draws.mean(axis=1, keepdims=True) - draws) / draws.std(axis=1, ddof=1, keepdims=True)
    return z.mean(axis=0)


def _p_value_of_mean(mean: float, null: Array) -> float:
    """Rank a mean z-score among those of draws, which theta is one of if the posterior is exact."""
    return float((1 + (np.abs(null) >= abs(mean)).sum()) / (len(null) + 1))


def _observed(observed: MisspecificationDisplay | str) -> Iterator[Row]:
    """Check whether observations are like the simulations: value is the p-value too."""
    if isinstance(observed, str):
        yield _not_done("misspecification", "x_observed", observed)
        return
    for name, p_value in zip(observed.names, observed.p_values, strict=True):
        of = "x_observed" if len(observed.names) == 1 else f"x_observed {name}"
        verdict = typical_verdict(p_value, len(observed.distances))
        yield "misspecification", of, float(p_value), float(p_value), verdict
