"""All checks of one set of held-out draws, as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sksbi.diagnostics.verdicts import (
    contraction_verdict,
    coverage_verdict,
    rank_verdict,
    z_verdict,
)
from sksbi.metrics import (
    HeldOutDraws,
    hpd_ranks,
    misspecification_test,
    posterior_contraction,
    posterior_z_score,
    rank_ecdf,
    sbc_ranks,
    tarp_ranks,
    uniformity_test,
)

__all__ = ["check_observed", "table_of_checks"]

Row = tuple[str, str, float, float, str]

_ALPHA = 0.05
_LEAST = 0.01


def table_of_checks(held_out: HeldOutDraws, observed: list[Row], seed: int) -> pd.DataFrame:
    """
    Run all checks.

    Parameters
    ----------
    held_out : HeldOutDraws
        The draws.
    observed : list of tuple
        Rows of :func:`check_observed`.
    seed : int
        Seeds the references of TARP.

    Returns
    -------
    DataFrame
        Index: check, of. Columns: value, p_value, verdict.
    """
    rows = [*_coverage(held_out), *_tarp(held_out, seed), *_ranks(held_out), *_shape(held_out)]
    rows += observed
    table = pd.DataFrame(rows, columns=["check", "of", "value", "p_value", "verdict"])
    return table.set_index(["check", "of"])


def _coverage(held_out: HeldOutDraws) -> Iterator[Row]:
    """Check highest-density regions: value is the coverage at 90%."""
    ranks = hpd_ranks(held_out.log_prob_draws, held_out.log_prob_theta)
    levels, coverage = rank_ecdf(ranks, held_out.n_draws)
    p_value = uniformity_test(ranks, held_out.n_draws)
    verdict = coverage_verdict(levels, coverage, len(ranks), p_value, _ALPHA)
    yield "coverage", "all", float(np.interp(0.9, levels, coverage)), p_value, verdict


def _tarp(held_out: HeldOutDraws, seed: int) -> Iterator[Row]:
    """Check balls around random points: value is the largest deviation."""
    ranks = tarp_ranks(held_out.draws, held_out.theta, random_state=seed)
    p_value = uniformity_test(ranks, held_out.n_draws)
    verdict = "no deviation found" if p_value > _ALPHA else "deviates"
    yield "tarp", "all", _deviation(ranks, held_out.n_draws), p_value, verdict


def _ranks(held_out: HeldOutDraws) -> Iterator[Row]:
    """Check every parameter's ranks: value is the largest deviation."""
    ranks = sbc_ranks(held_out.draws, held_out.theta)
    p_values = uniformity_test(ranks, held_out.n_draws)
    alpha = _ALPHA / len(held_out.names)
    for name, column, p_value in zip(held_out.names, ranks.T, p_values, strict=True):
        verdict = rank_verdict(column, held_out.n_draws, p_value, alpha)
        yield "ranks", name, _deviation(column, held_out.n_draws), float(p_value), verdict


def _shape(held_out: HeldOutDraws) -> Iterator[Row]:
    """Check location and width of every parameter's posterior."""
    z = posterior_z_score(held_out.draws, held_out.theta)
    alpha = _ALPHA / len(held_out.names)
    nulls = _means_of_draws(held_out)
    for name, column, null in zip(held_out.names, z.T, nulls.T, strict=True):
        p_value = _p_value_of_mean(column.mean(), null)
        yield "z_score", name, float(column.mean()), p_value, z_verdict(column, p_value, alpha)
    contraction = posterior_contraction(held_out.draws, held_out.theta)
    for name, column in zip(held_out.names, contraction.T, strict=True):
        yield "contraction", name, float(np.median(column)), np.nan, contraction_verdict(column)


def _means_of_draws(held_out: HeldOutDraws) -> NDArray:
    """Compute the mean z-score with the k-th draws in theta's place, for every k: (n_draws, D)."""
    draws = held_out.draws
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (draws.mean(axis=1, keepdims=True) - draws) / draws.std(axis=1, ddof=1, keepdims=True)
    return z.mean(axis=0)


def _p_value_of_mean(mean: float, null: NDArray) -> float:
    """Rank a mean z-score among those of draws, which theta is one of if the posterior is exact."""
    return float((1 + (np.abs(null) >= abs(mean)).sum()) / (len(null) + 1))


def check_observed(x: ArrayLike, x_observed: object, seed: int) -> Iterator[Row]:
    """
    Check whether observations are like the simulations: value is the p-value too.

    Parameters
    ----------
    x : array-like of shape (n, ...)
        The simulations.
    x_observed : object
        One observation or a batch.
    seed : int
        Seeds the halves of the test.

    Yields
    ------
    tuple
        A row of the table.
    """
    p_values = np.atleast_1d(misspecification_test(x, x_observed, random_state=seed))
    has_labels = isinstance(x_observed, pd.DataFrame | pd.Series) and len(p_values) > 1
    labels = x_observed.index if has_labels else range(len(p_values))
    for label, p_value in zip(labels, p_values, strict=True):
        of = "x_observed" if len(p_values) == 1 else f"x_observed {label}"
        typical = p_value > _LEAST
        verdict = "like the simulations" if typical else "unlike the simulations: do not trust it"
        yield "misspecification", of, float(p_value), float(p_value), verdict


def _deviation(ranks: NDArray, n_draws: int) -> float:
    """Compute the largest distance of the distribution function from the uniform one."""
    levels, ecdf = rank_ecdf(ranks, n_draws)
    return float(np.abs(ecdf - levels).max())
