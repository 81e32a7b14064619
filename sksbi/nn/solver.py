r"""
Ordinary differential equations, with error control for each row.

The rows of a batch are equations of their own. One step size for all of them is that of the hardest
row; here every row has its own, and rows that have arrived are left out. A step of the method of
Dormand and Prince makes two estimates of order 5 and 4, from six slopes that are new, and their
difference tells its error,

.. math::
    \epsilon = \sqrt{\frac{1}{K} \sum_k
    \Big( \frac{y_k - \hat y_k}{\tau (1 + |y_k|)} \Big)^2},

relative to a tolerance tau. A step with an error above one is made again, smaller. The work is
bounded: rows that have not arrived after a number of steps go the rest of their way in equal ones
of whatever error, and are counted.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Slope", "integrate"]

Slope = Callable[[Tensor, Tensor, Tensor], Tensor]

_NODES = (0.2, 0.3, 0.8, 8 / 9, 1.0, 1.0)
_STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_ERRORS = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
_SAFETY, _SMALLEST, _LARGEST = 0.9, 0.2, 5.0
_FIRST, _REST = 0.1, 10


def integrate(
    slope: Slope,
    y: Tensor,
    start: float,
    stop: float,
    *,
    tolerance: float = 1e-3,
    max_steps: int = 100,
) -> tuple[Tensor, int]:
    r"""
    Solve :math:`dy/dt = f(t, y)` from a start to a stop, row by row.

    Parameters
    ----------
    slope : callable (t of shape (k,), y of shape (k, K), rows of shape (k,)) -> (k, K)
        The slopes f of some rows, each at its own time.
    y : Tensor of shape (n, K)
        The rows at the start.
    start, stop : float
        The interval; it may go down.
    tolerance : float, default=1e-3
        The error that a step may make, relative to 1 + abs(y).
    max_steps : int, default=100
        The number of steps with error control, made again or not.

    Returns
    -------
    y : Tensor of shape (n, K)
        The rows at the stop.
    n_late : int
        How many rows took more steps than that, and went their rest in ten without control.

    References
    ----------
    .. [1] A family of embedded Runge-Kutta formulae (Dormand and Prince, 1980)
       https://doi.org/10.1016/0771-050X(80)90013-3

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn.solver import integrate
    >>> y, n_late = integrate(lambda t, y, rows: -y, torch.ones(2, 1), 0.0, 1.0, tolerance=1e-6)
    >>> torch.allclose(y, torch.tensor(-1.0).exp(), atol=1e-5), n_late
    (True, 0)
    """
    result, length = y.clone(), stop - start
    rows = torch.arange(len(y), device=y.device)
    t, h = y.new_full((len(y),), start), y.new_full((len(y),), _FIRST * length)
    k = slope(t, y, rows)
    for _ in range(max_steps):
        left = stop - t
        h = torch.where(h.abs() < left.abs(), h, left)
        new, k_new, error = _step(slope, t, y, k, h, rows, tolerance)
        good = error <= 1  # not NaN, either
        y, k = torch.where(good[:, None], new, y), torch.where(good[:, None], k_new, k)
        arrived = good & (h == left)
        t = torch.where(good, t + h, t)
        factor = _SAFETY * error.clamp(min=1e-10).pow(-0.2)
        h = h * torch.nan_to_num(factor, nan=_SMALLEST).clamp(_SMALLEST, _LARGEST)
        if arrived.any():
            result[rows[arrived]] = y[arrived]
            on = ~arrived
            y, k, t, h, rows = y[on], k[on], t[on], h[on], rows[on]
            if not len(rows):
                return result, 0
    for i in range(_REST):
        h = (stop - t) / (_REST - i)
        y, k, _ = _step(slope, t, y, k, h, rows, tolerance)
        t = t + h
    result[rows] = y
    return result, len(rows)


def _step(
    slope: Slope, t: Tensor, y: Tensor, k: Tensor, h: Tensor, rows: Tensor, tolerance: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Make a step: the new y, the slope there, and the error in tolerances."""
    slopes, own = [k], h[:, None]
    new = y
    for node, weights in zip(_NODES, _STAGES, strict=True):
        move = sum(w * s for w, s in zip(weights, slopes, strict=True) if w)
        new = y + own * move
        slopes.append(slope(t + node * h, new, rows))
    wrong = own * sum(w * s for w, s in zip(_ERRORS, slopes, strict=True) if w)
    scale = tolerance * (1 + torch.maximum(y.abs(), new.abs()))
    return new, slopes[-1], (wrong / scale).square().mean(1).sqrt()
