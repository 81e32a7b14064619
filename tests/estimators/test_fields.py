"""FMPE and NPSE against posteriors in closed form, and what their solver may do."""

import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import integrate, stats
from sklearn.base import BaseEstimator

from sksbi import FMPE, NPSE
from sksbi.exceptions import MisspecificationWarning, SamplingWarning, TrainingWarning
from sksbi.utils.types import Array

FAMILIES = [FMPE, NPSE]
SD = 0.5
PRIOR = {"a": stats.norm(0, 1), "b": stats.norm(0, 1)}


def make_folded(n: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Observe a with noise, and of b the absolute value with noise."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(n, 2))
    x = theta + SD * rng.normal(size=(n, 2))
    x[:, 1] = np.abs(x[:, 1])
    return pd.DataFrame(theta, columns=["a", "b"]), pd.DataFrame(x, columns=["u", "v"])


def log_posterior(theta: Array, x: Array) -> Array:
    """Compute the exact log-density: Gaussian in a, of two modes in b."""
    mean, sd = x / (1 + SD**2), (SD**2 / (1 + SD**2)) ** 0.5
    b = [stats.norm.logpdf(theta[:, 1], sign * mean[:, 1], sd) for sign in (1, -1)]
    return stats.norm.logpdf(theta[:, 0], mean[:, 0], sd) + np.logaddexp(*b) - np.log(2)


@pytest.fixture(
    scope="module",
    params=[FAMILIES[0], *(pytest.param(cls, marks=pytest.mark.slow) for cls in FAMILIES[1:])],
    ids=lambda cls: cls.__name__,
)
def fitted(request: pytest.FixtureRequest) -> BaseEstimator:
    """Fit each family on 3,000 simulations."""
    estimator = request.param(PRIOR, max_epochs=30, random_state=0)
    return estimator.fit(*make_folded(3_000, 0))


@pytest.mark.slow
def test_log_prob_is_near_the_exact_posterior(fitted: BaseEstimator) -> None:
    theta, x = make_folded(1_000, 1)
    exact = log_posterior(theta.to_numpy(), x.to_numpy())
    loss = exact - fitted.log_prob(theta, x)
    # What is lost on average is a divergence; its standard error is .01 at most here.
    assert loss.std() / 1_000**0.5 < 0.015
    assert -0.03 < loss.mean() < 0.1


def test_draws_have_the_moments_and_both_modes(fitted: BaseEstimator) -> None:
    x = pd.Series({"u": 0.5, "v": 1.5})
    draws = fitted.sample(x, 4_000, random_state=0)
    sd = (SD**2 / (1 + SD**2)) ** 0.5
    assert abs(draws["a"].mean() - 0.4) < 0.1
    assert abs(draws["a"].std() - sd) < 0.06
    assert abs((draws["b"] > 0).mean() - 0.5) < 0.1
    assert abs(draws["b"].abs().mean() - 1.2) < 0.1


def test_the_density_integrates_to_one(fitted: BaseEstimator) -> None:
    axis = np.linspace(-5, 5, 101)
    grid = pd.DataFrame(np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2), columns=["a", "b"])
    p = np.exp(fitted.log_prob(grid, pd.Series({"u": 0.5, "v": 1.5}))).reshape(101, 101)
    total = integrate.trapezoid(integrate.trapezoid(p, axis), axis)
    assert abs(total - 1) < 0.01


def test_draws_follow_the_density(fitted: BaseEstimator) -> None:
    x = pd.Series({"u": -1.0, "v": 0.3})
    n = 4_000
    draws = fitted.sample(x, n, random_state=1)
    axis = np.linspace(-5, 5, 101)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    p = np.exp(fitted.log_prob(pd.DataFrame(grid, columns=["a", "b"]), x)).reshape(101, 101)
    for name, marginal in (("a", p.sum(axis=1)), ("b", p.sum(axis=0))):
        cdf = (marginal.cumsum() - marginal / 2) / marginal.sum()
        distance = stats.kstest(draws[name], lambda t, cdf=cdf: np.interp(t, axis, cdf)).statistic
        assert distance < 2.23 / n**0.5 + 5e-3  # a probability of 1e-4, and the grid


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "distribution",
    [stats.uniform(2, 3), stats.expon(1, 2), stats.loguniform(1e-3, 1), stats.norm(1e4, 1e-2)],
    ids=["box", "half-line", "orders of magnitude", "narrow"],
)
def test_supports_of_every_kind(family: type, distribution: object) -> None:
    prior = {"t": distribution}
    rng = np.random.default_rng(0)
    theta = distribution.rvs((500, 1), random_state=rng)
    z = stats.norm.ppf(distribution.cdf(theta))
    x = z + 0.7 * rng.normal(size=(500, 1))
    fitted = family(prior, hidden_features=(16,), max_epochs=20, random_state=0).fit(theta, x)
    draws = fitted.sample(x[0], 1_000, random_state=0)
    low, high = distribution.support()
    assert draws.min() > low
    assert draws.max() < high
    # Draws of the prior's quantiles are normal around a linear function of x.
    z_draws = stats.norm.ppf(distribution.cdf(draws))
    expected = x[0, 0] / (1 + 0.7**2), (0.7**2 / (1 + 0.7**2)) ** 0.5
    assert abs(z_draws.mean() - expected[0]) < 0.2
    assert abs(z_draws.std() - expected[1]) < 0.12
    quantiles = distribution.ppf(np.linspace(1e-9, 1 - 1e-9, 4001))
    p = np.exp(fitted.log_prob(quantiles[:, None], np.tile(x[0], (4001, 1))))
    assert abs(integrate.trapezoid(p, quantiles) - 1) < 0.02


def test_a_field_that_is_rough_warns_and_ends(fitted: BaseEstimator) -> None:
    fitted = fitted.set_params(max_steps=1, tolerance=1e-6)
    try:
        with pytest.warns(SamplingWarning, match=r"max_steps=1 steps to tolerance=1e-06") as caught:
            draws = fitted.sample(pd.Series({"u": 0.5, "v": 1.5}), 10)
    finally:
        fitted.set_params(max_steps=100, tolerance=1e-4)
    assert np.isfinite(draws.to_numpy()).all()
    assert {w.filename for w in caught} == {__file__}


def test_tolerance_may_change_after_fit(fitted: BaseEstimator) -> None:
    theta, x = make_folded(200, 2)
    usual = fitted.log_prob(theta, x)
    exact = fitted.set_params(tolerance=1e-6).log_prob(theta, x)
    fitted.set_params(tolerance=1e-4)
    assert 0 < np.abs(usual - exact).mean() < 0.03


def test_what_is_drawn_alone_is_drawn_in_a_batch(fitted: BaseEstimator) -> None:
    _, x = make_folded(3, 3)
    log_p = fitted.log_prob(fitted.sample(x, 5, random_state=0).to_numpy().reshape(3, 5, 2), x)
    assert log_p.shape == (3, 5)
    assert np.isfinite(log_p).all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"tolerance": 0.0}, "tolerance"),
        ({"max_steps": 0}, "max_steps"),
        ({"criterion": "contrastive"}, "criterion"),
        ({"hidden_features": ()}, "hidden_features"),
        ({"module__members": 0}, "members"),
        ({"module__nonsense": 1}, "nonsense"),
        ({"criterion__power_of": 1}, "power_of"),
    ],
)
def test_bad_parameters_are_refused(family: type, parameters: dict, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        family(PRIOR, **parameters).fit(*make_folded(50, 0))


@pytest.mark.slow
def test_posteriors_that_were_too_narrow_are_warned_of() -> None:
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(250, 2))
    x = np.hstack([theta + rng.normal(size=(250, 2)), rng.normal(size=(250, 15))])
    by_heart = {"patience": None, "max_epochs": 200, "x_features": None, "module__members": 2}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        fitted = NPSE(PRIOR, optimizer__weight_decay=0.0, lr=2e-2, random_state=0, **by_heart)
        fitted.fit(theta, x)
    message = "posteriors like that of x were too narrow: for the 20 most alike .* held [ab] "
    with pytest.warns(TrainingWarning, match=message):
        fitted.sample(rng.normal(size=17), 10)


def test_members_that_disagree_are_warned_of(fitted: BaseEstimator) -> None:
    """One member is made to differ by so much a unit of u, which agrees with the others at zero."""
    apart = pickle.loads(pickle.dumps(fitted))
    with torch.no_grad():
        apart.net_.module_.field.linear_context[:2, 0] += 0.8
    with pytest.warns(MisspecificationWarning, match="disagree about x by "):
        apart.sample(pd.Series({"u": 2.5, "v": 0.8}), 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        apart.sample(pd.Series({"u": 0.0, "v": 0.8}), 10)
        fitted.sample(pd.Series({"u": 2.5, "v": 0.8}), 10)


def test_threads_that_ask_at_once_get_what_each_would_alone(fitted: BaseEstimator) -> None:
    """What doubts are examined with, at a coarse tolerance, is not what others draw with."""
    x = make_folded(8, 4)[1]

    def ask(i: int) -> Array:
        return fitted.sample(x.iloc[i], 50, random_state=i).to_numpy()

    alone = [ask(i) for i in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for own, other in zip(alone, pool.map(ask, range(8)), strict=True):
            np.testing.assert_array_equal(own, other)
