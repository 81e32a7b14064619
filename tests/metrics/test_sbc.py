"""Ranks of true parameters: exact posteriors pass, wrong ones are found, and the prior passes."""

import numpy as np
import pandas as pd
import pytest

from sksbi.metrics import (
    ecdf_band,
    posterior_contraction,
    rank_ecdf,
    sbc_ranks,
    uniformity_test,
)


def p_values(made, repetitions, n_draws):
    """Test the rows in as many parts, which are independent of each other."""
    ranks = sbc_ranks(made.draws, made.theta)
    table = ranks.reshape(repetitions, -1, ranks.shape[1]).swapaxes(0, 1)
    return uniformity_test(table.reshape(len(table), -1), n_draws)


def test_ranks_are_those_of_a_naive_count(gaussian):
    made = gaussian(20, 9)
    naive = [
        [sum(draw[j] < theta[j] for draw in draws) for j in range(2)]
        for draws, theta in zip(made.draws, made.theta, strict=True)
    ]
    np.testing.assert_array_equal(sbc_ranks(made.draws, made.theta), naive)


def test_draws_that_equal_the_truth_are_below_it_or_not():
    draws = [[[1.0], [2.0], [2.0], [3.0]]]
    seen = {int(sbc_ranks(draws, [[2.0]], random_state=seed)[0, 0]) for seed in range(50)}
    assert seen == {1, 2, 3}


def test_ranks_do_not_change_under_increasing_maps_of_a_parameter(gaussian):
    made = gaussian(20, 9)
    expected = sbc_ranks(made.draws, made.theta)
    np.testing.assert_array_equal(sbc_ranks(np.exp(made.draws), np.exp(made.theta)), expected)


@pytest.mark.parametrize("n_draws", [3, 50])
def test_ranks_of_the_exact_posterior_lie_in_the_band(gaussian, n_draws):
    repetitions, n = 200, 100
    made = gaussian(repetitions * n, n_draws)
    ranks = sbc_ranks(made.draws, made.theta).reshape(repetitions, n, 2).swapaxes(0, 1)
    levels, lower, upper = ecdf_band(n, n_draws)
    _, ecdf = rank_ecdf(ranks.reshape(n, -1), n_draws)
    curves = ecdf.T
    held = ((curves >= lower) & (curves <= upper)).all(axis=1).mean()
    assert held >= 0.95 - 4 * np.sqrt(0.95 * 0.05 / (2 * repetitions))
    np.testing.assert_allclose(
        ecdf.mean(axis=1), levels, atol=4 * np.sqrt(0.25 / (2 * repetitions * n))
    )


@pytest.mark.parametrize("wrong", [{"width": 1.5}, {"width": 0.67}, {"shift": 0.5}])
def test_wrong_posteriors_are_found(gaussian, wrong):
    made = gaussian(20 * 500, 200, **wrong)
    assert (p_values(made, 20, 200) <= 0.05).mean() >= 0.9


def test_the_shape_of_the_curve_tells_what_is_wrong(gaussian):
    def at_quarters(**wrong):
        made = gaussian(4000, 99, d=1, **wrong)
        levels, ecdf = rank_ecdf(sbc_ranks(made.draws, made.theta)[:, 0], 99)
        return (ecdf - levels)[[25, 75]]

    error = 4 * np.sqrt(0.25 * 0.75 / 4000)
    wide, narrow, high = at_quarters(width=1.5), at_quarters(width=0.67), at_quarters(shift=0.5)
    assert wide[0] < -error
    assert wide[1] > error
    assert narrow[0] > error
    assert narrow[1] < -error
    assert (high > error).all()


def test_the_prior_returned_as_posterior_passes_and_contracts_nothing(gaussian):
    repetitions, n = 200, 100
    made = gaussian(repetitions * n, 50, is_prior=True)
    rejected = (p_values(made, repetitions, 50) <= 0.05).mean()
    assert rejected <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / (2 * repetitions))
    contraction = posterior_contraction(made.draws, made.theta).mean(axis=0)
    # Variances of normal numbers have the relative error sqrt(2 / n).
    error = np.sqrt(2 / made.draws[..., 0].size + 2 / len(made.theta))
    np.testing.assert_allclose(contraction, 0, atol=4 * error)


def test_tables_give_what_arrays_give(gaussian, as_table):
    made = gaussian(6, 5)
    expected = sbc_ranks(made.draws, made.theta)
    table = as_table(made.draws, ["a", "b"], labels=list("uvwxyz"))
    theta = pd.DataFrame(made.theta, columns=["a", "b"], index=range(10, 16))
    for draws in (made.draws, table, made.draws.tolist()):
        for truth in (made.theta, theta):
            np.testing.assert_array_equal(sbc_ranks(draws, truth), expected)
    with pytest.raises(ValueError, match=r"draws and theta must have the same columns.*'b', 'a'"):
        sbc_ranks(table, theta[["b", "a"]])


def test_ties_are_broken_at_random():
    rng = np.random.default_rng(0)
    theta, draws = rng.poisson(3, (500, 1)), rng.poisson(3, (500, 100, 1))
    ranks = sbc_ranks(draws, theta)
    assert uniformity_test(ranks, 100)[0] > 0.05
    below, equal = (draws < theta[:, None]).sum(1), (draws == theta[:, None]).sum(1)
    assert ((below <= ranks) & (ranks <= below + equal)).all()
