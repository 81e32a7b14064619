"""The posterior of a network: edges of the support, and priors that are zero in a part of it."""

from copy import copy

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import trapezoid
from torch import Tensor, distributions, nn

from sksbi import NPE, Ensemble, PosteriorRegressor
from sksbi.metrics import draw_held_out
from sksbi.nn import ConditionalDensity
from sksbi.posteriors.density import DensityPosterior
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


class Normals(nn.Module):
    """Normal distributions around the context, which draw from torch's global generator alone."""

    def forward(self, c: Tensor) -> distributions.Distribution:
        return distributions.Independent(distributions.Normal(c[:, :1], 0.5), 1)


@pytest.fixture(scope="module", params=["default", "maf", "normals"])
def half_cut(request: pytest.FixtureRequest) -> DensityPosterior:
    """Fit on all of (-1, 1), and take the upper part of it away afterwards."""
    prior = check_prior([stats.uniform(-1, 2)])
    theta = prior.sample(1_000, 0)
    options = TINY if request.param == "maf" else {"max_epochs": 6}
    npe = NPE(prior, **options, random_state=0).fit(
        theta, theta + 0.3 * RNG.normal(size=(1_000, 1))
    )
    space = copy(npe._theta_space)
    space.prior = prior.within(lambda theta: theta[:, 0] < 0)
    density = ConditionalDensity(Normals(), nn.Identity())
    density = density if request.param == "normals" else npe.net_.module_
    return DensityPosterior(density, space, npe._x_space)


CUT_X = np.linspace(-1, 1.5, 150)[:, None]


def test_shares_are_the_mass_of_the_density_where_the_prior_is_positive(
    half_cut: DensityPosterior,
) -> None:
    """Nearly all, and nearly nothing: within 5 standard errors of 256 draws, of few of 4,096."""
    posterior, numbers = half_cut.at(CUT_X), np.arange(150)
    posterior.log_prob(np.full((150, 1), -0.5), numbers)
    edge = half_cut.theta_space.to_network(np.array([[-1e-9]]))[0][0, 0]
    u = np.linspace(-12, edge, 2_001)
    log_q = posterior._log_density(np.tile(u, 150)[:, None], numbers.repeat(2_001))
    exact = trapezoid(np.exp(log_q.reshape(150, -1)), u)
    assert exact.min() < 0.05 < 0.95 < exact.max()
    n = np.where(posterior.shares * 256 < 64, 4_096, 256)
    errors = np.sqrt(exact * (1 - exact).clip(0) / n)
    assert (np.abs(posterior.shares - exact) < 5 * errors + 1 / n).all()


def test_a_share_in_a_batch_is_the_share_alone_and_is_found_once(
    half_cut: DensityPosterior, monkeypatch: pytest.MonkeyPatch
) -> None:
    theta, numbers = np.full((150, 1), -0.5), np.arange(150)
    together = half_cut.at(CUT_X)
    log_p = together.log_prob(theta, numbers)
    apart = half_cut.at(CUT_X)
    for part in (np.array([149, 3, 77]), slice(20, 24), np.array([5])):
        some = apart.take(part).take(slice(0, None))
        some.log_prob(theta[: some.n_observations], numbers[: some.n_observations])
        np.testing.assert_array_equal(apart.shares[part], together.shares[part])
        np.testing.assert_array_equal(some.shares[some.places], together.shares[part])
    assert np.isnan(apart.shares).sum() == 150 - 8
    monkeypatch.setattr(half_cut.density, "draw", None)
    again = together.take(slice(10, 150)).log_prob(theta[10:], numbers[:140])
    np.testing.assert_allclose(again, log_p[10:], atol=1e-5)


@pytest.mark.parametrize("n_members", [1, 2])
def test_how_often_others_are_redrawn_leaves_draws_and_generator_as_they_are(
    half_cut: DensityPosterior, n_members: int
) -> None:
    """The first observation is rarely redrawn, those of its batch in many rounds."""
    posterior = half_cut if n_members == 1 else half_cut.pooled([half_cut])
    alone, together = np.random.default_rng(0), np.random.default_rng(0)
    for _ in range(2):
        first = posterior.at(CUT_X[:1]).sample(300, alone, shared_noise=True).theta[0]
        batch = posterior.at(CUT_X[:90]).sample(300, together, shared_noise=True).theta
        np.testing.assert_allclose(batch[0], first, atol=1e-5)
        assert (batch < 0).all()
    assert alone.bit_generator.state == together.bit_generator.state


@pytest.mark.parametrize("kind", ["alone", "ensemble"])
def test_predictions_with_a_region_do_not_depend_on_the_batch(in_region: NPE, kind: str) -> None:
    npe = NPE(in_region.prior, **TINY)
    theta = in_region.prior_.sample(400, 1)
    x = theta + 0.3 * np.random.default_rng(2).normal(size=theta.shape)
    estimator = npe if kind == "alone" else Ensemble(npe, n_estimators=2)
    regressor = PosteriorRegressor(estimator, n_samples=300, random_state=0).fit(x, theta)
    asked = np.linspace(0, 1, 20)[:, None] * [0.9, 0.8]
    alone = [regressor.predict(row[None])[0] for row in asked]
    np.testing.assert_allclose(regressor.predict(asked), alone, atol=1e-6)


def test_only_long_drawing_shows_a_bar(in_region: NPE, capsys: pytest.CaptureFixture) -> None:
    """Neither shares, nor what is drawn again, nor the starts of modes do."""
    posterior = in_region._posterior()
    posterior.verbose, x = 1, np.zeros((256, 2))
    at = posterior.at(x)
    at.log_prob(x, np.arange(256))
    at._candidates(np.random.default_rng(0))
    at.sample(256, np.random.default_rng(0))
    assert "sample" not in capsys.readouterr().err
    at.sample(257, np.random.default_rng(0))
    assert "sample: 100%" in capsys.readouterr().err
