"""Monotone maps: inverses, slopes by differences, and which map the data choose."""

from __future__ import annotations

import numpy as np
import pytest

from sksbi.preprocessing.monotone import MonotoneMap, choose_maps
from sksbi.utils.types import Array

MAPS = [
    MonotoneMap("identity", mean=3.0, scale=2.0),
    MonotoneMap("asinh", 1.0, 0.5, mean=-1.0, scale=0.7),
    MonotoneMap("log", 0.0, floor=0.05, mean=1.0, scale=3.0),
    MonotoneMap("log", 1.0, floor=0.25),
    MonotoneMap("sqrt", 0.875, floor=0.25, mean=2.0, scale=0.1),
]
POINTS = np.concatenate([np.linspace(-30, -0.99, 50), np.linspace(-0.97, 3, 99), [40.0, 1e4]])


@pytest.mark.parametrize("one", MAPS, ids=lambda one: f"{one.kind} {one.shift}")
def test_a_map_ascends_and_has_the_inverse_and_the_slope_that_it_tells(one: MonotoneMap) -> None:
    y, log_slope = one.forward(POINTS)
    assert (np.diff(y) > 0).all()
    np.testing.assert_allclose(one.inverse(y), POINTS, rtol=1e-9, atol=1e-9)
    h = 1e-6 * np.maximum(1.0, np.abs(POINTS))
    slope = (one.forward(POINTS + h)[0] - one.forward(POINTS - h)[0]) / (2 * h)
    # A difference over the floor, where the second derivative jumps, is off by h / floor.
    np.testing.assert_allclose(np.exp(log_slope), slope, rtol=1e-5)


@pytest.mark.parametrize("one", MAPS, ids=lambda one: f"{one.kind} {one.shift}")
def test_far_points_stay_finite_and_come_back(one: MonotoneMap) -> None:
    far = np.array([-1e12, -1e6, 1e6, 1e12])
    y, log_slope = one.forward(far)
    assert np.isfinite(y).all()
    assert np.isfinite(log_slope).all()
    np.testing.assert_allclose(one.inverse(y), far, rtol=1e-9)
    assert np.isfinite(one.inverse(np.array([-1e9, 1e9]))).all()


def test_asinh_takes_the_largest_floats() -> None:
    one = MonotoneMap("asinh", 0.0, 1.0)
    y, log_slope = one.forward(np.array([-1e300, 1e300]))
    np.testing.assert_allclose(y, [-691.468675, 691.468675], rtol=1e-8)
    np.testing.assert_allclose(log_slope, -np.log(1e300), rtol=1e-12)
    np.testing.assert_allclose(one.inverse(y), [-1e300, 1e300], rtol=1e-9)


def test_standardised_has_mean_zero_and_deviation_one() -> None:
    x = np.random.default_rng(0).lognormal(size=1000)
    y, _ = MonotoneMap("log", 0.0, floor=x.min() / 2).standardised(x).forward(x)
    assert y.mean() == pytest.approx(0, abs=1e-12)
    assert y.std() == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("value", [0.0, 7.5, -1e9])
def test_a_constant_column_is_only_shifted(value: float) -> None:
    one = MonotoneMap("identity").standardised(np.full(10, value))
    y, log_slope = one.forward(np.array([value, value + 2]))
    np.testing.assert_allclose(y, [0, 2], atol=1e-6)
    np.testing.assert_array_equal(log_slope, 0)


def made(name: str, seed: int, n: int = 4000) -> tuple[Array, Array]:
    """Make a column that depends on theta, and theta."""
    rng = np.random.default_rng(seed)
    theta, e = rng.normal(size=(n, 1)), rng.normal(size=n)
    mean = theta[:, 0]
    column = {
        "normal": mean + e,
        "far normal": 1e8 + mean + 0.5 * e,
        "lognormal": np.exp(mean + 0.5 * e),
        "small lognormal": 1e-12 * np.exp(mean + 0.5 * e),
        "cauchy": mean + e / np.abs(rng.normal(size=n)),
        "squares": (10 + mean + 0.3 * e) ** 2,
        "negative lognormal": -np.exp(mean + 0.5 * e),
    }[name]
    return column[:, None], theta


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("normal", {"identity"}),
        ("far normal", {"identity"}),
        ("lognormal", {"log"}),
        ("small lognormal", {"log"}),
        ("cauchy", {"asinh"}),
        ("squares", {"sqrt", "log"}),
        ("negative lognormal", {"asinh"}),
    ],
)
def test_the_data_choose_the_map_that_makes_errors_normal(
    name: str, kinds: set[str], seed: int
) -> None:
    column, theta = made(name, seed)
    [one] = choose_maps(column, np.zeros(1, bool), theta)
    assert one.kind in kinds


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [20, 200])
def test_few_rows_do_not_choose_by_chance(n: int, seed: int) -> None:
    column, theta = made("normal", seed, n)
    [one] = choose_maps(column, np.zeros(1, bool), theta)
    assert one.kind == "identity"


def test_counts_of_growing_mean_are_brought_to_an_even_variance() -> None:
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(4000, 1))
    counts = rng.poisson(np.exp(3 + theta[:, 0])) + rng.random(4000) - 0.5
    [one] = choose_maps(counts[:, None], np.ones(1, bool), theta)
    assert one.kind in {"sqrt", "log"}
    # The least that noise leads to is inside the map's own domain.
    assert -0.5 + one.shift >= one.floor


def test_counts_below_zero_keep_to_maps_of_the_whole_line() -> None:
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(2000, 1))
    counts = np.round(50 * theta[:, 0] + 20 * rng.normal(size=2000)) + rng.random(2000) - 0.5
    [one] = choose_maps(counts[:, None], np.ones(1, bool), theta)
    assert one.kind == "identity"


@pytest.mark.parametrize("n", [1, 2, 3])
def test_hardly_any_rows_give_some_map(n: int) -> None:
    maps = choose_maps(np.arange(2.0 * n).reshape(n, 2), np.zeros(2, bool), np.zeros((n, 1)))
    for one, column in zip(maps, np.arange(2.0 * n).reshape(n, 2).T, strict=True):
        np.testing.assert_allclose(one.inverse(one.forward(column)[0]), column, atol=1e-9)


def test_what_is_far_on_the_scale_of_a_map_is_beyond_it() -> None:
    x = np.exp(np.random.default_rng(0).normal(size=1000))
    log = MonotoneMap("log", floor=x.min() / 2).standardised(x)
    span = np.log(x.max() / x.min())
    near, far = np.exp(0.45 * span), np.exp(0.55 * span)
    asked = [x.min(), x.max(), x.max() * near, x.max() * far, 0.0, -1e-9, -1.0]
    ends = log.forward(np.array([x.min(), x.max()]))[0]
    assert log.is_beyond(np.array(asked), *ends).tolist() == [False] * 3 + [True] * 4
    plain = MonotoneMap("identity")
    asked = [-0.6, -0.4, 0.5, 1.4, 1.6]
    assert plain.is_beyond(np.array(asked), 0.0, 1.0).tolist() == [True, False, False, False, True]
