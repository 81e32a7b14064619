"""Classifiers that give probabilities alone are calibrated by their log-odds."""

from pathlib import Path

import numpy as np
import pytest
import sklearn
from scipy import stats
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

import sksbi
from sksbi import ClassifierRatio
from sksbi.estimators.log_odds import LogOddsClassifier, with_scores
from sksbi.samplers import ImportanceResampling

NOISE = 0.1
OLD = parse_version(sklearn.__version__) < parse_version("1.8")
PRIOR = {"mean": stats.norm()}


def gaussian(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Simulate theta ~ N(0, 1) and x ~ N(theta, NOISE^2)."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(n, 1))
    return theta, theta + NOISE * rng.normal(size=(n, 1))


def exact_log_ratio(theta: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Compute log p(x | theta) - log p(x)."""
    of_x = stats.norm(0, np.hypot(1, NOISE)).logpdf(x)
    return stats.norm(theta, NOISE).logpdf(x) - of_x


class Exact(ClassifierMixin, BaseEstimator):
    """The best classifier of pairs, with its log-odds stretched."""

    def __init__(self, stretch: float = 1.0) -> None:
        self.stretch = stretch

    def fit(self, X: np.ndarray, y: np.ndarray) -> "Exact":
        """Learn nothing."""
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Compute r / (1 + r)."""
        probability = expit(self.stretch * exact_log_ratio(X[:, 0], X[:, 1]))
        return np.column_stack([1 - probability, probability])

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Take the likelier."""
        return self.predict_proba(X).argmax(axis=1)


@pytest.mark.parametrize(
    "calibration",
    [
        "sigmoid",
        pytest.param("temperature", marks=pytest.mark.skipif(OLD, reason="from scikit-learn 1.8")),
    ],
)
@pytest.mark.parametrize("stretch", [1.0, 3.0, 0.5])
def test_what_is_exact_stays_so_and_what_is_stretched_becomes_so(
    calibration: str, stretch: float
) -> None:
    """
    The width of the posterior is exact to what slopes of log-odds err by.

    Of 4,000 pairs some 300 lie where it is in doubt: a slope is known to a tenth or better.
    """
    ratio = ClassifierRatio(Exact(stretch), PRIOR, calibration=calibration, random_state=0)
    ratio.fit(*gaussian(2_000))
    assert isinstance(ratio.classifier_.calibrated_classifiers_[0].estimator, LogOddsClassifier)
    theta = np.linspace(-1, 1, 4_001)[:, None]
    log_ratio = ratio.predict_log_ratio(theta, np.full_like(theta, 0.2))
    weight = np.exp(log_ratio + stats.norm().logpdf(theta[:, 0]))
    weight /= weight.sum()
    mean = weight @ theta[:, 0]
    sd = np.sqrt(weight @ (theta[:, 0] - mean) ** 2)
    assert sd == pytest.approx(NOISE / np.hypot(1, NOISE), rel=0.2)


def test_a_network_is_as_narrow_as_the_exact_posterior() -> None:
    """With the probability for a score it was one and a half times as wide."""
    network = make_pipeline(StandardScaler(), MLPClassifier((32, 32), early_stopping=True))
    ratio = ClassifierRatio(
        network, PRIOR, n_folds=2, sampler=ImportanceResampling(100_000), random_state=0
    ).fit(*gaussian(8_000))
    sd = ratio.sample(gaussian(40, seed=1)[1], 1_000, random_state=0).std(axis=1).mean()
    assert sd == pytest.approx(NOISE / np.hypot(1, NOISE), rel=0.2)


def test_zero_and_one_are_as_far_as_so_many_rows_can_tell() -> None:
    theta, x = gaussian(98)
    labels = (theta[:, 0] > 0).astype(int)
    one = LogOddsClassifier(KNeighborsClassifier(1)).fit(theta, labels)
    assert set(np.round(one.decision_function(theta), 6)) == set(
        np.round([np.log(99), -np.log(99)], 6)
    )
    np.testing.assert_array_equal(one.predict(theta), labels)
    named = LogOddsClassifier(KNeighborsClassifier(3)).fit(theta, np.array(["no", "yes"])[labels])
    assert set(named.predict(x)) == {"no", "yes"}


def test_weights_arrive() -> None:
    theta, x = gaussian(300)
    labels = (theta[:, 0] + 10 * (x - theta)[:, 0] > 0).astype(int)
    forest = LogOddsClassifier(RandomForestClassifier(5, max_depth=2, random_state=0))
    plain, flipped = (
        forest.fit(theta, labels, sample_weight=weight).decision_function(theta)
        for weight in (None, np.where(labels, 1e-6, 1.0))
    )
    assert flipped[labels == 1].mean() < plain[labels == 1].mean()


def test_what_has_a_score_keeps_it() -> None:
    line = make_pipeline(StandardScaler(), LogisticRegression())
    assert with_scores(line) is line


def test_it_is_saved(tmp_path: Path) -> None:
    forest = RandomForestClassifier(5, random_state=0)
    theta, x = gaussian(100)
    ratio = ClassifierRatio(forest, PRIOR, n_folds=2, random_state=0).fit(theta, x)
    sksbi.save(ratio, tmp_path / "ratio.sksbi")
    again = sksbi.load(tmp_path / "ratio.sksbi")
    np.testing.assert_array_equal(
        again.predict_log_ratio(theta, x), ratio.predict_log_ratio(theta, x)
    )


def test_a_prior_in_the_place_of_the_classifier_is_told() -> None:
    theta = np.arange(40.0)[:, None]
    with pytest.raises(ValueError, match="classifier must be .* got a dict, .* give it as prior="):
        ClassifierRatio({"a": stats.norm()}).fit(theta, theta)
