"""The corner plot of one posterior, or of several drawn over each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from sksbi.inspection._corner import (
    corner_size,
    draw_marginal,
    draw_pair,
    draw_points,
    draw_truth,
    explain,
    lay_out,
    lower_triangle,
    row_of,
)
from sksbi.inspection._density import grid_density, panel_limits
from sksbi.inspection._estimators import sample_one
from sksbi.inspection._named import check_levels, check_points, check_row, parameter_labels
from sksbi.inspection._plot import FigureDisplay, Size
from sksbi.tables.draws import check_draws, check_same_columns
from sksbi.utils.types import Array, RandomState, Row, Table

__all__ = ["PosteriorDisplay"]

_LEAST_WIDTH = 1e-100


@dataclass(repr=False, eq=False)
class PosteriorDisplay(FigureDisplay):
    """
    Corner plot of a posterior: a density for every parameter, a region for every pair.

    Make it by :meth:`from_estimator` or :meth:`from_predictions`. The shaded regions are those of
    highest density: of all regions that hold, say, 90% of the draws, the smallest one [1]_. They
    may fall apart into several pieces.

    Parameters
    ----------
    samples : dict of str to DataFrame of shape (n, D)
        The draws by the label of their posterior.
    true_theta : Series of shape (D,), default=None
        The true values, NaN where unknown.
    points : dict of str to Series of shape (D,), default=None
        Further points that are marked, by their name in the legend.

    Attributes
    ----------
    figure_, axes_ : matplotlib Figure and ndarray of Axes of shape (D, D)
        Where it is drawn; None above the diagonal.

    References
    ----------
    .. [1] Computing and Graphing Highest Density Regions (Hyndman, 1996).
       https://doi.org/10.1080/00031305.1996.10473359

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sksbi.inspection import PosteriorDisplay
    >>> rng = np.random.default_rng(0)
    >>> draws = pd.DataFrame(rng.normal(size=(500, 2)), columns=["mass", "rate"])
    >>> display = PosteriorDisplay.from_predictions(
    ...     {"flow": draws, "MCMC": draws + 0.1}, true_theta={"mass": 0.0, "rate": 0.2}
    ... )
    >>> display.axes_[1, 0].get_xlabel(), display.axes_[1, 0].get_ylabel()
    ('mass', 'rate')
    """

    samples: dict[str, pd.DataFrame]
    _: KW_ONLY
    true_theta: pd.Series | None = None
    points: dict[str, pd.Series] | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        x: Row,
        *,
        n_samples: int = 2000,
        iid: bool = False,
        random_state: RandomState = None,
        **options: Any,
    ) -> Self:
        """
        Draw from the posterior of one observation and plot the draws.

        Parameters
        ----------
        estimator : estimator or pipeline
            A fitted object with ``sample``.
        x : array-like, Series or dict
            One observation, as ``estimator.sample`` takes it.
        n_samples : int, default=2000
            The number of draws.
        iid : bool, default=False
            Whether x consists of independent trials of one theta, as in ``estimator.sample``.
        random_state : None, int, RandomState or Generator, default=None
            Passed to ``estimator.sample``.
        **options
            Passed to :meth:`from_predictions`. Names are by default theta's columns, else those of
            the prior.

        Returns
        -------
        PosteriorDisplay
            The plotted display.

        Raises
        ------
        TypeError, ValueError
            If ``estimator`` cannot sample, as a search: give its ``best_estimator_``; if ``x`` is a
            batch of observations.
        """
        trials = {"iid": iid} if iid else {}
        draws = sample_one(estimator, x, n_samples, random_state, **trials)
        return cls.from_predictions(draws, **options)

    @classmethod
    def from_predictions(
        cls,
        samples: Table | Mapping[str, Table],
        *,
        true_theta: Row | None = None,
        points: Mapping[str, Row] | None = None,
        names: Sequence[str] | None = None,
        label: str | None = None,
        levels: Sequence[float] = (0.5, 0.9),
        **plot_options: Any,
    ) -> Self:
        """
        Plot given draws, of any origin.

        Parameters
        ----------
        samples : array-like or DataFrame of shape (n, D), or dict of str to such
            The draws. Those of a dict are drawn over each other, with a legend of its keys.
        true_theta : array-like of shape (D,), dict or Series, default=None
            Known true values, drawn as lines. A dict or Series may leave parameters out.
        points : dict of str to such a row, default=None
            Further points to mark, such as ``{"mode": npe.map(x)}``, with a legend of its keys.
        names : sequence of D str, default=None
            What the axes are called, such as ``r"$\\alpha$"``; the default is the columns, for
            arrays theta_0, theta_1 and so on.
        label : str, default=None
            The name in the legend, where ``samples`` is no dict.
        levels : sequence of float, default=(0.5, 0.9)
            The masses of the highest-density regions.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        PosteriorDisplay
            The plotted display.

        Raises
        ------
        ValueError
            If tables differ in their columns, hold NaN or infinity or have fewer than two rows, or
            if ``true_theta``, ``points`` or ``names`` do not match them, or a level is not strictly
            between 0 and 1.
        """
        tables = samples if isinstance(samples, Mapping) else {label or "": samples}
        values, columns = _check_tables(tables)
        n_features = next(iter(values.values())).shape[1]
        columns = parameter_labels(None, columns, n_features)
        shown = parameter_labels(names, columns, n_features)
        frames = {key: pd.DataFrame(table, columns=shown) for key, table in values.items()}
        if true_theta is not None:
            true_theta = pd.Series(check_row(true_theta, columns, "true_theta"), index=shown)
        marked = check_points(points, columns, shown)
        display = cls(frames, true_theta=true_theta, points=marked)
        return display.plot(levels=levels, **plot_options)

    from_samples = from_predictions

    def _draw(self, *, levels: Sequence[float] = (0.5, 0.9)) -> Iterator[Size]:
        """Draw the posteriors over each other, and the true values."""
        levels = check_levels(levels)
        samples = [frame.to_numpy() for frame in self.samples.values()]
        names = [str(name) for name in next(iter(self.samples.values())).columns]
        yield corner_size(len(names))
        truth, marked = row_of(self.true_theta, len(names)), self.points or {}
        points = [np.asarray(point) for point in marked.values()]
        limits = panel_limits(samples, np.vstack([truth, *points]))
        self.axes_ = lay_out(self.figure_, names, limits)
        for i, j in lower_triangle(len(names)):
            self._draw_panel(i, j, samples, limits, levels)
            columns = [i] if i == j else [j, i]
            draw_truth(self.axes_[i, j], *truth[columns])
            draw_points(self.axes_[i, j], points, columns)
        explain(self.figure_, self.axes_, truth, list(marked), levels)

    def _draw_panel(
        self, i: int, j: int, samples: list[Array], limits: Array, levels: list[float]
    ) -> None:
        """Draw the density of one parameter, or of a pair, of every table."""
        ax, columns = self.axes_[i, j], [i] if i == j else [j, i]
        for k, (label, draws) in enumerate(zip(self.samples, samples, strict=True)):
            density = grid_density(draws[:, columns], limits[columns])
            cuts = np.unique(density.thresholds(draws[:, columns], levels))
            (draw_marginal if i == j else draw_pair)(ax, density, cuts, k, label)
        ax.set(xlim=limits[j], ylim=(0, None) if i == j else limits[i])


def _check_spread(table: Array, where: str) -> None:
    """Refuse draws that vary by so little that there is no picture of them."""
    width = np.ptp(table, axis=0)
    if ((width > 0) & (width < _LEAST_WIDTH)).any():
        raise ValueError(
            f"{where} must be in units in which they vary by more than {_LEAST_WIDTH:g}, got "
            f"ranges of {width}."
        )


def _check_tables(tables: Mapping[str, Table]) -> tuple[dict[str, Array], list[str] | None]:
    """Check labelled tables of the same columns; return their values and the names, if any."""
    values, names = {}, None
    for label, table in tables.items():
        where = f"samples[{label!r}]" if len(tables) > 1 else "samples"
        values[str(label)], columns = check_draws(table, where, 2)
        _check_spread(values[str(label)], where)
        check_same_columns(columns, names, where, "the tables before it")
        names = names or columns
    widths = {label: table.shape[1] for label, table in values.items()}
    if len(set(widths.values())) != 1:
        raise ValueError(
            f"samples must hold tables of the same number of columns, got {widths or 'none'}."
        )
    return values, names
