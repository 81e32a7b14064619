"""Draws of many observations: what every measure of them takes, and what all of them refuse."""

import numpy as np
import pandas as pd
import pytest

from sksbi.metrics import (
    crps,
    energy_score,
    posterior_contraction,
    posterior_z_score,
    sbc_ranks,
    tarp_coverage,
    tarp_ranks,
)
from sksbi.tables.draws import check_stack

WITH_TRUTH = [crps, energy_score, posterior_z_score, sbc_ranks, tarp_coverage, tarp_ranks]
AT_LEAST_TWO = [crps, energy_score, posterior_contraction, posterior_z_score]
DRAWS = np.random.default_rng(0).normal(size=(4, 6, 2))
THETA = np.random.default_rng(1).normal(size=(4, 2))
WITH_NAN, WITH_INF = DRAWS.copy(), THETA.copy()
WITH_NAN[2, 3, 1], WITH_INF[1, 0] = np.nan, -np.inf


@pytest.mark.parametrize("function", [*WITH_TRUTH, posterior_contraction])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, object])
def test_numbers_of_any_kind_are_taken_as_they_are(function, dtype):
    draws, theta = DRAWS.astype(np.float16), THETA.astype(np.float16)
    options = {"random_state": 0} if function in (tarp_coverage, tarp_ranks) else {}
    np.testing.assert_array_equal(
        function(draws.astype(dtype), theta.astype(dtype), **options),
        function(draws.astype(float), theta.astype(float), **options),
    )


@pytest.mark.parametrize("function", WITH_TRUTH)
@pytest.mark.parametrize(
    ("draws", "theta", "error", "match"),
    [
        (DRAWS[0], THETA, ValueError, r"draws must have shape \(n, n_samples, D\).* got \(6, 2\)"),
        (DRAWS[:, :0], THETA, ValueError, r"n_samples at least \d, got \(4, 0, 2\)"),
        (DRAWS[:3], THETA, ValueError, r"draws must have shape \(4, n_samples, 2\).* \(3, 6, 2\)"),
        (DRAWS[..., :1], THETA, ValueError, r"theta of shape \(4, 2\), got \(4, 6, 1\)"),
        (DRAWS, THETA[:, 0], ValueError, r"theta must be 2-d.*\(4,\).*reshape\(-1, 1\)"),
        (DRAWS, THETA[:, :0], ValueError, r"theta must have .* one column, got shape \(4, 0\)"),
        (WITH_NAN, THETA, ValueError, "finite, got nan in observation 2, draw 3, column 1"),
        (DRAWS, WITH_INF, ValueError, "theta must be finite, got -inf in row 1, column 0"),
        (DRAWS + 1j, THETA, TypeError, "draws must hold real numbers, got dtype complex128"),
        (DRAWS, np.full((4, 2), "cat"), TypeError, "theta must hold real numbers, got ndarray"),
        (pd.DataFrame(DRAWS[0]), THETA, ValueError, r"draws must have shape .* got \(6, 2\)"),
    ],
)
def test_bad_draws_and_truths_are_refused(function, draws, theta, error, match):
    with pytest.raises(error, match=match):
        function(draws, theta)


@pytest.mark.parametrize("function", AT_LEAST_TWO)
def test_one_draw_is_refused_where_two_are_needed(function):
    with pytest.raises(ValueError, match=r"n_samples at least 2, got \(4, 1, 2\)"):
        function(DRAWS[:, :1], THETA)


def test_tables_with_unequal_numbers_of_draws_are_refused(as_table):
    table = as_table(DRAWS, ["a", "b"], labels=list("uvwx"))
    with pytest.raises(ValueError, match=r"as many draws for every observation.*'u': 5, 'v': 6"):
        sbc_ranks(table.iloc[1:], THETA)
    shuffled = table.sort_index(level="draw")
    with pytest.raises(ValueError, match="one observation after the other"):
        sbc_ranks(shuffled, THETA)


def test_tables_with_other_columns_are_refused(as_table):
    table = as_table(DRAWS, ["a", "b"])
    theta = pd.DataFrame(THETA, columns=["a", "c"])
    for function in WITH_TRUTH:
        with pytest.raises(ValueError, match=r"same columns .* got \['a', 'b'\] and \['a', 'c'\]"):
            function(table, theta)
    with pytest.raises(ValueError, match=r"draws and prior_draws must have the same columns"):
        posterior_contraction(table, theta)


def test_observations_may_share_a_label():
    index = pd.MultiIndex.from_arrays([[5] * 6, [0, 1, 2] * 2], names=["observation", "draw"])
    table = pd.DataFrame({"a": np.arange(6.0)}, index)
    values, _ = check_stack(table)
    assert values[..., 0].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="draws_observed must be finite, got nan in observation 0"):
        check_stack(np.full((1, 2, 1), np.nan), argument="draws_observed")
