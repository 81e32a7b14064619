"""Targets by their ratio to a reference, starts from it, and systematic resampling."""

import numpy as np
import pytest

from sksbi.samplers import ImportanceResampling, Target, resample_reference
from sksbi.samplers.target import systematic


class Normal:
    """A reference that keeps what it was asked for."""

    def __init__(self):
        self.shapes = []

    def sample(self, shape, generator):
        self.shapes.append(shape)
        return generator.standard_normal((*shape, 2))

    def log_prob(self, z):
        return -0.5 * (z**2).sum(axis=-1)


def tilt(z):
    """Move target i to (i, 0)."""
    return np.arange(len(z))[:, None] * z[..., 0]


def test_a_target_is_reference_times_ratio():
    z = np.random.default_rng(0).normal(size=(3, 5, 2))
    target = Target(tilt, Normal())
    np.testing.assert_array_equal(target(z), Normal().log_prob(z) + tilt(z))


def test_starts_are_distributed_as_the_target():
    n = 2000
    starts = resample_reference(Target(tilt, Normal()), 3, n, 100_000, np.random.default_rng(0))
    assert starts.shape == (3, n, 2)
    centers = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    # 100,000 candidates are worth exp(-4) of that at a distance of two standard deviations.
    assert (np.abs(starts.mean(axis=1) - centers) < 5 / np.sqrt(n / 2)).all()
    assert (np.abs(starts.std(axis=1) - 1) < 5 / np.sqrt(n)).all()


def test_starts_are_in_random_order():
    starts = resample_reference(Target(tilt, Normal()), 2, 1000, 2000, np.random.default_rng(0))
    again = resample_reference(Target(tilt, Normal()), 2, 1000, 2000, np.random.default_rng(0))
    np.testing.assert_array_equal(starts, again)
    halves = starts[:, :500].mean(axis=1) - starts[:, 500:].mean(axis=1)
    assert (np.abs(halves) < 5 * np.sqrt(2 / 500)).all()


def test_no_call_has_too_many_points():
    sizes = []

    def log_ratio(z):
        sizes.append(z.shape[0] * z.shape[1])
        return np.zeros(z.shape[:-1])

    resample_reference(Target(log_ratio, Normal()), 100, 10, 5000, np.random.default_rng(0))
    assert max(sizes) <= 100_000
    assert sum(sizes) == 100 * 5000
    sizes.clear()
    ImportanceResampling(5000)(Target(log_ratio, Normal()), np.zeros((100, 1, 2)), 10, 0)
    assert max(sizes) <= 100_000
    assert sum(sizes) == 100 * 5000


def test_a_target_without_candidates_is_named():
    def nothing(z):
        return np.where(np.arange(len(z))[:, None] == 2, np.nan, 0.0) + 0 * z[..., 0]

    with pytest.raises(ValueError, match="none among the 50 of target 2"):
        resample_reference(Target(nothing, Normal()), 4, 5, 50, np.random.default_rng(0))


def test_systematic_resampling_draws_every_index_as_often_as_its_weight_says():
    weights = np.random.default_rng(0).exponential(size=(2, 50))
    weights[:, 7] = 0
    expected = 1000 * weights / weights.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        chosen = systematic(np.log(weights), 1000, np.random.default_rng(1))
    counts = np.stack([np.bincount(row, minlength=50) for row in chosen])
    assert (np.abs(counts - expected) < 1).all()
    assert (counts[:, 7] == 0).all()


def test_equal_weights_draw_nothing_twice():
    chosen = systematic(np.zeros((1, 1000)), 500, np.random.default_rng(0))
    assert len(np.unique(chosen)) == 500
    assert chosen.max() < 1000


@pytest.mark.parametrize("bad", [1j, "a", None])
@pytest.mark.parametrize("name", ["target", "m", "n_chains", "n_candidates", "generator"])
def test_bad_arguments_are_named(name, bad):
    class Normal:
        def sample(self, shape, generator):
            return generator.standard_normal((*shape, 1))

        def log_prob(self, z):
            return -0.5 * z[..., 0] ** 2

    arguments = {
        "target": Target(lambda z: z[..., 0], Normal()),
        "m": 1,
        "n_chains": 2,
        "n_candidates": 10,
        "generator": np.random.default_rng(0),
    }
    with pytest.raises(TypeError, match=f"{name} must be"):
        resample_reference(**{**arguments, name: bad})
    with pytest.raises(TypeError, match="log_ratio must be callable, got"):
        Target(bad, Normal())
    with pytest.raises(TypeError, match="reference must have the methods"):
        Target(np.sum, bad)


@pytest.mark.parametrize("bad", [1j, "a"])
def test_points_are_real_numbers(bad):
    target = Target(lambda z: z[..., 0], type("Flat", (), {"sample": len, "log_prob": len})())
    with pytest.raises(TypeError, match="z must be real numbers, got"):
        target(np.full((1, 1, 1), bad))
