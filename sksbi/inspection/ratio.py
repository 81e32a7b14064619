r"""
The reliability of a ratio estimator, as a classifier of joint and marginal pairs.

With as many pairs of both kinds, a pair of ratio r is a joint one with probability r / (1 + r). So
among the pairs of a bin of that probability the share of joint ones should be what was predicted.
Where n_1 joint and n_0 marginal pairs are given, the share f among k pairs is turned into the one
that there would be with as many of both,

.. math::
    \frac{f / n_1}{f / n_1 + (1 - f) / n_0} ,

which increases in f, so that the ends of a binomial interval for f are turned in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from scipy.stats import beta

from sksbi.inspection._plot import FigureDisplay, Size
from sksbi.inspection._style import COLORS, EXACT, label_axes, legend_above
from sksbi.tables.draws import as_float, check_draws
from sksbi.utils.containers import as_rows
from sksbi.utils.derangement import derangement
from sksbi.utils.failures import without_failures
from sksbi.utils.random import check_generator
from sksbi.utils.types import Array, RandomState, Table
from sksbi.utils.validation import check_count, check_lengths

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import ErrorbarContainer

__all__ = ["RatioDisplay"]

_CONFIDENCE = 0.95
_N_HISTOGRAM_BINS = 40
_EXCLUDED = -10.0


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
        One row a bin that is not empty, columns predicted, the mean probability; fraction, the
        share, lower and upper, the ends of its exact 95% interval; n_joint and n_marginal.
    log_ratio_joint : ndarray of shape (n,)
        The log-ratios of joint pairs.
    log_ratio_marginal : ndarray of shape (m,)
        The log-ratios of marginal pairs.

    Attributes
    ----------
    figure_, axes_ : matplotlib Figure and ndarray of two Axes
        Where it is drawn, the reliability and the histograms.
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
    log_ratio_joint: Array
    log_ratio_marginal: Array

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        theta: Table,
        x: Table,
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
            What was simulated from them, in the form of fit's x; NaN throughout where that failed:
            then only another x is paired with the theta.
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
        TypeError, ValueError
            If the estimator has no ``predict_log_ratio``, theta and x do not match, or do not look
            like fit's, or one theta stands in more than half of the rows.
        """
        if isinstance(estimator, type) or not hasattr(estimator, "predict_log_ratio"):
            raise TypeError(
                "estimator must be fitted and have predict_log_ratio, such as NRE, got "
                f"{type(estimator).__name__}; of a search give best_estimator_."
            )
        x = as_rows(x, "x")
        values, _ = check_draws(theta, "theta")
        check_lengths(theta=values, x=x)
        others = derangement(values, check_generator(random_state))
        shuffled = theta.iloc[others] if isinstance(theta, pd.DataFrame) else values[others]
        # Both pairs of a simulation that succeeded: the other theta may come from a failed one.
        log_ratios = (
            estimator.predict_log_ratio(*without_failures(rows, x)) for rows in (theta, shuffled)
        )
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
        TypeError, ValueError
            If an entry is no real number or NaN, there are fewer than two pairs of a kind, or
            ``n_bins`` is no positive integer.
        """
        joint = _check_log_ratios(log_ratio_joint, "log_ratio_joint")
        marginal = _check_log_ratios(log_ratio_marginal, "log_ratio_marginal")
        table = _reliability_table(joint, marginal, check_count(n_bins, "n_bins"))
        return cls(table, joint, marginal).plot(**plot_options)

    def _draw(self) -> Iterator[Size]:
        """Draw the reliability, and the histograms beneath it."""
        yield 3.4, 4.2
        self.axes_ = above, below = self.figure_.subplots(2, height_ratios=[5, 3])
        self.errorbar_ = _draw_reliability(above, self.reliability)
        edges = _histogram_edges(self.log_ratio_joint, self.log_ratio_marginal)
        kinds = {"joint pairs": self.log_ratio_joint, "marginal pairs": self.log_ratio_marginal}
        self.histograms_, labels = [], []
        styles = {"fill": True, "alpha": 0.35}, {"fill": False, "ls": "--"}
        for k, (name, log_ratio) in enumerate(kinds.items()):
            counts, _ = np.histogram(log_ratio, edges)
            density = counts / (len(log_ratio) * np.diff(edges))
            drawn = below.stairs(density, edges, color=COLORS[k], lw=1.2, **styles[k])
            self.histograms_.append(drawn)
            unseen = np.mean(log_ratio < edges[0])
            labels.append(f"{name} ({unseen:.0%} further left)" if unseen >= 0.01 else name)
        legend_above(below, self.histograms_, labels)
        below.set_xlim(edges[0], edges[-1])
        label_axes(below, "log r", "density")
        self.figure_.align_ylabels(self.axes_)


def _check_log_ratios(log_ratio: ArrayLike, argument: str) -> Array:
    """Check log-ratios of pairs: infinite ones are some, NaN is none."""
    values = as_float(log_ratio, argument)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(
            f"{argument} must have shape (n,), n at least 2, got shape {values.shape}."
        )
    bad = np.flatnonzero(np.isnan(values))
    if len(bad):
        raise ValueError(f"{argument} must hold numbers, got nan in row {bad[0]}.")
    return values


def _reliability_table(joint: Array, marginal: Array, n_bins: int) -> pd.DataFrame:
    """Compute the share of joint pairs in equal bins of the probability, empty ones left out."""
    sums, counts = zip(*(_bin(expit(kind), n_bins) for kind in (joint, marginal)), strict=True)
    sizes = len(joint), len(marginal)
    n_pairs = counts[0] + counts[1]
    weight = counts[0] / sizes[0] + counts[1] / sizes[1]
    tail = (1 - _CONFIDENCE) / 2
    with np.errstate(invalid="ignore"):
        predicted = (sums[0] / sizes[0] + sums[1] / sizes[1]) / weight
        columns = {
            "fraction": counts[0] / n_pairs,
            "lower": np.nan_to_num(beta.ppf(tail, counts[0], counts[1] + 1), nan=0.0),
            "upper": np.nan_to_num(beta.ppf(1 - tail, counts[0] + 1, counts[1]), nan=1.0),
        }
        balanced = {key: _balance(share, *sizes) for key, share in columns.items()}
    table = pd.DataFrame(
        {"predicted": predicted, **balanced, "n_joint": counts[0], "n_marginal": counts[1]}
    )
    return table[n_pairs > 0].reset_index(drop=True)


def _histogram_edges(joint: Array, marginal: Array) -> Array:
    """Choose bins for 99% of the finite log-ratios, but not far below what is excluded anyhow."""
    finite = [values[np.isfinite(values)] for values in (joint, marginal)]
    ends = [np.quantile(values, (0.005, 0.995)) for values in finite if len(values)]
    low, high = (np.min(ends), np.max(ends)) if ends else (0.0, 0.0)
    low = max(low, min(-3 * high, _EXCLUDED, ends[0][0] if ends else 0.0))
    margin = 0.02 * (high - low) or 0.5
    return np.linspace(low - margin, high + margin, _N_HISTOGRAM_BINS + 1)


def _bin(probability: Array, n_bins: int) -> tuple[Array, NDArray[np.intp]]:
    """Sum up and count the probabilities in every bin."""
    bins = np.minimum((probability * n_bins).astype(int), n_bins - 1)
    sums: Any = np.bincount(bins, probability, minlength=n_bins)  # NumPy says that these are int
    return sums, np.bincount(bins, minlength=n_bins)


def _balance(share: Array, n_joint: int, n_marginal: int) -> Array:
    """Turn a share into the one with as many pairs of both kinds."""
    joint, marginal = share / n_joint, (1 - share) / n_marginal
    return joint / (joint + marginal)


def _draw_reliability(ax: Axes, table: pd.DataFrame) -> ErrorbarContainer:
    """Draw the share of joint pairs over the predicted one, and the diagonal."""
    ax.plot([0, 1], [0, 1], zorder=1, **EXACT)
    columns = ["predicted", "fraction", "lower", "upper"]
    predicted, fraction, lower, upper = table[columns].to_numpy().T
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    label_axes(ax, "predicted probability r / (1 + r)", "fraction of joint pairs")
    style: dict[str, Any] = {
        "fmt": "o",
        "color": COLORS[0],
        "lw": 1.0,
        "markersize": 3.5,
        "capsize": 2,
    }
    # In lists: matplotlib before 3.10 takes an array of one number for a number.
    reach = [(fraction - lower).tolist(), (upper - fraction).tolist()]
    return ax.errorbar(predicted, fraction, reach, **style)
