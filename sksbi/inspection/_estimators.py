"""What the displays ask of a fitted estimator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from sksbi.metrics import HeldOutDraws, draw_held_out
from sksbi.utils.types import RandomState, Row, Table

__all__ = ["fitted_step", "parameter_names", "sample_many", "sample_one", "x_names"]


def fitted_step(estimator: Any, attribute: str) -> Any:
    """Return the object that has this attribute: the estimator, or a pipeline's last step."""
    for step in _steps(estimator):
        if hasattr(step, attribute):
            return step
    raise ValueError(
        f"estimator must have {attribute!r}, or be a pipeline whose last step has it, got "
        f"{type(estimator).__name__}; call fit first, and of a search give best_estimator_."
    )


def sample_one(
    estimator: Any, x: Row, n_samples: int, random_state: RandomState, **options: Any
) -> Any:
    """Draw for one observation, (n_samples, D): a table where fit or the prior knew names."""
    _check_samples(estimator, x)
    draws = estimator.sample(x, n_samples, random_state=random_state, **options)
    index = getattr(draws, "index", None)
    if np.ndim(draws) != 2 or getattr(index, "nlevels", 1) > 1:
        raise ValueError(
            "x must be one observation, got a batch whose draws have shape "
            f"{np.shape(draws)}; give one row of it, x.iloc[0] or x[0]; if the rows are "
            "independent trials of one theta, iid=True, where the display has it."
        )
    names = None if isinstance(draws, pd.DataFrame) else _prior_names(estimator)
    return draws if names is None else pd.DataFrame(draws, columns=names)


def sample_many(
    estimator: Any,
    theta: Table,
    x: Table,
    n_samples: int,
    random_state: RandomState,
    **options: Any,
) -> HeldOutDraws:
    """Draw at held-out pairs; where theta is an array and the prior has names, they are used."""
    held_out = draw_held_out(estimator, theta, x, n_samples, random_state=random_state, **options)
    names = None if isinstance(theta, pd.DataFrame) else _prior_names(estimator)
    return held_out if names is None else replace(held_out, names=names)


def parameter_names(estimator: Any) -> list[str] | None:
    """Return what fit knew of the parameters' names, from theta's columns or from the prior."""
    for step in _steps(estimator):
        if hasattr(step, "parameter_names_"):
            return [str(name) for name in step.parameter_names_]
    return None


def x_names(estimator: Any) -> list[str] | None:
    """Return the names of x's columns, if fit was given a table, or its pipeline was."""
    template = getattr(estimator, "x_template_", None)
    if template is not None:
        columns = getattr(template, "columns", None)
        return None if columns is None else [str(name) for name in columns]
    names = getattr(getattr(estimator, "x_layout_", None), "names", None)
    return None if names is None else list(names)


def _prior_names(estimator: Any) -> list[str] | None:
    """Return the parameters' names if fit knew them from the prior."""
    for step in _steps(estimator):
        if getattr(getattr(step, "prior_", None), "names", None) is not None:
            return step.parameter_names_
    return None


def _steps(estimator: Any) -> Iterator[Any]:
    """Give the estimator, and the last step if it is a pipeline."""
    yield estimator
    try:
        yield estimator[-1]
    except (TypeError, KeyError, IndexError):
        return


def _check_samples(estimator: Any, x: Row) -> None:
    """Check that the estimator can draw; a table's own ``sample`` is something else."""
    no_estimator = isinstance(estimator, type | pd.DataFrame | pd.Series)
    if not no_estimator and callable(getattr(estimator, "sample", None)):
        return
    hint = "Of a search give best_estimator_, and of a pipeline one of sksbi.pipeline."
    if isinstance(estimator, type):
        hint = "Give an instance after fit."
    elif hasattr(x, "fit"):
        hint = "Were estimator and x swapped? The estimator comes first."
    raise TypeError(
        "estimator must be a fitted object that can sample, such as NPE after fit, got "
        f"{estimator if isinstance(estimator, type) else type(estimator).__name__}. {hint}"
    )
