"""What a run of rounds is given: the estimator, its prior, counts, pairs, observations; checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from sksbi.estimators.base import BaseInference
from sksbi.priors import Prior
from sksbi.sequential.narrowing import Atomic, Boxes, Narrowing
from sksbi.sequential.posterior_proposals import PosteriorProposals
from sksbi.sequential.restricted import final_of
from sksbi.tables.layout import ObservationLayout
from sksbi.tables.names import check_pairs
from sksbi.tables.simulated import Table, form_of, gaps
from sksbi.tables.theta import theta_table, warn_of_other_theta
from sksbi.utils.containers import as_floats, plain

__all__ = [
    "check_first",
    "check_observed",
    "check_parameters",
    "choose_proposals",
    "counts_of",
    "layout_of",
    "on_error_of",
    "places_of_prior",
    "read_pairs",
]

_OF_POSTERIORS = (
    "Rounds take simulations of the prior, not those of other rounds. If it is only that "
    "simulations that failed were left out, all is well."
)


def places_of_prior(estimator: Any) -> list[str]:
    """Find the parameters of an estimator and of its parts that are the prior."""
    if isinstance(estimator, type):
        raise TypeError(
            f"estimator must be an instance, got the class: give {estimator.__name__}(prior)."
        )
    given = estimator.get_params()
    names = [
        name
        for name, value in given.items()
        if (name == "prior" or name.endswith("__prior"))
        and "sampler__" not in name
        and value is not None
    ]
    if not names:
        raise ValueError(
            f"estimator must have the prior, from which rounds draw, got {estimator!r}: give it, "
            "as in NPE(prior)."
        )
    return sorted(names, key=len)


def check_parameters(estimator: Any) -> None:
    """Let an estimator and its parts check their parameters, before time is spent."""
    for part in (estimator, *estimator.get_params().values()):
        if isinstance(part, BaseInference):
            part._validate_params()


def counts_of(settings: Any) -> list[int]:
    """List the simulations of every round."""
    given = settings.n_simulations
    counts = [given] * settings.n_rounds if np.ndim(given) == 0 else list(given)
    whole = all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in counts)
    if not counts or not whole or min(counts) < 2:
        raise ValueError(
            f"n_simulations must be an int of at least 2, or a list of such, got {given!r}."
        )
    return [int(n) for n in counts]


def read_pairs(estimator: Any, base: Prior, theta: Any, x: Any) -> tuple[Table, Table] | None:
    """Read pairs that are there already, theta in the form in which rounds draw it."""
    if theta is None and x is None:
        return None
    if theta is None or x is None:
        raise ValueError("theta and x must both be given, or neither.")
    check_pairs(theta, x, None, trials=False)
    theta = theta_table(theta)
    inside, values = base.contains(theta), as_floats(theta, "theta")
    if not inside.all():
        raise ValueError(
            f"theta must be drawn from the prior, got {values[~inside][0]}, where it is zero."
        )
    names = base.names or range(base.n_features)
    if getattr(final_of(estimator), "_estimates", "posterior") == "posterior":
        warn_of_other_theta(values, base, names, _OF_POSTERIORS)
    else:
        warn_of_other_theta(values, base, names)
    named: Table = values if base.names is None else pd.DataFrame(values, columns=base.names)
    x = plain(x, "x")
    return named, x if isinstance(x, pd.DataFrame) else np.asarray(x)


def check_first(
    estimator: Any, x_observed: Any, given: tuple[Table, Table] | None, x: Table
) -> None:
    """Hold that observations, or pairs that were given, look like the first simulations."""
    if given is not None:
        forms = [_form_of_rows(table) for table in (given[1], x)]
        if forms[0] != forms[1]:
            raise ValueError(
                f"x must have the form in which the simulator returns it, a row as {forms[1]}, got "
                f"{forms[0]}."
            )
        return
    values = list(x_observed.values()) if isinstance(x_observed, Mapping) else x_observed
    missing = pd.isna(np.asarray(values, dtype=object)).any()
    if not (missing or _has_more_than_numbers(x) or gaps(x)[0].any()):  # few rows do not tell
        check_observed(estimator, x_observed, x)


def _form_of_rows(table: Table) -> str:
    """Put the form of a table's rows into words."""
    return form_of(table if isinstance(table, pd.DataFrame) else np.asarray(table[0]))


def _has_more_than_numbers(x: Table) -> bool:
    """Tell whether a table has text or categories."""
    dtypes = x.dtypes if isinstance(x, pd.DataFrame) else [x.dtype]
    return not all(pd.api.types.is_numeric_dtype(dtype) for dtype in dtypes)


def layout_of(estimator: Any, x: Table) -> ObservationLayout:
    """Learn how observations of simulations x are read; a pipeline takes any table."""
    is_pipeline = hasattr(estimator, "steps")
    return ObservationLayout.learn(
        x,
        encoded=is_pipeline or estimator._takes_any_table,
        trials=getattr(estimator, "_has_trials", False),
        may_miss=is_pipeline or estimator._may_miss,
    )[0]


def check_observed(
    estimator: Any, x_observed: Any, x: Table, of: str = "what the simulator returns"
) -> None:
    """Hold that the observations look like simulations, before time is spent on a fit."""
    if hasattr(estimator, "steps"):
        return
    layout = layout_of(estimator, x)
    try:
        layout.read(x_observed)
    except (TypeError, ValueError) as error:
        raise type(error)(f"x_observed, beside {of}: {error}") from error


def choose_proposals(estimator: Any, given: str) -> Callable[[Prior], Any]:
    """Choose where parameters are drawn."""
    final = final_of(estimator)
    estimates = getattr(final, "_estimates", "posterior")
    of_marginals = "masks" in final.get_params(deep=False)
    if given in ("auto", "truncated"):
        return Boxes if of_marginals else Narrowing
    if given == "atomic":
        has_flow = "flow" in final.get_params(deep=False)
        if not has_flow or of_marginals or estimates != "posterior":
            raise ValueError(
                "proposal='atomic' is for NPE, whose density the atomic loss trains, got "
                f"{type(final).__name__}: take 'truncated'."
            )
        return Atomic
    if estimates not in ("ratio", "likelihood") or of_marginals:
        raise ValueError(
            "proposal='posterior' is for ratio and likelihood estimators (NLE, NRE, "
            f"ClassifierRatio), got {type(final).__name__}: take 'truncated'."
        )
    return PosteriorProposals


def on_error_of(settings: Any) -> str:
    """Choose what is done with failures."""
    is_atomic = settings.proposal == "atomic"
    if settings.on_error == "drop" and is_atomic:
        raise ValueError(
            "proposal='atomic' needs the simulations that failed, whose parameters are atoms, too: "
            "on_error must be 'auto', 'keep' or 'raise', got 'drop'."
        )
    if settings.on_error != "auto":
        return str(settings.on_error)
    estimates = getattr(final_of(settings.estimator), "_estimates", "posterior")
    return "keep" if is_atomic or estimates in ("ratio", "likelihood") else "drop"
