"""A density through quantiles: exact for normal ones, positive, normalised, as its draws."""

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import ndtri

from sksbi.posteriors.quantile_spline import QuantileSpline, fit_tails

RNG = np.random.default_rng(0)
SCORES = ndtri([0.03, 0.1, 0.3, 0.45, 0.7, 0.9, 0.98])
VALUES = {
    "any order": RNG.normal(size=7),
    "skewed": np.array([0.0, 0.1, 0.2, 0.4, 1.0, 3.0, 9.0]),
    "all equal": np.full(7, 0.3),
    "some equal": np.array([-1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 5.0]),
    "two modes": np.array([-5.0, -4.9, -4.8, 4.7, 4.8, 4.9, 5.0]),
}
TAILS = (1.3, 0.7)


def many(values: np.ndarray, n: int) -> QuantileSpline:
    """Repeat one density."""
    return QuantileSpline(np.repeat(values[None], n, axis=0), SCORES, TAILS)


@pytest.mark.parametrize("name", [name for name in VALUES if name != "all equal"])
def test_the_density_is_that_of_the_draws(name: str) -> None:
    """By the change of variables, the slope by differences, but where it has kinks."""
    s = np.linspace(-5, 5, 997)
    spline, step = many(VALUES[name], len(s)), 1e-6
    slope = (spline(s + step) - spline(s - step)) / (2 * step)
    smooth = np.abs(s[:, None] - SCORES).min(axis=1) > 1e-3
    expected = stats.norm.logpdf(s) - np.log(slope)
    error = np.abs(spline.log_prob(spline(s)) - expected)[smooth]
    assert (slope > 0).all()
    assert error.max() < 1e-3


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_the_density_is_positive_continuous_and_integrates_to_one(values: np.ndarray) -> None:
    spline = many(values, 400_001)
    z = spline(np.linspace(-8, 8, 400_001))
    log_q = spline.log_prob(z)
    assert np.isfinite(log_q).all()
    assert integrate.trapezoid(np.exp(log_q), z) == pytest.approx(1, abs=1e-5)
    # a jump at a knot would be one of the logarithm between neighbours
    assert np.abs(np.diff(log_q)).max() < 0.01


def test_quantiles_of_a_normal_density_give_it_whatever_the_levels() -> None:
    mean, sd = np.array([-1.0, 0.0, 30.0]), np.array([0.1, 1.0, 5.0])
    spline = QuantileSpline(mean[:, None] + sd[:, None] * SCORES, SCORES)
    for t in (-6.0, -1.0, 0.2, 1.5, 7.0):
        expected = stats.norm(mean, sd).logpdf(mean + t * sd)
        np.testing.assert_allclose(spline.log_prob(mean + t * sd), expected, rtol=1e-9)
        np.testing.assert_allclose(spline(np.full(3, t)), mean + t * sd, rtol=1e-12)


def test_its_quantiles_are_those_given() -> None:
    values = VALUES["skewed"]
    np.testing.assert_allclose(many(values, 7)(SCORES), values, rtol=1e-6, atol=1e-12)


def test_quantiles_that_cross_are_sorted() -> None:
    crossing = VALUES["any order"]
    z = np.linspace(-4, 4, 50)
    np.testing.assert_array_equal(
        many(crossing, 50).log_prob(z), many(np.sort(crossing), 50).log_prob(z)
    )


@pytest.mark.parametrize(("lower", "upper"), [(1.0, 1.0), (0.4, 2.5)])
@pytest.mark.parametrize("weighted", [False, True])
def test_tails_are_found(lower: float, upper: float, weighted: bool) -> None:
    """Of 20,000 draws 2,000 lie in each tail: the scale of so many is known to 3%."""
    scores, n = ndtri([0.1, 0.3, 0.5, 0.7, 0.9]), 20_000
    values = np.repeat(np.array([[-1.0, -0.5, 0.0, 2.0, 6.0]]), n, axis=0)
    z = QuantileSpline(values, scores, (lower, upper))(RNG.normal(size=n))
    weight = np.where(RNG.random(n) < 0.5, 0.5, 1.5) if weighted else None
    assert fit_tails(z, values, scores, weight) == pytest.approx((lower, upper), rel=0.1)


def test_without_values_in_the_tails_their_factors_are_one() -> None:
    values = np.repeat(np.array([[-1.0, 0.0, 1.0]]), 5, axis=0)
    assert fit_tails(np.zeros(5), values, np.array([-1.0, 0.0, 1.0])) == (1.0, 1.0)


def test_what_is_narrower_than_the_least_scale_grows_as_a_whole() -> None:
    narrow = VALUES["skewed"] / 1000
    scale = np.ptp(narrow) / np.ptp(SCORES)
    grown = QuantileSpline(narrow[None], SCORES, least=3 * scale)
    middle = narrow[len(SCORES) // 2]
    np.testing.assert_allclose(
        grown.values[0] - middle, 3 * (narrow - middle), rtol=1e-9, atol=0.01 * scale
    )
    same = QuantileSpline(narrow[None], SCORES, least=0.5 * scale)
    np.testing.assert_allclose(same.values[0], narrow, atol=0.01 * scale)
