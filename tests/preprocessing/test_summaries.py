"""Summary statistics tell nearly all there is, the same in any order and units, and no secrets."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sksbi.preprocessing.summaries import SummaryStatistics
from sksbi.preprocessing.summaries.functions import moments, waves
from sksbi.preprocessing.summaries.principal import PrincipalScores

N, N_NEW = 800, 2_000


def curve(n: int, seed: int, width: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Simulate theta times a wave of norm 10 under unit noise: the posterior sd is 1/sqrt(101)."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(n, 1))
    wave = np.sin(np.arange(width) / 3)
    return theta, theta * wave * 10 / np.linalg.norm(wave) + rng.normal(size=(n, width))


def spreads(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Simulate 100 draws of deviation exp(theta / 2): the information is 1 + 100 / 2."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(n, 1))
    return theta, np.exp(theta / 2) * rng.normal(size=(n, 100))


def persistence(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Simulate x_t = a x_(t-1) + noise, theta = arctanh(a), of information T (1 - a^2)."""
    rng = np.random.default_rng(seed)
    theta = 0.5 * rng.normal(size=(n, 1))
    a, x = np.tanh(theta[:, 0]), np.zeros((n, 200))
    x[:, 0] = rng.normal(size=n) / np.sqrt(1 - a**2)
    for t in range(1, 200):
        x[:, t] = a * x[:, t - 1] + rng.normal(size=n)
    return theta, x


def errors(train: tuple, new: tuple, statistics: SummaryStatistics | None = None) -> np.ndarray:
    """Predict theta of new rows, by ridge regression on statistics and their squares."""
    statistics = SummaryStatistics() if statistics is None else statistics
    features = statistics.fit_transform(train[1], train[0]), statistics.transform(new[1])
    columns = [np.hstack([np.ones((len(f), 1)), f, f**2]) for f in features]
    gram = columns[0].T @ columns[0] + 1.0 * np.eye(columns[0].shape[1])
    return columns[1] @ np.linalg.solve(gram, columns[0].T @ train[0]) - new[0]


@pytest.mark.parametrize(
    ("simulate", "best"),
    # The third is the root of E[1 / (4 + 200 (1 - a^2))], 4 being the precision of the prior.
    [(curve, 101**-0.5), (spreads, (1 / (1 + 50)) ** 0.5), (persistence, 0.0801)],
)
def test_little_is_lost(simulate: object, best: float) -> None:
    """From 800 rows, theta is read off with a third more error than the best reader has."""
    off = errors(simulate(N, 0), simulate(N_NEW, 1))
    assert np.sqrt((off**2).mean()) < 1.35 * best


@pytest.mark.parametrize("simulate", [curve, persistence])
def test_the_order_of_columns_and_their_units_change_nothing(simulate: object) -> None:
    train, new = simulate(N, 0), simulate(N_NEW, 1)
    rng = np.random.default_rng(2)
    width = train[1].shape[1]
    order, units = rng.permutation(width), 10.0 ** rng.uniform(-9, 9, width)
    before = errors(train, new)
    for change in (lambda x: x[:, order], lambda x: x * units):
        after = errors((train[0], change(train[1])), (new[0], change(new[1])))
        np.testing.assert_allclose(after, before, atol=0.02 * before.std())


def test_statistics_of_a_row_do_not_know_its_theta() -> None:
    """Of noise, what was learnt from other rows does not correlate, unlike what knows its row."""
    rng = np.random.default_rng(0)
    theta, x = rng.normal(size=(600, 1)), rng.normal(size=(600, 100))
    statistics = SummaryStatistics()
    honest = statistics.fit_transform(x, theta)
    own = statistics.transform(x)

    def correlations(features: np.ndarray) -> np.ndarray:
        return np.abs(np.corrcoef(features.T, theta.T)[-1, :-1])

    assert correlations(honest).max() < 4.5 / np.sqrt(600)
    assert correlations(own).max() > 8 / np.sqrt(600)


def test_up_to_fifty_columns_can_be_read_from_the_statistics() -> None:
    theta, x = curve(N, 0, width=40)
    features = SummaryStatistics().fit_transform(x, theta)
    columns = np.hstack([np.ones((N, 1)), features.astype(float)])
    left = x - columns @ np.linalg.lstsq(columns, x, rcond=None)[0]
    assert (left.std(axis=0) < 0.05 * x.std(axis=0)).all()


def test_the_same_seed_gives_the_same_and_rows_do_not_depend_on_their_batch() -> None:
    theta, x = persistence(300, 0)
    first, second = SummaryStatistics(random_state=3), SummaryStatistics(random_state=3)
    np.testing.assert_array_equal(first.fit_transform(x, theta), second.fit_transform(x, theta))
    whole = first.transform(x)
    np.testing.assert_allclose(first.transform(x[5:6]), whole[5:6], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("n", "width", "d"),
    [(20, 40, 1), pytest.param(60, 1_500, 2, marks=pytest.mark.slow), (300, 30, 12), (12, 26, 3)],
)
def test_any_shape_gives_finite_statistics(n: int, width: int, d: int) -> None:
    rng = np.random.default_rng(0)
    theta, x = rng.normal(size=(n, d)), rng.standard_cauchy(size=(n, width))
    x[:, 3], x[:, 4] = 7.0, x[:, 5]
    statistics = SummaryStatistics()
    features = statistics.fit_transform(x, theta)
    assert features.dtype == np.float32
    assert len(features) == n
    assert np.isfinite(features).all()
    assert np.isfinite(statistics.transform(1e30 * x)).all()
    assert statistics.transform(x[:0]).shape == (0, features.shape[1])


def test_it_is_an_estimator() -> None:
    theta, x = curve(200, 0)
    statistics = clone(SummaryStatistics(n_components=5)).fit(x, theta)
    copy = pickle.loads(pickle.dumps(statistics))
    np.testing.assert_array_equal(copy.transform(x), statistics.transform(x))
    assert statistics.n_features_in_ == 120
    with pytest.raises(NotFittedError):
        SummaryStatistics().transform(x)


@pytest.mark.parametrize("functions", [waves, moments])
def test_functions_of_theta_are_standardised(functions: object) -> None:
    columns = functions(np.random.default_rng(0).normal(size=(500, 3)))
    np.testing.assert_allclose(columns.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(columns.std(axis=0), 1, rtol=1e-9)


@pytest.mark.parametrize("shape", [(200, 30), (30, 200)])
def test_leading_components_are_those_of_the_covariance(shape: tuple) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape) * np.where(np.arange(shape[1]) < 2, 20, 1)
    x -= x.mean(axis=0)
    scores = PrincipalScores(5, 0)
    scores.fit_transform(x)
    _, _, rows = np.linalg.svd(x, full_matrices=False)
    overlap = np.abs(scores.components_[:, :2].T @ rows[:2].T)
    np.testing.assert_allclose(overlap, np.eye(2), atol=1e-6)


@pytest.mark.parametrize(
    ("parameters", "change", "match"),
    [
        ({"n_components": -1}, {}, "n_components must be an int >= 1, got -1"),
        ({"n_components": 2.0}, {}, "n_components must be an int >= 1, got 2.0"),
        ({"n_folds": 1}, {}, "n_folds must be an int >= 2, got 1"),
        ({}, {"x": np.zeros((30, 5))}, "x and theta must have as many rows, got 30 and 40"),
        ({}, {"x": np.full((40, 5), np.inf)}, "x"),
        ({}, {"x": np.zeros((40, 5, 1))}, "x"),
        ({}, {"theta": np.zeros(40)}, "theta"),
        ({}, {"theta": np.full((40, 1), 1e200)}, "theta must be at most 1e.30 in size"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(parameters, change, match):
    rng = np.random.default_rng(0)
    given = {"x": rng.normal(size=(40, 5)), "theta": rng.normal(size=(40, 1))} | change
    with pytest.raises((ValueError, TypeError), match=match):
        SummaryStatistics(**parameters).fit_transform(given["x"], given["theta"])


def test_another_width_than_in_fit_is_refused():
    rng = np.random.default_rng(0)
    fitted = SummaryStatistics().fit(rng.normal(size=(40, 5)), rng.normal(size=(40, 1)))
    with pytest.raises(ValueError, match="x must have 5 columns, got 4"):
        fitted.transform(np.zeros((3, 4)))


def test_tables_and_lists_give_what_their_arrays_give():
    rng = np.random.default_rng(0)
    x, theta = rng.normal(size=(40, 5)), rng.normal(size=(40, 1))
    learnt = SummaryStatistics().fit_transform(x, theta)
    table = pd.DataFrame(x, index=range(100, 140))
    assert np.array_equal(SummaryStatistics().fit_transform(table, theta.tolist()), learnt)
