"""The prior within a region: shares of disks and half planes are known exactly."""

import copy
import pickle

import numpy as np
import pytest
import torch
from scipy import stats
from torch import distributions

from sksbi.priors import Prior, UnboundedPrior, check_prior

INF = np.inf


def disk(theta: np.ndarray) -> np.ndarray:
    """Say what lies within 1 of the origin."""
    return (theta**2).sum(axis=1) < 1


def right(theta: np.ndarray) -> np.ndarray:
    """Say where the first parameter is positive."""
    return theta[:, 0] > 0


def ordered(theta: np.ndarray) -> np.ndarray:
    """Say where the parameters increase."""
    return theta[:, 0] < theta[:, 1]


class Square:
    """A user's object, uniform on a square."""

    names = ("x", "y")
    support = (-1.0, 1.0)

    def sample(self, n: int, random_state: int) -> np.ndarray:
        return np.random.default_rng(random_state).uniform(-1, 1, (n, 2))

    def log_prob(self, theta: np.ndarray) -> np.ndarray:
        return np.full(len(theta), -np.log(4))


def torch_joint() -> distributions.Distribution:
    """Give the exponential of two normals as a kind that scipy's twins do not cover."""
    base = distributions.Normal(torch.zeros(2).double(), torch.ones(2).double())
    return distributions.TransformedDistribution(base, [distributions.ExpTransform()])


NORMAL = stats.multivariate_normal([0, 0], np.eye(2))
SQUARE = {"x": stats.uniform(-1, 2), "y": stats.uniform(-1, 2)}

# The prior before, the region, and its exact mass.
TABLE = {
    "dict": (check_prior(SQUARE), disk, np.pi / 4),
    "dict truncated": (check_prior(SQUARE).truncated([0, -1], [1, 1]), ordered, 0.25),
    "multivariate_normal": (check_prior(NORMAL), disk, 1 - np.exp(-0.5)),
    "multivariate_normal truncated": (
        check_prior(NORMAL).truncated([0, 0], [INF, INF]),
        disk,
        1 - np.exp(-0.5),
    ),
    "multivariate_t": (
        check_prior(stats.multivariate_t([0, 0], np.eye(2), df=5)),
        disk,
        stats.f(2, 5).cdf(0.5),
    ),
    "torch": (check_prior(torch_joint()), ordered, 0.5),
    "object": (check_prior(Square()), disk, np.pi / 4),
}
every_region = pytest.mark.parametrize(("before", "region", "mass"), TABLE.values(), ids=TABLE)


@every_region
def test_the_acceptance_is_the_mass_to_within_its_error(
    before: Prior, region: object, mass: float
) -> None:
    prior = before.within(region)
    assert abs(prior.acceptance - mass) < 4 * prior.acceptance_error
    relative = prior.acceptance_error / prior.acceptance
    assert prior.log_prob_error == pytest.approx(np.hypot(relative, before.log_prob_error))
    assert 0 < relative < 0.011
    assert prior.acceptance == before.within(region).acceptance


@every_region
def test_the_density_is_normalised_inside_and_zero_outside(
    before: Prior, region: object, mass: float
) -> None:
    prior = before.within(region)
    theta = before.sample(300, random_state=0)
    inside = region(theta)
    log_p = prior.log_prob(theta)
    assert 20 < inside.sum() < 280
    np.testing.assert_array_equal(prior.contains(theta), inside)
    np.testing.assert_array_equal(np.isfinite(log_p), inside)
    expected = before.log_prob(theta[inside]) - np.log(prior.acceptance)
    np.testing.assert_array_equal(log_p[inside], expected)
    assert not prior.contains([[INF, 0], [np.nan, 0]]).any()


@every_region
def test_draws_are_the_draws_before_that_lie_inside(
    before: Prior, region: object, mass: float
) -> None:
    prior = before.within(region)
    theta = prior.sample(4_000, random_state=0)
    assert theta.shape == (4_000, 2)
    assert region(theta).all()
    assert np.isfinite(prior.log_prob(theta)).all()
    expected = before.sample(int(5_000 / mass), random_state=1)
    expected = expected[region(expected)]
    for ours, theirs in zip(theta.T, expected.T, strict=True):
        assert stats.ks_2samp(ours, theirs).pvalue > 1e-4
    sums = theta.sum(axis=1), expected.sum(axis=1)
    assert stats.ks_2samp(*sums).pvalue > 1e-4


@every_region
def test_map_box_and_names_stay(before: Prior, region: object, mass: float) -> None:
    prior = before.within(region)
    z = np.random.default_rng(0).normal(size=(20, 2))
    theta = before.from_unbounded(z)
    np.testing.assert_array_equal(prior.from_unbounded(z), theta)
    np.testing.assert_array_equal(prior.to_unbounded(theta), before.to_unbounded(theta))
    np.testing.assert_array_equal(
        prior.log_abs_det_jacobian(theta, z), before.log_abs_det_jacobian(theta, z)
    )
    np.testing.assert_array_equal(prior.support, before.support)
    assert prior.names == before.names
    assert prior.spec is prior


@every_region
def test_in_unbounded_space_density_and_draws_are_cut_too(
    before: Prior, region: object, mass: float
) -> None:
    prior = before.within(region)
    z = np.random.default_rng(0).normal(size=(3, 100, 2))
    got = UnboundedPrior(prior).log_prob(z)
    expected = UnboundedPrior(before).log_prob(z) - np.log(prior.acceptance)
    inside = region(before.from_unbounded(z.reshape(-1, 2))).reshape(3, 100)
    np.testing.assert_allclose(got, np.where(inside, expected, -INF), atol=1e-6)
    draws = UnboundedPrior(prior).sample((5, 40), np.random.default_rng(0))
    assert np.isfinite(UnboundedPrior(prior).log_prob(draws)).all()
    # Summed over a grid of z, beyond which less than 1e-4 lies. A cell on the edge of the region
    # counts whole or not at all: wrong by half a step times the density along the edge, below 1.
    step = 0.02
    line = np.arange(-12, 12, step) + step / 2
    grid = np.stack(np.meshgrid(line, line), axis=-1)
    total = np.exp(UnboundedPrior(prior).log_prob(grid)).sum() * step**2
    assert abs(total - 1) < 4 * prior.log_prob_error + step / 2


@every_region
def test_a_prior_within_a_region_copies(before: Prior, region: object, mass: float) -> None:
    prior = before.within(region)
    theta = prior.sample(5, random_state=0)
    assert not np.isin(theta, prior.sample(5, random_state=1)).any()
    for again in (copy.deepcopy(prior), pickle.loads(pickle.dumps(prior)), check_prior(prior)):
        np.testing.assert_array_equal(again.sample(5, random_state=0), theta)
        np.testing.assert_array_equal(again.log_prob(theta), prior.log_prob(theta))
        assert again.acceptance == prior.acceptance


def test_the_area_of_a_disk_is_pi() -> None:
    prior = check_prior(SQUARE).within(disk)
    log_p = prior.log_prob(prior.sample(10, random_state=0))
    assert np.ptp(log_p) == 0
    assert abs(log_p[0] + np.log(np.pi)) < 4 * prior.log_prob_error
    radius = np.sqrt((prior.sample(4_000, random_state=0) ** 2).sum(axis=1))
    assert stats.kstest(radius**2, "uniform").pvalue > 1e-4


def test_regions_intersect_in_any_order() -> None:
    before = check_prior(SQUARE)
    for first, second in ((disk, right), (right, disk)):
        prior = before.within(first).within(second)
        assert prior.prior is before
        assert abs(prior.acceptance - np.pi / 8) < 4 * prior.acceptance_error
        theta = prior.sample(200, random_state=0)
        assert (disk(theta) & right(theta)).all()
        np.testing.assert_array_equal(
            prior.contains([[0.5, 0.5], [-0.5, 0.5], [0.9, 0.9]]), [True, False, False]
        )


def test_a_later_region_is_asked_only_inside_the_earlier_one() -> None:
    def picky(theta: np.ndarray) -> np.ndarray:
        assert len(theta) > 0
        assert disk(theta).all()
        return right(theta)

    prior = check_prior(SQUARE).within(disk).within(picky)
    np.testing.assert_array_equal(prior.contains([[0.9, 0.9]]), [False])
    assert prior.log_prob([[9.0, 0.0]]) == -INF


@pytest.mark.parametrize("spec", [SQUARE, NORMAL, Square()], ids=["dict", "normal", "object"])
def test_truncating_before_or_after_is_the_same(spec: object) -> None:
    before, box = check_prior(spec), ([0, -1], [1, 0.5])
    first, second = before.within(disk).truncated(*box), before.truncated(*box).within(disk)
    theta = first.sample(50, random_state=0)
    assert disk(theta).all()
    assert ((theta > box[0]) & (theta < box[1])).all()
    np.testing.assert_array_equal(first.support, box)
    np.testing.assert_array_equal(second.sample(50, random_state=0), theta)
    np.testing.assert_array_equal(second.log_prob(theta), first.log_prob(theta))
    assert type(first.prior) is type(before.truncated(*box))


def test_a_region_that_holds_everything_is_exact() -> None:
    prior = check_prior(SQUARE).within(lambda theta: np.ones(len(theta), dtype=bool))
    assert (prior.acceptance, prior.acceptance_error, prior.log_prob_error) == (1, 0, 0)


def test_a_region_cannot_change_what_it_is_shown() -> None:
    def vandal(theta: np.ndarray) -> np.ndarray:
        assert theta.dtype == np.float64
        answer = disk(theta)
        theta[:] = 9
        return answer

    prior = check_prior(SQUARE).within(vandal)
    theta = prior.sample(10, random_state=0)
    np.testing.assert_array_equal(theta, check_prior(SQUARE).within(disk).sample(10, 0))
    assert prior.contains(theta).all()
    assert (np.abs(theta) < 1).all()


def test_the_global_generators_stay_as_they_are() -> None:
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    check_prior(torch_joint()).within(ordered).sample(5)
    np.testing.assert_array_equal(before[0], np.random.get_state()[1])  # noqa: NPY002
    assert torch.equal(before[1], torch.get_rng_state())


def test_a_region_prior_shows_what_it_is() -> None:
    text = repr(check_prior(SQUARE).within(disk).within(right))
    assert text.startswith("WithinPrior(MarginalPrior(x=uniform(-1, 2), y=uniform(-1, 2)), <")
    assert "disk" in text
    assert "right" in text


@pytest.mark.parametrize("region", [3, "disk", np.ones(3, dtype=bool)])
def test_a_region_is_callable(region: object) -> None:
    with pytest.raises(TypeError, match="region must be callable"):
        check_prior(SQUARE).within(region)


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (lambda theta: theta[:, 0], r"n booleans.*\(10000, 2\), got float64 of shape \(10000,\)"),
        (lambda theta: theta > 0, r"got bool of shape \(10000, 2\)"),
        (lambda theta: True, r"got bool of shape \(\)"),
        (lambda theta: theta[:, 0] > 1, r"(?s)region must hold.*0 of 1,000,000.*about 0: make"),
        (
            lambda theta: theta[:, 0] > 1 - 1e-5,
            r"only [1-9] of 1,000,000.*of about [1-9]e-06: make",
        ),
    ],
)
def test_a_region_that_cannot_be_drawn_from_is_refused(region: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_prior(SQUARE).within(region)


def test_a_region_that_changes_its_mind_is_no_endless_loop() -> None:
    answers = iter([True, True])

    def moody(theta: np.ndarray) -> np.ndarray:
        return np.full(len(theta), next(answers, False))

    prior = check_prior(SQUARE).within(moody)
    assert prior.sample(3, random_state=0).shape == (3, 2)
    with pytest.raises(ValueError, match=r"same answer.*kept only 0 of [\d,]+ draws.*was 1 before"):
        prior.sample(1_000, random_state=0)


def test_a_region_that_asks_by_name_is_told_what_it_gets() -> None:
    prior = check_prior({"a": stats.norm()})
    with pytest.raises(
        IndexError, match=r"region must take an array of shape \(n, D\).*theta\[:, 0\]"
    ):
        prior.within(lambda theta: theta["a"] > 0)
