"""What every posterior promises, on one that is known: N(x / 2, 1 / 2) on the positive half."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sksbi.posteriors.base import Draws
from sksbi.posteriors.mixture import Normalised, NormalisedAt
from sksbi.priors import check_prior

PRIOR = check_prior([stats.halfnorm(), stats.norm()])


class Known(Normalised):
    """Two independent normals around x, the first cut at zero; NaN where theta_2 is above 5."""

    prior = PRIOR

    def _at(self, x: np.ndarray) -> KnownAt:
        return KnownAt(x)


class KnownAt(NormalisedAt):
    """The same at some observations."""

    def __init__(self, x: np.ndarray) -> None:
        super().__init__(PRIOR, len(x))
        self.x = x

    def take(self, rows: np.ndarray | slice) -> KnownAt:
        return KnownAt(self.x[rows])

    def marginals(self, rows: np.ndarray) -> tuple:
        """Give the distributions of both parameters."""
        first = stats.truncnorm(-self.x[rows, 0], np.inf, loc=self.x[rows, 0])
        return first, stats.norm(self.x[rows, 1], 1)

    def _draw(self, n: int, generator: np.random.Generator, *, log_prob: bool) -> Draws:
        rows = np.arange(len(self.x)).repeat(n)
        draws = [one.ppf(generator.random(len(rows))) for one in self.marginals(rows)]
        return Draws(np.stack(draws, axis=-1).reshape(len(self.x), n, 2))

    def _log_prob(self, theta: np.ndarray, rows: np.ndarray) -> np.ndarray:
        first, second = self.marginals(rows)
        log_p = first.logpdf(theta[:, 0]) + second.logpdf(theta[:, 1])
        return np.where(theta[:, 1] > 5, np.nan, log_p)


X = np.array([[1.0, 0.0], [-2.0, 3.0], [0.5, -1.0]])


@pytest.fixture(scope="module")
def known() -> KnownAt:
    """Fix three observations."""
    return Known().at(X)


def test_log_densities_are_minus_infinity_outside_and_never_nan(known: KnownAt) -> None:
    theta = np.array([[1.0, 0.0], [-1.0, 0.0], [1.0, 6.0], [np.nan, 0.0]])
    log_p = known.log_prob(theta, np.array([0, 0, 1, 2]))
    expected = stats.truncnorm.logpdf(1, -1, np.inf, loc=1) + stats.norm.logpdf(0)
    np.testing.assert_allclose(log_p, [expected, -np.inf, -np.inf, -np.inf])


def test_draws_come_with_the_log_densities_that_log_prob_gives(known: KnownAt) -> None:
    draws, found = known.sample_and_log_prob(50, np.random.default_rng(0))
    plain = known.sample(50, np.random.default_rng(0))
    np.testing.assert_array_equal(draws.theta, plain.theta)
    assert plain.log_prob is None
    log_p = known.log_prob(draws.theta.reshape(-1, 2), np.arange(3).repeat(50))
    np.testing.assert_array_equal(found.ravel(), log_p)


def test_with_shared_noise_draws_do_not_depend_on_what_else_is_asked(known: KnownAt) -> None:
    together = known.sample(20, np.random.default_rng(0), shared_noise=True).theta
    for i in range(3):
        alone = known.take(slice(i, i + 1)).sample(20, np.random.default_rng(0)).theta
        np.testing.assert_array_equal(together[i : i + 1], alone)
    levels = [stats.norm.cdf(one[:, 1] - x[1]) for one, x in zip(together, X, strict=True)]
    np.testing.assert_allclose(levels, [levels[0]] * 3)


def test_modes_are_found_inside_and_at_a_bound(known: KnownAt) -> None:
    modes = known.modes(np.random.default_rng(0))
    # A log-density that is 1e-5 short is sqrt(2e-5) standard deviations away.
    np.testing.assert_allclose(modes, [[1.0, 0.0], [0.0, 3.0], [0.5, -1.0]], atol=4.5e-3)
    assert (modes[:, 0] > 0).all()


def test_trials_are_refused_by_a_density_and_the_way_out_is_named() -> None:
    with pytest.raises(ValueError, match=r"iid=True .* NRE, .*sksbi\.nn\.DeepSet"):
        Known().at(X[:, None], trials=True)


def test_the_score_is_the_weighted_mean_log_density(known: KnownAt) -> None:
    theta, weights = np.array([[1.0, 0.0], [2.0, 2.0], [0.1, 0.0]]), np.array([1.0, 2.0, 3.0])
    log_p = known.log_prob(theta, np.arange(3))
    assert Known().score(theta, X, weights) == pytest.approx(np.average(log_p, weights=weights))


def test_nothing_is_in_doubt_without_a_record(known: KnownAt) -> None:
    assert not known.doubts()
