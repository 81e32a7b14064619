"""The classifier two-sample test: what it scores, that it is sbibm's, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neural_network import MLPClassifier

from sksbi.metrics import c2st_score


def normal(n, d, seed, shift=0.0):
    return np.random.default_rng(seed).normal(shift, size=(n, d))


def sbibm_c2st(X, Y, seed=1, n_folds=5):
    """Say the benchmark's lines again, X the reference, in NumPy."""
    mean, std = X.mean(axis=0), X.std(axis=0, ddof=1)
    X, Y = (X - mean) / std, (Y - mean) / std
    ndim = X.shape[1]
    classifier = MLPClassifier(
        activation="relu",
        hidden_layer_sizes=(10 * ndim, 10 * ndim),
        max_iter=10000,
        solver="adam",
        random_state=seed,
    )
    data = np.concatenate((X, Y))
    target = np.concatenate((np.zeros((X.shape[0],)), np.ones((Y.shape[0],))))
    folds = KFold(n_splits=n_folds, shuffle=True, random_state=seed)
    return cross_val_score(classifier, data, target, cv=folds, scoring="accuracy").mean()


@pytest.mark.parametrize("seed", [1, 7])
def test_it_is_the_definition_of_sbibm(seed):
    draws, reference = normal(80, 2, 0, shift=1.0) * 3, normal(80, 2, 1)
    expected = sbibm_c2st(reference, draws, seed=seed)
    assert c2st_score(draws, reference, random_state=seed) == expected


def test_the_reference_is_what_scales():
    draws, reference = normal(80, 2, 0) * 3, normal(80, 2, 1)
    assert c2st_score(draws, reference) != sbibm_c2st(draws, reference)


def test_the_same_distribution_scores_one_half():
    n = 500
    score = c2st_score(normal(n, 2, 0), normal(n, 2, 1))
    # The folds share training rows, which widens the binomial standard error a little.
    assert abs(score - 0.5) < 4 * np.sqrt(0.25 / (2 * n))


def test_shifted_normals_score_the_optimal_accuracy():
    n, shift = 500, 2.0
    optimal = stats.norm.cdf(shift / 2)
    score = c2st_score(normal(n, 1, 0, shift=shift), normal(n, 1, 1))
    assert abs(score - optimal) < 4 * np.sqrt(optimal * (1 - optimal) / (2 * n))


def test_disjoint_distributions_score_one():
    assert c2st_score(normal(100, 2, 0, shift=50.0), normal(100, 2, 1)) == 1.0


def test_the_score_does_not_depend_on_scale_or_on_the_container():
    draws, reference = normal(40, 1, 0, shift=1.0), normal(40, 1, 1)
    expected = c2st_score(draws, reference)
    table = pd.DataFrame(draws, columns=["a"])
    assert c2st_score(table, reference.tolist()) == expected
    assert c2st_score(draws * 1024, reference * 1024) == expected


def test_a_column_that_does_not_vary_changes_nothing_else():
    draws, reference = normal(100, 2, 0, shift=50.0), normal(100, 2, 1)
    draws[:, 1] = reference[:, 1] = 3.0
    assert c2st_score(draws, reference) == 1.0


@pytest.mark.parametrize("state", [np.random.default_rng, np.random.RandomState])
def test_random_states_repeat_and_leave_the_global_generator(state):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    draws, reference = normal(60, 1, 0), normal(60, 1, 1)
    scores = [c2st_score(draws, reference, random_state=state(3)) for _ in range(2)]
    c2st_score(draws, reference, random_state=None)
    assert scores[0] == scores[1]
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_the_score_does_not_depend_on_n_jobs():
    draws, reference = normal(60, 1, 0), normal(60, 1, 1)
    assert c2st_score(draws, reference, n_jobs=2) == c2st_score(draws, reference)


def test_unequal_sizes_warn_of_the_score_that_equal_distributions_get():
    with pytest.warns(UserWarning, match="30 rows and reference 90.*0.75"):
        c2st_score(normal(30, 1, 0), normal(90, 1, 1))


GOOD = normal(20, 2, 0)
WITH_NAN = np.where(np.arange(40).reshape(20, 2) == 7, np.nan, GOOD)


@pytest.mark.parametrize(
    ("draws", "reference", "error", "match"),
    [
        (GOOD[:, 0], GOOD, ValueError, r"draws must be 2-d.*\(20,\).*reshape\(-1, 1\)"),
        (GOOD[None], GOOD, ValueError, r"draws must be 2-d.*\(1, 20, 2\)"),
        (GOOD, GOOD[:, :1], ValueError, "same number of columns, got 2 and 1"),
        (GOOD[:4], GOOD, ValueError, r"draws must have at least 5 row.*\(4, 2\)"),
        (GOOD, GOOD[:4], ValueError, r"reference must have at least 5 row.*\(4, 2\)"),
        (GOOD[:, :0], GOOD, ValueError, r"one column, got shape \(20, 0\)"),
        (WITH_NAN, GOOD, ValueError, "draws must be finite, got nan in row 3, column 1"),
        (GOOD, np.full((20, 2), -np.inf), ValueError, "reference must be finite, got -inf"),
        (GOOD + 1j, GOOD, TypeError, "draws must hold real numbers, got dtype complex128"),
        (np.full((20, 2), "cat"), GOOD, TypeError, "real numbers, got ndarray.*'cat'"),
    ],
)
def test_bad_tables_are_refused(draws, reference, error, match):
    with pytest.raises(error, match=match):
        c2st_score(draws, reference)


def test_columns_in_another_order_are_refused():
    table = pd.DataFrame(GOOD, columns=["a", "b"])
    with pytest.raises(ValueError, match=r"got \['a', 'b'\] and \['b', 'a'\]"):
        c2st_score(table, table[["b", "a"]])


@pytest.mark.parametrize("n_folds", [1, 2.5, True, "5"])
def test_bad_numbers_of_folds_are_refused(n_folds):
    with pytest.raises(ValueError, match=f"n_folds must be .* got {n_folds!r}"):
        c2st_score(GOOD, GOOD, n_folds=n_folds)


@pytest.mark.parametrize("random_state", ["one", -1, True, 0.5])
def test_a_bad_random_state_is_refused(random_state):
    with pytest.raises(ValueError, match=f"random_state must be .* got {random_state!r}"):
        c2st_score(GOOD, GOOD, random_state=random_state)
