"""The figure of all checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from sksbi.inspection import CoverageDisplay, MisspecificationDisplay, RankDisplay, TarpDisplay
from sksbi.inspection._style import COLORS, INK, MARKERS, import_pyplot, legend_above
from sksbi.metrics import HeldOutDraws, posterior_contraction, posterior_z_score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_checks"]

_MOST_POINTS = 300
_LARGEST_Z = 5.0
_LOWEST_CONTRACTION = -0.5


def draw_checks(held_out: HeldOutDraws, x: ArrayLike, x_observed: object, seed: int) -> Figure:
    """
    Draw ranks, coverage, TARP, contraction against z-score, and the observation if there is one.

    Parameters
    ----------
    held_out : HeldOutDraws
        The draws.
    x : array-like of shape (n, ...)
        The observations behind them.
    x_observed : object
        One observation or a batch, or None.
    seed : int
        Seeds the references of TARP and the halves of the misspecification test.

    Returns
    -------
    Figure
        The figure, 7.1 inches wide, two columns of a journal.
    """
    plt = import_pyplot()
    has_observed = x_observed is not None
    figure = plt.figure(figsize=(7.1, 9.0 if has_observed else 6.6), layout="constrained")
    figure.get_layout_engine().set(hspace=0.06, wspace=0.06)
    rows = [[0, 1], [2, 3], [4, 4]] if has_observed else [[0, 1], [2, 3]]
    heights = [1.0, 1.0, 0.65][: len(rows)]
    axes = figure.subplot_mosaic(rows, height_ratios=heights)
    RankDisplay.from_held_out(held_out, ax=axes[0])
    CoverageDisplay.from_held_out(held_out, label="regions", ax=axes[1])
    TarpDisplay.from_held_out(held_out, label="TARP", random_state=seed, ax=axes[2])
    _draw_shape(axes[3], held_out)
    if has_observed:
        MisspecificationDisplay.from_samples(x, x_observed, random_state=seed, ax=axes[4])
    for k in (0, 3):
        axes[k].set_box_aspect(1)
    return figure


def _draw_shape(ax: Axes, held_out: HeldOutDraws) -> None:
    """Draw the z-score of every posterior over its contraction."""
    some = slice(0, _MOST_POINTS)
    contraction = posterior_contraction(held_out.draws, held_out.theta)[some]
    z = posterior_z_score(held_out.draws, held_out.theta)[some]
    contraction = np.maximum(contraction, _LOWEST_CONTRACTION)
    z = np.clip(z, -_LARGEST_Z, _LARGEST_Z)
    for k, name in enumerate(held_out.names):
        style = {"color": COLORS[k % len(COLORS)], "marker": MARKERS[1 + k % (len(MARKERS) - 1)]}
        ax.plot(contraction[:, k], z[:, k], ls="", ms=3, mew=0.7, mfc="none", label=name, **style)
    ax.axhline(0, color=INK, lw=0.7)
    ax.set(xlim=(min(-0.02, contraction.min()), 1.02), ylim=(-_LARGEST_Z, _LARGEST_Z))
    ax.set_xlabel("contraction", fontsize=9)
    ax.set_ylabel("z-score", fontsize=9)
    ax.tick_params(labelsize=8)
    legend_above(ax, *ax.get_legend_handles_labels())
