"""The posterior predictive plot: observed data beside what the fitted model simulates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sksbi.inspection._estimators import sample_one
from sksbi.inspection._named import check_levels, check_row
from sksbi.inspection._plot import FigureDisplay, Size
from sksbi.inspection._style import ALPHA, COLORS, INK, draw_legend, label_axes, region_handles
from sksbi.simulation import run_simulator
from sksbi.tables.draws import check_draws
from sksbi.utils.random import check_generator, draw_seed
from sksbi.utils.types import Array, RandomState, Row, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PredictiveDisplay"]

Arrays = dict[str, Array]
Coordinates = Sequence[Any] | NDArray[Any] | pd.Index | pd.Series
Groups = Mapping[str, Sequence[Any] | slice]
Series = dict[str, tuple[Array, Array]]


@dataclass(repr=False, eq=False)
class PredictiveDisplay(FigureDisplay):
    """
    Observed data inside the quantiles of simulated data, one panel a series.

    Make it by :meth:`from_estimator`, which simulates at draws from the posterior, or by
    :meth:`from_predictions`. The bands are central and hold pointwise: of the 90% band every single
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
    figure_, axes_ : matplotlib Figure and ndarray of Axes
        Where it is drawn, one panel a series.

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
    >>> groups = {"prey": range(3), "predator": range(3, 6)}
    >>> display = PredictiveDisplay.from_predictions(
    ...     simulated, observed, groups=groups, coordinates=[1900, 1901, 1902], xlabel="year"
    ... )
    >>> [ax.get_ylabel() for ax in display.axes_]
    ['prey', 'predator']
    """

    simulated: Arrays
    observed: Arrays
    coordinates: dict[str, pd.Index]

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        simulator: Callable[..., Any],
        x_observed: Row,
        *,
        n_samples: int = 1000,
        vectorized: bool = False,
        n_jobs: int | None = None,
        random_state: RandomState = None,
        **options: Any,
    ) -> Self:
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
        **options
            Passed to :meth:`from_predictions`.

        Returns
        -------
        PredictiveDisplay
            The plotted display.

        Raises
        ------
        TypeError, ValueError
            If ``estimator`` cannot sample, as a search: give its ``best_estimator_``; if
            ``x_observed`` is a batch, or the simulator's output is no vector or does not match it.
        """
        seeds: list[int | None] = [None, None]
        if random_state is not None:
            generator = check_generator(random_state)
            seeds = [draw_seed(generator), draw_seed(generator)]
        theta = sample_one(estimator, x_observed, n_samples, seeds[0])
        _, x = run_simulator(
            simulator, theta, vectorized=vectorized, n_jobs=n_jobs, random_state=seeds[1]
        )
        x = np.reshape(x, (-1, 1)) if np.ndim(x) == 1 else x
        return cls.from_predictions(x, x_observed, **options)

    @classmethod
    def from_predictions(
        cls,
        x_simulated: Table | Mapping[str, Table],
        x_observed: Row | Mapping[str, Row],
        *,
        groups: Groups | None = None,
        coordinates: Coordinates | Mapping[str, Coordinates] | None = None,
        levels: Sequence[float] = (0.5, 0.9),
        log: bool = False,
        xlabel: str | None = None,
        **plot_options: Any,
    ) -> Self:
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
        levels : sequence of float, default=(0.5, 0.9)
            The masses of the central bands.
        log : bool, default=False
            Whether the y axes are logarithmic.
        xlabel : str, default=None
            The label of the x axes; the default is the name of the coordinates.
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
            holds NaN or infinity or has fewer than two rows; if a level is not strictly between 0
            and 1, or ``log`` is asked of values that are not positive.
        """
        simulated, observed = _split_series(x_simulated, x_observed, groups)
        display = cls(simulated, observed, _check_coordinates(coordinates, simulated))
        return display.plot(levels=levels, log=log, xlabel=xlabel, **plot_options)

    from_samples = from_predictions

    def _draw(
        self, *, levels: Sequence[float] = (0.5, 0.9), log: bool = False, xlabel: str | None = None
    ) -> Iterator[Size]:
        """Draw one panel a series, below each other."""
        levels = check_levels(levels)
        for name, values in self.simulated.items() if log else ():
            least = min(values.min(), np.fmin.reduce(self.observed[name], initial=np.inf))
            if least <= 0:
                raise ValueError(
                    f"log must be False where values are not positive, got {least} in the series "
                    f"{name!r}."
                )
        yield 3.4, 0.7 + 1.6 * len(self.simulated)
        shared = len({tuple(where) for where in self.coordinates.values()}) == 1
        axes = self.figure_.subplots(len(self.simulated), squeeze=False, sharex=shared)[:, 0]
        for ax, (name, values) in zip(axes, self.simulated.items(), strict=True):
            where = self.coordinates[name]
            _draw_bands(ax, where, values, self.observed[name], levels)
            ax.set_yscale("log" if log else "linear")
            below = str(where.name) if xlabel is None and where.name is not None else xlabel
            label_axes(ax, below if not shared or ax is axes[-1] else None, name)
        self.figure_.align_ylabels(axes)
        handles = region_handles(levels, "simulated") + axes[0].get_legend_handles_labels()[0]
        draw_legend(axes[0], handles, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        self.axes_ = axes


def _draw_bands(
    ax: Axes, coordinates: pd.Index, simulated: Array, observed: Array, levels: list[float]
) -> None:
    """Draw the bands, the wider ones first, the median and the observed values."""
    x, wide = coordinates.to_numpy(), simulated
    if len(x) == 1:
        x, wide = np.array([-0.4, 0.4]), np.repeat(simulated, 2, axis=1)
        ax.set_xlim(-1, 1)
        ax.set_xticks([0], [str(coordinates[0])])
    for level in levels:
        low, high = np.quantile(wide, [(1 - level) / 2, (1 + level) / 2], axis=0)
        ax.fill_between(x, low, high, color=COLORS[0], alpha=ALPHA, lw=0)
    ax.plot(x, np.median(wide, axis=0), color=COLORS[0], lw=1.2, label="median")
    where = x if len(x) == len(observed) else [0]
    ax.plot(where, observed, "o", color=INK, markersize=3, label="observed", zorder=3)
    if np.issubdtype(x.dtype, np.integer):
        ax.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]


def _split_series(
    simulated: Table | Mapping[str, Table], observed: Row | Mapping[str, Row], groups: Groups | None
) -> tuple[Arrays, Arrays]:
    """Check simulations and observation and split them into series."""
    if isinstance(simulated, Mapping):
        series = _check_each(simulated, observed, groups)
    else:
        series = _check_groups(simulated, cast(Row, observed), groups)
    return (
        {key: values for key, (values, _) in series.items()},
        {key: row for key, (_, row) in series.items()},
    )


def _check_coordinates(
    coordinates: Coordinates | Mapping[str, Coordinates] | None, simulated: Arrays
) -> dict[str, pd.Index]:
    """Check that every series has one coordinate a column; by default they count from 0."""
    each: Mapping[str, Coordinates | None] = (
        coordinates if isinstance(coordinates, Mapping) else dict.fromkeys(simulated, coordinates)
    )
    if set(each) != set(simulated):
        raise ValueError(
            f"coordinates must be given for the series {list(simulated)}, got {list(each)}."
        )
    indices: dict[str, pd.Index] = {}
    for key, values in simulated.items():
        n, given = values.shape[1], each[key]
        indices[key] = pd.RangeIndex(n, name="position") if given is None else pd.Index(given)
        if len(indices[key]) != n:
            raise ValueError(
                f"coordinates of the series {key!r} must have {n} values, got {len(indices[key])}."
            )
    return indices


def _check_each(
    simulated: Mapping[str, Table], observed: Row | Mapping[str, Row], groups: Groups | None
) -> Series:
    """Check a dict of tables and a dict of observations."""
    if groups is not None:
        raise ValueError(
            "groups must be None where x_simulated is a dict: its keys are the series."
        )
    if not isinstance(observed, Mapping) or set(observed) != set(simulated) or not simulated:
        got = list(observed) if isinstance(observed, Mapping) else type(observed).__name__
        raise ValueError(
            f"x_observed must be a dict of the series {list(simulated)} of x_simulated, got {got}."
        )
    return {
        key: _check_series(table, observed[key], f"[{key!r}]")[:2]
        for key, table in simulated.items()
    }


def _check_groups(simulated: Table, observed: Row, groups: Groups | None) -> Series:
    """Check one table and one observation, and cut them into groups of columns."""
    values, row, names = _check_series(simulated, observed, "")
    columns = {"x": slice(None)} if groups is None else groups
    if not columns:
        raise ValueError("groups must name at least one series, got an empty dict.")
    positions = {str(key): _positions(key, group, names) for key, group in columns.items()}
    return {key: (values[:, where], row[where]) for key, where in positions.items()}


def _check_series(simulated: Table, observed: Row, key: str) -> tuple[Array, Array, list[str]]:
    """Check the simulations and the observation of one series, and name its columns."""
    values, names = check_draws(simulated, f"x_simulated{key}", 2)
    names = names or [str(j) for j in range(values.shape[1])]
    return values, check_row(observed, names, f"x_observed{key}"), names


def _positions(key: str, group: Sequence[Any] | slice, names: list[str]) -> NDArray[np.intp]:
    """Return the positions of a group's columns."""
    if isinstance(group, slice):
        group = range(len(names))[group]
    known = {name: j for j, name in enumerate(names)}
    positions = [known.get(name, -1) if isinstance(name, str) else int(name) for name in group]
    bad = [name for name, j in zip(group, positions, strict=True) if not 0 <= j < len(names)]
    if bad or not positions:
        raise ValueError(
            f"groups[{key!r}] must hold names or positions of the {len(names)} columns of "
            f"x_simulated, got {bad or 'none'}."
        )
    return np.array(positions)
