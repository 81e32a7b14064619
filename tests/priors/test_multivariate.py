"""Multivariate normal and t distributions whose scales or correlations are extreme."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import distributions

from sksbi.priors import check_prior

SCALES = np.array([1.0, 1e-5, 1e-9])
CORRELATIONS = np.array([[1.0, 0.8, 0.1], [0.8, 1.0, -0.3], [0.1, -0.3, 1.0]])
COVARIANCE = SCALES[:, None] * CORRELATIONS * SCALES
# theta = scale * u has the density of u, divided by the product of the scales.
UNIT = stats.multivariate_normal(np.zeros(3), CORRELATIONS)


def of_torch() -> distributions.MultivariateNormal:
    """Give standard deviations of 1 and 1e-5 to torch, in float32."""
    root = torch.tensor([[1.0, 0.0], [0.0, 1e-5]])
    return distributions.MultivariateNormal(torch.zeros(2), scale_tril=root)


def test_scales_of_nine_decades_are_nothing_special() -> None:
    prior = check_prior(stats.multivariate_normal(np.zeros(3), COVARIANCE, allow_singular=True))
    theta = prior.sample(4_000, 0)
    u = theta / SCALES
    np.testing.assert_allclose(
        prior.log_prob(theta), UNIT.logpdf(u) - np.log(SCALES).sum(), rtol=1e-9
    )
    np.testing.assert_allclose(np.cov(u.T), CORRELATIONS, atol=5 * np.sqrt(2 / 4_000))


def test_the_normal_of_torch_may_have_scales_far_apart() -> None:
    prior = check_prior(of_torch())
    theta = prior.sample(100, 0)
    expected = stats.norm.logpdf(theta / [1, 1e-5]).sum(axis=1) - np.log(np.float32(1e-5))
    np.testing.assert_allclose(prior.log_prob(theta), expected, rtol=1e-7)


def test_nearly_singular_correlations_keep_their_density() -> None:
    """With u = theta_1 - theta_2 and v = theta_1 + theta_2 independent, the Jacobian is 2."""
    rho = 1 - 1e-9
    prior = check_prior(
        stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]], allow_singular=True)
    )
    theta = prior.sample(500, 0)
    u, v = theta[:, 0] - theta[:, 1], theta.sum(axis=1)
    expected = stats.norm(0, np.sqrt(2 * (1 - rho))).logpdf(u)
    expected = expected + stats.norm(0, np.sqrt(2 * (1 + rho))).logpdf(v) + np.log(2)
    np.testing.assert_allclose(prior.log_prob(theta), expected, atol=1e-5)
    assert stats.kstest(u / np.sqrt(2 * (1 - rho)), "norm").pvalue > 1e-3


def test_t_has_the_density_of_scipy_and_its_marginals() -> None:
    spec = stats.multivariate_t([1, -1, 0], CORRELATIONS, df=5)
    prior = check_prior(spec)
    theta = prior.sample(2_000, 0)
    np.testing.assert_allclose(prior.log_prob(theta), spec.logpdf(theta), rtol=1e-10)
    for i, loc in enumerate([1, -1, 0]):
        assert stats.kstest(theta[:, i], stats.t(5, loc).cdf).pvalue > 1e-3
    pair = prior.marginal([2, 0])
    block = CORRELATIONS[np.ix_([2, 0], [2, 0])]
    expected = stats.multivariate_t([0, 1], block, df=5).logpdf(theta[:, [2, 0]])
    np.testing.assert_allclose(pair.log_prob(theta[:, [2, 0]]), expected, rtol=1e-10)


@pytest.mark.parametrize(
    "spec",
    [
        stats.multivariate_normal([0, 0], [[1, 1], [1, 1]], allow_singular=True),
        stats.multivariate_normal([0, 0], [[1, 0], [0, 0]], allow_singular=True),
        stats.multivariate_t([0, 0], [[1, 1], [1, 1]], df=3, allow_singular=True),
    ],
)
def test_a_singular_matrix_has_no_density(spec: object) -> None:
    with pytest.raises(ValueError, match="no density: leave out the parameters that follow"):
        check_prior(spec)
