"""A posterior that is known, and wrong ones beside it."""

import numpy as np
import pytest


class GaussianPosterior:
    """Posterior N(x / 2, 1 / 2) of theta ~ N(0, 1), x = theta + N(0, 1), or wrong on request."""

    def __init__(self, width=1.0, shift=0.0, is_prior=False):
        self.width, self.shift, self.is_prior = width, shift, is_prior

    def _moments(self, x):
        x = np.asarray(x, dtype=float)
        if self.is_prior:
            return np.zeros_like(x), 1.0
        sd = np.sqrt(0.5)
        return x / 2 + self.shift * sd, self.width * sd

    def sample(self, x, n_samples=1000, *, random_state=None):
        mean, sd = self._moments(x)
        noise = np.random.default_rng(random_state).normal(size=(len(mean), n_samples, 2))
        return mean[:, None] + sd * noise

    def log_prob(self, theta, x):
        mean, sd = self._moments(x)
        theta = np.asarray(theta, dtype=float)
        mean = mean[:, None] if theta.ndim == 3 else mean
        return -0.5 * (((theta - mean) / sd) ** 2).sum(axis=-1) - 2 * np.log(sd)


@pytest.fixture
def make_posterior():
    """Make the posterior."""
    return GaussianPosterior


@pytest.fixture
def pairs():
    """Give 500 held-out pairs."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(500, 2))
    return theta, theta + rng.normal(size=(500, 2))
