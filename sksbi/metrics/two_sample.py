"""
Two-sample tests: how well a classifier tells the draws of two posteriors apart.

A classifier is trained to tell draws of q from as many draws of p. At best it is right with
probability (1 + TV(p, q)) / 2, where TV is the total variation distance, so its accuracy on
held-out draws is 1/2 where p = q and 1 where p and q never overlap.
"""

from __future__ import annotations

from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import KFold, cross_val_score

from sksbi.metrics.classifiers import build_classifier
from sksbi.tables.draws import check_draws, check_same_columns
from sksbi.utils.random import check_generator, draw_seed
from sksbi.utils.spread import standard_deviation
from sksbi.utils.types import Array, RandomState, Table
from sksbi.utils.validation import check_count
from sksbi.utils.warn import warn_user

__all__ = ["c2st_score"]


def c2st_score(
    draws: Table,
    reference: Table,
    *,
    classifier: str | BaseEstimator = "mlp",
    n_folds: int = 5,
    random_state: RandomState = 1,
    n_jobs: int | None = None,
) -> float:
    """
    Classifier two-sample test between draws and reference draws.

    The held-out accuracy of a classifier that tells the two sets apart: 0.5 is perfect (they cannot
    be told apart), 1 the worst. The default is that of the sbibm benchmark [2]_ to the letter: both
    sets are scaled by the mean and the standard deviation of the reference, the classifier is
    scikit-learn's MLPClassifier with two hidden layers of 10 D units, trained by Adam, and the
    accuracy is the mean over shuffled folds.

    Numbers of different classifiers differ on the same draws and must never be mixed in one table:
    that of the benchmark, and that of other packages, which is a random forest's.

    Parameters
    ----------
    draws : array-like or DataFrame of shape (n, D)
        The draws to judge.
    reference : array-like or DataFrame of shape (n, D)
        Draws of the true posterior. Take as many as ``draws`` has: otherwise a classifier that
        always names the larger set is right more often than half of the time.
    classifier : {"mlp", "boosting", "quadratic"} or estimator, default="mlp"
        "mlp" is the benchmark's. "boosting", gradient boosted trees, is quick with many draws and
        many columns; "quadratic", logistic regression on squares and products, is the quickest and
        sees means and covariances only. Or a classifier with ``predict_proba``.
    n_folds : int, default=5
        The number of folds.
    random_state : None, int, RandomState or Generator, default=1
        Shuffles the folds and initialises the networks. 1 is the benchmark's value.
    n_jobs : int or None, default=None
        How many folds run at a time, as in :func:`sklearn.model_selection.cross_val_score`. The
        score does not depend on it.

    Returns
    -------
    float
        The mean accuracy over the folds, in [0, 1].

    Raises
    ------
    TypeError
        If an entry is no real number.
    ValueError
        If a table is not 2-d, has fewer than ``n_folds`` rows, holds NaN or infinity, if the two
        differ in their columns, or if ``n_folds`` is no integer of at least 2.

    Warns
    -----
    UserWarning
        If the two tables differ in their numbers of rows, so that 0.5 is not what equal
        distributions score.

    Notes
    -----
    A column that does not vary in the reference is centred and left unscaled. The published numbers
    of the benchmark take 10,000 draws of each.

    References
    ----------
    .. [1] Revisiting Classifier Two-Sample Tests (Lopez-Paz and Oquab, 2017).
       https://arxiv.org/abs/1610.06545
    .. [2] Benchmarking Simulation-Based Inference (Lueckmann et al., 2021).
       https://arxiv.org/abs/2101.04653

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.metrics import c2st_score
    >>> rng = np.random.default_rng(0)
    >>> reference = rng.normal(size=(200, 2))
    >>> c2st_score(reference + 10, reference)
    1.0
    """
    n_folds = check_count(n_folds, "n_folds", low=2)
    draws, reference = _check_pair(draws, reference, n_folds)
    generator = check_generator(random_state)
    seed = int(random_state) if isinstance(random_state, Integral) else draw_seed(generator)
    judge = build_classifier(classifier, draws.shape[1], seed)
    return _c2st(judge, draws, reference, KFold(n_folds, shuffle=True, random_state=seed), n_jobs)


def _check_pair(draws: Table, reference: Table, n_folds: int) -> tuple[Array, Array]:
    """Check both tables and that they match."""
    draws, names = check_draws(draws, "draws", n_folds)
    reference, reference_names = check_draws(reference, "reference", n_folds)
    check_same_columns(names, reference_names, "draws", "reference")
    if draws.shape[1] != reference.shape[1]:
        raise ValueError(
            "draws and reference must have the same number of columns, "
            f"got {draws.shape[1]} and {reference.shape[1]}."
        )
    if len(draws) != len(reference):
        larger = max(len(draws), len(reference)) / (len(draws) + len(reference))
        warn_user(
            f"draws has {len(draws)} rows and reference {len(reference)}: equal distributions then "
            f"score about {larger:.2f} instead of 0.5. Give as many of each.",
            UserWarning,
        )
    return draws, reference


def _c2st(
    classifier: BaseEstimator,
    draws: Array,
    reference: Array,
    folds: KFold,
    n_jobs: int | None,
) -> float:
    """Cross-validate the classifier on the pooled, scaled draws."""
    mean, std = reference.mean(axis=0), standard_deviation(reference)
    pooled = (np.concatenate([reference, draws]) - mean) / np.where(std > 0, std, 1.0)
    labels = np.repeat([0, 1], [len(reference), len(draws)])
    accuracies = cross_val_score(
        classifier, pooled, labels, scoring="accuracy", cv=folds, n_jobs=n_jobs
    )
    return float(accuracies.mean())
