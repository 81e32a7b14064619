"""What every estimator of r(theta, x) = p(theta | x) / p(theta) promises."""

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from scipy.special import log_expit, logsumexp
from sklearn.base import BaseEstimator, clone
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler

from sksbi import AMNRE, NRE, ClassifierRatio
from sksbi.exceptions import SamplingWarning
from sksbi.pipeline import make_pipeline
from sksbi.samplers import ImportanceResampling, MetropolisHastings, sampler_names
from sksbi.utils.derangement import derangement

Pairs = tuple[pd.DataFrame, pd.DataFrame]
Arrays = tuple[np.ndarray, np.ndarray]

METHODS = ["sample", "log_prob", "summary", "map"]
FLOAT32 = {"rtol": 0, "atol": 1e-4}  # of one point in batches of other sizes


@pytest.fixture(scope="session")
def of_arrays(ratio: BaseEstimator, arrays: Arrays) -> BaseEstimator:
    """Fit on arrays; not to be changed."""
    return clone(ratio).fit(*arrays)


# The ratio, and what follows from it.


def test_the_ratio_is_the_exponential_of_its_logarithm(
    fitted_ratio: BaseEstimator, pairs: Pairs
) -> None:
    log_ratio = fitted_ratio.predict_log_ratio(*pairs)
    np.testing.assert_array_equal(fitted_ratio.predict_ratio(*pairs), np.exp(log_ratio))
    assert log_ratio.std() > 0.1


def test_log_prob_is_log_prior_plus_log_ratio(
    fitted_ratio: BaseEstimator, pairs: Pairs, prior: dict
) -> None:
    theta, x = pairs
    log_prior = sum(prior[name].logpdf(theta[name]) for name in theta)
    np.testing.assert_allclose(
        fitted_ratio.log_prob(theta, x),
        log_prior + fitted_ratio.predict_log_ratio(theta, x),
        rtol=1e-12,
    )


def test_outside_the_support_the_ratio_is_that_of_the_nearest_point_inside(
    of_arrays: BaseEstimator, arrays: Arrays
) -> None:
    outside, bound = np.array([[0.3, 5.0], [0.3, -1.0]]), np.array([[0.3, 2.0], [0.3, 0.5]])
    x = arrays[1][0]
    assert np.isneginf(of_arrays.log_prob(outside, x)).all()
    np.testing.assert_array_equal(
        of_arrays.predict_log_ratio(outside, x), of_arrays.predict_log_ratio(bound, x)
    )


def test_without_a_prior_there_are_ratios_and_scores_only(
    ratio: BaseEstimator, pairs: Pairs
) -> None:
    estimator = clone(ratio).set_params(prior=None).fit(*pairs)
    log_ratio = estimator.predict_log_ratio(*pairs)
    assert np.isfinite(log_ratio).all()
    assert estimator.score(*pairs) > -np.log(2)
    for method in METHODS:
        arguments = pairs if method == "log_prob" else pairs[1:]
        with pytest.raises(
            ValueError, match=rf"{method} needs the prior.*got prior=None: give the prior"
        ):
            getattr(estimator, method)(*arguments)


def test_ratios_before_fit(ratio: BaseEstimator, pairs: Pairs) -> None:
    for method in ("predict_log_ratio", "predict_ratio"):
        with pytest.raises(NotFittedError, match=f"{type(ratio).__name__} instance is not fitted"):
            getattr(clone(ratio), method)(*pairs)


def test_forms_of_ratios_agree(of_arrays: BaseEstimator, arrays: Arrays) -> None:
    theta, x = arrays
    cube = theta[:15].reshape(3, 5, 2)
    log_ratio = of_arrays.predict_log_ratio(cube, x[:3])
    assert log_ratio.shape == (3, 5)
    pairwise = of_arrays.predict_log_ratio(theta[:15], np.repeat(x[:3], 5, axis=0))
    assert pairwise.shape == (15,)
    np.testing.assert_allclose(log_ratio.ravel(), pairwise, **FLOAT32)
    for k in range(3):
        broadcast = of_arrays.predict_log_ratio(cube[k], x[k])
        assert broadcast.shape == (5,)
        np.testing.assert_allclose(log_ratio[k], broadcast, **FLOAT32)
    single = of_arrays.predict_log_ratio(theta[:1], x[0])
    np.testing.assert_allclose(single, pairwise[:1], **FLOAT32)


def test_ratios_of_the_table_of_draws(fitted_ratio: BaseEstimator, pairs: Pairs) -> None:
    x = pairs[1].iloc[:3]
    draws = fitted_ratio.sample(x, 4)
    np.testing.assert_array_equal(
        fitted_ratio.predict_log_ratio(draws, x),
        fitted_ratio.predict_log_ratio(draws.to_numpy().reshape(3, 4, 2), x),
    )


# score: minus the binary cross-entropy.


def terms(
    estimator: BaseEstimator, theta: pd.DataFrame, x: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute log-probabilities of the right label, joint and marginal, and who is paired."""
    others = derangement(theta.to_numpy(), np.random.default_rng(0))
    joint = log_expit(estimator.predict_log_ratio(theta, x))
    return joint, log_expit(-estimator.predict_log_ratio(theta.iloc[others], x)), others


def test_score_is_minus_the_cross_entropy(fitted_ratio: BaseEstimator, pairs: Pairs) -> None:
    joint, marginal, others = terms(fitted_ratio, *pairs)
    assert (others != np.arange(len(others))).all()
    expected = (joint.mean() + marginal.mean()) / 2
    assert fitted_ratio.score(*pairs) == pytest.approx(expected, rel=1e-9)
    weights = np.random.default_rng(0).uniform(0.1, 3, len(joint))
    weighted = fitted_ratio.score(*pairs, sample_weight=weights)
    both = np.average(marginal, weights=weights * weights[others])
    assert weighted == pytest.approx((np.average(joint, weights=weights) + both) / 2, rel=1e-9)
    assert weighted != fitted_ratio.score(*pairs)


def test_score_of_a_ratio_leaves_out_rows_of_weight_zero(
    fitted_ratio: BaseEstimator, pairs: Pairs
) -> None:
    theta, x = pairs
    odd = x.copy()
    odd[:10] = 1e6
    weights = np.r_[np.zeros(10), np.ones(190)]
    expected = fitted_ratio.score(theta[10:], x[10:])
    assert fitted_ratio.score(theta, odd, weights) == pytest.approx(expected, rel=1e-9)


class Zero(torch.nn.Module):
    """A network that tells nothing."""

    def __init__(self, features: int, context: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, theta: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return 0 * self.weight * theta[:, 0]


def test_a_constant_ratio_scores_minus_log_2(ratio: BaseEstimator, pairs: Pairs) -> None:
    nothing = (
        {"network": Zero, "hidden_features": None}
        if isinstance(ratio, NRE | AMNRE)
        else {"classifier": DummyClassifier(), "calibration": None}
    )
    if isinstance(ratio, AMNRE):  # which starts at a regression on x as it is
        nothing["embedding"] = torch.nn.Linear(4, 4)
    estimator = clone(ratio).set_params(**nothing).fit(*pairs)
    np.testing.assert_allclose(estimator.predict_ratio(*pairs), 1, rtol=1e-12)
    assert estimator.score(*pairs) == pytest.approx(-np.log(2), rel=1e-12)


def test_unrelated_theta_and_x_score_minus_log_2(
    ratio: BaseEstimator, make_pairs: Callable[..., Pairs]
) -> None:
    """On new pairs: no ratio is better than 1, and one of 1,000 pairs is not much worse."""
    estimator = clone(ratio).fit(make_pairs(1000, 0)[0], make_pairs(1000, 1)[1])
    theta, x = make_pairs(2000, 2)[0], make_pairs(2000, 3)[1]
    joint, marginal, _ = terms(estimator, theta, x)
    error = np.hypot(joint.std(), marginal.std()) / 2 / np.sqrt(len(joint))
    assert -0.02 < estimator.score(theta, x) + np.log(2) < 4 * error


def test_sorted_rows_score_like_shuffled_ones(
    fitted_ratio: BaseEstimator, make_pairs: Callable[..., Pairs]
) -> None:
    theta, x = make_pairs(2000, 4)
    order = np.argsort(theta["mean"])
    _, marginal, _ = terms(fitted_ratio, theta, x)
    # the marginal pairs are others, so two means of 2000 terms are compared, each with weight 1 / 2
    error = np.sqrt(2) * marginal.std() / 2 / np.sqrt(len(theta))
    difference = fitted_ratio.score(theta.iloc[order], x.iloc[order]) - fitted_ratio.score(theta, x)
    assert abs(difference) < 4 * error


@pytest.mark.slow
@pytest.mark.core
def test_weights_move_the_ratio(ratio: BaseEstimator, make_pairs: Callable[..., Pairs]) -> None:
    """Weights that prefer equal signs of theta and of a useless x make that x tell something."""
    theta, _ = make_pairs(2000)
    x = np.random.default_rng(2).standard_normal(len(theta))
    weights = np.where(theta["mean"] * x > 0, 0.9, 0.1)
    longer = {"max_epochs": 20} if isinstance(ratio, NRE | AMNRE) else {}
    estimator = clone(ratio).set_params(**longer).fit(theta, x, sample_weight=weights)
    sides = pd.DataFrame({"mean": [1.0, -1.0], "sd": 1.0})
    for x, sign in [(1.0, 1), (-1.0, -1)]:
        same, other = estimator.predict_ratio(sides, x)[::sign]
        # 1.8 and 0.2, towards 1 for a ratio that cannot jump; without the weights both are 1
        assert 1.2 < same < 2.4
        assert 0.1 < other < 0.6


# iid: several independent trials of one theta.


def summed(estimator: BaseEstimator, theta: np.ndarray, trials: object) -> np.ndarray:
    """Sum the log-ratios of single trials."""
    return np.sum([estimator.predict_log_ratio(theta, trial) for trial in trials], axis=0)


def test_trials_of_one_observation(fitted_ratio: BaseEstimator, pairs: Pairs) -> None:
    theta, trials = pairs[0].iloc[:7], pairs[1].iloc[:5]
    expected = summed(fitted_ratio, theta, trials.to_numpy())
    for form in (trials, trials.to_numpy(), trials.to_numpy().tolist()):
        log_ratio = fitted_ratio.predict_log_ratio(theta, form, iid=True)
        np.testing.assert_allclose(log_ratio, expected, rtol=0, atol=5e-4)
        np.testing.assert_array_equal(
            fitted_ratio.predict_ratio(theta, form, iid=True), np.exp(log_ratio)
        )


@pytest.mark.filterwarnings("ignore:over 5 trials of .* different folds disagree")
def test_trials_of_a_batch(fitted_ratio: BaseEstimator, pairs: Pairs) -> None:
    theta = pairs[0].to_numpy()[:21].reshape(3, 7, 2)
    trials = pairs[1].to_numpy()[:15].reshape(3, 5, 4)
    index = pd.MultiIndex.from_product([["tue", "wed", "mon"], range(5)])
    table = pd.DataFrame(trials.reshape(15, 4), index, columns=pairs[1].columns)
    expected = [summed(fitted_ratio, t, x) for t, x in zip(theta, trials, strict=True)]
    for form in (trials, table, trials.tolist()):
        log_ratio = fitted_ratio.predict_log_ratio(theta, form, iid=True)
        np.testing.assert_allclose(log_ratio, expected, rtol=0, atol=5e-4)
    pairwise = fitted_ratio.predict_log_ratio(theta[:, 0], trials, iid=True)
    np.testing.assert_allclose(pairwise, np.array(expected)[:, 0], rtol=0, atol=5e-4)
    labels = fitted_ratio.sample(table, 2, iid=True).index.unique("observation")
    assert labels.tolist() == ["tue", "wed", "mon"]
    assert fitted_ratio.map(table, iid=True).index.tolist() == ["tue", "wed", "mon"]


@pytest.mark.parametrize("shape", [(), (2, 2)], ids=["numbers", "images"])
def test_trials_of_other_shapes(ratio: BaseEstimator, arrays: Arrays, shape: tuple) -> None:
    theta, x = arrays[0], arrays[1][:, 0] if shape == () else arrays[1].reshape(-1, 2, 2)
    estimator = clone(ratio).fit(theta, x)
    some = theta[:7]
    expected = summed(estimator, some, x[:5])
    log_ratio = estimator.predict_log_ratio(some, x[:5], iid=True)
    np.testing.assert_allclose(log_ratio, expected, rtol=0, atol=5e-4)
    batch = estimator.predict_log_ratio(
        np.stack([some, some]), x[:10].reshape(2, 5, *shape), iid=True
    )
    np.testing.assert_allclose(batch[0], expected, rtol=0, atol=5e-4)
    np.testing.assert_allclose(batch[1], summed(estimator, some, x[5:10]), rtol=0, atol=5e-4)
    assert estimator.sample(x[:5], 3, iid=True).shape == (3, 2)
    with pytest.raises(ValueError, match=rf"got shape {re.escape(str(shape))}"):
        estimator.predict_log_ratio(some, x[0], iid=True)


def test_a_series_of_trials(ratio: BaseEstimator, pairs: Pairs) -> None:
    theta, x = pairs
    estimator = clone(ratio).fit(theta, x["a"])
    np.testing.assert_array_equal(
        estimator.predict_log_ratio(theta[:7], x["a"][:5], iid=True),
        estimator.predict_log_ratio(theta[:7], x["a"][:5].to_numpy(), iid=True),
    )


def test_one_trial_is_an_observation(fitted_ratio: BaseEstimator, pairs: Pairs) -> None:
    theta, x = pairs[0].iloc[:7], pairs[1].iloc[0]
    trial = x.to_frame().T
    np.testing.assert_array_equal(
        fitted_ratio.predict_log_ratio(theta, trial, iid=True),
        fitted_ratio.predict_log_ratio(theta, x),
    )
    pd.testing.assert_frame_equal(
        fitted_ratio.sample(trial, 5, iid=True), fitted_ratio.sample(x, 5)
    )
    pd.testing.assert_frame_equal(
        fitted_ratio.summary(trial, iid=True), fitted_ratio.summary(x), check_exact=True
    )


def test_log_prob_of_trials(fitted_ratio: BaseEstimator, pairs: Pairs, prior: dict) -> None:
    """The prior counts once."""
    theta, trials = pairs[0].iloc[:7], pairs[1].iloc[:5]
    log_prior = sum(prior[name].logpdf(theta[name]) for name in theta)
    expected = log_prior + fitted_ratio.predict_log_ratio(theta, trials, iid=True)
    np.testing.assert_allclose(
        fitted_ratio.log_prob(theta, trials, iid=True), expected, rtol=0, atol=1e-9
    )
    outside = theta.assign(sd=3.0)
    assert np.isneginf(fitted_ratio.log_prob(outside, trials, iid=True)).all()


def test_many_trials_are_taken_in_parts(
    fitted_ratio: BaseEstimator, pairs: Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    theta, trials = pairs[0].iloc[:50], pairs[1].iloc[:5]
    expected = fitted_ratio.predict_log_ratio(theta, trials, iid=True)
    monkeypatch.setattr("sksbi.posteriors.factor._EVALUATIONS", 30)
    in_parts = fitted_ratio.predict_log_ratio(theta, trials, iid=True)
    np.testing.assert_allclose(in_parts, expected, rtol=0, atol=5e-4)


@pytest.fixture(scope="module")
def normal() -> NRE:
    """Learn theta ~ N(0, 1), x ~ N(theta, 1)."""
    rng = np.random.default_rng(0)
    theta = rng.standard_normal((10_000, 1))
    x = theta[:, 0] + rng.standard_normal(10_000)
    sizes = {"hidden_features": (32, 32), "module__members": 1, "max_epochs": 10}
    return NRE([stats.norm()], **sizes, random_state=0).fit(theta, x)


@pytest.mark.slow
@pytest.mark.parametrize("trials", [1, 4, 16])
def test_draws_concentrate_with_the_trials(normal: NRE, trials: int) -> None:
    """
    The posterior of T trials is N(sum x / (1 + T), 1 / (1 + T)).

    What 10,000 pairs leave open of the precision of one trial is about sqrt(2 / 10,000), 1.4%, and
    of the mean about 1 / sqrt(10,000) of a standard deviation of x; both for each trial alike, so
    that the errors of T trials add up to T times that, 0.04 posterior standard deviations at T = 16
    where the posterior has 1 / sqrt(17). Three times as much is allowed, besides the noise.
    """
    x = 0.7 + np.random.default_rng(1).standard_normal(trials)
    draws, report = normal.sample(x, 4000, iid=True, return_report=True)
    ess = report["ess"].iloc[0]
    mean, sd = x.sum() / (1 + trials), 1 / np.sqrt(1 + trials)
    drift = 3 * 0.01 * trials / (1 + trials)
    assert draws.mean() == pytest.approx(mean, abs=4 * sd / np.sqrt(ess) + drift)
    assert draws.std() == pytest.approx(sd, rel=4 / np.sqrt(2 * ess) + 3 * 0.014)


TRIALS: dict[str, tuple[Callable[[pd.DataFrame], object], type[Exception], str]] = {
    "one trial without its dimension": (
        lambda x: x.to_numpy()[0],
        ValueError,
        r"shape \(trials, 4\) or a batch of shape \(m, trials, 4\), got shape \(4,\)",
    ),
    "too narrow": (
        lambda x: x.to_numpy()[:5, :3],
        ValueError,
        r"\(trials, 4\) or a batch of shape \(m, trials, 4\), got shape \(5, 3\)",
    ),
    "too deep": (
        lambda x: x.to_numpy()[:16].reshape(2, 2, 4, 4),
        ValueError,
        r"\(m, trials, 4\), got shape \(2, 2, 4, 4\)",
    ),
    "a number": (lambda x: 1.0, ValueError, r"\(trials, 4\).*got shape \(\)"),
    "a dict": (lambda x: x.iloc[0].to_dict(), ValueError, r"\(trials, 4\).*got a dict"),
    "a Series": (lambda x: x.iloc[0], ValueError, r"\(trials, 4\).*got a Series"),
    "no trials": (lambda x: x.to_numpy()[:0], ValueError, r"0 sample\(s\).*\(0, 4\)"),
    "no trials in a batch": (
        lambda x: np.empty((3, 0, 4)),
        ValueError,
        r"0 sample\(s\).*\(0, 4\)",
    ),
    "ragged": (
        lambda x: [x.to_numpy()[:2].tolist(), x.to_numpy()[:3].tolist()],
        ValueError,
        "x.*(inhomogeneous|ragged)",
    ),
    "not as many trials for every observation": (
        lambda x: x[:5].set_index(pd.MultiIndex.from_arrays([list("aaabb"), range(5)])),
        ValueError,
        "as many trials for every observation.*{'a': 3, 'b': 2}",
    ),
    "observations in turns": (
        lambda x: x[:4].set_index(pd.MultiIndex.from_arrays([list("abab"), range(4)])),
        ValueError,
        "one observation after the other.*{'a': 2, 'b': 2}",
    ),
    "columns in another order": (
        lambda x: x[["b", "a", "c", "d"]],
        ValueError,
        "x: .*same order",
    ),
    "NaN": (lambda x: np.full((3, 4), np.nan), ValueError, "x contains NaN"),
    "a word": (lambda x: [["heavy", 0, 0, 0]], ValueError, "x must hold numbers only: .*'heavy'"),
}


@pytest.mark.parametrize("method", ["sample", "map", "summary"])
@pytest.mark.parametrize(("make", "error", "match"), TRIALS.values(), ids=TRIALS)
def test_bad_trials(
    fitted_ratio: BaseEstimator, pairs: Pairs, make: Callable, error: type, match: str, method: str
) -> None:
    with pytest.raises(error, match=rf"(?s){match}"):
        getattr(fitted_ratio, method)(make(pairs[1]), iid=True)


def test_trials_and_theta_of_other_numbers(fitted_ratio: BaseEstimator, pairs: Pairs) -> None:
    x = pairs[1].to_numpy()[:10].reshape(2, 5, 4)
    with pytest.raises(ValueError, match="theta has 3 rows and x has 2 observations"):
        fitted_ratio.predict_log_ratio(pairs[0][:3], x, iid=True)
    with pytest.raises(ValueError, match=r"\(2, n, 2\) for 2 observations, got \(3, 5, 2\)"):
        fitted_ratio.log_prob(np.ones((3, 5, 2)), x, iid=True)


@pytest.mark.parametrize("iid", ["yes", 1, None])
@pytest.mark.parametrize("method", [*METHODS, "predict_log_ratio", "predict_ratio"])
def test_iid_is_true_or_false(
    fitted_ratio: BaseEstimator, pairs: Pairs, method: str, iid: object
) -> None:
    arguments = pairs[1:] if method in ("sample", "summary", "map") else pairs
    with pytest.raises(TypeError, match=rf"iid must be True or False, got {iid!r}"):
        getattr(fitted_ratio, method)(*arguments, iid=iid)


# Samplers.


def with_sampler(estimator: BaseEstimator, sampler: object) -> BaseEstimator:
    """Give a fitted estimator another sampler; what it has learnt is shared."""
    other = clone(estimator).set_params(sampler=sampler)
    learnt = {k: v for k, v in vars(estimator).items() if k not in estimator.get_params()}
    vars(other).update(learnt)
    return other


def moments(estimator: BaseEstimator, x: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Integrate exp(log_prob) over a grid: means and standard deviations."""
    mean, sd = np.linspace(-5, 5, 401), 0.5 + 1.5 * (np.arange(100) + 0.5) / 100
    grid = np.stack(np.meshgrid(mean, sd), axis=-1).reshape(-1, 2)
    log_prob = estimator.log_prob(grid, x)
    weights = np.exp(log_prob - logsumexp(log_prob))
    center = weights @ grid
    return center, np.sqrt(weights @ (grid - center) ** 2)


SAMPLERS = {name: name for name in sampler_names()} | {
    "MetropolisHastings": MetropolisHastings(n_warmup=60, thin=5),
    "ImportanceResampling": ImportanceResampling(20_000),
}


@pytest.mark.parametrize(
    "sampler",
    [
        pytest.param(s, marks=pytest.mark.slow) if n in ("nested", "slice") else s
        for n, s in SAMPLERS.items()
    ],
    ids=SAMPLERS,
)
def test_draws_agree_with_log_prob(
    fitted_ratio: BaseEstimator, pairs: Pairs, sampler: object
) -> None:
    """
    Means and standard deviations are those of exp(log_prob) on a grid.

    A mean is known to sd / sqrt(ess), a standard deviation to sd sqrt((k - 1) / (4 ess)) with the
    kurtosis k, which is below 5 here. A classifier is slow to ask for a point at a time.
    """
    x = pairs[1].iloc[3]
    n_samples = 300 if isinstance(fitted_ratio, ClassifierRatio) else 1000
    estimator = with_sampler(fitted_ratio, sampler)
    draws, report = estimator.sample(x, n_samples, return_report=True, random_state=1)
    mean, sd = moments(fitted_ratio, x)
    error = sd / np.sqrt(report["ess"].clip(upper=n_samples).to_numpy())
    assert (np.abs(draws.mean() - mean) < 4 * error).all()
    assert (np.abs(draws.std() - sd) < 4 * error).all()


def test_report_of_one_observation_and_of_a_batch(
    fitted_ratio: BaseEstimator, pairs: Pairs
) -> None:
    estimator = with_sampler(fitted_ratio, "auto")
    x = pairs[1].iloc[:2].set_axis(["mon", "tue"])
    draws, report = estimator.sample(x.iloc[0], 1000, return_report=True)
    pd.testing.assert_frame_equal(draws, estimator.sample(x.iloc[0], 1000))
    assert report.columns.tolist() == ["r_hat", "ess"]
    assert report.index.tolist() == ["mean", "sd"]
    assert report.index.name == "parameter"
    assert report["r_hat"].between(0.99, 1.3).all()
    assert report["ess"].between(100, 3000).all()
    _, report = estimator.sample(x, 1000, return_report=True)
    assert report.index.names == ["observation", "parameter"]
    assert report.index.tolist() == [(d, p) for d in ("mon", "tue") for p in ("mean", "sd")]


def test_importance_resampling_has_no_chains_that_could_agree(
    fitted_ratio: BaseEstimator, pairs: Pairs
) -> None:
    estimator = with_sampler(fitted_ratio, ImportanceResampling(2000))
    _, report = estimator.sample(pairs[1].iloc[0], 100, return_report=True)
    assert report["r_hat"].isna().all()
    assert report["ess"].between(100, 2000).all()


class Recorder:
    """A user's sampler: it notes what it is given, and stays at the starts."""

    def __init__(self, columns: int | None = None) -> None:
        self.columns = columns
        self.calls = []

    def __call__(
        self,
        log_prob: Callable[[np.ndarray], np.ndarray],
        initial: np.ndarray,
        n_samples: int,
        random_state: np.random.Generator,
    ) -> np.ndarray:
        self.calls.append((log_prob, initial, n_samples, random_state))
        chosen = random_state.integers(initial.shape[1], size=n_samples)
        return initial[:, chosen, : self.columns]


def test_a_users_sampler_is_used(fitted_ratio: BaseEstimator, pairs: Pairs, prior: dict) -> None:
    """Its log_prob is log_prob, in the space where the prior is standard normal."""
    sampler = Recorder()
    estimator = with_sampler(fitted_ratio, None)
    estimator.sampler = sampler
    x = pairs[1].iloc[:3]
    draws = estimator.sample(x, 50, random_state=0)
    (log_prob, initial, n_samples, generator) = sampler.calls[0]
    assert len(sampler.calls) == 1
    assert n_samples == 50
    assert initial.shape == (3, 100, 2)
    assert isinstance(generator, np.random.Generator)
    theta = np.stack([p.ppf(stats.norm.cdf(initial[..., i])) for i, p in enumerate(prior.values())])
    theta = np.moveaxis(theta, 0, -1)
    np.testing.assert_allclose(
        log_prob(initial),
        stats.norm.logpdf(initial).sum(-1) + fitted_ratio.predict_log_ratio(theta, x),
        rtol=0,
        atol=1e-3,
    )
    for k in range(3):
        distance = np.abs(draws.loc[k].to_numpy()[:, None] - theta[k]).max(-1).min(1)
        assert distance.max() < 1e-9
    assert estimator.summary(x.iloc[0]).index.tolist() == ["mean", "sd"]


def test_a_users_sampler_that_gives_another_shape(
    fitted_ratio: BaseEstimator, pairs: Pairs
) -> None:
    estimator = with_sampler(fitted_ratio, Recorder(columns=1))
    with pytest.raises(ValueError, match=r"finite draws.*= \(1, 50, 2\), got shape \(1, 50, 1\)"):
        estimator.sample(pairs[1].iloc[0], 50)


def words(*_: object) -> list[str]:
    return ["draws"]


def infinite(log_prob: object, initial: np.ndarray, n_samples: int, _: object) -> np.ndarray:
    return np.full((len(initial), n_samples, initial.shape[2]), np.inf)


def test_a_users_sampler_that_gives_no_finite_numbers(
    fitted_ratio: BaseEstimator, pairs: Pairs
) -> None:
    x = pairs[1].iloc[0]
    with pytest.raises(TypeError, match="sampler=.*words.* must return an array of draws"):
        with_sampler(fitted_ratio, words).sample(x, 50)
    with pytest.raises(ValueError, match=r"got shape \(1, 50, 2\), 100 of them not finite"):
        with_sampler(fitted_ratio, infinite).sample(x, 50)


def stuck(
    log_prob: object, initial: np.ndarray, n_samples: int, generator: np.random.Generator
) -> np.ndarray:
    """Move all observations but the second one, which stays in two places, one after the other."""
    draws = generator.standard_normal((len(initial), n_samples, initial.shape[2]))
    if len(draws) > 1:
        draws[1] = 1e-3 * draws[1] + np.sign(np.arange(n_samples) - n_samples / 2)[:, None]
    return draws


def test_a_warning_names_the_observations(fitted_ratio: BaseEstimator, pairs: Pairs) -> None:
    estimator = with_sampler(fitted_ratio, stuck)
    x = pairs[1].iloc[:3].set_axis(["mon", "tue", "wed"])
    message = r"not to be trusted for 1 of 3 observations \['tue'\]: R-hat is up to \d+\.\d\d"
    with pytest.warns(SamplingWarning, match=message):
        _, report = estimator.sample(x, 400, return_report=True)
    assert (report.loc["tue", "r_hat"] > 1.3).all()
    assert (report.loc[["mon", "wed"], "r_hat"] < 1.1).all()
    with pytest.warns(SamplingWarning, match=message):
        estimator.summary(x, n_samples=400)
    estimator.sample(x.iloc[0], 400)


def test_parameters_of_a_sampler_are_parameters(ratio: BaseEstimator, pairs: Pairs) -> None:
    estimator = clone(ratio).set_params(sampler=MetropolisHastings(), sampler__n_warmup=40)
    thin = clone(estimator).set_params(sampler__thin=20)
    assert thin.get_params()["sampler__thin"] == 20
    assert estimator.get_params()["sampler__thin"] is None
    x = pairs[1].iloc[0]
    first, second = (e.fit(*pairs).sample(x, 500) for e in (estimator, thin))
    assert (first != second).to_numpy().mean() > 0.9
    with pytest.raises(ValueError, match="Invalid parameter 'thinn'"):
        estimator.set_params(sampler__thinn=2)


def test_a_sampler_with_a_bad_parameter(fitted_ratio: BaseEstimator, pairs: Pairs) -> None:
    estimator = with_sampler(fitted_ratio, MetropolisHastings(thin=0))
    with pytest.raises(ValueError, match=r"'thin' parameter of MetropolisHastings.*Got 0"):
        estimator.sample(pairs[1].iloc[0])
    few = with_sampler(fitted_ratio, ImportanceResampling(100))
    with pytest.raises(ValueError, match="n_candidates must be at least n_samples = 500, got 100"):
        few.sample(pairs[1].iloc[0], 500)


# Behind steps on x.


def test_behind_a_scaler(ratio: BaseEstimator, pairs: Pairs) -> None:
    theta, x = pairs
    pipe = make_pipeline(StandardScaler(), clone(ratio)).fit(theta, x)
    scaled = StandardScaler().fit_transform(x)
    alone = clone(ratio).fit(theta, scaled)
    assert pipe.score(theta, x) == pytest.approx(alone.score(theta, scaled), rel=1e-9)
    np.testing.assert_allclose(pipe.sample(x.iloc[:2], 5), alone.sample(scaled[:2], 5), rtol=1e-9)
    assert pipe.score(theta, x) > -np.log(2)


def test_chains_that_do_not_move_are_not_to_be_trusted(
    fitted_ratio: BaseEstimator, pairs: Pairs
) -> None:
    def stuck(log_prob, initial, n_samples, random_state):
        return np.repeat(initial[:, :1], n_samples, axis=1)

    with pytest.warns(SamplingWarning, match="not to be trusted for 1 of 1"):
        with_sampler(fitted_ratio, stuck).sample(pairs[1].iloc[0], 100)


# So short chains agree or not by chance.
@pytest.mark.filterwarnings("ignore::sksbi.exceptions.SamplingWarning")
def test_chains_are_those_that_draws_come_from(fitted_ratio: BaseEstimator, pairs: Pairs) -> None:
    sampler = MetropolisHastings(n_chains=8, n_warmup=20, thin=2)
    estimator = with_sampler(fitted_ratio, sampler)
    x = pairs[1].iloc[0]
    chains = estimator.sample_chains(x, 100, random_state=3)
    assert chains.shape == (8, 13, 2)
    draws = estimator.sample(x, 100, random_state=3).to_numpy()
    known = {tuple(row) for row in chains.reshape(-1, 2)}
    assert all(tuple(row) in known for row in draws)
    batch = estimator.sample_chains(pairs[1].iloc[:2], 100, random_state=3)
    assert batch.shape == (2, 8, 13, 2)


def test_chains_need_a_sampler_that_has_some(fitted_ratio: BaseEstimator, pairs: Pairs) -> None:
    estimator = with_sampler(fitted_ratio, "importance")
    with pytest.raises(TypeError, match="sample_chains needs a sampler that runs Markov chains"):
        estimator.sample_chains(pairs[1].iloc[0])
