r"""
Boxes around the mass of posteriors, and grids on them.

The box is the prior's at first, and then shrinks around the cells that hold the mass, again and
again, until these fill it; what is left out holds a millionth on each side.

The midpoint rule is exact to 1% where a cell is at most twice as wide as a standard deviation.
Where the log-density changes by more than 1.5 from cell to cell, averaged over the mass, the grid
is too coarse, and a warning says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.special import softmax

from sksbi.utils.containers import as_floats
from sksbi.utils.types import Array, Mask
from sksbi.utils.warn import warn_user

__all__ = ["Bounds", "Evaluate", "centres", "read_bounds", "warn_if_coarse", "zoom"]

Bounds = Mapping[str, Sequence[float]] | Sequence[Sequence[float]] | Array
Evaluate = Callable[[Array], Array]  # points (m, n, D) to log-densities (m, n)

_ROUNDS, _OUTSIDE, _FILLED = 8, 1e-6, 0.6
_STEEPEST = 1.5


def read_bounds(bounds: Bounds | None, names: list[str], d: int) -> Array:
    """Read bounds as (D, 2), NaN where there are none."""
    rule = f"bounds must hold low < high for each of {names}"
    if bounds is None:
        return np.full((d, 2), np.nan)
    if isinstance(bounds, Mapping):
        unknown = [name for name in bounds if name not in names]
        if unknown:
            raise ValueError(f"{rule}, got the unknown {unknown}.")
        known = [name in bounds for name in names]
        bounds = [bounds.get(name, (np.nan, np.nan)) for name in names]
    else:
        known = [True] * d
    try:
        values = as_floats(bounds, "bounds")
    except TypeError as error:
        raise TypeError(f"{rule}, got {bounds!r}.") from error
    if values.shape != (d, 2):
        raise ValueError(f"{rule}, shape ({d}, 2), got shape {values.shape}.")
    ordered = np.isfinite(values).all(axis=1) & (values[:, 0] < values[:, 1])
    if not ordered[known].all():
        raise ValueError(f"{rule}, finite, got {bounds!r}.")
    return values


def zoom(
    evaluate: Evaluate, low: Array, high: Array, fixed: Mask, shape: tuple[int, ...]
) -> tuple[Array, Array, Array]:
    """Shrink boxes (m, D) around the mass until it fills them; evaluate there, (m, n)."""
    for k in range(_ROUNDS):
        log_p = evaluate(_points(low, high, shape))
        if np.isneginf(log_p).all(axis=1).any():
            raise ValueError(
                "bounds must hold some of the posterior, got a density of 0 in every cell of "
                f"{np.column_stack([low[0], high[0]]).tolist()}: give others, or a larger n_points."
            )
        start, stop = _extent(softmax(log_p, axis=1).reshape(-1, *shape))
        start, stop = np.where(fixed, 0, start), np.where(fixed, np.array(shape), stop)
        if k == _ROUNDS - 1 or np.all(stop - start >= _FILLED * np.array(shape)):
            break
        size = (high - low) / shape
        low, high = low + start * size, low + stop * size
    return low, high, log_p


def _extent(mass: Array) -> tuple[Array, Array]:
    """Find the cells (m, D) from and up to which the mass (m, ...) lies, and one more."""
    starts, stops = [], []
    for axis in range(1, mass.ndim):
        others = tuple(i for i in range(1, mass.ndim) if i != axis)
        below = mass.sum(axis=others).cumsum(axis=1)
        starts.append((below > _OUTSIDE).argmax(axis=1) - 1)
        stops.append((below < 1 - _OUTSIDE).sum(axis=1) + 2)
    n_cells = np.array(mass.shape[1:])
    return np.maximum(np.stack(starts, axis=1), 0), np.minimum(np.stack(stops, axis=1), n_cells)


def centres(low: float, high: float, n: int) -> Array:
    """Compute the centres of n equal cells."""
    return np.asarray(low + (high - low) / n * (np.arange(n) + 0.5), dtype=np.float64)


def _points(low: Array, high: Array, shape: tuple[int, ...]) -> Array:
    """Compute the centres of all cells of boxes (m, D): (m, n, D)."""
    unit = [(np.arange(n) + 0.5) / n for n in shape]
    grid = np.stack(np.meshgrid(*unit, indexing="ij"), axis=-1).reshape(-1, len(shape))
    return low[:, None] + (high - low)[:, None] * grid


def warn_if_coarse(log_p: Array) -> None:
    """Warn where log-densities (m, ...) change too much from cell to cell."""
    mass = softmax(log_p.reshape(len(log_p), -1), axis=1).reshape(log_p.shape)
    steepest = np.zeros(len(log_p))
    for axis in range(1, log_p.ndim):
        with np.errstate(invalid="ignore"):
            step = np.abs(np.diff(log_p, axis=axis))
        pair = np.delete(mass, 0, axis) + np.delete(mass, -1, axis)
        inside = np.isfinite(step)
        others = tuple(range(1, log_p.ndim))
        total = (pair * inside).sum(axis=others)
        mean = (pair * np.where(inside, step, 0.0)).sum(axis=others) / np.maximum(total, 1e-300)
        steepest = np.maximum(steepest, mean)
    coarse = np.flatnonzero(steepest > _STEEPEST)
    if len(coarse):
        warn_user(
            f"the grid is too coarse for {len(coarse)} of {len(log_p)} posteriors: from cell to "
            f"cell the log-density changes by {steepest.max():.2g} on average, and more than "
            f"{_STEEPEST} is not integrated to one per cent. Take a larger n_points, or bounds "
            "around the posterior.",
            UserWarning,
        )
