"""Steps on x, one after the other: the log-determinant of all of them, and the way back."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from sksbi.preprocessing.jacobian import log_abs_det_jacobian
from sksbi.utils.types import Array

__all__ = ["check_invertible", "invert_steps", "list_steps", "log_abs_det_of_steps"]

Steps = Sequence[tuple[str, Any]]


def list_steps(steps: Steps) -> list[tuple[str, Any]]:
    """
    List what transforms, with the steps of pipelines in place of these.

    Parameters
    ----------
    steps : list of (str, transformer)
        Fitted transformers; None and "passthrough" do nothing.

    Returns
    -------
    list of (str, transformer)
        Those that do something.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import MinMaxScaler, StandardScaler
    >>> from sksbi.preprocessing.steps import list_steps
    >>> list_steps([("a", "passthrough"), ("b", make_pipeline(StandardScaler()))])
    [('b__standardscaler', StandardScaler())]
    """
    return list(_flat(steps, ""))


def _flat(steps: Steps, prefix: str) -> Iterator[tuple[str, Any]]:
    """Walk through the steps."""
    for name, step in steps:
        if isinstance(step, Pipeline):
            yield from _flat(step.steps, f"{prefix}{name}__")
        elif step not in (None, "passthrough"):
            yield prefix + name, step


def log_abs_det_of_steps(steps: Steps, x: Any) -> Array:
    """
    Compute log |det dT(x)/dx| of fitted steps T.

    Parameters
    ----------
    steps : list of (str, transformer)
        What :func:`list_steps` gives.
    x : array or DataFrame of shape (n, L)
        Where to take it.

    Returns
    -------
    ndarray of shape (n,)
        The log-determinants.

    Raises
    ------
    TypeError
        If that of a step is not known.
    """
    total = np.zeros(len(x))
    for name, step in steps:
        try:
            total = total + log_abs_det_jacobian(step, np.asarray(x, dtype=np.float64))
        except (TypeError, ValueError) as error:
            reason = str(error).replace("theta_transformer", "it").replace("theta", "x")
            raise TypeError(
                "log_likelihood and score of a Pipeline are of a density in the units of x, for "
                "which the log-determinant of every step must be known; that of the step "
                f"{name!r}, {step!r}, is not: {reason} Give x as it is to the estimator, with a "
                "transformer that is invertible as its x_transformer; or ask the last step about "
                "what the others make of x. To choose between pipelines, take the scorer "
                "'log_prob' of sksbi.metrics, which does not depend on the units of x."
            ) from error
        x = step.transform(x)
    return total


def check_invertible(steps: Steps) -> None:
    """
    Hold that steps have a way back, on which nothing is missing.

    Parameters
    ----------
    steps : list of (str, transformer)
        What :func:`list_steps` gives.

    Raises
    ------
    TypeError
        If one has none, or gives fewer columns than it takes.
    """
    for name, step in steps:
        taken = getattr(step, "n_features_in_", None)
        if taken is not None and _count_outputs(step, taken) < taken:
            raise TypeError(
                "emulate of a Pipeline goes back through its steps, and the step "
                f"{name!r}, {step!r}, makes {_count_outputs(step, taken)} columns of {taken}, from "
                "which these cannot be had again: emulate by the last step, in its own units, or "
                "give x as it is to the estimator."
            )
        if not hasattr(step, "inverse_transform"):
            raise TypeError(
                "emulate of a Pipeline goes back through its steps, and the step "
                f"{name!r}, {step!r}, has no inverse_transform: emulate by the last step, in its "
                "own units, or give x as it is to the estimator."
            )


def _count_outputs(step: Any, taken: int) -> int:
    """Count the columns that a step gives."""
    try:
        return len(step.get_feature_names_out())
    except (AttributeError, ValueError, TypeError):
        return taken


def invert_steps(steps: Steps, x: Any) -> Any:
    """
    Go back through fitted steps.

    Parameters
    ----------
    steps : list of (str, transformer)
        What :func:`list_steps` gives, all with ``inverse_transform``.
    x : array or DataFrame of shape (n, ...)
        What they could have given.

    Returns
    -------
    array or DataFrame of shape (n, ...)
        What they were given.
    """
    with warnings.catch_warnings():
        # Some steps of scikit-learn 1.6 ask for fit's names on the way back, too.
        warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
        for _, step in reversed(steps):
            x = step.inverse_transform(x)
    return x
