"""Distribution functions of ranks over the level: curves, the line of exact ones, their band."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sksbi.inspection._plotting import INK, curve_style, legend_above, p_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.lines import Line2D

__all__ = ["curve_label", "draw_band", "draw_coverage", "draw_curve", "draw_legend", "make_square"]

Array = NDArray[np.float64]

# Marks on artists, by which a second display in the same axes knows those of the first.
_CURVE, _BAND, _EXACT = "sksbi curve", "sksbi band", "sksbi exact"
_BAND_LABEL = "95% band if exact"


def draw_coverage(
    ax: Axes, levels: Array, coverage: Array, edges: tuple[Array, Array], label: str | None
) -> tuple[Line2D, PolyCollection]:
    """Draw a coverage, the diagonal and the band in square axes."""
    band = draw_band(ax, levels, edges, levels)
    line = draw_curve(ax, levels, coverage, label)
    make_square(ax)
    ax.set_xlabel("credible level", fontsize=9)
    ax.set_ylabel("coverage", fontsize=9)
    ax.tick_params(labelsize=8)
    draw_legend(ax)
    return line, band


def make_square(ax: Axes) -> None:
    """Show probabilities on both axes, in a square."""
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.set_box_aspect(1)


def draw_band(ax: Axes, levels: Array, edges: tuple[Array, Array], exact: Array) -> PolyCollection:
    """Draw where exact curves lie, unless another display has drawn the same."""
    others = [band for band in ax.collections if band.get_gid() == _BAND]
    label = None if others else _BAND_LABEL
    band = ax.fill_between(levels, *edges, color="0.87", lw=0, zorder=0, label=label, gid=_BAND)
    if not any(line.get_gid() == _EXACT for line in ax.lines):
        ax.plot(levels, exact, color=INK, lw=0.7, zorder=1, gid=_EXACT)
    for other in others:
        if np.array_equal(_vertices(other), _vertices(band)):
            band.remove()
            return other
    return band


def draw_curve(ax: Axes, levels: Array, values: Array, label: str | None) -> Line2D:
    """Draw a curve in the next style."""
    k = sum(line.get_gid() == _CURVE for line in ax.lines)
    return ax.plot(levels, values, **curve_style(k), label=label, gid=_CURVE)[0]


def draw_legend(ax: Axes) -> None:
    """Draw the legend above the axes, the band last."""
    entries = zip(*ax.get_legend_handles_labels(), strict=True)
    ordered = sorted(entries, key=lambda entry: entry[1] == _BAND_LABEL)
    legend_above(ax, *zip(*ordered, strict=True))


def curve_label(label: str | None, p_value: float | None) -> str | None:
    """Say a curve's name and p-value."""
    parts = [] if label is None else [str(label)]
    return ", ".join(parts if p_value is None else [*parts, p_text(p_value)]) or None


def _vertices(band: PolyCollection) -> Array:
    """Return the outline of a band."""
    return band.get_paths()[0].vertices
