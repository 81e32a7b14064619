"""Views of theta: which parameters are given as they are, by their logarithm, or both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.preprocessing import StandardScaler

from sksbi.preprocessing import ParameterSpace, ParameterViews
from sksbi.priors import check_prior
from sksbi.priors.reach import ends
from sksbi.utils.types import Array


def views_of(prior: Any, theta: Array, transformer: Any = None) -> ParameterViews:
    """Fit a space and its views."""
    space = ParameterSpace(None if prior is None else check_prior(prior), transformer)
    return ParameterViews(space.fit(theta), theta)


def drawn(prior: Any, n: int = 2000) -> Array:
    """Draw from a prior."""
    return check_prior(prior).sample(n, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("marginal", "own", "unbounded"),
    [
        (stats.uniform(-3, 6), True, False),
        (stats.uniform(1e6, 1.0), True, False),
        (stats.norm(5, 2), False, True),
        (stats.lognorm(1.0), True, True),
        (stats.loguniform(1e-3, 1e3), True, True),
        (stats.beta(2, 2), True, False),
    ],
    ids=["uniform", "far uniform", "normal", "lognormal", "loguniform", "beta"],
)
def test_a_parameter_is_given_in_the_units_that_it_fills(
    marginal: Any, own: bool, unbounded: bool
) -> None:
    theta = drawn([marginal])
    views = views_of([marginal], theta)
    assert (len(views.own), len(views.unbounded)) == (own, unbounded)
    assert views.n_views == own + unbounded
    seen = views(theta)
    assert seen.shape == (2000, views.n_views)
    # Every view tells the order of theta, and is of a size that a network takes.
    order = np.argsort(theta[:, 0])
    assert (np.diff(seen[order], axis=0) >= 0).all()
    assert np.abs(np.median(seen, axis=0)).max() < 1
    assert np.abs(seen).max() < 50


def test_a_uniform_parameter_is_standardised_and_no_more() -> None:
    theta = drawn([stats.uniform(-3, 6)])
    seen = views_of([stats.uniform(-3, 6)], theta)(theta)
    np.testing.assert_allclose(seen, (theta - theta.mean()) / theta.std(), rtol=1e-12)


def test_without_a_prior_theta_is_standardised() -> None:
    theta = np.random.default_rng(0).normal([5, -2], [3, 0.1], size=(1000, 2))
    seen = views_of(None, theta)(theta)
    np.testing.assert_allclose(seen, (theta - theta.mean(0)) / theta.std(0), rtol=1e-9)


@pytest.mark.parametrize(
    "prior",
    [
        [stats.uniform(-3, 6), stats.lognorm(1.0), stats.norm()],
        [stats.loguniform(1e-2, 10), stats.uniform(0, 1)],
        [stats.lognorm(0.5)],
    ],
)
def test_unbounded_points_have_the_views_of_their_theta(prior: Any) -> None:
    theta = drawn(prior)
    views = views_of(prior, theta)
    z = views.space.to_unbounded(theta)
    np.testing.assert_allclose(views.from_unbounded(z), views(theta), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("prior", [[stats.uniform(0, 1)], [stats.loguniform(1e-3, 1e3)]])
def test_outside_the_support_views_are_those_of_the_nearest_point(prior: Any) -> None:
    views = views_of(prior, drawn(prior))
    low, high = views.space.prior.support
    outside = np.array([low - 1, high + 1, low - 1e9, high + 1e9])
    nearest = np.array([low, high, low, high])
    assert np.isfinite(views(outside)).all()
    np.testing.assert_array_equal(views(outside), views(nearest))
    np.testing.assert_allclose(
        views(nearest), views(np.tile(ends(views.space.prior), (2, 1))), 1e-5
    )


def test_a_transformer_is_applied_to_what_is_not_given_as_it_is() -> None:
    prior = [stats.norm(), stats.norm(3, 2)]
    theta = drawn(prior)
    plain = views_of(prior, theta)(theta)
    np.testing.assert_allclose(views_of(prior, theta, StandardScaler())(theta), plain, rtol=1e-6)


def test_a_constant_parameter_gives_zeros() -> None:
    theta = np.column_stack([np.full(50, 2.0), np.arange(50.0)])
    seen = views_of(None, theta)(theta)
    np.testing.assert_array_equal(seen[:, 0], 0)
