"""The one place of style: figures, colours, line styles, legends, labels of axes and ticks."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from sksbi.utils.types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.legend import Legend

__all__ = [
    "ALPHA",
    "COLORS",
    "EXACT",
    "INK",
    "curve_style",
    "draw_legend",
    "empty_figure",
    "fold_factor",
    "given_axes",
    "import_pyplot",
    "label_axes",
    "legend_above",
    "line_style",
    "new_figure",
    "p_text",
    "point_style",
    "region_handles",
    "title_above",
    "wrapped",
]

# Okabe and Ito's palette is safe for the colour-blind; line styles serve those who print grey.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINE_STYLES = ("-", "--", "-.", ":")
MARKERS = ("", "o", "s", "^", "D", "v")
INK = "0.15"
ALPHA = 0.25
EXACT: dict[str, Any] = {"color": INK, "lw": 0.7}  # where an exact posterior would be


def import_pyplot() -> Any:
    """Import matplotlib.pyplot, or say how to install it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            'The displays need matplotlib, which is not installed: pip install "sksbi[plot]".'
        ) from error
    return plt


def new_figure(figsize: tuple[float, float], pad: float = 0.02, space: float = 0.02) -> Figure:
    """Make a figure of this size in inches, with little room around and between axes."""
    figure = import_pyplot().figure(figsize=figsize, layout="constrained")
    figure.get_layout_engine().set(w_pad=pad, h_pad=pad, wspace=space, hspace=space)
    return figure


def empty_figure(
    fig: Figure | SubFigure | None, figsize: tuple[float, float]
) -> Figure | SubFigure:
    """Make a figure of this size in inches, or take the user's if nothing is drawn in it."""
    if fig is None:
        return new_figure(figsize)
    import_pyplot()
    from matplotlib.figure import FigureBase

    if not isinstance(fig, FigureBase):
        raise TypeError(
            f"fig must be a matplotlib Figure or SubFigure, got {fig!r} of type "
            f"{type(fig).__name__}; for the size of a new one give figsize."
        )
    if fig.axes:
        raise ValueError(
            f"fig must be empty, got a figure with {len(fig.axes)} axes; call fig.clear() first, "
            "or give all that shall be drawn over each other in one display."
        )
    return fig


def given_axes(ax: Axes | None, figsize: tuple[float, float]) -> Axes:
    """Take the user's axes, or make a figure of this size in inches."""
    if ax is None:
        return new_figure(figsize).add_subplot()
    import_pyplot()
    if not hasattr(ax, "plot"):
        raise TypeError(
            f"ax must be matplotlib Axes, got {ax!r} of type {type(ax).__name__}; leave it out "
            "for a new figure."
        )
    return ax


def line_style(k: int) -> dict[str, Any]:
    """Return the style of the k-th of a few lines."""
    return {"color": COLORS[k % len(COLORS)], "linestyle": LINE_STYLES[k % len(LINE_STYLES)]}


def curve_style(k: int) -> dict[str, Any]:
    """Return the style of the k-th curve: 24 differ in line or marker, colours left aside."""
    return {
        **line_style(k),
        "linewidth": 1.2,
        "marker": MARKERS[k // len(LINE_STYLES) % len(MARKERS)],
        "markersize": 3,
        "markevery": (0.03 * (k % len(LINE_STYLES)), 0.12),
    }


def point_style(k: int) -> dict[str, Any]:
    """Return the style of the k-th cloud of points."""
    marker = MARKERS[1 + k % (len(MARKERS) - 1)]
    return {"color": COLORS[k % len(COLORS)], "marker": marker, "ls": "", "mfc": "none"}


def label_axes(
    ax: Axes, xlabel: str | None = None, ylabel: str | None = None, size: float = 9
) -> None:
    """Label axes, and set the sizes of labels and ticks."""
    for axis, label in ((ax.xaxis, xlabel), (ax.yaxis, ylabel)):
        axis.label.set_fontsize(size)
        if label is not None:
            axis.set_label_text(label)
    ax.tick_params(labelsize=size - 1)


def draw_legend(
    owner: Axes | Figure | SubFigure,
    handles: Sequence[Any],
    labels: Sequence[str] | None = None,
    **where: Any,
) -> Legend:
    """Draw a legend in small letters, without a frame; the labels may be the handles' own."""
    labels = [handle.get_label() for handle in handles] if labels is None else labels
    return owner.legend(handles, labels, **{"fontsize": 8, "frameon": False, **where})


def legend_above(
    ax: Axes, handles: Sequence[Any], labels: Sequence[str], n_columns: int = 2
) -> None:
    """Put a legend above axes, in fewer columns or smaller letters where there is no room."""
    place = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2}
    for ncols in range(n_columns, 0, -1):
        legend = draw_legend(ax, handles, labels, ncols=ncols, columnspacing=1.2, **place)
        excess = legend.get_window_extent().width / _room(ax)
        if excess <= 1:
            return
    draw_legend(ax, handles, labels, **place, fontsize=7.2 / excess)


def title_above(ax: Axes, title: str) -> None:
    """Write a title above axes, and above the legend if that stands there."""
    legend = ax.get_legend()
    height = 0.0 if legend is None else legend.get_window_extent().height
    # Letters are up to a seventh taller where a file has few dots an inch.
    ax.set_title(title, loc="left", fontsize=9, pad=5 + 1.15 * 72 * height / ax.figure.dpi)


def _room(ax: Axes) -> float:
    """Return the width in pixels that axes have in their figure, with what stands beside them."""
    spec, width = ax.get_subplotspec(), ax.figure.bbox.width
    if spec is None:
        return width
    ratios = np.array(spec.get_gridspec().get_width_ratios())
    return width * ratios[list(spec.colspan)].sum() / ratios.sum()


def p_text(p_value: float) -> str:
    """Write a p-value for a legend."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"


def region_handles(levels: list[float], noun: str) -> list[Any]:
    """Make a legend's entries for regions that are drawn over each other, the wider ones first."""
    from matplotlib.patches import Patch

    return [
        Patch(
            color=COLORS[0], alpha=1 - (1 - ALPHA) ** (k + 1), lw=0, label=f"{100 * p:.4g}% {noun}"
        )
        for k, p in enumerate(levels)
    ]


def wrapped(name: str, width: int) -> str:
    """Break a long name into lines, within words too; mathematics stays as it is."""
    return name if "$" in name else "\n".join(wrap(name, width)) or name


def fold_factor(axis: Axis, limits: Array, name: str, separator: str = " ") -> None:
    """Fix the offset and the power of ten that the ticks leave out, and say them in the label."""
    offset, exponent = _offset_and_exponent(*limits.tolist())
    formatter: Any = axis.get_major_formatter()
    formatter.set_useOffset(np.nextafter(1.0, 2.0) if offset == 1 else offset)  # 1 means automatic
    formatter.set_scientific(exponent != 0)
    if exponent:
        formatter.set_powerlimits((exponent, exponent))
    if offset:
        sign = "+" if offset < 0 else "\N{MINUS SIGN}"
        name = f"{name}{separator}{sign} {_number(abs(offset))}"
    if exponent:
        name = f"({name})" if offset else name
        name = f"{name}{separator}/ {_number(10.0**exponent)}"
    axis.set_label_text(name)
    axis.offsetText.set_visible(False)


def _offset_and_exponent(low: float, high: float) -> tuple[float, int]:
    """Choose an offset that saves four digits, else 0, and a power that saves five, else 0."""
    offset = 0.0
    if max(abs(low), abs(high)) > 1e4 * (high - low):
        offset = round((low + high) / 2, -int(np.floor(np.log10(high - low))) - 1)
    exponent = int(np.floor(np.log10(max(abs(low - offset), abs(high - offset)))))
    return offset, 0 if -5 < exponent < 6 else exponent


def _number(value: float) -> str:
    """Write a positive number in few signs: 1e12, not 1000000000000 or 1e+12."""
    text = f"{value:.15g}"
    if text.endswith("00000") and text.isdigit():
        short = text.rstrip("0")
        return f"{short}e{len(text) - len(short)}"
    mantissa, _, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}".replace("-", "\N{MINUS SIGN}") if exponent else text
