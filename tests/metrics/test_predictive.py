"""Distances of posterior predictive simulations: their definition, scales, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sksbi.metrics import predictive_distance


def naive_distance(simulated, observed, scale):
    """Compute one observation's median with loops only."""
    away = [
        sum(((row[j] - observed[j]) / scale[j]) ** 2 for j in range(len(row))) ** 0.5
        for row in simulated
    ]
    return sorted(away)[len(away) // 2]


SIMULATED = np.random.default_rng(0).normal(size=(4, 21, 3)) * [1, 10, 100]
OBSERVED = np.random.default_rng(1).normal(size=(4, 3)) * [1, 10, 100]


@pytest.mark.parametrize("scale", [None, [1.0, 10.0, 100.0]])
def test_it_is_the_median_of_scaled_distances(scale):
    naive = [
        naive_distance(*rows, [1, 1, 1] if scale is None else scale)
        for rows in zip(SIMULATED, OBSERVED, strict=True)
    ]
    together = predictive_distance(SIMULATED, OBSERVED, scale=scale)
    np.testing.assert_allclose(together, naive, rtol=1e-12)
    alone = [
        predictive_distance(*rows, scale=scale) for rows in zip(SIMULATED, OBSERVED, strict=True)
    ]
    assert all(isinstance(distance, float) for distance in alone)
    np.testing.assert_array_equal(together, alone)


def test_of_gaussian_noise_it_is_the_median_of_a_chi():
    n_samples, n_features, sd = 10_000, 3, 2.0
    noise = np.random.default_rng(0).normal(scale=sd, size=(n_samples, n_features))
    median = stats.chi.median(n_features)
    error = 0.5 / np.sqrt(n_samples) / stats.chi.pdf(median, n_features)
    distance = predictive_distance(noise + 7, np.full(n_features, 7.0), scale=[sd] * n_features)
    assert abs(distance - median) < 4 * error


def test_the_exact_posterior_predicts_nearer_than_wrong_ones(gaussian):
    rng = np.random.default_rng(0)

    def distances(**wrong):
        made = gaussian(200, 200, **wrong)
        return predictive_distance(rng.normal(made.draws), made.x)

    exact = distances()
    for wrong in ({"shift": 2.0}, {"width": 3.0}, {"is_prior": True}):
        farther = distances(**wrong) - exact
        assert farther.mean() > 4 * farther.std(ddof=1) / np.sqrt(len(farther))


def test_tables_give_what_arrays_give():
    columns = ["a", "b", "c"]
    expected = predictive_distance(SIMULATED[0], OBSERVED[0])
    table, series = pd.DataFrame(SIMULATED[0], columns=columns), pd.Series(OBSERVED[0], columns)
    assert predictive_distance(table, series) == expected
    assert predictive_distance(SIMULATED[0].tolist(), OBSERVED[0].tolist()) == expected
    batch = predictive_distance(SIMULATED, pd.DataFrame(OBSERVED, columns=columns))
    np.testing.assert_array_equal(batch, predictive_distance(SIMULATED, OBSERVED))


WITH_NAN = np.where(np.arange(63).reshape(21, 3) == 7, np.nan, SIMULATED[0])


@pytest.mark.parametrize(
    ("simulated", "observed", "scale", "error", "match"),
    [
        (SIMULATED[0], OBSERVED, None, ValueError, r"x_simulated must .* \(21, 3\) and \(4, 3\)"),
        (SIMULATED, OBSERVED[0], None, ValueError, r"got \(4, 21, 3\) and \(3,\)"),
        (SIMULATED[0], OBSERVED[0, :2], None, ValueError, r"got \(21, 3\) and \(2,\)"),
        (SIMULATED[0, 0], OBSERVED[0], None, ValueError, r"got \(3,\) and \(3,\)"),
        (SIMULATED[0, :0], OBSERVED[0], None, ValueError, r"got \(0, 3\) and \(3,\)"),
        (WITH_NAN, OBSERVED[0], None, ValueError, "x_simulated must be finite, got nan"),
        (SIMULATED[0], OBSERVED[0], [1, 0, 1], ValueError, r"scale must be 3 .* got \[1, 0, 1\]"),
        (SIMULATED[0], OBSERVED[0], [1, 1], ValueError, r"scale must be 3 .* got \[1, 1\]"),
        ([["a"]], [1.0], None, TypeError, "x_simulated must hold real numbers, got list"),
        ([[1.0]], ["a"], None, TypeError, "x must hold real numbers, got list"),
    ],
)
def test_bad_input_is_refused(simulated, observed, scale, error, match):
    with pytest.raises(error, match=match):
        predictive_distance(simulated, observed, scale=scale)


def test_an_observation_is_put_in_the_order_of_its_names():
    simulated = pd.DataFrame(np.zeros((4, 2)), columns=["a", "b"])
    simulated["b"] += 1.0
    for x in ({"a": 3.0, "b": 5.0}, {"b": 5.0, "a": 3.0}):
        assert predictive_distance(simulated, x) == 5.0
    with pytest.raises(ValueError, match="x and x_simulated must have the same columns"):
        predictive_distance(simulated, {"b": 4.0, "c": 3.0})
