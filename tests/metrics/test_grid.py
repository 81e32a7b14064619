"""Densities on a grid: normalised, where the mass is, exact against closed forms, and coverage."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import logsumexp

from sksbi import NLE, NPE, NRE
from sksbi.metrics import expected_coverage, grid_held_out, grid_log_prob, hpd_levels
from sksbi.priors import check_prior

QUICK = {"max_epochs": 3, "random_state": 0}


class Exact:
    """Know the posterior of independent theta_j ~ prior given x, up to a constant of its own."""

    def __init__(self, prior: dict, sd: np.ndarray, constant: float = 0.0) -> None:
        self.prior_ = check_prior(prior)
        self.parameter_names_ = list(prior)
        self.sd, self.constant = np.asarray(sd), constant

    def sample(self, x: np.ndarray, n: int, random_state: object = None) -> np.ndarray:
        raise NotImplementedError

    def log_prob(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        x = np.asarray(x)
        x = x[:, None] if theta.ndim == 3 else x
        inside = self.prior_.contains(theta.reshape(-1, theta.shape[-1])).reshape(theta.shape[:-1])
        log_p = stats.norm.logpdf(theta, x, self.sd).sum(axis=-1)
        return np.where(inside, log_p, -np.inf) + self.constant


def cell(log_p: pd.Series) -> float:
    """Compute the volume of a cell."""
    return float(np.prod([np.diff(level[:2])[0] for level in _levels(log_p)]))


def _levels(log_p: pd.Series) -> list[np.ndarray]:
    """List the coordinates of each parameter."""
    index = log_p.index
    return [np.unique(index.get_level_values(k)) for k in range(index.nlevels)]


def flat(d: int, low: float = 0.0, width: float = 1.0) -> dict:
    """Give a uniform prior."""
    return {f"p{j}": stats.uniform(low, width) for j in range(d)}


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("sd", [1e-4, 0.1, 50.0])
def test_the_density_is_the_truncated_normal_whatever_its_constant(d: int, sd: float) -> None:
    """From spikes of a ten-thousandth of the box to a flat density, within one per cent."""
    x = np.full(d, 0.3)
    log_p = grid_log_prob(Exact(flat(d), np.full(d, sd), -700.0), x)
    points = np.array(log_p.index.to_list()).reshape(-1, d)
    inside = stats.norm.cdf(1, 0.3, sd) - stats.norm.cdf(0, 0.3, sd)
    exact = (stats.norm.logpdf(points, 0.3, sd) - np.log(inside)).sum(axis=1)
    np.testing.assert_allclose(log_p, exact, atol=0.01)
    assert np.exp(log_p).sum() * cell(log_p) == pytest.approx(1, abs=1e-9)
    assert log_p.index.names == [f"p{j}" for j in range(d)]


def test_two_modes_at_the_walls_of_an_unbounded_prior_stay() -> None:
    """The box shrinks to the mass, not to the higher mode."""
    exact = Exact({"a": stats.norm(0, 100)}, np.array([1.0]))

    def two(theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        modes = [stats.norm.logpdf(theta[..., 0], m, 0.5) for m in (-40.0, 60.0)]
        return np.logaddexp(modes[0] + np.log(0.1), modes[1] + np.log(0.9))

    exact.log_prob = two
    log_p = grid_log_prob(exact, [0.0])
    left = log_p[log_p.index < 0]
    assert np.exp(left).sum() * cell(log_p) == pytest.approx(0.1, abs=1e-4)
    assert log_p.index.min() > -60
    assert log_p.index.max() < 80


def test_given_bounds_are_kept_and_others_follow_the_mass() -> None:
    exact = Exact(flat(2), np.array([0.01, 0.01]))
    log_p = grid_log_prob(exact, [0.5, 0.5], bounds={"p0": (0.5, 0.9)}, n_points=100)
    first, second = _levels(log_p)
    np.testing.assert_allclose(first[[0, -1]], [0.502, 0.898])
    assert second[0] > 0.4
    assert second[-1] < 0.6
    again = grid_log_prob(exact, [0.5, 0.5], bounds=[(0.5, 0.9), (0.4, 0.6)], n_points=100)
    assert np.exp(again).sum() * cell(again) == pytest.approx(1)


def test_a_ridge_that_the_grid_misses_is_warned_of() -> None:
    exact = Exact(flat(2), np.array([1.0, 1.0]))
    exact.log_prob = lambda theta, x: -0.5 * ((theta[..., 0] - theta[..., 1]) / 1e-3) ** 2
    with pytest.warns(UserWarning, match="the grid is too coarse for 1 of 1 posteriors"):
        grid_log_prob(exact, [0.0, 0.0], n_points=64)


@pytest.mark.parametrize("cls", [NPE, NRE, NLE])
@pytest.mark.parametrize("table", [False, True])
def test_families_agree_with_their_log_prob(cls: type, table: bool) -> None:
    """Up to the constant that a ratio and a likelihood lack; NPE lacks none."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(400, 2))
    x = theta + 0.5 * rng.normal(size=(400, 2))
    prior = {"a": stats.norm(), "b": stats.norm()}
    given = pd.DataFrame(theta, columns=["a", "b"]) if table else theta
    estimator = cls(prior, **QUICK).fit(given, x)
    log_p = grid_log_prob(estimator, x[0], n_points=60)
    points = pd.DataFrame(log_p.index.to_list(), columns=["a", "b"])
    difference = estimator.log_prob(points if table else points.to_numpy(), x[0]) - log_p.to_numpy()
    assert np.ptp(difference) < 1e-8
    if cls is NPE:
        assert abs(difference[0]) < 0.01


def test_coverage_on_grids_is_that_of_exact_levels() -> None:
    """For normals theta's level is known: P(|z| < |theta - x| / sd)."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(300, 1))
    x = theta + rng.normal(size=(300, 1))
    exact = Exact({"a": stats.norm(0, 20)}, np.array([1.0]))
    log_probs = grid_held_out(exact, theta, x)
    assert log_probs[0].shape == (300, 1_000)
    expected = 2 * stats.norm.cdf(np.abs(theta - x)[:, 0]) - 1
    np.testing.assert_allclose(hpd_levels(*log_probs), expected, atol=0.01)
    levels, coverage = expected_coverage(*log_probs, grid=True)
    assert np.abs(coverage - levels).max() < 1.63 / 300**0.5


def test_failed_simulations_are_left_out() -> None:
    rng = np.random.default_rng(0)
    theta, x = rng.normal(size=(2, 20, 1))
    x[3] = np.nan
    log_probs = grid_held_out(Exact({"a": stats.norm()}, np.array([1.0])), theta, x, n_points=50)
    assert [len(part) for part in log_probs] == [19, 19]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"bounds": [(0, 1)]}, ValueError, r"shape \(2, 2\), got shape \(1, 2\)"),
        ({"bounds": [(0, 1), (1, 0)]}, ValueError, r"low < high .* got .*\(1, 0\)"),
        ({"bounds": {"mass": (0, 1)}}, ValueError, "got the unknown .*mass"),
        ({"bounds": {"p0": (np.nan, np.nan)}}, ValueError, "low < high"),
        ({"bounds": "ab"}, TypeError, "low < high .* got 'ab'"),
        ({"bounds": [(5, 6), (5, 6)]}, ValueError, "bounds must hold some of the posterior"),
        ({"n_points": 3}, ValueError, "n_points must be .*got 3"),
    ],
)
def test_bad_options_are_named(options: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        grid_log_prob(Exact(flat(2), np.ones(2)), [0.5, 0.5], **options)


def test_too_many_parameters_no_prior_and_a_batch_are_named() -> None:
    with pytest.raises(ValueError, match="at most 3 parameters for a grid, got 4: take draws"):
        grid_log_prob(Exact(flat(4), np.ones(4)), np.zeros(4))
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(100, 1))
    x = theta + rng.normal(size=(100, 2))
    npe = NPE(**QUICK).fit(theta, x)
    with pytest.raises(ValueError, match=re.escape("bounds must be given for ['theta_0']")):
        grid_log_prob(npe, x[0])
    with pytest.raises(ValueError, match="theta has 1000 rows and x has 100 observations"):
        grid_log_prob(npe, x, bounds=[(-6, 6)])
    with pytest.raises(TypeError, match="have log_prob, such as NPE, got DataFrame"):
        grid_log_prob(pd.DataFrame(), x[0])
    log_p = grid_log_prob(npe, x[0], bounds=[(-12, 12)])
    assert logsumexp(log_p) + np.log(cell(log_p)) == pytest.approx(0, abs=1e-9)
