"""The coverage of balls around random points (TARP) over their level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from sksbi.inspection._curves import curve_label, draw_coverage
from sksbi.inspection._estimators import check_held_out, sample_many
from sksbi.inspection._named import check_named_batch
from sksbi.inspection._plotting import given_axes
from sksbi.metrics import ecdf_band, rank_ecdf, tarp_ranks, uniformity_test
from sksbi.utils.random import check_generator, draw_seed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sksbi.metrics import HeldOutDraws

__all__ = ["TarpDisplay"]


class TarpDisplay:
    """
    How often balls around reference points hold the true parameters, at every level.

    Make it by :meth:`from_estimator`, :meth:`from_predictions` or :meth:`from_held_out`. Around a
    reference the ball of level a holds the share a of the draws. The curve of an exact posterior is
    near the diagonal. One that lies above it at low levels and below it at high ones means
    posteriors that are too narrow, the other way round too wide, on one side everywhere a bias. The
    band holds the whole curve of an exact posterior with probability 0.95: a curve leaves it if and
    only if its p-value, in the legend, is at most 0.05.

    Parameters
    ----------
    levels : ndarray of shape (k,)
        The levels, from 0 to 1.
    coverage : ndarray of shape (k,)
        The share of observations whose ball of that level holds the true parameters.
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
    sksbi.metrics.tarp_coverage : The numbers.
    CoverageDisplay : The coverage of highest-density regions.

    References
    ----------
    .. [1] Sampling-Based Accuracy Testing of Posterior Estimators for General Inference (Lemos et
       al., 2023). https://arxiv.org/abs/2302.03026
    .. [2] Graphical test for discrete uniformity and its applications in goodness of fit evaluation
       and multiple sample comparison (Säilynoja et al., 2022). https://arxiv.org/abs/2103.10522

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.inspection import TarpDisplay
    >>> rng = np.random.default_rng(0)
    >>> draws, theta = rng.normal(size=(300, 99, 2)), rng.normal(size=(300, 2))
    >>> display = TarpDisplay.from_predictions(draws, theta, random_state=0)
    >>> display.ax_.get_xlabel(), display.ax_.get_ylabel()
    ('credible level', 'coverage')
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
        references: object = None,
        random_state: object = 0,
        verbose: int = 0,
        label: str | None = None,
        **plot_options: Any,
    ) -> TarpDisplay:
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
        references : array-like or DataFrame of shape (n, D), default=None
            See :meth:`from_predictions`.
        random_state : None, int, RandomState or Generator, default=0
            Seeds the draws and the references; None takes fresh entropy.
        verbose : int, default=0
            Whether to show a progress bar.
        label : str, default=None
            The name in the legend.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        TarpDisplay
            The plotted display.

        Raises
        ------
        TypeError
            If the estimator has no ``sample`` or no ``log_prob``.
        ValueError
            If theta and x do not match, or do not look like fit's, or ``references`` do not match
            theta.
        """
        generator = check_generator(random_state)
        seeds = [draw_seed(generator), draw_seed(generator)]
        held_out = sample_many(estimator, theta, x, n_samples, seeds[0], verbose)
        return cls.from_held_out(
            held_out, references=references, random_state=seeds[1], label=label, **plot_options
        )

    @classmethod
    def from_held_out(
        cls,
        held_out: HeldOutDraws,
        *,
        references: object = None,
        random_state: object = 0,
        label: str | None = None,
        **plot_options: Any,
    ) -> TarpDisplay:
        """
        Plot the coverage of draws at held-out pairs.

        Parameters
        ----------
        held_out : HeldOutDraws
            What :func:`sksbi.metrics.draw_held_out` returned.
        references : array-like or DataFrame of shape (n, D), default=None
            See :meth:`from_predictions`.
        random_state : None, int, RandomState or Generator, default=0
            Where default references come from.
        label : str, default=None
            The name in the legend.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        TarpDisplay
            The plotted display.

        Raises
        ------
        TypeError
            If ``held_out`` is something else.
        ValueError
            If ``references`` do not match theta.
        """
        held_out = check_held_out(held_out)
        return cls.from_predictions(
            held_out.draws,
            held_out.theta,
            references=references,
            random_state=random_state,
            label=label,
            **plot_options,
        )

    @classmethod
    def from_predictions(
        cls,
        draws: object,
        theta: object,
        *,
        references: object = None,
        random_state: object = 0,
        label: str | None = None,
        **plot_options: Any,
    ) -> TarpDisplay:
        """
        Plot the coverage of given draws, of any origin.

        Parameters
        ----------
        draws : array-like of shape (n, n_samples, D) or DataFrame
            Independent draws for n observations; a table as ``sample`` returns it for a batch.
        theta : array-like or DataFrame of shape (n, D)
            The parameters that the observations were simulated from.
        references : array-like or DataFrame of shape (n, D), default=None
            One reference point an observation, in theta's units. They may depend on x, and then
            find more, such as the prior returned as posterior, but not on theta. By default uniform
            in the box that theta spans.
        random_state : None, int, RandomState or Generator, default=0
            Where default references come from.
        label : str, default=None
            The name in the legend.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        TarpDisplay
            The plotted display.

        Raises
        ------
        TypeError
            If an entry is no real number.
        ValueError
            If shapes or names do not match, or an entry is not finite.
        """
        values, theta, _ = check_named_batch(draws, theta, None)
        ranks = tarp_ranks(values, theta, references=references, random_state=random_state)
        n_draws = values.shape[1]
        levels, coverage = rank_ecdf(ranks, n_draws)
        _, lower, upper = ecdf_band(len(ranks), n_draws)
        p_value = uniformity_test(ranks, n_draws)
        return cls(levels, coverage, lower, upper, p_value=p_value, label=label).plot(
            **plot_options
        )

    def plot(
        self, *, ax: Axes | None = None, figsize: tuple[float, float] = (3.4, 3.6)
    ) -> TarpDisplay:
        """
        Draw the coverage, the diagonal and the band.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw, also over another TarpDisplay; by default a new figure.
        figsize : (float, float), default=(3.4, 3.6)
            Width and height of a new figure in inches.

        Returns
        -------
        TarpDisplay
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
