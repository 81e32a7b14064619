"""What every estimator of p(x | theta) keeps: units, trials, mixed tables, failures, draws."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.integrate import trapezoid
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, clone

from sksbi import NLE, CalibratedPosterior, Ensemble, PosteriorRegressor

Pairs = tuple[pd.DataFrame, pd.DataFrame]


def log_prior(theta: np.ndarray) -> np.ndarray:
    """Compute that of the fixture."""
    return stats.norm.logpdf(theta[..., 0]) + stats.uniform(0.5, 1.5).logpdf(theta[..., 1])


def test_log_prob_is_log_prior_plus_log_likelihood(
    fitted_likelihood: BaseEstimator, pairs: Pairs
) -> None:
    theta, x = pairs
    own = fitted_likelihood.log_likelihood(theta, x)
    expected = log_prior(theta.to_numpy()) + own
    np.testing.assert_allclose(fitted_likelihood.log_prob(theta, x), expected, atol=1e-9)
    cube = theta.to_numpy()[:6].reshape(2, 3, 2)
    log_q = fitted_likelihood.log_likelihood(cube, x[:2])
    for k in range(2):
        alone = fitted_likelihood.log_likelihood(theta[3 * k : 3 * k + 3], x.iloc[k])
        np.testing.assert_allclose(log_q[k], alone, atol=1e-5)
    assert fitted_likelihood.score(theta, x) == pytest.approx(own.mean(), abs=1e-6)


def test_likelihoods_of_trials_add_up(fitted_likelihood: BaseEstimator, pairs: Pairs) -> None:
    theta, x = pairs[0][:7], pairs[1]
    each = np.stack([fitted_likelihood.log_likelihood(theta, row) for row in x[:6].to_numpy()])
    together = fitted_likelihood.log_likelihood(theta, x[:6], iid=True)
    np.testing.assert_allclose(together, each.sum(axis=0), atol=1e-4)
    cube = np.stack([theta.to_numpy()] * 2)
    batch = fitted_likelihood.log_likelihood(cube, x[:6].to_numpy().reshape(2, 3, 4), iid=True)
    np.testing.assert_allclose(batch, each.reshape(2, 3, 7).sum(axis=1), atol=1e-4)


def test_outside_the_support(fitted_likelihood: BaseEstimator, pairs: Pairs) -> None:
    """A likelihood is that of the nearest point inside; nothing is emulated there."""
    x = pairs[1].iloc[0]
    outside, nearest = [[0.3, 7.0]], [[0.3, np.nextafter(2.0, 0)]]
    found, expected = (fitted_likelihood.log_likelihood(theta, x) for theta in (outside, nearest))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"support.*'sd' is 7 "):
        fitted_likelihood.emulate(outside)


BAD_THETA: dict[str, tuple[object, str]] = {
    "too short": ([0.1], "1 features?.*2 features"),
    "another name": ({"mean": 0.1, "age": 1.0}, "theta.*'age'"),
    "a word": ("mean", "theta"),
    "nothing": (None, "theta"),
    "NaN": ([np.nan, 1.0], "theta.*NaN"),
}


@pytest.mark.parametrize("case", BAD_THETA.values(), ids=BAD_THETA)
def test_bad_theta_is_not_emulated(fitted_likelihood: BaseEstimator, case: tuple) -> None:
    theta, message = case
    warnings.simplefilter("ignore", UserWarning)  # of names, beside the error of the width
    with pytest.raises((ValueError, TypeError), match=message):
        fitted_likelihood.emulate(theta)


@pytest.mark.parametrize("bad", [0, -1, 2.5, "many"])
def test_bad_numbers_are_not_emulated(fitted_likelihood: BaseEstimator, bad: object) -> None:
    with pytest.raises((ValueError, TypeError), match=f"n_samples.*{bad}"):
        fitted_likelihood.emulate([0.0, 1.0], bad)


def test_forms_of_one_theta_are_the_same(fitted_likelihood: BaseEstimator) -> None:
    expected = fitted_likelihood.emulate({"mean": 0.5, "sd": 1.0}, 3)
    for form in ([0.5, 1.0], np.array([0.5, 1.0]), pd.Series({"sd": 1.0, "mean": 0.5})):
        pd.testing.assert_frame_equal(fitted_likelihood.emulate(form, 3), expected)
    table = fitted_likelihood.emulate(pd.DataFrame({"mean": [0.5], "sd": [1.0]}), 3)
    assert table.index.tolist() == [(0, 0), (0, 1), (0, 2)]
    assert fitted_likelihood.emulate([0.5, 1.0]).shape == (1, 4)


def mixed(theta: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    """Simulate a choice, whose probability grows with the mean, a word, a flag, counts, a time."""
    rng = np.random.default_rng(seed)
    up = rng.random(len(theta)) < stats.norm.cdf(theta["mean"])
    word = np.where(rng.random(len(theta)) < 0.5, "no", np.where(up, "yes", "aye"))
    time = np.exp(0.3 * rng.normal(size=len(theta)) * theta["sd"] + 0.2 * up)
    return pd.DataFrame(
        {
            "choice": pd.Categorical(np.where(up, "up", "down"), ["up", "down", "never"]),
            "word": pd.Series(word, dtype="str"),
            "flag": rng.random(len(theta)) < 0.3,
            "count": rng.poisson(40 * theta["sd"]).astype(np.int16),
            "seconds": time.to_numpy().astype(np.float32),
            "level": pd.array(rng.integers(0, 3, len(theta)), dtype="Int64"),
        }
    )


@pytest.fixture(scope="module")
def mixed_pairs(make_pairs: Callable[..., Pairs]) -> Pairs:
    theta = make_pairs(500)[0]
    return theta, mixed(theta)


def test_emulated_tables_are_like_those_of_fit(
    likelihood: BaseEstimator, mixed_pairs: Pairs
) -> None:
    """In columns, dtypes and categories; what was never seen is never emulated."""
    theta, x = mixed_pairs
    fitted = clone(likelihood).fit(theta, x)
    table = fitted.emulate(theta.iloc[:20], 50)
    pd.testing.assert_series_equal(table.dtypes, x.dtypes)
    assert set(table["choice"]) == {"up", "down"}
    assert set(table["word"]) == {"no", "yes", "aye"}
    assert (table["count"] >= 0).all()
    assert np.isfinite(fitted.log_likelihood(theta, x)).all()
    as_lists = fitted.log_likelihood(theta.iloc[:3], x.iloc[:3].to_numpy(dtype=object))
    np.testing.assert_allclose(as_lists, fitted.log_likelihood(theta.iloc[:3], x.iloc[:3]))


def test_the_emulator_chooses_as_often_as_the_likelihood_says(
    likelihood: BaseEstimator, mixed_pairs: Pairs
) -> None:
    """The probability of a choice is the integral over seconds; the two add up to one."""
    theta, x = mixed_pairs[0], mixed_pairs[1][["choice", "seconds"]]
    fitted = clone(likelihood).fit(theta, x)
    grid = np.linspace(1e-3, 60, 60_000)
    point = {"mean": 0.8, "sd": 1.0}
    probability = {}
    for choice in ("up", "down"):
        rows = pd.DataFrame(
            {"choice": pd.Categorical([choice] * len(grid), x["choice"].cat.categories)}
        )
        rows["seconds"] = grid
        log_q = fitted.log_likelihood(pd.DataFrame([point] * len(grid)), rows)
        probability[choice] = trapezoid(np.exp(log_q), grid)
    assert sum(probability.values()) == pytest.approx(1, abs=0.01)
    n = 4_000
    share = (fitted.emulate(point, n)["choice"] == "up").mean()
    error = np.sqrt(probability["up"] * probability["down"] / n)
    assert abs(share - probability["up"]) < 4 * error + 0.01


def test_members_know_categories_that_they_have_not_seen(mixed_pairs: Pairs, prior: dict) -> None:
    """The fold to fit to lacks the first word: the others keep their numbers."""
    theta, x = mixed_pairs[0], mixed_pairs[1][["word", "seconds"]]
    has_first = x["word"] == "aye"
    nle = NLE(prior, flow="maf", transforms=1, hidden_features=(8,), max_epochs=2)
    cv = [(np.flatnonzero(~has_first)[5:], np.flatnonzero(~has_first)[:5])]
    words, numbers = x, x.assign(word=x["word"].map({"aye": 0.0, "no": 1.0, "yes": 2.0}))
    found = []
    for table in (words, numbers):
        calibrated = CalibratedPosterior(nle, cv=cv, n_samples=20, random_state=0)
        calibrated.fit(theta, table)
        found.append(calibrated.log_likelihood(theta[~has_first], table[~has_first]))
        with pytest.raises(ValueError, match="values in column 'word' that fit has seen"):
            calibrated.log_likelihood(theta[has_first], table[has_first])
    np.testing.assert_array_equal(*found)


def test_prefit_categories_must_be_those_of_the_fit(mixed_pairs: Pairs, prior: dict) -> None:
    theta, x = mixed_pairs[0], mixed_pairs[1][["word", "seconds"]]
    nle = NLE(prior, flow="maf", transforms=1, hidden_features=(8,), max_epochs=1).fit(theta, x)
    rest = (x["word"] != "aye").to_numpy()
    with pytest.raises(ValueError, match=r"categories .*'word', \('aye', 'no', 'yes'\), got"):
        CalibratedPosterior(nle, cv="prefit").fit(theta[rest], x[rest])


def test_an_ensembles_likelihood_is_the_mean_of_its_members(
    prior: dict, mixed_pairs: Pairs
) -> None:
    theta, x = mixed_pairs
    nle = NLE(prior, flow="maf", transforms=1, hidden_features=(8,), max_epochs=2)
    ensemble = Ensemble(nle, n_estimators=3, random_state=0).fit(theta, x)
    each = [member.log_likelihood(theta, x) for member in ensemble.estimators_]
    expected = logsumexp(each, axis=0) - np.log(3)
    np.testing.assert_allclose(ensemble.log_likelihood(theta, x), expected, atol=1e-9)
    trials = [member.log_likelihood(theta[:5], x[:4], iid=True) for member in ensemble.estimators_]
    assert np.ptp(trials, axis=0).max() > 0.1
    one = np.stack([ensemble.log_likelihood(theta[:5], x.iloc[t]) for t in range(4)]).sum(axis=0)
    found = ensemble.log_likelihood(theta[:5], x[:4], iid=True)
    np.testing.assert_allclose(found, one, atol=1e-4)


@pytest.mark.slow
def test_with_failures_the_likelihood_integrates_to_success(
    likelihood: BaseEstimator, make_pairs: Callable[..., Pairs]
) -> None:
    """And what is emulated has not failed; success depends on theta, as a logistic function."""
    theta, x = make_pairs(1_000)
    rng = np.random.default_rng(2)
    success = 1 / (1 + np.exp(-2 * theta["mean"]))
    x = x[["a"]].mask(rng.random(1_000) > success)
    fitted = clone(likelihood).fit(theta, x)
    grid = np.linspace(-30, 30, 6_001)
    for mean in (-1.0, 0.0, 1.0):
        point = np.tile([mean, 1.0], (len(grid), 1))
        mass = trapezoid(np.exp(fitted.log_likelihood(point, grid[:, None])), grid)
        assert mass == pytest.approx(1 / (1 + np.exp(-2 * mean)), abs=0.12)
    emulated = fitted.emulate(theta.iloc[:50], 20)
    assert np.isfinite(emulated.to_numpy()).all()


def test_a_regressor_predicts_the_mean_of_the_posterior(prior: dict, pairs: Pairs) -> None:
    """The same for a row alone; near the mean of other draws, by their standard error."""
    theta, x = pairs[0].to_numpy(), pairs[1].to_numpy()
    nle = NLE(prior, transforms=1, hidden_features=(16,), max_epochs=5)
    regressor = PosteriorRegressor(nle, n_samples=2_000, random_state=0).fit(x, theta)
    mean, std = regressor.predict(x[:4], return_std=True)
    draws = regressor.estimator_.sample(x[:4], 2_000, random_state=5)
    error = 5 * std / np.sqrt(2_000 / 4)
    assert (np.abs(mean - draws.mean(axis=1)) < error).all()
    np.testing.assert_allclose(regressor.predict(x[:1])[0], mean[0], atol=error.max())


def test_a_likelihood_has_no_marginals(fitted_likelihood: BaseEstimator) -> None:
    assert not hasattr(fitted_likelihood, "marginal")
    assert not hasattr(fitted_likelihood, "predict_log_ratio")
