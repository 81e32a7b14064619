"""Markov chains: their traces, and whether they agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from sksbi.inspection._chains import (
    chain_ranks,
    check_chains,
    draw_density,
    draw_ranks,
    draw_trace,
)
from sksbi.inspection._estimators import parameter_names
from sksbi.inspection._named import check_names, count_names
from sksbi.inspection._plotting import empty_figure, legend_above
from sksbi.inspection._ticks import fold_factor
from sksbi.metrics import effective_sample_size, split_r_hat
from sksbi.utils.validation import check_count

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

__all__ = ["TraceDisplay"]


class TraceDisplay:
    """
    Traces of Markov chains over the steps, and beside them histograms of every chain's ranks.

    Make it by :meth:`from_estimator` or :meth:`from_chains`. Chains that have converged look like
    noise around one value. Every draw is ranked among those of all chains; where they agree, the
    ranks of each are uniform [1]_. R-hat, about 1 where chains agree, and the effective sample size
    stand above the panels; they are those of all chains, drawn or not.

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
    figure_ : matplotlib Figure
        The figure.
    axes_ : ndarray of shape (D, 2)
        The axes of the traces and of the ranks or densities.
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
    >>> display = TraceDisplay.from_chains(chains, names=["mass", "rate"])
    >>> [ax.get_ylabel() for ax in display.axes_[:, 0]]
    ['mass', 'rate']
    """

    def __init__(
        self,
        chains: np.ndarray,
        ranks: np.ndarray,
        numbers: np.ndarray,
        names: list[str],
        *,
        r_hat: np.ndarray | None = None,
        ess: np.ndarray | None = None,
    ) -> None:
        self.chains = chains
        self.ranks = ranks
        self.numbers = numbers
        self.names = names
        self.r_hat = r_hat
        self.ess = ess

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        x: object,
        *,
        n_samples: int = 4000,
        random_state: object = None,
        names: Sequence[str] | None = None,
        max_chains: int = 4,
        **plot_options: Any,
    ) -> TraceDisplay:
        """
        Run the chains of a ratio estimator at one observation and plot them.

        Parameters
        ----------
        estimator : estimator or pipeline
            A fitted object with ``sample_chains``, such as ``NRE``. Its sampler says how many
            chains there are: ``sampler=MetropolisHastings(n_chains=4)`` runs few long ones.
        x : array-like, Series or dict
            One observation, as ``estimator.sample`` takes it.
        n_samples : int, default=4000
            The number of draws that the chains are made for.
        random_state : None, int, RandomState or Generator, default=None
            Passed to ``estimator.sample_chains``.
        names : sequence of D str, default=None
            The parameters' names; the default is those of theta or of the prior.
        max_chains : int, default=4
            The number of chains that are drawn.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        TraceDisplay
            The plotted display.

        Raises
        ------
        TypeError
            If the estimator has no chains.
        ValueError
            If ``x`` is a batch.
        """
        if not callable(getattr(estimator, "sample_chains", None)):
            raise TypeError(
                "estimator must have sample_chains, as ratio estimators have, got "
                f"{type(estimator).__name__}."
            )
        chains = estimator.sample_chains(x, n_samples, random_state=random_state)
        if np.ndim(chains) != 3:
            raise ValueError(
                f"x must be one observation, got a batch of {len(chains)}; give one row of it."
            )
        names = parameter_names(estimator) if names is None else names
        return cls.from_chains(chains, names=names, max_chains=max_chains, **plot_options)

    @classmethod
    def from_chains(
        cls,
        chains: ArrayLike,
        *,
        names: Sequence[str] | None = None,
        max_chains: int = 4,
        **plot_options: Any,
    ) -> TraceDisplay:
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
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        TraceDisplay
            The plotted display.

        Raises
        ------
        TypeError
            If an entry is no real number, or ``max_chains`` no integer.
        ValueError
            If the shape is another, an entry is not finite, or ``names`` or ``max_chains`` are not
            what they should be.
        """
        values = check_chains(chains)
        n_chains, _, n_features = values.shape
        shown = count_names(n_features)
        if names is not None:
            shown = check_names(names, n_features, "names")
        n_shown = min(check_count(max_chains, "max_chains"), n_chains)
        numbers = np.linspace(0, n_chains - 1, n_shown).round().astype(int)
        r_hat, ess = split_r_hat(values), effective_sample_size(values)
        ranks = chain_ranks(values)[numbers]
        return cls(values[numbers], ranks, numbers, shown, r_hat=r_hat, ess=ess).plot(
            **plot_options
        )

    def plot(
        self,
        *,
        fig: Figure | SubFigure | None = None,
        kind: str = "ranks",
        figsize: tuple[float, float] | None = None,
    ) -> TraceDisplay:
        """
        Draw the panels.

        Parameters
        ----------
        fig : matplotlib Figure or SubFigure, default=None
            An empty figure to draw into; by default a new one.
        kind : {"ranks", "density"}, default="ranks"
            What stands beside the traces: histograms of the ranks of every chain, or densities of
            its draws, sideways.
        figsize : (float, float), default=None
            Width and height of a new figure in inches; the default is 7.1 wide, two columns of a
            journal, and grows with D.

        Returns
        -------
        TraceDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        TypeError
            If ``fig`` is no figure.
        ValueError
            If ``kind`` is neither, or ``fig`` is not empty.
        """
        if kind not in ("ranks", "density"):
            raise ValueError(f'kind must be "ranks" or "density", got {kind!r}.')
        n = len(self.names)
        self.figure_ = empty_figure(fig, figsize or (7.1, 0.6 + 1.35 * n))
        grid = {"width_ratios": [2, 1], "wspace": 0.03}
        self.axes_ = self.figure_.subplots(n, 2, squeeze=False, gridspec_kw=grid)
        drawn = [self._draw_row(j, kind) for j in range(n)]
        self.traces_, self.distributions_ = (list(part) for part in zip(*drawn, strict=True))
        self.axes_[-1, 0].set_xlabel("step", fontsize=9)
        right = "fractional rank" if kind == "ranks" else "density"
        self.axes_[-1, 1].set_xlabel(right, fontsize=9)
        for ax in self.axes_[:-1].flat:
            ax.tick_params(labelbottom=False)
        self.figure_.align_labels(self.axes_)
        labels = [f"chain {number}" for number in self.numbers]
        legend_above(self.axes_[0, 0], self.distributions_[0], labels, 6)
        return self

    def _draw_row(self, j: int, kind: str) -> tuple[list, list]:
        """Draw the trace and the distribution of one parameter."""
        left, right = self.axes_[j]
        traces = draw_trace(left, self.chains[..., j])
        if kind == "ranks":
            distributions = draw_ranks(right, self.ranks[..., j])
        else:
            distributions = draw_density(right, self.chains[..., j], left.get_ylim())
        left.set_xlim(0, self.chains.shape[1] - 1)
        fold_factor(left.yaxis, np.array(left.get_ylim()), self.names[j], "\n")
        left.yaxis.label.set_fontsize(9)
        for ax in (left, right):
            ax.tick_params(labelsize=8)
        right.set_title(self._title(j), fontsize=8)
        return traces, distributions

    def _title(self, j: int) -> str:
        """Say how well the chains agree on one parameter, as far as that is known."""
        statistics = {"R-hat": (self.r_hat, ".2f"), "ESS": (self.ess, ",.0f")}
        return ", ".join(
            f"{name} {values[j]:{form}}"
            for name, (values, form) in statistics.items()
            if values is not None and not np.isnan(values[j])
        )
