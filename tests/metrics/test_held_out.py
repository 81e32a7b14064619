"""Draws at held-out pairs: the estimator's own, in whatever batches, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from sksbi import NPE, NRE, PosteriorRegressor
from sksbi.metrics import HeldOutDraws, draw_held_out, held_out
from sksbi.pipeline import make_pipeline

SD = np.sqrt(0.5)


class Exact:
    """The posterior of theta ~ N(0, 1), x ~ N(theta, 1), which draws as it is told to."""

    def __init__(self):
        self.sizes = []

    def sample(self, x, n_samples=1000, *, random_state=None):
        self.sizes.append(len(x))
        x = np.asarray(x, float)
        noise = np.random.default_rng(random_state).normal(size=(len(x), n_samples, x.shape[1]))
        return x[:, None] / 2 + SD * noise

    def log_prob(self, theta, x):
        theta, x = np.asarray(theta, float), np.asarray(x, float)
        mean = (x if theta.ndim == 2 else x[:, None]) / 2
        return stats.norm.logpdf(theta, mean, SD).sum(axis=-1)


class Named(Exact):
    """The same, with tables as draws."""

    def sample(self, x, n_samples=1000, *, random_state=None):
        draws = super().sample(x, n_samples, random_state=random_state)
        index = pd.MultiIndex.from_product([x.index, range(n_samples)])
        return pd.DataFrame(draws.reshape(len(index), -1), index, ["m", "s"])

    def log_prob(self, theta, x):
        assert list(theta.columns if hasattr(theta, "columns") else ["m", "s"]) == ["m", "s"]
        return super().log_prob(theta, x)


def test_draws_and_densities_are_the_estimators_own(gaussian):
    made = gaussian(30, 1)
    found = draw_held_out(Exact(), made.theta, made.x, 20, random_state=np.random.default_rng(3))
    draws = Exact().sample(made.x, 20, random_state=np.random.default_rng(3))
    np.testing.assert_array_equal(found.draws, draws)
    np.testing.assert_array_equal(found.theta, made.theta)
    mean = made.x / 2
    np.testing.assert_allclose(
        found.log_prob_theta, stats.norm.logpdf(made.theta, mean, SD).sum(axis=1), rtol=1e-12
    )
    np.testing.assert_allclose(
        found.log_prob_draws, stats.norm.logpdf(draws, mean[:, None], SD).sum(axis=2), rtol=1e-12
    )
    assert found.names == ["theta_0", "theta_1"]
    assert found.n_draws == 20


@pytest.mark.parametrize(("most", "sizes"), [(60, [3, 3, 3, 1]), (1, [1] * 10), (199, [9, 1])])
def test_batches_change_nothing(monkeypatch, gaussian, most, sizes):
    made = gaussian(10, 1)
    whole = draw_held_out(Exact(), made.theta, made.x, 20, random_state=0)
    monkeypatch.setattr(held_out, "_DRAWS_PER_BATCH", most)
    estimator = Exact()
    parts = draw_held_out(estimator, made.theta, made.x, 20, random_state=0)
    assert estimator.sizes == sizes
    for name in ("theta", "draws", "log_prob_theta", "log_prob_draws"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_batches_have_independent_noise(monkeypatch):
    monkeypatch.setattr(held_out, "_DRAWS_PER_BATCH", 200)
    theta, x = np.zeros((4, 1)), np.zeros((4, 1))
    draws = draw_held_out(Exact(), theta, x, 100, random_state=0).draws[..., 0]
    correlations = np.corrcoef(draws)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 4 / np.sqrt(100)


def test_tables_are_cut_by_rows_and_name_the_parameters(monkeypatch, gaussian):
    made = gaussian(10, 1)
    labels = np.arange(10)[::-1]
    theta = pd.DataFrame(made.theta, labels, ["m", "s"])
    x = pd.DataFrame(made.x, labels, ["u", "v"])
    whole = draw_held_out(Exact(), made.theta, made.x, 20, random_state=0)
    monkeypatch.setattr(held_out, "_DRAWS_PER_BATCH", 60)
    for truth in (theta, made.theta, made.theta.tolist()):
        found = draw_held_out(Named(), truth, x, 20, random_state=0)
        assert found.names == ["m", "s"]
        np.testing.assert_array_equal(found.draws, whole.draws)
        np.testing.assert_array_equal(found.log_prob_theta, whole.log_prob_theta)
    named = draw_held_out(Exact(), theta, made.x, 20, random_state=0)
    assert named.names == ["m", "s"]


def test_none_takes_fresh_entropy_and_a_number_repeats():
    x = np.zeros((3, 1))
    first, second, third, fourth = (
        draw_held_out(Exact(), x, x, 10, random_state=seed).draws for seed in (None, None, 4, 4)
    )
    assert (first != second).all()
    assert (third == fourth).all()


def test_batches_have_noise_of_their_own(monkeypatch):
    monkeypatch.setattr("sksbi.metrics.held_out._DRAWS_PER_BATCH", 10)
    theta, x = np.zeros((40, 1)), np.random.default_rng(0).normal(size=(40, 1))
    npe = NPE(flow="maf", max_epochs=1, random_state=0).fit(theta + x, x)
    draws = draw_held_out(npe, theta[:4], x[[0, 0, 0, 0]], 10).draws
    assert (draws[0] != draws[1]).all()


def test_one_observation_is_no_batch():
    x = np.random.default_rng(0).normal(size=(40, 2))
    npe = NPE(flow="maf", max_epochs=1, random_state=0).fit(x[:, :1], x)
    with pytest.raises(ValueError, match=r"x must be a batch of 2 observations.*\(7, 1\)"):
        draw_held_out(npe, np.zeros((2, 1)), x[0], 7)


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(0)
    theta = pd.DataFrame({"mean": rng.normal(size=120)})
    x = pd.DataFrame(theta.to_numpy() + rng.normal(size=(120, 2)), columns=["u", "v"])
    return theta, x


def npe():
    return NPE(max_epochs=2, module__members=1, random_state=0)


def ratio():
    return NRE({"mean": stats.norm(0, 1)}, hidden_features=(8,), max_epochs=2, random_state=0)


@pytest.mark.parametrize("make", [npe, ratio, lambda: make_pipeline(StandardScaler(), npe())])
def test_densities_of_estimators_belong_to_their_draws(pairs, make):
    theta, x = pairs
    estimator = make().fit(theta, x)
    held = slice(3, 8)
    found = draw_held_out(estimator, theta[held], x[held], 15, random_state=0)
    assert found.names == ["mean"]
    # One by one or together, a network's sums are rounded in another way, in float32.
    for i in range(5):
        one = estimator.log_prob(found.draws[i], x.iloc[3 + i])
        np.testing.assert_allclose(found.log_prob_draws[i], one, rtol=0, atol=1e-5)
    np.testing.assert_allclose(
        found.log_prob_theta, estimator.log_prob(theta[held], x[held]), rtol=0, atol=1e-5
    )
    again = draw_held_out(estimator, theta[held], x[held], 15, random_state=0)
    np.testing.assert_array_equal(again.draws, found.draws)


def test_a_progress_bar_is_shown_when_asked_for(gaussian, capsys):
    made = gaussian(10, 1)
    draw_held_out(Exact(), made.theta, made.x, 5)
    assert capsys.readouterr().err == ""
    draw_held_out(Exact(), made.theta, made.x, 5, verbose=1)
    assert "10/10" in capsys.readouterr().err


def test_the_number_of_draws_is_that_of_the_draws():
    found = HeldOutDraws(np.zeros((2, 1)), np.zeros((2, 9, 1)), np.zeros(2), np.zeros((2, 9)), [])
    assert found.n_draws == 9


def test_searches_and_regressors_are_refused_with_the_way_out(pairs):
    theta, x = pairs
    search = GridSearchCV(npe(), {"lr": [1e-3]}, cv=2).fit(theta, x)
    with pytest.raises(TypeError, match="sample and log_prob.* got GridSearchCV.*best_estimator_"):
        draw_held_out(search, theta, x)
    assert draw_held_out(search.best_estimator_, theta, x, 5).n_draws == 5
    regressor = PosteriorRegressor(npe()).fit(x, theta["mean"])
    with pytest.raises(TypeError, match="got PosteriorRegressor; .* PosteriorRegressor estimator_"):
        draw_held_out(regressor, theta, x)
    assert draw_held_out(regressor.estimator_, theta.to_numpy(), x, 5).n_draws == 5


THETA, X = np.zeros((4, 2)), np.zeros((4, 2))


@pytest.mark.parametrize(
    ("changed", "error", "match"),
    [
        ({"estimator": NPE}, TypeError, "estimator must be fitted and have sample and log_prob"),
        ({"estimator": None}, TypeError, "estimator must be .* got NoneType"),
        ({"estimator": pd.DataFrame()}, TypeError, "estimator must be .* got DataFrame"),
        ({"estimator": NPE()}, NotFittedError, "NPE instance is not fitted yet"),
        ({"x": X[:3]}, ValueError, "as many observations as theta has rows, 4, got 3"),
        ({"x": 1.0}, TypeError, "x must be a table of one row an observation, got 1.0"),
        ({"x": {"a": 1, "b": 2}}, TypeError, "x must be a table .* of type dict"),
        ({"estimator": Exact}, TypeError, "got the class Exact"),
        ({"theta": THETA[:, 0]}, ValueError, r"theta must be 2-d.*\(4,\).*reshape\(-1, 1\)"),
        ({"theta": THETA + np.nan}, ValueError, "theta must be finite, got nan in row 0"),
        ({"n_samples": 0}, ValueError, "n_samples must be an int >= 1, got 0"),
        ({"n_samples": 1.5}, TypeError, "n_samples must be an int >= 1, got 1.5"),
        ({"random_state": -1}, ValueError, "random_state must be .* got -1"),
    ],
)
def test_bad_input_is_refused(changed, error, match):
    with pytest.raises(error, match=match):
        draw_held_out(**({"estimator": Exact(), "theta": THETA, "x": X} | changed))


def test_other_columns_than_those_of_fit_are_refused(pairs):
    theta, x = pairs
    estimator = npe().fit(theta, x)
    with pytest.raises(ValueError, match="theta: The feature names should match"):
        draw_held_out(estimator, theta.rename(columns={"mean": "m"}), x, 5)
    with pytest.raises(ValueError, match="x: The feature names should match"):
        draw_held_out(estimator, theta, x[["v", "u"]], 5)
