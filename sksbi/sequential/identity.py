"""
Telling whether rounds that were begun before are of the same run.

Priors and estimators may hold objects whose text is an address in memory, or leaves out what
matters. So priors are compared by their densities at a few of their draws, estimators by their
parameters, as far as these have a text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.base import clone

from sksbi.priors import Prior
from sksbi.priors.trace import trace
from sksbi.tables.names import has_names

__all__ = ["check_began", "check_goes_on", "identity_of"]

_DRAWS, _CLOSE = 8, 1e-6
# What may differ, or is compared apart.
_FREE = ("checkpoint", "device", "n_jobs", "prior", "random_state", "verbose")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def identity_of(run: Any) -> dict[str, Any]:
    """
    Write down what the numbers of a run depend on, as JSON has it.

    Parameters
    ----------
    run : SequentialRun
        The run.

    Returns
    -------
    dict
        What it is.
    """
    return {
        "seed": run.seed,
        "estimator": _describe(run.settings.estimator),
        "proposal": run.settings.proposal,
        "n_simulations": run.counts[:1],
        "x_observed": _digest(_contents(run.x_observed)),
        "pairs": _digest(run.given),
        "prior": _marks_of(run.base),
    }


def check_began(run: Any, found: dict[str, Any]) -> None:
    """
    Hold that a store was begun with the prior and the seed of a run.

    Parameters
    ----------
    run : SequentialRun
        The run.
    found : dict
        What the store was begun with.

    Raises
    ------
    ValueError
        If it was not.
    """
    if not _is_same_prior(run.base, found["prior"]):
        raise ValueError(
            f"store was begun with another prior, {found['prior']['text']}, got {run.base!r}: "
            "give the same, or another folder."
        )
    is_int = isinstance(run.settings.random_state, int | np.integer)
    if is_int and found["seed"] != run.seed:
        raise ValueError(
            "store was begun with another random_state: give the same, or another folder."
        )


def check_goes_on(run: Any, progress: Any, x_observed: Any) -> None:
    """
    Hold that a run may go on after rounds that have ended.

    Parameters
    ----------
    run : SequentialRun
        The run.
    progress : Progress
        The rounds.
    x_observed : object
        What they were for.

    Raises
    ------
    ValueError
        If it may not.
    """
    if _digest(_contents(x_observed)) != _digest(_contents(run.x_observed)):
        raise ValueError(
            "x_observed must be as in the fit that warm_start goes on from: for another "
            "observation set warm_start=False."
        )
    before = progress.proposals.base
    if not _is_same_prior(run.base, _marks_of(before)):
        raise ValueError(
            f"the prior must be as in the fit that warm_start goes on from, {before!r}, "
            f"got {run.base!r}: set warm_start=False."
        )
    if type(progress.proposals) is not type(run.progress.proposals):
        raise ValueError(
            "proposal must be as in the fit that warm_start goes on from, got "
            f"{run.settings.proposal!r}: set warm_start=False."
        )
    if progress.on_error != run.progress.on_error:
        raise ValueError(
            f"on_error must be as in the fit that warm_start goes on from, {progress.on_error!r}, "
            f"got {run.progress.on_error!r} for {run.settings.estimator!r}: set warm_start=False."
        )
    counted = (progress.theta[0], progress.x[0]) if progress.n_given else None
    if run.given is not None and _digest(run.given) != _digest(counted):
        raise ValueError(
            "theta and x must be given to the first fit, not to one that goes on by "
            "warm_start=True: set warm_start=False."
        )


def _describe(estimator: Any) -> str:
    """Write down the parameters of an estimator that its numbers depend on."""
    made = deepcopy(clone(estimator))  # as clone shares what is frozen with the user
    free = [name for name in made.get_params() if name.rsplit("__", 1)[-1] in _FREE]
    made.set_params(**dict.fromkeys(free))
    return " ".join(_ADDRESS.sub("", made.__repr__(N_CHAR_MAX=1_000_000)).split())


def _contents(x: Any) -> Any:
    """Take observations out of their container, values by name where they have names."""
    if isinstance(x, pd.DataFrame):
        x = dict(x.items())
    elif isinstance(x, pd.Series) and has_names(x.index):
        x = x.to_dict()
    if isinstance(x, Mapping):
        return sorted((str(name), _contents(value)) for name, value in x.items())
    array = np.asarray(x)
    return (array + 0.0).tolist() if array.dtype.kind in "biuf" else array.tolist()


def _digest(value: Any) -> str:
    """Make a short text of contents."""
    return hashlib.sha256(joblib.hash(value).encode()).hexdigest()[:16]


def _marks_of(prior: Prior) -> dict[str, Any]:
    """Write down what a prior is known by: some draws, and their log-densities."""
    text = _ADDRESS.sub("", repr(prior))
    return {"text": text} | trace(prior, prior.sample(_DRAWS, random_state=0))


def _is_same_prior(prior: Prior, marks: dict[str, Any]) -> bool:
    """Tell whether a prior has the names and densities that another has."""
    theta = np.asarray(marks["theta"])
    names = None if prior.names is None else list(map(str, prior.names))
    if names != marks["names"] or theta.shape[1] != prior.n_features:
        return False
    close = np.allclose(prior.log_prob(theta), marks["log_prob"], rtol=_CLOSE, atol=_CLOSE)
    return bool(close)
