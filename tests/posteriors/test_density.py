"""The posterior of a network: edges of the support, and priors that are zero in a part of it."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from sksbi import NPE, Ensemble
from sksbi.metrics import draw_held_out
from sksbi.priors import check_prior

RNG = np.random.default_rng(0)
TINY = {"flow": "maf", "transforms": 2, "hidden_features": (16,), "max_epochs": 6}


def in_disk(theta: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell what lies in the unit disk."""
    return (theta**2).sum(axis=1) < 1


@pytest.fixture(scope="module")
def in_region() -> NPE:
    """Fit with a prior that is zero in the corners of its box."""
    prior = check_prior([stats.uniform(-1, 2)] * 2).within(in_disk)
    theta = prior.sample(1_000, 0)
    return NPE(prior, **TINY, random_state=0).fit(theta, theta + 0.3 * RNG.normal(size=(1_000, 2)))


@pytest.mark.parametrize("kind", ["alone", "ensemble"])
def test_no_draw_and_no_density_stand_where_the_prior_is_zero(in_region: NPE, kind: str) -> None:
    """The density integrates to one within the error of 256 draws; 5 standard errors."""
    estimator = in_region
    if kind == "ensemble":
        estimator = Ensemble(in_region, n_estimators=2)
        estimator.estimators_, estimator.__dict__["prior_"] = [in_region] * 2, in_region.prior_
        for name in ("x_layout_", "typical_x_", "seed_", "theta_columns_", "n_features_in_"):
            setattr(estimator, name, getattr(in_region, name))
    x = np.array([0.8, 0.8])
    draws = estimator.sample(x, 2_000)
    assert in_disk(draws).all()
    assert np.isfinite(estimator.log_prob(draws, x)).all()
    assert np.isneginf(estimator.log_prob([[0.9, 0.9]], x)).all()
    grid = (np.arange(200) + 0.5) / 100 - 1
    theta = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    mass = np.exp(estimator.log_prob(theta, x)).sum() * 0.01**2
    assert abs(mass - 1) < 5 * 0.5 / np.sqrt(256) + 0.02


def test_draws_come_with_the_densities_of_log_prob_in_a_region(in_region: NPE) -> None:
    x = np.array([[0.8, 0.8], [0.0, 0.2]])
    posterior = in_region._posterior().at(x)
    draws, log_q = posterior.sample_and_log_prob(300, np.random.default_rng(0))
    found = posterior.log_prob(draws.theta.reshape(-1, 2), np.arange(2).repeat(300))
    np.testing.assert_allclose(log_q.ravel(), found, atol=1e-4)
    assert np.isfinite(in_region.log_prob(in_region.map(x), x)).all()


@pytest.mark.parametrize(
    "marginal", [stats.skewnorm(4), stats.uniform(0, 1), stats.expon(), stats.lognorm(3)]
)
def test_densities_of_draws_are_those_of_log_prob_to_the_ends_of_the_map(marginal: object) -> None:
    """Where theta is moved onto the end of the quantile map, too: a density three times as wide."""
    theta = marginal.rvs((500, 1), random_state=0)
    npe = NPE([marginal], **TINY, random_state=0)
    npe.fit(theta, stats.norm.ppf(marginal.cdf(theta)) + RNG.normal(size=(500, 1)))
    npe._theta_space.scaler_.scale_ = 3 * npe._theta_space.scaler_.scale_
    posterior = npe._posterior().at(np.zeros((1, 1)))
    draws, log_q = posterior.sample_and_log_prob(4_000, np.random.default_rng(0))
    found = posterior.log_prob(draws.theta[0], np.zeros(4_000, dtype=int))
    np.testing.assert_allclose(log_q[0], found, rtol=1e-3, atol=1e-2)


def test_held_out_draws_have_the_names_of_fit() -> None:
    import pandas as pd

    theta, x = RNG.normal(size=(300, 2)), RNG.normal(size=(300, 2))
    npe = NPE(**TINY, random_state=0).fit(pd.DataFrame(theta, columns=["a", "b"]), x)
    assert draw_held_out(npe, theta[:5], x[:5], 10).names == ["a", "b"]
