"""Metrics in units that are very small, and numbers whose squares are none."""

import numpy as np
import pytest

from sksbi.metrics import (
    c2st_score,
    crps,
    energy_score,
    expected_coverage,
    hpd_levels,
    mmd_score,
    posterior_contraction,
    posterior_z_score,
    predictive_distance,
    tarp_ranks,
)

UNIT = 2.0**-700  # its square is zero


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    return rng.normal(size=(20, 30, 2)), rng.normal(size=(20, 2))


@pytest.mark.parametrize("metric", [posterior_contraction, posterior_z_score])
def test_ratios_of_spreads_know_no_unit(metric, pairs):
    draws, theta = pairs
    assert np.array_equal(metric(draws * UNIT, theta * UNIT), metric(draws, theta))


@pytest.mark.parametrize(
    "score", [mmd_score, lambda a, b: c2st_score(a, b, classifier="quadratic", n_folds=2)]
)
def test_two_samples_differ_in_any_unit(score):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(40, 2)), rng.normal(2.0, size=(40, 2))
    assert score(a * UNIT, b * UNIT) == pytest.approx(score(a, b), rel=1e-9)


def test_a_posterior_much_wider_than_the_prior_is_infinitely_wide(pairs):
    draws, theta = pairs
    assert np.isneginf(posterior_contraction(draws, theta * UNIT)).all()


@pytest.mark.parametrize("metric", [crps, energy_score, posterior_z_score, tarp_ranks])
@pytest.mark.parametrize("argument", [0, 1])
def test_numbers_without_squares_are_refused(metric, argument, pairs):
    given = [values.copy() for values in pairs]
    given[argument].flat[-1] = -1e300
    name = ("draws", "theta")[argument]
    with pytest.raises(ValueError, match=f"{name} must be below 1e.100 in size, got -1e.300"):
        metric(*given)


@pytest.mark.parametrize("scale", [[1.0, 1e-300], [1.0, 0.0], [1.0, np.nan], [1.0]])
def test_a_scale_that_nothing_can_be_divided_by_is_refused(scale, pairs):
    with pytest.raises(ValueError, match="scale must be 2 positive numbers, above 1e-50, got"):
        energy_score(*pairs, scale=scale)
    with pytest.raises(ValueError, match="scale must be 2 positive numbers, above 1e-50, got"):
        predictive_distance(*pairs, scale=scale)


@pytest.mark.parametrize("grid", ["yes", None, 0.5, [True]])
def test_grid_is_true_or_false(grid):
    with pytest.raises(TypeError, match="grid must be True or False, got"):
        expected_coverage([[-1.0, -2.0]], [-1.5], grid=grid)


def test_log_densities_on_a_grid_are_called_as_the_user_calls_them():
    with pytest.raises(ValueError, match="log_prob_grid must hold numbers or -inf, got nan"):
        hpd_levels([[-1.0, np.nan]], [-1.5])
    with pytest.raises(ValueError, match="log_prob_draws must hold numbers or -inf, got nan"):
        expected_coverage([[-1.0, np.nan]], [-1.5], grid=True)
