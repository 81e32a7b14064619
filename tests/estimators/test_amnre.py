"""AMNRE and its marginals: against exact ratios of a linear Gaussian model, and as estimators."""

import pickle
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import StandardScaler

from sksbi import AMNPE, AMNRE, Ensemble
from sksbi.inspection import PosteriorDisplay, RatioDisplay
from sksbi.pipeline import make_pipeline
from sksbi.samplers import ImportanceResampling

NAMES = ["a", "b", "c"]
COVARIANCE = np.array([[1, 0.6, 0], [0.6, 1, -0.3], [0, -0.3, 1]])
MATRIX = np.array([[1, 0.5, 0], [0, 1, -1], [1, 0, 1], [0, 0.5, 0.5]])
POSTERIOR = np.linalg.inv(np.linalg.inv(COVARIANCE) + MATRIX.T @ MATRIX)
GAIN = POSTERIOR @ MATRIX.T
PRIOR = stats.multivariate_normal(np.zeros(3), COVARIANCE)
SUBSETS = [list(s) for k in range(1, 4) for s in combinations(range(3), k)]
TINY = {"hidden_features": (16,), "max_epochs": 3}


def linear(n: int, seed: int) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Simulate the linear model: its posterior is normal, with means GAIN x."""
    rng = np.random.default_rng(seed)
    theta = rng.multivariate_normal(np.zeros(3), COVARIANCE, n)
    return pd.DataFrame(theta, columns=NAMES), theta @ MATRIX.T + rng.normal(size=(n, 4))


THETA, X = linear(2_000, seed=1)


@pytest.fixture(scope="module")
def amnre() -> AMNRE:
    """Fit to the linear model."""
    options = {"hidden_features": (32, 32), "max_epochs": 30, "batch_size": 100}
    return AMNRE(PRIOR, **options, random_state=0).fit(*linear(3_000, seed=0))


def exact_log_ratio(
    theta: NDArray[np.float64], x: NDArray[np.float64], subset: list[int]
) -> object:
    """Compute the log-ratio of some parameters."""
    parts = np.ix_(subset, subset)
    mean = (x @ GAIN.T)[:, subset]
    posterior = stats.multivariate_normal(np.zeros(len(subset)), POSTERIOR[parts])
    prior = stats.multivariate_normal(np.zeros(len(subset)), COVARIANCE[parts])
    return posterior.logpdf(theta[:, subset] - mean) - prior.logpdf(theta[:, subset])


@pytest.mark.parametrize("subset", SUBSETS, ids=lambda s: "".join(NAMES[i] for i in s))
def test_every_ratio_is_that_of_the_exact_marginals(amnre: AMNRE, subset: list[int]) -> None:
    """
    Log-ratios of the pairs, and posterior means and deviations of draws.

    The network is off by about a tenth, and draws are worth some hundreds or more.
    """
    marginal, names = amnre.marginal(subset), [NAMES[i] for i in subset]
    exact = exact_log_ratio(THETA.to_numpy(), X, subset)
    got = marginal.predict_log_ratio(THETA[names], X)
    assert np.sqrt(np.mean((got - exact) ** 2)) < 0.3
    assert np.corrcoef(got, exact)[0, 1] > 0.97
    np.testing.assert_allclose(marginal.predict_ratio(THETA[names], X), np.exp(got))
    prior = stats.multivariate_normal(np.zeros(len(subset)), COVARIANCE[np.ix_(subset, subset)])
    log_p = marginal.log_prob(THETA[names], X)
    np.testing.assert_allclose(log_p, got + prior.logpdf(THETA[names]), rtol=1e-6, atol=1e-6)
    draws = marginal.sample(X[:2], 2_000, random_state=0).to_numpy().reshape(2, 2_000, -1)
    sd = np.sqrt(np.diag(POSTERIOR))[subset]
    for one, x in zip(draws, X, strict=False):
        assert (abs(one.mean(axis=0) - (GAIN @ x)[subset]) < 0.35 * sd).all()
        np.testing.assert_allclose(one.std(axis=0), sd, rtol=0.2)


def test_without_a_marginal_it_answers_for_all(amnre: AMNRE) -> None:
    whole = amnre.marginal(NAMES)
    for ask in ("predict_log_ratio", "log_prob"):
        np.testing.assert_allclose(
            getattr(amnre, ask)(THETA, X), getattr(whole, ask)(THETA, X), atol=1e-4
        )
    assert amnre.score(THETA, X) == pytest.approx(whole.score(THETA, X), abs=1e-5)


def test_the_score_of_a_marginal_is_near_that_of_the_exact_ratio(amnre: AMNRE) -> None:
    """A gap of a cross-entropy is about an eighth of the squared error of log-ratios."""
    for subset in ([0], [2, 1]):
        names = [NAMES[i] for i in subset]
        one = amnre.marginal(subset)
        order = np.random.default_rng(5).permutation(len(THETA))
        joint = exact_log_ratio(THETA.to_numpy(), X, subset)
        other = exact_log_ratio(THETA.to_numpy()[order], X, subset)
        losses = np.logaddexp(0, -joint) + np.logaddexp(0, other)
        error = 5 * losses.std() / np.sqrt(len(losses))
        assert one.score(THETA[names], X) == pytest.approx(-losses.mean() / 2, abs=0.02 + error)


def test_the_order_wanted_is_the_order_given(amnre: AMNRE) -> None:
    one, other = amnre.marginal(["c", "a"]), amnre.marginal([0, 2])
    np.testing.assert_allclose(
        one.predict_log_ratio(THETA[["c", "a"]], X),
        other.predict_log_ratio(THETA[["a", "c"]], X),
        atol=1e-4,
    )
    assert one.sample(X[0], 5, random_state=0).columns.tolist() == ["c", "a"]
    assert one.summary(X[0]).index.tolist() == one.map(X[0]).index.tolist() == ["c", "a"]
    sd = np.sqrt(np.diag(POSTERIOR))[[2, 0]]
    assert (abs(one.map(X[0]) - (GAIN @ X[0])[[2, 0]]) < 0.4 * sd).all()
    chains = one.sample_chains(X[0], 200, random_state=0)
    assert chains.shape[2] == 2


def test_a_marginal_is_fitted_and_stays_so(amnre: AMNRE) -> None:
    marginal = amnre.marginal(["c"])
    expected = marginal.predict_log_ratio(THETA[["c"]], X)
    for kept in (clone(marginal), marginal.fit(THETA, X), pickle.loads(pickle.dumps(marginal))):
        np.testing.assert_array_equal(kept.predict_log_ratio(THETA[["c"]], X), expected)
    display = PosteriorDisplay.from_estimator(marginal, X[0])
    assert [*next(iter(display.samples.values()))] == ["c"]
    RatioDisplay.from_estimator(marginal, THETA[["c"]], X)


def test_trials_are_of_all_parameters_alone(amnre: AMNRE) -> None:
    """Given some of the parameters, trials are not independent: their ratios do not multiply."""
    trials = X[:3]
    together = amnre.predict_log_ratio(THETA[:4], trials, iid=True)
    alone = sum(amnre.predict_log_ratio(THETA[:4], x) for x in trials)
    np.testing.assert_allclose(together, alone, atol=1e-4)
    marginal = amnre.marginal(["a", "b"])
    for ask in (
        lambda: marginal.sample(trials, 5, iid=True),
        lambda: marginal.log_prob(THETA[["a", "b"]][:4], trials, iid=True),
        lambda: marginal.predict_log_ratio(THETA[["a", "b"]][:4], trials, iid=True),
        lambda: marginal.map(trials, iid=True),
    ):
        with pytest.raises(ValueError, match="given some of the parameters alone, trials are not"):
            ask()


def test_failed_simulations_leave_the_whole(amnre: AMNRE) -> None:
    theta, x = linear(300, seed=2)
    x[theta["a"] > 1] = np.nan
    fitted = AMNRE(PRIOR, **TINY, random_state=0).fit(theta, x)
    assert fitted.sample(X[0], 3).shape == (3, 3)
    with pytest.raises(ValueError, match="where simulations have failed.*Take AMNPE"):
        fitted.marginal(["a"])


def test_without_a_prior_there_are_marginal_ratios() -> None:
    theta, x = linear(200, seed=2)
    marginal = AMNRE(**TINY, random_state=0).fit(theta, x).marginal(["b"])
    assert np.isfinite(marginal.predict_log_ratio(theta[["b"]], x)).all()
    assert np.isfinite(marginal.score(theta[["b"]], x))
    with pytest.raises(ValueError, match="sample needs the prior"):
        marginal.sample(x[0], 3)


BOUNDED = {"low": stats.uniform(0, 10), "rate": stats.loguniform(1e-3, 1)}


def test_draws_of_marginals_keep_to_the_support() -> None:
    rng = np.random.default_rng(0)
    theta = pd.DataFrame({k: p.rvs(400, random_state=rng) for k, p in BOUNDED.items()})
    x = np.column_stack([theta["low"], np.log(theta["rate"])]) + rng.normal(size=(400, 2))
    amnre = AMNRE(BOUNDED, sampler=ImportanceResampling(2_000), **TINY, random_state=0)
    pipe = make_pipeline(StandardScaler(), amnre).fit(theta, x)
    for name, low, high in (("low", 0, 10), ("rate", 1e-3, 1)):
        marginal = pipe.marginal([name])
        draws = marginal.sample(x[:3], 200, random_state=0)
        assert draws.columns.tolist() == [name]
        assert ((draws[name] > low) & (draws[name] < high)).all()
        assert np.isneginf(marginal.log_prob([[low - 1.0], [high + 1.0]], x[0])).all()
        expected = pipe[-1].marginal([name]).predict_ratio(theta[[name]], pipe[0].transform(x))
        np.testing.assert_array_equal(marginal.predict_ratio(theta[[name]], x), expected)


def test_listed_subsets_in_an_ensemble() -> None:
    theta, x = linear(200, seed=2)
    listed = AMNRE(PRIOR, masks=[["a"], ["c", "b"]], **TINY, random_state=0)
    ensemble = Ensemble(listed, n_estimators=2, random_state=0).fit(theta, x)
    expected = [e.marginal(["a"]).predict_log_ratio(theta[["a"]], x) for e in ensemble.estimators_]
    got = ensemble.marginal(["a"]).predict_log_ratio(theta[["a"]], x)
    np.testing.assert_allclose(got, np.logaddexp(*expected) - np.log(2), atol=1e-5)
    with pytest.raises(ValueError, match=r"got \['b'\]; learnt were \[\['a'\], \['b', 'c'\]"):
        ensemble.marginal(["b"])


def test_a_proposal_with_marginals_is_drawn_from(amnre: AMNRE) -> None:
    """Draws are worth at least a fifth of what as many independent ones are."""
    theta, x = linear(2_000, seed=3)
    near = AMNPE(PRIOR, transforms=2, max_epochs=3, random_state=0).fit(theta, x)
    proposing = clone(amnre).set_params(
        sampler=ImportanceResampling(4_000, proposal=FrozenEstimator(near)), max_epochs=20
    )
    marginal = proposing.fit(theta, x).marginal(["b", "a"])
    draws, report = marginal.sample(X[0], 1_000, return_report=True, random_state=0)
    sd = np.sqrt(np.diag(POSTERIOR))[[1, 0]]
    assert (abs(draws.mean() - (GAIN @ X[0])[[1, 0]]) < 0.35 * sd).all()
    assert marginal._posterior().proposal.estimator.parameter_names_ == ["b", "a"]
    assert (report["ess"] > 200).all()


def test_a_transformer_that_mixes_parameters_is_refused() -> None:
    with pytest.raises(ValueError, match="theta_transformer must act on every column.*PCA"):
        AMNRE(PRIOR, theta_transformer=PCA(), **TINY).fit(THETA[:50], X[:50])


def test_beyond_the_simulations_the_ratio_of_a_marginal_stays(amnre: AMNRE) -> None:
    """Each parameter stays at its own edge."""
    marginal = amnre.marginal(["c", "a"])
    far = pd.DataFrame({"c": [40.0, 1e6, 1.0, 1.0], "a": [0.5, 0.5, -30.0, -1e9]})
    log_ratio = marginal.predict_log_ratio(far, np.repeat(X[:1], 4, axis=0))
    np.testing.assert_allclose(log_ratio[::2], log_ratio[1::2], rtol=1e-6)
    assert abs(log_ratio[0] - log_ratio[2]) > 0.01
