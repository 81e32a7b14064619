"""Importance resampling: what candidates are worth, duplicates, and what it needs."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from sksbi.samplers import ImportanceResampling, Target, _adaptive
from sksbi.samplers._mixture import StudentMixture, fit_mixture


class Normal:
    """A reference in one dimension."""

    def sample(self, shape, generator):
        return generator.standard_normal((*shape, 1))

    def log_prob(self, z):
        return -0.5 * z[..., 0] ** 2


SHIFTED = Target(lambda z: z[..., 0], Normal())  # N(1, 1), weights exp(z)


def test_the_effective_size_is_the_known_one():
    _, statistics = ImportanceResampling(200_000).run(SHIFTED, np.zeros((2, 1, 1)), 100, 0)
    # (E w)^2 / E w^2 = exp(1) / exp(2)
    np.testing.assert_allclose(statistics.ess, 200_000 * np.exp(-1), rtol=0.05)
    assert statistics.ess.shape == (2, 1)


def test_equal_weights_give_distinct_draws():
    flat = Target(lambda z: np.zeros(z.shape[:-1]), Normal())
    draws = ImportanceResampling(1000)(flat, np.zeros((1, 1, 1)), 1000, 0)
    assert len(np.unique(draws)) == 1000


def test_observations_have_their_own_candidates():
    draws = ImportanceResampling(5000)(SHIFTED, np.zeros((2, 1, 1)), 1000, 0)
    assert not np.isin(draws[0], draws[1]).any()


def test_a_callable_alone_is_not_enough():
    with pytest.raises(TypeError, match="must be a sksbi.samplers.Target.*got function"):
        ImportanceResampling()(lambda z: z[..., 0], np.zeros((1, 1, 1)), 10)


def test_more_draws_than_candidates_are_refused():
    with pytest.raises(ValueError, match="n_candidates must be at least n_samples = 11, got 10"):
        ImportanceResampling(10)(SHIFTED, np.zeros((1, 1, 1)), 11)


def test_no_weight_at_all_is_refused():
    nothing = Target(lambda z: np.full(z.shape[:-1], -np.inf), Normal())
    with pytest.raises(ValueError, match="none among the 100 of target 0"):
        ImportanceResampling(100)(nothing, np.zeros((1, 1, 1)), 10)


class Wide:
    """Independent standard normals in D dimensions, and how many points were asked about."""

    def __init__(self, D):
        self.D = D

    def sample(self, shape, generator):
        return generator.standard_normal((*shape, self.D))

    def log_prob(self, z):
        return stats.norm.logpdf(z).sum(axis=-1)


def costly(densities, D):
    """Make targets whose points take a hundred evaluations, and a count of the points."""
    count = []

    def of(some):
        def log_ratio(z):
            count.append(z.shape[0] * z.shape[1])
            each = [density(one) for density, one in zip(some, z, strict=True)]
            return np.stack(each) - Wide(D).log_prob(z)

        return log_ratio

    def alone(i):
        return Target(of(densities[i : i + 1]), Wide(D), None, 100)

    return Target(of(densities), Wide(D), alone, 100), count


@pytest.mark.parametrize(("D", "sd"), [(1, 0.01), (2, 0.01), (5, 0.03), (8, 0.1)])
def test_candidates_contract_onto_a_narrow_target(D, sd):
    """Of 20,000 candidates of the reference at most 500, 7, and then none lie in the target."""
    centers = np.linspace(1.0, -1.5, D)
    target, count = costly([lambda z: -0.5 * (((z - centers) / sd) ** 2).sum(axis=-1)], D)
    draws, statistics = ImportanceResampling().run(target, np.zeros((1, 1, D)), 1_000, 0)
    assert sum(count) <= 7_000
    assert statistics.ess.min() >= 1_000
    y = (draws[0] - centers) / sd
    # Resampling points that are worth 1,000 doubles the variance at most.
    assert np.abs(y.mean(axis=0)).max() < 4.5 * np.sqrt(2 / 1_000)
    assert np.abs(y.std(axis=0) - 1).max() < 4.5 * np.sqrt(1 / 1_000)


def test_candidates_contract_onto_both_modes_and_each_target():
    def two(z):
        left, right = (-0.5 * (((z - c) / 0.05) ** 2).sum(axis=-1) for c in (-1.5, 1.5))
        return np.logaddexp(np.log(0.25) + left, np.log(0.75) + right)

    def one(z):
        return -0.5 * (((z - 0.5) / 0.05) ** 2).sum(axis=-1)

    target, _ = costly([two, one], 2)
    draws, statistics = ImportanceResampling().run(target, np.zeros((2, 1, 2)), 1_000, 0)
    assert statistics.ess.shape == (2, 2)
    share = (draws[0, :, 0] > 0).mean()
    assert share == pytest.approx(0.75, abs=4 * np.sqrt(2 * 0.75 * 0.25 / 1_000))
    assert draws[1].mean() == pytest.approx(0.5, abs=4 * 0.05 / np.sqrt(1_000))


def cheap(sds):
    """Make normal targets of one dimension whose points take one evaluation, and a count."""
    count = []

    def of(some):
        def log_ratio(z):
            count.append(z.shape[0] * z.shape[1])
            each = [stats.norm.logpdf(one[:, 0], 1.0, sd) for sd, one in zip(some, z, strict=True)]
            return np.stack(each) - Wide(1).log_prob(z)

        return log_ratio

    return Target(of(sds), Wide(1), lambda i: Target(of(sds[i : i + 1]), Wide(1))), count


def test_few_draws_take_few_candidates_unless_these_are_worth_too_little():
    """Of N(1, .5) 2,000 candidates are worth about 650 and of N(1, .01) about 15."""
    target, count = cheap([0.5, 0.01, 0.5])
    draws, statistics = ImportanceResampling().run(target, np.zeros((3, 1, 1)), 100, 0)
    assert count == [3 * 2_000, 20_000]
    assert (statistics.ess[[0, 2]] > 400).all()
    y = (draws[..., 0] - 1) / np.array([[0.5], [0.01], [0.5]])
    # Resampled points that are worth more than 100 double the variance at most.
    assert np.abs(y.mean(axis=1)).max() < 4 * np.sqrt(2 / 100)
    assert np.abs(y.std(axis=1) - 1).max() < 4 * np.sqrt(1 / 100)
    ImportanceResampling().run(target, np.zeros((3, 1, 1)), 1_000, 0)
    assert count[2:] == [3 * 20_000]


def test_a_target_that_few_candidates_miss_is_met_by_all():
    """Beyond 3.3 standard deviations lies one of 2,000 on average, and ten of 20,000."""
    met = []

    def beyond(z):
        log_ratio = np.where(z[..., 0] > 3.3, 0.0, -np.inf)
        met.append(int(np.isfinite(log_ratio).sum()))
        return log_ratio

    target = Target(beyond, Wide(1), lambda _: Target(beyond, Wide(1)))
    for seed in range(10):
        draws, statistics = ImportanceResampling().run(target, np.zeros((1, 1, 1)), 10, seed)
        assert (draws > 3.3).all()
        np.testing.assert_allclose(statistics.ess, met[2 * seed + 1])
    assert 0 in met[::2]


def test_a_number_of_candidates_is_kept_to():
    target, count = costly([lambda z: -0.5 * (z**2).sum(axis=-1) / 0.01], 1)
    ImportanceResampling(5_000)(target, np.zeros((1, 1, 1)), 100, 0)
    assert sum(count) == 5_000


def test_starts_of_another_width_are_refused():
    with pytest.raises(ValueError, match="initial must have 1 columns, as the reference"):
        ImportanceResampling(1_000)(SHIFTED, np.zeros((1, 4, 3)), 10, 0)


def ring(D):
    """A target that is never worth enough: a thin ring of radius 1 in two of D dimensions."""

    def log_prob(z):
        return -2e4 * (z[..., 0] ** 2 + z[..., 1] ** 2 - 1) ** 2 - 0.5 * (z[..., 2:] ** 2).sum(-1)

    return costly([log_prob], D)


def test_weights_are_those_of_all_mixtures_together(monkeypatch):
    """The density of what candidates come from is the mean of the mixtures', at all of them."""
    mixtures = []

    def fit(*args):
        mixtures.append(fit_mixture(*args))
        return mixtures[-1]

    monkeypatch.setattr(_adaptive, "fit_mixture", fit)
    target, _ = ring(3)
    alone = target.select(0)
    z, log_w = _adaptive.contract(alone, 1_000, 10_000, np.random.default_rng(0), False)
    assert len(mixtures) == 19
    each = [mixture.normalised_log_prob(z[None])[0] for mixture in mixtures]
    np.testing.assert_allclose(log_w, alone(z[None])[0] - logsumexp(each, axis=0), rtol=1e-12)
    # The normalising constant by polar coordinates, int exp(-2e4 (r^2 - 1)^2) r dr dphi, by r^2.
    expected = np.pi * np.sqrt(np.pi / 2e4) * np.sqrt(2 * np.pi)
    w = np.exp(log_w) / 500
    error = np.sqrt((w**2).sum())
    assert error < 0.2 * expected
    assert w.sum() == pytest.approx(expected, abs=4 * error)


def test_the_rounds_are_few_however_many_draws_are_wanted(monkeypatch):
    """Of R rounds each asks R mixtures about its own points, and one about those before."""
    asked = []
    ask = StudentMixture.normalised_log_prob

    def count(mixture, z):
        asked.append(z.shape[1])
        return ask(mixture, z)

    monkeypatch.setattr(StudentMixture, "normalised_log_prob", count)
    monkeypatch.setattr(_adaptive, "_ENOUGH", 100)
    target, points = ring(4)
    z, _ = _adaptive.contract(target.select(0), 1_000, 16_000, np.random.default_rng(0), False)
    assert sum(points) == 16_000
    assert len(z) == 39 * 400
    assert sum(asked) == 39**2 * 400


def test_no_weight_at_all_is_refused_of_the_target_that_has_none():
    def one(z):
        return -0.5 * (z**2).sum(axis=-1)

    def nowhere(z):
        return np.full(z.shape[:-1], -np.inf)

    target, count = costly([one, nowhere], 2)
    with pytest.raises(ValueError, match="none among the 250 of target 1"):
        ImportanceResampling().run(target, np.zeros((2, 1, 2)), 100, 0)
    assert count[-1] == 250
