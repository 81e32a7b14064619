"""diagnose of posteriors given several trials of one theta, which a ratio of one trial has."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from sksbi import NPE, ClassifierRatio, diagnose
from sksbi.exceptions import TrainingWarning
from sksbi.inspection import MarginalsDisplay, RankDisplay
from sksbi.metrics import draw_held_out, posterior_contraction

N, N_TRIALS = 150, 6


class GivenTrials:
    """The posterior of theta ~ N(0, 1) given trials N(theta, 1), or one that is too narrow."""

    def __init__(self, width=1.0):
        self.width = width

    def _moments(self, x, iid):
        x = np.asarray(x, dtype=float)
        assert iid
        assert x.shape[1:] == (N_TRIALS, 1)
        return x.sum(axis=1) / (1 + N_TRIALS), self.width / np.sqrt(1 + N_TRIALS)

    def sample(self, x, n_samples=1000, *, iid=False, random_state=None):
        mean, sd = self._moments(x, iid)
        noise = np.random.default_rng(random_state).normal(size=(len(mean), n_samples, 1))
        return mean[:, None] + sd * noise

    def log_prob(self, theta, x, *, iid=False):
        mean, sd = self._moments(x, iid)
        theta = np.asarray(theta, dtype=float)
        mean = mean[:, None] if theta.ndim == 3 else mean
        return stats.norm.logpdf(theta, mean, sd).sum(axis=-1)


@pytest.fixture(scope="module")
def pairs():
    """Give held-out theta with six trials each, as arrays."""
    rng = np.random.default_rng(3)
    theta = rng.normal(size=(N, 1))
    return theta, theta[:, None] + rng.normal(size=(N, N_TRIALS, 1))


@pytest.fixture(scope="module")
def tables(pairs):
    """Give the same as tables, the trial as the last level of the index."""
    theta, x = pairs
    index = pd.MultiIndex.from_product([range(N), range(N_TRIALS)], names=["observation", "trial"])
    return pd.DataFrame(theta, columns=["a"]), pd.DataFrame(x.reshape(-1, 1), index, ["x"])


@pytest.fixture(scope="module")
def ratio():
    """Fit a ratio to single trials; the log-ratio is quadratic, as the classifier."""
    rng = np.random.default_rng(0)
    theta = pd.DataFrame({"a": rng.normal(size=3_000)})
    x = pd.DataFrame({"x": theta["a"] + rng.normal(size=3_000)})
    line = make_pipeline(PolynomialFeatures(2), LogisticRegression())
    return ClassifierRatio(line, {"a": stats.norm()}, random_state=0).fit(theta, x)


def test_exact_posteriors_of_trials_pass_and_narrow_ones_do_not(pairs):
    table = diagnose(GivenTrials(), *pairs, iid=True, n_samples=200, plot=False).table
    for check in ("coverage", "tarp", "ranks", "z_score"):
        assert table.loc[check, "verdict"].iloc[0].startswith("no deviation found")
    table = diagnose(GivenTrials(0.5), *pairs, iid=True, n_samples=200, plot=False).table
    assert table.loc[("coverage", "all"), "verdict"].startswith("overconfident")


def test_a_ratio_is_checked_given_all_trials(ratio, tables):
    """Six trials leave 1/7 of the prior's variance, whose 10,000 draws know it to 1.4%."""
    table = diagnose(ratio, *tables, iid=True, n_samples=100, plot=False).table
    contraction = table.loc[("contraction", "a"), "value"]
    # Widths of a fit to 3,000 pairs, measured over 10 fits, are right to 6%.
    assert abs((1 - contraction) * (1 + N_TRIALS) - 1) < 4 * 2 * 0.06
    # The integral is that of prior times the ratio of one trial, which is one.
    assert table.loc[("normaliser", "all"), "value"] < 0.1


def test_arrays_and_tables_of_trials_have_the_same_draws(ratio, pairs, tables):
    both = []
    for theta, x in (pairs, tables):
        x = x[:20] if isinstance(x, np.ndarray) else x.iloc[: 20 * N_TRIALS]
        named = pd.DataFrame(np.asarray(theta)[:20], columns=["a"])
        both.append(draw_held_out(ratio, named, x, 10, iid=True).draws)
    np.testing.assert_array_equal(*both)


def test_displays_take_trials(ratio, tables):
    theta, x = tables[0].iloc[:30], tables[1].loc[:29]
    held_out = draw_held_out(ratio, theta, x, 10, iid=True, random_state=0)
    shown = RankDisplay.from_estimator(ratio, theta, x, iid=True, n_samples=10, random_state=0)
    np.testing.assert_array_equal(shown.ecdf, RankDisplay.from_held_out(held_out).ecdf)
    shown = MarginalsDisplay.from_estimator(
        ratio, *tables, iid=True, n_samples=20, max_observations=12
    )
    chosen = tables[0].loc[tables[0]["a"].isin(shown.intervals[("a", "true")])]
    assert len(shown.intervals) == len(chosen) == 12
    # The posterior mean is 6/7 of the mean of the trials that belong to the same theta.
    means = tables[1]["x"].groupby(level=0).mean().loc[chosen.index] * N_TRIALS / (1 + N_TRIALS)
    order = shown.intervals.sort_values(("a", "true"))
    expected = means.loc[chosen.sort_values("a").index]
    assert np.corrcoef(order[("a", "median")], expected)[0, 1] > 0.9


def observed_verdict(ratio, pairs, observed):
    """Tell what diagnose says of an observation, beside 60 of the pairs."""
    theta, x = (table[:60] if isinstance(table, np.ndarray) else table for table in pairs)
    if isinstance(theta, pd.DataFrame):
        theta, x = theta.iloc[:60], x.loc[:59]
    table = diagnose(ratio, theta, x, observed, iid=True, n_samples=10, plot=False).table
    return table.loc["misspecification"].iloc[0][["p_value", "verdict"]].tolist()


def test_trials_are_compared_whatever_their_order(ratio, tables):
    trials = tables[1].loc[0]
    p_value, verdict = observed_verdict(ratio, tables, trials)
    assert verdict == "like the simulations"
    assert observed_verdict(ratio, tables, trials.iloc[::-1])[0] == p_value
    assert observed_verdict(ratio, tables, {"x": trials["x"].to_numpy()})[0] == p_value


def test_trials_that_no_theta_makes_are_told(ratio, tables):
    """Half of them at -5 and half at 5 have a mean like others, and no theta makes them."""
    odd = pd.DataFrame({"x": [-5.0, 5.0] * 3})
    p_value, verdict = observed_verdict(ratio, tables, odd)
    assert p_value == 1 / 31  # the least of 30 and itself
    assert verdict.startswith("further than any of 30 simulations")


def test_another_number_of_trials_is_not_compared(ratio, pairs, tables):
    few = tables[1].loc[0].iloc[:4]
    verdict = observed_verdict(ratio, tables, few)[1]
    assert verdict == "not done: x has 6 trials, and x_observed 4"


def test_an_estimator_of_one_x_names_iid(pairs):
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(200, 1))
    npe = NPE(max_epochs=1, random_state=0).fit(theta, theta + rng.normal(size=(200, 1)))
    with pytest.raises(ValueError, match="iid"):
        diagnose(npe, *pairs, iid=True, plot=False)
    with pytest.raises(TypeError, match="iid"):
        diagnose(npe, *pairs, iid="yes", plot=False)


def test_single_trials_are_told_from_sets_of_them(ratio, pairs):
    with pytest.raises(ValueError, match=r"With iid=True a batch has shape \(n, trials"):
        diagnose(ratio, pairs[0], pairs[1][:, 0], iid=True, plot=False)


def test_theta_of_another_prior_is_told(ratio):
    """Distribution functions of N(0, 1) and N(0, .2) differ by .35, and chance by .1."""
    theta = pd.DataFrame({"a": np.random.default_rng(5).normal(0, 0.2, 300)})
    with pytest.warns(
        TrainingWarning, match=r"values of 'a' do not follow the prior.* by up to 0.3"
    ):
        diagnose(ratio, theta, theta.set_axis(["x"], axis=1), n_samples=10, plot=False)


def test_contraction_takes_the_variance_of_the_prior(ratio):
    """Ten held-out theta know the prior's variance to a factor of 2; its own draws to 1.4%."""
    rng = np.random.default_rng(4)
    theta = pd.DataFrame({"a": rng.normal(size=10)})
    x = pd.DataFrame({"x": theta["a"] + rng.normal(size=10)})
    table = diagnose(ratio, theta, x, n_samples=2_000, plot=False).table
    draws = draw_held_out(ratio, theta, x, 2_000).draws
    exact = np.median(posterior_contraction(draws, np.random.default_rng(1).normal(size=(9**6, 1))))
    # Draws of the two calls differ: each of ten variances is known to sqrt(2 / 2,000).
    error = np.sqrt(2 / 2_000 + 2 / 10_000)
    assert abs(table.loc[("contraction", "a"), "value"] - exact) < 4 * error
