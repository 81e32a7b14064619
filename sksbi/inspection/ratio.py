"""The reliability of a ratio estimator, as a classifier of joint and marginal pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sksbi.inspection._named import RandomState, Table
from sksbi.inspection._plot import Drawing, FigureDisplay
from sksbi.inspection._reliability import check_log_ratios, histogram_edges, reliability_table
from sksbi.inspection._style import COLORS, EXACT, label_axes, legend_above
from sksbi.tables.draws import check_draws
from sksbi.utils.derangement import derangement
from sksbi.utils.random import check_generator
from sksbi.utils.validation import check_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import ErrorbarContainer
    from matplotlib.patches import StepPatch

__all__ = ["RatioDisplay"]


@dataclass(repr=False, eq=False)
class RatioDisplay(FigureDisplay):
    """
    Reliability of a ratio r(theta, x), and its distribution for joint and for marginal pairs.

    Make it by :meth:`from_estimator` or :meth:`from_predictions`. With as many pairs of the joint
    p(theta, x) as of p(theta) p(x), a pair is a joint one with probability r / (1 + r). Above, the
    pairs are put into bins of that probability, and the share of joint ones in every bin is plotted
    over the mean probability, with exact 95% intervals. Points flatter than the diagonal, above it
    on the left and below on the right, mean an overconfident ratio, whose posteriors are too
    narrow. Where x tells much, few pairs lie between the ends, and their intervals are long. Below
    are histograms of log r: the further apart, the more x tells about theta; the legend says how
    many lie too far left to be shown. A useless ratio, r = 1 everywhere, is reliable.

    Parameters
    ----------
    reliability : DataFrame
        One row a bin that is not empty, columns predicted, fraction, lower, upper, n_joint and
        n_marginal.
    log_ratio_joint : ndarray of shape (n,)
        The log-ratios of joint pairs.
    log_ratio_marginal : ndarray of shape (m,)
        The log-ratios of marginal pairs.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    axes_ : ndarray of shape (2,)
        The axes of the reliability and of the histograms.
    errorbar_ : matplotlib ErrorbarContainer
        The points with their intervals.
    histograms_ : list of matplotlib StepPatch
        The histograms of joint and of marginal pairs.

    References
    ----------
    .. [1] Approximating likelihood ratios with calibrated discriminative classifiers
       (Cranmer et al., 2015). https://arxiv.org/abs/1506.02169
    .. [2] Predicting good probabilities with supervised learning (Niculescu-Mizil and Caruana,
       2005). https://doi.org/10.1145/1102351.1102430

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.inspection import RatioDisplay
    >>> rng = np.random.default_rng(0)
    >>> joint, marginal = rng.normal(1, np.sqrt(2), 500), rng.normal(-1, np.sqrt(2), 500)
    >>> display = RatioDisplay.from_predictions(joint, marginal, n_bins=5)
    >>> display.reliability[["predicted", "fraction"]].round(1).to_numpy().tolist()
    [[0.1, 0.1], [0.3, 0.3], [0.5, 0.5], [0.7, 0.7], [0.9, 0.9]]
    """

    reliability: pd.DataFrame
    log_ratio_joint: np.ndarray
    log_ratio_marginal: np.ndarray

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        theta: Table,
        x: ArrayLike,
        *,
        random_state: RandomState = 0,
        **options: Any,
    ) -> Self:
        """
        Estimate the ratios of held-out pairs, and of pairs with another row's theta, and plot them.

        Parameters
        ----------
        estimator : estimator or pipeline
            Fitted, with ``predict_log_ratio``, such as :class:`sksbi.NRE`.
        theta : array-like or DataFrame of shape (n, D)
            Parameters from the prior that the estimator was not fitted to.
        x : array-like, Series or DataFrame of shape (n, ...)
            What was simulated from them, in the form of fit's x.
        random_state : None, int, RandomState or Generator, default=0
            Chooses the other rows.
        **options
            Passed to :meth:`from_predictions`.

        Returns
        -------
        RatioDisplay
            The plotted display.

        Raises
        ------
        TypeError
            If the estimator has no ``predict_log_ratio``.
        ValueError
            If theta and x do not match, or do not look like fit's, or one theta stands in more than
            half of the rows.
        """
        if isinstance(estimator, type) or not hasattr(estimator, "predict_log_ratio"):
            raise TypeError(
                "estimator must be fitted and have predict_log_ratio, such as NRE, got "
                f"{type(estimator).__name__}; of a search give best_estimator_."
            )
        values, _ = check_draws(theta, "theta")
        if len(values) != len(x):
            raise ValueError(f"theta has {len(values)} rows and x has {len(x)}: give as many.")
        others = derangement(values, check_generator(random_state))
        shuffled = theta.iloc[others] if isinstance(theta, pd.DataFrame) else values[others]
        log_ratios = (estimator.predict_log_ratio(rows, x) for rows in (theta, shuffled))
        return cls.from_predictions(*log_ratios, **options)

    @classmethod
    def from_predictions(
        cls,
        log_ratio_joint: ArrayLike,
        log_ratio_marginal: ArrayLike,
        *,
        n_bins: int = 10,
        **plot_options: Any,
    ) -> Self:
        """
        Plot given log-ratios, of any origin.

        Parameters
        ----------
        log_ratio_joint : array-like of shape (n,)
            The log-ratios of joint pairs, each x with the theta that it was simulated from.
        log_ratio_marginal : array-like of shape (m,)
            The log-ratios of marginal pairs, each x with another theta of the prior. Where m is not
            n, pairs are weighted as if there were as many of both.
        n_bins : int, default=10
            The number of bins of the probability, all of the same width.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        RatioDisplay
            The plotted display.

        Raises
        ------
        TypeError
            If an entry is no real number, or ``n_bins`` no integer.
        ValueError
            If there are fewer than two pairs of a kind, an entry is NaN, or ``n_bins`` is not
            positive.
        """
        joint = check_log_ratios(log_ratio_joint, "log_ratio_joint")
        marginal = check_log_ratios(log_ratio_marginal, "log_ratio_marginal")
        table = reliability_table(joint, marginal, check_count(n_bins, "n_bins"))
        return cls(table, joint, marginal).plot(**plot_options)

    def _drawing(self) -> Drawing:
        """Say what draws the reliability, and the histograms beneath it."""
        return (3.4, 4.2), self._draw

    def _draw(self) -> None:
        """Draw into the figure."""
        self.axes_ = above, below = self.figure_.subplots(2, height_ratios=[5, 3])
        self.errorbar_ = _draw_reliability(above, self.reliability)
        edges = histogram_edges(self.log_ratio_joint, self.log_ratio_marginal)
        kinds = {"joint pairs": self.log_ratio_joint, "marginal pairs": self.log_ratio_marginal}
        self.histograms_ = [
            _draw_histogram(below, log_ratio, edges, k)
            for k, log_ratio in enumerate(kinds.values())
        ]
        labels = [name + _unseen(log_ratio, edges) for name, log_ratio in kinds.items()]
        legend_above(below, self.histograms_, labels)
        below.set_xlim(edges[0], edges[-1])
        label_axes(below, "log r", "density")
        self.figure_.align_ylabels(self.axes_)


def _draw_reliability(ax: Axes, table: pd.DataFrame) -> ErrorbarContainer:
    """Draw the share of joint pairs over the predicted one, and the diagonal."""
    ax.plot([0, 1], [0, 1], zorder=1, **EXACT)
    below, above = table["fraction"] - table["lower"], table["upper"] - table["fraction"]
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    label_axes(ax, "predicted probability r / (1 + r)", "fraction of joint pairs")
    style = {"fmt": "o", "color": COLORS[0], "lw": 1.0, "markersize": 3.5, "capsize": 2}
    return ax.errorbar(table["predicted"], table["fraction"], [below, above], **style)


def _draw_histogram(ax: Axes, log_ratio: np.ndarray, edges: np.ndarray, k: int) -> StepPatch:
    """Draw the share of all log-ratios a unit, filled for the first kind and dashed for others."""
    counts, _ = np.histogram(log_ratio, edges)
    density = counts / (len(log_ratio) * np.diff(edges))
    style = {"fill": False, "ls": "--"} if k else {"fill": True, "alpha": 0.35}
    return ax.stairs(density, edges, color=COLORS[k], lw=1.2, **style)


def _unseen(log_ratio: np.ndarray, edges: np.ndarray) -> str:
    """Say for the legend how many lie too far left to be shown."""
    share = np.mean(log_ratio < edges[0])
    return f" ({share:.0%} further left)" if share >= 0.01 else ""
