"""The posterior predictive plot: observed data beside what the fitted model simulates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sksbi.inspection._estimators import sample_one, x_names
from sksbi.inspection._named import check_levels
from sksbi.inspection._plot import FigureDisplay, Size
from sksbi.inspection._predictive_panels import (
    draw_bands,
    draw_histogram,
    draw_images,
    draw_overview,
)
from sksbi.inspection._series import Coordinates, Groups, check_can_be_drawn, split_panels
from sksbi.inspection._style import draw_legend, fold_factor, label_axes, region_handles, wrapped
from sksbi.simulation import run_simulator
from sksbi.utils.random import check_generator, draw_seed
from sksbi.utils.settings import check_flag
from sksbi.utils.types import Array, RandomState, Row, Table

__all__ = ["PredictiveDisplay"]

_MOST_ACROSS = 4
_MOST_PANELS = 40


@dataclass(repr=False, eq=False)
class PredictiveDisplay(FigureDisplay):
    """
    Observed data beside simulated data: a panel for every series, quantity or image.

    Make it by :meth:`from_estimator`, which simulates at draws from the posterior, or by
    :meth:`from_predictions`. A series is drawn inside the quantiles of simulations, a quantity of
    its own in their histogram, and of more than 40 such each in units of its own interval, in one
    panel. The bands are central and hold pointwise: of the 90% band every single coordinate's
    simulations lie inside with probability 0.9. They are a check of the model, not a test: the data
    that the posterior was fitted to are used twice.

    Parameters
    ----------
    simulated : dict of str to ndarray of shape (n, L) or (n, H, W)
        The simulations of every series, quantity (L is 1) or image, one a row.
    observed : dict of str to ndarray of shape (L,) or (H, W)
        The observation of each, NaN where there is none.
    coordinates : dict of str to Index of shape (L,)
        Where the values of a series lie on the x axis, such as times; its name labels the axis.

    Attributes
    ----------
    figure_, axes_ : matplotlib Figure and ndarray of Axes
        Where it is drawn: one panel a series, then four an image, then one a quantity.

    References
    ----------
    .. [1] Posterior Predictive Assessment of Model Fitness via Realized Discrepancies (Gelman, Meng
       and Stern, 1996). http://www.stat.columbia.edu/~gelman/research/published/A6n41.pdf

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sksbi.inspection import PredictiveDisplay
    >>> rng = np.random.default_rng(0)
    >>> simulated, observed = rng.normal(size=(200, 6)), np.zeros(6)
    >>> groups = {"prey": range(3), "predator": range(3, 6)}
    >>> display = PredictiveDisplay.from_predictions(
    ...     simulated, observed, groups=groups, coordinates=[1900, 1901, 1902], xlabel="year"
    ... )
    >>> [ax.get_ylabel() for ax in display.axes_]
    ['prey', 'predator']

    Columns of a table have a panel each, unless their names count:

    >>> table = pd.DataFrame(simulated, columns=["height", "age", "t_0", "t_1", "t_2", "t_3"])
    >>> display = PredictiveDisplay.from_predictions(table, observed)
    >>> [ax.get_ylabel() or ax.get_xlabel() for ax in display.axes_]
    ['t', 'height', 'age']
    """

    simulated: dict[str, Array]
    observed: dict[str, Array]
    coordinates: dict[str, pd.Index]

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        x_observed: Row,
        simulator: Callable[..., Any],
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
        x_observed : scalar, array-like, Series or dict
            One observation, as ``estimator.sample`` takes it: of length L, an image, or a few
            channels of series or images.
        simulator : callable
            As :func:`sksbi.simulate` takes it: it gets Series or DataFrames if theta in fit was a
            DataFrame or the prior has names. Runs that fail are left out with a warning.
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
            ``simulator`` is no callable, ``x_observed`` is a batch or nothing that can be drawn, or
            the simulator's output does not match it.
        """
        if not callable(simulator):
            swapped = callable(x_observed)
            hint = " Were x_observed and simulator swapped? The simulator comes last."
            raise TypeError(
                f"simulator must be callable, got {type(simulator).__name__}."
                f"{hint if swapped else ''}"
            )
        seeds: list[int | None] = [None, None]
        if random_state is not None:
            generator = check_generator(random_state)
            seeds = [draw_seed(generator), draw_seed(generator)]
        theta = sample_one(estimator, x_observed, n_samples, seeds[0])
        check_can_be_drawn(x_observed)
        _, x = run_simulator(
            simulator, theta, vectorized=vectorized, n_jobs=n_jobs, random_state=seeds[1]
        )
        x = np.reshape(x, (-1, 1)) if np.ndim(x) == 1 else x
        names = None if np.ndim(x) != 2 or isinstance(x, pd.DataFrame) else x_names(estimator)
        if names is not None and len(names) == np.shape(x)[1]:
            x = pd.DataFrame(x, columns=names)
        return cls.from_predictions(x, x_observed, **options)

    @classmethod
    def from_predictions(
        cls,
        x_simulated: Table | Mapping[str, Table],
        x_observed: Row | Mapping[str, Row],
        *,
        kind: str = "auto",
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
        x_simulated : array-like or DataFrame of shape (n, L) or (n, ...), or dict of str to such
            The simulations, one a row; a dict holds one table a series.
        x_observed : scalar, array-like, Series or dict
            The observation, of the shape of one simulation, NaN where there is none, a scalar if L
            is 1; where ``x_simulated`` is a dict, a dict of the same series.
        kind : {"auto", "series", "columns", "images"}, default="auto"
            How columns are drawn: as one series, each in a panel with its own units, or as found
            out. Columns are a series then if there are coordinates, if they are three or more of
            an array without names, or if three or more names count upwards, as t_0, t_1, t_2, or
            years, or dates; all others have a panel each. Simulations of shape (n, channels, L),
            or (n, L, channels), are a series for each of up to six channels; those of shape
            (n, H, W) or (n, channels, H, W) are images. "series" and "images" decide between
            these.
        groups : dict of str to columns, default=None
            Which columns belong to which series: a slice, or a sequence of names or positions;
            then ``kind`` has no say.
        coordinates : array-like or Index of shape (L,), or dict of str to such, default=None
            Where the values lie on the x axis, for all series or for each. By default the numbers
            in the names, else 0, 1, 2, ...
        levels : sequence of float, default=(0.5, 0.9)
            The masses of the central bands.
        log : bool, default=False
            Whether the values are on logarithmic axes.
        xlabel : str, default=None
            The label of the x axes of series; the default is the name of the coordinates.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        PredictiveDisplay
            The plotted display.

        Raises
        ------
        ValueError
            If ``x_observed``, ``kind``, ``groups`` or ``coordinates`` do not match
            ``x_simulated``, or that holds NaN or infinity or has fewer than two rows; if a level is
            not strictly between 0 and 1, or ``log`` is asked of values that are not positive.
        """
        panels = split_panels(x_simulated, x_observed, groups, coordinates, kind)
        display = cls(
            {name: panel.simulated for name, panel in panels.items()},
            {name: panel.observed for name, panel in panels.items()},
            {name: p.coordinates for name, p in panels.items() if p.coordinates is not None},
        )
        return display.plot(levels=levels, log=log, xlabel=xlabel, **plot_options)

    from_samples = from_predictions

    def _draw(
        self, *, levels: Sequence[float] = (0.5, 0.9), log: bool = False, xlabel: str | None = None
    ) -> Iterator[Size]:
        """Draw series and images below each other, then single quantities side by side."""
        levels = check_levels(levels)
        if check_flag(log, "log"):
            _check_log(self.simulated, self.observed)
        blocks = [block for block in _blocks(self.simulated) if block.names]
        heights = [block.height for block in blocks]
        yield max(block.width for block in blocks), 0.7 + sum(heights)
        parts: list[Any] = [self.figure_]
        if len(blocks) > 1:
            ratios = [heights[0] + 0.5, *heights[1:]]
            parts = self.figure_.subfigures(len(blocks), height_ratios=ratios).tolist()  # type: ignore[union-attr]
        options = _Options(levels, log, xlabel)
        axes = [
            getattr(self, f"_draw_{block.kind}")(part, block.names, options)
            for part, block in zip(parts, blocks, strict=True)
        ]
        self.axes_ = np.concatenate(axes)
        self._draw_legend(parts, blocks, axes, levels)

    def _draw_series(self, part: Any, names: list[str], options: _Options) -> NDArray[np.object_]:
        """Draw one panel a series, below each other."""
        shared = len({tuple(self.coordinates[name]) for name in names}) == 1
        axes = part.subplots(len(names), squeeze=False, sharex=shared)[:, 0]
        for ax, name in zip(axes, names, strict=True):
            where = self.coordinates[name]
            draw_bands(ax, where, self.simulated[name], self.observed[name], options.levels)
            ax.set_yscale("log" if options.log else "linear")
            given = options.xlabel is not None or where.name is None
            below = options.xlabel if given else str(where.name)
            label_axes(ax, below if not shared or ax is axes[-1] else None, wrapped(name, 24))
            if not options.log:
                fold_factor(ax.yaxis, np.array(ax.get_ylim()), wrapped(name, 24), "\n")
        part.align_ylabels(axes)
        return axes

    def _draw_images(self, part: Any, names: list[str], _: _Options) -> NDArray[np.object_]:
        """Draw one row of panels an image."""
        axes = part.subplots(len(names), 4, squeeze=False)
        for row, name in zip(axes, names, strict=True):
            draw_images(part, row, name, self.simulated[name], self.observed[name])
        return axes.ravel()

    def _draw_single(self, part: Any, names: list[str], options: _Options) -> NDArray[np.object_]:
        """Draw a histogram of every quantity, or very many of them in one panel."""
        if len(names) > _MOST_PANELS:
            ax = part.subplots()
            simulated = np.hstack([self.simulated[name] for name in names])
            observed = np.hstack([self.observed[name] for name in names])
            draw_overview(ax, names, simulated, observed, options.levels, options.log)
            return np.array([ax])
        n_across = min(len(names), _MOST_ACROSS)
        axes = part.subplots(-(-len(names) // n_across), n_across, squeeze=False).ravel()
        for ax in axes[len(names) :]:
            ax.remove()
        axes = axes[: len(names)]
        for ax, name in zip(axes, names, strict=True):
            values, observed = self.simulated[name][:, 0], self.observed[name][0]
            draw_histogram(ax, name, values, observed, options.levels, options.log)
        return axes

    def _draw_legend(
        self,
        parts: list[Any],
        blocks: list[_Block],
        axes: list[NDArray[np.object_]],
        levels: list[float],
    ) -> None:
        """Say once what bands and lines are, above the first panels that have any."""
        for part, block, drawn in zip(parts, blocks, axes, strict=True):
            if block.kind == "images":
                continue
            handles = region_handles(levels, "simulated") + drawn[0].get_legend_handles_labels()[0]
            if len(drawn) == 1 or block.kind == "series":
                place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
                draw_legend(drawn[0], handles, ncols=2, **place)
            else:
                n_columns = 2 if block.width < 7 else 4
                draw_legend(part, handles, ncols=n_columns, loc="outside upper center")
            return


class _Options(NamedTuple):
    """What is asked of the panels."""

    levels: list[float]
    log: bool
    xlabel: str | None


class _Block(NamedTuple):
    """Panels of one kind, and what room they take in inches."""

    kind: str
    names: list[str]
    width: float
    height: float


def _blocks(simulated: dict[str, Array]) -> list[_Block]:
    """Sort what there is by how it is drawn."""
    found: dict[str, list[str]] = {"series": [], "images": [], "single": []}
    for name, values in simulated.items():
        is_single = values.ndim == 2 and values.shape[1] == 1
        found["images" if values.ndim == 3 else "single" if is_single else "series"] += [name]
    n_across = min(len(found["single"]), _MOST_ACROSS)
    many = len(found["single"]) > _MOST_PANELS
    n_rows = -(-len(found["single"]) // _MOST_ACROSS)
    return [
        _Block("series", found["series"], 3.4, 1.6 * len(found["series"])),
        _Block("images", found["images"], 7.1, 2.4 * len(found["images"])),
        _Block(
            "single",
            found["single"],
            7.1 if n_across > 2 else 3.4,
            2.6 if many else 1.5 * n_rows,
        ),
    ]


def _check_log(simulated: dict[str, Array], observed: dict[str, Array]) -> None:
    """Hold that logarithms are asked of positive values only."""
    for name, values in simulated.items():
        if values.ndim == 3:
            raise ValueError("log must be False where images are drawn, got log=True.")
        least = min(values.min(), np.fmin.reduce(observed[name], initial=np.inf))
        if least <= 0:
            raise ValueError(
                f"log must be False where values are not positive, got {least} in the series "
                f"{name!r}."
            )
