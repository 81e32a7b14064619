"""ModelComparison against exact evidences, by calibration, and as a scikit-learn classifier."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sksbi import ModelComparison, diagnose, load, save
from sksbi.exceptions import MisspecificationWarning
from sksbi.metrics.class_calibration import class_calibration

T = np.linspace(-1, 1, 12)
DESIGNS = {
    "constant": np.stack([np.ones_like(T)], axis=1),
    "line": np.stack([np.ones_like(T), T], axis=1),
    "parabola": np.stack([np.ones_like(T), T, T**2], axis=1),
}
NAMES = np.array(list(DESIGNS))
NOISE = 0.5


def simulate_curves(n, seed):
    """Simulate polynomials with standard normal coefficients, and noise."""
    rng = np.random.default_rng(seed)
    models = rng.choice(NAMES, n)
    x = NOISE * rng.normal(size=(n, len(T)))
    for name, design in DESIGNS.items():
        own = models == name
        x[own] += rng.normal(size=(own.sum(), design.shape[1])) @ design.T
    return x, models


def log_evidences(x):
    """Give the exact log-evidences, in alphabetic order."""
    noise = NOISE**2 * np.eye(len(T))
    laws = [stats.multivariate_normal(np.zeros(len(T)), A @ A.T + noise) for A in DESIGNS.values()]
    return np.stack([law.logpdf(x) for law in laws], axis=1)


def exact_probabilities(x, prior=1 / 3):
    log_p = log_evidences(x) + np.log(prior)
    return np.exp(log_p - logsumexp(log_p, axis=1, keepdims=True))


@pytest.fixture(scope="module")
def fitted():
    return ModelComparison(random_state=0).fit(*simulate_curves(3_000, 0))


@pytest.fixture(scope="module")
def quick():
    """A comparison by one classifier, for what does not depend on which."""
    return ModelComparison(LogisticRegression(), n_folds=2, random_state=0).fit(
        *simulate_curves(300, 0)
    )


@pytest.mark.slow
@parametrize_with_checks([ModelComparison()])
def test_scikit_learn_checks_with_the_default(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


@parametrize_with_checks([ModelComparison(LogisticRegression(), n_folds=2)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_probabilities_are_near_the_exact_ones(fitted):
    x, models = simulate_curves(4_000, 1)
    p, q = exact_probabilities(x), fitted.predict_proba(x)
    divergence = (p * np.log(p / q)).sum(axis=1)
    # A network of the same fit alone has 0.05, gradient boosted trees with their defaults 0.2.
    assert divergence.mean() < 0.05
    found = class_calibration(q, np.searchsorted(fitted.classes_, models), np.random.default_rng(0))
    assert abs(found.sharpness) < 3
    # What is lost beside the exact probabilities, in the currency of the log loss.
    assert found.log_loss < log_loss(models, p, labels=fitted.classes_) + 0.05


def test_the_loss_of_held_out_folds_is_that_of_new_rows(fitted):
    x, models = simulate_curves(4_000, 2)
    rows = np.searchsorted(fitted.classes_, models)
    losses = -np.log(fitted.predict_proba(x)[np.arange(len(x)), rows])
    error = losses.std() * np.sqrt(1 / 4_000 + 1 / 3_000)
    # The mean over folds is better than the fits of the folds, by a little.
    assert -0.05 < losses.mean() - fitted.log_loss_ < 4 * error


def test_bayes_factors_are_near_the_exact_ones_and_know_no_prior(fitted):
    x, models = simulate_curves(500, 3)
    found = fitted.log_bayes_factors(x, baseline="line")
    exact = log_evidences(x)
    exact -= exact[:, [1]]
    close = np.abs(exact) < 3
    assert found.columns.to_list() == NAMES.tolist()
    assert (found["line"] == 0).all()
    assert np.abs(found.to_numpy() - exact)[close].mean() < 0.25
    changed = clone(fitted).set_params(prior="equal")
    for name in [n for n in vars(fitted) if n.endswith("_") or n.startswith("_")]:
        setattr(changed, name, getattr(fitted, name))
    changed.prior_ = fitted.prior_ * 0 + [0.9, 0.05, 0.05]
    pd.testing.assert_frame_equal(changed.log_bayes_factors(x, baseline="line"), found)
    log_p = found.to_numpy() + np.log([0.9, 0.05, 0.05])
    expected = np.exp(log_p - logsumexp(log_p, axis=1, keepdims=True))
    np.testing.assert_allclose(changed.predict_proba(x), expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        ("equal", [1 / 3, 1 / 3, 1 / 3]),
        ({"parabola": 0.5, "constant": 0.3, "line": 0.2}, [0.3, 0.2, 0.5]),
        (pd.Series([0.5, 0.3, 0.2], index=["parabola", "constant", "line"]), [0.3, 0.2, 0.5]),
        ([0.0, 0.25, 0.75], [0.0, 0.25, 0.75]),
    ],
)
def test_the_prior_is_by_model(prior, expected):
    comparison = ModelComparison(LogisticRegression(), prior, n_folds=2, random_state=0)
    comparison.fit(*simulate_curves(300, 0))
    np.testing.assert_allclose(comparison.prior_, expected)
    np.testing.assert_allclose(comparison.summary(np.zeros(12))["prior"], expected)
    p = comparison.predict_proba(simulate_curves(50, 1)[0])
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert ((p == 0) == (np.array(expected) == 0)).all()


def test_without_a_prior_it_is_the_shares(quick):
    models = simulate_curves(300, 0)[1]
    expected = [np.mean(models == name) for name in NAMES]
    np.testing.assert_allclose(quick.prior_, expected)
    np.testing.assert_allclose(quick.shares_, expected)


def test_how_often_each_model_was_simulated_does_not_matter_for_bayes_factors():
    rng = np.random.default_rng(0)
    few, many = 500, 4_000
    x = np.concatenate([rng.normal(0, 1, few), rng.normal(1, 1, many)])[:, None]
    models = np.repeat(["zero", "one"], [few, many])
    comparison = ModelComparison(LogisticRegression(), "equal", random_state=0).fit(x, models)
    asked = np.linspace(-1, 2, 13)[:, None]
    exact = stats.norm.logpdf(asked[:, 0], 0, 1) - stats.norm.logpdf(asked[:, 0], 1, 1)
    found = comparison.log_bayes_factors(asked, baseline="one")["zero"]
    assert np.abs(found - exact).max() < 0.25


def test_failures_count_against_a_model():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4_000, 1))
    models = np.repeat(["safe", "fragile"], 2_000)
    x[2_000:][rng.random(2_000) < 0.75] = np.nan
    comparison = ModelComparison(LogisticRegression(), random_state=0).fit(x, models)
    np.testing.assert_allclose(comparison.prior_, 0.5)
    found = comparison.log_bayes_factors([[0.0], [0.5]], baseline="safe")["fragile"]
    # Three of four fail; the standard error of the logarithm of the share is 0.04.
    assert np.abs(found - np.log(0.25)).max() < 0.2


def test_a_temperature_takes_back_what_is_too_sure():
    x, models = simulate_curves(1_000, 0)
    sure = KNeighborsClassifier(1)
    calibrated, plain = (
        ModelComparison(sure, calibration=c, random_state=0).fit(x, models)
        for c in ("temperature", None)
    )
    assert plain.temperature_ == 1.0
    assert calibrated.temperature_ > 2
    assert calibrated.log_loss_ < plain.log_loss_ - 0.3
    assert calibrated.log_loss_ < np.log(3)


def test_nothing_is_more_certain_than_the_number_of_simulations():
    x = np.concatenate([np.zeros(200), np.ones(200)])[:, None]
    x += 0.01 * np.random.default_rng(0).normal(size=x.shape)
    comparison = ModelComparison(random_state=0).fit(x, np.repeat([0, 1], 200))
    p = comparison.predict_proba([[0.0], [1.0]])
    assert (p.max(axis=1) > 0.98).all()
    assert p.min() >= 1 / 402 - 1e-12


def test_what_tells_nothing_gives_the_prior():
    x, models = simulate_curves(900, 0)
    comparison = ModelComparison(DummyClassifier(), random_state=0).fit(x, models)
    np.testing.assert_allclose(
        comparison.predict_proba(x[:3]), np.tile(comparison.prior_, (3, 1)), atol=0.01
    )


def table_of(n, seed):
    """Simulate a table: a count, a category that tells, a gap that tells, noise."""
    rng = np.random.default_rng(seed)
    model = rng.integers(0, 2, n)
    count = rng.poisson(np.where(model == 0, 3.0, 6.0))
    site = np.where(rng.random(n) < np.where(model == 0, 0.8, 0.3), "north", "south")
    gap = np.where(rng.random(n) < np.where(model == 0, 0.1, 0.5), np.nan, rng.normal(size=n))
    table = pd.DataFrame({"count": count, "site": pd.Categorical(site), "gap": gap})
    p_count = stats.poisson.pmf(count[:, None], [3.0, 6.0])
    p_site = np.where((site == "north")[:, None], [0.8, 0.3], [0.2, 0.7])
    p_gap = np.where(np.isnan(gap)[:, None], [0.1, 0.5], [0.9, 0.5])
    p = p_count * p_site * p_gap
    return table, np.array(["few", "many"])[model], p / p.sum(axis=1, keepdims=True)


def test_tables_with_categories_and_gaps_are_taken():
    table, models, _ = table_of(3_000, 0)
    comparison = ModelComparison(random_state=0).fit(table, models)
    asked, _, p = table_of(2_000, 1)
    q = comparison.predict_proba(asked)
    assert (p * np.log(p / q)).sum(axis=1).mean() < 0.02
    assert comparison.feature_names_in_.tolist() == ["count", "site", "gap"]
    one = comparison.summary({"count": 9, "site": "south", "gap": np.nan})
    assert one.loc["many", "probability"] > 0.9
    again = comparison.summary(pd.Series({"gap": np.nan, "site": "south", "count": 9}))
    pd.testing.assert_frame_equal(one, again)
    row = comparison.predict_proba({"gap": np.nan, "site": "south", "count": 9})
    np.testing.assert_array_equal(row, [one["probability"]])
    row = comparison.predict_proba(pd.Series({"gap": np.nan, "site": "south", "count": 9}))
    np.testing.assert_array_equal(row, [one["probability"]])
    with pytest.warns(MisspecificationWarning, match=r"x lacks values in the columns \['count'\]"):
        comparison.summary({"count": np.nan, "site": "south", "gap": 0.5})
    with pytest.raises(TypeError, match="diagnose_models checks that"):
        diagnose(comparison, np.zeros((20, 1)), table[:20])
    with pytest.raises(ValueError, match="names unseen at fit: .'sight'., missing: .'site'"):
        comparison.summary({"count": 9, "sight": "south", "gap": 0.0})


def test_a_classifier_of_ones_own_sees_the_table_as_it_was():
    table, models, _ = table_of(200, 0)
    seen = []

    class Spy(DummyClassifier):
        def fit(self, X, y):
            seen.append(X)
            return super().fit(X, y)

    ModelComparison(Spy(), n_folds=2, random_state=0).fit(table, models)
    assert seen[0].columns.to_list() == ["count", "site", "gap"]
    assert isinstance(seen[0]["site"].dtype, pd.CategoricalDtype)


def test_images_go_to_a_classifier_that_takes_them():
    rng = np.random.default_rng(0)
    images, models = rng.normal(size=(100, 4, 4)), np.repeat([0, 1], 50)
    images[50:] += 1.0

    class OfImages(LogisticRegression):
        def fit(self, X, y):
            assert X.shape[1:] == (4, 4)
            return super().fit(X.reshape(len(X), -1), y)

        def predict_proba(self, X):
            return super().predict_proba(X.reshape(len(X), -1))

    comparison = ModelComparison(OfImages(), n_folds=2, random_state=0).fit(images, models)
    assert (comparison.predict(images) == models).mean() > 0.9
    assert comparison.summary(np.ones((4, 4))).loc[1, "probability"] > 0.8


def test_one_observation_or_a_batch(quick):
    x = pd.DataFrame(simulate_curves(3, 1)[0], index=["a", "b", "c"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fit had no names
        one, batch = quick.summary(x.loc["a"].to_numpy()), quick.summary(x.to_numpy())
        factors = quick.log_bayes_factors(x.loc["a"].to_numpy())
    assert one.index.name == "model"
    assert batch.index.names == ["observation", "model"]
    np.testing.assert_allclose(batch.loc[0].to_numpy(), one.to_numpy(), atol=1e-12)
    assert one["log_bayes_factor"].max() == 0
    np.testing.assert_allclose(one["probability"].sum(), 1)
    assert isinstance(factors, pd.Series)
    assert factors["constant"] == 0
    np.testing.assert_allclose(
        np.log(one["probability"] / one["prior"]).diff().iloc[1:],
        one["log_bayes_factor"].diff().iloc[1:],
    )


@pytest.mark.parametrize("labels", [[0, 1], [True, False], ["b", "a"], [10, -3]])
def test_models_may_be_named_anything(labels):
    x = np.random.default_rng(0).normal(size=(60, 2))
    y = np.array(labels)[np.arange(60) % 2]
    comparison = ModelComparison(LogisticRegression(), n_folds=2, random_state=0).fit(x, y)
    assert comparison.classes_.tolist() == sorted(labels)
    assert set(comparison.predict(x)) <= set(labels)
    assert comparison.log_bayes_factors(x[0], baseline=labels[1])[labels[1]] == 0


def test_it_is_at_home_in_scikit_learn():
    x, models = simulate_curves(300, 0)
    comparison = ModelComparison(KNeighborsClassifier(), calibration=None, n_folds=2)
    pipeline = make_pipeline(StandardScaler(), comparison)
    search = GridSearchCV(
        pipeline,
        {"modelcomparison__classifier__n_neighbors": [1, 30], "modelcomparison__prior": ["equal"]},
        scoring="neg_log_loss",
        cv=2,
    ).fit(x, models)
    assert search.best_params_["modelcomparison__classifier__n_neighbors"] == 30
    p = cross_val_predict(search.best_estimator_, x, models, cv=2, method="predict_proba")
    pipeline.set_params(modelcomparison__classifier__n_neighbors=1)
    q = cross_val_predict(pipeline, x, models, cv=2, method="predict_proba")
    assert log_loss(models, p) < log_loss(models, q)  # of thirty neighbours, and of one


def test_seeds_repeat_and_processes_agree():
    x, models = simulate_curves(300, 0)
    first, again, other, parallel = (
        ModelComparison(random_state=s, n_jobs=j).fit(x, models).predict_proba(x[:5])
        for s, j in ((0, None), (0, None), (1, None), (0, 2))
    )
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, parallel)
    assert not np.array_equal(first, other)


def test_copies_answer_alike(fitted, tmp_path):
    x = simulate_curves(20, 5)[0]
    expected = fitted.predict_proba(x)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(x), expected)
    save(fitted, tmp_path / "comparison.sksbi")
    loaded = load(tmp_path / "comparison.sksbi")
    np.testing.assert_array_equal(loaded.predict_proba(x), expected)
    pd.testing.assert_frame_equal(loaded.summary(x[0]), fitted.summary(x[0]))


def test_an_observation_that_no_model_makes_is_warned_of(quick):
    with pytest.warns(MisspecificationWarning, match="far from"):
        quick.summary(np.full(12, 50.0))
    with pytest.warns(MisspecificationWarning, match="far from"):
        quick.predict_proba(np.full((1, 12), 50.0))


def test_few_simulations_will_do():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9, 2)), np.array([0] * 7 + [1] * 2)
    p = ModelComparison(random_state=0).fit(x, y).predict_proba(x)
    assert np.isfinite(p).all()
    assert (p > 0).all()


def test_ctrl_c_leaves_it_as_it_was(quick):
    class Interrupted(DummyClassifier):
        def fit(self, X, y):
            raise KeyboardInterrupt

    before = dict(vars(quick))
    stopped = pickle.loads(pickle.dumps(quick)).set_params(classifier=Interrupted())
    p = stopped.predict_proba(np.zeros((1, 12)))
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(*simulate_curves(300, 1))
    np.testing.assert_array_equal(stopped.predict_proba(np.zeros((1, 12))), p)
    assert set(vars(stopped)) == set(before)


GOOD = simulate_curves(60, 0)


@pytest.mark.parametrize(
    ("parameters", "x", "y", "error", "match"),
    [
        ({}, GOOD[0], GOOD[1][:50], ValueError, "X and y must have one length, got .60, 50. rows"),
        ({}, GOOD[0], np.repeat("a", 60), ValueError, "y must have at least two models"),
        ({}, GOOD[0], np.linspace(0, 1, 60), ValueError, "[Uu]nknown label type"),
        ({}, GOOD[0], ["a"] * 59 + ["b"], ValueError, "at least 2 simulations .* got 1 of .*'b'"),
        (
            {},
            GOOD[0],
            [None] + ["a", "b"] * 29 + ["a"],
            ValueError,
            "y must have a label in every row",
        ),
        ({}, np.full((60, 2), np.inf), GOOD[1], ValueError, "infinity"),
        ({"prior": "even"}, *GOOD, ValueError, "prior must be None, 'equal', .* got 'even'"),
        ({"prior": [0.5, 0.5]}, *GOOD, ValueError, "one probability for each of the 3 models"),
        ({"prior": [0.5, 0.6, -0.1]}, *GOOD, ValueError, "0 or more, which add up to 1"),
        ({"prior": [0.5, 0.6, 0.1]}, *GOOD, ValueError, "add up to 1, got"),
        ({"prior": {"line": 1.0}}, *GOOD, ValueError, "prior must be of the models .* got .'line'"),
        ({"prior": ["a", "b", "c"]}, *GOOD, (TypeError, ValueError), "prior"),
        ({"n_folds": 1}, *GOOD, ValueError, "'n_folds' .* Got 1"),
        ({"calibration": "isotonic"}, *GOOD, ValueError, "'calibration' .* Got 'isotonic'"),
        (
            {"classifier": LogisticRegression},
            *GOOD,
            TypeError,
            "classifier must be an estimator, got the class",
        ),
        ({"classifier": StandardScaler()}, *GOOD, ValueError, "'classifier' .* Got Standard"),
    ],
)
def test_bad_input_is_refused(parameters, x, y, error, match):
    with pytest.raises(error, match=match):
        ModelComparison(**parameters).fit(x, y)


def test_bad_questions_are_refused(quick):
    with pytest.raises(ValueError, match="baseline must be one of the models .* got 'cubic'"):
        quick.log_bayes_factors(np.zeros(12), baseline="cubic")
    with pytest.raises(ValueError, match="x must"):
        quick.summary(np.zeros(5))
    with pytest.raises(ValueError, match="12 features"):
        quick.predict_proba(np.zeros((1, 5)))
