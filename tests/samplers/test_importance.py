"""Importance resampling: what candidates are worth, duplicates, and what it needs."""

import numpy as np
import pytest

from sksbi.samplers import ImportanceResampling, Target


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
