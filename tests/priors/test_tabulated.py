"""Distributions whose quantiles scipy searches for: a table that agrees, in a moment."""

import pickle
import time
import warnings

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.special import ndtr

from sksbi.priors import check_prior
from sksbi.priors.tabulated import Tabulated, is_searched, quiet

SEARCHED = {
    "vonmises_line": stats.vonmises_line(3.99, loc=1, scale=2),
    "foldnorm": stats.foldnorm(1.95),
    "exponnorm": stats.exponnorm(1.5, scale=3),
    "argus": stats.argus(1.0),
    "norminvgauss": stats.norminvgauss(1.25, 0.5),
    "geninvgauss": stats.geninvgauss(2.3, 1.5),
    "recipinvgauss": stats.recipinvgauss(0.63),
    "skewnorm": stats.skewnorm(4.0, loc=-2),
    "genhyperbolic": stats.genhyperbolic(0.5, 1.5, -0.5),
    "triang": stats.triang(0.16, loc=3, scale=2),
    "loguniform": stats.loguniform(1e-3, 1),
    "rel_breitwigner": stats.rel_breitwigner(36.5),
    "arcsine": stats.arcsine(),
}
every_searched = pytest.mark.parametrize("spec", SEARCHED.values(), ids=SEARCHED)


@every_searched
def test_the_table_agrees_with_scipy(spec: object) -> None:
    assert is_searched(spec)
    table = Tabulated(spec)
    assert table.is_table
    q = np.array([0.001, 0.02, 0.2, 0.4, 0.6, 0.9, 0.99])
    with quiet():
        expected = spec.ppf(q)
    np.testing.assert_allclose(table.ppf(q), expected, rtol=1e-7)
    np.testing.assert_allclose(table.isf(1 - q), expected, rtol=1e-7)
    np.testing.assert_allclose(table.cdf(expected), q, rtol=2e-8)


@every_searched
def test_ten_thousand_quantiles_take_a_moment_and_no_warning(spec: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prior = check_prior([spec])
        z = np.random.default_rng(0).standard_normal((10_000, 1))
        start = time.process_time()
        theta = prior.from_unbounded(z)
        again = prior.to_unbounded(theta)
        prior.sample(10_000, 0)
        assert time.process_time() - start < 0.5
    np.testing.assert_allclose(again, z, atol=1e-7)


@pytest.mark.parametrize("name", ["skewnorm", "norminvgauss", "recipinvgauss", "foldnorm"])
def test_tails_keep_their_digits(name: str) -> None:
    """Eight standard deviations out scipy's 1 - F has one digit, and an integral all."""
    spec = SEARCHED[name]
    table = Tabulated(spec)
    x = table.isf(ndtr(-8.0))
    width = x - table.isf(ndtr(-7.9))
    mass, _ = quad(lambda t: np.exp(spec.logpdf(t)), x, x + 60 * width, epsabs=0, epsrel=1e-9)
    assert mass == pytest.approx(ndtr(-8.0), rel=1e-6)


def test_the_upper_end_of_a_triangle_is_a_square() -> None:
    """1 - F = (1 - x)^2 / (1 - c), where scipy has 1 minus what is nearly 1."""
    table = Tabulated(stats.triang(0.25))
    x = 1 - 2.0 ** -np.arange(5, 35)
    np.testing.assert_allclose(table.sf(x), (1 - x) ** 2 / 0.75, rtol=1e-6)


def test_a_pickle_holds_no_table_and_gives_the_same_numbers() -> None:
    prior = check_prior([stats.exponnorm(1.5)])
    theta = prior.from_unbounded([[0.3], [-2.0]])
    stored = pickle.dumps(prior)
    assert len(stored) < 20_000
    np.testing.assert_array_equal(pickle.loads(stored).from_unbounded([[0.3], [-2.0]]), theta)


def test_a_users_own_distribution_has_a_table_of_its_own() -> None:
    """p(x) = 2 x on (0, 1): F = x^2. Another instance has other numbers."""

    class Ramp(stats.rv_continuous):
        def __init__(self, power: float = 2.0, **options: object) -> None:
            super().__init__(**{"a": 0.0, "b": 1.0} | options)
            self.power = power

        def _updated_ctor_param(self) -> dict[str, object]:
            return super()._updated_ctor_param() | {"power": self.power}

        def _pdf(self, x: object) -> object:
            return self.power * x ** (self.power - 1)

    for power in (2.0, 3.0):
        table = Tabulated(Ramp(power)())
        np.testing.assert_allclose(
            table.ppf([0.25, 0.5]), [0.25 ** (1 / power), 0.5 ** (1 / power)]
        )


def test_a_stable_distribution_is_interpolated() -> None:
    """Integrals of scipy's cost seconds; of a Cauchy distribution, alpha = 1, all is known."""
    table = Tabulated(stats.levy_stable(1.0, 0.0))
    x = np.array([-30.0, -1.0, 0.5, 4.0])
    np.testing.assert_allclose(table.cdf(x), stats.cauchy().cdf(x), rtol=1e-6)
    np.testing.assert_allclose(table.logpdf(x), stats.cauchy().logpdf(x), atol=1e-5)


def test_what_has_no_table_is_asked_of_scipy_in_silence() -> None:
    spec = stats.jf_skew_t(8, 4)
    table = Tabulated(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(table.ppf([0.1, 0.9]), spec.ppf([0.1, 0.9]))


def test_what_scipy_cannot_evaluate_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"prior\['a'\] must be a distribution that scipy can"):
        check_prior({"a": stats.ncf(27, 27, 0.4)})
