"""Warnings of a training that came to its end and learnt nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sksbi.exceptions import TrainingWarning
from sksbi.utils.warn import warn_user

__all__ = ["warn_of_few", "warn_of_rising_loss", "warn_of_worse_than_nothing"]

_FEW = 8
_FIRST_EPOCHS, _LATER_EPOCHS = 3, 4
_LEAST_RISE = 0.2
_ERRORS, _FEWEST = 2.0, 10


def warn_of_few(n: int) -> None:
    """
    Warn where nothing can be learnt.

    Parameters
    ----------
    n : int
        The number of simulations.

    Warns
    -----
    TrainingWarning
        If they are fewer than 8.
    """
    if n < _FEW:
        warn_user(
            f"fit has {n} simulations of positive weight, and nothing can be learnt from fewer "
            f"than {_FEW}: the posterior means nothing. Simulate more; a thousand are a start.",
            TrainingWarning,
        )


def warn_of_rising_loss(history: Sequence[dict[str, Any]], lr: float) -> bool:
    """
    Warn where the best epoch is one of the first three, and the training loss rose by 0.2 nats.

    Parameters
    ----------
    history : sequence of dict
        The epochs of this training, with "train_loss" and, unless nothing was held out,
        "valid_loss".
    lr : float
        The highest learning rate.

    Returns
    -------
    bool
        Whether a warning was given.
    """
    train = np.array([epoch["train_loss"] for epoch in history])
    valid = np.array([epoch.get("valid_loss", np.nan) for epoch in history])
    best = int(np.argmin(train if np.isnan(valid).any() else valid))
    if best >= _FIRST_EPOCHS or len(train) <= best + _LATER_EPOCHS:
        return False
    later = float(np.median(train[best + 1 :]))
    if later <= train[: best + 1].max() + _LEAST_RISE:
        return False
    warn_user(
        f"the training did not get beyond epoch {best + 1} of {len(train)}: its loss rose from "
        f"{train[best]:.4g} there to {later:.4g} after it. The steps are too large: take a smaller "
        f"lr (it is {lr:g}), fewer or less alike columns of x (x_features), or look for outliers.",
        TrainingWarning,
    )
    return True


def warn_of_worse_than_nothing(
    losses: NDArray[np.floating],
    uninformed: NDArray[np.floating],
    weights: NDArray[np.floating],
    what: str,
    trained: float,
    lr: float,
    longer: str = "train longer (max_epochs)",
) -> None:
    """
    Warn where held-out losses are worse than without any x, by two standard errors.

    Rows where one of both is not finite are left out: rounded, theta may lie where the prior is
    zero.

    Parameters
    ----------
    losses : ndarray of shape (n,)
        What the network lost on rows that it was not trained on.
    uninformed : ndarray of shape (n,)
        What an answer that does not look at x loses on them.
    weights : ndarray of shape (n,)
        Weights of the rows.
    what : str
        What that answer is.
    trained : float
        What the network lost in its last epoch on the rows that it was trained on.
    lr : float
        The highest learning rate.
    longer : str, optional
        How to learn more.
    """
    known = np.isfinite(losses) & np.isfinite(uninformed)
    losses, uninformed, weights = losses[known], uninformed[known], weights[known]
    worse = losses.astype(float) - uninformed
    if len(worse) < _FEWEST:
        return
    share = weights / weights.sum()
    mean = float(share @ worse)
    error = float(np.sqrt((share**2) @ (worse - mean) ** 2))
    if mean > _ERRORS * error:
        by_heart = "It learnt its rows by heart: stop earlier (patience)"
        little = f"It learnt little: {longer}, with a smaller lr (it is {lr:g})"
        advice = by_heart if trained < share @ uninformed else little
        warn_user(
            f"on {len(worse)} simulations held out, the loss is {share @ losses:.4g}, and that of "
            f"{what} is {share @ uninformed:.4g}: worse by {mean:.2g} +- {error:.1g}, so the fit "
            f"is of no use as it is. {advice}, give more simulations, or make fewer and more "
            "telling columns of x (x_features, embedding).",
            TrainingWarning,
        )
