"""The coverage of balls around random points (TARP) over their level."""

from __future__ import annotations

from typing import Any, Self

from numpy.typing import ArrayLike

from sksbi.inspection._curve_display import CurveDisplay, rank_curve
from sksbi.inspection._held_out import Options, Prepared, held_out_batch
from sksbi.metrics import HeldOutDraws, tarp_ranks
from sksbi.utils.random import check_generator, draw_seed
from sksbi.utils.types import Draws, RandomState, Table

__all__ = ["TarpDisplay"]


def _seeded(theta: Table, x: ArrayLike, random_state: RandomState, options: Options) -> Prepared:
    """Draw for all pairs, and seed the draws and the references."""
    generator = check_generator(random_state)
    seeds = [draw_seed(generator), draw_seed(generator)]
    return theta, x, seeds[0], {**options, "random_state": seeds[1]}


class TarpDisplay(CurveDisplay):
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
        The p-value of :func:`sksbi.metrics.uniformity_test`, which the band belongs to.
    label : str, default=None
        The name in the legend.

    Attributes
    ----------
    figure_, ax_ : matplotlib Figure and Axes
        Where it is drawn.
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

    _prepare = staticmethod(_seeded)

    @classmethod
    def from_predictions(
        cls,
        draws: Draws | HeldOutDraws,
        theta: Table | None = None,
        *,
        references: Table | None = None,
        random_state: RandomState = 0,
        label: str | None = None,
        **plot_options: Any,
    ) -> Self:
        """
        Plot the coverage of given draws, of any origin.

        Parameters
        ----------
        draws : array-like of shape (n, n_samples, D), DataFrame or HeldOutDraws
            Independent draws for n observations; a table as ``sample`` returns it for a batch, or
            what :func:`sksbi.metrics.draw_held_out` returned.
        theta : array-like or DataFrame of shape (n, D), default=None
            The parameters that the observations were simulated from; left out where the draws are
            HeldOutDraws.
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
        TypeError, ValueError
            If an entry is no finite number, shapes or names do not match, or ``theta`` is missing.
        """
        draws, theta, _ = held_out_batch(draws, theta)
        ranks = tarp_ranks(draws, theta, references=references, random_state=random_state)
        return cls._from_curve(rank_curve(ranks, draws.shape[1]), label).plot(**plot_options)
