"""The exact density of a posterior on a grid, for up to three parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from sksbi.inspection._corner import (
    corner_size,
    draw_marginal,
    draw_pair,
    draw_points,
    draw_truth,
    explain,
    lay_out,
    lower_triangle,
    row_of,
)
from sksbi.inspection._density import GridDensity
from sksbi.inspection._named import check_levels, check_points, check_row
from sksbi.inspection._plot import FigureDisplay, Size
from sksbi.metrics import grid_log_prob
from sksbi.utils.types import Array, Row

__all__ = ["GridDisplay"]

_MOST = 3


@dataclass(repr=False, eq=False)
class GridDisplay(FigureDisplay):
    """
    Corner plot of a posterior's density on a grid: no draws, no smoothing.

    Make it by :meth:`from_estimator` or :meth:`from_predictions`. One parameter has a curve, two
    and three have one for each and regions for each pair, over which the others are summed. The
    shaded regions are those of highest density.

    Parameters
    ----------
    log_prob : Series of shape (n_cells,)
        What :func:`sksbi.metrics.grid_log_prob` returned.
    true_theta : Series of shape (D,), default=None
        The true values, NaN where unknown.
    points : dict of str to Series of shape (D,), default=None
        Further points that are marked, by their name in the legend.

    Attributes
    ----------
    figure_, axes_ : matplotlib Figure and ndarray of Axes of shape (D, D)
        Where it is drawn; None above the diagonal.

    See Also
    --------
    PosteriorDisplay : The same of draws, for any number of parameters.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sksbi.inspection import GridDisplay
    >>> mass = np.linspace(-3.95, 3.95, 80)
    >>> index = pd.MultiIndex.from_product([mass, mass], names=["mass", "rate"])
    >>> a, b = (index.get_level_values(i).to_numpy() for i in (0, 1))
    >>> display = GridDisplay.from_predictions(pd.Series(-(a**2 + b**2) / 2, index))
    >>> display.axes_[1, 0].get_xlabel(), display.axes_[1, 0].get_ylabel()
    ('mass', 'rate')
    """

    log_prob: pd.Series
    _: KW_ONLY
    true_theta: pd.Series | None = None
    points: dict[str, pd.Series] | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        x: Row,
        *,
        bounds: Any = None,
        n_points: int | None = None,
        iid: bool = False,
        **options: Any,
    ) -> Self:
        """
        Compute the density of the posterior of one observation and plot it.

        Parameters
        ----------
        estimator : estimator or pipeline
            Fitted, with ``log_prob`` and at most three parameters.
        x : array-like, Series or dict
            One observation.
        bounds : array-like of shape (D, 2) or dict of str to (low, high), default=None
            The box, as in :func:`sksbi.metrics.grid_log_prob`.
        n_points : int, default=None
            The number of cells in each direction, as there.
        iid : bool, default=False
            Whether x consists of independent trials of one theta, as in ``estimator.sample``.
        **options
            Passed to :meth:`from_predictions`.

        Returns
        -------
        GridDisplay
            The plotted display.

        Raises
        ------
        TypeError, ValueError
            As :func:`sksbi.metrics.grid_log_prob`.
        """
        log_prob = grid_log_prob(estimator, x, bounds=bounds, n_points=n_points, iid=iid)
        return cls.from_predictions(log_prob, **options)

    @classmethod
    def from_predictions(
        cls,
        log_prob: pd.Series,
        *,
        true_theta: Row | None = None,
        points: Any = None,
        levels: Sequence[float] = (0.5, 0.9),
        **plot_options: Any,
    ) -> Self:
        """
        Plot a given density.

        Parameters
        ----------
        log_prob : Series of shape (n_cells,)
            Log-densities, up to a constant, at the centres of equal cells: the index has a level
            for each of up to three parameters, and all combinations in order, as
            :func:`sksbi.metrics.grid_log_prob` gives them.
        true_theta : array-like of shape (D,), dict or Series, default=None
            Known true values, drawn as lines. A dict or Series may leave parameters out.
        points : dict of str to such a row, default=None
            Further points to mark, such as ``{"mode": npe.map(x)}``, with a legend of its keys.
        levels : sequence of float, default=(0.5, 0.9)
            The masses of the highest-density regions.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        GridDisplay
            The plotted display.

        Raises
        ------
        TypeError, ValueError
            If ``log_prob`` is no such Series, or ``true_theta``, ``points`` or ``levels`` do not
            match.
        """
        _read_grid(log_prob)
        names = [str(name) for name in log_prob.index.names]
        if true_theta is not None:
            true_theta = pd.Series(check_row(true_theta, names, "true_theta"), index=names)
        marked = check_points(points, names, names)
        display = cls(log_prob, true_theta=true_theta, points=marked)
        return display.plot(levels=levels, **plot_options)

    def _draw(self, *, levels: Sequence[float] = (0.5, 0.9)) -> Iterator[Size]:
        """Draw the densities of all parameters and pairs, and what is marked."""
        levels = check_levels(levels)
        limits, mass = _read_grid(self.log_prob)
        names = [str(name) for name in self.log_prob.index.names]
        d = len(names)
        yield corner_size(d)
        truth, marked = row_of(self.true_theta, d), self.points or {}
        points = [np.asarray(point) for point in marked.values()]
        self.axes_ = lay_out(self.figure_, names, limits)
        for i, j in lower_triangle(d):
            ax, columns = self.axes_[i, j], [i] if i == j else [j, i]
            density = _marginal(mass, limits, columns)
            cuts = _thresholds(density.values, levels)
            (draw_marginal if i == j else draw_pair)(ax, density, cuts, 0, "")
            ax.set(xlim=limits[j], ylim=(0, None) if i == j else limits[i])
            draw_truth(ax, *truth[columns])
            draw_points(ax, points, columns)
        explain(self.figure_, self.axes_, truth, list(marked), levels)


def _read_grid(log_prob: pd.Series) -> tuple[Array, Array]:
    """Read the walls of the box (D, 2), and the mass of the cells, with an axis a parameter."""
    rule = (
        "log_prob must be a Series of log-densities at the centres of equal cells, as "
        "grid_log_prob returns it"
    )
    if not isinstance(log_prob, pd.Series):
        raise TypeError(f"{rule}, got {type(log_prob).__name__}.")
    index = log_prob.index
    if index.nlevels > _MOST:
        raise ValueError(f"{rule}, of at most {_MOST} parameters, got {index.nlevels}.")
    axes = [np.unique(index.get_level_values(k).to_numpy(np.float64)) for k in range(index.nlevels)]
    full = pd.MultiIndex.from_product(axes) if len(axes) > 1 else pd.Index(axes[0])
    steps = [np.diff(axis) for axis in axes]
    regular = all(len(s) and np.allclose(s, s[0], rtol=1e-3, atol=0) for s in steps)
    if len(full) != len(index) or not regular or not np.array_equal(full, index):
        raise ValueError(f"{rule}, all combinations in order, got another index of {len(index)}.")
    values = log_prob.to_numpy(np.float64)
    if np.isnan(values).any() or not np.isfinite(values.max()):
        raise ValueError(f"{rule}, numbers or -inf, not all of them, got {values.max()}.")
    limits = [
        [axis[0] - step[0] / 2, axis[-1] + step[0] / 2]
        for axis, step in zip(axes, steps, strict=True)
    ]
    mass = np.exp(values - values.max()).reshape([len(axis) for axis in axes])
    return np.array(limits), mass / mass.sum()


def _marginal(mass: Array, limits: Array, columns: list[int]) -> GridDensity:
    """Sum over the parameters that are not shown."""
    others = tuple(k for k in range(mass.ndim) if k not in columns)
    kept = mass.sum(axis=others)
    if columns != sorted(columns):
        kept = kept.T
    low, high = limits[columns].T
    return GridDensity(low, high, kept / np.prod((high - low) / kept.shape), own=0.0)


def _thresholds(density: Array, levels: list[float]) -> Array:
    """Find the densities above which each level of the mass lies."""
    ordered = np.sort(density, axis=None)[::-1]
    mass = ordered.cumsum() / ordered.sum()
    return np.unique(ordered[np.minimum(np.searchsorted(mass, levels), mass.size - 1)])
