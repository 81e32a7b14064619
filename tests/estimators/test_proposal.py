"""Draws by importance from another estimator's posterior: they are of prior times ratio."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline as sklearn_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from sksbi import NPE, NRE, CalibratedPosterior, ClassifierRatio, Ensemble
from sksbi.exceptions import SamplingWarning
from sksbi.pipeline import make_pipeline
from sksbi.samplers import ImportanceResampling

PRIOR = {"a": stats.norm(0, 1), "b": stats.norm(0, 1)}
NOISE = np.array([[0.25, 0.15], [0.15, 0.25]])
COLUMNS = ["u", "v"]
TINY = {"transforms": 1, "hidden_features": (16,), "max_epochs": 10, "random_state": 0}


def simulated(n: int, seed: int, noise: float = 1.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw theta ~ N(0, 1) and x ~ N(theta, noise^2 NOISE)."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(n, 2))
    x = theta + noise * rng.multivariate_normal([0, 0], NOISE, n)
    return pd.DataFrame(theta, columns=list(PRIOR)), pd.DataFrame(x, columns=COLUMNS)


def exact(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give mean and covariance of the posterior given trials x (T, 2)."""
    covariance = np.linalg.inv(np.eye(2) + len(x) * np.linalg.inv(NOISE))
    return covariance @ np.linalg.inv(NOISE) @ x.sum(axis=0), covariance


class Exact(ClassifierMixin, BaseEstimator):
    """A classifier that knows the ratio p(x | theta) / p(x)."""

    def fit(self, X: Any, y: Any) -> Exact:
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> np.ndarray:
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        theta, x = np.split(np.asarray(X), 2, axis=1)
        log_ratio = stats.multivariate_normal([0, 0], NOISE).logpdf(x - theta)
        log_ratio = log_ratio - stats.multivariate_normal([0, 0], NOISE + np.eye(2)).logpdf(x)
        return np.column_stack([expit(-log_ratio), expit(log_ratio)])


PAIRS = simulated(5_000, 0)
OBSERVED = simulated(6, 1)[1]


@cache
def fitted(n: int, noise: float = 1.0) -> NPE:
    """Fit a density to a few simulations, of too much or too little noise."""
    return NPE(PRIOR, **TINY).fit(*simulated(n, 2, noise))


@cache
def of_three_trials() -> NPE:
    """Fit a density to three trials as one x."""
    rng = np.random.default_rng(3)
    theta = rng.normal(size=(1_000, 2))
    x = theta[:, None] + rng.multivariate_normal([0, 0], NOISE, (1_000, 3))
    return NPE(PRIOR, **TINY).fit(pd.DataFrame(theta, columns=list(PRIOR)), x)


def exact_ratio(proposal: Any, n_candidates: int | None = None) -> ClassifierRatio:
    """Make an estimator whose ratio is exact, and which draws from a proposal."""
    sampler = ImportanceResampling(n_candidates, proposal=proposal)
    ratio = ClassifierRatio(Exact(), PRIOR, calibration=None, sampler=sampler, random_state=0)
    return ratio.fit(*PAIRS)


def check_draws(
    draws: pd.DataFrame, report: pd.DataFrame, x: np.ndarray, mean_and_covariance: tuple
) -> None:
    """Hold draws against a normal, by standard errors from what they are worth."""
    mean, covariance = mean_and_covariance
    y = np.linalg.solve(np.linalg.cholesky(covariance), (draws.to_numpy() - mean).T).T
    error = np.sqrt(1 / report["ess"].to_numpy() + 1 / len(draws))
    assert (np.abs(y.mean(axis=0)) < 4.5 * error).all()
    assert (np.abs(y.std(axis=0) - 1) < 4.5 * error).all()
    assert abs(np.mean(y[:, 0] * y[:, 1])) < 4.5 * error.max()


PROPOSALS: dict[str, tuple[int, float]] = {
    "of few simulations": (60, 1.0),
    "of many": (2_000, 1.0),
    "too narrow": (2_000, 0.5),
    "too wide": (2_000, 2.0),
}


@pytest.mark.parametrize(("n", "noise"), PROPOSALS.values(), ids=PROPOSALS)
def test_draws_are_of_the_posterior_whatever_the_proposal(n: int, noise: float) -> None:
    ratio = exact_ratio(FrozenEstimator(fitted(n, noise)))
    draws, report = ratio.sample(OBSERVED, 2_000, return_report=True)
    assert report["ess"].min() > 1_000
    for i, x in enumerate(OBSERVED.to_numpy()):
        check_draws(draws.loc[i], report.loc[i], x, exact(x[None]))


def test_proposals_are_off_where_draws_are_not() -> None:
    """The density fitted to half of the noise is too narrow: this is what weights make up for."""
    x = OBSERVED.iloc[0]
    sd = np.sqrt(np.diag(exact(x.to_numpy()[None])[1]))
    narrow = fitted(2_000, 0.5)
    assert (narrow.sample(x, 2_000).std() / sd < 0.85).all()
    ratio = exact_ratio(FrozenEstimator(narrow))
    assert (ratio.sample(x, 2_000).std() / sd).to_numpy() == pytest.approx(1, abs=0.08)


def test_draws_are_those_of_chains() -> None:
    npe = fitted(60)
    nre = NRE(PRIOR, hidden_features=(16,), max_epochs=10, random_state=0)
    nre.fit(*simulated(1_500, 0))
    chains, told = nre.sample(OBSERVED, 2_000, return_report=True)
    nre.set_params(sampler=ImportanceResampling(proposal=FrozenEstimator(npe)))
    draws, report = nre.sample(OBSERVED, 2_000, return_report=True)
    scale = chains.groupby("observation", sort=False).std()
    for moment in (1, 2):
        ours, theirs = (
            (((table - table.mean()) if moment == 2 else table) ** moment)
            .groupby("observation", sort=False)
            .mean()
            for table in (draws, chains)
        )
        worth = (2 / report["ess"] + 1 / told["ess"]).unstack()
        error = np.sqrt(moment * worth) * scale**moment * (4 if moment == 2 else 1)
        assert (np.abs(ours - theirs).to_numpy() < 4.5 * error.to_numpy()).all()
    np.testing.assert_allclose(nre.map(OBSERVED), clone_of_chains(nre).map(OBSERVED), atol=1e-3)


def clone_of_chains(nre: NRE) -> NRE:
    """Copy a fitted estimator, with chains as its sampler."""
    return pickle.loads(pickle.dumps(nre)).set_params(sampler="auto")


def test_clones_pickles_and_seeds_keep_the_proposal() -> None:
    ratio = exact_ratio(FrozenEstimator(fitted(60)))
    draws = ratio.sample(OBSERVED, 50)
    pd.testing.assert_frame_equal(ratio.sample(OBSERVED, 50), draws)
    pd.testing.assert_frame_equal(clone(ratio).fit(*PAIRS).sample(OBSERVED, 50), draws)
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(ratio)).sample(OBSERVED, 50), draws)
    other = ratio.sample(OBSERVED, 50, random_state=5)
    assert not np.isin(other, draws).any()
    ratio.set_params(sampler__n_candidates=40)
    with pytest.raises(ValueError, match="n_candidates must be at least n_samples = 50, got 40"):
        ratio.sample(OBSERVED, 50)


def test_a_proposal_that_is_not_frozen_loses_its_fit_by_clone() -> None:
    ratio = exact_ratio(fitted(60))
    assert ratio.sample(OBSERVED.iloc[0], 50).shape == (50, 2)
    with pytest.raises(NotFittedError, match=r"proposal=FrozenEstimator\(fitted\)"):
        clone(ratio).fit(*PAIRS).sample(OBSERVED.iloc[0], 50)


@cache
def forms() -> dict[str, BaseEstimator]:
    """Fit proposals of every form to the same simulations."""
    theta, x = simulated(400, 2)
    words = make_column_transformer((StandardScaler(), ["v"]), ("passthrough", ["u"]))
    return {
        "arrays": NPE(PRIOR, **TINY).fit(theta.to_numpy(), x.to_numpy()),
        "no prior": NPE(**TINY).fit(theta, x),
        "ensemble": Ensemble(NPE(PRIOR, **TINY), n_estimators=2, random_state=0).fit(theta, x),
        "calibrated": CalibratedPosterior(NPE(PRIOR, **TINY), n_samples=20).fit(theta, x),
        "columns by name": make_pipeline(words, NPE(PRIOR, **TINY)).fit(theta, x),
        "pipeline of arrays": make_pipeline(StandardScaler(), NPE(PRIOR, **TINY)).fit(
            theta, x.to_numpy()
        ),
        "frozen twice": FrozenEstimator(NPE(PRIOR, **TINY).fit(theta, x)),
    }


@pytest.mark.parametrize("form", sorted(forms()))
def test_every_form_of_proposal_is_asked_at_the_observations(form: str) -> None:
    ratio = exact_ratio(FrozenEstimator(forms()[form]))
    draws, report = ratio.sample(OBSERVED, 1_000, return_report=True)
    assert report["ess"].min() > 500
    for i, x in enumerate(OBSERVED.to_numpy()):
        check_draws(draws.loc[i], report.loc[i], x, exact(x[None]))


def test_meta_estimators_of_ratios_draw_from_the_proposal() -> None:
    """In the prior two in a hundred candidates count, so 1,000 were worth about 50."""
    sampler = ImportanceResampling(1_000, proposal=FrozenEstimator(fitted(2_000)))
    ratio = ClassifierRatio(Exact(), PRIOR, calibration=None, sampler=sampler)
    calibrated = CalibratedPosterior(ratio, n_samples=20, random_state=0)
    theta, x = PAIRS
    for meta in (Ensemble(ratio, n_estimators=2, random_state=0), calibrated):
        meta.fit(theta[:1_500], x[:1_500])
        draws, report = meta.sample(OBSERVED, 400, return_report=True)
        assert (report["ess"] == 400).all()
        for i, x_i in enumerate(OBSERVED.to_numpy()):
            check_draws(draws.loc[i], report.loc[i], x_i, exact(x_i[None]))


def test_words_in_a_table_reach_a_pipeline_as_words() -> None:
    theta, x = simulated(500, 2)
    x["site"] = pd.Categorical(np.where(theta["a"] > 0, "north", "south"))
    asked: list[pd.DataFrame] = []

    def watch(table: pd.DataFrame) -> pd.DataFrame:
        asked.append(table)
        return table

    columns = make_column_transformer((OneHotEncoder(), ["site"]), remainder="passthrough")
    npe = make_pipeline(FunctionTransformer(watch), columns, NPE(PRIOR, **TINY)).fit(theta, x)
    sampler = ImportanceResampling(proposal=FrozenEstimator(npe))
    classifier = sklearn_pipeline(clone(columns), LogisticRegression())
    ratio = ClassifierRatio(classifier, PRIOR, sampler=sampler, random_state=0).fit(theta, x)
    asked.clear()
    ratio.sample(x.iloc[4:6], 10)
    pd.testing.assert_frame_equal(asked[0], x.iloc[4:6].reset_index(drop=True))


@pytest.mark.parametrize("flat", [False, True])
def test_trials_are_drawn_from_a_density_of_as_many_trials(flat: bool) -> None:
    rng = np.random.default_rng(4)
    trials = rng.normal(size=(3, 1, 2)) + rng.multivariate_normal([0, 0], NOISE, (3, 3))
    npe = of_three_trials()
    if flat:
        theta = rng.normal(size=(1_000, 2))
        x = theta[:, None] + rng.multivariate_normal([0, 0], NOISE, (1_000, 3))
        npe = NPE(PRIOR, **TINY).fit(theta, x.reshape(-1, 6))
    ratio = exact_ratio(FrozenEstimator(npe))
    draws, report = ratio.sample(trials, 1_000, iid=True, return_report=True)
    for i, x in enumerate(trials):
        check_draws(draws.loc[i], report.loc[i], x, exact(x))


def test_other_numbers_of_trials_are_refused() -> None:
    ratio = exact_ratio(FrozenEstimator(of_three_trials()))
    for x, iid, got in ((OBSERVED[:4].to_numpy(), True, "4 trials of "), (OBSERVED[:1], False, "")):
        message = (
            rf"fitted to x of shape \(3, 2\), and cannot be asked about {got}x of shape \(2,\)"
        )
        with pytest.raises(ValueError, match=message):
            ratio.sample(x, 10, iid=iid)


def test_at_the_end_of_a_pipeline_x_is_what_the_steps_give() -> None:
    """A proposal that was fitted to what comes out of the steps, and one fitted to raw x."""
    theta, x = simulated(500, 2)
    scaled = StandardScaler().fit(x).transform(x)
    npe = NPE(PRIOR, **TINY).fit(theta, scaled)
    sampler = ImportanceResampling(proposal=FrozenEstimator(npe))
    nre = NRE(PRIOR, sampler=sampler, hidden_features=(16,), max_epochs=5, random_state=0)
    pipe = make_pipeline(StandardScaler(), nre).fit(theta, x)
    draws = pipe.sample(x.iloc[0], 100)
    pd.testing.assert_frame_equal(draws, pipe[-1].sample(scaled[0], 100))
    sums = make_column_transformer((StandardScaler(), ["u"]))
    with pytest.raises(ValueError, match=r"of shape \(2,\), .* x of shape \(1,\).*end"):
        make_pipeline(sums, nre).fit(theta, x).sample(x.iloc[0], 10)


UNFIT: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "class": (lambda: NPE, TypeError, "proposal must be an estimator, got the class NPE"),
    "text": (lambda: "npe", ValueError, "'proposal' parameter of ImportanceResampling"),
    "search": (lambda: GridSearchCV(NPE(PRIOR), {}), ValueError, "'proposal' parameter"),
    "unfitted": (lambda: FrozenEstimator(NPE(PRIOR)), NotFittedError, "got NPE without a fit"),
    "unfitted pipeline": (
        lambda: make_pipeline(StandardScaler(), NPE(PRIOR)),
        NotFittedError,
        "got NPE without a fit",
    ),
    "ratio": (lambda: NRE(PRIOR), TypeError, "got NRE, which estimates a ratio"),
    "ensemble of ratios": (
        lambda: FrozenEstimator(Ensemble(NRE(PRIOR))),
        TypeError,
        "got Ensemble, which estimates a ratio",
    ),
    "one parameter": (
        lambda: NPE({"a": stats.norm()}, **TINY).fit(PAIRS[0][["a"]][:99], PAIRS[1][:99]),
        ValueError,
        "must have the 2 parameters of the prior, got one fitted to 1",
    ),
    "other names": (
        lambda: NPE(**TINY).fit(PAIRS[0][["b", "a"]][:99], PAIRS[1][:99]),
        ValueError,
        r"parameters \['a', 'b'\], in this order, got one fitted to \['b', 'a'\]",
    ),
    "narrower prior": (
        lambda: NPE([stats.uniform(-1, 2)] * 2, **TINY).fit(
            np.random.default_rng(0).uniform(-1, 1, (99, 2)), PAIRS[1][:99]
        ),
        ValueError,
        "got one that is zero at .* of 2000 draws",
    ),
    "other columns": (
        lambda: NPE(PRIOR, **TINY).fit(PAIRS[0][:99], PAIRS[1][["v", "u"]][:99]),
        ValueError,
        "proposal cannot be asked about these observations: x: The feature names",
    ),
}


@pytest.mark.parametrize(("make", "kind", "message"), UNFIT.values(), ids=UNFIT)
def test_what_cannot_propose_is_refused(
    make: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few simulations
        proposal = make()
    with pytest.raises(kind, match=message):
        exact_ratio(proposal).sample(OBSERVED.iloc[0], 10)


def test_densities_and_ratios_do_not_ask_the_proposal() -> None:
    ratio = exact_ratio(FrozenEstimator(NPE(PRIOR)))
    theta, x = PAIRS
    expected = [
        stats.multivariate_normal(*exact(one[None])).logpdf(t)
        for t, one in zip(theta.to_numpy()[:20], x.to_numpy()[:20], strict=True)
    ]
    np.testing.assert_allclose(ratio.log_prob(theta[:20], x[:20]), expected, atol=1e-6)


def test_another_prior_is_warned_of_and_allowed_for() -> None:
    wider = NPE({"a": stats.norm(0, 2), "b": stats.norm(0, 2)}, **TINY)
    rng = np.random.default_rng(0)
    theta = rng.normal(0, 2, (2_000, 2))
    x = theta + rng.multivariate_normal([0, 0], NOISE, 2_000)
    ratio = exact_ratio(FrozenEstimator(wider.fit(theta, x)))
    with pytest.warns(UserWarning, match="proposal was fitted under another prior"):
        draws, report = ratio.sample(OBSERVED.iloc[0], 2_000, return_report=True)
    x_0 = OBSERVED.to_numpy()[0]
    check_draws(draws, report, x_0, exact(x_0[None]))


def test_a_proposal_far_off_is_named_in_the_warning() -> None:
    """It was fitted to x of the other sign, and little noise: all of its draws lie elsewhere."""
    theta, x = simulated(1_000, 2, 0.2)
    npe = NPE(PRIOR, **TINY).fit(theta, -x)
    ratio = exact_ratio(FrozenEstimator(npe), 1_000)
    with pytest.warns(SamplingWarning, match="posterior of the sampler's proposal lies beside"):
        ratio.sample([2.0, 2.0], 1_000)
