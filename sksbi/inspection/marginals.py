"""Posterior medians and intervals of many observations over their true parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sksbi.inspection._estimators import check_held_out, sample_many
from sksbi.inspection._intervals import draw_intervals, interval_table, intervals_size
from sksbi.inspection._named import check_named_batch
from sksbi.inspection._plotting import empty_figure
from sksbi.utils.random import check_generator, draw_seed
from sksbi.utils.validation import check_count, check_real

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

    from sksbi.metrics import HeldOutDraws

__all__ = ["MarginalsDisplay"]


class MarginalsDisplay:
    """
    Posteriors of many observations over the true parameters, one panel a parameter.

    Make it by :meth:`from_estimator`, :meth:`from_samples` or :meth:`from_held_out`. Every point is
    the posterior median of one observation, with its central interval. Intervals that do not hold
    the true value are drawn with open squares: of 90% intervals of exact posteriors one in ten.
    Where x tells little, the medians lie flat, near the prior's.

    Parameters
    ----------
    intervals : DataFrame
        One row an observation; for every parameter the columns true, median, lower and upper, in
        two levels, parameter and value.
    level : float
        The mass of the intervals.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    axes_ : ndarray of shape (D,)
        The axes, one a parameter.
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
    >>> display = MarginalsDisplay.from_samples(draws, theta, names=["mass", "rate"])
    >>> [ax.get_xlabel() for ax in display.axes_]
    ['true mass', 'true rate']
    """

    def __init__(self, intervals: pd.DataFrame, level: float) -> None:
        self.intervals = intervals
        self.level = level

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        theta: object,
        x: Any,
        *,
        n_samples: int = 1000,
        level: float = 0.9,
        max_observations: int = 200,
        random_state: object = 0,
        verbose: int = 0,
        names: Sequence[str] | None = None,
        **plot_options: Any,
    ) -> MarginalsDisplay:
        """
        Draw from the posteriors at held-out pairs and plot the intervals.

        Parameters
        ----------
        estimator : estimator or pipeline
            Fitted, with ``sample`` and ``log_prob``.
        theta : array-like or DataFrame of shape (n, D)
            Parameters that the estimator was not fitted to.
        x : array-like, Series or DataFrame of shape (n, ...)
            What was simulated from them, in the form of fit's x.
        n_samples : int, default=1000
            The number of draws for each observation.
        level : float, default=0.9
            The mass of the intervals.
        max_observations : int, default=200
            Of more observations so many are chosen at random, and drawn for.
        random_state : None, int, RandomState or Generator, default=0
            Seeds the choice and the draws; None takes fresh entropy.
        verbose : int, default=0
            Whether to show a progress bar.
        names : sequence of D str, default=None
            What the parameters are called; the default is theta's columns, else the prior's names,
            else theta_0, theta_1 and so on.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        MarginalsDisplay
            The plotted display.

        Raises
        ------
        TypeError
            If the estimator has no ``sample`` or no ``log_prob``.
        ValueError
            If theta and x do not match, or do not look like fit's, or ``level``,
            ``max_observations`` or ``names`` are not what they should be.
        """
        generator = check_generator(random_state)
        seeds = [draw_seed(generator), draw_seed(generator)]
        if len(theta) != len(x):
            raise ValueError(f"theta has {len(theta)} rows and x has {len(x)}: give as many.")
        rows = _choose(len(theta), max_observations, seeds[0])
        held_out = sample_many(
            estimator, _take(theta, rows), _take(x, rows), n_samples, seeds[1], verbose
        )
        return cls.from_held_out(
            held_out, level=level, max_observations=len(rows), names=names, **plot_options
        )

    @classmethod
    def from_held_out(
        cls,
        held_out: HeldOutDraws,
        *,
        level: float = 0.9,
        max_observations: int = 200,
        random_state: object = 0,
        names: Sequence[str] | None = None,
        **plot_options: Any,
    ) -> MarginalsDisplay:
        """
        Plot the intervals of draws at held-out pairs.

        Parameters
        ----------
        held_out : HeldOutDraws
            What :func:`sksbi.metrics.draw_held_out` returned.
        level : float, default=0.9
            The mass of the intervals.
        max_observations : int, default=200
            Of more observations so many are chosen at random.
        random_state : None, int, RandomState or Generator, default=0
            Seeds the choice.
        names : sequence of D str, default=None
            What the parameters are called; the default is what ``held_out`` calls them.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        MarginalsDisplay
            The plotted display.

        Raises
        ------
        TypeError
            If ``held_out`` is something else.
        ValueError
            If ``level``, ``max_observations`` or ``names`` are not what they should be.
        """
        held_out = check_held_out(held_out)
        return cls.from_samples(
            held_out.draws,
            held_out.theta,
            level=level,
            max_observations=max_observations,
            random_state=random_state,
            names=held_out.names if names is None else names,
            **plot_options,
        )

    @classmethod
    def from_samples(
        cls,
        draws: object,
        theta: object,
        *,
        level: float = 0.9,
        max_observations: int = 200,
        random_state: object = 0,
        names: Sequence[str] | None = None,
        **plot_options: Any,
    ) -> MarginalsDisplay:
        """
        Plot the intervals of given draws, of any origin.

        Parameters
        ----------
        draws : array-like of shape (n, n_samples, D) or DataFrame
            Draws for n observations; a table as ``sample`` returns it for a batch.
        theta : array-like or DataFrame of shape (n, D)
            The parameters that the observations were simulated from.
        level : float, default=0.9
            The mass of the intervals.
        max_observations : int, default=200
            Of more observations so many are chosen at random.
        random_state : None, int, RandomState or Generator, default=0
            Seeds the choice.
        names : sequence of D str, default=None
            What the parameters are called; the default is the columns, for arrays theta_0, theta_1
            and so on.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        MarginalsDisplay
            The plotted display.

        Raises
        ------
        TypeError
            If an entry is no real number.
        ValueError
            If shapes or names do not match, an entry is not finite, or ``level`` or
            ``max_observations`` are not what they should be.
        """
        level = check_real(level, "level", high=1.0)
        values, theta, names = check_named_batch(draws, theta, names, 2)
        rows = _choose(len(theta), max_observations, random_state)
        table = interval_table(values[rows], theta[rows], names, level)
        return cls(table.set_index(rows), level).plot(**plot_options)

    def plot(
        self,
        *,
        fig: Figure | SubFigure | None = None,
        figsize: tuple[float, float] | None = None,
    ) -> MarginalsDisplay:
        """
        Draw the panels.

        Parameters
        ----------
        fig : matplotlib Figure or SubFigure, default=None
            An empty figure to draw into; by default a new one.
        figsize : (float, float), default=None
            Width and height of a new figure in inches; the default is 3.4 wide for one parameter,
            else 7.1, one and two columns of a journal.

        Returns
        -------
        MarginalsDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        TypeError
            If ``fig`` is no figure.
        ValueError
            If ``fig`` is not empty.
        """
        n_features = self.intervals.shape[1] // 4
        self.figure_ = empty_figure(fig, figsize or intervals_size(n_features))
        self.axes_, self.errorbars_ = draw_intervals(self.figure_, self.intervals, self.level)
        return self


def _choose(n: int, max_observations: int, random_state: object) -> np.ndarray:
    """Choose rows at random where there are too many, in ascending order."""
    most = check_count(max_observations, "max_observations")
    if n <= most:
        return np.arange(n)
    return np.sort(check_generator(random_state).choice(n, most, replace=False))


def _take(table: Any, rows: np.ndarray) -> Any:
    """Take rows of an array, a list or a table."""
    return table.iloc[rows] if hasattr(table, "iloc") else np.asarray(table)[rows]
