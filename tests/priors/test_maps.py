"""The maps by the support: known values, both tails, and the far tail of the quantile map."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import logit

from sksbi.priors import check_prior
from sksbi.priors.base import floats_inside
from sksbi.priors.maps import BoxMap
from sksbi.priors.tails import Cauchy

LOW = [-np.inf, 2.0, -np.inf, 1.0]
HIGH = [np.inf, np.inf, 3.0, 5.0]


def test_the_kind_of_map_follows_from_the_bounds() -> None:
    theta = np.array([[0.7, 2.5, 2.0, 2.0]])
    expected = [[0.7, np.log(0.5), -np.log(1.0), logit(0.25)]]
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(BoxMap(LOW, HIGH).to_unbounded(theta), expected, atol=1e-15)


def test_the_determinant_of_the_box_map_is_the_product_of_the_derivatives() -> None:
    theta = np.array([[0.7, 2.5, 2.0, 2.0]])
    box = BoxMap(LOW, HIGH)
    with np.errstate(all="ignore"):
        got = box.log_abs_det_jacobian(theta, box.to_unbounded(theta))
    np.testing.assert_allclose(got, np.log(1 / 0.5) + np.log(1 / 1.0) + np.log(4 / (1 * 3)))


@pytest.mark.parametrize("z", [-30.0, 30.0])
def test_the_logit_keeps_both_tails(z: float) -> None:
    box = BoxMap([-1.0], [0.0]) if z > 0 else BoxMap([0.0], [1.0])
    np.testing.assert_allclose(box.to_unbounded(box.from_unbounded([[z]])), [[z]], rtol=1e-12)


@pytest.mark.parametrize("z", [-36.0, -20.0, 20.0, 36.0])
@pytest.mark.parametrize(
    "distribution", [stats.norm(0, 3), stats.cauchy(1, 2), stats.laplace(), stats.logistic()]
)
def test_the_quantile_map_keeps_both_tails(distribution: object, z: float) -> None:
    prior = check_prior([distribution])
    np.testing.assert_allclose(prior.to_unbounded(prior.from_unbounded([[z]])), [[z]], rtol=1e-12)


def test_the_cauchy_distribution_is_scipys() -> None:
    ours, theirs = Cauchy(3, 0.5), stats.cauchy(3, 0.5)
    x, q = np.array([-1e3, 2.0, 3.0, 3.4, 1e3]), np.array([1e-6, 0.3, 0.5, 0.9])
    for name in ("cdf", "sf", "logpdf"):
        np.testing.assert_allclose(getattr(ours, name)(x), getattr(theirs, name)(x), rtol=1e-9)
    for name in ("ppf", "isf"):
        np.testing.assert_allclose(getattr(ours, name)(q), getattr(theirs, name)(q), rtol=1e-9)


def test_the_uniform_keeps_the_tail_that_touches_zero() -> None:
    prior = check_prior([stats.uniform(-1, 1)])
    z = np.array([[9.0], [20.0], [36.0]])
    np.testing.assert_allclose(prior.to_unbounded(prior.from_unbounded(z)), z, rtol=1e-12)


@pytest.mark.parametrize("distribution", [stats.norm(1, 0.5), stats.lognorm(1, scale=10)])
@pytest.mark.parametrize("z", [-40.0, 40.0, 100.0])
def test_normal_and_lognormal_have_no_end(distribution: object, z: float) -> None:
    prior = check_prior([distribution])
    np.testing.assert_allclose(prior.to_unbounded(prior.from_unbounded([[z]])), [[z]], rtol=1e-12)


@pytest.mark.parametrize(
    ("by_position", "by_name"),
    [
        (stats.norm(1, 2), stats.norm(scale=2, loc=1)),
        (stats.lognorm(0.5, 1, 2), stats.lognorm(scale=2, s=0.5, loc=1)),
    ],
)
def test_parameters_are_read_however_they_were_passed(by_position: object, by_name: object) -> None:
    theta = check_prior([by_position]).sample(5, random_state=0)
    np.testing.assert_array_equal(
        check_prior([by_position]).to_unbounded(theta), check_prior([by_name]).to_unbounded(theta)
    )


def test_where_the_quantiles_of_scipy_break_the_map_ends_before() -> None:
    prior = check_prior([stats.cosine()])
    theta = prior.from_unbounded([[9.0], [11.0], [20.0]])
    assert theta[0] < theta[1] == theta[2]


def test_floats_inside_are_the_neighbours_of_the_bounds() -> None:
    first, last = floats_inside([0.0, -np.inf], [1000.0, np.inf])
    np.testing.assert_array_equal(first, [5e-324, -np.finfo(float).max])
    np.testing.assert_array_equal(last, [np.nextafter(1000.0, 0), np.finfo(float).max])


def test_floats_inside_of_float32_are_inside_as_float32_too() -> None:
    first, last = floats_inside([1000.0], [1001.0], np.float32)
    assert np.float32(first[0]) > 1000
    assert np.float32(last[0]) < 1001
