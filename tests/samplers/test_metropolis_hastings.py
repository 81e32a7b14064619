"""Metropolis-Hastings: what it learns and when, hard starts, few chains, many dimensions."""

import numpy as np
import pytest

from sksbi.samplers import MetropolisHastings
from sksbi.samplers._chains import live_starts
from sksbi.samplers.base import checked


def normal(scale):
    return lambda z: -0.5 * ((z / scale) ** 2).sum(axis=-1)


def within(draws, scale, ess):
    """Tell whether means and variances are as they should be, up to five standard errors."""
    error = 5 / np.sqrt(np.minimum(ess, draws.shape[1]))
    means = np.abs(draws.mean(axis=1)) / scale
    squares = np.abs((draws**2).mean(axis=1) / scale**2 - 1)
    return (means < error).all() and (squares < error * np.sqrt(2)).all()


@pytest.mark.parametrize("proposal", ["mixture", "differential", "gaussian"])
def test_nothing_is_learnt_after_the_warm_up(proposal):
    sampler = MetropolisHastings(proposal=proposal)
    rng = np.random.default_rng(0)
    density = checked(normal(1.0))
    kernel = sampler._kernel(density, *live_starts(density, rng.normal(size=(2, 20, 2)), rng), rng)
    for t in range(20):
        kernel.step()
        kernel.adapt((t + 1) / 20)
    learnt = [kernel.steps.root, kernel.steps.log_scale, kernel.rate, kernel.mixture]
    copies = [value.copy() for value in learnt[:3]]
    for _ in range(20):
        kernel.step()
    now = [kernel.steps.root, kernel.steps.log_scale, kernel.rate, kernel.mixture]
    assert all(a is b for a, b in zip(learnt, now, strict=True))
    assert all((a == b).all() for a, b in zip(copies, now[:3], strict=True))
    assert (kernel.mixture is not None) == (proposal == "mixture")


@pytest.mark.parametrize("proposal", ["mixture", "differential", "gaussian"])
@pytest.mark.parametrize("n_chains", [1, 3, 12])
def test_few_chains_are_enough_for_one_mode(proposal, n_chains):
    scale = np.array([1.0, 0.1])
    initial = np.random.default_rng(0).normal(size=(2, n_chains, 2)) * 0.1
    sampler = MetropolisHastings(n_warmup=300, proposal=proposal)
    draws, statistics = sampler.run(normal(scale), initial, 300, 0)
    assert within(draws, scale, statistics.ess / 1.5)


@pytest.mark.parametrize(
    "scale", [np.array([1.0, 0.1, 0.01]), np.array([1e-6, 1.0, 1e6]), np.full(3, 1e-3)]
)
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_starts_may_coincide_and_scales_may_differ(scale, spread):
    noise = np.random.default_rng(1).normal(size=(1, 100, 3))
    draws, statistics = MetropolisHastings(n_warmup=300).run(
        normal(scale), scale * (0.5 + spread * noise), 1000, 0
    )
    assert within(draws, scale, statistics.ess / 1.5)


def test_four_modes_in_five_dimensions_have_their_weights():
    def density(z):
        offset = np.abs(z[..., :2]) - 2.0
        return -0.5 * (offset**2).sum(axis=-1) / 0.25**2 - 0.5 * (z[..., 2:] ** 2).sum(axis=-1)

    rng = np.random.default_rng(0)
    initial = rng.normal(size=(1, 400, 5))
    initial[..., :2] = np.where(rng.random((1, 400, 2)) < 0.8, 2.0, -2.0)
    draws, statistics = MetropolisHastings(n_warmup=150).run(density, initial, 4000, 0)
    shares = (draws[0, :, :2] > 0).mean(axis=0)
    assert (np.abs(shares - 0.5) < 4 * 0.5 / np.sqrt(statistics.ess[0, :2])).all()
    assert statistics.ess.min() > 2000  # with differences alone about 800


def test_the_mixture_saves_evaluations():
    initial = np.random.default_rng(0).normal(size=(1, 200, 4))
    ess = {
        proposal: MetropolisHastings(thin=2, proposal=proposal)
        .run(normal(1.0), initial, 4000, 0)[1]
        .ess.min()
        for proposal in ("mixture", "differential")
    }
    assert ess["mixture"] > 2.5 * ess["differential"]


def count_steps(density, initial, n_samples, **parameters):
    """Count the steps of a run, warm-up and others, and give the effective size of the draws."""
    n_points = 0

    def counted(z):
        nonlocal n_points
        n_points += z.shape[1]
        return density(z)

    statistics = MetropolisHastings(**parameters).run(counted, initial, n_samples, 0)[1]
    return n_points / initial.shape[1] - 1, statistics.ess.min() / n_samples


def ring(z):
    return -0.5 * ((np.hypot(z[..., 0], z[..., 1]) - 2) / 0.02) ** 2


def test_no_more_steps_are_taken_than_the_mixture_asks_for():
    # The fewest: half of the warm-up, and 4 steps for each of 10 draws of every chain.
    initial = np.random.default_rng(0).normal(size=(2, 100, 2))
    easy, easy_ess = count_steps(normal(1.0), initial, 1000)
    assert easy < 50 + 10 * 6
    assert easy_ess > 0.7
    # 16 Gaussians do not cover a thin ring.
    hard, _ = count_steps(ring, initial, 1000)
    assert hard > 50 + 10 * 10
    both, _ = count_steps(lambda z: np.stack([normal(1.0)(z[0]), ring(z[1])]), initial, 1000)
    assert both > 50 + 10 * 10  # the slower target decides
    assert count_steps(normal(1.0), initial, 1000, thin=30)[0] == 50 + 10 * 30


def test_without_a_mixture_the_number_of_steps_is_fixed():
    initial = np.random.default_rng(0).normal(size=(1, 100, 2))
    for proposal in ("differential", "gaussian"):
        assert count_steps(normal(1.0), initial, 1000, proposal=proposal)[0] == 100 + 10 * 16


def test_twenty_dimensions():
    scale = np.logspace(0, -1, 20)
    initial = scale * np.random.default_rng(0).normal(size=(1, 300, 20))
    draws, statistics = MetropolisHastings().run(normal(scale), initial, 3000, 0)
    assert within(draws, scale, statistics.ess / 1.5)


def test_a_given_step_size_is_kept():
    seen = []

    def density(z):
        seen.append(z.copy())
        return np.zeros(z.shape[:-1])  # every step is accepted

    MetropolisHastings(n_warmup=20, thin=1, proposal="gaussian", step_size=0.3)(
        density, np.zeros((1, 500, 2)), 500, 0
    )
    steps = np.diff(np.stack(seen), axis=0)
    assert abs(steps.std() / 0.3 - 1) < 4 / np.sqrt(2 * steps.size)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"proposal": "snooker"}, "'proposal' .* Got 'snooker'"),
        ({"step_size": 0.0}, "'step_size' .* Got 0.0"),
        ({"n_warmup": -1}, "'n_warmup' .* Got -1"),
        ({"n_warmup": 1.5}, "'n_warmup' .* Got 1.5"),
    ],
)
def test_bad_parameters_are_refused(change, match):
    with pytest.raises(ValueError, match=match):
        MetropolisHastings(**change)(normal(1.0), np.zeros((1, 4, 2)), 4)


def test_no_warm_up_at_all():
    initial = np.random.default_rng(0).normal(size=(1, 100, 2))
    draws, statistics = MetropolisHastings(n_warmup=0).run(normal(1.0), initial, 1000, 0)
    assert within(draws, 1.0, statistics.ess / 1.5)
