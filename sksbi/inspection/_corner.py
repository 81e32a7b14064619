"""The corner plot: densities on the diagonal, highest-density regions of every pair below it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sksbi.inspection._density import grid_density, panel_limits
from sksbi.inspection._plotting import ALPHA, COLORS, INK, LINE_STYLES, region_handles
from sksbi.inspection._ticks import fold_factor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["corner_size", "draw_corner"]


@dataclass(frozen=True)
class _Style:
    """How one posterior is drawn; the first is filled, so that lines over it stay visible."""

    color: str
    linestyle: str
    filled: bool


def corner_size(n_features: int) -> tuple[float, float]:
    """Return a size in inches between the width of one and of two columns of a journal."""
    if n_features == 1:
        return 3.4, 2.5
    side = min(max(3.4, 0.4 + 1.25 * n_features), 7.1)
    return side, side


def draw_corner(
    fig: Figure | SubFigure,
    samples: dict[str, np.ndarray],
    names: list[str],
    true_theta: np.ndarray,
    levels: list[float],
) -> np.ndarray:
    """Draw the posteriors (n, D) over each other; return the axes (D, D), None above."""
    axes = _lay_out(fig, names)
    limits = panel_limits(list(samples.values()), true_theta)
    for k, draws in enumerate(samples.values()):
        _draw_posterior(axes, draws, limits, levels, _style(k))
    _draw_truth(axes, true_theta)
    _set_limits(axes, limits)
    _fold_factors(axes, limits, names)
    handles = _legend_handles(list(samples), true_theta, levels)
    _draw_legend(fig, axes, handles)
    return axes


def _style(k: int) -> _Style:
    """Return the style of the k-th posterior."""
    return _Style(COLORS[k % len(COLORS)], LINE_STYLES[k % len(LINE_STYLES)], k == 0)


def _lay_out(fig: Figure | SubFigure, names: list[str]) -> np.ndarray:
    """Make the lower triangle of axes, labelled at its outside only."""
    d = len(names)
    grid = fig.add_gridspec(d, d)
    axes = np.full((d, d), None, dtype=object)
    for i, j in zip(*np.tril_indices(d), strict=True):
        axes[i, j] = fig.add_subplot(grid[i, j])
        _label(axes[i, j], names, i, j)
    if d > 1:
        fig.align_labels([ax for ax in axes.flat if ax is not None])
    return axes


def _label(ax: Axes, names: list[str], row: int, column: int) -> None:
    """Label one panel and thin out its ticks."""
    d = len(names)
    size = 9 if d <= 5 else 8
    bottom, left = row == d - 1, column == 0 and row > 0
    ax.tick_params(labelsize=size - 1.5, length=2.5, pad=2, labelbottom=bottom, labelleft=left)
    ax.locator_params(axis="x", nbins=5 if d == 1 else 3)
    if row == column:
        ax.set_yticks([])
        ax.spines[["left", "right", "top"]].set_visible(False)
    else:
        ax.locator_params(axis="y", nbins=3)
    if bottom:
        ax.tick_params(axis="x", labelrotation=45 if d > 2 else 0)
        ax.set_xlabel(names[column], fontsize=size)
    if left:
        ax.set_ylabel(names[row], fontsize=size)
    elif d == 1:
        ax.set_ylabel("density", fontsize=size)


def _draw_posterior(
    axes: np.ndarray, draws: np.ndarray, limits: np.ndarray, levels: list[float], style: _Style
) -> None:
    """Draw one posterior in every panel."""
    for i, j in zip(*np.tril_indices(len(axes)), strict=True):
        columns = [i] if i == j else [j, i]
        draw = _draw_marginal if i == j else _draw_pair
        draw(axes[i, j], draws[:, columns], limits[columns], levels, style)


def _draw_marginal(
    ax: Axes, draws: np.ndarray, limits: np.ndarray, levels: list[float], style: _Style
) -> None:
    """Draw the density of draws (n, 1) and, if filled, its regions under the curve."""
    density = grid_density(draws, limits)
    (x,), height = density.outline()
    ax.plot(x, height, color=style.color, linestyle=style.linestyle, linewidth=1.1)
    if style.filled:
        for cut in density.thresholds(draws, levels):
            ax.fill_between(x, height, where=height >= cut, color=style.color, alpha=ALPHA, lw=0)


def _draw_pair(
    ax: Axes, draws: np.ndarray, limits: np.ndarray, levels: list[float], style: _Style
) -> None:
    """Draw the regions of draws (n, 2), the wider ones first."""
    density = grid_density(draws, limits)
    (x, y), values = density.outline()
    cuts = np.unique(density.thresholds(draws, levels))
    if style.filled:
        for cut in cuts:
            ax.contourf(x, y, values.T, [cut, np.inf], colors=[style.color], alpha=ALPHA)
    ax.contour(
        x, y, values.T, cuts, colors=[style.color], linestyles=[style.linestyle], linewidths=0.9
    )


def _draw_truth(axes: np.ndarray, true_theta: np.ndarray) -> None:
    """Mark the true values that are known by lines and, where they cross, a square."""
    line = {"color": INK, "linewidth": 0.8}
    for i, j in zip(*np.tril_indices(len(axes)), strict=True):
        ax, x, y = axes[i, j], true_theta[j], true_theta[i]
        if np.isfinite(x):
            ax.axvline(x, **line)
        if i != j and np.isfinite(y):
            ax.axhline(y, **line)
        if i != j and np.isfinite(x + y):
            ax.plot(x, y, "s", color=INK, markersize=2.5)


def _set_limits(axes: np.ndarray, limits: np.ndarray) -> None:
    """Give a column one x range and a row one y range."""
    for i, j in zip(*np.tril_indices(len(axes)), strict=True):
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


def _legend_handles(labels: list[str], true_theta: np.ndarray, levels: list[float]) -> list:
    """Make the legend's entries: the posteriors, the true value, the regions."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=style.color, linestyle=style.linestyle, label=label)
        for style, label in zip(map(_style, range(len(labels))), labels, strict=True)
        if label
    ]
    if np.isfinite(true_theta).any():
        handles.append(
            Line2D([], [], color=INK, linewidth=0.8, marker="s", markersize=2.5, label="true value")
        )
    return handles + region_handles(levels, "region")


def _draw_legend(fig: Figure | SubFigure, axes: np.ndarray, handles: list) -> None:
    """Put the legend into the free triangle, or over the only panel."""
    if len(axes) == 1:
        axes[0, 0].legend(handles=handles, fontsize=7, frameon=False)
    else:
        fig.legend(handles=handles, fontsize=8, frameon=False, loc="upper right")
