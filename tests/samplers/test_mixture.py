"""Mixtures of Student distributions: densities, draws and fits."""

import numpy as np
from scipy.special import logsumexp
from scipy.stats import kstest, multivariate_t
from scipy.stats import t as student

from sksbi.samplers._mixture import fit_mixture

MODES = np.array([[-3.0, 0.0], [3.0, 1.0]])


def two_modes(n, seed=0):
    """Draw from two unequal Gaussians, in two sets."""
    rng = np.random.default_rng(seed)
    first = rng.random((2, n, 1)) < 0.3
    return np.where(first, MODES[0], MODES[1]) + rng.normal(size=(2, n, 2)) * [0.5, 0.1]


def test_the_density_is_that_of_scipy_up_to_a_constant():
    mixture = fit_mixture(two_modes(500), 3, np.random.default_rng(0))
    z = np.random.default_rng(1).normal(scale=3, size=(2, 40, 2))
    for i in range(2):
        scales = mixture.roots[i] @ mixture.roots[i].swapaxes(1, 2)
        parts = [
            multivariate_t(center, scale, df=5).logpdf(z[i])
            for center, scale in zip(mixture.centers[i], scales, strict=True)
        ]
        expected = logsumexp(np.transpose(parts), b=mixture.weights[i], axis=1)
        difference = mixture.log_prob(z)[i] - expected
        np.testing.assert_allclose(difference, difference[0], rtol=1e-9)


def test_draws_follow_the_density():
    mixture = fit_mixture(two_modes(500), 1, np.random.default_rng(0))
    z = mixture.sample(4000, np.random.default_rng(1))
    center, root = mixture.centers[0, 0, 0], mixture.roots[0, 0, 0, 0]
    assert kstest((z[0, :, 0] - center) / root, student(5).cdf).pvalue > 1e-3


def test_modes_are_found():
    mixture = fit_mixture(two_modes(1000), 2, np.random.default_rng(0))
    order = np.argsort(mixture.centers[..., 0], axis=1)
    centers = np.take_along_axis(mixture.centers, order[..., None], axis=1)
    assert (np.abs(centers - MODES) < 0.15).all()
    weights = np.take_along_axis(mixture.weights, order, axis=1)
    assert (np.abs(weights - [0.3, 0.7]) < 5 * np.sqrt(0.21 / 1000)).all()


def test_points_that_coincide_are_no_error():
    mixture = fit_mixture(np.ones((1, 50, 3)), 4, np.random.default_rng(0))
    assert np.isfinite(mixture.log_prob(np.zeros((1, 2, 3)))).all()


def test_large_problems_are_cut_into_blocks():
    z = np.random.default_rng(0).normal(size=(30, 2000, 5))
    mixture = fit_mixture(z, 16, np.random.default_rng(0), rounds=1)
    assert mixture.centers.shape == (30, 16, 5)
