"""Draws for ArviZ, which plots and compares Markov chains and posteriors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from numpy.typing import ArrayLike

from sksbi.inspection._named import parameter_labels
from sksbi.tables.draws import as_float, check_draws, check_same_columns, check_stack, is_stack
from sksbi.utils.settings import check_flag
from sksbi.utils.types import Array, Draws, Table

if TYPE_CHECKING:
    from xarray import DataTree

__all__ = ["to_inference_data"]


def to_inference_data(
    draws: Table | Draws,
    *,
    chains: bool = False,
    names: Sequence[str] | None = None,
    prior: Table | None = None,
    posterior_predictive: Table | None = None,
    observed_data: ArrayLike | None = None,
) -> DataTree:
    """
    Put draws into ArviZ's form.

    Parameters
    ----------
    draws : array-like or DataFrame of shape (n, D) or (m, n, D)
        Draws for one observation, or as ``sample`` returns them for a batch of m, which become a
        dimension ``observation``.
    chains : bool, default=False
        Whether the first of three dimensions counts Markov chains, instead of observations.
    names : sequence of D str, default=None
        The parameters' names; the default is the columns, for arrays theta_0, theta_1 and so on.
    prior : array-like or DataFrame of shape (k, D), default=None
        Draws from the prior.
    posterior_predictive : array-like or DataFrame of shape (n, L), default=None
        Simulations at the draws, for one observation: the variable x.
    observed_data : array-like or Series of shape (L,), default=None
        The observation: the variable x.

    Returns
    -------
    xarray.DataTree
        What ArviZ takes as inference data, with the groups that were given: posterior, prior,
        posterior_predictive, observed_data.

    Raises
    ------
    ImportError
        If arviz-base is missing.
    TypeError
        If an entry is no real number.
    ValueError
        If shapes or names do not match.

    Examples
    --------
    >>> import pandas as pd
    >>> from sksbi.diagnostics import to_inference_data
    >>> draws = pd.DataFrame({"mass": [1.0, 2.0, 3.0], "rate": [0.1, 0.2, 0.3]})
    >>> data = to_inference_data(draws)
    >>> float(data["posterior"]["mass"].mean())
    2.0
    """
    from_dict, chains = _import_from_dict(), check_flag(chains, "chains")
    values, columns, labels = _read(draws)
    names = parameter_labels(names, columns, values.shape[2])
    has_observations = is_stack(draws) and not chains
    if has_observations:
        values = values.swapaxes(0, 1)[None]  # chain, draw, observation
    dims = dict.fromkeys(names, ["observation"]) if has_observations else {}
    data = from_dict(
        {"posterior": _variables(values, names)},
        dims=dims,
        coords={"observation": labels} if dims else {},
    )
    groups = {}
    if prior is not None:
        groups["prior"] = _variables(_check_prior(prior, names, columns)[None], names)
    if posterior_predictive is not None:
        simulated = as_float(posterior_predictive, "posterior_predictive")
        groups["posterior_predictive"] = {"x": simulated[None]}
    if observed_data is not None:
        groups["observed_data"] = {"x": as_float(observed_data, "observed_data")}
    return data.assign(from_dict(groups).children) if groups else data


def _import_from_dict() -> Callable[..., DataTree]:
    """Import what makes inference data, or tell how to install it."""
    try:
        from arviz_base import from_dict
    except ImportError as error:
        raise ImportError(
            "to_inference_data needs arviz-base, which is not installed: "
            'pip install "sksbi[arviz]".'
        ) from error
    return from_dict


def _variables(values: Array, names: list[str]) -> dict[str, Array]:
    """Make one variable of each parameter."""
    return {name: values[..., j] for j, name in enumerate(names)}


def _check_prior(prior: Table, names: list[str], columns: list[str] | None) -> Array:
    """Check draws from the prior against the names of the parameters."""
    table, prior_columns = check_draws(prior, "prior")
    check_same_columns(prior_columns, names if columns else None, "prior", "draws")
    if table.shape[1] != len(names):
        raise ValueError(f"prior must have {len(names)} columns, got {table.shape[1]}.")
    return table


def _read(draws: Table | Draws) -> tuple[Array, list[str] | None, list[Any]]:
    """Check draws: values of three dimensions, the names of the columns, those of the first."""
    if not is_stack(draws):
        values, columns = check_draws(draws, "draws")
        return values[None], columns, [0]
    values, columns = check_stack(draws)
    if isinstance(draws, pd.DataFrame):
        return values, columns, list(draws.index.unique(0))
    return values, columns, list(range(len(values)))
