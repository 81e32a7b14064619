"""Coverage of balls around reference points: its level, its power, and what it does not see."""

import numpy as np
import pandas as pd
import pytest

from sksbi.metrics import rank_ecdf, tarp_coverage, tarp_ranks, uniformity_test


def p_values(made, repetitions, references=None):
    """Test the rows in as many parts, which are independent of each other."""
    n_draws = made.draws.shape[1]
    given = made.theta if references is None else references
    parts = (np.split(array, repetitions) for array in (made.draws, made.theta, given))
    return np.array(
        [
            uniformity_test(
                tarp_ranks(
                    draws,
                    theta,
                    references=None if references is None else points,
                    random_state=seed,
                ),
                n_draws,
            )
            for seed, (draws, theta, points) in enumerate(zip(*parts, strict=True))
        ]
    )


def naive_ranks(draws, theta, references):
    """Count with loops only."""
    width = [max(column) - min(column) for column in theta.T]

    def distance(a, b):
        return sum(((a[j] - b[j]) / width[j]) ** 2 for j in range(len(a))) ** 0.5

    return [
        sum(distance(draw, point) < distance(truth, point) for draw in some)
        for some, truth, point in zip(draws, theta, references, strict=True)
    ]


def test_ranks_are_those_of_a_naive_count(gaussian):
    made = gaussian(30, 20, d=3)
    made.draws[..., 1] *= 100
    made.theta[:, 1] *= 100
    references = np.random.default_rng(0).normal(scale=[1, 100, 1], size=(30, 3))
    ranks = tarp_ranks(made.draws, made.theta, references=references)
    np.testing.assert_array_equal(ranks, naive_ranks(made.draws, made.theta, references))


def test_random_references_lie_in_the_box_of_theta():
    # Draws on the lower corner of the box are nearer to a reference than the upper corner is where
    # the reference lies in the lower half: of one parameter, half of the time.
    n = 2000
    theta = np.ones((n, 1))
    theta[0] = 0
    ranks = tarp_ranks(np.zeros((n, 1, 1)), theta, random_state=0)[1:]
    assert abs(ranks.mean() - 0.5) < 4 * np.sqrt(0.25 / (n - 1))


def test_ranks_of_the_exact_posterior_lie_in_the_band(gaussian):
    repetitions, n, n_draws = 200, 200, 50
    made = gaussian(repetitions * n, n_draws)
    rejected = (p_values(made, repetitions) <= 0.05).mean()
    assert rejected <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / repetitions)


@pytest.mark.parametrize("width", [0.67, 1.5])
def test_posteriors_of_another_width_are_found(gaussian, width):
    assert (p_values(gaussian(20 * 500, 200, width=width), 20) <= 0.05).mean() >= 0.9


def test_the_prior_returned_as_posterior_passes_but_for_references_that_know_x(gaussian):
    repetitions = 100
    made = gaussian(repetitions * 200, 50, is_prior=True)
    rejected = (p_values(made, repetitions) <= 0.05).mean()
    assert rejected <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / repetitions)
    assert (p_values(made, repetitions, references=made.x / 2) <= 0.05).mean() >= 0.9


def test_the_exact_posterior_passes_with_references_that_know_x(gaussian):
    repetitions = 100
    made = gaussian(repetitions * 200, 50)
    rejected = (p_values(made, repetitions, references=made.x / 2) <= 0.05).mean()
    assert rejected <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / repetitions)


def test_units_of_parameters_do_not_matter(gaussian):
    made = gaussian(50, 20)
    references = np.random.default_rng(0).normal(size=(50, 2))
    unit = np.array([1024.0, 0.25])
    ranks = tarp_ranks(made.draws * unit, made.theta * unit, references=references * unit)
    np.testing.assert_array_equal(ranks, tarp_ranks(made.draws, made.theta, references=references))
    np.testing.assert_array_equal(
        tarp_ranks(made.draws * unit, made.theta * unit, random_state=3),
        tarp_ranks(made.draws, made.theta, random_state=3),
    )


def test_a_parameter_that_does_not_vary_changes_nothing(gaussian):
    made = gaussian(50, 20)
    constant = [np.full((*array.shape[:-1], 1), 3.0) for array in (made.draws, made.theta)]
    references = np.random.default_rng(0).normal(size=(50, 2))
    ranks = tarp_ranks(
        np.concatenate([made.draws, constant[0]], axis=-1),
        np.concatenate([made.theta, constant[1]], axis=-1),
        references=np.hstack([references, np.full((50, 1), 3.0)]),
    )
    np.testing.assert_array_equal(ranks, tarp_ranks(made.draws, made.theta, references=references))


@pytest.mark.parametrize("state", [lambda: 3, lambda: np.random.default_rng(3)])
def test_coverage_is_the_curve_of_the_ranks(gaussian, as_table, state):
    made = gaussian(50, 20)
    ranks = tarp_ranks(made.draws, made.theta, random_state=state())
    expected = np.stack(rank_ecdf(ranks, 20))
    for draws in (made.draws, as_table(made.draws, ["a", "b"]), made.draws.tolist()):
        curve = tarp_coverage(draws, made.theta, random_state=state())
        np.testing.assert_array_equal(np.stack(curve), expected)


@pytest.mark.parametrize(("width", "sign"), [(0.4, 1), (2.5, -1)])
def test_the_curve_tells_narrow_from_wide(gaussian, width, sign):
    made = gaussian(2000, 99, width=width)
    levels, coverage = tarp_coverage(made.draws, made.theta, random_state=0)
    low, high = sign * (coverage - levels)[[10, 90]]
    error = 4 * np.sqrt(0.1 * 0.9 / 2000)
    assert low > error
    assert high < -error


def test_tables_give_what_arrays_give(gaussian, as_table):
    made = gaussian(6, 5)
    names = ["a", "b"]
    table, theta = as_table(made.draws, names), pd.DataFrame(made.theta, columns=names)
    references = pd.DataFrame(made.x, columns=names)
    expected = tarp_ranks(made.draws, made.theta, references=made.x)
    np.testing.assert_array_equal(tarp_ranks(table, theta, references=references), expected)
    with pytest.raises(ValueError, match=r"draws and theta must have the same columns.*'b', 'a'"):
        tarp_ranks(table, theta[["b", "a"]])


@pytest.mark.parametrize("function", [tarp_ranks, tarp_coverage])
@pytest.mark.parametrize(
    ("references", "error", "match"),
    [
        (np.zeros((3, 2)), ValueError, "references must have 4 rows, one an observation, got 3"),
        (np.zeros((4, 1)), ValueError, r"references must have shape \(4, 2\), got \(4, 1\)"),
        (np.zeros(4), ValueError, r"references must be 2-d.*\(4,\)"),
        (np.full((4, 2), np.nan), ValueError, "references must be finite, got nan in row 0"),
        (np.full((4, 2), "a"), TypeError, "references must hold real numbers, got ndarray"),
    ],
)
def test_bad_references_are_refused(function, references, error, match):
    with pytest.raises(error, match=match):
        function(np.zeros((4, 5, 2)), np.arange(8.0).reshape(4, 2), references=references)


def test_a_bad_random_state_is_refused():
    with pytest.raises(ValueError, match="random_state must be .* got 'one'"):
        tarp_ranks(np.zeros((2, 5, 1)), [[0.0], [1.0]], random_state="one")


def test_references_in_another_order_are_refused():
    theta = pd.DataFrame(np.zeros((3, 2)), columns=["a", "b"])
    with pytest.raises(ValueError, match="references and theta must have the same columns"):
        tarp_ranks(np.zeros((3, 4, 2)), theta, references=theta[["b", "a"]])
