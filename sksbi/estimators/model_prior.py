"""What a user says about the probabilities of models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sksbi.utils.types import Array
from sksbi.utils.validation import check_numbers

__all__ = ["check_model_prior"]


def check_model_prior(prior: Any, models: NDArray[Any], shares: Array) -> Array:
    """
    Bring prior probabilities of models into the order of the models.

    Parameters
    ----------
    prior : None, "equal", dict, Series or array-like of shape (K,)
        The probabilities; None: the shares.
    models : ndarray of shape (K,)
        The models.
    shares : ndarray of shape (K,)
        How often each occurs in the simulations.

    Returns
    -------
    ndarray of shape (K,)
        The probabilities, which add up to one.

    Raises
    ------
    ValueError
        If they do not, some are negative, or they are not those of the models.
    TypeError
        If they are no numbers.
    """
    if prior is None:
        return shares
    if isinstance(prior, str):
        if prior != "equal":
            raise ValueError(
                f"prior must be None, 'equal', or the probability of each model, got {prior!r}."
            )
        return np.full(len(models), 1 / len(models))
    if isinstance(prior, Mapping | pd.Series):
        prior = _in_order(dict(prior), models)
    values = check_numbers(prior, "prior", ensure_2d=False)
    if values.shape != (len(models),):
        raise ValueError(
            f"prior must have one probability for each of the {len(models)} models "
            f"{models.tolist()}, got shape {values.shape}."
        )
    if (values < 0).any() or not np.isclose(values.sum(), 1):
        raise ValueError(
            f"prior must be probabilities, 0 or more, which add up to 1, got {values.tolist()}."
        )
    return values / values.sum()


def _in_order(prior: dict[Any, Any], models: NDArray[Any]) -> list[Any]:
    """Take the probabilities of all models by name."""
    names = models.tolist()
    if set(prior) != set(names):
        raise ValueError(f"prior must be of the models {names}, got {list(prior)}.")
    return [prior[name] for name in names]
