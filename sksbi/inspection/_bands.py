"""Panels of quantile bands of simulated series, with what was observed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sksbi.inspection._plotting import ALPHA, COLORS, INK, region_handles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["draw_panels", "panels_size"]

Series = tuple[pd.Index, np.ndarray, np.ndarray]


def panels_size(n_series: int) -> tuple[float, float]:
    """Return a size in inches, one column of a journal wide."""
    return 3.4, 0.7 + 1.6 * n_series


def draw_panels(
    fig: Figure | SubFigure,
    series: dict[str, Series],
    levels: list[float],
    log: bool,
    xlabel: str | None,
) -> np.ndarray:
    """Draw one panel a series, (coordinates, simulated, observed), below each other."""
    if log:
        _check_positive(series)
    shared = len({tuple(coordinates) for coordinates, _, _ in series.values()}) == 1
    axes = fig.subplots(len(series), squeeze=False, sharex=shared)[:, 0]
    for ax, (name, values) in zip(axes, series.items(), strict=True):
        _draw_bands(ax, *values, levels)
        ax.set_yscale("log" if log else "linear")
        ax.set_ylabel(name, fontsize=9)
        ax.tick_params(labelsize=8)
        if not shared or ax is axes[-1]:
            ax.set_xlabel(values[0].name if xlabel is None else xlabel, fontsize=9)
    fig.align_ylabels(axes)
    _draw_legend(axes[0], levels)
    return axes


def _draw_bands(
    ax: Axes,
    coordinates: pd.Index,
    simulated: np.ndarray,
    observed: np.ndarray,
    levels: list[float],
) -> None:
    """Draw the bands, the wider ones first, the median and the observed values."""
    x, wide = coordinates.to_numpy(), simulated
    if len(x) == 1:
        x, wide = np.array([-0.4, 0.4]), np.repeat(simulated, 2, axis=1)
        ax.set_xlim(-1, 1)
        ax.set_xticks([0], [str(coordinates[0])])
    for level in levels:
        low, high = np.quantile(wide, [(1 - level) / 2, (1 + level) / 2], axis=0)
        ax.fill_between(x, low, high, color=COLORS[0], alpha=ALPHA, lw=0)
    ax.plot(x, np.median(wide, axis=0), color=COLORS[0], lw=1.2, label="median")
    where = x if len(x) == len(observed) else [0]
    ax.plot(where, observed, "o", color=INK, markersize=3, label="observed", zorder=3)
    if np.issubdtype(x.dtype, np.integer):
        ax.xaxis.get_major_locator().set_params(integer=True)


def _draw_legend(ax: Axes, levels: list[float]) -> None:
    """Put the legend above the first panel."""
    lines, _ = ax.get_legend_handles_labels()
    ax.legend(
        handles=region_handles(levels, "simulated") + lines,
        fontsize=8,
        frameon=False,
        ncols=2,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
    )


def _check_positive(series: dict[str, Series]) -> None:
    """Raise unless all that a logarithmic axis would show is positive."""
    for name, (_, simulated, observed) in series.items():
        least = min(simulated.min(), np.fmin.reduce(observed, initial=np.inf))
        if least <= 0:
            raise ValueError(
                f"log must be False where values are not positive, got {least} in the series "
                f"{name!r}."
            )
