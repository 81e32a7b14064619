"""PosteriorRegressor is a scikit-learn regressor whose predictions are posterior means."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import stats
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.metrics import make_scorer, mean_absolute_error, r2_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sksbi.pipeline
from sksbi import NPE, NRE, Ensemble, PosteriorRegressor
from sksbi.exceptions import MisspecificationWarning, SamplingWarning
from sksbi.nn import ConditionalDensity
from sksbi.samplers import ImportanceResampling, MetropolisHastings

TINY = {
    "flow": "maf",
    "transforms": 2,
    "hidden_features": (16,),
    "max_epochs": 3,
    "lr": 1e-2,
    "random_state": 0,
}
NOISE = 0.5


def linear_gaussian(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Simulate theta ~ N(0, I) and two noisy looks at each: the posterior variance is 1 / 9."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(n, 2))
    return np.hstack([theta, theta]) + NOISE * rng.normal(size=(n, 4)), theta


X, Y = linear_gaussian(200, seed=0)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:, 0], Y, r"^X: Expected 2D array, got 1D array instead: array=.*reshape\(-1, 1\)"),
        (pd.Series(X[:, 0]), Y, r"^X: Expected a 2-dimensional"),
        (X, np.where(Y > 2, np.nan, Y), r"^y contains NaN in column \d, row \d+, and must be"),
        (X[1:], Y, r"^X and y must have one length, got \[199, 200\] rows"),
        (np.ma.masked_greater(X, 2), Y, r"^[xX] contains NaN in column \d, row \d+"),
    ],
)
def test_errors_name_their_argument(x: object, y: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"(?s){message}"):
        PosteriorRegressor(NPE(**TINY)).fit(x, y)


def test_tables_of_other_libraries_are_taken_by_name(tiny: PosteriorRegressor) -> None:
    x, y = pl.DataFrame(X, schema=list("abcd")), pl.DataFrame(Y, schema=["u", "v"])
    regressor = clone(tiny).fit(x, y)
    assert regressor.feature_names_in_.tolist() == list("abcd")
    np.testing.assert_array_equal(regressor.predict(x[:3]), tiny.predict(X[:3]))
    with pytest.raises(ValueError, match="(?s)^X: .*same order"):
        regressor.predict(x.select("b", "a", "c", "d"))


@pytest.fixture(scope="module")
def tiny() -> PosteriorRegressor:
    """Fit a little."""
    return PosteriorRegressor(NPE(**TINY), n_samples=100, random_state=0).fit(X, Y)


@pytest.fixture(scope="module")
def trained() -> PosteriorRegressor:
    """Fit until the closed form is met."""
    npe = NPE(**TINY | {"hidden_features": (32, 32), "max_epochs": 15})
    return PosteriorRegressor(npe, n_samples=200, random_state=0).fit(*linear_gaussian(2000, 1))


def test_r2_and_the_standard_deviation_come_close_to_the_closed_form(
    trained: PosteriorRegressor,
) -> None:
    """Of the variance 1, the posterior leaves 1 / 9: R2 is 8 / 9, but for 200 draws a mean."""
    x, theta = linear_gaussian(300, seed=2)
    mean, sd = trained.predict(x, return_std=True)
    assert trained.score(x, theta) == pytest.approx(8 / 9, abs=0.04)
    assert trained.score(x, theta) == r2_score(theta, mean)
    np.testing.assert_allclose(np.median(sd, axis=0), 1 / 3, rtol=0.15)
    exact = (x[:, :2] + x[:, 2:]) / (2 + NOISE**2)
    assert np.sqrt(np.mean((mean - exact) ** 2)) < 0.15 / 3 * 2


def test_predictions_are_means_of_the_inner_posterior(tiny: PosteriorRegressor) -> None:
    mean, sd = tiny.predict(X[:20], return_std=True)
    draws = tiny.estimator_.sample(X[:20], 4000, random_state=7)
    np.testing.assert_array_less(np.abs(mean - draws.mean(axis=1)), 5 * sd / np.sqrt(100))
    ratio = sd / draws.std(axis=1)
    np.testing.assert_array_less(np.abs(ratio - 1), 6 / np.sqrt(2 * 100))


def test_predictions_do_not_depend_on_the_call_or_on_other_rows(tiny: PosteriorRegressor) -> None:
    all_rows = tiny.predict(X[:30])
    np.testing.assert_array_equal(tiny.predict(X[:30]), all_rows)
    np.testing.assert_array_equal(tiny.predict(X[29::-1]), all_rows[::-1])
    np.testing.assert_array_equal(tiny.predict(X[11:12]), all_rows[11:12])
    np.testing.assert_array_equal(tiny.predict(X[[5, 5]]), all_rows[[5, 5]])


def test_the_seed_decides_everything(tiny: PosteriorRegressor) -> None:
    np.testing.assert_array_equal(clone(tiny).fit(X, Y).predict(X[:5]), tiny.predict(X[:5]))
    other = clone(tiny).set_params(random_state=1).fit(X, Y).predict(X[:5])
    assert not np.isclose(other, tiny.predict(X[:5])).any()
    unseeded = PosteriorRegressor(NPE(**TINY), n_samples=20).fit(X, Y)
    assert unseeded.estimator_.random_state == 0
    np.testing.assert_array_equal(unseeded.predict(X[:5]), unseeded.predict(X[:5]))
    nowhere = PosteriorRegressor(NPE(**TINY | {"random_state": None}), n_samples=20).fit(X, Y)
    np.testing.assert_array_equal(nowhere.predict(X[:5]), nowhere.predict(X[4::-1])[::-1])


@pytest.mark.parametrize("form", [np.asarray, list, pd.Series])
def test_a_column_of_y_gives_predictions_of_one_dimension(form: object) -> None:
    flat = PosteriorRegressor(NPE(**TINY), n_samples=20, random_state=0).fit(X, form(Y[:, 0]))
    wide = clone(flat).fit(X, Y[:, :1])
    mean, sd = flat.predict(X[:6], return_std=True)
    assert mean.shape == sd.shape == (6,)
    assert wide.predict(X[:6]).shape == (6, 1)
    np.testing.assert_array_equal(mean, wide.predict(X[:6])[:, 0])


def test_tables_give_the_numbers_of_arrays(tiny: PosteriorRegressor) -> None:
    x, y = pd.DataFrame(X, columns=list("abcd")), pd.DataFrame(Y, columns=["mass", "rate"])
    on_tables = clone(tiny).fit(x, y)
    np.testing.assert_array_equal(on_tables.predict(x[:5]), tiny.predict(X[:5]))
    assert list(on_tables.feature_names_in_) == list("abcd")
    assert list(on_tables.estimator_.feature_names_in_) == ["mass", "rate"]
    assert on_tables.score(x, y) == pytest.approx(tiny.score(X, Y), rel=1e-12)
    with pytest.raises(ValueError, match="feature names"):
        on_tables.predict(x[["b", "a", "c", "d"]])


def test_cross_val_predict_in_the_stock_pipeline_is_what_the_folds_predict() -> None:
    regressor = PosteriorRegressor(NPE(**TINY), n_samples=20, random_state=0)
    pipe = make_pipeline(StandardScaler(), PCA(2), regressor)
    folds = KFold(2, shuffle=True, random_state=0)
    predictions = cross_val_predict(pipe, X, Y, cv=folds)
    for train, test in folds.split(X):
        by_hand = clone(pipe).fit(X[train], Y[train]).predict(X[test])
        np.testing.assert_array_equal(predictions[test], by_hand)


def test_a_transformed_target_keeps_predictions_where_it_maps_them() -> None:
    positive = np.exp(Y[:, 0])
    regressor = PosteriorRegressor(NPE(**TINY), n_samples=20, random_state=0)
    target = TransformedTargetRegressor(regressor, func=np.log, inverse_func=np.exp)
    on_logarithms = clone(regressor).fit(X, np.log(positive))
    expected = np.exp(on_logarithms.predict(X[:9]))
    np.testing.assert_array_equal(target.fit(X, positive).predict(X[:9]), expected)


def test_scorers_and_searches_see_a_regressor() -> None:
    npe = NPE(**TINY | {"max_epochs": 8})
    regressor = PosteriorRegressor(npe, n_samples=20, random_state=0)
    scorer = make_scorer(mean_absolute_error, greater_is_better=False)
    search = GridSearchCV(regressor, {"estimator__lr": [1e-6, 2e-2]}, scoring=scorer, cv=2)
    search.fit(X, Y)
    useless, useful = search.cv_results_["mean_test_score"]
    assert useful > useless + 0.1
    assert search.best_estimator_.estimator_.lr == search.best_params_["estimator__lr"] == 2e-2
    refitted = clone(regressor).set_params(estimator__lr=2e-2).fit(X, Y)
    assert search.score(X, Y) == -mean_absolute_error(Y, refitted.predict(X))
    scores = cross_val_score(refitted, X, Y, cv=2, scoring=scorer)
    assert scores.mean() == pytest.approx(useful, rel=1e-12)


def test_weights_reach_the_estimator(tiny: PosteriorRegressor) -> None:
    weights = np.r_[np.ones(100), np.zeros(100)]
    weighted = clone(tiny).fit(X, Y, sample_weight=weights)
    half = clone(tiny).fit(X[:100], Y[:100])
    np.testing.assert_array_equal(weighted.predict(X[:5]), half.predict(X[:5]))


def test_around_our_pipeline(tiny: PosteriorRegressor) -> None:
    pipe = sksbi.pipeline.make_pipeline(PCA(2), NPE(**TINY))
    regressor = PosteriorRegressor(pipe, n_samples=20, random_state=0).fit(X, Y)
    again = clone(regressor).fit(X, Y)
    np.testing.assert_array_equal(regressor.predict(X[:4]), again.predict(X[:4]))
    other = clone(regressor).set_params(random_state=1).fit(X, Y)
    assert not np.isclose(other.predict(X[:4]), again.predict(X[:4])).any()
    assert pipe["npe"].random_state == 0


def test_the_estimator_of_the_user_is_not_fitted_or_changed() -> None:
    npe = NPE(**TINY)
    PosteriorRegressor(npe, n_samples=20, random_state=5).fit(X, Y)
    assert not hasattr(npe, "net_")
    assert npe.random_state == 0


def test_bad_input_is_named(tiny: PosteriorRegressor) -> None:
    with pytest.raises(ValueError, match="y is None: y is theta"):
        PosteriorRegressor().fit(X, None)
    with pytest.raises(ValueError, match="X has 3 features, but PosteriorRegressor is expecting 4"):
        tiny.predict(X[:, :3])
    with pytest.raises(ValueError, match="'n_samples' parameter.*Got 0"):
        PosteriorRegressor(n_samples=0).fit(X, Y)
    with pytest.raises(ValueError, match="'estimator' parameter.*Got LinearRegression"):
        PosteriorRegressor(LinearRegression()).fit(X, Y)
    with pytest.raises(ValueError, match=r"X and y must have one length, got \[\d+, \d+\] rows"):
        clone(tiny).fit(X, Y[:-1])
    with pytest.raises(NotFittedError, match="PosteriorRegressor"):
        clone(tiny).predict(X)


def far(rows: int) -> np.ndarray:
    return np.full((rows, 4), 1e3) + np.arange(rows)[:, None]


WITHIN = {"a": stats.norm(0, 1), "b": stats.uniform(-4, 8)}
FAMILIES = {
    "nsf": lambda: NPE(max_epochs=2, random_state=0),
    "maf": lambda: NPE(**TINY),
    "gmm": lambda: NPE(flow="gmm", max_epochs=2, random_state=0),
    "prior": lambda: NPE(WITHIN, **TINY),
    "Ensemble": lambda: Ensemble(NPE(**TINY), n_estimators=3),
    "Ensemble of nsf": lambda: Ensemble(NPE(max_epochs=2), n_estimators=2),
    "NRE": lambda: NRE(
        WITHIN, hidden_features=(8,), max_epochs=2, sampler=ImportanceResampling(500)
    ),
}


@pytest.mark.filterwarnings("ignore:theta's values of .* do not follow the prior")
@pytest.mark.parametrize("make", FAMILIES.values(), ids=FAMILIES)
def test_a_row_alone_is_predicted_as_among_others(make: Callable) -> None:
    """By the same noise: what differs is the rounding of matrix products, in float32."""
    y = Y.clip(-3.9, 3.9)
    regressor = PosteriorRegressor(make(), n_samples=50, random_state=0).fit(X, y)
    mean, sd = regressor.predict(X[:12], return_std=True)
    for i in (0, 5, 11):
        alone = regressor.predict(X[i : i + 1], return_std=True)
        np.testing.assert_allclose(mean[i], alone[0][0], rtol=0, atol=1e-4)
        np.testing.assert_allclose(sd[i], alone[1][0], rtol=0, atol=1e-4)
    np.testing.assert_allclose(regressor.predict(X[11::-1])[::-1], mean, rtol=0, atol=1e-4)
    if isinstance(regressor.estimator_, NPE | Ensemble):
        posterior = regressor.estimator_.sample(X[:12], 2000, random_state=1)
        error = posterior.std(axis=1) * np.sqrt(1 / 50 + 1 / 2000)
        np.testing.assert_array_less(np.abs(mean - posterior.mean(axis=1)), 5 * error)


def test_noise_is_drawn_once_for_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """As few calls of the network as batches: the memory is bounded, and the cost is not by row."""
    regressor = PosteriorRegressor(NPE(**TINY), n_samples=50, random_state=0).fit(X, Y)
    expected, calls = regressor.predict(X), []
    draw = ConditionalDensity.draw

    def counted(self: object, c: torch.Tensor, rows: torch.Tensor, *args: object) -> torch.Tensor:
        calls.append(len(rows))
        return draw(self, c, rows, *args)

    monkeypatch.setattr(ConditionalDensity, "draw", counted)
    regressor.predict(X)
    assert calls == [10_000]
    calls.clear()
    monkeypatch.setattr("sksbi.estimators.regressor._DRAWS_PER_BATCH", 3_000)
    np.testing.assert_allclose(regressor.predict(X), expected, rtol=0, atol=1e-4)
    assert calls == [3_000] * 3 + [1_000]


def test_redrawn_draws_do_not_depend_on_other_rows() -> None:
    """A prior that is zero in half of its box: draws there are made again."""
    rng = np.random.default_rng(0)
    theta = np.sort(rng.uniform(size=(300, 2)), axis=1)
    x = np.hstack([theta, theta]) + NOISE * rng.normal(size=(300, 4))
    prior = UniformTriangle()
    regressor = PosteriorRegressor(NPE(prior, **TINY), n_samples=200, random_state=0).fit(x, theta)
    mean = regressor.predict(x[:9])
    assert (mean[:, 0] < mean[:, 1]).all()
    for i in (0, 8):
        np.testing.assert_allclose(regressor.predict(x[i : i + 1])[0], mean[i], rtol=0, atol=1e-4)


class UniformTriangle:
    """Uniform on 0 < theta_0 < theta_1 < 1."""

    support = np.zeros(2), np.ones(2)

    def sample(self, n: int, random_state: object = None) -> np.ndarray:
        return np.sort(np.random.default_rng(random_state).uniform(size=(n, 2)), axis=1)

    def log_prob(self, theta: np.ndarray) -> np.ndarray:
        return np.where(theta[:, 0] < theta[:, 1], np.log(2), -np.inf)


@pytest.mark.filterwarnings("ignore:theta's values of .* do not follow the prior")
def test_rows_in_doubt_are_warned_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sksbi.estimators.regressor._DRAWS_PER_BATCH", 40)
    regressor = PosteriorRegressor(NPE(**TINY), n_samples=20, random_state=0).fit(X, Y)
    with pytest.warns(MisspecificationWarning, match="7 of 10 observations in x are far") as found:
        regressor.predict(np.vstack([X[:3], far(7)]))
    assert len(found) == 1
    chains = MetropolisHastings(n_chains=4, n_warmup=1, thin=1)
    nre = NRE(WITHIN, hidden_features=(8,), max_epochs=2, sampler=chains)
    regressor = PosteriorRegressor(nre, n_samples=20, random_state=0).fit(X, Y.clip(-3.9, 3.9))
    with pytest.warns(SamplingWarning, match=r"not to be trusted for \d+ of 6 ") as found:
        regressor.predict(X[:6])
    assert len(found) == 1


@pytest.mark.parametrize("n_samples", [np.uint8(40), np.int16(40)])
def test_narrow_integers_of_numpy_count_as_any(n_samples):
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(60, 1))
    x = theta + rng.normal(size=(60, 2))
    npe = NPE(flow="maf", transforms=1, hidden_features=(4,), max_epochs=1)
    predicted = [
        PosteriorRegressor(npe, n_samples=n, random_state=0).fit(x, theta).predict(x[:5])
        for n in (n_samples, 40)
    ]
    assert np.array_equal(*predicted)


@pytest.mark.parametrize("return_std", ["yes", None, 1, [True]])
def test_return_std_is_true_or_false(return_std):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))
    npe = NPE(flow="maf", transforms=1, hidden_features=(4,), max_epochs=1)
    fitted = PosteriorRegressor(npe, n_samples=10, random_state=0).fit(x, x[:, 0])
    with pytest.raises(TypeError, match="return_std must be True or False, got"):
        fitted.predict(x, return_std)
    with pytest.raises(TypeError, match="X must hold numbers only, got dates"):
        fitted.predict(np.full((2, 2), np.datetime64("2020-01-01")))


def test_rows_of_unequal_length_are_said_to_be_of_X(tiny: PosteriorRegressor) -> None:
    with pytest.raises(ValueError, match="^X: .*inhomogeneous shape"):
        tiny.predict([[1.0, 2.0, 3.0, 4.0], [1.0]])
