"""Training pairs that cannot have come from the prior."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sksbi import NPE, NRE, ClassifierRatio
from sksbi.exceptions import TrainingWarning
from sksbi.priors import check_prior
from sksbi.tables.theta import warn_of_far_theta

RNG = np.random.default_rng(0)
NORMAL = {"a": stats.norm(0, 1), "b": stats.gamma(2)}
PRIORS = {
    "normal": NORMAL,
    "bounded": {"a": stats.uniform(0, 10), "b": stats.loguniform(1e-3, 1)},
    "joint": stats.multivariate_t([0, 0], [[1, 0.5], [0.5, 1]], df=2),
    "heavy": [stats.cauchy(), stats.levy()],
    "within": check_prior(NORMAL).within(lambda theta: theta[:, 0] < theta[:, 1]),
}


@pytest.mark.parametrize("spec", PRIORS.values(), ids=PRIORS)
def test_draws_of_a_prior_and_of_a_part_of_it_are_no_reason_to_warn(spec: object) -> None:
    prior = check_prior(spec)
    theta = prior.sample(2_000, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_far_theta(theta, np.ones(2_000), prior, ["a", "b"])
        for column in (0, 1):
            order = np.argsort(theta[:, column])
            for part in (order[:3], order[-3:], order[1_000:1_005]):
                warn_of_far_theta(theta[part], np.ones(len(part)), prior, ["a", "b"])


@pytest.mark.parametrize(
    ("spec", "theta"),
    [
        (NORMAL, np.column_stack([RNG.normal(size=100), RNG.normal(50, 1, 100)])),
        (PRIORS["bounded"], np.column_stack([RNG.uniform(1, 9, 100), np.full(100, 1 - 1e-9)])),
        (PRIORS["joint"], np.column_stack([RNG.normal(size=100), RNG.normal(1e5, 1, 100)])),
    ],
)
def test_theta_that_the_prior_never_draws_is_named(spec: object, theta: np.ndarray) -> None:
    with pytest.warns(TrainingWarning, match="100% of theta's values of 'b' lie outside"):
        warn_of_far_theta(theta, np.ones(100), check_prior(spec), ["a", "b"])


def test_a_tail_that_the_prior_does_not_have_is_told_and_weights_undo_it() -> None:
    """Of U(-6, 6) a fifth lies beyond 4.75, where a standard normal has two in a million."""
    prior, theta = check_prior([stats.norm()]), RNG.uniform(-6, 6, (500, 1))
    with pytest.warns(TrainingWarning, match=r"(1\d|2\d)% of theta's values of 'a' lie outside"):
        warn_of_far_theta(theta, np.ones(500), prior, ["a"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_far_theta(theta, stats.norm.pdf(theta[:, 0]), prior, ["a"])


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (np.full(200, 3.0), "theta's 'b' is 3 throughout, in 200 rows"),
        (np.arange(200) % 4, "theta's 'b' takes 4 values only, such as 0, 1, 2, in 200 rows"),
    ],
)
def test_a_density_of_few_values_warns_and_a_ratio_does_not(column: np.ndarray, says: str) -> None:
    theta = pd.DataFrame({"a": RNG.normal(size=200), "b": column})
    x = theta["a"].to_numpy() + RNG.normal(size=200)
    with pytest.warns(TrainingWarning, match=says):
        NPE(flow="maf", max_epochs=1).fit(theta, x)
    NRE(max_epochs=1).fit(theta, x)  # a warning would be an error
    NPE(flow="maf", max_epochs=1).fit(theta[["a"]].round(1), x)


@pytest.mark.filterwarnings("ignore:theta's values of .* do not follow the prior")
def test_fit_warns() -> None:
    theta = RNG.normal(50, 1, (60, 1))
    prior = {"mean": stats.norm(0, 1)}
    for estimator in (NPE(prior, flow="maf", max_epochs=1), ClassifierRatio(prior=prior)):
        with pytest.warns(TrainingWarning, match=r"'mean' lie outside \[-4.753, 4.753\].*50"):
            estimator.fit(theta, theta)


@pytest.mark.parametrize("prior", [{"a": stats.uniform(0, 1)}, stats.multivariate_normal(0, 1)])
def test_a_ratio_that_is_learnt_from_theta_of_another_distribution_warns(prior: object) -> None:
    """Four in five of the lower half are gone, which moves the distribution function by .33."""
    rng = np.random.default_rng(1)
    theta = check_prior(prior).sample(3_000, random_state=0)
    lower = theta[:, 0] < np.median(theta)
    kept = ~lower | (rng.random(3_000) < 0.2)
    x = theta + rng.normal(size=theta.shape)
    nre = NRE(prior, max_epochs=1, random_state=0)
    with pytest.warns(TrainingWarning, match=r"do not follow the prior.* up to 0\.3"):
        nre.fit(theta[kept], x[kept])
    nre.fit(theta, x)  # a warning would be an error
    nre.fit(theta, np.where(kept[:, None], x, np.nan))
