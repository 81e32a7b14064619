"""Slice sampling: levels, bounds on the work, and what adapts."""

import numpy as np
import pytest

from sksbi.samplers import SliceSampler
from sksbi.samplers._chains import live_starts
from sksbi.samplers.base import checked


def normal(z):
    return -0.5 * (z**2).sum(axis=-1)


def test_the_width_is_fixed_after_the_warm_up():
    rng, density = np.random.default_rng(0), checked(normal)
    z, log_p = live_starts(density, rng.normal(size=(2, 20, 2)), rng)
    kernel = SliceSampler()._kernel(density, z, log_p, rng)
    first = kernel.log_width.copy()
    for _ in range(20):
        kernel.step()
        kernel.adapt(0.5)
    width = kernel.log_width.copy()
    assert (width != first).all()
    for _ in range(20):
        kernel.step()
    np.testing.assert_array_equal(kernel.log_width, width)
    np.testing.assert_allclose(kernel.log_p, normal(kernel.z), rtol=1e-12)


@pytest.mark.parametrize("n_chains", [1, 3, 12])
def test_few_chains(n_chains):
    scale = np.array([1.0, 0.1])
    initial = scale * np.random.default_rng(0).normal(size=(2, n_chains, 2))
    draws, statistics = SliceSampler(thin=4).run(lambda z: normal(z / scale), initial, 300, 0)
    error = 5 * np.sqrt(1.5 / np.minimum(statistics.ess, 300))
    assert (np.abs(draws.mean(axis=1)) < error * scale).all()
    assert (np.abs((draws**2).mean(axis=1) / scale**2 - 1) < error * np.sqrt(2)).all()


def test_a_box_is_filled_evenly():
    def density(z):
        return np.where((np.abs(z) < 1).all(axis=-1), 0.0, -np.inf)

    initial = np.random.default_rng(0).uniform(-1, 1, size=(1, 200, 2))
    draws, statistics = SliceSampler().run(density, initial, 2000, 0)
    counts = np.histogram(draws[0, :, 0], bins=8, range=(-1, 1))[0]
    inflation = max(1.0, 2000 / statistics.ess.min())
    assert ((counts - 250) ** 2 / 250).sum() < 25 * inflation  # 0.1% of chi-squared with 7


def test_a_flat_density_ends_too():
    draws = SliceSampler(n_warmup=5, thin=1)(
        lambda z: np.zeros(z.shape[:-1]), np.zeros((1, 10, 2)), 10, 0
    )
    assert np.isfinite(draws).all()


def test_a_density_of_single_points_ends_too():
    calls = []

    def density(z):
        calls.append(z.shape[1])
        return np.where((z == 0).all(axis=-1), 0.0, -np.inf)

    draws = SliceSampler(n_warmup=0, thin=1)(density, np.zeros((1, 10, 2)), 10, 0)
    assert (draws == 0).all()
    assert len(calls) < 2000


def test_only_chains_that_still_search_are_evaluated():
    sizes = []

    def density(z):
        sizes.append(z.shape[1])
        return normal(z)

    initial = np.random.default_rng(0).normal(size=(1, 100, 2))
    SliceSampler(n_warmup=0, thin=1)(density, initial, 100, 0)
    assert min(sizes) < 10


def test_a_bad_bound_is_refused():
    with pytest.raises(ValueError, match="'max_expansions' .* Got 0"):
        SliceSampler(max_expansions=0)(normal, np.zeros((1, 4, 2)), 4)


def test_a_level_that_rounding_hides_does_not_let_chains_escape() -> None:
    """At densities of e^(10^15) the level is rounded: what finds no point stays where it is."""
    initial = np.random.default_rng(0).normal(size=(1, 400, 1))
    sampler = SliceSampler(n_warmup=5, thin=2)
    draws, _ = sampler.run(lambda z: 1e15 - 0.5 * (z**2).sum(-1), initial, 5000, 0)
    assert np.abs(draws).max() < 5.0
