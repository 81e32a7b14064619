"""Nested sampling: the evidence and the draws against closed forms."""

import builtins

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from sksbi.samplers import MetropolisHastings, NestedSampling, Target, build_sampler


class Reference:
    """Independent columns of one distribution."""

    def __init__(self, distribution, d):
        self.distribution, self.d = distribution, d

    def sample(self, shape, generator):
        return self.distribution.rvs((*shape, self.d), random_state=generator)

    def log_prob(self, z):
        return self.distribution.logpdf(z).sum(axis=-1)


def bump(center, width):
    """A normal density of x given z, the same in every column."""
    return lambda z: stats.norm.logpdf(z, center, width).sum(axis=-1)


@pytest.mark.parametrize("d", [1, 2, pytest.param(6, marks=pytest.mark.slow)])
def test_the_integral_of_a_normal_likelihood_is_exact(d):
    target = Target(bump(0.7, 0.2), Reference(stats.norm(0, 1), d))
    log_z, effective = NestedSampling(300).log_evidence(target, (1, d), random_state=0)
    assert effective.shape == (1,)
    assert effective[0] >= 2000
    truth = d * stats.norm.logpdf(0.7, 0, np.hypot(1, 0.2))
    assert abs(log_z[0] - truth) < 4 / np.sqrt(effective[0])


@pytest.mark.parametrize(
    "prior",
    [
        pytest.param(stats.lognorm(1.0), marks=pytest.mark.slow),
        pytest.param(stats.t(3), marks=pytest.mark.slow),
        stats.beta(2, 5),
    ],
    ids=["lognorm", "t", "beta"],
)
def test_any_reference_will_do(prior):
    target = Target(lambda z: np.log(0.3 + np.sin(z[..., 0]) ** 2), Reference(prior, 1))
    log_z, effective = NestedSampling(200).log_evidence(target, (1, 1), random_state=1)
    draws = prior.ppf((np.arange(200_000) + 0.5) / 200_000)
    truth = logsumexp(np.log(0.3 + np.sin(draws) ** 2)) - np.log(len(draws))
    assert abs(log_z[0] - truth) < 4 / np.sqrt(effective[0])


def test_two_narrow_modes_have_their_shares():
    def log_ratio(z):
        parts = [np.log(w) + bump(c, 0.05)(z) for w, c in ((0.2, -1.0), (0.8, 1.0))]
        return np.logaddexp(*parts)

    target = Target(log_ratio, Reference(stats.norm(0, 1), 2))
    sampler, n = NestedSampling(300), 500
    draws, statistics = sampler.run(target, np.zeros((1, 1, 2)), n, random_state=0)
    left = draws[0, :, 0] < 0
    assert abs(left.mean() - 0.2) < 4 * np.sqrt(0.16 / n)
    assert np.isnan(statistics.r_hat).all()
    assert (statistics.ess >= n).all()
    one = draws[0, ~left, 0]
    width = 0.05 / np.hypot(1, 0.05)
    assert stats.kstest(one, stats.norm(1 / (1 + 0.05**2), width).cdf).pvalue > 1e-3


def test_targets_are_integrated_one_after_the_other():
    centers = np.array([-1.0, 0.0, 2.0])[:, None, None]
    target = Target(lambda z: bump(centers, 0.5)(z), Reference(stats.norm(0, 1), 1))
    log_z, effective = NestedSampling(100).log_evidence(target, (3, 1), random_state=0)
    truth = stats.norm.logpdf(centers[:, 0, 0], 0, np.hypot(1, 0.5))
    assert (np.abs(log_z - truth) < 4 / np.sqrt(effective)).all()


def test_seeds_repeat():
    target = Target(bump(0.0, 0.5), Reference(stats.norm(0, 1), 1))
    found = [NestedSampling(50).log_evidence(target, (1, 1), seed)[0][0] for seed in (3, 3, 4)]
    assert found[0] == found[1] != found[2]


def test_a_target_that_is_zero_everywhere_is_named():
    def log_ratio(z):
        return np.where(np.arange(len(z))[:, None] == 1, -np.inf, bump(0.0, 0.5)(z))

    target = Target(log_ratio, Reference(stats.norm(0, 1), 1))
    with pytest.raises(ValueError, match="none among the 4000 of target 1"):
        NestedSampling(50).log_evidence(target, (2, 1), 0)


def test_it_has_a_name():
    assert build_sampler("nested").get_params() == NestedSampling().get_params()


def test_without_nautilus_the_error_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **options):
        if name == "nautilus":
            raise ImportError("No module named 'nautilus'")
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    target = Target(bump(0.0, 0.5), Reference(stats.norm(0, 1), 1))
    with pytest.raises(ImportError, match=r'pip install "sksbi\[nested\]"'):
        NestedSampling().log_evidence(target, (1, 1), 0)


def test_bad_arguments_are_refused():
    target = Target(bump(0.0, 0.5), Reference(stats.norm(0, 1), 2))
    with pytest.raises(TypeError, match="nested sampling needs a density .* got function"):
        NestedSampling()(bump(0.0, 0.5), np.zeros((1, 1, 2)), 5)
    with pytest.raises(ValueError, match="initial must have 2 columns, .* got 3"):
        NestedSampling()(target, np.zeros((1, 1, 3)), 5)
    with pytest.raises(ValueError, match="'n_live' .* Got 5"):
        NestedSampling(5).log_evidence(target, (1, 2), 0)
    with pytest.raises(ValueError, match="'n_networks' .* Got -1"):
        NestedSampling(n_networks=-1).log_evidence(target, (1, 2), 0)


def test_chains_are_not_to_be_had():
    target = Target(bump(0.0, 0.5), Reference(stats.norm(0, 1), 1))
    assert NestedSampling().count_chains(100) == 1
    assert NestedSampling(50).run(target, np.zeros((1, 1, 1)), 5, 0)[1].chains is None
    assert MetropolisHastings().run(target, np.zeros((1, 9, 1)), 5, 0)[1].chains is not None
