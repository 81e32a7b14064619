"""Markov chains: their traces, and whether they agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from sksbi.inspection._density import grid_density
from sksbi.inspection._estimators import parameter_names
from sksbi.inspection._named import parameter_labels
from sksbi.inspection._plot import FigureDisplay, Size
from sksbi.inspection._style import (
    EXACT,
    fold_factor,
    label_axes,
    legend_above,
    line_style,
    wrapped,
)
from sksbi.metrics import effective_sample_size, split_r_hat
from sksbi.tables.draws import check_finite
from sksbi.utils.types import Array, RandomState, Row
from sksbi.utils.validation import check_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
    from matplotlib.patches import StepPatch

__all__ = ["TraceDisplay"]

_MOST_STEPS = 2_000
_N_BINS = 20


@dataclass(repr=False, eq=False)
class TraceDisplay(FigureDisplay):
    """
    Traces of Markov chains over the steps, and beside them histograms of every chain's ranks.

    Make it by :meth:`from_estimator` or :meth:`from_predictions`. Chains that have converged look
    like noise around one value. Every draw is ranked among those of all chains; where they agree,
    the ranks of each are uniform [1]_. R-hat, about 1 where chains agree, and the effective sample
    size stand above the panels; they are those of all chains, drawn or not.

    Parameters
    ----------
    chains : ndarray of shape (n_shown, n_steps, D)
        The chains that are drawn.
    ranks : ndarray of shape (n_shown, n_steps, D)
        The fractional ranks of their draws among those of all chains.
    numbers : ndarray of shape (n_shown,)
        The numbers of these chains.
    names : list of str
        The parameters' names.
    r_hat : ndarray of shape (D,), default=None
        R-hat of all chains.
    ess : ndarray of shape (D,), default=None
        The effective sample sizes of all chains.

    Attributes
    ----------
    figure_, axes_ : matplotlib Figure and ndarray of Axes of shape (D, 2)
        Where it is drawn, the traces and the ranks or densities.
    traces_ : list of D lists of matplotlib Line2D
        The traces, one a chain.
    distributions_ : list of D lists of matplotlib StepPatch or Line2D
        The histograms of ranks or the densities, one a chain.

    See Also
    --------
    sksbi.metrics.split_r_hat : R-hat.
    sksbi.metrics.effective_sample_size : The effective sample size.

    References
    ----------
    .. [1] Rank-normalization, folding, and localization: An improved R-hat for assessing
       convergence of MCMC (Vehtari et al., 2021). https://arxiv.org/abs/1903.08008

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.inspection import TraceDisplay
    >>> chains = np.random.default_rng(0).normal(size=(4, 500, 2))
    >>> display = TraceDisplay.from_predictions(chains, names=["mass", "rate"])
    >>> [ax.get_ylabel() for ax in display.axes_[:, 0]]
    ['mass', 'rate']
    """

    chains: Array
    ranks: Array
    numbers: NDArray[np.intp]
    names: list[str]
    _: KW_ONLY
    r_hat: Array | None = None
    ess: Array | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        x: Row,
        *,
        n_samples: int = 4000,
        iid: bool = False,
        random_state: RandomState = None,
        **options: Any,
    ) -> Self:
        """
        Run the chains of a ratio or likelihood estimator at one observation and plot them.

        Parameters
        ----------
        estimator : estimator or pipeline
            A fitted object with ``sample_chains``, such as ``NRE``. Its sampler says how many
            chains there are: ``sampler=MetropolisHastings(n_chains=4)`` runs few long ones.
        x : array-like, Series or dict
            One observation, as ``estimator.sample`` takes it.
        n_samples : int, default=4000
            The number of draws that the chains are made for.
        iid : bool, default=False
            Whether x consists of independent trials of one theta.
        random_state : None, int, RandomState or Generator, default=None
            Passed to ``estimator.sample_chains``.
        **options
            Passed to :meth:`from_predictions`. Names are by default those of theta or of the prior.

        Returns
        -------
        TraceDisplay
            The plotted display.

        Raises
        ------
        TypeError, ValueError
            If the estimator has no chains, or ``x`` is a batch.
        """
        if isinstance(estimator, type) or not callable(getattr(estimator, "sample_chains", None)):
            raise TypeError(
                "estimator must have sample_chains, as ratio estimators have, got "
                f"{type(estimator).__name__}."
            )
        trials = {"iid": iid} if iid else {}
        chains = estimator.sample_chains(x, n_samples, random_state=random_state, **trials)
        if np.ndim(chains) != 3:
            raise ValueError(
                f"x must be one observation, got a batch of {len(chains)}; give one row of it, or "
                "iid=True if its rows are independent trials of one theta."
            )
        if options.get("names") is None:
            options["names"] = parameter_names(estimator)
        return cls.from_predictions(chains, **options)

    @classmethod
    def from_predictions(
        cls,
        chains: ArrayLike,
        *,
        names: Sequence[str] | None = None,
        max_chains: int = 4,
        kind: str = "ranks",
        **plot_options: Any,
    ) -> Self:
        """
        Plot given chains, of any sampler.

        Parameters
        ----------
        chains : array-like of shape (n_chains, n_steps, D)
            The draws, in the order of the steps. Other libraries have other orders of the axes:
            of emcee's ``get_chain()`` take ``.swapaxes(0, 1)``.
        names : sequence of D str, default=None
            What the parameters are called; the default is theta_0, theta_1 and so on.
        max_chains : int, default=4
            How many chains are drawn: of more so many from the first to the last, evenly spaced.
        kind : {"ranks", "density"}, default="ranks"
            What stands beside the traces: histograms of the ranks of every chain, or densities of
            its draws, sideways.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        TraceDisplay
            The plotted display.

        Raises
        ------
        TypeError, ValueError
            If the shape is another, an entry is no finite number, or ``names``, ``max_chains`` or
            ``kind`` are not what they should be.
        """
        values = _check_chains(chains)
        n_chains, _, n_features = values.shape
        names = parameter_labels(names, None, n_features)
        n_shown = min(check_count(max_chains, "max_chains"), n_chains)
        numbers = np.linspace(0, n_chains - 1, n_shown).round().astype(int)
        r_hat, ess = split_r_hat(values), effective_sample_size(values)
        flat = values.reshape(-1, n_features)
        ranks = ((rankdata(flat, axis=0) - 0.5) / len(flat)).reshape(values.shape)
        display = cls(values[numbers], ranks[numbers], numbers, names, r_hat=r_hat, ess=ess)
        return display.plot(kind=kind, **plot_options)

    from_chains = from_predictions

    def _draw(self, *, kind: str = "ranks") -> Iterator[Size]:
        """Draw one row a parameter, and the legend above them."""
        if kind not in ("ranks", "density"):
            raise ValueError(f'kind must be "ranks" or "density", got {kind!r}.')
        yield 7.1, 0.6 + 1.35 * len(self.names)
        grid = {"width_ratios": [2, 1], "wspace": 0.03}
        self.axes_ = self.figure_.subplots(len(self.names), 2, squeeze=False, gridspec_kw=grid)
        self.traces_ = [self._draw_trace(j, left) for j, left in enumerate(self.axes_[:, 0])]
        draw = self._draw_ranks if kind == "ranks" else self._draw_densities
        self.distributions_ = [draw(j, right) for j, right in enumerate(self.axes_[:, 1])]
        for ax in self.axes_.flat:
            label_axes(ax)
        for j, ax in enumerate(self.axes_[:, 1]):
            ax.set_title(self._title(j), fontsize=8)
        for ax in self.axes_[:-1].flat:
            ax.tick_params(labelbottom=False)
        self.axes_[-1, 0].set_xlabel("step")
        self.axes_[-1, 1].set_xlabel("fractional rank" if kind == "ranks" else "density")
        self.figure_.align_labels(self.axes_)
        labels = [f"chain {number}" for number in self.numbers]
        legend_above(self.axes_[0, 0], self.distributions_[0], labels, 6)

    def _draw_trace(self, j: int, ax: Axes) -> list[Line2D]:
        """Draw the chains over the step, of long ones every so manieth step."""
        n_steps = self.chains.shape[1]
        steps = np.arange(0, n_steps, -(-n_steps // _MOST_STEPS))
        drawn = [
            ax.plot(steps, chain[steps], lw=0.6, alpha=0.8, **line_style(k))[0]
            for k, chain in enumerate(self.chains[..., j])
        ]
        ax.set_xlim(0, n_steps - 1)
        fold_factor(ax.yaxis, np.array(ax.get_ylim()), wrapped(self.names[j], 16), "\n")
        return drawn

    def _draw_ranks(self, j: int, ax: Axes) -> list[StepPatch]:
        """Draw a histogram of every chain's ranks."""
        edges = np.linspace(0, 1, _N_BINS + 1)
        ax.axhline(1, zorder=1, **EXACT)
        heights = [np.histogram(ranks, edges, density=True)[0] for ranks in self.ranks[..., j]]
        ax.set(xlim=(0, 1), ylabel="density")
        drawn = [
            ax.stairs(height, edges, baseline=None, lw=1.1, **line_style(k))
            for k, height in enumerate(heights)
        ]
        ax.set_ylim(0, None)
        return drawn

    def _draw_densities(self, j: int, ax: Axes) -> list[Line2D]:
        """Draw a density of every chain, sideways, within the trace's limits."""
        limits, drawn = self.axes_[j, 0].get_ylim(), []
        for k, chain in enumerate(self.chains[..., j]):
            (y,), height = grid_density(chain[:, None], np.array([limits])).outline()
            drawn.append(ax.plot(height, y, lw=1.1, **line_style(k))[0])
        ax.set(xlim=(0, None), ylim=limits, xticks=[])
        ax.tick_params(labelleft=False)
        return drawn

    def _title(self, j: int) -> str:
        """Say how well the chains agree on one parameter, as far as that is known."""
        statistics = {"R-hat": (self.r_hat, ".2f"), "ESS": (self.ess, ",.0f")}
        return ", ".join(
            f"{name} {values[j]:{form}}"
            for name, (values, form) in statistics.items()
            if values is not None and not np.isnan(values[j])
        )


def _check_chains(chains: ArrayLike) -> Array:
    """Check chains (n_chains, n_steps, D) of finite numbers."""
    values = check_finite(chains, "chains")
    if values.ndim != 3 or 0 in values.shape or values.shape[1] < 2:
        raise ValueError(
            "chains must have shape (n_chains, n_steps, D), n_steps at least 2, got "
            f"{values.shape}."
        )
    return values
