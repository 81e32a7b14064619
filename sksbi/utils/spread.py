"""Standard deviations in any unit: squares of very large or very small numbers never matter."""

from __future__ import annotations

import numpy as np

from sksbi.utils.types import Array

__all__ = ["standard_deviation"]


def standard_deviation(values: Array, axis: int = 0, ddof: int = 1) -> Array:
    """
    Compute standard deviations without overflow and underflow.

    Values are divided by a power of two, which rounds nothing, so that in ordinary units the result
    is NumPy's, bit for bit.

    Parameters
    ----------
    values : ndarray
        The values, finite.
    axis : int, default=0
        The axis that is summed over.
    ddof : int, default=1
        What the number of values is diminished by.

    Returns
    -------
    ndarray
        The standard deviations, with one axis fewer.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.utils.spread import standard_deviation
    >>> print(standard_deviation(np.array([1e-200, 3e-200]), ddof=0))
    1e-200
    """
    exponent = np.frexp(np.abs(values).max(axis=axis, keepdims=True))[1]
    sd = np.ldexp(values, -exponent).std(axis=axis, ddof=ddof)
    return np.ldexp(sd, exponent.squeeze(axis))
