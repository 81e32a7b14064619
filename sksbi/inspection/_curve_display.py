"""Distribution functions of ranks over the level, in the band where exact ones lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from sksbi.inspection._held_out import HeldOutDisplay
from sksbi.inspection._plot import AxesDisplay, Size
from sksbi.inspection._style import EXACT, curve_style, label_axes, legend_above, p_text
from sksbi.metrics import ecdf_band, rank_ecdf, uniformity_test
from sksbi.utils.types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import Collection
    from matplotlib.lines import Line2D

__all__ = ["CurveDisplay", "RankCurve", "curve_label", "draw_curves", "rank_curve"]


# Marks on artists, by which a second display in the same axes knows those of the first.
_CURVE, _BAND, _EXACT = "sksbi curve", "sksbi band", "sksbi exact"
_LABEL = "95% band if exact"

PValue = TypeVar("PValue", float, Array)  # of one curve, of several


class RankCurve(NamedTuple, Generic[PValue]):
    """The distribution function of ranks, the band of uniform ones, and the test's p-value."""

    levels: Array
    ecdf: Array
    lower: Array
    upper: Array
    p_value: PValue


def rank_curve(ranks: NDArray[np.number], n_draws: int | None) -> RankCurve[Any]:
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
    def _from_curve(cls, curve: RankCurve[float], label: str | None) -> Self:
        """Make the display of a curve."""
        return cls(*curve[:4], p_value=curve.p_value, label=label)

    def _draw(self) -> Iterator[Size]:
        """Draw the coverage, the diagonal and the band."""
        yield 3.4, 3.6
        labels, edges = [curve_label(self.label, self.p_value)], (self.lower, self.upper)
        drawn = draw_curves(self.ax_, self.levels, [self.coverage], labels, edges)
        (self.line_,), self.band_ = drawn
        label_axes(self.ax_, "credible level", "coverage")


def draw_curves(
    ax: Axes,
    levels: Array,
    curves: Sequence[Array],
    labels: Sequence[str | None],
    edges: tuple[Array, Array],
    difference: bool = False,
) -> tuple[list[Line2D], Collection]:
    """Draw curves in their band, or the differences from exact ones, and a legend above them."""
    base = levels if difference else np.zeros_like(levels)
    band = _draw_band(ax, levels, (edges[0] - base, edges[1] - base), levels - base)
    k = sum(line.get_gid() == _CURVE for line in ax.lines)
    lines = [
        ax.plot(levels, values - base, **curve_style(k + j), label=label, gid=_CURVE)[0]
        for j, (values, label) in enumerate(zip(curves, labels, strict=True))
    ]
    ax.set_xlim(0, 1)
    if not difference:
        ax.set_ylim(0, 1)
        ax.set_box_aspect(1)
    entries = zip(*ax.get_legend_handles_labels(), strict=True)
    handles, texts = zip(*sorted(entries, key=lambda entry: entry[1] == _LABEL), strict=True)
    legend_above(ax, handles, texts)
    return lines, band


def curve_label(label: str | None, p_value: float | None) -> str | None:
    """Say a curve's name and p-value."""
    parts = [] if label is None else [str(label)]
    return ", ".join(parts if p_value is None else [*parts, p_text(p_value)]) or None


def _draw_band(ax: Axes, levels: Array, edges: tuple[Array, Array], exact: Array) -> Collection:
    """Draw where exact curves lie, unless another display has drawn the same."""
    others = [band for band in ax.collections if band.get_gid() == _BAND]
    label = None if others else _LABEL
    low, high = edges
    band = ax.fill_between(levels, low, high, color="0.87", lw=0, zorder=0, label=label, gid=_BAND)
    if not any(line.get_gid() == _EXACT for line in ax.lines):
        ax.plot(levels, exact, zorder=1, gid=_EXACT, **EXACT)
    for other in others:
        if np.array_equal(other.get_paths()[0].vertices, band.get_paths()[0].vertices):
            band.remove()
            return other
    return band
