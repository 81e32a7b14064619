"""What corner plots share: a lower triangle of axes, densities, regions, and points marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sksbi.inspection._density import GridDensity
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
from sksbi.utils.types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = [
    "corner_size",
    "draw_marginal",
    "draw_pair",
    "draw_points",
    "draw_truth",
    "explain",
    "lay_out",
    "lower_triangle",
    "row_of",
]

TRUTH: dict[str, Any] = {"color": INK, "linewidth": 0.8}
POINT_MARKERS, POINT_COLORS = ("o", "^", "D", "v", "P", "X"), (4, 3, 5, 2, 1, 0)
DASHES = (0, (4, 2))


def corner_size(d: int) -> tuple[float, float]:
    """Return the size of a new figure in inches."""
    side = min(max(3.4, 0.4 + 1.25 * d), 7.1)
    return (3.4, 2.5) if d == 1 else (side, side)


def row_of(point: pd.Series | None, d: int) -> Array:
    """Take the values of a point (D,), NaN where there is none."""
    return np.full(d, np.nan) if point is None else np.asarray(point)


def lower_triangle(d: int) -> list[tuple[int, int]]:
    """List the panels, row by row."""
    return [(i, j) for i in range(d) for j in range(i + 1)]


def lay_out(fig: Figure | SubFigure, names: list[str], limits: Array) -> NDArray[np.object_]:
    """Make the lower triangle of axes, labelled at its outside only."""
    d = len(names)
    grid, axes = fig.add_gridspec(d, d), np.full((d, d), None, dtype=object)
    for i, j in lower_triangle(d):
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


def draw_marginal(ax: Axes, density: GridDensity, cuts: Array, k: int, label: str) -> None:
    """Draw the k-th density and, under the first, its regions: more would hide each other."""
    (x,), height = density.outline()
    ax.plot(x, height, linewidth=1.1, label=label, **line_style(k))
    for cut in cuts if k == 0 else ():
        ax.fill_between(x, height, where=height >= cut, color=COLORS[k], alpha=ALPHA, lw=0)


def draw_pair(ax: Axes, density: GridDensity, cuts: Array, k: int, _: str) -> None:
    """Draw the k-th posterior's regions, the wider ones first, and fill the first one's."""
    (x, y), values = density.outline()
    for cut in cuts if k == 0 else ():
        ax.contourf(x, y, values, [cut, np.inf], colors=[COLORS[k]], alpha=ALPHA)
    style: dict[str, Any] = {f"{key}s": [value] for key, value in line_style(k).items()}
    ax.contour(x, y, values, cuts, linewidths=0.9, **style)


def draw_truth(ax: Axes, x: float, y: float = np.nan) -> None:
    """Mark the true values that are known by lines and, where they cross, a square."""
    if np.isfinite(x):
        ax.axvline(x, **TRUTH)
    if np.isfinite(y):
        ax.axhline(y, **TRUTH)
    if np.isfinite(x + y):
        ax.plot(x, y, "s", color=INK, markersize=2.5)


def draw_points(ax: Axes, points: Sequence[Array], columns: Sequence[int]) -> None:
    """Mark further points: dashed lines in marginals, and a marker of its own in pairs."""
    for k, point in enumerate(points):
        style, at = _point_style(k), point[list(columns)]
        if len(columns) == 1 and np.isfinite(at).all():
            ax.axvline(at[0], color=style["color"], linewidth=0.9, linestyle=DASHES)
        elif len(columns) == 2 and np.isfinite(at).all():
            ax.plot(*at, ls="", **style)


def explain(
    figure: Figure | SubFigure,
    axes: NDArray[np.object_],
    truth: Array,
    points: Sequence[str],
    levels: list[float],
) -> None:
    """Draw the legend: the densities, what is marked, and the regions."""
    from matplotlib.lines import Line2D

    handles, _ = axes[0, 0].get_legend_handles_labels()
    if np.isfinite(truth).any():
        handles.append(Line2D([], [], marker="s", markersize=2.5, label="true value", **TRUTH))
    for k, name in enumerate(points):
        handles.append(Line2D([], [], label=name, lw=0.9, ls=DASHES, **_point_style(k)))
    handles += region_handles(levels, "region")
    if len(axes) == 1:
        draw_legend(axes[0, 0], handles, fontsize=7)
    else:
        draw_legend(figure, handles, loc="upper right")


def _point_style(k: int) -> dict[str, Any]:
    """Return the style of the k-th point, in colours that densities take last."""
    k %= len(POINT_MARKERS)
    return {
        "color": COLORS[POINT_COLORS[k]],
        "marker": POINT_MARKERS[k],
        "markersize": 4.5,
        "markeredgecolor": INK,
        "markeredgewidth": 0.5,
    }
