"""The figure that a display is plotted in: one pair of axes, or panels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

from sksbi.inspection._style import empty_figure, given_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["AxesDisplay", "FigureDisplay", "Size"]

Size = tuple[float, float]


class AxesDisplay(ABC):
    """What is drawn in one pair of axes, ``ax_``."""

    @abstractmethod
    def _draw(self, *_: Any, **options: Any) -> Iterator[Size]:
        """Check the options, yield the size of a new figure in inches, and then draw into it."""

    def plot(self, *, ax: Axes | None = None, figsize: Size | None = None, **options: Any) -> Self:
        """
        Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw, also over another display of the same class; by default a new figure.
        figsize : (float, float), default=None
            Width and height of a new figure in inches; the default is 3.4 wide, one column of a
            journal.
        **options
            What else the methods that make the display take for the drawing.

        Returns
        -------
        Display
            The display itself.

        Raises
        ------
        ImportError, TypeError, ValueError
            If matplotlib is missing, ``ax`` is no Axes, or an option is not what it should be.
        """
        drawing = self._draw(**options)
        size = next(drawing)
        self.ax_ = given_axes(ax, figsize or size)
        self.figure_ = self.ax_.figure
        next(drawing, None)
        return self


class FigureDisplay(ABC):
    """What is drawn in panels of a figure, ``figure_``."""

    @abstractmethod
    def _draw(self, *_: Any, **options: Any) -> Iterator[Size]:
        """Check the options, yield the size of a new figure in inches, and then draw into it."""

    def plot(
        self, *, fig: Figure | SubFigure | None = None, figsize: Size | None = None, **options: Any
    ) -> Self:
        """
        Draw the panels.

        Parameters
        ----------
        fig : matplotlib Figure or SubFigure, default=None
            An empty figure to draw into; by default a new one.
        figsize : (float, float), default=None
            Width and height of a new figure in inches; the default is between 3.4 and 7.1 wide, one
            and two columns of a journal, and grows with the number of panels.
        **options
            What else the methods that make the display take for the drawing.

        Returns
        -------
        Display
            The display itself.

        Raises
        ------
        ImportError, TypeError, ValueError
            If matplotlib is missing, ``fig`` is no figure or not empty, or an option is not what it
            should be.
        """
        drawing = self._draw(**options)
        size = next(drawing)
        self.figure_ = empty_figure(fig, figsize or size)
        next(drawing, None)
        return self
