"""R-hat and the effective sample size: known values, short chains, and what stands still."""

import numpy as np
import pytest

from sksbi.metrics import effective_sample_size, split_r_hat


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def autoregressive(rho, n_chains, n_steps, seed=0):
    """Draw stationary chains with correlation rho^t at lag t."""
    noise = normal(n_chains, n_steps, 1, seed=seed)
    chains = noise.copy()
    for t in range(1, n_steps):
        chains[:, t] = rho * chains[:, t - 1] + np.sqrt(1 - rho**2) * noise[:, t]
    return chains


@pytest.mark.parametrize(("n_chains", "n_steps"), [(4, 1000), (1, 4000), (1000, 10), (1000, 5)])
def test_independent_draws_agree_and_are_worth_themselves(n_chains, n_steps):
    chains = normal(n_chains, n_steps, 3)
    # With short halves the variance of R-hat^2 is that of a variance of 2 n_chains means.
    assert np.abs(split_r_hat(chains) - 1).max() < 4 / np.sqrt(2 * n_chains * n_steps / 2)
    ratio = effective_sample_size(chains) / (n_chains * n_steps)
    assert (np.abs(ratio - 1) < 0.2).all()


@pytest.mark.parametrize("rho", [-0.3, 0.5, 0.9])
def test_autoregressive_chains_have_their_known_size(rho):
    chains = autoregressive(rho, 8, 5000)
    ratio = effective_sample_size(chains)[0] / chains.size
    np.testing.assert_allclose(ratio, (1 - rho) / (1 + rho), rtol=0.15)
    assert split_r_hat(chains)[0] < 1.01


def test_chains_in_other_places_do_not_agree():
    chains = normal(4, 500, 2)
    chains[:2, :, 1] += 5
    r_hat, ess = split_r_hat(chains), effective_sample_size(chains)
    assert r_hat[0] < 1.02
    assert r_hat[1] > 1.5
    assert ess[1] < 20 < ess[0]


def test_chains_of_other_widths_do_not_agree():
    chains = normal(4, 500, 1) * np.array([1.0, 1.0, 1.0, 10.0])[:, None, None]
    assert split_r_hat(chains)[0] > 1.1


def test_a_drift_within_a_chain_is_seen():
    chains = normal(4, 500, 1) + np.linspace(0, 5, 500)[:, None]
    assert split_r_hat(chains)[0] > 1.4


def test_heavy_tails_do_no_harm():
    chains = np.random.default_rng(0).standard_cauchy(size=(4, 1000, 1))
    assert split_r_hat(chains)[0] < 1.01
    assert abs(effective_sample_size(chains)[0] / 4000 - 1) < 0.2


def test_monotone_maps_change_no_size():
    chains = normal(4, 200, 2)
    np.testing.assert_allclose(
        effective_sample_size(np.exp(chains)), effective_sample_size(chains), rtol=1e-12
    )


def test_many_sets_at_once_are_each_alone():
    chains = normal(2, 3, 4, 50, 2)
    for function in (split_r_hat, effective_sample_size):
        together = function(chains)
        assert together.shape == (2, 3, 2)
        np.testing.assert_allclose(together[1, 2], function(chains[1, 2]), rtol=1e-12)


@pytest.mark.parametrize("function", [split_r_hat, effective_sample_size])
def test_what_is_not_defined_is_nan(function):
    assert np.isnan(function(np.ones((3, 10, 2)))).all()
    assert np.isnan(function(normal(10, 3, 2))).all()
    assert np.isnan(function(np.ones((1, 4, 1)))).all()


def test_chains_that_stand_still_never_agree():
    chains = np.repeat(normal(50, 1, 1), 10, axis=1)
    assert split_r_hat(chains)[0] == np.inf
    assert effective_sample_size(chains)[0] < 100


@pytest.mark.parametrize("function", [split_r_hat, effective_sample_size])
@pytest.mark.parametrize(
    ("chains", "error", "match"),
    [
        (np.ones((3, 4)), ValueError, r"chains must have shape .* got \(3, 4\)"),
        (np.ones((0, 4, 1)), ValueError, r"none of them 0, got \(0, 4, 1\)"),
        (np.full((2, 4, 1), np.nan), ValueError, "chains must be finite, got nan"),
        (np.full((2, 4, 1), "a"), TypeError, "chains must hold real numbers"),
    ],
)
def test_bad_chains_are_refused(function, chains, error, match):
    with pytest.raises(error, match=match):
        function(chains)
