"""Distribution functions of ranks over the level, in the band where exact ones lie."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from sksbi.inspection._held_out import HeldOutDisplay
from sksbi.inspection._plot import AxesDisplay, Drawing
from sksbi.inspection._style import EXACT, curve_style, label_axes, legend_above, p_text
from sksbi.metrics import ecdf_band, rank_ecdf, uniformity_test

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.lines import Line2D

__all__ = [
    "CurveDisplay",
    "RankCurve",
    "curve_label",
    "draw_band",
    "draw_curve",
    "make_square",
    "rank_curve",
    "rank_legend",
]

Array = NDArray[np.float64]

# Marks on artists, by which a second display in the same axes knows those of the first.
_CURVE, _BAND, _EXACT = "sksbi curve", "sksbi band", "sksbi exact"
_BAND_LABEL = "95% band if exact"


class RankCurve(NamedTuple):
    """The distribution function of ranks, the band of uniform ones, and the test's p-value."""

    levels: Array
    ecdf: Array
    lower: Array
    upper: Array
    p_value: float | Array


def rank_curve(ranks: NDArray, n_draws: int | None) -> RankCurve:
    """Compute a curve of ranks (n,) among the draws, or one for each column of ranks (n, D)."""
    levels, ecdf = rank_ecdf(ranks, n_draws)
    _, lower, upper = ecdf_band(len(ranks), n_draws)
    return RankCurve(levels, ecdf, lower, upper, uniformity_test(ranks, n_draws))


@dataclass(repr=False, eq=False)
class CurveDisplay(HeldOutDisplay, AxesDisplay):
    """A coverage over the level; what it is the coverage of is said by those that inherit."""

    levels: Array
    coverage: Array
    lower: Array
    upper: Array
    _: KW_ONLY
    p_value: float | None = None
    label: str | None = None

    @classmethod
    def _from_curve(cls, curve: RankCurve, label: str | None) -> Self:
        """Make the display of a curve."""
        return cls(*curve[:4], p_value=curve.p_value, label=label)

    def _drawing(self) -> Drawing:
        """Say what draws the coverage, the diagonal and the band."""
        return (3.4, 3.6), self._draw

    def _draw(self) -> None:
        """Draw into the axes."""
        edges, label = (self.lower, self.upper), curve_label(self.label, self.p_value)
        self.band_ = draw_band(self.ax_, self.levels, edges, self.levels)
        self.line_ = draw_curve(self.ax_, self.levels, self.coverage, label)
        make_square(self.ax_)
        label_axes(self.ax_, "credible level", "coverage")
        rank_legend(self.ax_)


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
        ax.plot(levels, exact, zorder=1, gid=_EXACT, **EXACT)
    for other in others:
        if np.array_equal(_vertices(other), _vertices(band)):
            band.remove()
            return other
    return band


def draw_curve(ax: Axes, levels: Array, values: Array, label: str | None) -> Line2D:
    """Draw a curve in the next style."""
    k = sum(line.get_gid() == _CURVE for line in ax.lines)
    return ax.plot(levels, values, **curve_style(k), label=label, gid=_CURVE)[0]


def rank_legend(ax: Axes) -> None:
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
