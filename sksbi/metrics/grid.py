r"""
Posterior densities on a grid, for up to three parameters.

A box is cut into cells of equal volume v, and the density is evaluated at their centres t_i: with

.. math::
    p_i = \frac{f(t_i)}{v \sum_j f(t_j)}

the density of the box is normalised, whatever constant f lacks, as prior times ratio and prior
times likelihood do.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from sksbi.metrics._grid import Bounds, centres, read_bounds, warn_if_coarse, zoom
from sksbi.metrics.held_out import Drawing
from sksbi.priors import Prior
from sksbi.priors.reach import reach
from sksbi.utils.batches import batches
from sksbi.utils.types import Array, Mask, Row, Table
from sksbi.utils.validation import check_count, check_memory

__all__ = ["grid_held_out", "grid_log_prob"]

_N_POINTS = {1: 1_000, 2: 128, 3: 48}
_FEWEST_POINTS = 4
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
        If there are more than three parameters, x is a batch, ``bounds`` are missing and there is
        no prior, or the box holds nothing of the posterior.

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
        """Compute the log-densities of the observation."""
        found = np.asarray(estimator.log_prob(points[0], x, **trials))
        if found.shape != points.shape[1:2]:
            raise ValueError(
                f"x must be one observation, got log-densities of shape {found.shape} for "
                f"{points.shape[1]} points: give one row, x.iloc[0] or x[0]."
            )
        return found[None]

    shape = (_check_n_points(n_points, d),) * d
    low, high, log_p = zoom(evaluate, low[None], high[None], fixed, shape)
    warn_if_coarse(log_p.reshape(1, *shape))
    axes = [centres(a, b, shape[0]) for a, b in zip(low[0], high[0], strict=True)]
    index = _index(axes, names)
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
    >>> float(levels[0]), float(levels[-1])
    (0.0, 1.0)
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
            lows, highs = (np.tile(bound, (m, 1)) for bound in (low, high))

            def evaluate(points: Array, part: slice = part) -> Array:
                """Compute the log-densities of some observations."""
                return np.asarray(asked.log_prob_at(points, part))

            found.append(zoom(evaluate, lows, highs, fixed, shape)[2])
            bar.update(m)
    log_p = np.concatenate(found)
    warn_if_coarse(log_p.reshape(-1, *shape))
    return log_p, drawing.log_prob_theta


def _index(axes: list[Array], names: list[str]) -> pd.Index:
    """Label the cells."""
    if len(axes) == 1:
        return pd.Index(axes[0], name=names[0])
    return pd.MultiIndex.from_product(axes, names=names)


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
            f"estimator must have at most {max(_N_POINTS)} parameters for a grid, got "
            f"{len(names)}: take draws, as PosteriorDisplay and draw_held_out do."
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
) -> tuple[Array, Array, Mask]:
    """Find the box (D,), (D,), and which of its sides were given."""
    given = read_bounds(bounds, names, d)
    fixed: Mask = np.logical_and.reduce(np.isfinite(given), axis=1)
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
