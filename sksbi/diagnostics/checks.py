"""All checks of one set of held-out draws, and of an observation, as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from sksbi.diagnostics.results import HeldOutChecks
from sksbi.diagnostics.verdicts import (
    contraction_verdict,
    coverage_verdict,
    rank_verdict,
    z_verdict,
)
from sksbi.inspection import MisspecificationDisplay
from sksbi.utils.types import Array

__all__ = ["table_of_checks"]

Row = tuple[str, str, float, float, str]

_ALPHA = 0.05
_LEAST = 0.01


def table_of_checks(
    checks: HeldOutChecks, observed: MisspecificationDisplay | None
) -> pd.DataFrame:
    """
    Judge all checks.

    Parameters
    ----------
    checks : HeldOutChecks
        The numbers of the held-out draws.
    observed : MisspecificationDisplay or None
        The distances of observations.

    Returns
    -------
    DataFrame
        Index: check, of. Columns: value, p_value, verdict.
    """
    rows = [*_coverage(checks), *_tarp(checks), *_ranks(checks), *_shape(checks)]
    rows += _observed(observed) if observed is not None else []
    table = pd.DataFrame(rows, columns=["check", "of", "value", "p_value", "verdict"])
    return table.set_index(["check", "of"])


def _coverage(checks: HeldOutChecks) -> Iterator[Row]:
    """Check highest-density regions: value is the coverage at 90%."""
    levels, coverage, _, _, p_value = checks.coverage
    verdict = coverage_verdict(levels, coverage, len(checks.held_out.theta), p_value, _ALPHA)
    yield "coverage", "all", float(np.interp(0.9, levels, coverage)), p_value, verdict


def _tarp(checks: HeldOutChecks) -> Iterator[Row]:
    """Check balls around random points: value is the largest deviation."""
    curve = checks.tarp
    verdict = "no deviation found" if curve.p_value > _ALPHA else "deviates"
    deviation = float(np.abs(curve.ecdf - curve.levels).max())
    yield "tarp", "all", deviation, curve.p_value, verdict


def _ranks(checks: HeldOutChecks) -> Iterator[Row]:
    """Check every parameter's ranks: value is the largest deviation."""
    names, n_draws = checks.held_out.names, checks.held_out.n_draws
    curves = checks.rank_curves
    deviations = np.abs(curves.ecdf - curves.levels[:, None]).max(axis=0)
    columns = zip(names, checks.ranks.T, deviations, curves.p_value, strict=True)
    for name, ranks, deviation, p_value in columns:
        verdict = rank_verdict(ranks, n_draws, p_value, _ALPHA / len(names))
        yield "ranks", name, float(deviation), float(p_value), verdict


def _shape(checks: HeldOutChecks) -> Iterator[Row]:
    """Check location and width of every parameter's posterior."""
    names = checks.held_out.names
    alpha = _ALPHA / len(names)
    nulls = _means_of_draws(checks.held_out.draws)
    for name, z, null in zip(names, checks.z_score.T, nulls.T, strict=True):
        p_value = _p_value_of_mean(z.mean(), null)
        yield "z_score", name, float(z.mean()), p_value, z_verdict(z, p_value, alpha)
    for name, column in zip(names, checks.contraction.T, strict=True):
        yield "contraction", name, float(np.median(column)), np.nan, contraction_verdict(column)


def _means_of_draws(draws: Array) -> Array:
    """Compute the mean z-score with the k-th draws in theta's place, for every k: (n_draws, D)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (draws.mean(axis=1, keepdims=True) - draws) / draws.std(axis=1, ddof=1, keepdims=True)
    return z.mean(axis=0)


def _p_value_of_mean(mean: float, null: Array) -> float:
    """Rank a mean z-score among those of draws, which theta is one of if the posterior is exact."""
    return float((1 + (np.abs(null) >= abs(mean)).sum()) / (len(null) + 1))


def _observed(observed: MisspecificationDisplay) -> Iterator[Row]:
    """Check whether observations are like the simulations: value is the p-value too."""
    for name, p_value in zip(observed.names, observed.p_values, strict=True):
        of = "x_observed" if len(observed.names) == 1 else f"x_observed {name}"
        typical = p_value > _LEAST
        verdict = "like the simulations" if typical else "unlike the simulations: do not trust it"
        yield "misspecification", of, float(p_value), float(p_value), verdict
