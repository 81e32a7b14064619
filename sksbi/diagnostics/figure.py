"""The figure of all checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sksbi.diagnostics.results import HeldOutChecks
from sksbi.inspection import CoverageDisplay, MisspecificationDisplay, RankDisplay, TarpDisplay
from sksbi.inspection._style import (
    EXACT,
    label_axes,
    legend_above,
    new_figure,
    point_style,
    title_above,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_checks"]

_MOST_POINTS = 300
_LARGEST_Z = 5.0
_LOWEST_CONTRACTION = -0.5
_TITLES = (
    "Ranks (SBC)",
    "Coverage of regions",
    "Coverage of balls (TARP)",
    "Bias and contraction",
    "Is x_observed like the simulations?",
)


def draw_checks(checks: HeldOutChecks, observed: MisspecificationDisplay | None) -> Figure:
    """
    Draw ranks, coverage, TARP, z-score over contraction, and the observation if there is one.

    Parameters
    ----------
    checks : HeldOutChecks
        The numbers of the held-out draws.
    observed : MisspecificationDisplay or None
        The distances of observations.

    Returns
    -------
    Figure
        The figure, 7.1 inches wide, two columns of a journal, and higher for many parameters.
    """
    legends = 0.36 * max(0, len(checks.names) // 2 - 1)
    figure = new_figure((7.1, (7.0 if observed is None else 9.6) + legends), pad=0.04, space=0.06)
    rows: list[Any] = [[0, 1], [2, 3], [4, 4]][: 2 if observed is None else 3]
    axes = figure.subplot_mosaic(rows, height_ratios=[1.0, 1.0, 0.65][: len(rows)])
    curves, coverage, tarp = checks.rank_curves, checks.coverage, checks.tarp
    if curves is not None:
        RankDisplay(*curves[:4], checks.names, p_values=curves.p_value).plot(ax=axes[0])
    if coverage is not None:
        CoverageDisplay(*coverage[:4], p_value=coverage.p_value, label="regions").plot(ax=axes[1])
    if tarp is not None:
        TarpDisplay(*tarp[:4], p_value=tarp.p_value, label="TARP").plot(ax=axes[2])
    _draw_shape(axes[3], checks)
    if observed is not None:
        observed.plot(ax=axes[4])
    for k, ax in axes.items():
        if k < 4:
            ax.set_box_aspect(1)
            ax.set_anchor("N")
        if not ax.has_data():
            ax.set(xticks=[], yticks=[])
            ax.text(0.5, 0.5, "not done", ha="center", transform=ax.transAxes, fontsize=8)
        title_above(ax, _TITLES[k])
    return figure


def _draw_shape(ax: Axes, checks: HeldOutChecks) -> None:
    """Draw the z-score of every posterior over its contraction."""
    if not checks.names:
        return
    contraction = np.maximum(checks.contraction[:_MOST_POINTS], _LOWEST_CONTRACTION)
    z = np.clip(checks.z_score[:_MOST_POINTS], -_LARGEST_Z, _LARGEST_Z)
    for k, name in enumerate(checks.names):
        ax.plot(contraction[:, k], z[:, k], ms=3, mew=0.7, label=name, **point_style(k))
    ax.axhline(0, **EXACT)
    ax.set(xlim=(min(-0.02, contraction.min()), 1.02), ylim=(-_LARGEST_Z, _LARGEST_Z))
    label_axes(ax, "contraction", "z-score")
    legend_above(ax, *ax.get_legend_handles_labels())
