r"""
The reliability of a ratio as a classifier of joint and marginal pairs.

With as many pairs of both kinds, a pair of ratio r is a joint one with probability r / (1 + r). So
among the pairs of a bin of that probability the share of joint ones should be what was predicted.
Where n_1 joint and n_0 marginal pairs are given, the share f among k pairs is turned into the one
that there would be with as many of both,

.. math::
    \frac{f / n_1}{f / n_1 + (1 - f) / n_0} ,

which increases in f, so that the ends of a binomial interval for f are turned in the same way.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from scipy.stats import beta

from sksbi.tables.draws import as_float

__all__ = ["check_log_ratios", "histogram_edges", "reliability_table"]

Array = NDArray[np.float64]

_CONFIDENCE = 0.95
_N_HISTOGRAM_BINS = 40
_EXCLUDED = -10.0


def check_log_ratios(log_ratio: ArrayLike, argument: str) -> Array:
    """Check log-ratios of pairs: infinite ones are some, NaN is none."""
    values = as_float(log_ratio, argument)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(
            f"{argument} must have shape (n,), n at least 2, got shape {values.shape}."
        )
    bad = np.flatnonzero(np.isnan(values))
    if len(bad):
        raise ValueError(f"{argument} must hold numbers, got nan in row {bad[0]}.")
    return values


def reliability_table(joint: Array, marginal: Array, n_bins: int) -> pd.DataFrame:
    """
    Compute the share of joint pairs in equal bins of the probability; empty ones are left out.

    Columns: predicted, the mean probability; fraction, the share, and lower and upper, the ends of
    its exact 95% interval; n_joint and n_marginal.
    """
    sums, counts = zip(
        *(_bin(expit(log_ratio), n_bins) for log_ratio in (joint, marginal)), strict=True
    )
    sizes = len(joint), len(marginal)
    n_pairs = counts[0] + counts[1]
    weight = counts[0] / sizes[0] + counts[1] / sizes[1]
    tail = (1 - _CONFIDENCE) / 2
    with np.errstate(invalid="ignore"):
        predicted = (sums[0] / sizes[0] + sums[1] / sizes[1]) / weight
        columns = {
            "fraction": counts[0] / n_pairs,
            "lower": np.nan_to_num(beta.ppf(tail, counts[0], counts[1] + 1), nan=0.0),
            "upper": np.nan_to_num(beta.ppf(1 - tail, counts[0] + 1, counts[1]), nan=1.0),
        }
        balanced = {key: _balance(share, *sizes) for key, share in columns.items()}
    table = pd.DataFrame(
        {"predicted": predicted, **balanced, "n_joint": counts[0], "n_marginal": counts[1]}
    )
    return table[n_pairs > 0].reset_index(drop=True)


def histogram_edges(joint: Array, marginal: Array) -> Array:
    """
    Choose the edges of bins that show 99% of the finite log-ratios of joint pairs.

    They reach down to those of marginal pairs, but not far below what is excluded anyhow.
    """
    finite = [values[np.isfinite(values)] for values in (joint, marginal)]
    ends = [np.quantile(values, (0.005, 0.995)) for values in finite if len(values)]
    low, high = (np.min(ends), np.max(ends)) if ends else (0.0, 0.0)
    low = max(low, min(-3 * high, _EXCLUDED, ends[0][0] if ends else 0.0))
    margin = 0.02 * (high - low) or 0.5
    return np.linspace(low - margin, high + margin, _N_HISTOGRAM_BINS + 1)


def _bin(probability: Array, n_bins: int) -> tuple[Array, NDArray[np.intp]]:
    """Sum up and count the probabilities in every bin."""
    bins = np.minimum((probability * n_bins).astype(int), n_bins - 1)
    return (
        np.bincount(bins, probability, minlength=n_bins),
        np.bincount(bins, minlength=n_bins),
    )


def _balance(share: Array, n_joint: int, n_marginal: int) -> Array:
    """Turn a share into the one with as many pairs of both kinds."""
    joint, marginal = share / n_joint, (1 - share) / n_marginal
    return joint / (joint + marginal)
