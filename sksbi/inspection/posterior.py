"""The corner plot of one posterior, or of several drawn over each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from sksbi.inspection._density import grid_density, panel_limits
from sksbi.inspection._estimators import sample_one
from sksbi.inspection._named import (
    RandomState,
    Row,
    Table,
    check_levels,
    check_row,
    check_tables,
    parameter_labels,
)
from sksbi.inspection._plot import Drawing, FigureDisplay
from sksbi.inspection._style import (
    ALPHA,
    COLORS,
    INK,
    draw_legend,
    fold_factor,
    label_axes,
    line_style,
    region_handles,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D

__all__ = ["PosteriorDisplay"]


@dataclass(repr=False, eq=False)
class PosteriorDisplay(FigureDisplay):
    """
    Corner plot of a posterior: a density for every parameter, a region for every pair.

    Make it by :meth:`from_estimator` or :meth:`from_predictions`. The shaded regions are those of
    highest density: of all regions that hold, say, 90% of the draws, the smallest one [1]_. They
    may fall apart into several pieces.

    Parameters
    ----------
    samples : dict of str to DataFrame of shape (n, D)
        The draws by the label of their posterior.
    true_theta : Series of shape (D,), default=None
        The true values, NaN where unknown.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    axes_ : ndarray of shape (D, D)
        The axes; None above the diagonal.

    References
    ----------
    .. [1] Computing and Graphing Highest Density Regions (Hyndman, 1996).
       https://doi.org/10.1080/00031305.1996.10473359

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sksbi.inspection import PosteriorDisplay
    >>> rng = np.random.default_rng(0)
    >>> draws = pd.DataFrame(rng.normal(size=(500, 2)), columns=["mass", "rate"])
    >>> display = PosteriorDisplay.from_predictions(
    ...     {"flow": draws, "MCMC": draws + 0.1}, true_theta={"mass": 0.0, "rate": 0.2}
    ... )
    >>> display.axes_[1, 0].get_xlabel(), display.axes_[1, 0].get_ylabel()
    ('mass', 'rate')
    """

    samples: dict[str, pd.DataFrame]
    _: KW_ONLY
    true_theta: pd.Series | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        x: Row,
        *,
        n_samples: int = 2000,
        random_state: RandomState = None,
        **options: Any,
    ) -> Self:
        """
        Draw from the posterior of one observation and plot the draws.

        Parameters
        ----------
        estimator : estimator or pipeline
            A fitted object with ``sample``.
        x : array-like, Series or dict
            One observation, as ``estimator.sample`` takes it.
        n_samples : int, default=2000
            The number of draws.
        random_state : None, int, RandomState or Generator, default=None
            Passed to ``estimator.sample``.
        **options
            Passed to :meth:`from_predictions`. Names are by default theta's columns, else those of
            the prior.

        Returns
        -------
        PosteriorDisplay
            The plotted display.

        Raises
        ------
        TypeError
            If ``estimator`` cannot sample, as a search: give its ``best_estimator_``.
        ValueError
            If ``x`` is a batch of observations.
        """
        draws = sample_one(estimator, x, n_samples, random_state)
        return cls.from_predictions(draws, **options)

    @classmethod
    def from_predictions(
        cls,
        samples: Table | Mapping[str, Table],
        *,
        true_theta: Row | None = None,
        names: Sequence[str] | None = None,
        label: str | None = None,
        levels: Sequence[float] = (0.5, 0.9),
        **plot_options: Any,
    ) -> Self:
        """
        Plot given draws, of any origin.

        Parameters
        ----------
        samples : array-like or DataFrame of shape (n, D), or dict of str to such
            The draws. Those of a dict are drawn over each other, with a legend of its keys.
        true_theta : array-like of shape (D,), dict or Series, default=None
            Known true values, drawn as lines. A dict or Series may leave parameters out.
        names : sequence of D str, default=None
            What the axes are called, such as ``r"$\\alpha$"``; the default is the columns, for
            arrays theta_0, theta_1 and so on.
        label : str, default=None
            The name in the legend, where ``samples`` is no dict.
        levels : sequence of float, default=(0.5, 0.9)
            The masses of the highest-density regions.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        PosteriorDisplay
            The plotted display.

        Raises
        ------
        ValueError
            If tables differ in their columns, hold NaN or infinity or have fewer than two rows, or
            if ``true_theta`` or ``names`` do not match them, or a level is not strictly between 0
            and 1.
        """
        tables = samples if isinstance(samples, Mapping) else {label or "": samples}
        values, columns = check_tables(tables, "samples")
        n_features = next(iter(values.values())).shape[1]
        columns = parameter_labels(None, columns, n_features)
        shown = parameter_labels(names, columns, n_features)
        frames = {key: pd.DataFrame(table, columns=shown) for key, table in values.items()}
        if true_theta is not None:
            true_theta = pd.Series(check_row(true_theta, columns, "true_theta"), index=shown)
        return cls(frames, true_theta=true_theta).plot(levels=levels, **plot_options)

    from_samples = from_predictions

    def _drawing(self, *, levels: Sequence[float] = (0.5, 0.9)) -> Drawing:
        """Choose a size between the widths of one and of two columns of a journal."""
        n_features = next(iter(self.samples.values())).shape[1]
        side = min(max(3.4, 0.4 + 1.25 * n_features), 7.1)
        size = (3.4, 2.5) if n_features == 1 else (side, side)
        return size, partial(self._draw, check_levels(levels))

    def _draw(self, levels: list[float]) -> None:
        """Draw the posteriors over each other, and the true values."""
        samples = [frame.to_numpy() for frame in self.samples.values()]
        names = [str(name) for name in next(iter(self.samples.values())).columns]
        given = self.true_theta is not None
        truth = np.asarray(self.true_theta) if given else np.full(len(names), np.nan)
        limits = panel_limits(samples, truth)
        self.axes_ = _lay_out(self.figure_, names)
        for k, draws in enumerate(samples):
            _draw_posterior(self.axes_, draws, limits, levels, k)
        _draw_truth(self.axes_, truth)
        _set_limits(self.axes_, limits)
        _fold_factors(self.axes_, limits, names)
        handles = _legend_handles(list(self.samples), truth) + region_handles(levels, "region")
        if len(names) == 1:
            draw_legend(self.axes_[0, 0], handles, fontsize=7)
        else:
            draw_legend(self.figure_, handles, loc="upper right")


def _lay_out(fig: Figure | SubFigure, names: list[str]) -> np.ndarray:
    """Make the lower triangle of axes, labelled at its outside only."""
    d = len(names)
    grid = fig.add_gridspec(d, d)
    axes = np.full((d, d), None, dtype=object)
    for i, j in _panels(axes):
        axes[i, j] = fig.add_subplot(grid[i, j])
        _label(axes[i, j], names, i, j)
    if d > 1:
        fig.align_labels([ax for ax in axes.flat if ax is not None])
    return axes


def _panels(axes: np.ndarray) -> list[tuple[int, int]]:
    """List rows and columns of the lower triangle."""
    return list(zip(*np.tril_indices(len(axes)), strict=True))


def _label(ax: Axes, names: list[str], row: int, column: int) -> None:
    """Label one panel and thin out its ticks."""
    d = len(names)
    size = 9 if d <= 5 else 8
    bottom, left = row == d - 1, column == 0 and row > 0
    label_axes(ax, names[column] if bottom else None, names[row] if left else None, size)
    ax.tick_params(labelsize=size - 1.5, length=2.5, pad=2, labelbottom=bottom, labelleft=left)
    ax.locator_params(axis="x", nbins=5 if d == 1 else 3)
    if row == column:
        ax.set_yticks([])
        ax.spines[["left", "right", "top"]].set_visible(False)
    else:
        ax.locator_params(axis="y", nbins=3)
    if bottom:
        ax.tick_params(axis="x", labelrotation=45 if d > 2 else 0)
    if d == 1:
        ax.set_ylabel("density")


def _draw_posterior(
    axes: np.ndarray, draws: np.ndarray, limits: np.ndarray, levels: list[float], k: int
) -> None:
    """Draw the k-th posterior in every panel; the first is filled, so that lines stay visible."""
    for i, j in _panels(axes):
        columns = [i] if i == j else [j, i]
        draw = _draw_marginal if i == j else _draw_pair
        draw(axes[i, j], draws[:, columns], limits[columns], levels, k)


def _draw_marginal(
    ax: Axes, draws: np.ndarray, limits: np.ndarray, levels: list[float], k: int
) -> None:
    """Draw the density of draws (n, 1) and, for the first, its regions under the curve."""
    density = grid_density(draws, limits)
    (x,), height = density.outline()
    ax.plot(x, height, linewidth=1.1, **line_style(k))
    for cut in density.thresholds(draws, levels) if k == 0 else ():
        ax.fill_between(x, height, where=height >= cut, color=COLORS[k], alpha=ALPHA, lw=0)


def _draw_pair(
    ax: Axes, draws: np.ndarray, limits: np.ndarray, levels: list[float], k: int
) -> None:
    """Draw the regions of draws (n, 2), the wider ones first."""
    density = grid_density(draws, limits)
    (x, y), values = density.outline()
    cuts = np.unique(density.thresholds(draws, levels))
    for cut in cuts if k == 0 else ():
        ax.contourf(x, y, values.T, [cut, np.inf], colors=[COLORS[k]], alpha=ALPHA)
    style = {f"{key}s": [value] for key, value in line_style(k).items()}
    ax.contour(x, y, values.T, cuts, linewidths=0.9, **style)


def _draw_truth(axes: np.ndarray, true_theta: np.ndarray) -> None:
    """Mark the true values that are known by lines and, where they cross, a square."""
    line = {"color": INK, "linewidth": 0.8}
    for i, j in _panels(axes):
        ax, x, y = axes[i, j], true_theta[j], true_theta[i]
        if np.isfinite(x):
            ax.axvline(x, **line)
        if i != j and np.isfinite(y):
            ax.axhline(y, **line)
        if i != j and np.isfinite(x + y):
            ax.plot(x, y, "s", color=INK, markersize=2.5)


def _set_limits(axes: np.ndarray, limits: np.ndarray) -> None:
    """Give a column one x range and a row one y range."""
    for i, j in _panels(axes):
        axes[i, j].set_xlim(*limits[j])
        axes[i, j].set_ylim(*(limits[i] if i != j else (0, None)))


def _fold_factors(axes: np.ndarray, limits: np.ndarray, names: list[str]) -> None:
    """Move the factors and offsets of the ticks, for which there is no room, into the labels."""
    for ax in axes[np.tril_indices(len(axes))]:
        ax.xaxis.offsetText.set_visible(False)
        ax.yaxis.offsetText.set_visible(False)
    separator = " " if len(axes) < 3 else "\n"
    for j, name in enumerate(names):
        fold_factor(axes[-1, j].xaxis, limits[j], name, separator)
        if j > 0:
            fold_factor(axes[j, 0].yaxis, limits[j], name, separator)


def _legend_handles(labels: list[str], true_theta: np.ndarray) -> list[Line2D]:
    """Make the legend's entries for the posteriors and the true value."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=label, **line_style(k)) for k, label in enumerate(labels)]
    handles = [handle for handle, label in zip(handles, labels, strict=True) if label]
    if np.isfinite(true_theta).any():
        style = {"color": INK, "linewidth": 0.8, "marker": "s", "markersize": 2.5}
        handles.append(Line2D([], [], label="true value", **style))
    return handles
