"""Contraction and z-score: closed forms for Gaussian posteriors, and what they refuse."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import gammaln

from sksbi.metrics import posterior_contraction, posterior_z_score


@pytest.mark.parametrize("width", [0.67, 1.0, 1.5])
def test_contraction_is_one_minus_the_ratio_of_variances(gaussian, width):
    n, n_draws = 300, 200
    made = gaussian(n, n_draws, width=width)
    prior = np.random.default_rng(1).normal(size=(10_000, 2))
    contraction = posterior_contraction(made.draws, prior)
    ratio = width**2 / 2
    # Variances of normal numbers have the relative error sqrt(2 / (n - 1)).
    each = ratio * np.sqrt(2 / (n_draws - 1) + 2 / 9_999)
    assert (np.abs(contraction - (1 - ratio)) < 5 * each).all()
    mean = ratio * np.sqrt(2 / (n * (n_draws - 1)) + 2 / 9_999)
    np.testing.assert_allclose(contraction.mean(axis=0), 1 - ratio, rtol=0, atol=4 * mean)


def test_contraction_is_computed_parameter_by_parameter_in_any_units(gaussian):
    made = gaussian(5, 20)
    made.draws[..., 1] /= 4
    expected = [
        [1 - np.var(draws[:, j], ddof=1) / np.var(made.theta[:, j], ddof=1) for j in range(2)]
        for draws in made.draws
    ]
    contraction = posterior_contraction(made.draws, made.theta)
    np.testing.assert_allclose(contraction, expected, rtol=1e-12)
    unit, zero = np.array([1024.0, 0.25]), np.array([3.0, -5.0])
    moved = posterior_contraction(made.draws * unit + zero, made.theta * unit + zero)
    np.testing.assert_allclose(moved, expected, rtol=1e-10)


def test_contraction_reaches_one_and_is_negative_where_the_posterior_is_wider():
    prior = np.array([[-1.0], [1.0]])
    draws = np.array([[[3.0], [3.0]], [[-2.0], [2.0]]])
    np.testing.assert_array_equal(posterior_contraction(draws, prior), [[1.0], [-3.0]])


def test_z_scores_are_those_of_their_definition(gaussian):
    made = gaussian(5, 20)
    expected = [
        (draws.mean(axis=0) - theta) / draws.std(axis=0, ddof=1)
        for draws, theta in zip(made.draws, made.theta, strict=True)
    ]
    np.testing.assert_allclose(posterior_z_score(made.draws, made.theta), expected, rtol=1e-12)


@pytest.mark.parametrize(("width", "shift"), [(1.0, 0.0), (1.0, 0.5), (2.0, 0.0), (0.5, -1.0)])
def test_z_scores_of_gaussian_posteriors_are_gaussian(gaussian, width, shift):
    n, k = 1000, 399
    made = gaussian(n, k + 1, width=width, shift=shift)
    scores = posterior_z_score(made.draws, made.theta)
    # A normal numerator over an independent chi of k degrees of freedom.
    mean, variance = shift / width, 1 / width**2 + 1 / (k + 1)
    inverse = np.sqrt(k / 2) * np.exp(gammaln((k - 1) / 2) - gammaln(k / 2))
    expected = mean * inverse
    spread = (variance + mean**2) * k / (k - 2) - expected**2
    np.testing.assert_allclose(scores.mean(axis=0), expected, atol=4 * np.sqrt(spread / n))
    error = 4 * np.sqrt((2 + 6 / (k - 4)) / n)
    np.testing.assert_allclose(scores.var(axis=0, ddof=1), spread, rtol=error)


def test_draws_that_are_all_equal_are_infinitely_off_or_undefined():
    scores = posterior_z_score(np.full((3, 5, 1), 2.0), [[1.0], [3.0], [2.0]])
    assert scores[0] == np.inf
    assert scores[1] == -np.inf
    assert np.isnan(scores[2])


def test_tables_give_what_arrays_give(gaussian, as_table):
    made = gaussian(6, 5)
    table = as_table(made.draws, ["a", "b"])
    theta = pd.DataFrame(made.theta, columns=["a", "b"])
    for function in (posterior_contraction, posterior_z_score):
        # Tables are in another memory order, so sums are rounded in another way.
        np.testing.assert_allclose(
            function(table, theta), function(made.draws, made.theta), rtol=1e-12
        )


DRAWS, PRIOR = np.zeros((3, 5, 2)), np.arange(8.0).reshape(4, 2)


@pytest.mark.parametrize(
    ("prior", "match"),
    [
        (PRIOR[:1], r"prior_draws must have at least 2 row.*\(1, 2\)"),
        (PRIOR[:, :1], "draws and prior_draws must have as many columns, got 2 and 1"),
        (PRIOR * [1, 0] + [0, 7], "prior_draws must vary .* got 7.0 throughout column 1"),
        (PRIOR + np.inf, "prior_draws must be finite, got inf in row 0, column 0"),
    ],
)
def test_bad_prior_draws_are_refused(prior, match):
    with pytest.raises(ValueError, match=match):
        posterior_contraction(DRAWS, prior)


def test_rounding_does_not_hide_a_constant_prior():
    with pytest.raises(ValueError, match=r"prior_draws must vary.*got 0\.1 throughout column 0"):
        posterior_contraction(np.zeros((2, 5, 1)), np.full((1000, 1), 0.1))
