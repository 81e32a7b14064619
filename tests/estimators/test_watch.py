"""Warnings of fits and answers that are of no use: they come there, and not where all is well."""

import pickle
import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression

from sksbi import NPE, NRE
from sksbi.datasets import load_task
from sksbi.exceptions import MisspecificationWarning, TrainingWarning
from sksbi.training.watch import warn_of_rising_loss, warn_of_worse_than_nothing

RATE = {"rate": stats.expon(scale=0.5)}
ANGLE = {"angle": stats.uniform(0, 2 * np.pi)}
PAIR = {"a": stats.norm(0, 1), "b": stats.norm(0, 1)}
QUIET = pytest.mark.filterwarnings("error")


def decays(n: int, seed: int, width: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Simulate noisy decays, whose columns go together."""
    rng = np.random.default_rng(seed)
    theta = rng.exponential(0.5, (n, 1))
    return theta, 2 * np.exp(-theta * np.linspace(0, 4, width)) + rng.normal(0, 0.1, (n, width))


def ring(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Simulate places near a circle, at a known angle."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, (n, 1))
    return angle, np.hstack([np.cos(angle), np.sin(angle)]) + 0.1 * rng.normal(size=(n, 2))


def pairs(n: int, seed: int, noise_columns: int = 15) -> tuple[np.ndarray, np.ndarray]:
    """Simulate two noisy numbers, and columns that tell nothing."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(n, 2))
    x = theta + rng.normal(size=(n, 2))
    return theta, np.hstack([x, rng.normal(size=(n, noise_columns))])


BY_HEART = {"patience": None, "max_epochs": 80, "x_features": None}


@pytest.fixture(scope="module")
def on_the_ring() -> NPE:
    """Fit the angle."""
    return NPE(ANGLE, random_state=0).fit(*ring(2_000, 0))


@pytest.fixture(scope="module")
def by_heart() -> NPE:
    """Fit far too long."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        return NPE(PAIR, random_state=0, **BY_HEART).fit(*pairs(250, 0))


@pytest.mark.slow
@QUIET
def test_good_fits_are_not_warned_of() -> None:
    """Fits by default: of wide x, and of x that tells half of what there is."""
    NPE(RATE, random_state=0).fit(*decays(500, 0))
    NPE(PAIR, random_state=0).fit(*pairs(1_000, 0))
    NRE(PAIR, random_state=0, max_epochs=20).fit(*pairs(1_000, 0))


def test_steps_that_are_too_large_are_warned_of_once() -> None:
    npe = NPE(RATE, x_features=None, optimizer="adamw", lr=0.1, random_state=0)
    with pytest.warns(
        TrainingWarning, match=r"beyond epoch . of .* smaller lr \(it is 0.1\)"
    ) as caught:
        npe.fit(*decays(500, 0))
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("train", "valid", "warned"),
    [
        ([1.0, 1.5, 2.0, 2.0, 2.0, 2.0], [0.9, 1.0, 1.0, 1.0, 1.0, 1.0], True),
        ([1.0, 0.8, 0.6, 0.4, 0.2, 0.1], [0.9, 1.0, 1.1, 1.2, 1.3, 1.4], False),
        ([1.0, 1.1, 1.1, 1.1, 1.1, 1.1], [0.9, 1.0, 1.0, 1.0, 1.0, 1.0], False),
        ([1.0, 1.5, 2.0, 2.0, 2.0, 2.0], [0.9, 1.0, 1.0, 1.0, 0.8, 1.0], False),
        ([1.0, 2.0], [0.9, 1.0], False),
        ([1.0, 1.5, 2.0, 2.0, 2.0, 2.0], None, True),
    ],
)
def test_a_loss_that_rises_is_told_from_one_that_is_overfitted(
    train: list, valid: list | None, warned: bool
) -> None:
    history = [{"train_loss": t} for t in train]
    for epoch, value in zip(history, valid or [], strict=False):
        epoch["valid_loss"] = value
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_rising_loss(history, 0.1)
    assert bool(caught) is warned


@pytest.mark.parametrize("estimator", [NPE, NRE])
def test_a_fit_that_is_worse_than_none_is_warned_of_with_numbers(estimator: type) -> None:
    what = "prior" if estimator is NPE else "a ratio that is one everywhere"
    rule = rf"on 25 simulations held out, the loss is .* and that of .*{what} is .* by heart"
    with pytest.warns(TrainingWarning, match=rule) as caught:
        estimator(PAIR, random_state=0, **BY_HEART).fit(*pairs(250, 0))
    assert caught[0].filename == __file__


def test_without_a_prior_the_guess_is_a_normal() -> None:
    with pytest.warns(TrainingWarning, match="that of the normal distribution of theta is 2"):
        NPE(random_state=0, **BY_HEART).fit(*pairs(250, 0))


def test_the_alarm_rings_at_two_standard_errors() -> None:
    """Of losses without a difference one in 44 fits is called worse."""
    rng = np.random.default_rng(0)
    rung = 0
    for _ in range(1_000):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warn_of_worse_than_nothing(
                rng.normal(size=100), np.zeros(100), np.ones(100), "nothing", 0.0, 0.1
            )
        rung += bool(caught)
    assert stats.binom.ppf(1e-4, 1_000, 0.0228) <= rung <= stats.binom.isf(1e-4, 1_000, 0.026)


def test_as_an_error_it_leaves_nothing_fitted() -> None:
    npe = NPE(PAIR, random_state=0, **BY_HEART)
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        with pytest.raises(TrainingWarning):
            npe.fit(*pairs(250, 0))
    with pytest.raises(NotFittedError):
        npe.sample(np.zeros(17))


@pytest.mark.parametrize("copied", [pytest.param(False, marks=pytest.mark.slow), True])
def test_members_that_disagree_within_the_range_of_x_are_warned_of(
    on_the_ring: NPE, copied: bool
) -> None:
    npe = pickle.loads(pickle.dumps(on_the_ring)) if copied else on_the_ring
    with pytest.warns(MisspecificationWarning, match="disagree about x by 0"):
        npe.sample(np.array([0.0, 0.0]), 10)
    with pytest.warns(MisspecificationWarning, match="1 of 3 observations, first 1,"):
        npe.sample(np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]), 10)


@pytest.mark.parametrize("edge", [np.inf, np.nan])
def test_rows_without_a_finite_loss_do_not_end_the_comparison(edge: float) -> None:
    """The other twenty are worse by 1 on average, with a standard error of .1 / sqrt(20)."""
    uninformed = np.r_[np.full(20, 2.0), edge]
    losses = np.r_[np.tile([2.9, 3.1], 10), 0.0]
    message = r"on 20 simulations held out, the loss is 3, .* is 2: worse by 1 \+- 0.02"
    with pytest.warns(TrainingWarning, match=message):
        warn_of_worse_than_nothing(losses, uninformed, np.ones(21), "the prior", 1.0, 1e-3)


@QUIET
def test_members_that_agree_are_not(on_the_ring: NPE) -> None:
    on_the_ring.sample(np.array([1.0, 0.1]), 10)
    on_the_ring.sample(ring(1_500, 1)[1], 1)


def test_posteriors_that_were_too_narrow_are_warned_of(by_heart: NPE) -> None:
    x = pairs(1, 3)[1][0]
    message = "posteriors like that of x were too narrow: for the 20 most alike .* held [ab] "
    with pytest.warns(TrainingWarning, match=message):
        by_heart.sample(x, 10)


@pytest.mark.slow
@QUIET
@pytest.mark.parametrize("name", ["two_moons", "gaussian_linear"])
def test_few_answers_are_doubted_where_all_is_well(name: str) -> None:
    """Not of all observations at once, and of one in a hundred, at most, one by one."""
    task = load_task(name)
    theta, x = task.simulate(2_000, random_state=0)
    npe = NPE(task.prior, random_state=0).fit(theta, x)
    new = task.simulate(200, random_state=1)[1]
    npe.sample(new, 2)
    doubted = 0
    for row in new:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            npe.sample(row, 2)
        doubted += bool(caught)
    assert doubted <= stats.binom.isf(1e-3, 200, 0.01)


def test_the_record_is_of_what_the_weights_stand_for() -> None:
    """Rows of a wide proposal, weighted to a narrow prior: unweighted, they would be missed."""
    rng = np.random.default_rng(0)
    theta = rng.normal(0, 2, (6_000, 1))
    x = theta + rng.normal(size=theta.shape)
    weight = stats.norm.pdf(theta[:, 0], 0, 0.5) / stats.norm.pdf(theta[:, 0], 0, 2)
    npe = NPE({"a": stats.norm(0, 0.5)}, random_state=0).fit(theta, x, sample_weight=weight)
    missed, n = npe._record.missed.sum(), npe._record.missed.size
    assert stats.binom.ppf(1e-4, n, 0.1) <= missed <= stats.binom.isf(1e-4, n, 0.12)
    far = np.abs(stats.norm.cdf(theta, 0.2 * x, 0.2**0.5) - 0.5) > 0.45
    assert far.mean() > 0.5


def test_a_sorted_table_is_recorded_from_end_to_end() -> None:
    theta, x = ring(12_000, 0)
    order = np.argsort(theta[:, 0])
    npe = NPE(ANGLE, max_epochs=2, random_state=0).fit(theta[order], x[order])
    means = npe._record.like[:, 0]
    assert len(means) == 1_000
    assert abs(np.mean(means > 0) - 0.5) < 5 * 0.5 / np.sqrt(1_000)


def test_without_held_out_rows_nothing_is_said() -> None:
    theta, x = ring(300, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        npe = NPE(ANGLE, validation_fraction=None, max_epochs=2, random_state=0).fit(theta, x)
        npe.sample(np.array([0.0, 0.0]), 10)


class Regression(TransformerMixin, BaseEstimator):
    """Features that were fitted to theta, and know it by heart where there are many columns."""

    def fit(self, x: np.ndarray, theta: np.ndarray) -> "Regression":
        """Learn."""
        self.n_rows_, self.model_ = len(x), LinearRegression().fit(x, theta)
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Predict."""
        return self.model_.predict(x)


def test_a_users_features_do_not_see_what_is_held_out() -> None:
    """Of noise, features that saw the rows held out would make them look well described."""
    theta, x = pairs(300, 0, noise_columns=180)
    x = x[:, 2:]
    with pytest.warns(TrainingWarning, match="by heart"):
        npe = NPE(PAIR, x_features=Regression(), random_state=0).fit(theta, x)
    assert npe._x_space.features_.n_rows_ == 270
    fresh = pairs(2_000, 1, noise_columns=180)
    held_out = -npe.history_["valid_loss"].min()
    assert held_out < npe.score(fresh[0], fresh[1][:, 2:]) + 0.5
