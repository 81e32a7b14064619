"""Panels of posterior intervals over the true parameters, one a parameter."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sksbi.inspection._plotting import COLORS, INK
from sksbi.inspection._ticks import fold_factor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import ErrorbarContainer
    from matplotlib.figure import Figure, SubFigure

__all__ = ["draw_intervals", "interval_table", "intervals_size"]

Array = NDArray[np.float64]

_MOST_COLUMNS = 4


def interval_table(draws: Array, theta: Array, names: list[str], level: float) -> pd.DataFrame:
    """Tell the true value, the median and the interval, (parameter, column) by observation."""
    median, lower, upper = np.quantile(draws, [0.5, (1 - level) / 2, (1 + level) / 2], axis=1)
    parts = {"true": theta, "median": median, "lower": lower, "upper": upper}
    columns = {
        (name, part): values[:, j] for j, name in enumerate(names) for part, values in parts.items()
    }
    return pd.DataFrame(columns).rename_axis(columns=["parameter", "value"])


def intervals_size(n_features: int) -> tuple[float, float]:
    """Return a size in inches, one column of a journal wide for one parameter, else two."""
    n_rows, n_columns = _grid(n_features)
    width = 3.4 if n_features == 1 else 7.1
    return width, 0.25 + n_rows * (width / n_columns - 0.1)


def draw_intervals(
    fig: Figure | SubFigure, table: pd.DataFrame, level: float
) -> tuple[np.ndarray, list[list[ErrorbarContainer]]]:
    """Draw one panel a parameter; return the axes and what was drawn in each."""
    names = list(dict.fromkeys(table.columns.get_level_values(0)))
    axes = fig.subplots(*_grid(len(names)), squeeze=False).ravel()
    for ax in axes[len(names) :]:
        ax.remove()
    axes = axes[: len(names)]
    drawn = [_draw_panel(ax, name, table[name]) for ax, name in zip(axes, names, strict=True)]
    _draw_legend(fig, axes[0], drawn[0], level)
    return axes, drawn


def _grid(n_features: int) -> tuple[int, int]:
    """Choose the numbers of rows and columns of panels."""
    n_rows = math.ceil(n_features / _MOST_COLUMNS)
    return n_rows, math.ceil(n_features / n_rows)


def _draw_panel(ax: Axes, name: str, values: pd.DataFrame) -> list[ErrorbarContainer]:
    """Draw the intervals that hold the true value, those that do not, and the diagonal."""
    low, high = values.to_numpy().min(), values.to_numpy().max()
    margin = 0.04 * (high - low) or 0.5
    ends = low - margin, high + margin
    ax.plot(ends, ends, color=INK, lw=0.7, zorder=3)
    holds = values["true"].between(values["lower"], values["upper"])
    drawn = [
        _draw_errorbars(ax, values[holds], color=COLORS[0], fmt="o"),
        _draw_errorbars(ax, values[~holds], color=COLORS[1], fmt="s", markerfacecolor="white"),
    ]
    ax.set(xlim=ends, ylim=ends)
    ax.set_box_aspect(1)
    ax.locator_params(nbins=5)
    for axis, label in ((ax.xaxis, f"true {name}"), (ax.yaxis, f"estimated {name}")):
        fold_factor(axis, np.array(ends), label)
        axis.label.set_fontsize(9)
    ax.tick_params(labelsize=8)
    return drawn


def _draw_errorbars(ax: Axes, values: pd.DataFrame, **style: object) -> ErrorbarContainer:
    """Draw medians with their intervals."""
    reach = [values["median"] - values["lower"], values["upper"] - values["median"]]
    return ax.errorbar(
        values["true"], values["median"], reach, lw=0.6, alpha=0.8, markersize=2.5, **style
    )


def _draw_legend(
    fig: Figure | SubFigure, ax: Axes, drawn: list[ErrorbarContainer], level: float
) -> None:
    """Put the legend above the panels."""
    labels = [f"{100 * level:.4g}% interval, true value inside", "outside"]
    fig.legend(drawn, labels, loc="outside upper center", ncols=2, fontsize=8, frameon=False)
