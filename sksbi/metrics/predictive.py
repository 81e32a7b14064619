"""How far simulations at draws from the posterior are from what was observed."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sksbi.tables.draws import check_finite, check_observed_names, check_scale
from sksbi.utils.types import Array

__all__ = ["predictive_distance"]


def predictive_distance(
    x_simulated: ArrayLike, x: ArrayLike, *, scale: ArrayLike | None = None
) -> float | Array:
    """
    Compute the median distance of posterior predictive simulations from the observation.

    It depends on the noise of the simulator, so only differences between posteriors of the same
    observation tell something.

    Parameters
    ----------
    x_simulated : array-like or DataFrame of shape (n_samples, L) or (n, n_samples, L)
        What was simulated at draws from the posterior of one observation, or of n.
    x : array-like, Series or DataFrame of shape (L,) or (n, L)
        The observation, or the n observations.
    scale : array-like of shape (L,), default=None
        What every feature is divided by before distances are taken, such as the standard deviations
        of x under the prior. None divides by nothing.

    Returns
    -------
    float or ndarray of shape (n,)
        The medians of the Euclidean distances.

    Raises
    ------
    TypeError
        If an entry is no real number.
    ValueError
        If shapes or names do not match, an entry is not finite, or a scale not positive.

    References
    ----------
    .. [1] Benchmarking Simulation-Based Inference (Lueckmann et al., 2021), section 2.
       https://arxiv.org/abs/2101.04653

    Examples
    --------
    >>> from sksbi.metrics import predictive_distance
    >>> predictive_distance([[3.0, 4.0], [0.0, 1.0], [0.0, 2.0]], [0.0, 0.0])
    2.0
    """
    simulated = check_finite(x_simulated, "x_simulated")
    observed = check_finite(check_observed_names(x, x_simulated, "x", "x_simulated"), "x")
    shape = simulated.shape
    if simulated.ndim not in (2, 3) or observed.shape != (*shape[:-2], shape[-1]) or 0 in shape:
        raise ValueError(
            "x_simulated must have shape (n_samples, L) for x of shape (L,), or (n, n_samples, L) "
            f"for x of shape (n, L), got {shape} and {observed.shape}."
        )
    width = check_scale(scale, shape[-1])
    away = np.linalg.norm((simulated - observed[..., None, :]) / width, axis=-1)
    medians = np.median(away, axis=-1)
    return float(medians) if medians.ndim == 0 else medians
