"""Boxes around draws, upright and oblique, are what they say, and so are priors on them."""

import numpy as np
import pytest
from scipy import stats

from sksbi.priors import check_prior
from sksbi.priors.around import box_around, seen_from
from sksbi.priors.reach import differences, unsampled
from sksbi.priors.tilted import TiltedPrior
from sksbi.priors.within import WithinPrior

PRIOR = check_prior({"a": stats.norm(3, 2), "b": stats.uniform(0, 10)})
JOINT = check_prior(stats.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]]))


def tilted(scale=0.3):
    """Make a narrow oblique box in scores."""
    edges = np.array([[1.0, -0.1], [1.0, 0.1]]) * scale
    return TiltedPrior(PRIOR, np.array([0.4, -0.2]), edges)


@pytest.mark.parametrize("prior", [PRIOR, JOINT], ids=["marginals", "joint"])
@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_a_box_holds_the_draws_with_a_margin(prior, margin):
    """All lie inside, and only with a margin is there room."""
    theta = prior.sample(200, 0) * 0.01 + prior.sample(1, 1)
    low, high = box_around(prior, theta, margin)
    assert np.all(low <= theta.min(axis=0) + 1e-9)
    assert np.all(high >= theta.max(axis=0) - 1e-9)
    share = np.ptp(theta, axis=0) / (high - low)
    np.testing.assert_allclose(share, 1 / (1 + 2 * margin), rtol=0.1)


def test_a_box_ends_where_the_prior_does():
    """A margin that reaches beyond gives the bounds themselves."""
    low, high = box_around(PRIOR, PRIOR.sample(1_000, 0), 1.0)
    np.testing.assert_array_equal([low, high], PRIOR.support)


def test_a_small_posterior_is_seen_from_nearby():
    """The prior on the wide box shows it at a scale of its own."""
    theta = np.array([3.0, 5.0]) + 1e-4 * np.random.default_rng(0).standard_normal((500, 2))
    for prior in (PRIOR, check_prior(stats.multivariate_normal([3, 5], [[1, 0.5], [0.5, 1]]))):
        seen = seen_from(prior, theta, 1.0)
        assert seen.contains(theta).all()
        if prior is PRIOR:
            assert 0.1 < np.std(seen.to_unbounded(theta)) < 2
            assert np.std(prior.to_unbounded(theta)) < 1e-3


def test_joint_priors_keep_their_map_unless_it_is_too_coarse():
    """A box of a tenth of the range or more is no reason to give it up."""
    assert seen_from(JOINT, JOINT.sample(100, 0), 1.0) is JOINT


def test_draws_of_an_oblique_box_are_those_of_the_prior_inside():
    """They agree with rejection, column by column and in their product."""
    prior = tilted()
    draws, others = prior.sample(4_000, 0), PRIOR.sample(400_000, 1)
    others = others[prior.holds(others)]
    assert prior.holds(draws).all()
    for of in (lambda t: t[:, 0], lambda t: t[:, 1], lambda t: t[:, 0] * t[:, 1]):
        assert stats.ks_2samp(of(draws), of(others)).pvalue > 1e-3
    assert prior.mass == pytest.approx(len(others) / 400_000, rel=4 / len(others) ** 0.5)


def test_the_density_on_an_oblique_box_integrates_to_one():
    """The mean of p / q over uniform points, times their area, is one."""
    prior, rng = tilted(), np.random.default_rng(0)
    low, high = (f(prior.sample(20_000, 0), axis=0) for f in (np.min, np.max))
    theta = rng.uniform(low, high, size=(200_000, 2))
    values = np.exp(prior.log_prob(theta)) * np.prod(high - low)
    assert values.mean() == pytest.approx(1, abs=0.01 + 4 * values.std() / len(values) ** 0.5)
    outside = ~prior.holds(theta)
    assert np.all(values[outside] == 0)
    np.testing.assert_array_equal(prior.contains(theta), ~outside)


def test_a_region_in_an_oblique_box_is_in_both():
    """Further restrictions hold with the first one."""
    prior = tilted().within(lambda theta: theta[:, 0] > 4)
    theta = prior.sample(1_000, 0)
    assert (theta[:, 0] > 4).all()
    assert tilted().holds(theta).all()
    assert not prior.contains([[4.5, 9.9]]).any()
    cut = tilted().truncated([3.5, 0], [20, 10])
    assert isinstance(cut, WithinPrior)
    assert tilted().holds(cut.sample(100, 0)).all()


def test_a_box_that_is_far_too_large_is_refused():
    """Where hardly any uniform point would be kept, that is said."""
    with pytest.raises(ValueError, match="varies too much"):
        TiltedPrior(PRIOR, np.zeros(2), 500 * np.eye(2))


def test_parameters_from_elsewhere_are_not_compared():
    """Only draws of the prior have to look like them."""
    theta = PRIOR.sample(1_000, 0) * 0.1 + 3
    assert differences(theta, PRIOR)[1].min() < 1e-10
    assert differences(theta, unsampled(PRIOR))[1].min() == 1
    assert PRIOR.is_sampled


def test_the_box_along_the_axes_is_the_smallest():
    """It holds all draws, and they come near its sides, a bound of the prior where it is far."""
    made = tilted()
    low, high = made.boxed.support
    theta = made.sample(100_000, 0)
    assert np.all((theta >= low) & (theta <= high))
    width = high - low
    assert np.all(theta.min(axis=0) - low < 0.1 * width)
    assert np.all(high - theta.max(axis=0) < 0.1 * width)
