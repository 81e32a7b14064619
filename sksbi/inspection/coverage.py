"""The coverage of highest-density regions over their level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from sksbi.inspection._curves import curve_label, draw_coverage
from sksbi.inspection._estimators import check_held_out, sample_many
from sksbi.inspection._plotting import given_axes
from sksbi.metrics import ecdf_band, hpd_levels, hpd_ranks, rank_ecdf, uniformity_test

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sksbi.metrics import HeldOutDraws

__all__ = ["CoverageDisplay"]


class CoverageDisplay:
    """
    How often highest-density regions hold the true parameters, at every level.

    Make it by :meth:`from_estimator`, :meth:`from_predictions` or :meth:`from_held_out`. The curve
    of an exact posterior is near the diagonal; one below it means regions that are too small, an
    overconfident posterior, one above it a conservative posterior. The band holds the whole curve
    of an exact posterior with probability 0.95: a curve leaves it if and only if its p-value, in
    the legend, is at most 0.05. Coverage is an average over x, and the prior itself, returned as
    posterior, passes [1]_.

    Parameters
    ----------
    levels : ndarray of shape (k,)
        The levels, from 0 to 1.
    coverage : ndarray of shape (k,)
        The share of observations whose region of that level holds the true parameters.
    lower, upper : ndarray of shape (k,)
        The edges of the band.
    p_value : float, default=None
        The p-value of :func:`sksbi.metrics.uniformity_test`.
    label : str, default=None
        The name in the legend.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : matplotlib Axes
        The axes.
    line_ : matplotlib Line2D
        The coverage.
    band_ : matplotlib PolyCollection
        The band; that of another display where it is the same and was drawn before.

    See Also
    --------
    sksbi.metrics.expected_coverage : The numbers.
    TarpDisplay : A coverage that needs no density.

    References
    ----------
    .. [1] A Trust Crisis In Simulation-Based Inference? Your Posterior Approximations Can Be
       Unfaithful (Hermans et al., 2021). https://arxiv.org/abs/2110.06581
    .. [2] Graphical test for discrete uniformity and its applications in goodness of fit evaluation
       and multiple sample comparison (Säilynoja et al., 2022). https://arxiv.org/abs/2103.10522

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.inspection import CoverageDisplay
    >>> rng = np.random.default_rng(0)
    >>> draws, theta = rng.normal(size=(300, 99)), rng.normal(size=300)
    >>> display = CoverageDisplay.from_predictions(-(draws**2), -(theta**2), label="exact")
    >>> _ = CoverageDisplay.from_predictions(
    ...     -(draws**2), -(1.5 * theta) ** 2, label="narrow", ax=display.ax_
    ... )
    >>> [text.get_text() for text in display.ax_.get_legend().get_texts()]
    ['exact, p = 0.89', 'narrow, p < 0.001', '95% band if exact']
    """

    def __init__(
        self,
        levels: np.ndarray,
        coverage: np.ndarray,
        lower: np.ndarray,
        upper: np.ndarray,
        *,
        p_value: float | None = None,
        label: str | None = None,
    ) -> None:
        self.levels = levels
        self.coverage = coverage
        self.lower = lower
        self.upper = upper
        self.p_value = p_value
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
        label: str | None = None,
        **plot_options: Any,
    ) -> CoverageDisplay:
        """
        Draw from the posteriors at held-out pairs and plot the coverage.

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
        label : str, default=None
            The name in the legend.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        CoverageDisplay
            The plotted display.

        Raises
        ------
        TypeError
            If the estimator has no ``sample`` or no ``log_prob``.
        ValueError
            If theta and x do not match, or do not look like fit's.
        """
        held_out = sample_many(estimator, theta, x, n_samples, random_state, verbose)
        return cls.from_held_out(held_out, label=label, **plot_options)

    @classmethod
    def from_held_out(
        cls, held_out: HeldOutDraws, *, label: str | None = None, **plot_options: Any
    ) -> CoverageDisplay:
        """
        Plot the coverage of draws at held-out pairs.

        Parameters
        ----------
        held_out : HeldOutDraws
            What :func:`sksbi.metrics.draw_held_out` returned.
        label : str, default=None
            The name in the legend.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        CoverageDisplay
            The plotted display.

        Raises
        ------
        TypeError
            If ``held_out`` is something else.
        """
        held_out = check_held_out(held_out)
        return cls.from_predictions(
            held_out.log_prob_draws, held_out.log_prob_theta, label=label, **plot_options
        )

    @classmethod
    def from_predictions(
        cls,
        log_prob_draws: ArrayLike,
        log_prob_theta: ArrayLike,
        *,
        grid: bool = False,
        label: str | None = None,
        **plot_options: Any,
    ) -> CoverageDisplay:
        """
        Plot the coverage of given log-densities, of any origin.

        Parameters
        ----------
        log_prob_draws : array-like of shape (n, n_samples)
            The log-densities of draws, or with ``grid=True`` of cells, for n observations, up to a
            constant an observation.
        log_prob_theta : array-like of shape (n,)
            Those of the parameters that the observations were simulated from.
        grid : bool, default=False
            Whether the first are log-densities at the centres of cells of equal volume that cover
            the posterior; otherwise they are those of draws.
        label : str, default=None
            The name in the legend.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        CoverageDisplay
            The plotted display.

        Raises
        ------
        TypeError
            If an entry is no real number.
        ValueError
            If the shapes do not match, or an entry is NaN or +inf.
        """
        count = hpd_levels if grid else hpd_ranks
        ranks = count(log_prob_draws, log_prob_theta)
        n_draws = None if grid else np.shape(log_prob_draws)[1]
        levels, coverage = rank_ecdf(ranks, n_draws)
        _, lower, upper = ecdf_band(len(ranks), n_draws)
        p_value = uniformity_test(ranks, n_draws)
        return cls(levels, coverage, lower, upper, p_value=p_value, label=label).plot(
            **plot_options
        )

    def plot(
        self, *, ax: Axes | None = None, figsize: tuple[float, float] = (3.4, 3.6)
    ) -> CoverageDisplay:
        """
        Draw the coverage, the diagonal and the band.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw, also over another CoverageDisplay; by default a new figure.
        figsize : (float, float), default=(3.4, 3.6)
            Width and height of a new figure in inches.

        Returns
        -------
        CoverageDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        TypeError
            If ``ax`` is no Axes.
        """
        self.ax_ = given_axes(ax, figsize)
        self.figure_ = self.ax_.figure
        edges, label = (self.lower, self.upper), curve_label(self.label, self.p_value)
        self.line_, self.band_ = draw_coverage(self.ax_, self.levels, self.coverage, edges, label)
        return self
