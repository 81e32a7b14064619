"""What the displays share: the import of matplotlib, colours, figures and their checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = [
    "ALPHA",
    "COLORS",
    "INK",
    "LINE_STYLES",
    "check_levels",
    "curve_style",
    "empty_figure",
    "given_axes",
    "import_pyplot",
    "legend_above",
    "p_text",
    "region_handles",
]

# Okabe and Ito's palette is safe for the colour-blind; line styles serve those who print grey.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINE_STYLES = ("-", "--", "-.", ":")
MARKERS = ("", "o", "s", "^", "D", "v")
INK = "0.15"
ALPHA = 0.25


def import_pyplot() -> Any:
    """Import matplotlib.pyplot, or say how to install it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            'The displays need matplotlib, which is not installed: pip install "sksbi[plot]".'
        ) from error
    return plt


def empty_figure(
    fig: Figure | SubFigure | None, figsize: tuple[float, float]
) -> Figure | SubFigure:
    """Make a figure of this size in inches, or take the user's if nothing is drawn in it."""
    plt = import_pyplot()
    from matplotlib.figure import FigureBase

    if fig is None:
        fig = plt.figure(figsize=figsize, layout="constrained")
        fig.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)
    elif not isinstance(fig, FigureBase):
        raise TypeError(
            f"fig must be a matplotlib Figure or SubFigure, got {fig!r} of type "
            f"{type(fig).__name__}; for the size of a new one give figsize."
        )
    elif fig.axes:
        raise ValueError(
            f"fig must be empty, got a figure with {len(fig.axes)} axes; call fig.clear() first, "
            "or give all that shall be drawn over each other in one display."
        )
    return fig


def given_axes(ax: Axes | None, figsize: tuple[float, float]) -> Axes:
    """Take the user's axes, or make a figure of this size in inches."""
    import_pyplot()
    if ax is None:
        return empty_figure(None, figsize).add_subplot()
    if not hasattr(ax, "plot"):
        raise TypeError(
            f"ax must be matplotlib Axes, got {ax!r} of type {type(ax).__name__}; leave it out "
            "for a new figure."
        )
    return ax


def legend_above(
    ax: Axes, handles: Sequence[Any], labels: Sequence[str], n_columns: int = 2
) -> None:
    """Put a legend above axes, in fewer columns where it would be wider than the figure."""
    for ncols in range(n_columns, 0, -1):
        legend = ax.legend(
            handles,
            labels,
            ncols=ncols,
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            borderaxespad=0.2,
            columnspacing=1.2,
            fontsize=8,
            frameon=False,
        )
        if legend.get_window_extent().width <= ax.figure.bbox.width:
            break


def curve_style(k: int) -> dict[str, Any]:
    """Return the style of the k-th curve: 24 differ in line or marker, colours left aside."""
    return {
        "color": COLORS[k % len(COLORS)],
        "linestyle": LINE_STYLES[k % len(LINE_STYLES)],
        "linewidth": 1.2,
        "marker": MARKERS[k // len(LINE_STYLES) % len(MARKERS)],
        "markersize": 3,
        "markevery": (0.03 * (k % len(LINE_STYLES)), 0.12),
    }


def p_text(p_value: float) -> str:
    """Write a p-value for a legend."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"


def check_levels(levels: Sequence[float]) -> list[float]:
    """Check probabilities strictly between 0 and 1, and sort them from wide to narrow."""
    rule = "levels must be probabilities strictly between 0 and 1, such as (0.5, 0.9), got"
    try:
        values = np.unique(np.asarray(levels, dtype=np.float64))[::-1]
    except (TypeError, ValueError) as error:
        raise TypeError(f"{rule} {levels!r}.") from error
    if values.size == 0 or not np.all((values > 0) & (values < 1)):
        raise ValueError(f"{rule} {levels!r}.")
    return values.tolist()


def region_handles(levels: list[float], noun: str) -> list[Any]:
    """Make a legend's entries for regions that are drawn over each other, the wider ones first."""
    from matplotlib.patches import Patch

    return [
        Patch(
            color=COLORS[0], alpha=1 - (1 - ALPHA) ** (k + 1), lw=0, label=f"{100 * p:.4g}% {noun}"
        )
        for k, p in enumerate(levels)
    ]
