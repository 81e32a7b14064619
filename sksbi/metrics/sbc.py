"""Simulation-based calibration: the rank of each true parameter among its posterior's draws."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sksbi.tables.draws import check_batch
from sksbi.utils.random import check_generator
from sksbi.utils.types import Draws, RandomState, Table

__all__ = ["sbc_ranks"]


def sbc_ranks(draws: Draws, theta: Table, *, random_state: RandomState = 0) -> NDArray[np.intp]:
    """
    Count the draws below each true parameter.

    If theta came from the prior, x from theta, and the draws from the exact posterior at x, ranks
    are uniform on 0, ..., n_samples. Many ranks at both ends mean posteriors that are too narrow,
    many in the middle posteriors that are too wide, and many at one end a bias. Ranks judge one
    parameter at a time. The prior itself, returned as posterior, passes [1]_.

    Parameters
    ----------
    draws : array-like of shape (n, n_samples, D) or DataFrame
        Independent draws for n observations; a table as ``sample`` returns it for a batch.
    theta : array-like or DataFrame of shape (n, D)
        The parameters that the observations were simulated from.
    random_state : None, int, RandomState or Generator, default=0
        Draws that are equal to theta count as below it or not at random, so that ranks are uniform
        for parameters with steps, too.

    Returns
    -------
    ndarray of int, of shape (n, D)
        The number of draws below theta, from 0 to n_samples.

    Raises
    ------
    TypeError
        If an entry is no real number.
    ValueError
        If shapes or names do not match, or an entry is not finite.

    See Also
    --------
    uniformity_test : The p-value of ranks.

    References
    ----------
    .. [1] Validating Bayesian Inference Algorithms with Simulation-Based Calibration (Talts et al.,
       2018). https://arxiv.org/abs/1804.06788

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.metrics import sbc_ranks, uniformity_test
    >>> rng = np.random.default_rng(0)
    >>> theta = rng.normal(size=(400, 1))
    >>> x = theta + rng.normal(size=(400, 1))
    >>> noise = rng.normal(size=(400, 99, 1))
    >>> exact = x[:, None] / 2 + np.sqrt(0.5) * noise
    >>> bool(uniformity_test(sbc_ranks(exact, theta), 99) > 0.05)
    True
    >>> narrow = x[:, None] / 2 + 0.4 * noise
    >>> bool(uniformity_test(sbc_ranks(narrow, theta), 99) < 0.001)
    True
    """
    values, theta, _ = check_batch(draws, theta)
    equal = (values == theta[:, None]).sum(axis=1)
    below = (values < theta[:, None]).sum(axis=1)
    return below + check_generator(random_state).integers(equal + 1)
