"""Distributions whose quantiles scipy searches for: a table that agrees, in a moment."""

import pickle
import time
import warnings

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import IntegrationWarning, quad
from scipy.special import ndtr

from sksbi.priors import check_prior, tabulated
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


def stable(parameterization: str, *args: float) -> object:
    """Freeze a stable distribution in one of scipy's two ways."""
    spec = stats.levy_stable(*args)
    spec.dist.parameterization = parameterization
    return spec


def test_a_table_is_of_the_instance_as_it_is_set() -> None:
    """S0 has its location elsewhere: F_0(x) = F_1(x + beta tan(pi alpha / 2)) of S1."""
    x = np.array([-2.0, 0.0, 1.0, 5.0])
    shift = 0.5 * np.tan(0.75 * np.pi)
    tables = [Tabulated(stable(name, 1.5, 0.5)) for name in ("S1", "S0", "S1")]
    assert all(table.is_table for table in tables)
    np.testing.assert_allclose(tables[1].cdf(x), tables[0].cdf(x + shift), rtol=1e-8)
    np.testing.assert_allclose(tables[1].logpdf(x), tables[0].logpdf(x + shift), atol=1e-7)
    np.testing.assert_allclose(np.exp(tables[1].logpdf(x)), stable("S0", 1.5, 0.5).pdf(x))
    np.testing.assert_array_equal(tables[2].cdf(x), tables[0].cdf(x))


def test_a_table_is_of_the_family_as_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting of the class, too, makes other tables."""
    first = Tabulated(stats.levy_stable(1.5, 0.5))
    assert first.is_table
    monkeypatch.setattr(type(stats.levy_stable), "quad_eps", 1e-10)
    second = Tabulated(stats.levy_stable(1.5, 0.5))
    assert second.is_table
    assert second._table is not first._table
    assert Tabulated(stats.levy_stable(1.5, 0.5))._table is second._table


def test_an_instance_with_a_density_of_its_own_has_its_own_table() -> None:
    """What is put in place of scipy's density is tabulated: 2 (1 - x) on (0, 1)."""
    spec = stats.triang(0.5)
    spec.dist._logpdf = lambda x, c: np.log(2 * (1 - x))
    spec.dist._pdf = lambda x, c: 2 * (1 - x)
    spec.dist._cdf = lambda x, c: 1 - (1 - x) ** 2
    spec.dist._ppf = lambda q, c: 1 - np.sqrt(1 - q)
    assert Tabulated(stats.triang(0.5)).ppf(0.75) == pytest.approx(1 - np.sqrt(0.125))
    assert Tabulated(spec).ppf(0.75) == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["S0", "S1"])
def test_a_stable_density_is_the_slope_of_its_distribution_function(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At alpha = 1 scipy shifts F by the scale in S1, and its log density not."""
    monkeypatch.setattr(
        tabulated, "build", lambda *_, **options: None
    )  # none passes, after seconds
    spec = stable(name, 1.0, 0.4, 1.0, 3.0)
    table, x = Tabulated(spec), np.array([-4.0, 0.0, 1.0, 3.0, 9.0])
    np.testing.assert_allclose(table.cdf(x), spec.cdf(x), rtol=1e-7)
    np.testing.assert_allclose(np.exp(table.logpdf(x)), spec.pdf(x), rtol=1e-6)
    np.testing.assert_allclose(table.cdf(table.ppf(np.array([0.1, 0.7]))), [0.1, 0.7], atol=1e-7)
    assert spec.dist.parameterization == name


class Fixed:
    """A generator that draws the same each time."""

    def __init__(self, z: float) -> None:
        self.z = z

    def standard_normal(self, size: int) -> object:
        return np.full(size, self.z)


@pytest.mark.parametrize("z", [-9.0, 8.0, 9.0])
def test_draws_reach_into_both_tails(z: float) -> None:
    """Through Phi(9), which is 1 in floats, the draw would be at infinity."""
    table = Tabulated(SEARCHED["rel_breitwigner"])
    tail = table.cdf if z < 0 else table.sf
    np.testing.assert_allclose(tail(table.rvs(1, Fixed(z))), ndtr(-abs(z)), rtol=1e-6)


def test_a_density_with_a_table_leaves_the_warning_filters_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = SEARCHED["skewnorm"]
    table = Tabulated(spec)
    assert table.is_table
    monkeypatch.setattr(warnings, "catch_warnings", None)
    np.testing.assert_allclose(table.logpdf([-2.0]), np.log(2 * stats.norm.pdf(0) * 0.5))


def test_warnings_of_a_users_density_stay_inside() -> None:
    """p(x) = 2 x, whose own integration warns at every call."""

    class Loud(stats.rv_continuous):
        def _pdf(self, x: object) -> object:
            warnings.warn("slow", IntegrationWarning, stacklevel=2)
            return 2 * x

    prior = check_prior([Loud(a=0.0, b=1.0)()])
    np.testing.assert_allclose(prior.log_prob([[0.25]]), np.log(0.5))
    assert prior.sample(3, 0).shape == (3, 1)
