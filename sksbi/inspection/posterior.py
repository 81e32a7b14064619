"""The corner plot of one posterior, or of several drawn over each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sksbi.inspection._density import GridDensity, grid_density, panel_limits
from sksbi.inspection._estimators import sample_one
from sksbi.inspection._named import check_levels, check_row, parameter_labels
from sksbi.inspection._plot import FigureDisplay, Size
from sksbi.inspection._style import (
    ALPHA,
    COLORS,
    INK,
    draw_legend,
    fold_factor,
    label_axes,
    line_style,
    region_handles,
    wrapped,
)
from sksbi.tables.draws import check_draws, check_same_columns
from sksbi.utils.types import Array, RandomState, Row, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["PosteriorDisplay"]

_LEAST_WIDTH = 1e-100
_TRUTH: dict[str, Any] = {"color": INK, "linewidth": 0.8}


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
    figure_, axes_ : matplotlib Figure and ndarray of Axes of shape (D, D)
        Where it is drawn; None above the diagonal.

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
        iid: bool = False,
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
        iid : bool, default=False
            Whether x consists of independent trials of one theta, as in ``estimator.sample``.
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
        TypeError, ValueError
            If ``estimator`` cannot sample, as a search: give its ``best_estimator_``; if ``x`` is a
            batch of observations.
        """
        trials = {"iid": iid} if iid else {}
        draws = sample_one(estimator, x, n_samples, random_state, **trials)
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
        values, columns = _check_tables(tables)
        n_features = next(iter(values.values())).shape[1]
        columns = parameter_labels(None, columns, n_features)
        shown = parameter_labels(names, columns, n_features)
        frames = {key: pd.DataFrame(table, columns=shown) for key, table in values.items()}
        if true_theta is not None:
            true_theta = pd.Series(check_row(true_theta, columns, "true_theta"), index=shown)
        return cls(frames, true_theta=true_theta).plot(levels=levels, **plot_options)

    from_samples = from_predictions

    def _draw(self, *, levels: Sequence[float] = (0.5, 0.9)) -> Iterator[Size]:
        """Draw the posteriors over each other, and the true values."""
        levels = check_levels(levels)
        samples = [frame.to_numpy() for frame in self.samples.values()]
        names = [str(name) for name in next(iter(self.samples.values())).columns]
        side = min(max(3.4, 0.4 + 1.25 * len(names)), 7.1)
        yield (3.4, 2.5) if len(names) == 1 else (side, side)
        from matplotlib.lines import Line2D

        given = self.true_theta is not None
        truth = np.asarray(self.true_theta) if given else np.full(len(names), np.nan)
        limits = panel_limits(samples, truth)
        self.axes_ = _lay_out(self.figure_, names, limits)
        for i, j in _lower_triangle(len(names)):
            self._draw_panel(i, j, samples, limits, levels)
            _draw_truth(self.axes_[i, j], *truth[[i] if i == j else [j, i]])
        handles, _ = self.axes_[0, 0].get_legend_handles_labels()
        if np.isfinite(truth).any():
            handles.append(Line2D([], [], marker="s", markersize=2.5, label="true value", **_TRUTH))
        handles += region_handles(levels, "region")
        if len(names) == 1:
            draw_legend(self.axes_[0, 0], handles, fontsize=7)
        else:
            draw_legend(self.figure_, handles, loc="upper right")

    def _draw_panel(
        self, i: int, j: int, samples: list[Array], limits: Array, levels: list[float]
    ) -> None:
        """Draw the density of one parameter, or of a pair, of every table."""
        ax, columns = self.axes_[i, j], [i] if i == j else [j, i]
        for k, (label, draws) in enumerate(zip(self.samples, samples, strict=True)):
            density = grid_density(draws[:, columns], limits[columns])
            cuts = np.unique(density.thresholds(draws[:, columns], levels))
            (_draw_marginal if i == j else _draw_pair)(ax, density, cuts, k, label)
        ax.set(xlim=limits[j], ylim=(0, None) if i == j else limits[i])


def _check_spread(table: Array, where: str) -> None:
    """Refuse draws that vary by so little that there is no picture of them."""
    width = np.ptp(table, axis=0)
    if ((width > 0) & (width < _LEAST_WIDTH)).any():
        raise ValueError(
            f"{where} must be in units in which they vary by more than {_LEAST_WIDTH:g}, got "
            f"ranges of {width}."
        )


def _check_tables(tables: Mapping[str, Table]) -> tuple[dict[str, Array], list[str] | None]:
    """Check labelled tables of the same columns; return their values and the names, if any."""
    values, names = {}, None
    for label, table in tables.items():
        where = f"samples[{label!r}]" if len(tables) > 1 else "samples"
        values[str(label)], columns = check_draws(table, where, 2)
        _check_spread(values[str(label)], where)
        check_same_columns(columns, names, where, "the tables before it")
        names = names or columns
    widths = {label: table.shape[1] for label, table in values.items()}
    if len(set(widths.values())) != 1:
        raise ValueError(
            f"samples must hold tables of the same number of columns, got {widths or 'none'}."
        )
    return values, names


def _lower_triangle(d: int) -> list[tuple[int, int]]:
    """List the panels, row by row."""
    return [(i, j) for i in range(d) for j in range(i + 1)]


def _lay_out(fig: Figure | SubFigure, names: list[str], limits: Array) -> NDArray[np.object_]:
    """Make the lower triangle of axes, labelled at its outside only."""
    d = len(names)
    grid, axes = fig.add_gridspec(d, d), np.full((d, d), None, dtype=object)
    for i, j in _lower_triangle(d):
        axes[i, j] = fig.add_subplot(grid[i, j])
        _thin_out(axes[i, j], d, i, j)
    separator, room = (" ", 40 // d) if d < 3 else ("\n", max(6, min(13, 90 // d)))
    for j, name in enumerate(wrapped(name, room) for name in names):
        fold_factor(axes[-1, j].xaxis, limits[j], name, separator)
        if j > 0:
            fold_factor(axes[j, 0].yaxis, limits[j], name, separator)
    if d == 1:
        axes[0, 0].set_ylabel("density")
    else:
        fig.align_labels([ax for ax in axes.flat if ax is not None])
    return axes


def _thin_out(ax: Axes, d: int, row: int, column: int) -> None:
    """Keep few ticks, small ones, with numbers at the outside."""
    size = 9 if d <= 5 else 8
    bottom, left = row == d - 1, column == 0 and row > 0
    label_axes(ax, size=size)
    ax.tick_params(labelsize=size - 1.5, length=2.5, pad=2, labelbottom=bottom, labelleft=left)
    ax.locator_params(axis="x", nbins=5 if d == 1 else 3)
    if bottom:
        ax.tick_params(axis="x", labelrotation=45 if d > 2 else 0)
    if row == column:
        ax.set_yticks([])
        ax.spines[["left", "right", "top"]].set_visible(False)
    else:
        ax.locator_params(axis="y", nbins=3)
    ax.xaxis.offsetText.set_visible(False)
    ax.yaxis.offsetText.set_visible(False)


def _draw_marginal(ax: Axes, density: GridDensity, cuts: Array, k: int, label: str) -> None:
    """Draw the k-th density and, under the first, its regions: more would hide each other."""
    (x,), height = density.outline()
    ax.plot(x, height, linewidth=1.1, label=label, **line_style(k))
    for cut in cuts if k == 0 else ():
        ax.fill_between(x, height, where=height >= cut, color=COLORS[k], alpha=ALPHA, lw=0)


def _draw_pair(ax: Axes, density: GridDensity, cuts: Array, k: int, _: str) -> None:
    """Draw the k-th posterior's regions, the wider ones first, and fill the first one's."""
    (x, y), values = density.outline()
    for cut in cuts if k == 0 else ():
        ax.contourf(x, y, values, [cut, np.inf], colors=[COLORS[k]], alpha=ALPHA)
    style: dict[str, Any] = {f"{key}s": [value] for key, value in line_style(k).items()}
    ax.contour(x, y, values, cuts, linewidths=0.9, **style)


def _draw_truth(ax: Axes, x: float, y: float = np.nan) -> None:
    """Mark the true values that are known by lines and, where they cross, a square."""
    if np.isfinite(x):
        ax.axvline(x, **_TRUTH)
    if np.isfinite(y):
        ax.axhline(y, **_TRUTH)
    if np.isfinite(x + y):
        ax.plot(x, y, "s", color=INK, markersize=2.5)
