"""What the displays ask of a fitted estimator."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["fitted_step", "sample_one"]


def fitted_step(estimator: Any, attribute: str) -> Any:
    """Return the object that has this attribute: the estimator, or a pipeline's last step."""
    if hasattr(estimator, attribute):
        return estimator
    try:
        last = estimator[-1]
    except (TypeError, KeyError, IndexError):
        last = None
    if hasattr(last, attribute):
        return last
    raise ValueError(
        f"estimator must have {attribute!r}, or be a pipeline whose last step has it, got "
        f"{type(estimator).__name__}; call fit first, and of a search give best_estimator_."
    )


def sample_one(estimator: Any, x: object, n_samples: int, random_state: object) -> Any:
    """Draw from the posterior of one observation, (n_samples, D); a batch raises."""
    draws = estimator.sample(x, n_samples, random_state=random_state)
    index = getattr(draws, "index", None)
    if np.ndim(draws) != 2 or getattr(index, "nlevels", 1) > 1:
        raise ValueError(
            "x must be one observation, got a batch whose draws have shape "
            f"{np.shape(draws)}; give one row of it, x.iloc[0] or x[0]."
        )
    return draws
