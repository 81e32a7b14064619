"""The posterior predictive plot: observed data beside what the fitted model simulates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sksbi.inspection._bands import draw_panels, panels_size
from sksbi.inspection._estimators import sample_one
from sksbi.inspection._plotting import check_levels, empty_figure
from sksbi.inspection._series import check_coordinates, split_series
from sksbi.simulation import run_simulator
from sksbi.utils.random import check_generator, draw_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

__all__ = ["PredictiveDisplay"]


class PredictiveDisplay:
    """
    Observed data inside the quantiles of simulated data, one panel a series.

    Make it by :meth:`from_estimator`, which simulates at draws from the posterior, or by
    :meth:`from_samples`. The bands are central and hold pointwise: of the 90% band every single
    coordinate's simulations lie inside with probability 0.9. They are a check of the model, not a
    test: the data that the posterior was fitted to are used twice.

    Parameters
    ----------
    simulated : dict of str to ndarray of shape (n, L)
        The simulations of every series, one a row.
    observed : dict of str to ndarray of shape (L,)
        The observation of every series, NaN where there is none.
    coordinates : dict of str to Index of shape (L,)
        Where the values lie on the x axis, such as times; its name labels the axis.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    axes_ : ndarray of Axes
        One a series.

    References
    ----------
    .. [1] Posterior Predictive Assessment of Model Fitness via Realized Discrepancies (Gelman, Meng
       and Stern, 1996). http://www.stat.columbia.edu/~gelman/research/published/A6n41.pdf

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.inspection import PredictiveDisplay
    >>> rng = np.random.default_rng(0)
    >>> simulated, observed = rng.normal(size=(200, 6)), np.zeros(6)
    >>> display = PredictiveDisplay.from_samples(
    ...     simulated,
    ...     observed,
    ...     groups={"prey": range(3), "predator": range(3, 6)},
    ...     coordinates=[1900, 1901, 1902],
    ...     xlabel="year",
    ... )
    >>> [ax.get_ylabel() for ax in display.axes_]
    ['prey', 'predator']
    """

    def __init__(
        self,
        simulated: dict[str, np.ndarray],
        observed: dict[str, np.ndarray],
        coordinates: dict[str, pd.Index],
    ) -> None:
        self.simulated = simulated
        self.observed = observed
        self.coordinates = coordinates

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        simulator: Callable,
        x_observed: object,
        *,
        n_samples: int = 1000,
        vectorized: bool = False,
        n_jobs: int | None = None,
        random_state: object = None,
        groups: Mapping[str, Sequence | slice] | None = None,
        coordinates: object = None,
        **plot_options: Any,
    ) -> PredictiveDisplay:
        """
        Draw from the posterior, simulate at the draws, and plot.

        Parameters
        ----------
        estimator : estimator or pipeline
            A fitted object with ``sample``.
        simulator : callable
            As :func:`sksbi.simulate` takes it: it gets Series or DataFrames if theta in fit was a
            DataFrame or the prior has names. Runs that fail are left out with a warning.
        x_observed : scalar, array-like, Series or dict of length L
            One observation, as ``estimator.sample`` takes it.
        n_samples : int, default=1000
            The number of draws and of simulations.
        vectorized : bool, default=False
            Whether the simulator takes many rows at a time.
        n_jobs : int or None, default=None
            How many simulations run at a time.
        random_state : None, int, RandomState or Generator, default=None
            Seeds the draws and the simulations.
        groups : dict of str to columns, default=None
            See :meth:`from_samples`.
        coordinates : array-like, Index or dict, default=None
            See :meth:`from_samples`.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        PredictiveDisplay
            The plotted display.

        Raises
        ------
        TypeError
            If ``estimator`` cannot sample, as a search: give its ``best_estimator_``.
        ValueError
            If ``x_observed`` is a batch, or the simulator's output is no vector or does not match
            it.
        """
        seeds = [None, None]
        if random_state is not None:
            generator = check_generator(random_state)
            seeds = [draw_seed(generator), draw_seed(generator)]
        theta = sample_one(estimator, x_observed, n_samples, seeds[0])
        _, x = run_simulator(
            simulator, theta, vectorized=vectorized, n_jobs=n_jobs, random_state=seeds[1]
        )
        x = np.reshape(x, (-1, 1)) if np.ndim(x) == 1 else x
        return cls.from_samples(
            x, x_observed, groups=groups, coordinates=coordinates, **plot_options
        )

    @classmethod
    def from_samples(
        cls,
        x_simulated: object,
        x_observed: object,
        *,
        groups: Mapping[str, Sequence | slice] | None = None,
        coordinates: object = None,
        **plot_options: Any,
    ) -> PredictiveDisplay:
        """
        Plot given simulations.

        Parameters
        ----------
        x_simulated : array-like or DataFrame of shape (n, L), or dict of str to such
            The simulations, one a row; a dict holds one table a series.
        x_observed : scalar, array-like, Series or dict of length L
            The observation, NaN where there is none, a scalar if L is 1; where
            ``x_simulated`` is a dict, a dict of the same series.
        groups : dict of str to columns, default=None
            Which columns belong to which series: a slice, or a sequence of names or positions. By
            default all columns are one series, x.
        coordinates : array-like or Index of shape (L,), or dict of str to such, default=None
            Where the values lie on the x axis, for all series or for each. By default 0, 1, 2, ...
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        PredictiveDisplay
            The plotted display.

        Raises
        ------
        ValueError
            If ``x_observed``, ``groups`` or ``coordinates`` do not match ``x_simulated``, or that
            holds NaN or infinity or has fewer than two rows.
        """
        simulated, observed = split_series(x_simulated, x_observed, groups)
        return cls(simulated, observed, check_coordinates(coordinates, simulated)).plot(
            **plot_options
        )

    def plot(
        self,
        *,
        fig: Figure | SubFigure | None = None,
        levels: Sequence[float] = (0.5, 0.9),
        log: bool = False,
        xlabel: str | None = None,
        figsize: tuple[float, float] | None = None,
    ) -> PredictiveDisplay:
        """
        Draw the panels.

        Parameters
        ----------
        fig : matplotlib Figure or SubFigure, default=None
            An empty figure to draw into; by default a new one.
        levels : sequence of float, default=(0.5, 0.9)
            The masses of the central bands.
        log : bool, default=False
            Whether the y axes are logarithmic.
        xlabel : str, default=None
            The label of the x axes; the default is the name of the coordinates.
        figsize : (float, float), default=None
            Width and height of a new figure in inches; the default is 3.4 wide, one column of a
            journal.

        Returns
        -------
        PredictiveDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        TypeError
            If ``fig`` is no figure, or a level no number.
        ValueError
            If a level is not strictly between 0 and 1, ``fig`` is not empty, or ``log`` is asked of
            values that are not positive.
        """
        levels = check_levels(levels)
        self.figure_ = empty_figure(fig, figsize or panels_size(len(self.simulated)))
        series = {
            name: (self.coordinates[name], values, self.observed[name])
            for name, values in self.simulated.items()
        }
        self.axes_ = draw_panels(self.figure_, series, levels, log, xlabel)
        return self
