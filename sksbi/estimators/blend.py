r"""
Blends of classifiers, whose shares and sharpness are measured on rows that they have not seen.

Each classifier k is fitted on all folds but one, which it then judges. The shares w maximise

.. math::
    \sum_i \log \sum_k w_k \, p_k(m_i | x_i)

(by EM, a step of which is the mean of the shares' posterior), and the temperature T maximises the
likelihood of p^(1/T), normalised: above 1 it takes back what the classifiers are too sure of. What
is asked later is the mean over folds, of logarithms: that of probabilities would be less sure than
each of them. One pseudo-observation of each class is added, as in
Laplace's rule of succession: that n simulations all came from one model says no more than that the
other has less than about one in n of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning

from sksbi.utils.types import Array, Rows

__all__ = ["Blend", "fit_blend"]

Split = tuple[Rows, Rows]
Classes = NDArray[np.intp]

_EM_STEPS = 200
_LEAST_SHARE = 0.02
_MOST_TEMPERATURE = 20.0


@dataclass(frozen=True, eq=False)
class Blend:
    """
    Fitted classifiers, and what each counts.

    Parameters
    ----------
    members : dict of list of classifier
        The classifiers by name, one fitted without each fold.
    shares : dict of float
        What each counts; they add up to one.
    temperature : float
        What the logarithms of the probabilities are divided by.
    n : int
        The number of rows behind it.
    log_loss : float
        The mean of minus log-probabilities of what was true, on rows held out.
    """

    members: Mapping[str, Sequence[Any]]
    shares: Mapping[str, float]
    temperature: float
    n: int
    log_loss: float

    def predict(self, x: Any) -> Array:
        """
        Compute the probabilities of the classes, as they are among the rows of fit.

        Parameters
        ----------
        x : array-like of m rows
            What the classifiers take.

        Returns
        -------
        ndarray of shape (m, K)
            The probabilities.
        """
        log_p = [np.log(_smoothed(self._of_fold(fold, x), self.n)) for fold in range(self.n_folds)]
        return _finished(_normalised(np.mean(log_p, axis=0)), self.temperature, self.n)

    @property
    def n_folds(self) -> int:
        """The number of fits of each classifier."""
        return len(next(iter(self.members.values())))

    def _of_fold(self, fold: int, x: Any) -> Array:
        """Blend the fits that have not seen a fold."""
        each = (self.shares[k] * own[fold].predict_proba(x) for k, own in self.members.items())
        return np.asarray(sum(each), dtype=np.float64)


def fit_blend(
    classifiers: Mapping[str, BaseEstimator],
    x: Any,
    classes: Classes,
    splits: Sequence[Split],
    *,
    calibrated: bool = True,
    n_jobs: int | None = None,
) -> Blend:
    """
    Fit classifiers on folds, and find what each counts.

    Parameters
    ----------
    classifiers : dict of classifier
        The classifiers by name, with ``predict_proba``; they are cloned.
    x : ndarray or DataFrame of n rows
        What they take.
    classes : ndarray of int, of shape (n,)
        The classes, 0 to K - 1, each in every part of every split.
    splits : sequence of pairs of ndarray of int
        The rows to fit to, and those to judge.
    calibrated : bool, default=True
        Whether a temperature is learnt.
    n_jobs : int or None, default=None
        How many fits run at once, as in joblib.

    Returns
    -------
    Blend
        The blend; classifiers that count less than a fiftieth are left out.
    """
    fits = Parallel(n_jobs=n_jobs)(
        delayed(_fit_and_judge)(clone(classifier), x, classes, split)
        for classifier in classifiers.values()
        for split in splits
    )
    own = [fits[k : k + len(splits)] for k in range(0, len(fits), len(splits))]
    probabilities = np.stack([np.concatenate([judged for _, judged in fits]) for fits in own])
    truth = classes[np.concatenate([test for _, test in splits])]
    n, rows = len(truth), np.arange(len(truth))
    shares = _find_shares(_smoothed(probabilities, n)[:, rows, truth])
    blended = np.tensordot(shares, probabilities, 1)
    temperature = _find_temperature(blended, truth) if calibrated else 1.0
    log_loss = -float(np.log(_finished(blended, temperature, n)[rows, truth]).mean())
    members = {
        name: [one for one, _ in fits]
        for name, fits, share in zip(classifiers, own, shares, strict=True)
        if share > 0
    }
    kept = dict(zip(members, shares[shares > 0].tolist(), strict=True))
    return Blend(members, kept, temperature, n, log_loss)


def _fit_and_judge(classifier: Any, x: Any, classes: Classes, split: Split) -> tuple[Any, Array]:
    """Fit a classifier without a fold, and give its probabilities there."""
    train, test = split
    take = (lambda rows: x.iloc[rows]) if hasattr(x, "iloc") else (lambda rows: x[rows])
    with warnings.catch_warnings():
        # It is judged by what it does, converged or not.
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(take(train), classes[train])
    return classifier, np.asarray(classifier.predict_proba(take(test)), dtype=np.float64)


def _find_shares(likelihood: Array) -> Array:
    """Find the shares of classifiers by the probabilities (K, n) that they gave to the truth."""
    shares = np.full(len(likelihood), 1 / len(likelihood))
    for _ in range(_EM_STEPS):
        joint = shares[:, None] * likelihood
        shares = (joint / joint.sum(axis=0)).mean(axis=1)
    shares[shares < _LEAST_SHARE] = 0.0
    return shares / shares.sum()


def _find_temperature(probabilities: Array, truth: Classes) -> float:
    """Find the temperature at which the truth is likeliest."""

    def loss(log_t: float) -> float:
        finished = _finished(probabilities, np.exp(log_t), len(truth))
        return -float(np.log(finished[np.arange(len(truth)), truth]).mean())

    edge = np.log(_MOST_TEMPERATURE)
    return float(np.exp(minimize_scalar(loss, bounds=(-edge, edge), method="bounded").x))


def _finished(probabilities: Array, temperature: float, n: int) -> Array:
    """Divide logarithms by a temperature, and normalise; before and after, n rows are known."""
    log_p = np.log(_smoothed(probabilities, n)) / temperature
    return _smoothed(_normalised(log_p), n)


def _normalised(log_p: Array) -> Array:
    """Make probabilities that add up to one."""
    p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def _smoothed(probabilities: Array, n: int) -> Array:
    """Add a pseudo-observation of every class to n rows."""
    return (n * probabilities + 1) / (n + probabilities.shape[-1])
