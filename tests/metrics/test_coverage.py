"""Highest-density regions: closed forms, exact posteriors pass, and wrong ones are found."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sksbi.metrics import (
    ecdf_band,
    expected_coverage,
    hpd_levels,
    hpd_ranks,
    rank_ecdf,
    uniformity_test,
)


def p_values(made, repetitions):
    """Test the rows in as many parts, which are independent of each other."""
    ranks = hpd_ranks(made.log_prob_draws, made.log_prob_theta)
    return uniformity_test(ranks.reshape(repetitions, -1).T, made.draws.shape[1])


def test_ranks_are_those_of_a_naive_count():
    rng = np.random.default_rng(0)
    draws, theta = rng.normal(size=(10, 7)), rng.normal(size=10)
    draws[3, 2] = theta[4] = -np.inf
    naive = [sum(d > t for d in row) for row, t in zip(draws, theta, strict=True)]
    np.testing.assert_array_equal(hpd_ranks(draws, theta), naive)


def test_what_is_impossible_is_in_no_region_but_the_whole():
    assert hpd_ranks([[-1.0, -2.0]], [-np.inf]) == 2
    assert hpd_levels([[-1.0, -2.0, -np.inf]], [-np.inf]) == pytest.approx(1.0, abs=1e-15)


def test_ranks_of_the_exact_posterior_lie_in_the_band(gaussian):
    repetitions, n, n_draws = 400, 100, 50
    made = gaussian(repetitions * n, n_draws)
    levels, lower, upper = ecdf_band(n, n_draws)
    ranks = hpd_ranks(made.log_prob_draws, made.log_prob_theta).reshape(repetitions, n).T
    _, ecdf = rank_ecdf(ranks, n_draws)
    curves = ecdf.T
    held = ((curves >= lower) & (curves <= upper)).all(axis=1).mean()
    assert held >= 0.95 - 4 * np.sqrt(0.95 * 0.05 / repetitions)


@pytest.mark.parametrize("wrong", [{"width": 1.5}, {"width": 0.67}, {"shift": 0.5}])
def test_wrong_posteriors_are_found(gaussian, wrong):
    assert (p_values(gaussian(20 * 500, 200, **wrong), 20) <= 0.05).mean() >= 0.9


@pytest.mark.parametrize("width", [0.67, 1.5])
def test_coverage_of_a_posterior_of_another_width_follows_from_chi_squares(gaussian, width):
    n, n_draws, d = 20_000, 99, 2
    made = gaussian(n, n_draws, d, width=width)
    levels, coverage = expected_coverage(made.log_prob_draws, made.log_prob_theta)
    # The mass that is denser than theta, at even quantiles; given it, the rank is binomial.
    mass = stats.chi2.cdf(stats.chi2.ppf((np.arange(2000) + 0.5) / 2000, d) / width**2, d)
    below = np.round(levels * (n_draws + 1))[:, None]
    expected = stats.binom.cdf(below - 1, n_draws, mass).mean(axis=1)
    np.testing.assert_allclose(coverage, expected, rtol=0, atol=4 * np.sqrt(0.25 / n))
    # Without the scatter of ranks it is P(h <= level) = F(width^2 F^-1(level)).
    at_half = stats.chi2.cdf(width**2 * stats.chi2.ppf(0.5, d), d)
    curvature = width**2 * abs(width**2 - 1) * 0.5 ** (width**2 - 2)
    bend = curvature / 2 * 0.25 / (n_draws + 2)
    assert abs(coverage[50] - at_half) <= 4 * np.sqrt(0.25 / n) + bend


def test_the_prior_returned_as_posterior_passes(gaussian):
    repetitions = 400
    made = gaussian(repetitions * 100, 50, is_prior=True)
    rejected = (p_values(made, repetitions) <= 0.05).mean()
    assert rejected <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / repetitions)


def test_levels_on_a_line_are_those_of_a_chi_square():
    z = np.random.default_rng(0).normal(size=100)
    centres, step = np.linspace(-8, 8, 1601, retstep=True)
    levels = hpd_levels(np.tile(stats.norm.logpdf(centres), (100, 1)), stats.norm.logpdf(z))
    # At either end a part of a cell is counted wrongly.
    np.testing.assert_allclose(
        levels, stats.chi2.cdf(z**2, 1), rtol=0, atol=2 * step * stats.norm.pdf(0)
    )


def test_levels_on_a_plane_are_those_of_a_chi_square():
    theta = np.random.default_rng(0).normal(size=(100, 2))
    centres, step = np.linspace(-7, 7, 281, retstep=True)
    points = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)
    grid = np.tile(stats.norm.logpdf(points).sum(axis=1), (100, 1))
    levels = hpd_levels(grid, stats.norm.logpdf(theta).sum(axis=1))
    # Cells that the circle through theta cuts lie within half a diagonal of it.
    radius, off = np.linalg.norm(theta, axis=1), step / np.sqrt(2)
    inner, outer = (stats.chi2.cdf(np.maximum(r, 0) ** 2, 2) for r in (radius - off, radius + off))
    assert (levels >= inner - 1e-6).all()
    assert (levels <= outer + 1e-6).all()


def test_levels_and_ranks_agree(gaussian):
    n, n_draws = 200, 1000
    made = gaussian(n, n_draws, d=1)
    centres, step = np.linspace(-8, 8, 3201, retstep=True)
    mean, sd = made.x / 2, np.sqrt(0.5)
    levels = hpd_levels(stats.norm.logpdf(centres, mean, sd), made.log_prob_theta)
    shares = hpd_ranks(made.log_prob_draws, made.log_prob_theta) / n_draws
    # Given its level a rank is binomial, and a whole number.
    exact = stats.chi2.cdf(((made.theta - mean) / sd)[:, 0] ** 2, 1)
    error = 5 * np.sqrt(exact * (1 - exact) / n_draws) + 2 * step * stats.norm.pdf(0) / sd
    assert (np.abs(levels - shares) <= error + 1 / n_draws).all()


@pytest.mark.parametrize("grid", [False, True])
def test_coverage_is_the_curve_of_the_ranks_or_of_the_levels(grid):
    rng = np.random.default_rng(0)
    draws, theta = rng.normal(size=(50, 30)), rng.normal(size=50)
    levels, coverage = expected_coverage(draws, theta, grid=grid)
    if grid:
        expected = rank_ecdf(hpd_levels(draws, theta), None)
    else:
        expected = rank_ecdf(hpd_ranks(draws, theta), 30)
    np.testing.assert_array_equal(np.stack([levels, coverage]), np.stack(expected))


@pytest.mark.parametrize("grid", [False, True])
def test_coverage_takes_no_notice_of_a_constant_an_observation(grid):
    rng = np.random.default_rng(0)
    draws, theta = rng.normal(size=(50, 30)), rng.normal(size=50)
    constant = rng.normal(scale=100, size=50)
    moved = expected_coverage(draws + constant[:, None], theta + constant, grid=grid)
    np.testing.assert_array_equal(moved, expected_coverage(draws, theta, grid=grid))


def test_tables_give_what_arrays_give():
    rng = np.random.default_rng(0)
    draws, theta = rng.normal(size=(5, 9)), rng.normal(size=5)
    expected = hpd_ranks(draws, theta)
    np.testing.assert_array_equal(hpd_ranks(pd.DataFrame(draws), pd.Series(theta)), expected)
    curve = expected_coverage(pd.DataFrame(draws), theta.tolist())
    np.testing.assert_array_equal(curve, expected_coverage(draws, theta))


GOOD, TRUTH = np.zeros((4, 3)), np.zeros(4)
WITH_NAN = np.where(np.arange(12).reshape(4, 3) == 7, np.nan, GOOD)


@pytest.mark.parametrize("function", [hpd_ranks, hpd_levels, expected_coverage])
@pytest.mark.parametrize(
    ("draws", "theta", "error", "match"),
    [
        (GOOD, TRUTH[:3], ValueError, r"log_prob_(draws|grid) must .* got \(4, 3\) and \(3,\)"),
        (GOOD[0], TRUTH, ValueError, r"log_prob_theta \(n,\), got \(3,\) and \(4,\)"),
        (GOOD[:, :0], TRUTH, ValueError, r"got \(4, 0\) and \(4,\)"),
        (WITH_NAN, TRUTH, ValueError, "log_prob_(draws|grid) must hold .* got nan in row 2"),
        (GOOD, TRUTH + np.inf, ValueError, "log_prob_theta must hold .* got inf in row 0"),
        (GOOD, ["a"] * 4, TypeError, "log_prob_theta must hold real numbers, got list"),
    ],
)
def test_bad_log_densities_are_refused(function, draws, theta, error, match):
    with pytest.raises(error, match=match):
        function(draws, theta)


def test_a_grid_without_mass_is_refused():
    with pytest.raises(ValueError, match="finite in some cell of every row, got none in row 1"):
        hpd_levels([[0.0, 0.0], [-np.inf, -np.inf]], [0.0, 0.0])


def test_flat_densities_give_uniform_ranks():
    """Where all densities are equal the rank is a matter of chance, and nothing else."""
    n, n_draws = 500, 100
    assert uniformity_test(hpd_ranks(np.zeros((n, n_draws)), np.zeros(n)), n_draws) > 0.05
    assert uniformity_test(hpd_levels(np.zeros((n, 50)), np.zeros(n))) > 0.05


def test_ties_are_broken_and_nothing_else():
    """Densities in three steps: the rank lies between the denser draws and the tied ones."""
    rng = np.random.default_rng(0)
    draws, theta = rng.integers(3, size=(400, 50)), rng.integers(3, size=400)
    ranks = hpd_ranks(draws, theta)
    denser = (draws > theta[:, None]).sum(axis=1)
    equal = (draws == theta[:, None]).sum(axis=1)
    assert ((denser <= ranks) & (ranks <= denser + equal)).all()
    assert uniformity_test(ranks, 50) > 0.05
    assert (hpd_ranks(draws, theta) == ranks).all()
    assert (hpd_ranks(draws, theta, random_state=1) != ranks).any()
