"""The test of uniform ranks and its band: their level, that they are one, and what they refuse."""

import numpy as np
import pandas as pd
import pytest

from sksbi.metrics import ecdf_band, rank_ecdf, uniformity_test

REPETITIONS, SIMULATED_NULL = 4000, 10_000


def uniform(n, n_draws, columns, seed=0):
    rng = np.random.default_rng([seed, n, n_draws or 0])
    if n_draws is None:
        return rng.random((n, columns))
    return rng.integers(0, n_draws + 1, size=(n, columns))


def standard_error(share, repetitions=REPETITIONS):
    """Take in what the simulated null adds to the binomial one."""
    return np.sqrt(share * (1 - share) * (1 / repetitions + 1 / SIMULATED_NULL))


def inside(ranks, n_draws, level):
    _, lower, upper = ecdf_band(len(ranks), n_draws, level=level)
    _, ecdf = rank_ecdf(ranks, n_draws)
    curves = ecdf.T
    return ((curves >= lower) & (curves <= upper)).all(axis=1)


SIZES = [(1, 3), (20, 1), (50, 3), (100, 20), (300, 1000), (10, None), (200, None)]


@pytest.mark.parametrize(("n", "n_draws"), SIZES)
def test_the_band_holds_the_whole_curve_of_uniform_ranks(n, n_draws):
    held = inside(uniform(n, n_draws, REPETITIONS), n_draws, 0.95).mean()
    assert held >= 0.95 - 4 * standard_error(0.05)


@pytest.mark.parametrize(("n", "n_draws"), SIZES)
def test_p_values_of_uniform_ranks_are_no_smaller_than_uniform_ones(n, n_draws):
    p_values = uniformity_test(uniform(n, n_draws, REPETITIONS), n_draws)
    for share in (0.01, 0.05, 0.2, 0.5, 0.8):
        assert (p_values <= share).mean() <= share + 4 * standard_error(share)


@pytest.mark.parametrize(("n", "n_draws"), [(100, 20), (300, 1000), (200, None)])
def test_p_values_of_uniform_ranks_are_no_larger_than_their_steps_make_them(n, n_draws):
    p_values = uniformity_test(uniform(n, n_draws, REPETITIONS, seed=1), n_draws)
    step = np.unique(p_values, return_counts=True)[1].max() / REPETITIONS
    for share in (0.05, 0.2, 0.5):
        assert (p_values <= share).mean() >= share - step - 4 * standard_error(share)


@pytest.mark.parametrize("share", [0.05, 0.2])
@pytest.mark.parametrize(("n", "n_draws"), [*SIZES, (30, 7), (64, 99), (500, 250)])
def test_a_curve_leaves_the_band_exactly_if_its_p_value_is_small(n, n_draws, share):
    even = uniform(n, n_draws, 500, seed=2)
    top = 1 if n_draws is None else n_draws
    # Some in the middle, some at an end, some on both: powers bend, the floor keeps integers.
    bent = top * np.stack([(even / top) ** power for power in (0.8, 1.0, 1.3)])
    ranks = np.concatenate(bent if n_draws is None else np.floor(bent), axis=1)
    is_inside = inside(ranks, n_draws, 1 - share)
    p_values = uniformity_test(ranks, n_draws)
    np.testing.assert_array_equal(is_inside, p_values > share)
    assert is_inside.any()


def test_the_equivalence_is_tested_on_both_sides():
    p_values = uniformity_test(uniform(64, 99, 500, seed=2), 99)
    assert 0 < (p_values <= 0.2).mean() < 1


@pytest.mark.parametrize("n_draws", [1, 2, 3, 98, 99, 100, 149, 1000])
def test_the_curve_is_exact_at_its_levels(n_draws):
    ranks = uniform(57, n_draws, 3)
    levels, ecdf = rank_ecdf(ranks, n_draws)
    # Level k / (n_draws + 1) has the ranks below k on its left.
    below = levels * (n_draws + 1)
    np.testing.assert_allclose(below, np.round(below), rtol=1e-12)
    naive = [[np.mean([r < k for r in column]) for column in ranks.T] for k in np.round(below)]
    np.testing.assert_array_equal(ecdf, naive)
    assert len(levels) == min(n_draws + 2, 101)


def test_the_curve_of_numbers_is_exact_at_its_levels():
    values = np.append(uniform(57, None, 1)[:, 0], [0.0, 1.0])
    levels, ecdf = rank_ecdf(values, None)
    np.testing.assert_allclose(levels, np.arange(101) / 100, rtol=1e-15)
    np.testing.assert_array_equal(ecdf, [np.mean([v <= level for v in values]) for level in levels])


@pytest.mark.parametrize(("n", "n_draws"), SIZES)
def test_curve_and_band_rise_from_zero_to_one(n, n_draws):
    levels, ecdf = rank_ecdf(uniform(n, n_draws, 1)[:, 0] * 0, n_draws)
    band_levels, lower, upper = ecdf_band(n, n_draws)
    np.testing.assert_array_equal(band_levels, levels)
    for curve in (levels, lower, upper):
        assert (np.diff(curve) >= 0).all()
        assert curve[0] == 0
        assert curve[-1] == 1
    assert (np.diff(ecdf) >= 0).all()
    assert ecdf[-1] == 1
    assert (lower <= levels).all()
    assert (upper >= levels).all()


def test_higher_levels_give_wider_bands():
    bands = [ecdf_band(100, 50, level=level) for level in (0.2, 0.5, 0.9, 0.95, 0.999)]
    for (_, lower, upper), (_, wider_lower, wider_upper) in zip(bands, bands[1:], strict=False):
        assert (wider_lower <= lower).all()
        assert (wider_upper >= upper).all()


def test_columns_are_tested_one_by_one_whatever_holds_them():
    ranks = uniform(80, 30, 3)
    ranks[:, 1] //= 2
    expected = [uniformity_test(column, 30) for column in ranks.T]
    assert all(isinstance(p_value, float) for p_value in expected)
    np.testing.assert_array_equal(uniformity_test(ranks, 30), expected)
    np.testing.assert_array_equal(uniformity_test(pd.DataFrame(ranks), 30), expected)
    np.testing.assert_array_equal(uniformity_test(ranks.astype(float).tolist(), 30), expected)


@pytest.mark.parametrize("n_draws", [3, 1000, None])
def test_ranks_that_are_all_alike_get_the_least_p_value(n_draws):
    assert uniformity_test(np.zeros(200), n_draws) == 1 / (SIMULATED_NULL + 1)


def test_the_order_of_ranks_does_not_matter_and_results_repeat():
    ranks = uniform(80, 30, 1)[:, 0]
    assert uniformity_test(ranks, 30) == uniformity_test(np.sort(ranks), 30)
    np.testing.assert_array_equal(ecdf_band(80, 30), ecdf_band(80, 30))


@pytest.mark.parametrize("function", [rank_ecdf, uniformity_test])
@pytest.mark.parametrize(
    ("ranks", "n_draws", "error", "match"),
    [
        ([0, 4], 3, ValueError, "ranks must be integers from 0 to 3, got values from 0 to 4"),
        ([-1, 2], 3, ValueError, "ranks must be integers from 0 to 3, got values from -1 to 2"),
        ([0, 1.5], 3, ValueError, "ranks must be integers from 0 to 3, got values from 0 to 1.5"),
        ([0, np.nan], 3, ValueError, "ranks must be integers .* got values from nan"),
        ([0, np.inf], 3, ValueError, "ranks must be integers .* to inf"),
        ([0, np.nan], None, ValueError, "ranks must be numbers from 0 to 1, got values from nan"),
        ([0, 1, 2], None, ValueError, "numbers from 0 to 1, .* to 2; n_draws is None"),
        ([], 3, ValueError, r"ranks must have shape \(n,\) or \(n, D\), got \(0,\)"),
        (3, 3, ValueError, r"ranks must have shape .* got \(\)"),
        (np.zeros((2, 2, 2)), 3, ValueError, r"ranks must have shape .* got \(2, 2, 2\)"),
        (["a"], 3, TypeError, "ranks must hold real numbers, got list"),
        ([0], 0, ValueError, "n_draws must be an int >= 1, got 0"),
        ([0], 2.0, TypeError, "n_draws must be an int >= 1, got 2.0 of float"),
    ],
)
def test_bad_ranks_are_refused(function, ranks, n_draws, error, match):
    with pytest.raises(error, match=match):
        function(ranks, n_draws)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"n": 0}, ValueError, "n must be an int >= 1, got 0"),
        ({"n": 2.5}, TypeError, "n must be an int >= 1, got 2.5 of float"),
        ({"n": 5, "n_draws": -2}, ValueError, "n_draws must be an int >= 1, got -2"),
        ({"n": 5, "level": 0}, ValueError, "level must be .* got 0"),
        ({"n": 5, "level": 1}, ValueError, "level must be .* got 1"),
        ({"n": 5, "level": np.nan}, ValueError, "level must be .* got nan"),
    ],
)
def test_bad_bands_are_refused(arguments, error, match):
    with pytest.raises(error, match=match):
        ecdf_band(**arguments)
