r"""
Simulations that fail, and what that does to a ratio.

A simulator that fails leaves pairs with theta ~ p(theta | success), from which a ratio estimator
learns p(x | theta, success) / p(x | success). An observation has not failed, so by Bayes' rule

.. math::
    \log \frac{p(\theta | x)}{p(\theta)} = \log \frac{p(x | \theta, success)}{p(x | success)}
    + \log \frac{s(\theta)}{P(success)}, \quad s(\theta) = p(success | \theta),

and s is learnt from all theta. It is an average of classifiers: a constant, a logistic regression
on squares and products, which is smooth, and boosted trees, which jump where the simulator does.
How much each counts is what makes simulations that they have not seen most likely: where failures
have nothing to do with theta, that is the constant.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold

from sksbi.data import Pairs
from sksbi.posteriors.factor import Factor, FactorAt, Likelihood, Ratio
from sksbi.preprocessing import ParameterSpace
from sksbi.priors import Prior
from sksbi.utils.random import draw_seed
from sksbi.utils.types import Array, Mask, Rows

__all__ = ["LikelihoodTimesSuccess", "RatioTimesSuccess", "Success", "learn_success"]

_FOLDS, _FEWEST = 5, 2
_MOST_PRODUCTS = 10
_SHRINKAGE = (0.01, 1.0)
_TREES = (8, 30, 80)
_LEARNING_RATE, _LEAVES = 0.15, 6
_ROUNDS, _LEAST_WEIGHT = 200, 0.01


class Success:
    """
    How much likelier success is at theta than on average.

    Parameters
    ----------
    space : ParameterSpace
        The map from theta to what the classifiers see.
    low, high : ndarray of shape (D,)
        Beyond these theta counts as there, for nothing was simulated.
    mean : float
        The probability of success on average.
    classifiers : list of classifier
        Those that count.
    weights : ndarray of shape (1 + number of classifiers,)
        How much the average and every classifier count; they add up to 1.
    """

    def __init__(
        self,
        space: ParameterSpace,
        low: Array,
        high: Array,
        mean: float,
        classifiers: Sequence[Any],
        weights: Array,
    ) -> None:
        self.space, self.low, self.high = space, low, high
        self.mean, self.classifiers, self.weights = mean, list(classifiers), weights

    def log_ratio(self, theta: Array) -> Array:
        """
        Compute log s(theta) - log P(success).

        Parameters
        ----------
        theta : ndarray of shape (n, D)
            Parameters.

        Returns
        -------
        ndarray of shape (n,)
            The logarithms.
        """
        return self.log_ratio_from_unbounded(self.space.to_unbounded(theta))

    def log_ratio_from_unbounded(self, z: Array) -> Array:
        """
        Compute the same at points of the prior's unbounded space.

        Parameters
        ----------
        z : ndarray of shape (n, D)
            Points.

        Returns
        -------
        ndarray of shape (n,)
            The logarithms.
        """
        u = np.clip(self.space.unbounded_to_network(z), self.low, self.high)
        total = np.full(len(u), self.weights[0] * self.mean)
        for weight, classifier in zip(self.weights[1:], self.classifiers, strict=True):
            total += weight * _probability(classifier, u)
        return np.log(total) - np.log(self.mean)


def learn_success(pairs: Pairs, prior: Prior | None, generator: np.random.Generator) -> Success:
    """
    Learn the probability of success from simulations, some of which have failed.

    Parameters
    ----------
    pairs : Pairs
        All of them.
    prior : Prior or None
        The prior.
    generator : numpy.random.Generator
        Seeds the folds.

    Returns
    -------
    Success
        What was learnt.
    """
    happened = pairs.succeeded()
    space = ParameterSpace(prior, None).fit(pairs.theta, pairs.weight)
    u = space.to_network(pairs.theta)[0]
    label = np.isin(pairs.row, happened.row)
    mean = float(np.average(label, weights=pairs.weight))
    seed = draw_seed(generator)
    n_failed = len(label) - int(label.sum())
    n_folds = min(_FOLDS, len(happened), n_failed)
    makers = _candidates(seed) if n_folds >= _FEWEST else []
    shares = np.ones(1)
    if makers:
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(u, label)
        shares = _shares(makers, u, label, pairs.weight, list(folds))
    kept = np.flatnonzero(shares[1:] >= _LEAST_WEIGHT)
    shares = np.concatenate([[1 - shares[1:][kept].sum()], shares[1:][kept]])
    classifiers = [_fit(makers[k], u, label, pairs.weight) for k in kept]
    return Success(space, u.min(axis=0), u.max(axis=0), mean, classifiers, shares)


def _candidates(seed: int) -> list[Callable[[], Any]]:
    """List what makes classifiers."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    smooth = [partial(LogisticRegression, C=c, max_iter=1_000) for c in _SHRINKAGE]
    trees = partial(
        HistGradientBoostingClassifier,
        learning_rate=_LEARNING_RATE,
        max_leaf_nodes=_LEAVES,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )
    return [*smooth, *(partial(trees, max_iter=n) for n in _TREES)]


def _fit(maker: Callable[[], Any], u: Array, label: Mask, weight: Array) -> Any:
    """Fit a classifier."""
    classifier = maker()
    return classifier.fit(_features(classifier, u), label, sample_weight=weight)


def _probability(classifier: Any, u: Array) -> Array:
    """Give the probabilities of success."""
    if len(u) == 0:
        return np.zeros(0)
    return classifier.predict_proba(_features(classifier, u))[:, 1]


def _features(classifier: Any, u: Array) -> Array:
    """Give a linear classifier squares as well, and products unless they are very many."""
    from sklearn.linear_model import LogisticRegression

    if not isinstance(classifier, LogisticRegression):
        return u
    if u.shape[1] > _MOST_PRODUCTS:
        return np.hstack([u, u**2])
    first, second = np.triu_indices(u.shape[1])
    return np.hstack([u, u[:, first] * u[:, second]])


def _shares(
    makers: Sequence[Callable[[], Any]],
    u: Array,
    label: Mask,
    weight: Array,
    folds: Sequence[tuple[Rows, Rows]],
) -> Array:
    """Find how much the mean and every classifier count: expectation-maximisation on held-out."""
    likelihood = np.empty((len(u), 1 + len(makers)))
    for train, held_out in folds:
        likelihood[held_out, 0] = np.average(label[train], weights=weight[train])
        for k, maker in enumerate(makers, 1):
            classifier = _fit(maker, u[train], label[train], weight[train])
            likelihood[held_out, k] = _probability(classifier, u[held_out])
    likelihood[~label] = 1 - likelihood[~label]
    shares = np.full(likelihood.shape[1], 1 / likelihood.shape[1])
    for _ in range(_ROUNDS):
        parts = shares * likelihood
        parts /= parts.sum(axis=1, keepdims=True)
        counts = weight @ parts
        counts[0] += 1.0  # the constant never goes, so that no probability is zero
        shares = counts / counts.sum()
    return shares


class _TimesSuccess(Factor):
    """
    Factor of simulations that succeeded, times a power of the probability of success.

    In its units the logarithm of the latter stands behind theta: it is known once for all trials.

    Parameters
    ----------
    factor : Factor
        The factor.
    success : Success
        The probability that all of so many trials succeed.
    n_trials : int, default=1
        How many.
    """

    def __init__(self, factor: Factor, success: Success, n_trials: int = 1) -> None:
        self.factor, self.success, self.n_trials = factor, success, n_trials

    @property
    def n_units(self) -> int:
        """One more than the factor has."""
        return self.factor.n_units + 1

    def units(self, theta: Array) -> Array:
        """Bring theta to the factor's units, and set the logarithm beside them."""
        log_success = self.success.log_ratio(theta) + self._log_mean
        return np.column_stack([self.factor.units(theta), log_success / self.n_trials])

    def units_from_unbounded(self, z: Array) -> Array:
        """Bring points of the prior's unbounded space to the same units."""
        log_success = self.success.log_ratio_from_unbounded(z) + self._log_mean
        own = self.factor.units_from_unbounded(z)
        return np.column_stack([own, log_success / self.n_trials])

    @property
    @abstractmethod
    def _log_mean(self) -> float:
        """What is added to log p(success | theta) / p(success)."""

    def refuse_unseen(self, x: Array) -> None:
        """Ask the factor."""
        self.factor.refuse_unseen(x)

    def at(self, x: Array) -> FactorAt:
        """Fix trials."""
        return _TimesSuccessAt(self.factor.at(x))


class RatioTimesSuccess(_TimesSuccess, Ratio):
    """Ratio of simulations that succeeded, times the relative probability of success."""

    def marginal(self, columns: Sequence[int]) -> Ratio:
        """
        Refuse: the probability of success is known of all parameters together.

        Parameters
        ----------
        columns : sequence of int
            The parameters.

        Returns
        -------
        Ratio
            None.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError(
            f"columns must be all parameters, in order, where simulations have failed, got "
            f"{list(columns)}: how likely success is, was learnt of all of them together. Take "
            "AMNPE, which learns from those that succeeded."
        )

    @property
    def _log_mean(self) -> float:
        """Nothing: a ratio is relative, too."""
        return 0.0


class LikelihoodTimesSuccess(_TimesSuccess, Likelihood):
    """Likelihood of simulations that succeeded, times the probability of success."""

    factor: Likelihood

    @property
    def is_density(self) -> bool:
        """Whether the factor is a density."""
        return self.factor.is_density

    @property
    def counts_failures(self) -> bool:
        """They do: their probability is known."""
        return True

    def draw(self, theta: Array, n: int, generator: np.random.Generator) -> Array:
        """Draw observations of simulations that succeed."""
        return self.factor.draw(theta, n, generator)

    def log_mass(self, theta: Array) -> Array:
        """Compute the logarithm of the probability of success."""
        return (self.success.log_ratio(theta) + self._log_mean) / self.n_trials

    @property
    def _log_mean(self) -> float:
        """The logarithm of the probability on average."""
        return float(np.log(self.success.mean))


class _TimesSuccessAt(FactorAt):
    """The product at fixed trials, each of which succeeded."""

    def __init__(self, factor: FactorAt) -> None:
        self.factor = factor

    def __call__(self, u: Array, rows: Rows) -> Array:
        """Add the logarithm."""
        return self.factor(u[:, :-1], rows) + u[:, -1]

    def take(self, rows: Rows | slice) -> FactorAt:
        """Take some of the trials."""
        return _TimesSuccessAt(self.factor.take(rows))
