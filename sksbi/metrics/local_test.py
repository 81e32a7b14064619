r"""
The local classifier two-sample test (L-C2ST), of a posterior at one observation.

A classifier learns to tell pairs (theta, x) of the simulator from pairs (theta', x) with theta'
drawn from the estimated posterior at the same x. If the posterior is right at x_o, the classifier
cannot tell its draws at x_o from the truth, so its probabilities there are 1/2. The statistic is

.. math::
    t(x_o) = E_{\theta' \sim q(\cdot \mid x_o)} \left(d(\theta', x_o) - \tfrac12\right)^2 ,

and its distribution, where the posterior is right everywhere, comes from classifiers trained with
theta and theta' exchanged at random in every pair. No draws of the true posterior are needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from tqdm.auto import tqdm

from sksbi.metrics.classifiers import build_classifier, probability_of_one
from sksbi.tables.draws import (
    check_draws,
    check_finite,
    check_observed_names,
    check_same_columns,
    check_stack,
    is_stack,
)
from sksbi.utils.random import check_generator, draw_seed
from sksbi.utils.types import Array, Draws, Mask, RandomState, Row, Table
from sksbi.utils.validation import check_count, check_memory

__all__ = ["LocalTest", "lc2st"]


@dataclass(frozen=True, eq=False)
class LocalTest:
    """
    What :func:`lc2st` found.

    Parameters
    ----------
    statistic : float or ndarray of shape (m,)
        The mean squared distance of the classifier's probabilities from 1/2, at most 1/4.
    p_value : float or ndarray of shape (m,)
        The share of statistics under the null that are as large; at least 1 / (n_permutations + 1).
    null : ndarray of shape (n_permutations,) or (n_permutations, m)
        The statistics under the null.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.metrics import LocalTest
    >>> LocalTest(0.01, 0.5, np.array([0.005, 0.02, 0.03])).p_value
    0.5
    """

    statistic: float | Array
    p_value: float | Array
    null: Array


def lc2st(
    theta: Table,
    x: ArrayLike,
    draws: Draws,
    x_observed: Row,
    draws_observed: Draws,
    *,
    classifier: str | BaseEstimator = "quadratic",
    n_permutations: int = 100,
    random_state: RandomState = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> LocalTest:
    """
    Test whether the posterior is right at one observation, or at each of several.

    Parameters
    ----------
    theta : array-like or DataFrame of shape (n, D)
        Parameters from the prior that the posterior was not fitted to.
    x : array-like, Series or DataFrame of shape (n,), (n, L) or (n, ...)
        What was simulated from them.
    draws : array-like or DataFrame of shape (n, D) or (n, n_samples, D)
        One draw of the posterior at every x, or several, of which the first is taken.
    x_observed : array-like, Series, dict or DataFrame of shape (L,) or (m, L)
        The observation, or m of them, of the shape of one x.
    draws_observed : array-like or DataFrame of shape (n_samples, D) or (m, n_samples, D)
        Draws of the posterior at the observation, or at each of them.
    classifier : {"quadratic", "mlp", "boosting"} or estimator, default="quadratic"
        "quadratic", logistic regression on all squares and products of theta and x, is quick; it
        finds errors of location and width that change with x linearly. "mlp" is the network of the
        paper, "boosting" gradient boosted trees. Or a classifier with ``predict_proba``.
    n_permutations : int, default=100
        How many classifiers are trained for the null.
    random_state : None, int, RandomState or Generator, default=None
        Seeds the exchanges and the classifiers.
    n_jobs : int or None, default=None
        How many classifiers are trained at once.
    verbose : int, default=0
        Whether to show a progress bar.

    Returns
    -------
    LocalTest
        Statistic, p-value and null.

    Raises
    ------
    TypeError
        If an entry is no real number, or the classifier none.
    ValueError
        If shapes or names do not match, or an entry is not finite.

    Notes
    -----
    A posterior that is wrong elsewhere, but right at the observation, may be rejected, as the
    classifier is one for all x; the smoother it is, the more so.

    References
    ----------
    .. [1] L-C2ST: Local Diagnostics for Posterior Approximations in Simulation-Based Inference
       (Linhart et al., 2023). https://arxiv.org/abs/2306.03580

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.metrics import lc2st
    >>> rng = np.random.default_rng(0)
    >>> theta = rng.normal(size=(1000, 1))
    >>> x = theta + rng.normal(size=(1000, 1))
    >>> draws = x / 2 + np.sqrt(0.5) * rng.normal(size=(1000, 1))  # exact
    >>> at_one = 0.5 + np.sqrt(0.5) * rng.normal(size=(500, 1))
    >>> lc2st(theta, x, draws, [1.0], at_one, random_state=0).p_value > 0.05
    True
    >>> lc2st(theta, x, draws + 0.4, [1.0], at_one + 0.4, random_state=0).p_value < 0.05
    True
    """
    n_permutations = check_count(n_permutations, "n_permutations")
    check_memory(n_permutations, "n_permutations", n_permutations)
    theta, draws, columns, names = _check_pairs(theta, x, draws)
    observed = check_finite(check_observed_names(x_observed, x, "x_observed", "x"), "x_observed")
    at, single = _check_observed(observed, draws_observed, columns.shape[1], theta.shape[1], names)
    generator = check_generator(random_state)
    judge = build_classifier(classifier, theta.shape[1] + columns.shape[1], draw_seed(generator))
    exchanged = [np.zeros(len(theta), bool)]
    exchanged += [generator.random(len(theta)) < 0.5 for _ in range(n_permutations)]
    jobs = (delayed(_statistics)(judge, theta, draws, columns, swap, at) for swap in exchanged)
    results = Parallel(n_jobs=n_jobs, return_as="generator")(jobs)
    bar = tqdm(results, total=len(exchanged), desc="Classifiers", disable=not verbose)
    statistics = np.array(list(bar))
    p_values = (1 + (statistics[1:] >= statistics[0]).sum(axis=0)) / (n_permutations + 1)
    if single:
        return LocalTest(float(statistics[0, 0]), float(p_values[0]), statistics[1:, 0])
    return LocalTest(statistics[0], p_values, statistics[1:])


def _statistics(
    judge: BaseEstimator, theta: Array, draws: Array, columns: Array, swap: Mask, at: list[Array]
) -> Array:
    """Train on the pairs, some exchanged, and compute the statistic at every observation."""
    first = np.where(swap[:, None], draws, theta)
    second = np.where(swap[:, None], theta, draws)
    rows = np.concatenate([np.hstack([first, columns]), np.hstack([second, columns])])
    fitted = clone(judge).fit(rows, np.repeat([0, 1], len(theta)))
    return np.array([np.mean((probability_of_one(fitted, block) - 0.5) ** 2) for block in at])


def _check_pairs(
    theta: Table, x: ArrayLike, draws: Draws
) -> tuple[Array, Array, Array, list[str] | None]:
    """Check theta, the draws at every x, and x in columns."""
    theta, names = check_draws(theta, "theta", 2)
    if is_stack(draws):
        values, others = check_stack(draws)
        values = values[:, 0]
    else:
        values, others = check_draws(draws, "draws", 2)
    check_same_columns(others, names, "draws", "theta")
    if values.shape != theta.shape:
        raise ValueError(f"draws must have theta's shape {theta.shape}, got {values.shape}.")
    columns = check_finite(x, "x")
    if columns.shape[:1] != theta.shape[:1]:
        raise ValueError(f"x must have {len(theta)} rows, as theta has, got shape {columns.shape}.")
    return theta, values, columns.reshape(len(theta), -1), names


def _check_observed(
    observed: Array, draws: Draws, n_columns: int, D: int, names: list[str] | None
) -> tuple[list[Array], bool]:
    """Put together the rows at every observation, and tell whether there is one."""
    single = not is_stack(draws)
    if single:
        table, others = check_draws(draws, "draws_observed")
        values = table[None]
    else:
        values, others = check_stack(draws, argument="draws_observed")
    check_same_columns(others, names, "draws_observed", "theta")
    if observed.size != len(values) * n_columns or values.shape[2] != D:
        raise ValueError(
            f"x_observed must hold {n_columns} numbers for each of the {len(values)} observations "
            f"of draws_observed, and those have {D} columns, got {observed.size} numbers and "
            f"{values.shape[2]} columns."
        )
    rows = observed.reshape(len(values), n_columns)
    n_samples = values.shape[1]
    at = [np.hstack([v, np.tile(row, (n_samples, 1))]) for v, row in zip(values, rows, strict=True)]
    return at, single
