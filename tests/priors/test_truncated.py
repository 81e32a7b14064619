"""The prior on a smaller box: closed forms of scipy, and constants known exactly."""

import copy
import pickle

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import ndtri
from torch import distributions

from sksbi.priors import Prior, UnboundedPrior, check_prior
from sksbi.priors.marginals import MarginalPrior

INF = np.inf
RHO = 0.6
MATRIX = np.array([[1.0, RHO], [RHO, 1.0]])
ORTHANT = 0.25 + np.arcsin(RHO) / (2 * np.pi)

# The distribution, the interval, and the distribution that scipy has for it.
EXACT = {
    "norm": (stats.norm(1, 2), -1, 4, stats.truncnorm(-1, 1.5, 1, 2)),
    "norm, half": (stats.norm(), 0, INF, stats.halfnorm()),
    "norm, upper tail": (stats.norm(), 8, 9, stats.truncnorm(8, 9)),
    "norm, lower tail": (stats.norm(), -9, -8, stats.truncnorm(-9, -8)),
    "norm, far tail": (stats.norm(), 30, INF, stats.truncnorm(30, INF)),
    "norm, last tail": (stats.norm(), 37, 38, stats.truncnorm(37, 38)),
    "uniform": (stats.uniform(-3, 10), 0, 2, stats.uniform(0, 2)),
    "loguniform": (stats.loguniform(1e-3, 1), 0.01, 0.5, stats.loguniform(0.01, 0.5)),
    "expon": (stats.expon(), 0, 2, stats.truncexpon(2)),
    "expon, tail": (stats.expon(), 600, INF, stats.expon(600)),
    "pareto": (stats.pareto(2), 1e3, 1e4, stats.truncpareto(2.0, 10.0, scale=1e3)),
    "powerlaw": (stats.powerlaw(0.5), 0, 0.25, stats.powerlaw(0.5, scale=0.25)),
}
every_interval = pytest.mark.parametrize(
    ("distribution", "low", "high", "truth"), EXACT.values(), ids=EXACT
)


@every_interval
def test_density_and_map_are_those_of_scipy(
    distribution: object, low: float, high: float, truth: object
) -> None:
    prior = check_prior([distribution]).truncated([low], [high])
    np.testing.assert_array_equal(prior.support, [[low], [high]])
    z = np.linspace(-3, 3, 41)[:, None]
    theta = prior.from_unbounded(z)
    # theta is rounded to a float, which moves a probability by the density times the spacing.
    rounding = 4 * truth.pdf(theta) * np.spacing(np.abs(theta))
    for ours, theirs in ((stats.norm.cdf, truth.cdf), (stats.norm.sf, truth.sf)):
        assert (np.abs(ours(z) - theirs(theta)) < 1e-9 * ours(z) + rounding).all()
    np.testing.assert_allclose(prior.log_prob(theta), truth.logpdf(theta).ravel(), rtol=1e-9)


@every_interval
def test_draws_are_those_of_scipy(
    distribution: object, low: float, high: float, truth: object
) -> None:
    prior = check_prior([distribution]).truncated([low], [high])
    theta = prior.sample(4_000, random_state=0)
    assert ((theta > low) & (theta < high)).all()
    assert stats.kstest(theta.ravel(), truth.cdf).pvalue > 1e-4
    assert stats.kstest(prior.to_unbounded(theta).ravel(), "norm").pvalue > 1e-4
    z = UnboundedPrior(prior).sample((5,), np.random.default_rng(0))
    np.testing.assert_allclose(
        UnboundedPrior(prior).log_prob(z), stats.norm.logpdf(z).ravel(), rtol=1e-12
    )


@pytest.mark.parametrize("distance", [1e-2, 1e-5, 1e-8, 1e-30, 1e-200])
@pytest.mark.parametrize(
    ("distribution", "high", "density"),
    [
        (stats.norm(), INF, np.sqrt(2 / np.pi)),
        (stats.uniform(-3, 6), 3, 1 / 3),
        (stats.laplace(-1e-300, 1), INF, 1),
        (stats.logistic(), INF, 0.5),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_next_to_a_cut_at_zero_the_map_keeps_its_digits(
    distribution: object, high: float, density: float, distance: float, sign: int
) -> None:
    """There F(t) = p(0) t (1 + O(t)), so z is known."""
    ends = np.sort([0.0, sign * high])
    prior = check_prior([distribution]).truncated(ends[:1], ends[1:])
    z = prior.to_unbounded([[sign * distance]])
    expected = sign * ndtri(density * distance)
    # An error of F, relative, is one of z divided by z^2 or more.
    np.testing.assert_allclose(z, [[expected]], rtol=distance + 1e-11)
    np.testing.assert_allclose(prior.from_unbounded(z), [[sign * distance]], rtol=1e-9)


@pytest.mark.parametrize("shape", [0.5, 2.0])
def test_a_cut_at_a_peak_or_a_gap_falls_back_on_the_distribution_function(shape: float) -> None:
    prior = check_prior([stats.dgamma(shape)]).truncated([0], [INF])
    truth = stats.gamma(shape)
    theta = truth.ppf([[1e-6], [0.1], [0.9]])
    z = ndtri(truth.cdf(theta))
    # F(theta) - F(0) is a difference of numbers of about 0.5: its error is 1e-10 of 1e-6.
    np.testing.assert_allclose(prior.to_unbounded(theta), z, atol=1e-9)
    np.testing.assert_allclose(prior.from_unbounded(z), theta, rtol=1e-8)


def test_a_narrow_interval_is_almost_uniform() -> None:
    prior = check_prior([stats.norm()]).truncated([0], [1e-12])
    theta = np.array([[1e-20], [2.5e-13], [0.5e-12], [1e-12 - 1e-20]])
    np.testing.assert_allclose(prior.log_prob(theta), np.log(1e12), rtol=1e-12)
    expected = [ndtri(1e-8), ndtri(0.25), 0, -ndtri(1e-8)]
    np.testing.assert_allclose(prior.to_unbounded(theta).ravel(), expected, atol=1e-8)


def test_a_narrow_interval_around_a_peak_is_not() -> None:
    prior = check_prior([stats.dgamma(0.5)]).truncated([-1e-12], [1e-12])
    half = stats.gamma(0.5).cdf(1e-12)
    theta = np.array([[-1e-13], [1e-13], [0.9e-12]])
    expected = stats.dgamma(0.5).logpdf(theta).ravel() - np.log(half)
    np.testing.assert_allclose(prior.log_prob(theta), expected, rtol=1e-9)
    z = ndtri(0.5 + np.sign(theta) * stats.gamma(0.5).cdf(abs(theta)) / (2 * half))
    np.testing.assert_allclose(prior.to_unbounded(theta), z, atol=1e-8)


def test_columns_that_lose_nothing_stay_as_they_are() -> None:
    spec = {"a": stats.norm(), "b": stats.uniform(0, 1), "c": stats.expon()}
    prior = check_prior(spec).truncated([-1, -5, 2], [1, 5, INF])
    assert isinstance(prior, MarginalPrior)
    assert prior.names == ["a", "b", "c"]
    assert repr(prior) == (
        "MarginalPrior(a=norm() on (-1, 1), b=uniform(0, 1), c=expon() on (2, inf))"
    )
    assert prior.log_prob_error == 0


def wedge_log_prob(theta: np.ndarray) -> np.ndarray:
    """Give the density 2 theta on (0, 1) times that of an exponential above 3."""
    return np.log(2 * theta[:, 0]) - (theta[:, 1] - 3)


class Wedge:
    """A user's object with that density."""

    names = ("slope", "wait")
    support = ([0.0, 3.0], [1.0, INF])

    def sample(self, n: int, random_state: int) -> np.ndarray:
        generator = np.random.default_rng(random_state)
        return np.column_stack([np.sqrt(generator.random(n)), 3 + generator.exponential(size=n)])

    def log_prob(self, theta: np.ndarray) -> np.ndarray:
        return wedge_log_prob(theta)


def torch_joint() -> distributions.Distribution:
    """Give the exponential of two normals as a kind that scipy's twins do not cover."""
    base = distributions.Normal(torch.zeros(2).double(), torch.ones(2).double())
    return distributions.TransformedDistribution(base, [distributions.ExpTransform()])


# The spec, the box, its exact mass, and the exact density before.
JOINT = {
    "normal, orthant": (
        stats.multivariate_normal([0, 0], MATRIX),
        ([0, 0], [INF, INF]),
        ORTHANT,
        stats.multivariate_normal([0, 0], MATRIX).logpdf,
    ),
    "t, orthant": (
        stats.multivariate_t([0, 0], MATRIX, df=4),
        ([-INF, -INF], [0, 0]),
        ORTHANT,
        stats.multivariate_t([0, 0], MATRIX, df=4).logpdf,
    ),
    "normal, small": (
        stats.multivariate_normal([0, 0], np.eye(2)),
        ([2, -1], [3, 1]),
        np.diff(stats.norm.cdf([2, 3]))[0] * np.diff(stats.norm.cdf([-1, 1]))[0],
        stats.multivariate_normal([0, 0], np.eye(2)).logpdf,
    ),
    "normal, tiny": (
        stats.multivariate_normal([0, 0], np.eye(2)),
        ([3, 1], [4, 1.5]),
        np.diff(stats.norm.cdf([3, 4]))[0] * np.diff(stats.norm.cdf([1, 1.5]))[0],
        stats.multivariate_normal([0, 0], np.eye(2)).logpdf,
    ),
    "torch": (
        torch_joint(),
        ([0.5, 0], [2, 1]),
        np.diff(stats.lognorm(1).cdf([0.5, 2]))[0] * 0.5,
        lambda t: stats.lognorm(1).logpdf(t).sum(axis=1),
    ),
    "object": (Wedge(), ([0.5, 4], [1, 5]), 0.75 * (np.exp(-1) - np.exp(-2)), wedge_log_prob),
}
every_joint = pytest.mark.parametrize(("spec", "box", "mass", "log_p"), JOINT.values(), ids=JOINT)


@every_joint
def test_the_constant_is_right_to_within_its_error(
    spec: object, box: tuple, mass: float, log_p: object
) -> None:
    prior = check_prior(spec).truncated(*box)
    assert abs(prior.acceptance - mass) < 4 * prior.acceptance_error
    theta = prior.sample(100, random_state=0)
    excess = prior.log_prob(theta) - (log_p(theta) - np.log(mass))
    assert np.ptp(excess) < 1e-10
    assert abs(excess[0]) < 4 * prior.log_prob_error
    assert 0 < prior.log_prob_error < 0.1


@every_joint
def test_draws_have_the_density_of_the_box(
    spec: object, box: tuple, mass: float, log_p: object
) -> None:
    """The mean over draws of q / p is 1 for any normalised q."""
    prior = check_prior(spec).truncated(*box)
    theta = prior.sample(min(20_000, int(mass * 2e6)), random_state=1)
    assert ((theta > box[0]) & (theta < box[1])).all()
    z = prior.to_unbounded(theta)
    center, spread = z.mean(axis=0), 0.5 * z.std(axis=0)
    log_q = stats.norm(center, spread).logpdf(z).sum(axis=1)
    weights = np.exp(log_q - UnboundedPrior(prior).log_prob(z))
    error = np.hypot(weights.std() / np.sqrt(len(weights)), prior.log_prob_error)
    assert abs(weights.mean() - 1) < 4 * error


@every_joint
def test_two_seeds_give_other_draws_and_one_constant(
    spec: object, box: tuple, mass: float, log_p: object
) -> None:
    first, second = (check_prior(spec).truncated(*box) for _ in range(2))
    assert first.acceptance == second.acceptance
    np.testing.assert_array_equal(first.sample(5, 0), second.sample(5, 0))
    assert not np.isin(first.sample(5, 0), first.sample(5, 1)).any()


def test_draws_of_a_box_are_those_of_the_truncated_marginals() -> None:
    prior = check_prior(stats.multivariate_normal([0, 0], np.eye(2))).truncated([2, -1], [3, 1])
    first, second = prior.sample(4_000, random_state=0).T
    assert stats.kstest(first, stats.truncnorm(2, 3).cdf).pvalue > 1e-4
    assert stats.kstest(second, stats.truncnorm(-1, 1).cdf).pvalue > 1e-4


def test_a_box_density_integrates_to_one_within_its_error() -> None:
    prior = check_prior(stats.multivariate_normal([1, -1], MATRIX)).truncated([0, -2], [1, 0.5])
    nodes, weights = np.polynomial.legendre.leggauss(40)
    x, y = np.meshgrid(0.5 + 0.5 * nodes, -0.75 + 1.25 * nodes, indexing="ij")
    density = np.exp(prior.log_prob(np.column_stack([x.ravel(), y.ravel()])))
    total = np.outer(0.5 * weights, 1.25 * weights).ravel() @ density
    assert abs(total - 1) < 4 * prior.log_prob_error
    assert total != pytest.approx(1, abs=1e-12)


SPECS = {
    "dict": {"a": stats.norm(), "b": stats.expon()},
    "multivariate_normal": stats.multivariate_normal([0, 1], MATRIX),
    "torch": torch_joint(),
}
every_kind = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


@every_kind
def test_twice_is_once_by_the_intersection(spec: object) -> None:
    prior = check_prior(spec)
    twice = prior.truncated([0.1, -1], [2, 3]).truncated([-1, 0.5], [1, 9])
    once = prior.truncated([0.1, 0.5], [1, 3])
    theta = once.sample(20, random_state=0)
    np.testing.assert_array_equal(twice.support, once.support)
    np.testing.assert_array_equal(twice.sample(20, random_state=0), theta)
    np.testing.assert_array_equal(twice.log_prob(theta), once.log_prob(theta))
    assert repr(twice) == repr(once)


@every_kind
def test_a_truncated_prior_is_its_own_spec_and_copies(spec: object) -> None:
    prior = check_prior(spec).truncated([0.1, 0.5], [1, 3])
    assert check_prior(prior.spec) is prior
    theta = prior.sample(5, random_state=0)
    for again in (copy.deepcopy(prior), pickle.loads(pickle.dumps(prior))):
        assert again.spec is again
        np.testing.assert_array_equal(again.sample(5, random_state=0), theta)
        np.testing.assert_array_equal(again.log_prob(theta), prior.log_prob(theta))


@every_kind
def test_a_box_around_the_support_changes_nothing(spec: object) -> None:
    prior = check_prior(spec)
    assert prior.truncated([-INF, -INF], [INF, INF]) is prior
    smaller = prior.truncated([0.1, 0.5], [1, 3])
    assert smaller.truncated([0, 0], [5, 5]) is smaller


def test_a_truncated_joint_prior_shows_what_it_is() -> None:
    prior = check_prior(Wedge()).truncated([0.5, 4], [1, INF])
    assert repr(prior).startswith("TruncatedPrior(CustomPrior(<")
    assert repr(prior).endswith(", low=[0.5, 4.0], high=[1.0, inf])")
    assert prior.names == ["slope", "wait"]


@every_kind
@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        ([0, 0], [1], r"high must have shape \(D,\) = \(2,\).*got \[1\] of shape \(1,\)"),
        (0, [1, 1], r"low must have shape \(D,\) = \(2,\).*got 0 of shape \(\)"),
        ([[0, 0]], [1, 1], r"of shape \(1, 2\)"),
        ([0, np.nan], [1, 1], r"real numbers or \+-inf, got \[0, nan\]"),
        ([0, "x"], [1, 1], r"real numbers or \+-inf, got \[0, 'x'\]"),
        ([0, 1j], [1, 1], r"real numbers or \+-inf, got \[0, 1j\]"),
        ([0, 2], [1, 2], r"must have low < high.*nothing is left of column (1|'b')"),
        ([3, 0], [1, 2], r"must have low < high.*nothing is left of column (0|'a')"),
    ],
)
def test_what_is_no_box_is_refused(spec: object, low: object, high: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_prior(spec).truncated(low, high)


@pytest.mark.parametrize(
    ("prior", "low", "high", "message"),
    [
        (
            check_prior({"a": stats.uniform(0, 1)}),
            [2],
            [3],
            r"must meet the support, low=\[0.\], high=\[1.\].*nothing is left of column 'a'",
        ),
        (check_prior([stats.expon()]), [-1], [0], "must meet the support.*of column 0"),
        (check_prior({"a": stats.norm()}), [38], [39], r"mass of prior\['a'\].*\(38.0, 39.0\)"),
        (check_prior([stats.norm()]), [-INF], [-50], "widen the interval"),
        (check_prior([stats.norm()]), [1], [1 + 2.3e-16], "floats between low and high"),
        (
            check_prior(SPECS["multivariate_normal"]),
            [9, -INF],
            [10, INF],
            r"low and high must hold at least one in 100,000.*only 0 of 1,000,000.*about 0: make",
        ),
        (check_prior(SPECS["torch"]), [-2, -2], [-1, 5], "must meet the support"),
    ],
)
def test_a_box_without_mass_is_refused(
    prior: Prior, low: list[float], high: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        prior.truncated(low, high)


def test_bounds_by_name_are_those_by_position() -> None:
    prior = check_prior({"a": stats.norm(), "b": stats.uniform(0, 1)})
    by_name = prior.truncated({"a": (-1, 1)})
    theta = by_name.sample(50, 0)
    by_position = prior.truncated([-1, 0], [1, 1])
    np.testing.assert_array_equal(by_name.support, by_position.support)
    np.testing.assert_array_equal(by_name.log_prob(theta), by_position.log_prob(theta))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (({"c": (0, 1)},), ValueError, "got 'c'; these have the names .'a', 'b'."),
        (({"a": 1},), ValueError, r"bounds\['a'\] must be a pair .low, high., got 1"),
        (({"a": (0, "x")},), ValueError, r"bounds\['a'\] must have shape.*got \['x'\]"),
        (({"a": (0, 1)}, [1, 1]), TypeError, "high must be left out where bounds are a dict"),
        (([0, 0],), TypeError, r"low and high, or one dict .*got low=\[0, 0\] alone"),
    ],
)
def test_wrong_bounds_by_name_are_refused(
    arguments: tuple[object, ...], error: type[Exception], message: str
) -> None:
    prior = check_prior({"a": stats.norm(), "b": stats.uniform(0, 1)})
    with pytest.raises(error, match=message):
        prior.truncated(*arguments)
