"""The training and validation loss over the epochs of a fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from sksbi.inspection._estimators import fitted_step
from sksbi.inspection._plot import AxesDisplay, Size
from sksbi.inspection._style import COLORS, INK, draw_legend, label_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LossDisplay"]


@dataclass(repr=False, eq=False)
class LossDisplay(AxesDisplay):
    """
    Training and validation loss by epoch, with the best epoch marked.

    Make it by :meth:`from_estimator` or :meth:`from_history`. An ensemble has a pair of curves for
    each member, and a mark on each best epoch.

    Parameters
    ----------
    history : DataFrame
        One row an epoch, columns epoch, train_loss and, if there was validation data, valid_loss;
        of an ensemble one row an epoch of a member, with a column member.

    Attributes
    ----------
    figure_, ax_ : matplotlib Figure and Axes
        Where it is drawn.
    best_epoch_ : int, list of int or None
        The epoch of the least validation loss; a list, one a member, for an ensemble; None without
        validation data.

    Examples
    --------
    >>> import pandas as pd
    >>> from sksbi.inspection import LossDisplay
    >>> history = pd.DataFrame(
    ...     {"epoch": [1, 2, 3], "train_loss": [3.0, 2.0, 1.0], "valid_loss": [3.1, 2.5, 2.6]}
    ... )
    >>> LossDisplay.from_history(history).best_epoch_
    2
    """

    history: pd.DataFrame

    @classmethod
    def from_estimator(cls, estimator: Any, **plot_options: Any) -> Self:
        """
        Plot the history of a fitted estimator.

        Parameters
        ----------
        estimator : estimator or pipeline
            Fitted, with ``history_``; of a pipeline the last step's history is taken.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        LossDisplay
            The plotted display.

        Raises
        ------
        ValueError
            If there is no ``history_``.
        """
        history = fitted_step(estimator, "history_").history_
        return cls.from_history(history, **plot_options)

    @classmethod
    def from_history(cls, history: pd.DataFrame, **plot_options: Any) -> Self:
        """
        Plot a history.

        Parameters
        ----------
        history : DataFrame
            One row an epoch, columns epoch, train_loss and, if there was validation data,
            valid_loss; of an ensemble also member.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        LossDisplay
            The plotted display.

        Raises
        ------
        TypeError, ValueError
            If the history is no DataFrame, is empty or lacks a column.
        """
        if not isinstance(history, pd.DataFrame):
            raise TypeError(
                f"history must be a DataFrame, as history_ is, got {type(history).__name__}."
            )
        missing = [name for name in ("epoch", "train_loss") if name not in history]
        if missing or history.empty:
            raise ValueError(
                "history must have the columns epoch and train_loss and at least one row, got "
                f"{len(history)} rows and the columns {list(history.columns)}."
            )
        return cls(history).plot(**plot_options)

    def _draw(self) -> Iterator[Size]:
        """Draw one training, or those of an ensemble's members, and mark the best epochs."""
        yield 3.4, 2.5
        if "member" in self.history:
            members = self.history.groupby("member")
            epochs = [_draw_run(self.ax_, member, "best epochs") for _, member in members]
            self.best_epoch_: Any = None if None in epochs else epochs
        else:
            self.best_epoch_ = best = _draw_run(self.ax_, self.history, "best, epoch {}")
            if best is not None:
                self.ax_.axvline(best, color=INK, lw=0.8, ls=":")
        label_axes(self.ax_, "epoch", "loss")
        self.ax_.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
        handles, labels = self.ax_.get_legend_handles_labels()
        once = dict(zip(labels, handles, strict=True))
        draw_legend(self.ax_, list(once.values()), list(once))


def _draw_run(ax: Axes, history: pd.DataFrame, mark: str) -> int | None:
    """Draw the losses of one training, and mark and return its best epoch."""
    epoch = history["epoch"].to_numpy()
    ax.plot(epoch, history["train_loss"], color=COLORS[0], lw=1.2, label="training")
    loss = np.asarray(history.get("valid_loss", np.nan), dtype=np.float64)
    if not np.isfinite(loss).any():
        return None
    best = int(np.nanargmin(np.where(np.isfinite(loss), loss, np.nan)))
    ax.plot(epoch, loss, color=COLORS[1], lw=1.2, ls="--", label="validation")
    label = mark.format(epoch[best])
    ax.plot(epoch[best], loss[best], "o", color=INK, markersize=4, zorder=3, label=label)
    return int(epoch[best])
