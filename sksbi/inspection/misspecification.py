"""How far an observation is from the simulations, beside how far simulations are."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sksbi.inspection._named import check_names
from sksbi.inspection._plot import AxesDisplay, Size
from sksbi.inspection._style import label_axes, legend_above, line_style, p_text
from sksbi.metrics.misspecification import neighbor_distances, share_as_far
from sksbi.utils.settings import check_flag
from sksbi.utils.types import Array, RandomState, Row

__all__ = ["MisspecificationDisplay"]

_N_BINS = 40
_MOST_NAMED = 6
_FAR = 5


@dataclass(repr=False, eq=False)
class MisspecificationDisplay(AxesDisplay):
    """
    Distances of observations from the simulations, in a histogram of the simulations' own.

    Make it by :meth:`from_samples`. The distance is the mean one to the nearest neighbours among
    half of the simulations; the histogram is of the other half. An observation far out at the right
    is one that the simulator would hardly produce, and no posterior should be trusted there. The
    p-value, in the legend, is that of :func:`sksbi.metrics.misspecification_test`.

    Parameters
    ----------
    distances : ndarray of shape (n,)
        The distances of simulations.
    distances_observed : ndarray of shape (m,)
        The distances of the observations.
    p_values : ndarray of shape (m,)
        The share of simulations that are as far away.
    names : list of str
        The names of the observations.

    Attributes
    ----------
    figure_, ax_ : matplotlib Figure and Axes
        Where it is drawn.
    histogram_ : matplotlib StepPatch
        The histogram.
    lines_ : list of matplotlib Line2D
        The vertical lines, one an observation.

    See Also
    --------
    sksbi.metrics.misspecification_test : The p-values.

    References
    ----------
    .. [1] Detecting Model Misspecification in Amortized Bayesian Inference with Neural Networks
       (Schmitt et al., 2021). https://arxiv.org/abs/2112.08866

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.inspection import MisspecificationDisplay
    >>> x = np.random.default_rng(0).normal(size=(2000, 3))
    >>> display = MisspecificationDisplay.from_samples(x, [4.0, -4.0, 4.0])
    >>> [text.get_text() for text in display.ax_.get_legend().get_texts()]
    ['observed, p < 0.001']
    """

    distances: Array
    distances_observed: Array
    p_values: Array
    names: list[str]

    @classmethod
    def from_samples(
        cls,
        x: ArrayLike,
        x_observed: Row,
        *,
        n_neighbors: int = 10,
        random_state: RandomState = 0,
        names: Sequence[str] | None = None,
        log: bool | None = None,
        **plot_options: Any,
    ) -> Self:
        """
        Compute the distances and plot them.

        Parameters
        ----------
        x : array-like, Series or DataFrame of shape (n,), (n, L) or (n, ...)
            What was simulated at draws from the prior.
        x_observed : array-like, scalar, Series, dict or DataFrame
            One observation, or a batch of m, of the shape of one x or with one dimension more.
        n_neighbors : int, default=10
            To how many neighbours the mean distance is taken.
        random_state : None, int, RandomState or Generator, default=0
            Cuts the simulations into two halves.
        names : sequence of m str, default=None
            What the observations are called; the default is "observed" for one, for more the index
            of a DataFrame or Series, else 0, 1, 2 and so on.
        log : bool or None, default=None
            Whether the distances are on a logarithmic axis; None: if an observation is more than
            five times as far away as all simulations, and no distance is zero.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        MisspecificationDisplay
            The plotted display.

        Raises
        ------
        TypeError, ValueError
            If an entry is no finite number, the shapes do not match, half of x has fewer than
            ``n_neighbors`` rows, ``names`` do not match the observations, or ``log`` is asked of
            distances that are zero.
        """
        display = cls._measure(x, x_observed, n_neighbors, random_state)
        if names is not None:
            display.names = check_names(names, len(display.names))
        return display.plot(log=log, **plot_options)

    @classmethod
    def _measure(
        cls, x: ArrayLike, x_observed: Row, n_neighbors: int = 10, random_state: RandomState = 0
    ) -> Self:
        """Compute the distances, and name the observations by their index, or count them."""
        away, asked = neighbor_distances(x, x_observed, n_neighbors, random_state)
        labels: Iterable[Hashable] = range(np.size(asked))
        if isinstance(x_observed, pd.DataFrame | pd.Series):
            labels = x_observed.index
        names = [str(label) for label in labels] if np.ndim(asked) else ["observed"]
        asked = np.atleast_1d(asked)
        return cls(away, asked, share_as_far(away, asked), names)

    def _draw(self, *, log: bool | None = None) -> Iterator[Size]:
        """Draw the histogram and the lines."""
        log = log if log is None else check_flag(log, "log")
        least = min(self.distances.min(), self.distances_observed.min())
        if log and least <= 0:
            raise ValueError(f"log must be False where distances are zero, got {least}.")
        far = self.distances_observed.max() > _FAR * self.distances.max()
        log = bool(far and least > 0) if log is None else bool(log)
        yield 3.4, 2.5
        low, high = self.distances.min(), self.distances.max()
        if low == high:  # bins of some width
            low, high = (low / 2, 2 * high) if high > 0 else (-0.5, 0.5)
        edges = (np.geomspace if log else np.linspace)(low, high, _N_BINS + 1)
        counts, _ = np.histogram(self.distances, edges)
        self.histogram_ = self.ax_.stairs(counts, edges, fill=True, color="0.75")
        n = len(self.names)  # where there are many, short lines in one style
        labels: list[str | None]
        labels = [f"{name}, {p_text(p)}" for name, p in zip(self.names, self.p_values, strict=True)]
        styles, ymax = [*range(n)], 1.0
        if n > _MOST_NAMED:
            least_p = p_text(self.p_values.min())
            labels = [f"{n} observations, least {least_p}", *(n - 1) * [None]]
            styles, ymax = n * [0], 0.1
        self.lines_ = [
            self.ax_.axvline(where, ymax=ymax, lw=1.2, label=label, **line_style(k))
            for where, label, k in zip(self.distances_observed, labels, styles, strict=True)
        ]
        self.ax_.set_xscale("log" if log else "linear")
        label_axes(self.ax_, "distance from the nearest simulations", "simulations")
        legend_above(self.ax_, *self.ax_.get_legend_handles_labels())
