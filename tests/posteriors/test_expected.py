"""What fits to n pairs are likely to err over T trials, against the closed form for Gaussians."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from sksbi import NLE, NRE
from sksbi.exceptions import TrainingWarning
from sksbi.posteriors.doubt import Doubt
from sksbi.posteriors.expected import expected_errors
from sksbi.posteriors.normaliser import NormaliserRecord
from sksbi.posteriors.ratios import PairwiseRatio
from sksbi.posteriors.unnormalised import PriorTimes
from sksbi.priors import check_prior
from sksbi.samplers import MetropolisHastings

Array = NDArray[np.float64]


def prior_times(scales: list[float], n_learnt: float | None) -> PriorTimes:
    """Give a posterior that knows from how many pairs it was learnt, and little else."""
    prior = check_prior([stats.norm(0, scale) for scale in scales])
    limit = np.full(len(scales), np.inf)
    ratio = PairwiseRatio(lambda theta, _: np.zeros(len(theta)), prior, -limit, limit)
    record = NormaliserRecord(ratio, np.zeros((100, 1)), n_learnt)
    return PriorTimes(prior, ratio, MetropolisHastings(), trials_record=record)


def at(posterior: PriorTimes, n_trials: int, m: int = 1):
    return posterior.at(np.zeros((m, n_trials, 1)), trials=True)


@pytest.mark.parametrize("shares", [[0.01], [0.5], [0.01, 0.3], [0.02, 0.02, 0.99]])
@pytest.mark.parametrize("z", [0.0, 2.0])
def test_parameters_count_by_the_share_that_trials_take(shares: list[float], z: float) -> None:
    """Draws of variance share * P leave D_T = sum of (1 - share), whatever the prior's scale."""
    scales = np.array([10.0, 0.1, 3.0][: len(shares)])
    rng = np.random.default_rng(0)
    center = np.where(np.arange(len(shares)) == 0, z, 0.0) * scales
    theta = rng.normal(center, np.sqrt(shares) * scales, (1_000, len(shares)))
    (error,) = expected_errors(at(prior_times(list(scales), None), 100), [theta], 1_000.0)
    told = (error / 2) ** 2 / (100 / 1_000) / np.exp(z**2 / 2)
    # 1,000 draws know a variance to sqrt(2 / 1,000); z^2 / 2 is known to z times what z is, of
    # which the mean's error is 1 / sqrt(1,000), and the standard deviation's z / sqrt(2,000).
    each = np.array(shares) * np.sqrt(2 / 1_000 + 2 / 1_000)
    of_z = z * np.sqrt((1 + shares[0] + z**2 / 2) / 1_000)
    expected = np.sum(1 - np.array(shares))
    assert told == pytest.approx(expected, abs=4 * np.linalg.norm([*each, expected * of_z]) + 0.02)


def test_correlated_draws_are_seen_along_their_axes() -> None:
    """Two parameters of whose sum alone trials tell: one of two, though both vary as before."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(1_000, 2)) * [1.0, 0.05]
    theta = z @ np.array([[1, -1], [1, 1]]) / np.sqrt(2)
    (error,) = expected_errors(at(prior_times([1.0, 1.0], None), 100), [theta], 1_000.0)
    assert (error / 2) ** 2 * 10 == pytest.approx(1, abs=4 * np.sqrt(2 / 1_000 + 2 / 1_000))


def test_no_fit_knows_less_than_one_pair_tells() -> None:
    """Far outside the prior the pairs about it are one at least, and the error is finite."""
    theta = np.random.default_rng(0).normal(60, 0.01, (500, 1))
    (error,) = expected_errors(at(prior_times([1.0], None), 25), [theta], 1_000.0)
    assert error == pytest.approx(2 * np.sqrt(25), rel=1e-3)
    assert expected_errors(at(prior_times([1.0], None), 25), [theta[:7]], 1_000.0) == [0]


def test_many_trials_of_few_simulations_are_told_and_few_are_not() -> None:
    narrow = np.random.default_rng(0).normal(0, 0.05, (1, 1_000, 2))
    few = prior_times([1.0, 1.0], 1_000.0)
    # 2 sqrt(2 T / 1,000) is 0.4, and 0.89.
    assert at(few, 20).doubts_of_draws(narrow) == []
    (doubt,) = at(few, 100).doubts_of_draws(narrow)
    assert doubt.category is TrainingWarning
    assert "100 trials of {who} are many for what was learnt from 1000 simulations" in doubt.text
    assert told(doubt) == pytest.approx(0.89, abs=0.02)
    # The same trials where the prior's density is a seventh of its most: exp(2^2 / 4) times that.
    (doubt,) = at(few, 20).doubts_of_draws(narrow + [2.0, 0.0])
    assert told(doubt) == pytest.approx(0.4 * np.e, abs=0.15)
    # Nothing where the number of pairs is not known, of one trial, and of what the prior tells.
    assert at(prior_times([1.0, 1.0], None), 100).doubts_of_draws(narrow) == []
    assert not at(few, 1).doubts_of_draws(narrow)
    wide = np.random.default_rng(1).normal(0, 1, (1, 1_000, 2))
    assert at(few, 100).doubts_of_draws(wide) == []


def told(doubt: Doubt) -> float:
    found = re.search(r"off by ([0-9.]+) of", doubt.text)
    assert found is not None
    return float(found[1])


def test_of_several_observations_the_narrow_ones_are_named() -> None:
    rng = np.random.default_rng(0)
    theta = rng.normal(0, [[[1.0]], [[0.05]], [[0.05]]], (3, 500, 1))
    (doubt,) = at(prior_times([1.0], 1_000.0), 100, 3).doubts_of_draws(theta)
    assert doubt.rows.tolist() == [1, 2]
    assert "up to 0.63 of" in doubt.text


def test_pooled_records_learnt_from_the_most_simulations() -> None:
    records = [prior_times([1.0], n).trials_record for n in (1_000.0, None, 3_000.0)]
    one, *others = [record for record in records if isinstance(record, NormaliserRecord)]
    assert one.pooled(others).n_learnt == 3_000
    assert others[0].pooled([]).n_learnt is None


@pytest.mark.parametrize("family", [NLE, NRE])
def test_weights_count_by_how_many_pairs_they_are_worth(family: type[NLE] | type[NRE]) -> None:
    """400 pairs of weight 1 and 400 of weight 0.5 are worth 600^2 / 500 = 720."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(800, 1))
    weight = np.repeat([1.0, 0.5], 400)
    estimator = family([stats.norm()], max_epochs=2, random_state=0)
    estimator.fit(theta, rng.normal(theta, 0.5), sample_weight=weight)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.sample(rng.normal(1, 0.5, (100, 1)), 200, iid=True)
    said = [str(one.message) for one in caught if "many for" in str(one.message)]
    assert all("720 simulations" in one for one in said)
    assert said or any("off by" in str(one.message) for one in caught)
