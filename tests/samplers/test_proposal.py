"""Importance resampling from a proposal: draws of the target, however wrong the proposal is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import trapezoid

from sksbi.samplers import ImportanceResampling, Target, importance
from sksbi.samplers._defensive import Defended


class Normal:
    """Independent normals in D dimensions, and how many points were drawn."""

    def __init__(self, mean: float, sd: float, D: int) -> None:
        self.mean, self.sd, self.D, self.n_drawn = mean, sd, D, 0

    def sample(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        self.n_drawn += int(np.prod(shape))
        return self.mean + self.sd * generator.standard_normal((*shape, self.D))

    def log_prob(self, z: np.ndarray) -> np.ndarray:
        y = (z - self.mean) / self.sd
        return -0.5 * (y**2 + np.log(2 * np.pi)).sum(axis=-1) - self.D * np.log(self.sd)


class Half(Normal):
    """The positive half of a normal."""

    def sample(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        return np.abs(super().sample(shape, generator))

    def log_prob(self, z: np.ndarray) -> np.ndarray:
        inside = (z > 0).all(axis=-1)
        return np.where(inside, super().log_prob(z) + self.D * np.log(2), -np.inf)


def standard(proposal: object, D: int, **options: object) -> Target:
    """Make the target N(0, 1) in D dimensions as a ratio to N(0, 3)."""
    reference, target = Normal(0, 3, D), Normal(0, 1, D)
    return Target(
        lambda z: target.log_prob(z) - reference.log_prob(z),
        reference,
        proposal=proposal,
        **options,
    )


WRONG: dict[str, Callable[[int], object]] = {
    "right": lambda D: Normal(0, 1, D),
    "too narrow": lambda D: Normal(0, 0.5, D),
    "too wide": lambda D: Normal(0, 2, D),
    "beside": lambda D: Normal(1 / np.sqrt(D), 1, D),
    "too narrow and beside": lambda D: Normal(0.5 / np.sqrt(D), 0.5, D),
    "without half of the support": lambda D: Half(0, 1, D),
}


@pytest.mark.parametrize("D", [1, 2, 5])
@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG)
def test_draws_are_of_the_target_whatever_the_proposal(make: Callable, D: int) -> None:
    """The sd of draws of the proposal too narrow by two alone was .96, .90, .83 of the target's."""
    m, n = 20, 1_000
    z, statistics = ImportanceResampling(8_000).run(standard(make(D), D), np.zeros((m, 1, D)), n, 0)
    worth = np.minimum(statistics.ess, n)
    # n draws of candidates that are worth as many have twice the variance at most.
    error = np.sqrt((1 / worth + 1 / n).mean(axis=0) / m)
    assert (np.abs(z.mean(axis=(0, 1))) < 4.5 * error).all()
    # The variance of z^2 is 2, and candidates of large weight have large ones.
    assert (np.abs((z**2).mean(axis=(0, 1)) - 1) < 4.5 * np.sqrt(3) * error).all()


def test_draws_outside_the_support_do_not_count() -> None:
    """The target is N(0, 1) below one, and the proposal, without a prior, knows of no bound."""

    class Beyond(Normal):
        def sample(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
            z = super().sample(shape, generator)
            return np.where(z < 1, z, np.nan)

    def log_ratio(z: np.ndarray) -> np.ndarray:
        inside = np.where(z[..., 0] < 1, 0.0, -np.inf)
        return inside + Normal(0, 1, 1).log_prob(z) - Normal(0, 3, 1).log_prob(z)

    target = Target(log_ratio, Normal(0, 3, 1), proposal=Beyond(0, 1, 1))
    z = ImportanceResampling(40_000)(target, np.zeros((1, 1, 1)), 10_000, 0)[0, :, 0]
    expected = stats.truncnorm(-np.inf, 1)
    assert z.mean() == pytest.approx(expected.mean(), abs=4.5 * expected.std() / 100)
    assert stats.kstest(z, expected.cdf).pvalue > 1e-3


def test_the_effective_size_of_a_right_proposal_is_the_known_one() -> None:
    """Weights are p / (.8 p + .1 t + .1 r), by quadrature."""
    target = standard(Normal(0, 1, 1), 1)
    _, statistics = ImportanceResampling(100_000).run(target, np.zeros((1, 1, 1)), 100, 0)
    z = np.linspace(-30, 30, 200_001)
    p = stats.norm.pdf(z)
    # One in ten comes from what is fitted to draws of the proposal, and twice as wide: about this.
    q = 0.8 * p + 0.1 * stats.t(5, 0, 2).pdf(z) + 0.1 * stats.t(5, 0, 3).pdf(z)
    expected = 100_000 / trapezoid(p**2 / q, z)
    np.testing.assert_allclose(statistics.ess, expected, rtol=0.02)


def test_the_density_of_candidates_integrates_to_one_and_is_theirs() -> None:
    generator = np.random.default_rng(0)
    source = Defended(Normal(1, 0.5, 1), Normal(0, 3, 1), (1, 50_000, 1), generator)
    grid = np.linspace(-200, 200, 400_001)
    density = np.exp(source.log_prob(grid[None, :, None])[0])
    assert trapezoid(density, grid) == pytest.approx(1, abs=1e-4)
    z = source.sample(slice(0, 50_000), generator)[0, :, 0]
    cdf = np.cumsum(density) * (grid[1] - grid[0])
    assert stats.kstest(z, lambda v: np.interp(v, grid, cdf)).pvalue > 1e-3


def test_candidates_are_twice_the_draws_and_more_where_they_are_worth_too_few() -> None:
    """Target 1 lies beside the proposal, and is drawn from alone."""
    asked: list[tuple[int, ...]] = []
    centers = np.array([0.0, 2.5])

    def of(some: np.ndarray) -> Target:
        def log_ratio(z: np.ndarray) -> np.ndarray:
            asked.append(z.shape[:2])
            own = stats.norm.logpdf(z[..., 0], some[:, None])
            return own - Normal(0, 3, 1).log_prob(z)

        def select(i: int) -> Target:
            return of(some[i : i + 1])

        return Target(log_ratio, Normal(0, 3, 1), select, proposal=Normal(0, 1, 1))

    z, statistics = ImportanceResampling().run(of(centers), np.zeros((2, 1, 1)), 1_000, 0)
    assert asked == [(2, 2_000), (1, 10_000)]
    for i, center in enumerate(centers):
        worth = min(statistics.ess[i, 0], 1_000)
        assert worth == 1_000
        error = np.sqrt(1 / worth + 1 / 1_000)
        assert z[i].mean() == pytest.approx(center, abs=4.5 * error)
        assert z[i].std() == pytest.approx(1, abs=4.5 * error)
    asked.clear()
    ImportanceResampling(1_500).run(of(centers), np.zeros((2, 1, 1)), 1_000, 0)
    assert asked == [(2, 1_500)]


@pytest.mark.parametrize("sd", [0.5, 2.0])
def test_a_second_round_learns_from_the_first(sd: float) -> None:
    """Without it 20,000 candidates in ten dimensions were worth 1,500 and 300 draws."""
    reference, normal = Normal(0, 3, 10), Normal(0, 1, 10)

    def make(_: int = 0) -> Target:
        return Target(
            lambda z: normal.log_prob(z) - reference.log_prob(z),
            reference,
            make,
            proposal=Normal(0, sd, 10),
        )

    z, statistics = ImportanceResampling().run(make(), np.zeros((5, 1, 10)), 2_000, 0)
    assert statistics.ess.min() > 2_000
    error = np.sqrt(2 / 2_000 / 5)
    assert (np.abs(z.mean(axis=(0, 1))) < 4.5 * error).all()
    assert (np.abs((z**2).mean(axis=(0, 1)) - 1) < 4.5 * np.sqrt(2) * error).all()


def test_candidates_that_are_drawn_again_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(seed: int) -> tuple[np.ndarray, int]:
        proposal = Normal(0, 1, 2)
        target = standard(proposal, 2)
        return ImportanceResampling()(target, np.zeros((3, 1, 2)), 1_000, seed), proposal.n_drawn

    kept, n_kept = draw(0)
    monkeypatch.setattr(importance, "_MOST_KEPT", 0)
    again, n_again = draw(0)
    np.testing.assert_array_equal(kept, again)
    # 250 of each tell how wide the proposal is.
    assert (n_kept, n_again) == (3 * (250 + 1_600), 3 * (250 + 2 * 1_600))
    assert not np.isin(kept, draw(1)[0]).any()
    assert not np.isin(kept[0], kept[1]).any()


def test_what_can_be_no_proposal_is_refused() -> None:
    with pytest.raises(TypeError, match="proposal must have the methods sample"):
        standard(3, 1)
    with pytest.raises(ValueError, match="'proposal' parameter of ImportanceResampling"):
        ImportanceResampling(proposal="npe").run(standard(None, 1), np.zeros((1, 1, 1)), 10)


def test_a_proposal_takes_an_estimator_to_know_the_observations() -> None:
    sampler = ImportanceResampling(proposal=Normal(0, 1, 1))
    with pytest.raises(TypeError, match="give this sampler to an estimator"):
        sampler.run(standard(None, 1), np.zeros((1, 1, 1)), 10, 0)


def test_a_proposal_that_never_meets_the_support_is_refused() -> None:
    class Outside(Normal):
        def sample(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
            return np.full((*shape, self.D), np.nan)

    with pytest.raises(ValueError, match="none among 250 for target 0"):
        ImportanceResampling().run(standard(Outside(0, 1, 1), 1), np.zeros((1, 1, 1)), 10, 0)
