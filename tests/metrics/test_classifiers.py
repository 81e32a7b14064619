"""Classifiers by name in two-sample tests: what each sees, and what is refused."""

import numpy as np
import pytest
from scipy import stats
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.validation import check_is_fitted

from sksbi.metrics import c2st_score


def normal(n, d, seed, shift=0.0, width=1.0):
    return np.random.default_rng(seed).normal(shift, width, size=(n, d))


def test_the_network_of_the_benchmark_is_the_default():
    draws, reference = normal(30, 1, 0, shift=1.0), normal(30, 1, 1)
    expected = c2st_score(draws, reference)
    assert c2st_score(draws, reference, classifier="mlp") == expected
    assert c2st_score(draws, reference, classifier="quadratic") != expected


@pytest.mark.parametrize("classifier", ["quadratic", "boosting", GaussianNB()])
def test_the_same_distribution_scores_one_half(classifier):
    n = 500
    score = c2st_score(normal(n, 2, 0), normal(n, 2, 1), classifier=classifier)
    assert abs(score - 0.5) < 4 * np.sqrt(0.25 / (2 * n))


@pytest.mark.parametrize("classifier", ["quadratic", GaussianNB(), LogisticRegression()])
def test_shifted_normals_score_the_optimal_accuracy(classifier):
    n, shift = 2000, 2.0
    optimal = stats.norm.cdf(shift / 2)
    score = c2st_score(normal(n, 1, 0, shift), normal(n, 1, 1), classifier=classifier)
    assert abs(score - optimal) < 4 * np.sqrt(optimal * (1 - optimal) / (2 * n))


def test_the_quadratic_one_sees_widths_and_a_linear_one_does_not():
    n, width = 2000, 3.0
    draws, reference = normal(n, 1, 0, width=width), normal(n, 1, 1)
    # Densities cross where z^2 (1 - 1 / w^2) = 2 log w.
    edge = np.sqrt(2 * np.log(width) / (1 - 1 / width**2))
    inside = 2 * stats.norm.cdf(edge) - 1
    optimal = (inside + 2 * stats.norm.cdf(-edge / width)) / 2
    error = 4 * np.sqrt(0.25 / (2 * n))
    quadratic = c2st_score(draws, reference, classifier="quadratic")
    assert abs(quadratic - optimal) < error
    assert c2st_score(draws, reference, classifier=LogisticRegression()) < 0.5 + error


def test_trees_see_what_no_quadratic_boundary_does():
    n = 1000
    rng = np.random.default_rng(0)
    draws = rng.choice([-1.0, 1.0], size=(n, 1)) + 0.01 * rng.normal(size=(n, 1))
    reference = rng.normal(size=(n, 1))
    # The best region of a quadratic, |z| > 1, holds all draws and the reference's tails.
    best, error = stats.norm.cdf(1), 4 * np.sqrt(0.25 / (2 * n))
    assert c2st_score(draws, reference, classifier="quadratic") < best + error
    assert c2st_score(draws, reference, classifier="boosting") > best + error


@pytest.mark.parametrize("classifier", ["quadratic", "boosting", GaussianNB()])
def test_disjoint_distributions_score_one_and_seeds_repeat(classifier):
    draws, reference = normal(60, 1, 0, shift=50.0), normal(60, 1, 1)
    assert c2st_score(draws, reference, classifier=classifier) == 1.0
    near = normal(60, 1, 0, shift=0.5)
    scores = [c2st_score(near, reference, classifier=classifier, random_state=3) for _ in "ab"]
    assert scores[0] == scores[1]


def test_a_classifier_of_ones_own_is_cloned():
    classifier = GaussianNB()
    c2st_score(normal(60, 1, 0), normal(60, 1, 1), classifier=classifier)
    with pytest.raises(NotFittedError):
        check_is_fitted(classifier)


@pytest.mark.parametrize(
    ("classifier", "error", "match"),
    [
        ("forest", ValueError, "classifier must be 'mlp', 'quadratic', 'boosting' .* got 'forest'"),
        (GaussianNB, TypeError, "classifier must be a name or an instance .*GaussianNB"),
        (None, TypeError, "classifier must be a name or an instance .* got None"),
        (object(), TypeError, "instance of a classifier with predict_proba, got <object"),
    ],
)
def test_other_classifiers_are_refused(classifier, error, match):
    with pytest.raises(error, match=match):
        c2st_score(normal(20, 1, 0), normal(20, 1, 1), classifier=classifier)
