"""Regions hold the posterior, and those that do not are left again."""

import numpy as np
import pytest
from scipy import stats

from sksbi import NPE, SequentialInference
from sksbi.priors import check_prior
from sksbi.sequential.narrowing import Narrowing
from sksbi.sequential.posterior_region import _far_quantile

NORMAL = {"flow": "gmm", "module__components": 1, "hidden_features": (16,), "max_epochs": 40}

pytestmark = pytest.mark.filterwarnings("ignore::sksbi.exceptions.TrainingWarning")


def narrowed(prior, low, high, before, number):
    """Make the proposals of a round on an interval."""
    made = Narrowing(prior)
    made.low, made.high = np.array([low]), np.array([high])
    made.prior = prior.truncated(made.low, made.high)
    made.before, made.number = before, number
    return made


def test_the_density_of_simulations_is_known():
    """Weighted by its inverse they follow the prior: weights add up to the prior's mass, 1."""
    prior, counts = check_prior([stats.norm()]), [400, 4_000, 20_000]
    first = Narrowing(prior)
    second = narrowed(prior, -1.0, 2.0, first, 1)
    third = narrowed(prior, 0.0, 1.0, second, 2)
    rng = np.random.default_rng(0)
    theta = np.concatenate(
        [one.propose(n, rng) for one, n in zip((first, second, third), counts, strict=True)]
    )
    dense = sum(one._simulated(theta, n) for one, n in zip(third._chain[::-1], counts, strict=True))
    weight = 1 / dense
    error = np.sqrt(np.sum(weight**2))
    assert weight.sum() == pytest.approx(1, abs=4 * error)
    assert np.sum(weight * theta[:, 0] ** 2) == pytest.approx(
        1, abs=4 * np.sqrt(np.sum(weight**2 * theta[:, 0] ** 4))
    )


@pytest.mark.parametrize("n", [40, 400])
def test_rare_values_are_extrapolated(n):
    """For an exponential distribution the quantile is known: minus the logarithm of the share."""
    rng = np.random.default_rng(0)
    found = [_far_quantile(rng.exponential(size=n)) for _ in range(400)]
    exact = -np.log(0.005)
    n_tail = max(5, n // 10)
    factor = np.log(n_tail / n / 0.005)
    # Of the start, an order statistic, whose bias is below .1, and of the mean excess.
    sd = np.sqrt((1 / n_tail - 1 / n) + factor**2 / n_tail)
    assert np.mean(found) == pytest.approx(exact, abs=4 * sd / 20 + 0.1)
    assert np.std(found) == pytest.approx(sd, rel=0.2)


def test_a_region_without_the_posterior_is_left():
    """A round that drew elsewhere is forgotten, and those before stay."""
    prior, rng = check_prior([stats.norm(0, 2)]), np.random.default_rng(0)
    first = Narrowing(prior)
    good = narrowed(prior, -1.0, 4.0, first, 1)
    wrong = narrowed(prior, 2.0, 4.0, good, 2)
    counts = [300, 300, 300]
    theta = np.concatenate(
        [one.propose(n, rng) for one, n in zip((first, good, wrong), counts, strict=True)]
    )
    x = rng.normal(theta, 0.3)
    estimator = NPE(prior, random_state=0, **NORMAL).fit(theta, x)
    assert wrong.inside(estimator, [1.0], counts, rng) < 0.01
    assert good.inside(estimator, [1.0], counts[:2], rng) > 0.99
    wrong.narrow(estimator, [1.0], 0.0, counts, rng)
    assert wrong.before is good
    assert wrong.prior.contains(np.array([[0.5], [1.0], [1.5]])).all()
    rounds = np.repeat([0, 1, 2, 3], 300)
    seen = wrong.view(np.ones((1_200, 1)), rounds)[1]
    assert np.unique(rounds[seen]).tolist() == [0, 1, 3]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_a_posterior_at_the_end_of_the_prior(seed):
    """Of a first fit to few simulations, hardly any were like this: its region was wrong."""
    made = SequentialInference(
        NPE([stats.expon()]),
        lambda theta, rng: rng.normal(theta, 1e-3),
        n_rounds=5,
        n_simulations=1_000,
        vectorized=True,
        random_state=seed,
    ).fit([0.0])
    draws = made.sample(n_samples=5_000)[:, 0]
    exact = stats.halfnorm(scale=1e-3)
    assert draws.mean() == pytest.approx(exact.mean(), abs=0.4 * exact.std())
    assert draws.std() == pytest.approx(exact.std(), rel=0.25)


@pytest.mark.slow
def test_a_fit_that_leaves_its_region_ends_no_run():
    """Its change is that of all of its posterior; the next round forgets the region."""
    made = SequentialInference(
        NPE([stats.expon()]),
        lambda theta, rng: rng.normal(theta, 1e-3),
        n_rounds=4,
        n_simulations=100,
        vectorized=True,
        random_state=0,
    )
    assert made.fit([0.0]).round_ == 4
