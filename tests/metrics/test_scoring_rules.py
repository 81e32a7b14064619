"""Proper scores: closed forms, naive sums, and that the exact posterior scores best."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sksbi.metrics import crps, energy_score


def naive_energy(draws, theta):
    """Sum over all pairs of distinct draws, with loops only."""
    s = len(draws)
    off = sum(np.linalg.norm(draw - theta) for draw in draws) / s
    pairs = sum(np.linalg.norm(a - b) for a in draws for b in draws)
    return off - 0.5 * pairs / (s * (s - 1))


def standard_error(values):
    return values.std(ddof=1) / np.sqrt(len(values))


@pytest.mark.parametrize("n_draws", [2, 3, 30])
def test_crps_is_the_sum_over_all_pairs(gaussian, n_draws):
    made = gaussian(8, n_draws)
    naive = [
        [naive_energy(draws[:, [j]], theta[[j]]) for j in range(2)]
        for draws, theta in zip(made.draws, made.theta, strict=True)
    ]
    np.testing.assert_allclose(crps(made.draws, made.theta), naive, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("n_draws", [2, 5, 17])
def test_the_energy_score_of_few_draws_is_the_sum_over_all_pairs(gaussian, n_draws):
    made = gaussian(8, n_draws, d=3)
    naive = [naive_energy(*row) for row in zip(made.draws, made.theta, strict=True)]
    np.testing.assert_allclose(energy_score(made.draws, made.theta), naive, rtol=1e-10)


@pytest.mark.parametrize("z", [0.0, 0.7, -3.0])
@pytest.mark.parametrize("n_draws", [2, 20])
def test_crps_of_a_gaussian_is_unbiased_whatever_the_number_of_draws(z, n_draws):
    n, mean, sd = 4000, 5.0, 2.0
    draws = np.random.default_rng(0).normal(mean, sd, size=(n, n_draws, 1))
    scores = crps(draws, np.full((n, 1), mean + sd * z))[:, 0]
    pdf, cdf = stats.norm.pdf(z), stats.norm.cdf(z)
    expected = sd * (z * (2 * cdf - 1) + 2 * pdf - 1 / np.sqrt(np.pi))
    assert abs(scores.mean() - expected) < 4 * standard_error(scores)


@pytest.mark.parametrize("n_draws", [18, 25, 60])
def test_of_one_parameter_the_energy_score_is_crps_up_to_the_pairs_left_out(gaussian, n_draws):
    made = gaussian(2000, n_draws, d=1)
    difference = energy_score(made.draws, made.theta) - crps(made.draws, made.theta)[:, 0]
    assert abs(difference.mean()) < 4 * standard_error(difference)
    assert np.abs(difference).max() > 0


def test_of_one_parameter_and_few_draws_the_energy_score_is_crps(gaussian):
    made = gaussian(20, 17, d=1)
    np.testing.assert_allclose(
        energy_score(made.draws, made.theta), crps(made.draws, made.theta)[:, 0], rtol=1e-10
    )


WRONG = [{"width": 1.5}, {"width": 0.67}, {"shift": 0.5}, {"is_prior": True}]


@pytest.mark.parametrize("wrong", WRONG)
def test_the_exact_posterior_scores_best(gaussian, wrong):
    # The same seed gives both the same theta and the same noise, hence paired differences.
    exact, other = gaussian(3000, 50), gaussian(3000, 50, **wrong)
    np.testing.assert_array_equal(exact.theta, other.theta)
    for score in (crps, energy_score):
        worse = score(other.draws, other.theta) - score(exact.draws, exact.theta)
        worse = worse.reshape(3000, -1)
        assert (worse.mean(axis=0) > 4 * standard_error(worse[:, 0])).all()


def test_only_the_energy_score_sees_a_wrong_correlation():
    rng = np.random.default_rng(0)
    n, rho = 3000, 0.95
    root = np.linalg.cholesky([[1, rho], [rho, 1]])
    theta, noise = rng.normal(size=(n, 2)) @ root.T, rng.normal(size=(n, 50, 2))
    exact = noise @ root.T
    worse = energy_score(noise, theta) - energy_score(exact, theta)
    assert worse.mean() > 4 * standard_error(worse)
    equal = (crps(noise, theta) - crps(exact, theta))[:, 1]
    assert abs(equal.mean()) < 4 * standard_error(equal)


def test_scores_have_the_unit_of_theta_and_no_origin(gaussian):
    made = gaussian(10, 40)
    np.testing.assert_allclose(
        crps(8 * made.draws - 5, 8 * made.theta - 5), 8 * crps(made.draws, made.theta), rtol=1e-9
    )
    np.testing.assert_allclose(
        energy_score(8 * made.draws - 5, 8 * made.theta - 5),
        8 * energy_score(made.draws, made.theta),
        rtol=1e-9,
    )


def test_a_scale_takes_the_units_out(gaussian):
    made = gaussian(10, 40)
    unit = np.array([1024.0, 0.25])
    scaled = energy_score(made.draws * unit, made.theta * unit, scale=unit)
    np.testing.assert_array_equal(scaled, energy_score(made.draws, made.theta))
    series = pd.Series(unit, index=["a", "b"])
    np.testing.assert_array_equal(
        energy_score(made.draws * unit, made.theta * unit, scale=series), scaled
    )


def test_tables_give_what_arrays_give(gaussian, as_table):
    made = gaussian(6, 5)
    table = as_table(made.draws, ["a", "b"])
    theta = pd.DataFrame(made.theta, columns=["a", "b"])
    for score in (crps, energy_score):
        # Tables are in another memory order, so sums are rounded in another way.
        np.testing.assert_allclose(
            score(table, theta), score(made.draws, made.theta), rtol=0, atol=1e-14
        )


@pytest.mark.parametrize(
    ("scale", "error", "match"),
    [
        ([1.0], ValueError, r"scale must be 2 positive numbers, .* got \[1.0\]"),
        ([1.0, 0.0], ValueError, r"scale must be 2 positive numbers, .* got \[1.0, 0.0\]"),
        ([1.0, np.nan], ValueError, r"scale must be 2 positive numbers, .* got \[1.0, nan\]"),
        (1.0, ValueError, "scale must be 2 positive numbers, .* got 1.0"),
        (["a", "b"], TypeError, "scale must hold real numbers, got list"),
    ],
)
def test_bad_scales_are_refused(scale, error, match):
    with pytest.raises(error, match=match):
        energy_score(np.zeros((3, 4, 2)), np.zeros((3, 2)), scale=scale)
