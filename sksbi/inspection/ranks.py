"""The distribution functions of simulation-based calibration's ranks, one a parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from sksbi.inspection._curves import curve_label, draw_band, draw_curve, draw_legend, make_square
from sksbi.inspection._estimators import check_held_out, sample_many
from sksbi.inspection._named import check_named_batch
from sksbi.inspection._plotting import given_axes
from sksbi.metrics import ecdf_band, rank_ecdf, sbc_ranks, uniformity_test

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sksbi.metrics import HeldOutDraws

__all__ = ["RankDisplay"]


class RankDisplay:
    """
    Simulation-based calibration: the distribution of every true parameter's rank among draws.

    Make it by :meth:`from_estimator`, :meth:`from_predictions` or :meth:`from_held_out`. Ranks of
    exact posteriors are uniform, and the difference of their empirical distribution function (ECDF)
    from the uniform one is near zero. A curve that is first above and then below zero means
    posteriors that are too narrow, the other way round too wide, one that is above zero everywhere
    posteriors that lie too high, below zero too low. The band holds the whole curve of an exact
    posterior with probability 0.95: a curve leaves it if and only if its p-value, in the legend, is
    at most 0.05. There is one p-value a parameter, so that of many one is low by chance.

    Parameters
    ----------
    levels : ndarray of shape (k,)
        The levels, from 0 to 1.
    ecdf : ndarray of shape (k, D)
        The share of observations whose fractional rank is at most the level.
    lower, upper : ndarray of shape (k,)
        The edges of the band.
    names : list of str
        The parameters' names.
    p_values : ndarray of shape (D,), default=None
        The p-values of :func:`sksbi.metrics.uniformity_test`.
    label : str, default=None
        The posterior's name, before those of the parameters in the legend.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : matplotlib Axes
        The axes.
    lines_ : list of matplotlib Line2D
        The curves, one a parameter.
    band_ : matplotlib PolyCollection
        The band; that of another display where it is the same and was drawn before.

    See Also
    --------
    sksbi.metrics.sbc_ranks : The ranks.
    CoverageDisplay : A check of all parameters together.

    References
    ----------
    .. [1] Validating Bayesian Inference Algorithms with Simulation-Based Calibration (Talts et al.,
       2018). https://arxiv.org/abs/1804.06788
    .. [2] Graphical test for discrete uniformity and its applications in goodness of fit evaluation
       and multiple sample comparison (Säilynoja et al., 2022). https://arxiv.org/abs/2103.10522

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.inspection import RankDisplay
    >>> rng = np.random.default_rng(0)
    >>> draws, theta = rng.normal(size=(300, 99, 2)), rng.normal(size=(300, 2))
    >>> draws[..., 1] += 0.3
    >>> display = RankDisplay.from_predictions(draws, theta, names=["mass", "rate"])
    >>> [text.get_text() for text in display.ax_.get_legend().get_texts()]
    ['mass, p = 0.53', 'rate, p < 0.001', '95% band if exact']
    """

    def __init__(
        self,
        levels: np.ndarray,
        ecdf: np.ndarray,
        lower: np.ndarray,
        upper: np.ndarray,
        names: list[str],
        *,
        p_values: np.ndarray | None = None,
        label: str | None = None,
    ) -> None:
        self.levels = levels
        self.ecdf = ecdf
        self.lower = lower
        self.upper = upper
        self.names = names
        self.p_values = p_values
        self.label = label

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        theta: object,
        x: ArrayLike,
        *,
        n_samples: int = 1000,
        random_state: object = 0,
        verbose: int = 0,
        names: Sequence[str] | None = None,
        label: str | None = None,
        **plot_options: Any,
    ) -> RankDisplay:
        """
        Draw from the posteriors at held-out pairs and plot the ranks.

        Parameters
        ----------
        estimator : estimator or pipeline
            Fitted, with ``sample`` and ``log_prob``.
        theta : array-like or DataFrame of shape (n, D)
            Parameters from the prior that the estimator was not fitted to.
        x : array-like, Series or DataFrame of shape (n, ...)
            What was simulated from them, in the form of fit's x.
        n_samples : int, default=1000
            The number of draws for each observation.
        random_state : None, int, RandomState or Generator, default=0
            Seeds the draws; None takes fresh entropy.
        verbose : int, default=0
            Whether to show a progress bar.
        names : sequence of D str, default=None
            What the parameters are called; the default is theta's columns, else the prior's names,
            else theta_0, theta_1 and so on.
        label : str, default=None
            The posterior's name, before those of the parameters in the legend.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        RankDisplay
            The plotted display.

        Raises
        ------
        TypeError
            If the estimator has no ``sample`` or no ``log_prob``.
        ValueError
            If theta and x do not match, or do not look like fit's, or ``names`` do not match theta.
        """
        held_out = sample_many(estimator, theta, x, n_samples, random_state, verbose)
        return cls.from_held_out(held_out, names=names, label=label, **plot_options)

    @classmethod
    def from_held_out(
        cls,
        held_out: HeldOutDraws,
        *,
        names: Sequence[str] | None = None,
        label: str | None = None,
        **plot_options: Any,
    ) -> RankDisplay:
        """
        Plot the ranks of draws at held-out pairs.

        Parameters
        ----------
        held_out : HeldOutDraws
            What :func:`sksbi.metrics.draw_held_out` returned.
        names : sequence of D str, default=None
            What the parameters are called; the default is what ``held_out`` calls them.
        label : str, default=None
            The posterior's name, before those of the parameters in the legend.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        RankDisplay
            The plotted display.

        Raises
        ------
        TypeError
            If ``held_out`` is something else.
        ValueError
            If ``names`` do not match theta.
        """
        held_out = check_held_out(held_out)
        names = held_out.names if names is None else names
        return cls.from_predictions(
            held_out.draws, held_out.theta, names=names, label=label, **plot_options
        )

    @classmethod
    def from_predictions(
        cls,
        draws: object,
        theta: object,
        *,
        names: Sequence[str] | None = None,
        label: str | None = None,
        **plot_options: Any,
    ) -> RankDisplay:
        """
        Plot the ranks of given draws, of any origin.

        Parameters
        ----------
        draws : array-like of shape (n, n_samples, D) or DataFrame
            Independent draws for n observations; a table as ``sample`` returns it for a batch.
        theta : array-like or DataFrame of shape (n, D)
            The parameters that the observations were simulated from.
        names : sequence of D str, default=None
            What the parameters are called; the default is the columns, for arrays theta_0, theta_1
            and so on.
        label : str, default=None
            The posterior's name, before those of the parameters in the legend.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        RankDisplay
            The plotted display.

        Raises
        ------
        TypeError
            If an entry is no real number.
        ValueError
            If shapes or names do not match, or an entry is not finite.
        """
        values, theta, names = check_named_batch(draws, theta, names)
        ranks, n_draws = sbc_ranks(values, theta), values.shape[1]
        levels, ecdf = rank_ecdf(ranks, n_draws)
        _, lower, upper = ecdf_band(len(ranks), n_draws)
        p_values = uniformity_test(ranks, n_draws)
        return cls(levels, ecdf, lower, upper, names, p_values=p_values, label=label).plot(
            **plot_options
        )

    def plot(
        self,
        *,
        ax: Axes | None = None,
        difference: bool = True,
        figsize: tuple[float, float] | None = None,
    ) -> RankDisplay:
        """
        Draw the curves and the band.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw, also over another RankDisplay; by default a new figure.
        difference : bool, default=True
            Whether to draw the ECDF minus the uniform one, rather than the ECDF itself.
        figsize : (float, float), default=None
            Width and height of a new figure in inches; the default is 3.4 wide, one column of a
            journal, and grows with the legend.

        Returns
        -------
        RankDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        TypeError
            If ``ax`` is no Axes.
        """
        height = (2.3 if difference else 3.4) + 0.16 * (len(self.names) // 2 + 1)
        self.ax_ = given_axes(ax, figsize or (3.4, height))
        self.figure_ = self.ax_.figure
        base = self.levels if difference else np.zeros_like(self.levels)
        edges = self.lower - base, self.upper - base
        self.band_ = draw_band(self.ax_, self.levels, edges, self.levels - base)
        self.lines_ = [
            draw_curve(self.ax_, self.levels, values - base, label)
            for values, label in zip(self.ecdf.T, self._labels(), strict=True)
        ]
        minus = " \N{MINUS SIGN} uniform" if difference else ""
        self.ax_.set_xlabel("fractional rank", fontsize=9)
        self.ax_.set_ylabel(f"ECDF{minus}", fontsize=9)
        self.ax_.tick_params(labelsize=8)
        if difference:
            self.ax_.set_xlim(0, 1)
        else:
            make_square(self.ax_)
        draw_legend(self.ax_)
        return self

    def _labels(self) -> list[str | None]:
        """Name the curves, with their p-values."""
        p_values = [None] * len(self.names) if self.p_values is None else self.p_values
        prefix = "" if self.label is None else f"{self.label}: "
        return [
            curve_label(f"{prefix}{name}", p_value)
            for name, p_value in zip(self.names, p_values, strict=True)
        ]
