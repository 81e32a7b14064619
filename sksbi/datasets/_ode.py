"""
An integrator of ordinary differential equations for many parameter sets at once.

The pair of orders 5 and 4 of Dormand and Prince, where every row has its own step size: all rows
that have not reached the last time advance together, in NumPy, so that one stiff row costs many
small steps of itself alone.

References
----------
A family of embedded Runge-Kutta formulae (Dormand, Prince, 1980)
https://doi.org/10.1016/0771-050X(80)90013-3
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["solve_ode"]

Derivative = Callable[[np.ndarray, np.ndarray], np.ndarray]

# The last row of the tableau is the solution of order 5: its slope opens the next step.
_TABLEAU = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


def solve_ode(
    derivative: Derivative,
    start: np.ndarray,
    parameters: np.ndarray,
    times: np.ndarray,
    *,
    tol: float = 1e-8,
    max_steps: int = 100_000,
) -> np.ndarray:
    """
    Solve an autonomous system for every column of its parameters.

    Parameters
    ----------
    derivative : callable (state (d, k), parameters (p, k)) -> (d, k)
        The right-hand side, for k parameter sets at once.
    start : ndarray of shape (d,) or (d, n)
        The state at the first time.
    parameters : ndarray of shape (p, n)
        The parameter sets, one a column.
    times : ndarray of shape (m,)
        Increasing times; the first one is the start.
    tol : float, default=1e-8
        Absolute error allowed in one step, for every component. Put populations in as logarithms,
        and it is a relative one.
    max_steps : int, default=100_000
        After so many steps the rows that are not done become NaN.

    Returns
    -------
    ndarray of shape (m, d, n)
        The states; NaN from where the integration of a set failed.
    """
    n = parameters.shape[1]
    state = np.broadcast_to(np.reshape(start, (len(start), -1)), (len(start), n)).astype(float)
    solution = np.full((len(times), *state.shape), np.nan)
    solution[0] = state
    shortest = 1e-14 * (times[-1] - times[0])
    with np.errstate(over="ignore", invalid="ignore"):
        rows = _Rows(derivative, state, parameters, times, tol)
        for _ in range(max_steps):
            rows.step(solution)
            rows.keep((rows.target < len(times)) & (rows.size > shortest))
            if not len(rows.number):
                break
    return solution


class _Rows:
    """The rows under way: their numbers, times, states, slopes, step sizes and next targets."""

    def __init__(
        self,
        derivative: Derivative,
        state: np.ndarray,
        parameters: np.ndarray,
        times: np.ndarray,
        tol: float,
    ) -> None:
        n = state.shape[1]
        self.derivative, self.times, self.tol = derivative, times, tol
        self.state, self.parameters = state, parameters
        self.slope = derivative(state, parameters)
        self.number = np.arange(n)
        self.time = np.full(n, float(times[0]))
        self.size = np.full(n, 1e-3 * (times[-1] - times[0]))
        self.target = np.ones(n, dtype=int)

    def step(self, solution: np.ndarray) -> None:
        """Try one step in every row; write the states that reach a wanted time."""
        gap = self.times[self.target] - self.time
        size = np.minimum(self.size, gap)
        state, slope, error = self._attempt(size)
        accepted = error <= 1.0
        grown = size * np.clip(0.9 * np.maximum(error, 1e-10) ** -0.2, 0.2, 5.0)
        # A step cut short by a wanted time says nothing against the longer one.
        self.size = np.where(
            accepted, np.maximum(grown, np.where(size < self.size, self.size, 0)), grown
        )
        self.time = np.where(accepted, self.time + size, self.time)
        self.state = np.where(accepted, state, self.state)
        self.slope = np.where(accepted, slope, self.slope)
        arrived = np.flatnonzero(accepted & (size == gap))
        self.time[arrived] = self.times[self.target[arrived]]
        solution[self.target[arrived], :, self.number[arrived]] = self.state[:, arrived].T
        self.target[arrived] += 1

    def keep(self, rows: np.ndarray) -> None:
        """Go on with some of the rows."""
        if rows.all():
            return
        for name in ("number", "time", "size", "target"):
            setattr(self, name, getattr(self, name)[rows])
        for name in ("state", "slope", "parameters"):
            setattr(self, name, getattr(self, name)[:, rows])

    def _attempt(self, size: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Compute the state after a step, its slope, and the error in units of the tolerance."""
        slopes, state = [self.slope], self.state
        for weights in _TABLEAU:
            state = self.state + size * _combine(weights, slopes)
            slopes.append(self.derivative(state, self.parameters))
        error = np.abs(size * _combine(_ERROR, slopes)).max(axis=0) / self.tol
        return state, slopes[-1], np.where(np.isnan(error), np.inf, error)


def _combine(weights: tuple[float, ...], slopes: list[np.ndarray]) -> np.ndarray:
    """Add slopes up with their weights."""
    parts = (weight * slope for weight, slope in zip(weights, slopes, strict=True) if weight)
    return sum(parts, start=np.zeros(()))
