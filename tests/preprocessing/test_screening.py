"""Screening: noise is left out at the stated rates, and nothing that tells of theta is."""

import warnings
from itertools import product

import numpy as np
import pytest
from scipy import stats

from sksbi.preprocessing.screening import few_valued_columns, relevant_columns

N, NOISE = 2000, 30
DISTRIBUTIONS = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "uniform": lambda rng, shape: rng.uniform(size=shape),
    "exponential": lambda rng, shape: rng.exponential(size=shape),
    "signs": lambda rng, shape: rng.choice([-1.0, 1.0], shape),
    "t of 3": lambda rng, shape: rng.standard_t(3, shape),
    "cauchy": lambda rng, shape: rng.standard_cauchy(shape),
    "lognormal": lambda rng, shape: rng.lognormal(sigma=2, size=shape),
}


def beside_noise(*columns: np.ndarray, seed: int = 9, noise: int = NOISE) -> np.ndarray:
    """Set columns before columns of noise."""
    rng = np.random.default_rng(seed)
    return np.column_stack([*columns, rng.normal(size=(len(columns[0]), noise))])


def drawn(seed: int, *names: str) -> list[np.ndarray]:
    """Draw normal columns."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=N) for _ in names]


def only(x: np.ndarray, theta: np.ndarray, n_relevant: int) -> bool:
    """Judge whether the first columns are kept, and of the noise no more than the rate allows."""
    kept = relevant_columns(x, theta.reshape(len(x), -1))
    n_noise = x.shape[1] - n_relevant
    # Each column of noise has a probability of 0.02; 1e-6 more than so many have.
    most = stats.binom.isf(1e-6, n_noise, 0.021)
    return bool(kept[:n_relevant].all()) and kept[n_relevant:].sum() <= most


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("n", [600, 4000])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
def test_independent_columns_are_left_out_at_the_stated_rate(
    distribution: object, n: int, d: int
) -> None:
    """Each with twice 0.01, and all with 1e-3, whatever the tails: 400 columns in ten tables."""
    false_alarms, rng = 0, np.random.default_rng(0)
    for _ in range(10):
        x, theta = distribution(rng, (n, 41)), distribution(rng, (n, d))
        x[:, 0] = theta[:, 0]
        kept = relevant_columns(x, theta)
        assert kept[0]
        false_alarms += kept[1:].sum()
    assert false_alarms <= stats.binom.isf(1e-4, 400, 0.021)


def test_the_rate_of_false_alarms_is_not_zero() -> None:
    """Weakly related columns are wanted: among the independent, two in a hundred are kept."""
    false_alarms, rng = 0, np.random.default_rng(1)
    for _ in range(20):
        x, theta = rng.normal(size=(600, 101)), rng.normal(size=(600, 1))
        x[:, 0] = theta[:, 0]
        false_alarms += relevant_columns(x, theta)[1:].sum()
    assert false_alarms >= stats.binom.ppf(1e-3, 2000, 0.015)


@pytest.mark.parametrize("strength", [1.0, 0.2])
def test_a_linear_relation_is_kept(strength: float) -> None:
    """At 0.2 the statistic is 0.2 sqrt(2000) = 8.8 standard errors."""
    theta, noise = drawn(0, "theta", "noise")
    assert only(beside_noise(strength * theta + noise), theta, 1)


def test_a_weak_relation_that_is_only_possible_is_kept() -> None:
    """At 4 standard errors it misses what is certain over all tests, 6, and passes its own, 3."""
    kept = 0
    for seed in range(20):
        theta, noise = drawn(seed, "theta", "noise")
        x = beside_noise(4 / np.sqrt(N) * theta + noise, seed=100 + seed)
        x = np.column_stack([x, theta])
        kept += relevant_columns(x, theta[:, None])[0]
    # Power is P(Z > 3.02 - 4) = 0.84.
    assert kept >= stats.binom.ppf(1e-3, 20, 0.8)


RELATIONS = {
    "variance": lambda theta, e: np.exp(0.5 * theta) * e,
    "variance of either sign": lambda theta, e: theta * e,
    "square": lambda theta, e: theta**2 + 0.3 * e,
    "cosine": lambda theta, e: np.cos(2 * theta) + 0.3 * e,
    "saturated": lambda theta, e: np.tanh(5 * theta) + e,
    "heavy tails": lambda theta, e: theta + 0.3 * np.tan(np.pi * (stats.norm.cdf(e) - 0.5)),
    "counts": lambda theta, e: np.floor(np.exp(0.7 * theta) + np.abs(e)),
    "sign": lambda theta, e: np.sign(theta + e),
}


@pytest.mark.parametrize("relation", RELATIONS.values(), ids=RELATIONS)
def test_a_relation_that_is_not_linear_is_kept(relation: object) -> None:
    theta, noise = drawn(1, "theta", "noise")
    assert only(beside_noise(relation(theta, noise)), theta, 1)


def test_a_reading_of_the_background_is_kept() -> None:
    """By itself it is independent of theta; beside x0 it gives theta exactly."""
    theta, background = drawn(2, "theta", "background")
    x = beside_noise(background, theta + background)
    assert abs(np.corrcoef(background, theta)[0, 1]) < 3 / np.sqrt(N)
    assert only(x, theta, 2)
    # Where x holds nothing that the background disturbs, it is noise like the rest.
    assert not relevant_columns(beside_noise(background, theta), theta[:, None])[0]


def test_a_chain_of_readings_is_kept_to_its_end() -> None:
    """Each is related to its neighbours only, and the last to theta."""
    theta, *noise = drawn(3, *"tabcd")
    a, b, c, d = noise
    assert only(beside_noise(d, c + d, b + c, a + b, theta + a), theta, 5)


def test_a_sign_that_matters_through_a_product_is_kept() -> None:
    """With theta symmetric, theta s and s are each independent of theta, and of one another."""
    rng = np.random.default_rng(4)
    theta, sign = rng.normal(size=N), rng.choice([-1.0, 1.0], N)
    assert only(beside_noise(theta * sign, sign), theta, 2)
    # Without magnitudes in theta, nothing but the product tells of it.
    theta = rng.choice([-1.0, 1.0], N)
    assert only(beside_noise(theta * sign, sign), theta, 2)


@pytest.mark.parametrize("gaps", [False, True])
def test_how_good_the_others_are_is_kept(gaps: bool) -> None:
    """Twelve readings of theta, and the logarithm of their noise: it changes variances alone."""
    found = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        theta, log_sd = rng.normal(size=N), rng.uniform(np.log(0.1), 0, N)
        readings = theta[:, None] + np.exp(log_sd)[:, None] * rng.normal(size=(N, 12))
        missing = rng.random((N, 12)) < 0.15 * gaps
        readings[missing] = 0
        x = np.column_stack([readings, missing * 1.0, log_sd])
        found += relevant_columns(x, theta[:, None])[-1]
    assert found >= 18


def test_few_values_are_counted_over_all_rows() -> None:
    rng = np.random.default_rng(0)
    rare = np.arange(N) == 1_500
    columns = [rng.normal(size=N), rng.integers(0, 10, N), rng.integers(0, 11, N), rare, rare * 0]
    late = np.where(np.arange(N) < 1_000, 0.0, rng.normal(size=N))
    few = few_valued_columns(np.column_stack([*columns, late]))
    assert few.tolist() == [False, True, False, True, False, False]
    many = rng.integers(0, 2, (N, 12)).astype(float)
    assert few_valued_columns(many[:, :11]).all()
    assert not few_valued_columns(many).any()


def test_any_of_several_parameters_is_enough() -> None:
    theta = np.random.default_rng(5).normal(size=(N, 4))
    assert only(beside_noise(*theta.T[::-1]), theta, 4)


def test_order_and_scale_of_the_columns_are_of_no_account() -> None:
    theta, b, noise = drawn(6, *"tbn")
    x = beside_noise(theta + b, b, theta * noise)
    kept = relevant_columns(x, theta[:, None])
    rng = np.random.default_rng(0)
    order = rng.permutation(x.shape[1])
    scales, shifts = 10.0 ** rng.integers(-6, 7, len(order)), rng.normal(size=len(order))
    changed = (x * rng.choice([-1, 1], len(order)) + shifts) * scales
    np.testing.assert_array_equal(relevant_columns(changed, -7 * theta[:, None] + 3), kept)
    np.testing.assert_array_equal(relevant_columns(x[:, order], theta[:, None]), kept[order])


def bits(n_bits: int) -> np.ndarray:
    """Give all the rows of -1 and +1: columns are exactly independent."""
    return np.array(list(product([-1.0, 1.0], repeat=n_bits)))


def test_where_nothing_is_relevant_everything_is_kept() -> None:
    table = bits(13)
    assert relevant_columns(table[:, 1:], table[:, :1]).all()


def test_where_one_is_relevant_the_rest_is_left_out() -> None:
    """Exactly, as all other moments are zero: the law above is no law of doing nothing."""
    table = bits(13)
    x = np.column_stack([table[:, 1:], table[:, 0]])
    np.testing.assert_array_equal(relevant_columns(x, table[:, :1]), np.arange(13) == 12)
    x[:, 12] = table[:, 0] * table[:, 1]
    kept = relevant_columns(x, table[:, :1])
    np.testing.assert_array_equal(np.flatnonzero(kept), [0, 12])


@pytest.mark.parametrize("value", [0.0, 1.0, -1e9, 1 / 3])
def test_constant_columns_are_left_out_silently(value: float) -> None:
    theta, noise = drawn(7, "theta", "noise")
    x = beside_noise(theta + noise)
    with_constants = np.column_stack([np.full(N, value), x, np.full(N, value)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept = relevant_columns(with_constants, theta[:, None])
    assert not kept[[0, -1]].any()
    np.testing.assert_array_equal(kept[1:-1], relevant_columns(x, theta[:, None]))


def test_a_constant_parameter_and_constant_x_keep_everything() -> None:
    x = beside_noise(np.zeros(N))
    assert relevant_columns(x, np.full((N, 2), 3.0)).all()
    assert relevant_columns(np.ones((N, 20)), drawn(8, "theta")[0][:, None]).all()


@pytest.mark.parametrize(
    ("n", "columns", "screened"),
    [
        (499, 40, False),
        (500, 40, True),
        (2000, 11, False),
        (2000, 12, True),
        (600, 1000, True),
        (600, 1001, False),
        (1, 40, False),
        (2000, 0, False),
    ],
)
def test_small_and_very_wide_tables_are_left_whole(n: int, columns: int, screened: bool) -> None:
    rng = np.random.default_rng(0)
    x, theta = rng.normal(size=(n, columns)), rng.normal(size=(n, 1))
    x[:, :1] = theta[:, : min(columns, 1)]
    kept = relevant_columns(x, theta)
    assert kept.shape == (columns,)
    assert kept.dtype == bool
    assert kept.all() == (not screened)
    assert columns == 0 or kept[0]


def test_only_the_first_20_000_rows_are_looked_at() -> None:
    rng = np.random.default_rng(0)
    x, theta = rng.normal(size=(21_000, 13)), rng.normal(size=(21_000, 1))
    x[:, 0] = theta[:, 0]
    expected = relevant_columns(x[:20_000], theta[:20_000])
    x[20_000:, 1] = 1e3 * theta[20_000:, 0]
    np.testing.assert_array_equal(relevant_columns(x, theta), expected)


def test_inputs_stay_as_they_are() -> None:
    theta, noise = drawn(9, "theta", "noise")
    x, theta = beside_noise(theta + noise), theta[:, None]
    before = x.copy(), theta.copy()
    relevant_columns(x, theta)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(theta, before[1])


def test_integers_and_float32_are_taken() -> None:
    theta, noise = drawn(10, "theta", "noise")
    x = np.round(10 * beside_noise(theta + noise))
    expected = relevant_columns(x, theta[:, None])
    np.testing.assert_array_equal(relevant_columns(x.astype(int), theta[:, None]), expected)
    np.testing.assert_array_equal(relevant_columns(x.astype(np.float32), theta[:, None]), expected)
