"""AMNPE and its marginals: against a linear Gaussian model in closed form, and as estimators."""

import pickle
import re
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import cumulative_trapezoid, trapezoid
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline as make_steps
from sklearn.preprocessing import MinMaxScaler, PowerTransformer, StandardScaler

from sksbi import AMNPE, NPE, CalibratedPosterior, Ensemble, diagnose
from sksbi.inspection import CoverageDisplay, LossDisplay, PosteriorDisplay
from sksbi.pipeline import make_pipeline

NAMES = ["a", "b", "c", "d"]
COVARIANCE = 0.2 * np.eye(4) + np.array(
    [[1, 0.8, 0.3, 0], [0.8, 1, 0.5, 0.2], [0.3, 0.5, 1, -0.4], [0, 0.2, -0.4, 1]]
)
MATRIX = np.random.default_rng(0).normal(size=(6, 4))
POSTERIOR = np.linalg.inv(np.linalg.inv(COVARIANCE) + MATRIX.T @ MATRIX / 1.5)
GAIN = POSTERIOR @ MATRIX.T / 1.5
PRIOR = stats.multivariate_normal(np.zeros(4), COVARIANCE)
SUBSETS = [list(s) for k in range(1, 5) for s in combinations(range(4), k)]
TINY = {"transforms": 2, "hidden_features": (16,), "module__members": 2, "max_epochs": 3}


def linear(n: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Simulate the linear model: its posterior is normal, with means GAIN x."""
    rng = np.random.default_rng(seed)
    theta = rng.multivariate_normal(np.zeros(4), COVARIANCE, n)
    return theta, theta @ MATRIX.T + np.sqrt(1.5) * rng.normal(size=(n, 6))


THETA, X = linear(2_000, seed=1)


@pytest.fixture(scope="module")
def amnpe() -> AMNPE:
    """Fit to the linear model, on tables."""
    theta, x = linear(4_000, seed=0)
    columns = list("uvwxyz")
    return AMNPE(PRIOR, max_epochs=20, random_state=0).fit(
        pd.DataFrame(theta, columns=NAMES), pd.DataFrame(x, columns=columns)
    )


@pytest.mark.parametrize("subset", SUBSETS, ids=lambda s: "".join(NAMES[i] for i in s))
def test_every_marginal_is_that_of_the_exact_posterior(amnpe: AMNPE, subset: list[int]) -> None:
    """
    Densities, means and covariances; 4,000 draws.

    The divergence of one fit to so many simulations is some hundredths, as NPE's is (.015 of all
    four); means are then off by about the root of twice that in standard deviations.
    """
    marginal, names = amnpe.marginal(subset), [NAMES[i] for i in subset]
    covariance = POSTERIOR[np.ix_(subset, subset)]
    left = (THETA - X @ GAIN.T)[:, subset]
    exact = stats.multivariate_normal(np.zeros(len(subset)), covariance).logpdf(left)
    gap = exact - marginal.log_prob(pd.DataFrame(THETA[:, subset], columns=names), X)
    assert -5 * gap.std() / np.sqrt(len(gap)) < gap.mean() < 0.06
    draws = marginal.sample(X[:3], 4_000, random_state=0).to_numpy().reshape(3, 4_000, -1)
    for one, x in zip(draws, X, strict=False):
        z = (one - (GAIN @ x)[subset]) / np.sqrt(np.diag(covariance))
        assert (abs(z.mean(axis=0)) < 0.2 + 5 / np.sqrt(4_000)).all()
        correlations = covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
        np.testing.assert_allclose(np.cov(z.T), correlations.squeeze(), atol=0.25)


def test_without_a_marginal_it_answers_for_all(amnpe: AMNPE) -> None:
    theta = pd.DataFrame(THETA[:50], columns=NAMES)
    whole = amnpe.marginal(NAMES)
    np.testing.assert_allclose(
        amnpe.log_prob(theta, X[:50]), whole.log_prob(theta, X[:50]), atol=1e-4
    )
    draws = [one.sample(X[0], 20, random_state=0) for one in (amnpe, whole)]
    pd.testing.assert_frame_equal(*draws, rtol=1e-4, atol=1e-4)


def test_the_order_wanted_is_the_order_given(amnpe: AMNPE) -> None:
    one, other = amnpe.marginal(["d", "b"]), amnpe.marginal([1, 3])
    draws = one.sample(X[0], 50, random_state=0), other.sample(X[0], 50, random_state=0)
    assert [list(d.columns) for d in draws] == [["d", "b"], ["b", "d"]]
    np.testing.assert_allclose(draws[0][["b", "d"]], draws[1], atol=1e-5)
    assert one.summary(X[0]).index.tolist() == one.map(X[0]).index.tolist() == ["d", "b"]
    exact = (GAIN @ X[0])[[3, 1]]
    sd = np.sqrt(np.diag(POSTERIOR))[[3, 1]]
    assert (abs(one.map(X[0]) - exact) < 0.4 * sd).all()
    table = pd.DataFrame(THETA, columns=NAMES)
    np.testing.assert_allclose(
        one.score(table[["d", "b"]], X), other.score(table[["b", "d"]], X), rtol=1e-5
    )
    with pytest.raises(ValueError, match="theta.*'d'.*'b'"):
        one.score(table[["b", "d"]], X)


def test_a_marginal_is_fitted_and_stays_so(amnpe: AMNPE) -> None:
    marginal = amnpe.marginal(["c", "a"])
    expected = marginal.log_prob(THETA[:5, [2, 0]], X[:5])
    for kept in (clone(marginal), marginal.fit(THETA, X), pickle.loads(pickle.dumps(marginal))):
        np.testing.assert_array_equal(kept.log_prob(THETA[:5, [2, 0]], X[:5]), expected)
    frozen = FrozenEstimator(amnpe).marginal(["c", "a"])
    np.testing.assert_array_equal(frozen.log_prob(THETA[:5, [2, 0]], X[:5]), expected)
    assert not hasattr(marginal, "predict_ratio")
    assert not hasattr(marginal, "sample_chains")


def test_marginals_are_shown_and_diagnosed(amnpe: AMNPE) -> None:
    marginal = amnpe.marginal(["b", "c"])
    table = pd.DataFrame(THETA[:200], columns=NAMES)[["b", "c"]]
    found = diagnose(marginal, table, X[:200], n_samples=200, plot=False).table
    assert set(found.loc["ranks"].index) == {"b", "c"}
    assert (found.loc[["ranks", "z_score"], "verdict"] == "no deviation found").all()
    display = PosteriorDisplay.from_estimator(marginal, X[0])
    assert [*next(iter(display.samples.values()))] == ["b", "c"]
    CoverageDisplay.from_estimator(marginal, table, X[:200], random_state=0)
    LossDisplay.from_estimator(marginal)


@pytest.mark.parametrize(
    ("columns", "error", "match"),
    [
        (["a", "e"], ValueError, "columns must be parameters, got 'e'"),
        ([], ValueError, "columns must name at least one parameter"),
        (["a", 0], ValueError, "none twice"),
        ("a", TypeError, "put it in a list"),
        ([4], ValueError, "positions from 0 to 3, got 4"),
    ],
)
def test_wrong_parameters_are_refused(
    amnpe: AMNPE, columns: object, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        amnpe.marginal(columns)


@pytest.mark.parametrize(
    ("masks", "match"),
    [
        ("pairs", "'masks' parameter of AMNPE must be .*'pairs'"),
        (0.0, r"'masks' parameter of AMNPE must be .* Got 0.0"),
        (1.5, r"'masks' parameter of AMNPE must be .* Got 1.5"),
        (None, "'masks' parameter of AMNPE must be .* Got None"),
        ([["a", "e"]], r"masks\[0\]: columns must be parameters, got 'e'.*'a', 'b', 'c', 'd'"),
        ([["a"], []], r"masks\[1\]: columns must name at least one"),
        ([["a", "a"]], r"masks\[0\]: .*none twice"),
    ],
    ids=str,
)
def test_wrong_masks_are_refused(masks: object, match: str) -> None:
    theta = pd.DataFrame(THETA[:40], columns=NAMES)
    with pytest.raises(ValueError, match=match):
        AMNPE(masks=masks, **TINY).fit(theta, X[:40])


def test_subsets_that_were_not_learnt_are_refused_in_an_ensemble_too() -> None:
    theta = pd.DataFrame(THETA[:200], columns=NAMES)
    listed = AMNPE(PRIOR, masks=[["a"], ["d", "b"]], **TINY, random_state=0)
    ensemble = Ensemble(listed, n_estimators=2, random_state=0)
    for fitted in (listed.fit(theta, X[:200]), ensemble.fit(theta, X[:200])):
        draws = fitted.marginal(["d", "b"]).sample(X[0], 3)
        assert list(draws.columns) == ["d", "b"]
        assert fitted.sample(X[0], 3).shape == (3, 4)
        with pytest.raises(ValueError, match=r"got \['b'\]; learnt were \[\['a'\], \['b', 'd'\]"):
            fitted.marginal(["b"])
    expected = [e.marginal(["a"]).log_prob(THETA[:9, :1], X[:9]) for e in ensemble.estimators_]
    got = ensemble.marginal(["a"]).log_prob(THETA[:9, :1], X[:9])
    np.testing.assert_allclose(got, np.logaddexp(*expected) - np.log(2), atol=1e-5)


BOUNDED = {"low": stats.uniform(0, 10), "rate": stats.loguniform(1e-3, 1), "free": stats.norm(2, 3)}


def bounded(n: int) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Simulate from parameters with bounds, in no order of size."""
    rng = np.random.default_rng(0)
    theta = pd.DataFrame({k: p.rvs(n, random_state=rng) for k, p in BOUNDED.items()})
    x = np.column_stack([theta["low"], np.log(theta["rate"]), theta["free"] * theta["low"]])
    return theta, x + rng.normal(size=(n, 3))


@pytest.mark.parametrize(
    "transformer",
    [None, MinMaxScaler(), PowerTransformer(), make_steps(StandardScaler(), PowerTransformer())],
    ids=["none", "scaler", "power", "steps"],
)
def test_marginals_keep_to_the_support_and_integrate_to_one(transformer: object) -> None:
    theta, x = bounded(600)
    amnpe = AMNPE(BOUNDED, theta_transformer=transformer, **TINY | {"max_epochs": 6})
    amnpe.set_params(random_state=0).fit(theta, x)
    levels = stats.norm.cdf(np.linspace(-8, 8, 8_001))
    for name, low, high in (("low", 0, 10), ("rate", 1e-3, 1), ("free", -np.inf, np.inf)):
        marginal = amnpe.marginal([name])
        draws = marginal.sample(x[:2], 500, random_state=0)
        assert ((draws[name] > low) & (draws[name] < high)).all()
        line = BOUNDED[name].ppf(levels)
        outside = marginal.log_prob([[low - 1.0]], x[0]) if np.isfinite(low) else [-np.inf]
        density = np.exp(marginal.log_prob(line[:, None], x[0]))
        assert trapezoid(density, line) == pytest.approx(1, abs=5e-3)
        assert np.isneginf(outside).all()
        cdf = cumulative_trapezoid(density, line, initial=0)
        own = draws.xs(0, level=0)[name]
        assert stats.kstest(own, lambda t, c=cdf, s=line: np.interp(t, s, c)).pvalue > 1e-3


def test_marginals_of_two_bounded_parameters_integrate_to_one() -> None:
    theta, x = bounded(600)
    amnpe = AMNPE(BOUNDED, **TINY, random_state=0).fit(theta, x)
    z = (np.arange(300) + 0.5) / 300
    log_rate = np.log(1e-3) * (1 - z)
    grid = np.stack(np.meshgrid(np.exp(log_rate), 10 * z), axis=-1).reshape(-1, 2)
    log_q = amnpe.marginal(["rate", "low"]).log_prob(grid, x[0]) + np.log(grid[:, 0])
    mass = np.exp(log_q).sum() * (-np.log(1e-3) / 300) * (10 / 300)
    assert mass == pytest.approx(1, abs=0.01)


def test_maps_and_priors_that_mix_parameters_are_refused() -> None:
    theta, x = bounded(60)
    with pytest.raises(ValueError, match="theta_transformer must act on every column.*PCA"):
        AMNPE(BOUNDED, theta_transformer=make_steps(StandardScaler(), PCA()), **TINY).fit(theta, x)

    class Ordered:
        """Normal numbers in ascending order, by a map of their own."""

        def sample(self, n: int, random_state: int) -> NDArray[np.float64]:
            return np.sort(np.random.default_rng(random_state).normal(size=(n, 2)), axis=1)

        def log_prob(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
            inside = theta[:, 0] < theta[:, 1]
            return np.where(inside, np.log(2) + stats.norm.logpdf(theta).sum(axis=1), -np.inf)

        def to_unbounded(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.column_stack([theta[:, 0], np.log(theta[:, 1] - theta[:, 0])])

        def from_unbounded(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.column_stack([z[:, 0], z[:, 0] + np.exp(z[:, 1])])

        def log_abs_det_jacobian(
            self, theta: NDArray[np.float64], z: NDArray[np.float64]
        ) -> NDArray[np.float64]:
            return -z[:, 1]

    theta = Ordered().sample(60, 0)
    with pytest.raises(ValueError, match="prior must have a map .* every parameter by itself"):
        AMNPE(Ordered(), **TINY).fit(theta, theta)


class Tied:
    """Two numbers around a common one, without a marginal unless one is given."""

    support = (-50.0, 50.0)

    def sample(self, n: int, random_state: int) -> NDArray[np.float64]:
        rng = np.random.default_rng(random_state)
        return rng.normal(size=(n, 1)) + 0.5 * rng.normal(size=(n, 2))

    def log_prob(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        return stats.multivariate_normal(np.zeros(2), np.ones((2, 2)) + 0.25 * np.eye(2)).logpdf(
            theta
        )


class TiedWithMarginals(Tied):
    """The same, with marginals whose own map is another one."""

    def marginal(self, columns: list[int]) -> list:
        return [stats.truncnorm(-40, 40, 0, np.sqrt(1.25))] * len(columns)


def test_a_prior_without_marginals_is_heard_of_when_one_is_asked_for() -> None:
    theta = Tied().sample(200, 0)
    x = theta + 0.3 * np.random.default_rng(0).normal(size=(200, 2))
    amnpe = AMNPE(Tied(), **TINY, random_state=0).fit(theta, x)
    assert amnpe.sample(x[0], 5).shape == (5, 2)
    with pytest.raises(TypeError, match="marginal must have a density in closed form.*Tied"):
        amnpe.marginal([0])
    assert amnpe.marginal([0, 1]).sample(x[0], 5).shape == (5, 2)


def test_a_marginal_prior_with_a_map_of_its_own_does_not_change_the_density() -> None:
    theta = Tied().sample(300, 0)
    x = theta + 0.3 * np.random.default_rng(0).normal(size=(300, 2))
    amnpe = AMNPE(TiedWithMarginals(), **TINY | {"max_epochs": 8}, random_state=0).fit(theta, x)
    line = np.linspace(-50, 50, 100_001)
    one = amnpe.marginal([1])
    density = np.exp(one.log_prob(line[:, None], x[0]))
    assert trapezoid(density, line) == pytest.approx(1, abs=5e-3)
    both = amnpe.sample(x[:20], 500, random_state=0)[:, :, 1]
    alone = one.sample(x[:20], 500, random_state=0)[:, :, 0]
    assert (abs(both.mean(axis=1) - alone.mean(axis=1)) < 0.5 * both.std(axis=1)).all()


def test_behind_steps_and_in_searches() -> None:
    theta, x = bounded(200)
    pipe = make_pipeline(StandardScaler(), AMNPE(BOUNDED, **TINY, random_state=0)).fit(theta, x)
    marginal = pipe.marginal(["free", "low"])
    final = pipe[-1].marginal(["free", "low"])
    expected = final.log_prob(theta[["free", "low"]], pipe[0].transform(x))
    np.testing.assert_array_equal(marginal.log_prob(theta[["free", "low"]], x), expected)
    assert marginal.sample(x[0], 4).columns.tolist() == ["free", "low"]
    # Refitted to some of the rows, the scaler would spoil the marginal and what it was taken from.
    before = pipe.log_prob(theta, x)
    assert clone(marginal) is marginal
    assert marginal.fit(theta[["free", "low"]][:50], x[:50]) is marginal
    np.testing.assert_array_equal(marginal.log_prob(theta[["free", "low"]], x), expected)
    np.testing.assert_array_equal(pipe.log_prob(theta, x), before)
    search = GridSearchCV(
        AMNPE(BOUNDED, **TINY, random_state=0), {"masks": ["uniform", [["low"]]]}, cv=2
    ).fit(theta, x)
    assert len(search.cv_results_["params"]) == 2
    assert search.best_estimator_.marginal(["low"]).sample(x[0], 3).shape == (3, 1)


def test_others_have_no_marginals() -> None:
    theta, x = bounded(60)
    npe = NPE(BOUNDED, **TINY).fit(theta, x)
    assert not hasattr(npe, "marginal")
    assert not hasattr(AMNPE(BOUNDED), "marginal")
    reasons = {npe: "NPE has learnt has no marginals", AMNPE(BOUNDED): r"call AMNPE\.fit first"}
    for estimator, reason in reasons.items():
        with pytest.raises(AttributeError, match="marginal") as raised:
            estimator.marginal(["low"])
        assert re.search(reason, str(raised.value.__cause__))
    assert not hasattr(CalibratedPosterior(AMNPE(BOUNDED)), "marginal")


def test_a_warm_start_keeps_the_masks() -> None:
    theta, x = bounded(200)
    amnpe = AMNPE(BOUNDED, warm_start=True, **TINY, random_state=0).fit(theta, x)
    before = len(amnpe.history_)
    assert len(amnpe.fit(theta, x).history_) > before
    with pytest.raises(ValueError, match="masks was set to 'uniform' since; it was 'by_size'"):
        amnpe.set_params(masks="uniform").fit(theta, x)
