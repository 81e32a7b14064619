"""The evidence of likelihoods and ratios: closed forms, trials, units of x, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.preprocessing import StandardScaler

from sksbi import NLE, NPE, NRE, Ensemble
from sksbi.exceptions import SamplingWarning
from sksbi.pipeline import make_pipeline
from sksbi.samplers import NestedSampling, SliceSampler

PRIOR = {"a": stats.norm(0, 1)}
SD = 0.5
N = 3_000
# The error of a likelihood learnt from so many simulations, at the observations below.
LEARNT = 0.12


def simulate_pairs():
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(N, 1))
    x = 20.0 * (theta + SD * rng.normal(size=(N, 1)))
    return pd.DataFrame(theta, columns=["a"]), x


def exact(x):
    """The evidence of one trial, in the units of x."""
    return stats.norm.logpdf(x, 0, 20 * np.hypot(1, SD))


@pytest.fixture(scope="module")
def nle():
    return NLE(PRIOR, max_epochs=30, random_state=0).fit(*simulate_pairs())


@pytest.fixture(scope="module")
def nre():
    return NRE(PRIOR, max_epochs=30, random_state=0).fit(*simulate_pairs())


OBSERVED = np.array([[5.0], [-30.0], [0.0]])


def test_of_a_likelihood_it_is_the_evidence(nle):
    log_z, std = nle.log_evidence(OBSERVED, return_std=True)
    assert log_z.shape == std.shape == (3,)
    assert (std < 0.05).all()
    assert np.abs(log_z - exact(OBSERVED[:, 0])).max() < LEARNT


def test_one_observation_has_a_float(nle):
    one = nle.log_evidence([5.0])
    assert type(one) is float
    log_z, std = nle.log_evidence([5.0], return_std=True)
    assert log_z == one
    assert type(std) is float


def test_nested_sampling_agrees(nle):
    sampler = NestedSampling(100)
    log_z, std = nle.log_evidence([5.0], sampler=sampler, return_std=True, random_state=1)
    other, other_std = nle.log_evidence([5.0], return_std=True)
    assert abs(log_z - other) < 4 * np.hypot(std, other_std)


def test_trials_have_one_evidence_together(nle):
    x = 20.0 * (0.4 + SD * np.random.default_rng(1).normal(size=(10, 1)))
    covariance = 20**2 * (np.ones((10, 10)) + SD**2 * np.eye(10))
    truth = stats.multivariate_normal.logpdf(x[:, 0], np.zeros(10), covariance)
    assert abs(nle.log_evidence(x, iid=True) - truth) < 10 * LEARNT / 2
    together = nle.log_evidence(np.stack([x, x]), iid=True)
    assert together.shape == (2,)


def test_of_a_ratio_it_is_zero(nre):
    log_z = nre.log_evidence(OBSERVED)
    assert np.abs(log_z).max() < LEARNT


def test_a_pipeline_has_it_in_the_units_of_x():
    pipeline = make_pipeline(StandardScaler(), NLE(PRIOR, max_epochs=30, random_state=0))
    pipeline.fit(*simulate_pairs())
    log_z, std = pipeline.log_evidence(OBSERVED, return_std=True)
    assert np.abs(log_z - exact(OBSERVED[:, 0])).max() < LEARNT
    one = pipeline.log_evidence(OBSERVED[0])
    assert type(one) is float
    assert abs(one - log_z[0]) < 5 * std[0]


@pytest.mark.slow
def test_a_pipeline_of_a_ratio_has_no_jacobian():
    pipeline = make_pipeline(StandardScaler(), NRE(PRIOR, max_epochs=30, random_state=0))
    pipeline.fit(*simulate_pairs())
    assert np.abs(pipeline.log_evidence(OBSERVED)).max() < LEARNT


@pytest.mark.slow
def test_an_ensemble_has_that_of_its_mean_likelihood(nle):
    ensemble = Ensemble(NLE(PRIOR, max_epochs=20), n_estimators=2, random_state=0)
    ensemble.fit(*simulate_pairs())
    assert np.abs(ensemble.log_evidence(OBSERVED) - exact(OBSERVED[:, 0])).max() < LEARNT


def test_the_same_seed_gives_the_same_number(nle):
    first, again, other = (nle.log_evidence([5.0], random_state=s) for s in (1, 1, 2))
    assert first == again != other


def test_a_posterior_has_none():
    npe = NPE(PRIOR, max_epochs=1, random_state=0).fit(*simulate_pairs())
    assert not hasattr(npe, "log_evidence")


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"sampler": SliceSampler()}, TypeError, "sampler must be None, 'nested' or .* got Slice"),
        ({"sampler": "slice"}, TypeError, "sampler must be None, 'nested' or .* got 'slice'"),
        ({"return_std": "yes"}, (TypeError, ValueError), "return_std must be .* got 'yes'"),
        ({"iid": 3}, (TypeError, ValueError), "iid must be"),
        ({"random_state": "a"}, ValueError, "random_state must be"),
        ({"x": [1.0, 2.0]}, ValueError, "x must"),
    ],
)
def test_bad_arguments_are_refused(nle, options, error, match):
    with pytest.raises(error, match=match):
        nle.log_evidence(**{"x": [5.0], **options})


def test_without_a_prior_there_is_none():
    theta, x = simulate_pairs()
    nle = NLE(max_epochs=1, random_state=0).fit(theta, x)
    with pytest.raises(ValueError, match="log_evidence needs .*prior"):
        nle.log_evidence([5.0])


def test_what_cannot_be_told_is_nan_and_warned_of(nle, monkeypatch):
    from sksbi.posteriors import evidence

    monkeypatch.setattr(evidence, "_FEWEST_EFFECTIVE", 10**9)
    with pytest.warns(SamplingWarning, match="of observation 0, and of 2 others could not be told"):
        assert np.isnan(nle.log_evidence(OBSERVED)).all()
    with pytest.warns(SamplingWarning, match="the evidence could not be told: .* NaN"):
        assert np.isnan(nle.log_evidence([5.0]))
