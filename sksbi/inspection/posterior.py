"""The corner plot of one posterior, or of several drawn over each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sksbi.inspection._corner import corner_size, draw_corner
from sksbi.inspection._estimators import sample_one
from sksbi.inspection._named import check_names, check_row, check_tables, count_names
from sksbi.inspection._plotting import check_levels, empty_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

__all__ = ["PosteriorDisplay"]


class PosteriorDisplay:
    """
    Corner plot of a posterior: a density for every parameter, a region for every pair.

    Make it by :meth:`from_estimator` or :meth:`from_samples`. The shaded regions are those of
    highest density: of all regions that hold, say, 90% of the draws, the smallest one [1]_. They
    may fall apart into several pieces.

    Parameters
    ----------
    samples : dict of str to DataFrame of shape (n, D)
        The draws by the label of their posterior.
    true_theta : Series of shape (D,), default=None
        The true values, NaN where unknown.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    axes_ : ndarray of shape (D, D)
        The axes; None above the diagonal.

    References
    ----------
    .. [1] Computing and Graphing Highest Density Regions (Hyndman, 1996).
       https://doi.org/10.1080/00031305.1996.10473359

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sksbi.inspection import PosteriorDisplay
    >>> rng = np.random.default_rng(0)
    >>> draws = pd.DataFrame(rng.normal(size=(500, 2)), columns=["mass", "rate"])
    >>> display = PosteriorDisplay.from_samples(
    ...     {"flow": draws, "MCMC": draws + 0.1}, true_theta={"mass": 0.0, "rate": 0.2}
    ... )
    >>> display.axes_[1, 0].get_xlabel(), display.axes_[1, 0].get_ylabel()
    ('mass', 'rate')
    """

    def __init__(
        self, samples: dict[str, pd.DataFrame], *, true_theta: pd.Series | None = None
    ) -> None:
        self.samples = samples
        self.true_theta = true_theta

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        x: object,
        *,
        n_samples: int = 2000,
        random_state: object = None,
        true_theta: object = None,
        names: Sequence[str] | None = None,
        label: str | None = None,
        **plot_options: Any,
    ) -> PosteriorDisplay:
        """
        Draw from the posterior of one observation and plot the draws.

        Parameters
        ----------
        estimator : estimator or pipeline
            A fitted object with ``sample``.
        x : array-like, Series or dict
            One observation, as ``estimator.sample`` takes it.
        n_samples : int, default=2000
            The number of draws.
        random_state : None, int, RandomState or Generator, default=None
            Passed to ``estimator.sample``.
        true_theta : array-like of shape (D,), dict or Series, default=None
            Known true values, drawn as lines. A dict or Series may leave parameters out.
        names : sequence of D str, default=None
            What the axes are called, such as ``r"$\\alpha$"``; the default is theta's columns, else
            the prior's names, else theta_0, theta_1 and so on.
        label : str, default=None
            The posterior's name in the legend.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        PosteriorDisplay
            The plotted display.

        Raises
        ------
        TypeError
            If ``estimator`` cannot sample, as a search: give its ``best_estimator_``.
        ValueError
            If ``x`` is a batch of observations.
        """
        draws = sample_one(estimator, x, n_samples, random_state)
        return cls.from_samples(
            draws, true_theta=true_theta, names=names, label=label, **plot_options
        )

    @classmethod
    def from_samples(
        cls,
        samples: object,
        *,
        true_theta: object = None,
        names: Sequence[str] | None = None,
        label: str | None = None,
        **plot_options: Any,
    ) -> PosteriorDisplay:
        """
        Plot given draws, of any origin.

        Parameters
        ----------
        samples : array-like or DataFrame of shape (n, D), or dict of str to such
            The draws. Those of a dict are drawn over each other, with a legend of its keys.
        true_theta : array-like of shape (D,), dict or Series, default=None
            Known true values, drawn as lines. A dict or Series may leave parameters out.
        names : sequence of D str, default=None
            What the axes are called; the default is the columns, for arrays theta_0, theta_1 and so
            on.
        label : str, default=None
            The name in the legend, where ``samples`` is no dict.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        PosteriorDisplay
            The plotted display.

        Raises
        ------
        ValueError
            If tables differ in their columns, hold NaN or infinity or have fewer than two rows, or
            if ``true_theta`` or ``names`` do not match them.
        """
        tables = samples if isinstance(samples, Mapping) else {label or "": samples}
        values, columns = check_tables(tables, "samples")
        n_features = next(iter(values.values())).shape[1]
        columns = columns or count_names(n_features)
        shown = columns if names is None else check_names(names, n_features, "names")
        frames = {key: pd.DataFrame(table, columns=shown) for key, table in values.items()}
        if true_theta is not None:
            true_theta = pd.Series(check_row(true_theta, columns, "true_theta"), index=shown)
        return cls(frames, true_theta=true_theta).plot(**plot_options)

    def plot(
        self,
        *,
        fig: Figure | SubFigure | None = None,
        levels: Sequence[float] = (0.5, 0.9),
        figsize: tuple[float, float] | None = None,
    ) -> PosteriorDisplay:
        """
        Draw the corner plot.

        Parameters
        ----------
        fig : matplotlib Figure or SubFigure, default=None
            An empty figure to draw into; by default a new one.
        levels : sequence of float, default=(0.5, 0.9)
            The masses of the highest-density regions.
        figsize : (float, float), default=None
            Width and height of a new figure in inches; the default grows with D from 3.4 to 7.1,
            one and two columns of a journal.

        Returns
        -------
        PosteriorDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        TypeError
            If ``fig`` is no figure, or a level no number.
        ValueError
            If a level is not strictly between 0 and 1, or ``fig`` is not empty.
        """
        samples = {label: frame.to_numpy() for label, frame in self.samples.items()}
        names = [str(name) for name in next(iter(self.samples.values())).columns]
        true_theta = self.true_theta
        truth = np.full(len(names), np.nan) if true_theta is None else np.asarray(true_theta)
        levels = check_levels(levels)
        self.figure_ = empty_figure(fig, figsize or corner_size(len(names)))
        self.axes_ = draw_corner(self.figure_, samples, names, truth, levels)
        return self
