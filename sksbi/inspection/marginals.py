"""Posterior medians and intervals of many observations over their true parameters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import pandas as pd

from sksbi.inspection._held_out import HeldOutDisplay, Options, Prepared, held_out_batch
from sksbi.inspection._plot import FigureDisplay, Size
from sksbi.inspection._style import COLORS, EXACT, draw_legend, fold_factor, label_axes, wrapped
from sksbi.metrics import HeldOutDraws
from sksbi.tables.names import trials_of_table
from sksbi.utils.containers import plain
from sksbi.utils.random import check_generator, draw_seed
from sksbi.utils.types import Draws, RandomState, Rows, Table
from sksbi.utils.validation import check_count, check_lengths, check_real, count_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import ErrorbarContainer

__all__ = ["MarginalsDisplay"]

_MOST_OBSERVATIONS = 200
_MOST_COLUMNS = 4
_MARKERS: tuple[dict[str, Any], ...] = {"fmt": "o"}, {"fmt": "s", "markerfacecolor": "white"}


def _some_pairs(theta: Any, x: Any, random_state: RandomState, options: Options) -> Prepared:
    """Draw for as many pairs as are shown, and seed the choice and the draws."""
    generator = check_generator(random_state)
    seeds = [draw_seed(generator), draw_seed(generator)]
    n = count_rows(theta, "theta")
    theta, x = plain(theta, "theta"), plain(x, "x")
    is_table_of_trials = hasattr(x, "iloc") and x.index.nlevels > 1 and len(x) != n
    n_trials = trials_of_table(x)[1] if is_table_of_trials else 1
    if len(x) != n * n_trials:
        check_lengths(theta=theta, x=x)
    rows = _choose(n, options.get("max_observations", _MOST_OBSERVATIONS), seeds[0])
    rows_of_x = (rows[:, None] * n_trials + np.arange(n_trials)).ravel()
    theta, x = (
        table.iloc[some] if hasattr(table, "iloc") else np.asarray(table)[some]
        for table, some in ((theta, rows), (x, rows_of_x))
    )
    return theta, x, seeds[1], {**options, "max_observations": len(rows)}


@dataclass(repr=False, eq=False)
class MarginalsDisplay(HeldOutDisplay, FigureDisplay):
    """
    Posteriors of many observations over the true parameters, one panel a parameter.

    Make it by :meth:`from_estimator`, :meth:`from_predictions` or :meth:`from_held_out`. Every
    point is the posterior median of one observation, with its central interval. Intervals that do
    not hold the true value are drawn with open squares: of 90% intervals of exact posteriors one in
    ten. Where x tells little, the medians lie flat, near the prior's.

    Parameters
    ----------
    intervals : DataFrame
        One row an observation; for every parameter the columns true, median, lower and upper, in
        two levels, parameter and value.
    level : float
        The mass of the intervals.

    Attributes
    ----------
    figure_, axes_ : matplotlib Figure and ndarray of D Axes
        Where it is drawn, one panel a parameter.
    errorbars_ : list of D lists of two matplotlib ErrorbarContainer
        The intervals that hold the true value, and those that do not.

    See Also
    --------
    RankDisplay : Whether the posteriors are calibrated.
    sksbi.metrics.posterior_contraction : How much narrower than the prior they are.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.inspection import MarginalsDisplay
    >>> rng = np.random.default_rng(0)
    >>> theta = rng.normal(size=(100, 2))
    >>> draws = theta[:, None] + 0.1 * rng.normal(size=(100, 1, 2)) + rng.normal(size=(100, 500, 2))
    >>> display = MarginalsDisplay.from_predictions(draws, theta, names=["mass", "rate"])
    >>> [ax.get_xlabel() for ax in display.axes_]
    ['true mass', 'true rate']
    """

    intervals: pd.DataFrame
    level: float

    _prepare = staticmethod(_some_pairs)

    @classmethod
    def from_predictions(
        cls,
        draws: Draws | HeldOutDraws,
        theta: Table | None = None,
        *,
        level: float = 0.9,
        max_observations: int = _MOST_OBSERVATIONS,
        random_state: RandomState = 0,
        names: Sequence[str] | None = None,
        **plot_options: Any,
    ) -> Self:
        """
        Plot the intervals of given draws, of any origin.

        Parameters
        ----------
        draws : array-like of shape (n, n_samples, D), DataFrame or HeldOutDraws
            Draws for n observations; a table as ``sample`` returns it for a batch, or what
            :func:`sksbi.metrics.draw_held_out` returned.
        theta : array-like or DataFrame of shape (n, D), default=None
            The parameters that the observations were simulated from; left out where the draws are
            HeldOutDraws.
        level : float, default=0.9
            The mass of the intervals.
        max_observations : int, default=200
            Of more observations so many are chosen at random; :meth:`from_estimator` draws for
            these only.
        random_state : None, int, RandomState or Generator, default=0
            Seeds the choice.
        names : sequence of D str, default=None
            What the parameters are called; the default is the columns or what HeldOutDraws call
            them, for arrays theta_0, theta_1 and so on.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        MarginalsDisplay
            The plotted display.

        Raises
        ------
        TypeError, ValueError
            If an entry is no finite number, shapes or names do not match, ``theta`` is missing, or
            ``level`` or ``max_observations`` are not what they should be.
        """
        level = check_real(level, "level", high=1.0)
        draws, theta, names = held_out_batch(draws, theta, names, 2)
        rows = _choose(len(theta), max_observations, random_state)
        tails = [0.5, (1 - level) / 2, (1 + level) / 2]
        values = [theta[rows], *np.quantile(draws[rows], tails, axis=1)]
        columns = pd.MultiIndex.from_product(
            [names, ["true", "median", "lower", "upper"]], names=["parameter", "value"]
        )
        table = pd.DataFrame(np.stack(values, -1).reshape(len(rows), -1), rows, columns)
        return cls(table, level).plot(**plot_options)

    from_samples = from_predictions

    def _draw(self) -> Iterator[Size]:
        """Draw one panel a parameter, and the legend above them."""
        n_features = self.intervals.shape[1] // 4
        n_rows = math.ceil(n_features / _MOST_COLUMNS)
        n_columns = math.ceil(n_features / n_rows)
        width = 3.4 if n_features == 1 else 7.1
        yield width, 0.25 + n_rows * (width / n_columns - 0.1)
        names = self.intervals.columns.unique(0)
        axes = self.figure_.subplots(n_rows, n_columns, squeeze=False).ravel()
        for ax in axes[len(names) :]:
            ax.remove()
        self.axes_ = axes[: len(names)]
        self.errorbars_ = [
            _draw_panel(ax, name, cast(pd.DataFrame, self.intervals[name]))
            for ax, name in zip(self.axes_, names, strict=True)
        ]
        labels = [f"{100 * self.level:.4g}% interval, true value inside", "outside"]
        draw_legend(self.figure_, self.errorbars_[0], labels, loc="outside upper center", ncols=2)


def _choose(n: int, max_observations: int, random_state: RandomState) -> Rows:
    """Choose rows at random where there are too many, in ascending order."""
    most = check_count(max_observations, "max_observations")
    generator = check_generator(random_state)
    return np.arange(n) if n <= most else np.sort(generator.choice(n, most, replace=False))


def _draw_panel(ax: Axes, name: str, values: pd.DataFrame) -> list[ErrorbarContainer]:
    """Draw the intervals that hold the true value, those that do not, and the diagonal."""
    low, high = values.to_numpy().min(), values.to_numpy().max()
    margin = 0.04 * (high - low) or 0.5
    ends = low - margin, high + margin
    ax.plot(ends, ends, zorder=3, **EXACT)
    holds = values["true"].between(values["lower"], values["upper"])
    drawn = []
    for k, some in enumerate((values[holds], values[~holds])):
        true, middle, lower, upper = some[["true", "median", "lower", "upper"]].to_numpy().T
        style: dict[str, Any] = {
            "lw": 0.6,
            "alpha": 0.8,
            "markersize": 2.5,
            "color": COLORS[k],
            **_MARKERS[k],
        }
        # In lists: matplotlib before 3.10 takes an array of one number for a number.
        reach = [(middle - lower).tolist(), (upper - middle).tolist()]
        drawn.append(ax.errorbar(true, middle, reach, **style))
    ax.set(xlim=ends, ylim=ends)
    ax.set_box_aspect(1)
    ax.locator_params(nbins=5)
    label_axes(ax)
    for axis, label in ((ax.xaxis, f"true {name}"), (ax.yaxis, f"estimated {name}")):
        fold_factor(axis, np.array(ends), wrapped(label, 22))
    return drawn
