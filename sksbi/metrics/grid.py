r"""
Posterior densities on a grid, for up to three parameters.

A box is cut into cells of equal volume v, and the density is evaluated at their centres t_i: with

.. math::
    p_i = \frac{f(t_i)}{v \sum_j f(t_j)}

the density of the box is normalised, whatever constant f lacks, as prior times ratio and prior times
likelihood do. The box is the prior's at first, and then shrinks around the cells that hold the mass,
again and again, until these fill it; what is left out holds a millionth on each side.

The midpoint rule is exact to 1% where a cell is twice as wide as the narrowest standard deviation.
Where the log-density changes by more than 1.5 from cell to cell, averaged over the mass, the grid is
too coarse, and a warning says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax
from tqdm.auto import tqdm

from sksbi.metrics.held_out import Drawing
from sksbi.priors import Prior
from sksbi.priors.reach import reach
from sksbi.utils.batches import batches
from sksbi.utils.types import Array, Row, Table
from sksbi.utils.validation import check_count, check_memory
from sksbi.utils.warn import warn_user

__all__ = ["grid_held_out", "grid_log_prob"]

Bounds = Mapping[str, Sequence[float]] | Sequence[Sequence[float]] | Array
Evaluate = Callable[[Array], Array]  # points (m, n, D) to log-densities (m, n)

_N_POINTS = {1: 1_000, 2: 128, 3: 48}
_FEWEST_POINTS = 4
_ROUNDS, _OUTSIDE, _FILLED = 8, 1e-6, 0.6
_STEEPEST = 1.5
_CELLS_AT_ONCE = 500_000


def grid_log_prob(
    estimator: Any,
    x: Row,
    *,
    bounds: Bounds | None = None,
    n_points: int | None = None,
    iid: bool = False,
) -> pd.Series:
    """
    Compute the normalised log-density of a posterior on a grid.

    Parameters
    ----------
    estimator : estimator or pipeline
        Fitted, with ``log_prob`` and at most three parameters: a posterior, ratio or likelihood
        estimator.
    x : array-like, Series or dict
        One observation.
    bounds : array-like of shape (D, 2) or dict of str to (low, high), default=None
        The box. None, and for parameters that a dict leaves out: the part of the prior's box that
        holds the posterior.
    n_points : int, default=None
        The number of cells in each direction; None: 1,000 for one parameter, 128 for two, 48 for
        three.
    iid : bool, default=False
        Whether x consists of independent trials of one theta, as in ``estimator.sample``.

    Returns
    -------
    Series of shape (n_points ** D,)
        The log-densities, -inf where there is none. The index has a level for each parameter, with
        the centres of the cells. The density sums to one over the box, times the volume of a cell.

    Raises
    ------
    TypeError
        If the estimator has no ``log_prob``, or ``bounds`` is no table of numbers.
    ValueError
        If there are more than three parameters, x is a batch, ``bounds`` are missing and there is no
        prior, or the box holds nothing of the posterior.

    Warns
    -----
    UserWarning
        If the posterior is too narrow for the grid.

    See Also
    --------
    sksbi.inspection.GridDisplay : Its picture.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import stats
    >>> from sksbi import NRE
    >>> from sksbi.metrics import grid_log_prob
    >>> rng = np.random.default_rng(0)
    >>> theta = rng.uniform(size=(300, 2))
    >>> x = theta + 0.1 * rng.normal(size=(300, 2))
    >>> prior = {"a": stats.uniform(), "b": stats.uniform()}
    >>> nre = NRE(prior, max_epochs=5, random_state=0).fit(theta, x)
    >>> log_p = grid_log_prob(nre, [0.5, 0.5])
    >>> log_p.index.names, len(log_p)
    (FrozenList(['a', 'b']), 16384)
    >>> a, b = (np.diff(level[:2])[0] for level in log_p.index.levels)
    >>> float((np.exp(log_p).sum() * a * b).round(6))
    1.0
    """
    prior, names, d = _about(estimator)
    low, high, fixed = _box(bounds, prior, names, d)
    trials = {"iid": True} if iid else {}

    def evaluate(points: Array) -> Array:
        found = np.asarray(estimator.log_prob(points[0], x, **trials))
        if found.shape != points.shape[1:2]:
            raise ValueError(
                f"x must be one observation, got log-densities of shape {found.shape} for "
                f"{points.shape[1]} points: give one row, x.iloc[0] or x[0]."
            )
        return found[None]

    shape = (_check_n_points(n_points, d),) * d
    low, high, log_p = _zoom(evaluate, low[None], high[None], fixed, shape)
    _warn_if_coarse(log_p.reshape(1, *shape))
    centres = [_centres(a, b, shape[0]) for a, b in zip(low[0], high[0], strict=True)]
    index = pd.MultiIndex.from_product(centres, names=names)
    index = pd.Index(centres[0], name=names[0]) if d == 1 else index
    log_volume = np.log((high - low) / shape).sum()
    normalised = log_p[0] - np.logaddexp.reduce(log_p[0]) - log_volume
    return pd.Series(normalised, index=index, name="log_prob")


def grid_held_out(
    estimator: Any,
    theta: Table,
    x: Table,
    *,
    bounds: Bounds | None = None,
    n_points: int | None = None,
    verbose: int = 0,
) -> tuple[Array, Array]:
    """
    Evaluate posteriors on grids at held-out pairs, for coverage without draws.

    Parameters
    ----------
    estimator : estimator or pipeline
        Fitted, with ``sample`` and ``log_prob`` and at most three parameters.
    theta : array-like or DataFrame of shape (n, D)
        Parameters from the prior that the estimator was not fitted to.
    x : array-like, Series or DataFrame of shape (n, ...)
        What was simulated from them, in the form of fit's x; rows that are NaN throughout, failed
        simulations, are left out.
    bounds : array-like of shape (D, 2) or dict of str to (low, high), default=None
        The box, as in :func:`grid_log_prob`; without them every observation has its own.
    n_points : int, default=None
        The number of cells in each direction, as there.
    verbose : int, default=0
        Whether to show a progress bar.

    Returns
    -------
    log_prob_grid : ndarray of shape (n, n_points ** D)
        The log-densities at the centres of cells, up to a constant an observation.
    log_prob_theta : ndarray of shape (n,)
        Those of theta, up to the same constants.

    Raises
    ------
    TypeError, ValueError
        As :func:`grid_log_prob` and :func:`draw_held_out`.

    Warns
    -----
    UserWarning
        If posteriors are too narrow for the grid.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import stats
    >>> from sksbi import NRE
    >>> from sksbi.metrics import expected_coverage, grid_held_out
    >>> rng = np.random.default_rng(0)
    >>> theta = rng.uniform(size=(350, 1))
    >>> x = theta + 0.3 * rng.normal(size=(350, 1))
    >>> nre = NRE({"a": stats.uniform()}, max_epochs=5, random_state=0)
    >>> nre = nre.fit(theta[:300], x[:300])
    >>> log_probs = grid_held_out(nre, theta[300:], x[300:], n_points=100)
    >>> levels, coverage = expected_coverage(*log_probs, grid=True)
    >>> levels[0], levels[-1]
    (np.float64(0.0), np.float64(1.0))
    """
    prior, names, d = _about(estimator)
    low, high, fixed = _box(bounds, prior, names, d)
    n_points = _check_n_points(n_points, d)
    drawing = Drawing(estimator, theta, x, 1)
    asked, shape = drawing.ask(), (n_points,) * d
    found = []
    with tqdm(total=len(drawing.theta), unit="observation", disable=not verbose) as bar:
        for part in batches(len(drawing.theta), _CELLS_AT_ONCE // prod(shape)):
            m = part.stop - part.start
            boxes = (np.tile(bound, (m, 1)) for bound in (low, high))

            def evaluate(points: Array, part: slice = part) -> Array:
                return np.asarray(asked.log_prob_at(points, part))

            found.append(_zoom(evaluate, *boxes, fixed, shape)[2])
            bar.update(m)
    log_p = np.concatenate(found)
    _warn_if_coarse(log_p.reshape(-1, *shape))
    return log_p, drawing.log_prob_theta


def _about(estimator: Any) -> tuple[Prior | None, list[str], int]:
    """Find the prior, the parameters' names and their number."""
    if not callable(getattr(estimator, "log_prob", None)) or isinstance(estimator, type):
        got = estimator if isinstance(estimator, type) else type(estimator).__name__
        raise TypeError(
            f"estimator must be fitted and have log_prob, such as NPE, got {got}; of a search give "
            "best_estimator_."
        )
    fitted = estimator if hasattr(estimator, "prior_") else estimator[-1]
    names = [str(name) for name in fitted.parameter_names_]
    if len(names) > max(_N_POINTS):
        raise ValueError(
            f"estimator must have at most {max(_N_POINTS)} parameters for a grid, got {len(names)}: "
            "take draws, as PosteriorDisplay and draw_held_out do."
        )
    return fitted.prior_, names, len(names)


def _check_n_points(n_points: int | None, d: int) -> int:
    """Take the number that was given, else the one for so many parameters."""
    if n_points is None:
        return _N_POINTS[d]
    n_points = check_count(n_points, "n_points", low=_FEWEST_POINTS)
    check_memory(n_points, "n_points", d * n_points**d)
    return n_points


def _box(
    bounds: Bounds | None, prior: Prior | None, names: list[str], d: int
) -> tuple[Array, Array, Array]:
    """Find the box (D,), (D,), and which of its sides were given."""
    given = _read_bounds(bounds, names, d)
    fixed = np.isfinite(given).all(axis=1)
    if not fixed.all():
        if prior is None:
            missing = [name for name, is_fixed in zip(names, fixed, strict=True) if not is_fixed]
            raise ValueError(
                f"bounds must be given for {missing}, as there is no prior to take them from; got "
                f"{bounds!r}."
            )
        support, reached = np.column_stack(prior.support), np.column_stack(reach(prior))
        of_prior = np.where(np.isfinite(support), support, reached)
        given = np.where(fixed[:, None], given, of_prior)
    return given[:, 0], given[:, 1], fixed


def _read_bounds(bounds: Bounds | None, names: list[str], d: int) -> Array:
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
        values = np.asarray(bounds, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{rule}, got {bounds!r}.") from error
    if values.shape != (d, 2):
        raise ValueError(f"{rule}, shape ({d}, 2), got shape {values.shape}.")
    ordered = np.isfinite(values).all(axis=1) & (values[:, 0] < values[:, 1])
    if not ordered[known].all():
        raise ValueError(f"{rule}, finite, got {bounds!r}.")
    return values


def _zoom(
    evaluate: Evaluate, low: Array, high: Array, fixed: Array, shape: tuple[int, ...]
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
        start, stop = np.where(fixed, 0, start), np.where(fixed, shape, stop)
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


def _centres(low: float, high: float, n: int) -> Array:
    """Compute the centres of n equal cells."""
    return low + (high - low) / n * (np.arange(n) + 0.5)


def _points(low: Array, high: Array, shape: tuple[int, ...]) -> Array:
    """Compute the centres of all cells of boxes (m, D): (m, n, D)."""
    unit = [(np.arange(n) + 0.5) / n for n in shape]
    grid = np.stack(np.meshgrid(*unit, indexing="ij"), axis=-1).reshape(-1, len(shape))
    return low[:, None] + (high - low)[:, None] * grid


def _warn_if_coarse(log_p: Array) -> None:
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
