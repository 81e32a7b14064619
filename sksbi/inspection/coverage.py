"""The coverage of highest-density regions over their level."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from sksbi.inspection._curve_display import CurveDisplay, rank_curve
from sksbi.inspection._held_out import all_pairs, unpack
from sksbi.metrics import HeldOutDraws, hpd_ranks
from sksbi.metrics.coverage import levels_on_grid
from sksbi.utils.settings import check_flag

__all__ = ["CoverageDisplay"]


class CoverageDisplay(CurveDisplay):
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
    sksbi.metrics.expected_coverage : The numbers.
    TarpDisplay : A coverage that needs no density.

    References
    ----------
    .. [1] A Trust Crisis In Simulation-Based Inference? Your Posterior Approximations Can Be
       Unfaithful (Hermans et al., 2021). https://arxiv.org/abs/2110.06581

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

    _prepare = staticmethod(all_pairs)

    @classmethod
    def from_predictions(
        cls,
        log_prob_draws: ArrayLike | HeldOutDraws,
        log_prob_theta: ArrayLike | None = None,
        *,
        grid: bool = False,
        label: str | None = None,
        **plot_options: Any,
    ) -> Self:
        """
        Plot the coverage of given log-densities, of any origin.

        Parameters
        ----------
        log_prob_draws : array-like of shape (n, n_samples) or HeldOutDraws
            The log-densities of draws, or with ``grid=True`` of cells, for n observations, up to a
            constant an observation; or what :func:`sksbi.metrics.draw_held_out` returned.
        log_prob_theta : array-like of shape (n,), default=None
            Those of the parameters that the observations were simulated from; left out where the
            first are HeldOutDraws.
        grid : bool, default=False
            Whether the first are log-densities at the centres of cells of equal volume that cover
            the posterior, as :func:`sksbi.metrics.grid_held_out` gives them; otherwise they are
            those of draws.
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
        TypeError, ValueError
            If an entry is no real number, NaN or +inf, the shapes do not match,
            ``log_prob_theta`` is missing, or HeldOutDraws are taken for a grid.
        """
        if check_flag(grid, "grid") and isinstance(log_prob_draws, HeldOutDraws):
            raise ValueError(
                "grid must be False for draws at held-out pairs, got True: for densities on a grid "
                "give what sksbi.metrics.grid_held_out(estimator, theta, x) returned."
            )
        draws, theta = unpack(log_prob_draws, log_prob_theta, ("log_prob_draws", "log_prob_theta"))
        if grid:
            curve = rank_curve(levels_on_grid(draws, theta, 0, "log_prob_draws"), None)
        else:
            curve = rank_curve(hpd_ranks(draws, theta), np.shape(draws)[1])
        return cls._from_curve(curve, label).plot(**plot_options)
