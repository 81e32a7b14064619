"""How posteriors lie about the truth and in the prior: contraction and z-score."""

from __future__ import annotations

import numpy as np

from sksbi.tables.draws import check_batch, check_draws, check_same_columns, check_stack
from sksbi.utils.spread import standard_deviation
from sksbi.utils.types import Array, Draws, Table

__all__ = ["posterior_contraction", "posterior_z_score"]


def posterior_contraction(draws: Draws, prior_draws: Table) -> Array:
    """
    Compute how much of the prior's variance the data have taken away.

    One minus the posterior's variance over the prior's: 0 where x tells nothing about a parameter,
    1 where it tells all. The prior returned as posterior passes all checks of coverage; this is
    what shows it.

    Parameters
    ----------
    draws : array-like of shape (n, n_samples, D) or DataFrame
        Draws for n observations, at least two each; a table as ``sample`` returns it for a batch.
    prior_draws : array-like or DataFrame of shape (n_prior, D)
        Draws from the prior, such as the theta of simulations.

    Returns
    -------
    ndarray of shape (n, D)
        The contractions, at most 1, negative where the posterior is wider than the prior.

    Raises
    ------
    TypeError
        If an entry is no real number.
    ValueError
        If shapes or names do not match, an entry is not finite, or a parameter does not vary in the
        prior.

    References
    ----------
    .. [1] Towards A Principled Bayesian Workflow (Betancourt, 2018).
       https://betanalpha.github.io/assets/case_studies/principled_bayesian_workflow.html

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.metrics import posterior_contraction
    >>> rng = np.random.default_rng(0)
    >>> draws = rng.normal(scale=0.45, size=(3, 10_000, 1))
    >>> posterior_contraction(draws, rng.normal(size=(10_000, 1))).round(1).ravel().tolist()
    [0.8, 0.8, 0.8]
    """
    prior, names = check_draws(prior_draws, "prior_draws", 2)
    values, draws_names = check_stack(draws, 2)
    check_same_columns(draws_names, names, "draws", "prior_draws")
    if values.shape[2] != prior.shape[1]:
        raise ValueError(
            f"draws and prior_draws must have as many columns, got {values.shape[2]} and "
            f"{prior.shape[1]}."
        )
    width = np.ptp(prior, axis=0)
    if (width == 0).any():
        column = int(np.argmin(width))
        raise ValueError(
            f"prior_draws must vary in every column, got {prior[0, column]} throughout column "
            f"{column}."
        )
    with np.errstate(over="ignore"):
        return 1 - (standard_deviation(values, axis=1) / standard_deviation(prior)) ** 2


def posterior_z_score(draws: Draws, theta: Table) -> Array:
    """
    Compute how many posterior standard deviations the posterior mean is off the truth.

    For exact posteriors its mean square, over observations, is about 1: of Gaussian ones it is
    standard normal.

    Parameters
    ----------
    draws : array-like of shape (n, n_samples, D) or DataFrame
        Draws for n observations, at least two each; a table as ``sample`` returns it for a batch.
    theta : array-like or DataFrame of shape (n, D)
        The parameters that the observations were simulated from.

    Returns
    -------
    ndarray of shape (n, D)
        (mean - theta) / sd, positive where the posterior lies too high; infinite or NaN where all
        draws are equal.

    Raises
    ------
    TypeError
        If an entry is no real number.
    ValueError
        If shapes or names do not match, or an entry is not finite.

    References
    ----------
    .. [1] Towards A Principled Bayesian Workflow (Betancourt, 2018).
       https://betanalpha.github.io/assets/case_studies/principled_bayesian_workflow.html

    Examples
    --------
    >>> from sksbi.metrics import posterior_z_score
    >>> posterior_z_score([[[1.0], [2.0], [3.0]]], [[4.0]]).tolist()
    [[-2.0]]
    """
    values, theta, _ = check_batch(draws, theta, 2)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return (values.mean(axis=1) - theta) / standard_deviation(values, axis=1)
