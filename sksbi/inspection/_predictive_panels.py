"""The panels of the predictive plot: series in bands, single quantities, many of them, images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sksbi.inspection._density import panel_limits
from sksbi.inspection._style import ALPHA, COLORS, INK, fold_factor, label_axes, wrapped
from sksbi.utils.types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["draw_bands", "draw_histogram", "draw_images", "draw_overview"]

_N_BINS = 30
_FARTHEST = 4.0
_MOST_NAMED = 5
_MEDIAN: dict[str, Any] = {"color": COLORS[0], "lw": 1.2, "label": "median"}
_MEDIAN_ACROSS: dict[str, Any] = {**_MEDIAN, "ls": "--"}
_OBSERVED: dict[str, Any] = {"color": INK, "markersize": 3, "label": "observed", "zorder": 3}


def draw_bands(
    ax: Axes, coordinates: pd.Index, simulated: Array, observed: Array, levels: Sequence[float]
) -> None:
    """Draw a series: its bands, the wider ones first, the median and the observed values."""
    x = coordinates.to_numpy()
    for level in levels:
        ax.fill_between(x, *_central(simulated, level), color=COLORS[0], alpha=ALPHA, lw=0)
    ax.plot(x, np.median(simulated, axis=0), **_MEDIAN)
    ax.plot(x, observed, "o", **_OBSERVED)
    if np.issubdtype(x.dtype, np.integer):
        ax.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]


def draw_histogram(
    ax: Axes, name: str, simulated: Array, observed: float, levels: Sequence[float], log: bool
) -> None:
    """Draw one quantity (n,): a histogram, shaded where its intervals are, and the observation."""
    scale, back = (np.log, np.exp) if log else (np.asarray, np.asarray)
    limits = panel_limits([scale(simulated)[:, None]], scale(np.array([observed])))[0]
    edges = _edges(scale(simulated), limits)
    heights, _ = np.histogram(scale(simulated), edges)
    ax.stairs(heights, back(edges), color=COLORS[0], lw=1.0)
    for level in levels:
        low, high = scale(_central(simulated, level))
        inner = np.unique(np.clip(edges, low, high))
        if len(inner) > 1:
            middle = (inner[1:] + inner[:-1]) / 2
            shaded = heights[np.clip(np.searchsorted(edges, middle) - 1, 0, len(heights) - 1)]
            ax.stairs(shaded, back(inner), fill=True, color=COLORS[0], alpha=ALPHA, lw=0)
    ax.axvline(np.median(simulated), **_MEDIAN_ACROSS)
    if np.isfinite(observed):
        ax.axvline(observed, color=INK, lw=1.2, zorder=3)
        ax.plot(observed, 0, "o", clip_on=False, **{**_OBSERVED, "markersize": 4})
    ax.set_xscale("log" if log else "linear")
    ax.set(xlim=back(limits), ylim=(0, None), yticks=[])
    ax.spines[["left", "right", "top"]].set_visible(False)
    label_axes(ax, wrapped(name, 24))
    if not log:
        ax.locator_params(axis="x", nbins=4)
        fold_factor(ax.xaxis, limits, wrapped(name, 24))


def draw_overview(
    ax: Axes,
    names: Sequence[str],
    simulated: Array,
    observed: Array,
    levels: Sequence[float],
    log: bool,
) -> None:
    """Draw many quantities (n, L), each in units of half of its widest interval."""
    if log:
        simulated, observed = np.log(simulated), np.log(observed)
    median = np.median(simulated, axis=0)
    low, high = _central(simulated, levels[0]) - median
    x = np.arange(len(names))
    for level in levels:
        below, above = (_divide(edge, low, high) for edge in _central(simulated, level) - median)
        ax.fill_between(x, below, above, step="mid", color=COLORS[0], alpha=ALPHA, lw=0)
    ax.axhline(0, **_MEDIAN)
    y = _divide(observed - median, low, high)
    shown = np.clip(y, -_FARTHEST, _FARTHEST)
    for marker, some in (("o", y == shown), ("^", y > shown), ("v", y < shown)):
        style = _OBSERVED if marker == "o" else {**_OBSERVED, "label": None, "markersize": 4}
        ax.plot(x[some], shown[some], marker, clip_on=False, **style)
    far = np.argsort(-np.nan_to_num(np.abs(y), nan=0.0), kind="stable")[:_MOST_NAMED]
    for j in far[np.nan_to_num(np.abs(y[far]), nan=0.0) > 1]:
        right = j > 0.6 * len(names)
        place: dict[str, Any] = {
            "xytext": (-5 if right else 5, 0),
            "textcoords": "offset points",
            "va": "center",
        }
        ax.annotate(
            names[j], (x[j], shown[j]), fontsize=7, ha="right" if right else "left", **place
        )
    reach = _FARTHEST + 0.3
    ax.set(xlim=(-1, len(names)), ylim=(-reach, reach))
    ax.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
    label_axes(ax, "column", f"distance from the median,\nhalf {100 * levels[0]:.4g}% intervals")


def draw_images(
    figure: Figure | SubFigure, axes: Sequence[Axes], name: str, simulated: Array, observed: Array
) -> None:
    """Draw images (n, H, W): the observation, mean and deviation of simulations, the residual."""
    mean, sd = simulated.mean(axis=0), simulated.std(axis=0, ddof=1)
    residual = _divide(observed - mean, -sd, sd)
    both = np.array([observed, mean])
    low, high = (np.nanmin(both), np.nanmax(both)) if np.isfinite(both).any() else (0, 1)
    reach = max(3.0, np.max(np.abs(residual), initial=0.0, where=np.isfinite(residual)))
    shown = {
        "observed": (observed, low, high),
        "mean": (mean, low, high),
        "sd": (sd, 0.0, sd.max() or 1.0),
        "(observed \N{MINUS SIGN} mean) / sd": (np.clip(residual, -reach, reach), -reach, reach),
    }
    for ax, (title, (values, least, most)) in zip(axes, shown.items(), strict=True):
        drawn = ax.imshow(values, cmap="cividis", vmin=least, vmax=most, interpolation="nearest")
        bar = figure.colorbar(drawn, ax=ax, location="bottom", shrink=0.9, aspect=12, pad=0.03)
        bar.ax.tick_params(labelsize=7)
        bar.locator = _few_ticks()
        ax.set_title(title, fontsize=9)
        ax.set(xticks=[], yticks=[])
    label_axes(axes[0], None, wrapped(name, 24))


def _central(values: Array, level: float) -> Array:
    """Compute the ends of central intervals."""
    return np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)


def _edges(values: Array, limits: Array) -> Array:
    """Choose bins for what is shown: one an integer where few integers occur, else equal ones."""
    shown = values[(values >= limits[0]) & (values <= limits[1])]
    low, high = shown.min(), shown.max()
    if high - low < _N_BINS and np.array_equal(shown, np.round(shown)):
        return np.arange(low - 0.5, high + 1)
    return np.histogram_bin_edges(shown, min(_N_BINS, max(8, int(np.sqrt(len(shown))))))


def _divide(distance: Array, low: Array, high: Array) -> Array:
    """Divide distances by the width on their side; of no width, they are 0 or infinite."""
    width = np.where(distance < 0, -low, high)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(distance == 0, 0.0, distance / width)


def _few_ticks() -> Any:
    """Make a locator of few ticks."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(3)
