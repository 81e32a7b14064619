"""What counts as far from everything that was simulated, and what does not."""

import numpy as np
import pytest

from sksbi.preprocessing import TypicalObservations

SIMULATORS = {
    "normal": lambda rng, n: rng.normal(size=(n, 3)),
    "uniform": lambda rng, n: rng.uniform(size=(n, 3)),
    "exponential": lambda rng, n: rng.exponential(size=(n, 3)),
    "cauchy": lambda rng, n: rng.standard_cauchy(size=(n, 3)),
    "lognormal": lambda rng, n: rng.lognormal(sigma=3, size=(n, 3)),
    "counts": lambda rng, n: rng.poisson(0.1, size=(n, 3)).astype(float),
    "many": lambda rng, n: rng.normal(size=(n, 150)),
    "sparse": lambda rng, n: rng.poisson(0.005, size=(n, 100)).astype(float),
    "rare": lambda rng, n: rng.poisson(0.05, size=(n, 100)).astype(float),
    "wide": lambda rng, n: rng.normal(size=(n, 80)) @ np.vander(np.linspace(0, 1, 80), 80),
    "images": lambda rng, n: rng.normal(size=(n, 4, 5)),
    "correlated": lambda rng, n: rng.normal(size=(n, 1)) + 1e-3 * rng.normal(size=(n, 3)),
}


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 200, 2000])
@pytest.mark.parametrize("name", SIMULATORS)
def test_false_alarms_are_rare(name, n):
    """One more is farther than all n in 1 of n cases, and by half as much again far more rarely."""
    rng = np.random.default_rng(0)
    n_alarms, n_fresh = 0, 2000
    for _ in range(10):
        typical = TypicalObservations(SIMULATORS[name](rng, n))
        n_alarms += typical.are_far(SIMULATORS[name](rng, n_fresh)).sum()
    assert n_alarms < 10 * n_fresh / n / 2


@pytest.mark.parametrize("name", ["normal", "uniform", "many", "correlated"])
def test_what_is_far_beyond_one_column_is_far(name):
    rng = np.random.default_rng(0)
    x = SIMULATORS[name](rng, 2000)
    typical = TypicalObservations(x)
    inside = np.median(x, axis=0)
    outside = inside.copy()
    outside[1] = x[:, 1].max() + 1.5 * np.ptp(x[:, 1])
    assert typical.are_far(np.stack([inside, outside])).tolist() == [False, True]


def test_what_breaks_a_correlation_is_far():
    rng = np.random.default_rng(0)
    typical = TypicalObservations(SIMULATORS["correlated"](rng, 2000))
    assert typical.are_far(np.array([[1.0, 1.0, 1.0], [1.0, -1.0, 1.0]])).tolist() == [False, True]
    assert "features together are" in typical.describe(np.array([[1.0, -1.0, 1.0]]))


def test_a_constant_column_has_to_have_its_value():
    x = np.column_stack([np.full(50, 0.1), np.arange(50.0)])
    typical = TypicalObservations(x)
    asked = np.array([[0.1, 10.0], [0.1 + 1e-9, 10.0], [0.2, 10.0]])
    assert typical.are_far(asked).tolist() == [False, False, True]
    assert typical.describe(asked[2:]) == "x[0] is 0.2, simulated from 0.1 to 0.1"


def test_missing_values_are_no_outliers():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 3))
    x[:100, 0] = np.nan
    typical = TypicalObservations(x)
    asked = np.array([[np.nan, 0.0, 0.0], [np.nan, np.nan, np.nan], [np.nan, 0.0, 50.0]])
    assert typical.are_far(asked).tolist() == [False, False, True]


def test_elements_are_named_by_column_or_by_place():
    rng = np.random.default_rng(0)
    table = TypicalObservations(rng.uniform(size=(100, 2)))
    assert table.describe(np.array([[0.5, 9.0]]), ["a", "b"]).startswith("'b' is 9, simulated from")
    images = TypicalObservations(rng.uniform(size=(100, 2, 3)))
    image = np.full((1, 2, 3), 0.5)
    image[0, 1, 2] = 9
    assert images.describe(image).startswith("x[1, 2] is 9,")
    assert (
        TypicalObservations(rng.uniform(size=100)).describe(np.array([9.0])).startswith("x is 9,")
    )


def test_units_do_not_matter():
    rng = np.random.default_rng(0)
    x, asked = rng.normal(size=(500, 3)), 8 * rng.normal(size=(200, 3))
    units = np.array([1e-12, 1.0, 1e9])
    far = TypicalObservations(x).are_far(asked)
    assert 0 < far.sum() < len(far)
    assert (TypicalObservations(x * units).are_far(asked * units) == far).all()


def test_of_many_rows_some_are_looked_at():
    x = np.zeros((300_000, 1))
    x[:, 0] = np.arange(len(x))
    typical = TypicalObservations(x)
    assert typical.region.low[0] == 0
    assert typical.region.high[0] > 299_980


def test_what_any_of_several_fits_has_seen_is_typical():
    rng = np.random.default_rng(0)
    places = 20.0 * np.arange(4)[:, None] * [1.0, -1.0]
    typical = TypicalObservations(places[0] + rng.normal(size=(500, 2)))
    for place in places[1:]:
        typical = typical.joined(place + rng.normal(size=(500, 2)))
    between = places[:-1] + 10.0
    assert typical.are_far(np.concatenate([places, between])).tolist() == 4 * [False] + 3 * [True]
    assert "simulated from" in typical.describe(between[:1])


def test_a_further_fit_to_the_like_changes_nothing():
    rng = np.random.default_rng(0)
    typical = TypicalObservations(rng.normal(size=(2000, 2)))
    assert typical.joined(0.5 * rng.normal(size=(500, 2))) is typical


def test_a_wider_fit_widens_what_is_typical():
    rng = np.random.default_rng(0)
    narrow = TypicalObservations(rng.normal(size=(500, 2)))
    wide = narrow.joined(9 * rng.normal(size=(500, 2)))
    asked = np.array([[0.0, 0.0], [15.0, 15.0], [90.0, 0.0]])
    assert narrow.are_far(asked).tolist() == [False, True, True]
    assert wide.are_far(asked).tolist() == [False, False, True]


def test_the_record_of_fits_is_bounded_and_covers_all():
    rng = np.random.default_rng(0)
    typical = TypicalObservations(rng.normal(size=(50, 2)))
    for k in range(1, 30):
        typical = typical.joined(30.0 * k + rng.normal(size=(50, 2)))
    assert len(typical.earlier) <= 10
    assert not any(one.earlier for one in typical.earlier)
    seen = 30.0 * np.arange(30.0)[:, None] * [1.0, 1.0]
    assert not typical.are_far(seen).any()
    assert typical.are_far(np.array([[-900.0, 0.0], [1900.0, 1900.0]])).all()
