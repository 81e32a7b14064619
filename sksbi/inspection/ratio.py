"""The reliability of a ratio estimator, as a classifier of joint and marginal pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sksbi.inspection._plotting import COLORS, INK, empty_figure, legend_above
from sksbi.inspection._reliability import check_log_ratios, histogram_edges, reliability_table
from sksbi.tables.draws import check_draws
from sksbi.utils.derangement import derangement
from sksbi.utils.random import check_generator
from sksbi.utils.validation import check_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import ErrorbarContainer
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.patches import StepPatch

__all__ = ["RatioDisplay"]


class RatioDisplay:
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

    def __init__(
        self,
        reliability: pd.DataFrame,
        log_ratio_joint: np.ndarray,
        log_ratio_marginal: np.ndarray,
    ) -> None:
        self.reliability = reliability
        self.log_ratio_joint = log_ratio_joint
        self.log_ratio_marginal = log_ratio_marginal

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        theta: object,
        x: ArrayLike,
        *,
        n_bins: int = 10,
        random_state: object = 0,
        **plot_options: Any,
    ) -> RatioDisplay:
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
        n_bins : int, default=10
            The number of bins of the probability, all of the same width.
        random_state : None, int, RandomState or Generator, default=0
            Chooses the other rows.
        **plot_options
            Passed to :meth:`plot`.

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
        return cls.from_predictions(
            estimator.predict_log_ratio(theta, x),
            estimator.predict_log_ratio(shuffled, x),
            n_bins=n_bins,
            **plot_options,
        )

    @classmethod
    def from_predictions(
        cls,
        log_ratio_joint: ArrayLike,
        log_ratio_marginal: ArrayLike,
        *,
        n_bins: int = 10,
        **plot_options: Any,
    ) -> RatioDisplay:
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

    def plot(
        self,
        *,
        fig: Figure | SubFigure | None = None,
        figsize: tuple[float, float] = (3.4, 4.2),
    ) -> RatioDisplay:
        """
        Draw the reliability, and the histograms beneath it.

        Parameters
        ----------
        fig : matplotlib Figure or SubFigure, default=None
            An empty figure to draw into; by default a new one.
        figsize : (float, float), default=(3.4, 4.2)
            Width and height of a new figure in inches.

        Returns
        -------
        RatioDisplay
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
        self.figure_ = empty_figure(fig, figsize)
        self.axes_ = self.figure_.subplots(2, height_ratios=[5, 3])
        self.errorbar_ = _draw_reliability(self.axes_[0], self.reliability)
        edges = histogram_edges(self.log_ratio_joint, self.log_ratio_marginal)
        kinds = {"joint pairs": self.log_ratio_joint, "marginal pairs": self.log_ratio_marginal}
        self.histograms_ = [
            _draw_histogram(self.axes_[1], log_ratio, edges, k)
            for k, log_ratio in enumerate(kinds.values())
        ]
        labels = [name + _unseen(log_ratio, edges) for name, log_ratio in kinds.items()]
        legend_above(self.axes_[1], self.histograms_, labels)
        self.axes_[1].set_xlabel("log r", fontsize=9)
        self.axes_[1].set_ylabel("density", fontsize=9)
        self.axes_[1].set_xlim(edges[0], edges[-1])
        for ax in self.axes_:
            ax.tick_params(labelsize=8)
        self.figure_.align_ylabels(self.axes_)
        return self


def _draw_reliability(ax: Axes, table: pd.DataFrame) -> ErrorbarContainer:
    """Draw the share of joint pairs over the predicted one, and the diagonal."""
    ax.plot([0, 1], [0, 1], color=INK, lw=0.7, zorder=1)
    below, above = table["fraction"] - table["lower"], table["upper"] - table["fraction"]
    drawn = ax.errorbar(
        table["predicted"],
        table["fraction"],
        [below, above],
        fmt="o",
        color=COLORS[0],
        lw=1.0,
        markersize=3.5,
        capsize=2,
    )
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    ax.set_xlabel("predicted probability r / (1 + r)", fontsize=9)
    ax.set_ylabel("fraction of joint pairs", fontsize=9)
    return drawn


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
