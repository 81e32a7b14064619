r"""
The evidence against closed forms and quadrature.

In the unbounded space of independent marginals the prior is standard normal, so that a factor that
is normal in z gives a normal evidence, and one that is normal in a uniform theta a normal one up to
the mass beyond the bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.special import logsumexp

from sksbi.posteriors.evidence import Evidence, estimate_evidence
from sksbi.posteriors.factor import Factor, FactorAt
from sksbi.posteriors.unnormalised import PriorTimes
from sksbi.priors import check_prior
from sksbi.samplers import MetropolisHastings, Target

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

M = 40


class Normal:
    """The standard normal reference in D dimensions."""

    def __init__(self, d: int) -> None:
        self.d = d

    def sample(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        return generator.standard_normal((*shape, self.d))

    def log_prob(self, z: Array) -> Array:
        return stats.norm.logpdf(z).sum(axis=-1)


def estimate(log_factor: Callable[[Array, Array], Array], x: Array, d: int) -> Evidence:
    def target_of(rows: Rows) -> Target:
        return Target(lambda z: log_factor(z, x[rows][:, None]), Normal(d))

    return estimate_evidence(target_of, len(x), np.random.default_rng(1))


def hold(found: Evidence, truth: Array) -> None:
    """Each error within five of what its effective size allows, their mean within four."""
    assert (found.effective >= 200).all()
    errors = (found.log_z - truth) * np.sqrt(found.effective)
    assert np.abs(errors).max() < 5
    assert abs(errors.mean()) < 4 / np.sqrt(len(errors))
    assert abs(np.mean(found.log_z - truth)) < 0.02


@pytest.mark.parametrize(
    ("d", "sd"), [(1, 1e-3), (1, 10.0), (2, 0.03), (3, 1e-3), (3, 0.3), (5, 0.3), (5, 1.0)]
)
def test_linear_gaussians_have_their_evidence(d, sd):
    wide = np.hypot(1, sd)
    x = wide * np.random.default_rng(0).normal(size=(M, d))
    found = estimate(lambda z, x: stats.norm.logpdf(x, z, sd).sum(axis=-1), x, d)
    hold(found, stats.norm.logpdf(x, 0, wide).sum(axis=1))


@pytest.mark.parametrize("d", [1, 2, 5])
def test_a_posterior_at_a_hard_bound_has_its_evidence(d):
    """theta is uniform on (0, 1), and x says that it is below 0."""
    x = -0.01 * (1 + np.random.default_rng(0).random(size=(M, d)))
    found = estimate(lambda z, x: stats.norm.logpdf(x, stats.norm.cdf(z), 0.01).sum(axis=-1), x, d)
    hold(found, stats.norm.logsf(-x / 0.01).sum(axis=1))


def banana(z: Array, x: Array) -> Array:
    bent = stats.norm.logpdf(x[..., 1], z[..., 1] - z[..., 0] ** 2, 0.1)
    return bent + stats.norm.logpdf(x[..., 0], z[..., 0], 1)


def four_modes(z: Array, x: Array) -> Array:
    return stats.norm.logpdf(x, np.abs(z), 0.1).sum(axis=-1)


def ring(z: Array, x: Array) -> Array:
    return stats.norm.logpdf(x[..., 0], np.hypot(z[..., 0], z[..., 1]), 0.05)


@pytest.mark.parametrize("log_factor", [banana, four_modes, ring])
def test_posteriors_of_odd_shapes_have_their_evidence(log_factor):
    x = np.abs(np.random.default_rng(0).normal(size=(8, 2))) + [[1.0, 0.0]]
    edges = np.linspace(-6, 6, 1_201)
    grid = np.stack(np.meshgrid(edges, edges, indexing="ij"), axis=-1).reshape(-1, 2)
    weights = stats.norm.logpdf(grid).sum(axis=1) + 2 * np.log(edges[1] - edges[0])
    truth = [logsumexp(weights + log_factor(grid, one)) for one in x]
    hold(estimate(log_factor, x, 2), np.array(truth))


def test_the_logarithm_flatters_by_no_more_than_it_says():
    """At an effective size of 600 to 2,000, minus half of 1 / ess - 1 / n is below 0.001."""
    x = np.hypot(1, 0.3) * np.random.default_rng(2).normal(size=(500, 2))
    found = estimate(lambda z, x: stats.norm.logpdf(x, z, 0.3).sum(axis=-1), x, 2)
    errors = found.log_z - stats.norm.logpdf(x, 0, np.hypot(1, 0.3)).sum(axis=1)
    assert abs(errors.mean()) < 0.001 + 4 * errors.std() / np.sqrt(len(errors))
    assert errors.std() < 0.02


def test_what_points_are_worth_too_little_has_no_answer():
    """In 20 dimensions, two hundred modes: a mixture of few components is no match for them."""
    modes = 3 * np.random.default_rng(0).normal(size=(200, 20))

    def log_factor(z: Array, x: Array) -> Array:
        squares = (z**2).sum(-1)[..., None] - 2 * z @ modes.T + (modes**2).sum(-1)
        return logsumexp(-squares / (2 * 0.1**2), axis=-1)

    found = estimate(log_factor, np.zeros((2, 1)), 20)
    assert (found.effective < 200).all()
    assert np.isnan(found.log_z).all()


class Likelihood(Factor):
    """The likelihood of x ~ N(theta, sd^2), times a constant."""

    n_units = 1

    def __init__(self, prior: Any, sd: float) -> None:
        self.prior, self.sd = prior, sd

    def units(self, theta: Array) -> Array:
        return theta

    def units_from_unbounded(self, z: Array) -> Array:
        return self.prior.from_unbounded(z)

    def at(self, x: Array) -> LikelihoodAt:
        return LikelihoodAt(x[:, 0], self.sd)

    def pooled(self, others: Any) -> Likelihood:
        raise NotImplementedError

    def score(self, theta: Array, x: Array, weights: Array) -> float:
        raise NotImplementedError


class LikelihoodAt(FactorAt):
    """The same at fixed x."""

    def __init__(self, x: Array, sd: float) -> None:
        self.x, self.sd = x, sd

    def __call__(self, u: Array, rows: Rows) -> Array:
        return stats.norm.logpdf(self.x[rows], u[:, 0], self.sd)

    def take(self, rows: Rows | slice) -> LikelihoodAt:
        return LikelihoodAt(self.x[rows], self.sd)


@pytest.mark.parametrize("prior", [stats.norm(50, 20), stats.uniform(0, 100), stats.gamma(2, 0, 9)])
@pytest.mark.parametrize("n_trials", [1, 7])
def test_prior_times_factor_divided_by_it_integrates_to_one(prior, n_trials):
    """In the units of theta, for 130 observations: more than are worked on at once."""
    adapted = check_prior([prior])
    posterior = PriorTimes(adapted, Likelihood(adapted, 5.0), MetropolisHastings())
    rng = np.random.default_rng(0)
    x = prior.rvs((130, 1, 1), random_state=rng) + rng.normal(0, 5, size=(130, n_trials, 1))
    asked = posterior.at(x if n_trials > 1 else x[:, 0], trials=n_trials > 1)
    found = asked.evidence(np.random.default_rng(1))
    edges = np.linspace(-60, 200, 2_601)
    grid = np.tile(((edges[1:] + edges[:-1]) / 2)[:, None], (130, 1))
    log_p = asked.log_prob(grid, np.arange(130).repeat(2_600)).reshape(130, -1)
    hold(found, logsumexp(log_p, axis=1) + np.log(edges[1] - edges[0]))
