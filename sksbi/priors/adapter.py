"""The one door through which priors come in."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.stats.distributions import rv_frozen
from torch.distributions import Distribution

from sksbi.priors.base import Prior
from sksbi.priors.custom import CustomPrior
from sksbi.priors.marginals import marginal_prior
from sksbi.priors.multivariate import is_multivariate, multivariate_prior
from sksbi.priors.torch_distributions import torch_prior

__all__ = ["check_prior"]

_N_DRAWS = 16
_TAKEN = (
    "a dict of frozen scipy.stats distributions, such as {'mass': stats.uniform(0, 10)}, a list of "
    "them, a frozen scipy.stats.multivariate_normal or multivariate_t, a torch distribution, or an "
    "object with sample(n, random_state) and log_prob(theta)"
)


def check_prior(prior: object, n_features: int | None = None) -> Prior:
    """
    Turn what a user gives as ``prior`` into a `Prior`.

    Parameters
    ----------
    prior : dict, list, scipy distribution, torch distribution, object or Prior
        A dict of frozen univariate scipy.stats distributions, whose keys name the parameters in
        order; a list or tuple of them; a frozen ``multivariate_normal`` or ``multivariate_t`` of
        scipy; a torch distribution; an object with ``sample(n, random_state)``, ``log_prob(theta)``
        and optionally ``names``, ``support``, the pair (low, high), and ``marginal(columns)``; or a
        `Prior`, which comes back as it is.

        An object's ``sample`` gets ``random_state`` by name, an int, and returns an array (n, D).
        Its ``log_prob`` gets such an array, with the columns in the order of ``names``, and returns
        n log-densities, -inf where the prior is zero: no posterior has draws or density there. It
        may bring its own map between where it is positive and all of R^D, as
        ``to_unbounded(theta)``, ``from_unbounded(z)`` and ``log_abs_det_jacobian(theta, z)``
        (of dz/dtheta); then nothing has to be redrawn, and densities are exact. Without it, draws
        are redrawn, and densities normalised to within a few percent: see `sksbi.posteriors`.
    n_features : int, default=None
        The number D of parameters the prior must have; None takes any.

    Returns
    -------
    Prior
        The prior.

    Raises
    ------
    TypeError
        If ``prior``, or an entry of it, is none of these.
    ValueError
        If its support is no box, it is discrete, its parameters are invalid, or D is not
        ``n_features``.

    Examples
    --------
    >>> from scipy import stats
    >>> from sksbi.priors import check_prior
    >>> prior = check_prior({"mass": stats.uniform(0, 10), "rate": stats.loguniform(1e-3, 1)})
    >>> prior
    MarginalPrior(mass=uniform(0, 10), rate=loguniform(0.001, 1))
    >>> theta = prior.sample(3, random_state=0)
    >>> theta.shape, prior.contains(theta)
    ((3, 2), array([ True,  True,  True]))
    >>> prior.log_prob([[5.0, 0.1], [11.0, 0.1]]).round(3)
    array([-1.933,   -inf])
    """
    adapted = _adapt(prior)
    if n_features is not None and adapted.n_features != n_features:
        raise ValueError(
            f"prior has {adapted.n_features} parameters, theta has {n_features} columns: they must "
            "agree; give one marginal for each column of theta, in order."
        )
    return adapted


def _adapt(prior: object) -> Prior:
    """Choose the adapter by the kind of object."""
    if isinstance(prior, Prior):
        return prior
    made = _make(prior)
    _check_draws(made, prior)
    return made


def _make(prior: object) -> Prior:
    """Make a prior of what is none yet."""
    if isinstance(prior, Mapping | list | tuple):
        return marginal_prior(prior)
    if isinstance(prior, rv_frozen):
        raise TypeError(
            f"prior must be {_TAKEN}, got the single distribution {prior.dist.name}: put it in a "
            "dict or a list."
        )
    if is_multivariate(prior):
        return multivariate_prior(prior)
    if isinstance(prior, Distribution):
        return torch_prior(prior)
    if _has_methods(prior):
        return CustomPrior(prior, check_prior)
    raise TypeError(f"prior must be {_TAKEN}, got {prior!r} of type {type(prior).__name__}.")


def _check_draws(made: Prior, prior: object) -> None:
    """Hold that a prior knows its own draws."""
    theta = made.sample(_N_DRAWS, random_state=0)
    log_p = made.log_prob(theta)
    if not np.isfinite(log_p).all():
        row = int((~np.isfinite(log_p)).argmax())
        raise ValueError(
            f"prior must have a finite log_prob at its own draws, got {log_p[row]} at {theta[row]} "
            f"from {prior!r}: check its parameters."
        )


def _has_methods(prior: object) -> bool:
    """Recognise an instance with the two methods of a prior."""
    methods = (getattr(prior, name, None) for name in ("sample", "log_prob"))
    return not isinstance(prior, type) and all(map(callable, methods))
