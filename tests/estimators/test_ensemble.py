"""An ensemble is the equally weighted mixture of its members, whoever fits them and where."""

from __future__ import annotations

import copy
import inspect
import re
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from scipy.integrate import trapezoid
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

import sksbi.estimators.ensemble
from sksbi import NPE, NRE, Ensemble, PosteriorRegressor
from sksbi.inspection import LossDisplay, PosteriorDisplay
from sksbi.pipeline import make_pipeline
from sksbi.posteriors.base import Draws
from sksbi.posteriors.mixture import Normalised, NormalisedAt

TINY = {"flow": "maf", "transforms": 2, "hidden_features": (16,), "max_epochs": 3}
PRIOR = {"mean": stats.norm(0, 1), "sd": stats.uniform(0.5, 1.5)}
K = 3


def simulated(n: int = 200, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw three times from a normal distribution of unknown mean and sd."""
    rng = np.random.default_rng(seed)
    theta = pd.DataFrame({name: p.rvs(n, random_state=rng) for name, p in PRIOR.items()})
    noise = rng.standard_normal((n, 3))
    x = theta[["mean"]].to_numpy() + theta[["sd"]].to_numpy() * noise
    return theta, pd.DataFrame(x, columns=list("abc"))


THETA, X = simulated()


def make(**changes: object) -> Ensemble:
    """Build a small ensemble."""
    return Ensemble(NPE(PRIOR, **TINY), n_estimators=K, random_state=0).set_params(**changes)


@pytest.fixture(scope="module")
def fitted() -> Ensemble:
    """Fit on tables; not to be changed."""
    return make().fit(THETA, X)


@pytest.fixture(scope="module")
def pair() -> Ensemble:
    """
    Fit two members of one parameter that differ as much as can be; not to be changed.

    The first learns theta near -3, the second near 3, whatever x is: the sign of a draw tells its
    member.
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    npe = NPE([stats.uniform(-5, 10)], **TINY | {"max_epochs": 30})
    low, high = (rng.normal(center, 0.3, (400, 1)) for center in (-3, 3))
    made = Ensemble(npe, n_estimators=2, random_state=0).fit(low, x)
    made.estimators_[1] = clone(npe).set_params(random_state=1).fit(high, x)
    signs = [np.unique(np.sign(m.sample(0.0, 5000, random_state=0))) for m in made.estimators_]
    assert signs == [-1, 1]
    return made


# The density.


def test_log_prob_is_the_log_of_the_mean_density(fitted: Ensemble) -> None:
    members = [member.log_prob(THETA, X) for member in fitted.estimators_]
    expected = logsumexp(members, axis=0) - np.log(K)
    np.testing.assert_allclose(fitted.log_prob(THETA, X), expected, rtol=0, atol=1e-13)
    assert np.ptp(members, axis=0).min() > 0


def test_an_ensemble_of_one_has_the_density_of_its_member() -> None:
    one = make(n_estimators=1).fit(THETA, X)
    (member,) = one.estimators_
    np.testing.assert_array_equal(one.log_prob(THETA, X), member.log_prob(THETA, X))


def test_the_density_integrates_to_one(pair: Ensemble) -> None:
    """
    Over the support, by the trapezoidal rule.

    The tolerance is the grid's; float32 knows the log-density to 1e-6.
    """
    grid = np.linspace(-5, 5, 20_001)
    for x in (-1.0, 0.0, 2.0):
        density = np.exp(pair.log_prob(grid[:, None], x))
        assert trapezoid(density, grid) == pytest.approx(1, abs=1e-3)


def test_outside_the_support_it_is_minus_infinity_and_nowhere_nan(fitted: Ensemble) -> None:
    theta = [[0.0, 0.4], [0.0, 2.1], [1e300, 1.0], [-1e30, 1.0], [0.0, 1.0]]
    log_prob = fitted.log_prob(theta, X.iloc[0])
    assert not np.isnan(log_prob).any()
    assert np.isneginf(log_prob[:2]).all()
    assert np.isfinite(log_prob[-1])


class Nothing(Normalised):
    """A posterior whose density is zero everywhere."""

    prior = None

    def _posterior(self) -> Nothing:
        return self

    def _at(self, x: np.ndarray) -> NothingAt:
        return NothingAt(None, len(x))


class NothingAt(NormalisedAt):
    """The same at some observations."""

    def take(self, rows: np.ndarray) -> NothingAt:
        raise NotImplementedError

    def _draw(self, n: int, generator: np.random.Generator, *, log_prob: bool) -> Draws:
        raise NotImplementedError

    def _log_prob(self, theta: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.full(len(theta), -np.inf)


def test_where_some_members_vanish_the_others_count(pair: Ensemble) -> None:
    half = copy.copy(pair)
    half.estimators_ = [pair.estimators_[0], Nothing()]
    expected = pair.estimators_[0].log_prob([[-3.0]], 0.0) - np.log(2)
    np.testing.assert_allclose(half.log_prob([[-3.0]], 0.0), expected, rtol=1e-12)
    half.estimators_ = [Nothing(), Nothing()]
    assert np.isneginf(half.log_prob([[-3.0]], 0.0))


def test_it_scores_no_worse_than_its_members_on_average(fitted: Ensemble) -> None:
    """By Jensen's inequality, row by row, up to rounding."""
    theta, x = simulated(300, seed=1)
    members = [member.log_prob(theta, x) for member in fitted.estimators_]
    assert (fitted.log_prob(theta, x) >= np.mean(members, axis=0) - 1e-12).all()
    scores = [member.score(theta, x) for member in fitted.estimators_]
    assert fitted.score(theta, x) > np.mean(scores)
    assert fitted.score(theta, x) == pytest.approx(fitted.log_prob(theta, x).mean(), rel=1e-12)


# The draws.


def test_draws_come_from_each_member_as_often(pair: Ensemble) -> None:
    """The number of draws from the first is binomial; 5 standard errors."""
    n, m = 10_000, 4
    from_first = (pair.sample(np.zeros(m), n)[..., 0] < 0).mean(axis=1)
    assert (np.abs(from_first - 0.5) < 5 * np.sqrt(0.25 / n)).all()
    assert len(set(from_first)) == m


def test_draws_of_each_member_follow_that_member(pair: Ensemble) -> None:
    draws = pair.sample(0.5, 8000, random_state=2)[:, 0]
    for member, sign in zip(pair.estimators_, (-1, 1), strict=True):
        own = member.sample(0.5, 4000, random_state=3)[:, 0]
        assert stats.ks_2samp(draws[np.sign(draws) == sign], own).pvalue > 1e-4


def test_draws_are_exchangeable(pair: Ensemble) -> None:
    """Neighbours come from one member half of the time, and each half of the draws is balanced."""
    n = 10_000
    first = pair.sample(0.0, n, random_state=4)[:, 0] < 0
    tolerance = 5 * np.sqrt(0.25 / n)
    assert abs((first[1:] == first[:-1]).mean() - 0.5) < tolerance
    assert abs(first[: n // 2].mean() - 0.5) < np.sqrt(2) * tolerance


def test_one_draw_for_many_observations(pair: Ensemble) -> None:
    """Where few draws are asked for, each member sees only the observations that it draws for."""
    n = 5000
    draws = pair.sample(np.zeros(n), 1)
    assert draws.shape == (n, 1, 1)
    assert abs((draws < 0).mean() - 0.5) < 5 * np.sqrt(0.25 / n)
    assert len(np.unique(draws)) == n


def test_the_moments_are_those_of_the_mixture(fitted: Ensemble) -> None:
    n, x = 20_000, X.iloc[0]
    draws = fitted.sample(x, n)
    members = [member.sample(x, n, random_state=9) for member in fitted.estimators_]
    mixture = pd.concat(members)
    error = mixture.std() * np.sqrt(1 / n + 1 / (K * n))
    assert (np.abs(draws.mean() - mixture.mean()) < 5 * error).all()


def test_draws_agree_with_the_density(pair: Ensemble) -> None:
    """The share of draws in a bin is the integral of the density over it; 5 standard errors."""
    n, edges = 20_000, np.array([-4.0, -3.1, -2.8, 2.7, 3.0, 4.0])
    draws = pair.sample(1.0, n, random_state=5)[:, 0]
    share, _ = np.histogram(draws, edges)
    for k, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        grid = np.linspace(low, high, 4001)
        p = trapezoid(np.exp(pair.log_prob(grid[:, None], 1.0)), grid)
        assert abs(share[k] / n - p) < 5 * np.sqrt(p * (1 - p) / n) + 1e-3


# The members.


def test_members_are_plain_fits_of_the_estimator(fitted: Ensemble) -> None:
    """Each can be had without the ensemble, bit for bit, and answers like one fitted on tables."""
    for member in fitted.estimators_:
        alone = NPE(PRIOR, **TINY, random_state=member.random_state).fit(THETA, X)
        pd.testing.assert_frame_equal(alone.sample(X[:2], 5), member.sample(X[:2], 5))


def test_members_have_seeds_of_their_own(fitted: Ensemble) -> None:
    assert len({member.random_state for member in fitted.estimators_}) == K
    assert len({member.seed_ for member in fitted.estimators_}) == K
    assert len({member.score(THETA, X) for member in fitted.estimators_}) == K


def test_the_seed_of_the_estimator_is_replaced_and_the_users_object_is_left() -> None:
    npe = NPE(PRIOR, **TINY, random_state=7)
    ensemble = Ensemble(npe, n_estimators=2, random_state=0).fit(THETA, X)
    assert len({7, *(member.random_state for member in ensemble.estimators_)}) == 3
    assert npe.random_state == 7
    assert not hasattr(npe, "net_")
    assert ensemble.estimator is npe


def test_the_first_members_do_not_depend_on_how_many_follow(fitted: Ensemble) -> None:
    fewer = make(n_estimators=2).fit(THETA, X)
    for first, second in zip(fewer.estimators_, fitted.estimators_, strict=False):
        np.testing.assert_array_equal(first.log_prob(THETA, X), second.log_prob(THETA, X))


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_the_numbers_do_not_depend_on_where_members_are_fitted(
    fitted: Ensemble, backend: str
) -> None:
    threads = torch.get_num_threads()
    with joblib.parallel_config(backend, n_jobs=2):
        other = make().fit(THETA, X)
    assert torch.get_num_threads() == threads
    same(other, fitted)


@pytest.mark.parametrize("n_jobs", [1, 2, -1])
def test_the_numbers_do_not_depend_on_n_jobs(fitted: Ensemble, n_jobs: int) -> None:
    same(make(n_jobs=n_jobs).fit(THETA, X), fitted)


def same(first: Ensemble, second: Ensemble) -> None:
    """Hold that two fits are the same, bit for bit."""
    np.testing.assert_array_equal(first.log_prob(THETA, X), second.log_prob(THETA, X))
    pd.testing.assert_frame_equal(first.sample(X[:3], 7), second.sample(X[:3], 7), rtol=0, atol=0)
    losses = [e.history_[["member", "epoch", "train_loss", "valid_loss"]] for e in (first, second)]
    pd.testing.assert_frame_equal(*losses, rtol=0, atol=0)


def test_weights_reach_the_members() -> None:
    weights = np.r_[np.ones(120), np.zeros(80)]
    weighted = make().fit(THETA, X, sample_weight=weights)
    same(weighted, make().fit(THETA[:120], X[:120]))
    uneven = make().fit(THETA, X, sample_weight=np.linspace(1, 2, 200))
    assert (uneven.log_prob(THETA, X) != make().fit(THETA, X).log_prob(THETA, X)).all()


def test_without_an_estimator_the_members_are_npe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sksbi.estimators.ensemble, "NPE", lambda: NPE(**TINY))
    ensemble = Ensemble(n_estimators=2, random_state=0).fit(THETA, X)
    assert ensemble.prior is None
    assert ensemble.prior_ is None
    assert [type(member) for member in ensemble.estimators_] == [NPE, NPE]


def test_the_history_names_the_members(fitted: Ensemble) -> None:
    history = fitted.history_
    assert list(history.columns[:2]) == ["member", "epoch"]
    assert history["member"].tolist() == np.repeat(range(K), 3).tolist()
    assert history.index.tolist() == list(range(3 * K))
    last = history[history["member"] == K - 1].drop(columns="member").reset_index(drop=True)
    pd.testing.assert_frame_equal(last, fitted.estimators_[-1].history_)
    assert not hasattr(make(), "history_")


def test_fit_begins_anew_whatever_the_members_warm_start() -> None:
    ensemble = make(estimator__warm_start=True).fit(THETA, X)
    first = ensemble.log_prob(THETA, X)
    np.testing.assert_array_equal(ensemble.fit(THETA, X).log_prob(THETA, X), first)
    assert len(ensemble.history_) == 3 * K


def test_an_ensemble_of_ensembles_is_a_mixture_too() -> None:
    inner = Ensemble(NPE(PRIOR, **TINY), n_estimators=2)
    outer = Ensemble(inner, n_estimators=2, random_state=0).fit(THETA, X)
    members = [npe for e in outer.estimators_ for npe in e.estimators_]
    assert len({npe.random_state for npe in members}) == 4
    expected = logsumexp([npe.log_prob(THETA, X) for npe in members], axis=0) - np.log(4)
    np.testing.assert_allclose(outer.log_prob(THETA, X), expected, rtol=0, atol=1e-12)
    assert np.isfinite(outer.log_prob(outer.sample(X[:2], 5), X[:2])).all()


# scikit-learn.


def test_the_signature() -> None:
    first, *others = inspect.signature(Ensemble).parameters.values()
    assert (first.name, first.default) == ("estimator", None)
    assert {p.kind for p in others} == {inspect.Parameter.KEYWORD_ONLY}


def test_nested_parameters_and_clone(fitted: Ensemble) -> None:
    other = clone(fitted).set_params(estimator__lr=0.02, estimator__optimizer__weight_decay=0.1)
    assert other.get_params()["estimator__lr"] == other.estimator.lr == 0.02
    assert other.estimator.optimizer__weight_decay == 0.1
    assert fitted.estimator.lr != 0.02
    assert not hasattr(other, "estimators_")
    assert {m.lr for m in other.fit(THETA, X).estimators_} == {0.02}


def test_grid_search_searches_the_members_parameters() -> None:
    grid = {"estimator__lr": [1e-5, 1e-2], "n_estimators": [1, 2]}
    ensemble = make(estimator__batch_size=100)
    search = GridSearchCV(ensemble, grid, cv=KFold(2), error_score="raise").fit(THETA, X)
    assert search.best_params_ == {"estimator__lr": 1e-2, "n_estimators": 2}
    by_hand = clone(ensemble).set_params(**search.best_params_).fit(THETA, X)
    same(search.best_estimator_, by_hand)
    assert search.score(THETA, X) == by_hand.score(THETA, X)


def test_the_prior_is_the_members(fitted: Ensemble) -> None:
    assert fitted.prior is fitted.estimator.prior
    assert "prior" not in fitted.get_params(deep=False)
    with pytest.raises(ValueError, match="Invalid parameter 'prior' for estimator Ensemble"):
        make().set_params(prior=None)
    nameless = make().fit(THETA.to_numpy(), X.to_numpy())
    assert nameless.summary(X.iloc[0].to_numpy()).index.tolist() == ["mean", "sd"]
    assert nameless.sample(X.iloc[0].to_numpy(), 5).shape == (5, 2)


def test_inside_our_pipeline_and_around_a_validation_pair() -> None:
    held_out = simulated(50, seed=1)
    scaler = StandardScaler().fit(X)
    ensemble = make(estimator__validation_fraction=held_out)
    pipe = make_pipeline(StandardScaler(), ensemble).fit(THETA, X)
    scaled = (held_out[0], scaler.transform(held_out[1]))
    by_hand = make(estimator__validation_fraction=scaled).fit(THETA, scaler.transform(X))
    np.testing.assert_array_equal(
        pipe.log_prob(THETA, X), by_hand.log_prob(THETA, scaler.transform(X))
    )
    pd.testing.assert_frame_equal(
        pipe.history_.drop(columns="dur"), by_hand.history_.drop(columns="dur")
    )
    assert ensemble.estimator.validation_fraction is held_out
    assert pipe.sample(X.iloc[0], 5).columns.tolist() == ["mean", "sd"]
    with pytest.raises(ValueError, match="prior has 2 parameters, theta has 1"):
        make_pipeline(StandardScaler(), make()).fit(THETA[["mean"]], X)


def test_in_a_regressor() -> None:
    regressor = PosteriorRegressor(make(), n_samples=50, random_state=1)
    again = clone(regressor).fit(X, THETA)
    np.testing.assert_array_equal(regressor.fit(X, THETA).predict(X[:4]), again.predict(X[:4]))
    assert len({member.random_state for member in again.estimator_.estimators_}) == K


def test_displays_show_it(fitted: Ensemble) -> None:
    assert len(LossDisplay.from_estimator(fitted).best_epoch_) == K
    PosteriorDisplay.from_estimator(fitted, X.iloc[0])


# Errors.


@pytest.mark.parametrize(
    ("parameters", "error", "match"),
    [
        ({"n_estimators": 0}, ValueError, r"'n_estimators'.*int in the range \[1, inf\). Got 0"),
        ({"n_estimators": 2.5}, ValueError, "'n_estimators'.*Got 2.5"),
        ({"n_jobs": 0}, ValueError, "'n_jobs'.*Got 0"),
        ({"n_jobs": "all"}, ValueError, "'n_jobs'.*Got 'all'"),
        ({"verbose": "yes"}, ValueError, "'verbose'.*Got 'yes'"),
        ({"random_state": "one"}, ValueError, "random_state must be.*got 'one'"),
        ({"estimator": LinearRegression()}, ValueError, "'estimator'.*Got LinearRegression"),
        ({"estimator": "npe"}, ValueError, "'estimator'.*Got 'npe'"),
        ({"estimator": NPE}, TypeError, r"estimator must be .*the class NPE: call it"),
        (
            {"estimator": make_pipeline(StandardScaler(), NPE())},
            TypeError,
            r"(?s)estimator must be .*got Pipeline.*make_pipeline\(StandardScaler\(\), Ensemble",
        ),
        ({"estimator__lr": -1.0}, ValueError, "'lr' parameter of NPE.*Got -1.0"),
    ],
)
def test_bad_parameters(parameters: dict, error: type, match: str) -> None:
    ensemble = make(**parameters)
    with pytest.raises(error, match=match):
        ensemble.fit(THETA, X)
    with pytest.raises(NotFittedError, match="Ensemble"):
        ensemble.sample(X.iloc[0])


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_the_error_of_a_member_surfaces(n_jobs: int | None) -> None:
    ensemble = make(estimator__lr=1e10, estimator__max_epochs=10, n_jobs=n_jobs)
    with pytest.raises(FloatingPointError, match="loss became"):
        ensemble.fit(THETA, X)
    with pytest.raises(NotFittedError):
        ensemble.sample(X.iloc[0])


class CtrlC(Callback):
    """Press Ctrl-C."""

    def on_epoch_end(self, net: object, **_: object) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("backend", ["sequential", "threading"])
def test_ctrl_c_raises(backend: str) -> None:
    ensemble = make(estimator__callbacks=[CtrlC()])
    with joblib.parallel_config(backend, n_jobs=2), pytest.raises(KeyboardInterrupt):
        ensemble.fit(THETA, X)
    with pytest.raises(NotFittedError):
        ensemble.sample(X.iloc[0])


def test_a_failed_fit_forgets_the_fit_before() -> None:
    ensemble = make(n_estimators=1).fit(THETA, X)
    with pytest.raises(ValueError, match="target y is None"):
        ensemble.fit(THETA, None)
    ensemble.set_params(estimator__flow="nsff")
    with pytest.raises(ValueError, match="got 'nsff'"):
        ensemble.fit(THETA, X)
    with pytest.raises(NotFittedError):
        ensemble.sample(X.iloc[0])


@pytest.mark.parametrize(("verbose", "shown"), [(0, []), (1, [f"{K}/{K}"])])
def test_progress_is_shown_when_asked_for(
    capsys: pytest.CaptureFixture, verbose: int, shown: list[str]
) -> None:
    make(verbose=verbose).fit(THETA, X)
    sys.stderr.flush()
    assert re.findall(rf"fit: 100%.*?({K}/{K})", capsys.readouterr().err)[-1:] == shown


# Ratios: the ensemble is the prior times the mean ratio, with all that a ratio estimator has.


@pytest.fixture(scope="module")
def ratios() -> Ensemble:
    """Fit an ensemble of ratio estimators."""
    rng = np.random.default_rng(0)
    theta = rng.standard_normal((2_000, 1))
    nre = NRE([stats.norm()], hidden_features=(32,), max_epochs=8)
    ensemble = Ensemble(nre, n_estimators=3, random_state=0)
    return ensemble.fit(theta, theta + rng.standard_normal((2_000, 1)))


def test_ratios_are_the_mean_of_the_members(ratios: Ensemble) -> None:
    theta, x = np.random.default_rng(1).normal(size=(2, 50, 1))
    each = [member.predict_ratio(theta, x) for member in ratios.estimators_]
    np.testing.assert_allclose(ratios.predict_ratio(theta, x), np.mean(each, axis=0), rtol=1e-6)
    expected = stats.norm.logpdf(theta[:, 0]) + ratios.predict_log_ratio(theta, x)
    np.testing.assert_allclose(ratios.log_prob(theta, x), expected, rtol=1e-6, atol=1e-6)


def test_trials_add_up_to_the_exact_posterior(ratios: Ensemble) -> None:
    """N(T mean / (T + 1), 1 / (T + 1)) for T trials; learnt to a third of its deviation."""
    trials = np.random.default_rng(2).normal(0.5, 1, size=(20, 1))
    mean, sd = 20 * trials.mean() / 21, 21**-0.5
    draws = ratios.sample(trials, 2_000, iid=True)
    assert abs(draws.mean() - mean) < sd / 3 + 5 * sd / np.sqrt(500)
    assert 0.7 < draws.std() / sd < 1.4
    assert ratios.sample_chains(trials, 500, iid=True).ndim == 3


def test_it_scores_as_a_ratio_estimator_does(ratios: Ensemble) -> None:
    theta = np.random.default_rng(3).normal(size=(500, 1))
    x = theta + np.random.default_rng(4).normal(size=(500, 1))
    score = ratios.score(theta, x)
    assert -np.log(2) < score < 0
    assert score > np.mean([member.score(theta, x) for member in ratios.estimators_]) - 0.01


def test_what_has_no_ratios_has_no_such_methods(fitted: Ensemble) -> None:
    for name in ("predict_ratio", "predict_log_ratio", "sample_chains"):
        assert not hasattr(fitted, name)
        assert hasattr(Ensemble(NRE()), name)


def test_trials_of_a_density_are_refused_and_the_way_out_is_named(fitted: Ensemble) -> None:
    for ask in (fitted.sample, fitted.summary, fitted.map):
        with pytest.raises(ValueError, match=r"iid=True .* NRE.*DeepSet"):
            ask(X.iloc[:3], iid=True)
    with pytest.raises(TypeError, match="iid must be True or False, got 'yes'"):
        fitted.sample(X.iloc[0], iid="yes")


def test_draws_that_are_independent_are_reported_so(fitted: Ensemble) -> None:
    _, report = fitted.sample(X.iloc[:2], 50, return_report=True)
    assert report["r_hat"].isna().all()
    assert (report["ess"] == 50).all()
