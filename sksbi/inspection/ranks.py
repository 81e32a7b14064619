"""The distribution functions of simulation-based calibration's ranks, one a parameter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

from sksbi.inspection._curve_display import curve_label, draw_curves, rank_curve
from sksbi.inspection._held_out import HeldOutDisplay, all_pairs, held_out_batch
from sksbi.inspection._plot import AxesDisplay, Size
from sksbi.inspection._style import label_axes
from sksbi.metrics import HeldOutDraws, sbc_ranks
from sksbi.utils.settings import check_flag
from sksbi.utils.types import Array, Draws, Table

__all__ = ["RankDisplay"]


@dataclass(repr=False, eq=False)
class RankDisplay(HeldOutDisplay, AxesDisplay):
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
    figure_, ax_ : matplotlib Figure and Axes
        Where it is drawn.
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

    levels: Array
    ecdf: Array
    lower: Array
    upper: Array
    names: list[str]
    _: KW_ONLY
    p_values: Array | None = None
    label: str | None = None

    _prepare = staticmethod(all_pairs)

    @classmethod
    def from_predictions(
        cls,
        draws: Draws | HeldOutDraws,
        theta: Table | None = None,
        *,
        names: Sequence[str] | None = None,
        label: str | None = None,
        difference: bool = True,
        **plot_options: Any,
    ) -> Self:
        """
        Plot the ranks of given draws, of any origin.

        Parameters
        ----------
        draws : array-like of shape (n, n_samples, D), DataFrame or HeldOutDraws
            Independent draws for n observations; a table as ``sample`` returns it for a batch, or
            what :func:`sksbi.metrics.draw_held_out` returned.
        theta : array-like or DataFrame of shape (n, D), default=None
            The parameters that the observations were simulated from; left out where the draws are
            HeldOutDraws.
        names : sequence of D str, default=None
            What the parameters are called; the default is the columns or what HeldOutDraws call
            them, for arrays theta_0, theta_1 and so on.
        label : str, default=None
            The posterior's name, before those of the parameters in the legend.
        difference : bool, default=True
            Whether to draw the ECDF minus the uniform one, rather than the ECDF itself.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        RankDisplay
            The plotted display.

        Raises
        ------
        TypeError, ValueError
            If an entry is no finite number, shapes or names do not match, or ``theta`` is missing.
        """
        draws, theta, names = held_out_batch(draws, theta, names)
        curve = rank_curve(sbc_ranks(draws, theta), draws.shape[1])
        display = cls(*curve[:4], names, p_values=curve.p_value, label=label)
        return display.plot(difference=difference, **plot_options)

    def _draw(self, *, difference: bool = True) -> Iterator[Size]:
        """Draw the curves and the band, with room for the legend."""
        difference = check_flag(difference, "difference")
        yield 3.4, (2.3 if difference else 3.4) + 0.16 * (len(self.names) // 2 + 1)
        p_values = [None] * len(self.names) if self.p_values is None else self.p_values
        prefix = "" if self.label is None else f"{self.label}: "
        labels = [
            curve_label(f"{prefix}{name}", p_value)
            for name, p_value in zip(self.names, p_values, strict=True)
        ]
        edges = self.lower, self.upper
        drawn = draw_curves(self.ax_, self.levels, list(self.ecdf.T), labels, edges, difference)
        self.lines_, self.band_ = drawn
        minus = " \N{MINUS SIGN} uniform" if difference else ""
        label_axes(self.ax_, "fractional rank", f"ECDF{minus}")
