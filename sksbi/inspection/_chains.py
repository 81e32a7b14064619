"""Panels of Markov chains: the traces, and beside them how the chains are distributed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from sksbi.inspection._density import grid_density
from sksbi.inspection._plotting import COLORS, INK, LINE_STYLES
from sksbi.tables.draws import as_float

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

__all__ = ["chain_ranks", "check_chains", "draw_density", "draw_ranks", "draw_trace"]

Array = NDArray[np.float64]

_MOST_STEPS = 2_000
_N_BINS = 20


def check_chains(chains: ArrayLike) -> Array:
    """Check chains (n_chains, n_steps, D) of finite numbers."""
    values = as_float(chains, "chains")
    if values.ndim != 3 or 0 in values.shape or values.shape[1] < 2:
        raise ValueError(
            "chains must have shape (n_chains, n_steps, D), n_steps at least 2, got "
            f"{values.shape}."
        )
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        chain, step, column = bad[0]
        raise ValueError(
            f"chains must be finite, got {values[chain, step, column]} in chain {chain}, step "
            f"{step}, column {column}."
        )
    return values


def chain_ranks(chains: Array) -> Array:
    """Compute the fractional ranks of draws among those of all chains, between 0 and 1."""
    flat = chains.reshape(-1, chains.shape[2])
    return ((rankdata(flat, axis=0) - 0.5) / len(flat)).reshape(chains.shape)


def draw_trace(ax: Axes, chains: Array) -> list[Line2D]:
    """Draw chains (n_chains, n_steps) over the step, of long ones every so manieth step."""
    steps = np.arange(0, chains.shape[1], -(-chains.shape[1] // _MOST_STEPS))
    return [
        ax.plot(steps, chain[steps], lw=0.6, alpha=0.8, **_style(k))[0]
        for k, chain in enumerate(chains)
    ]


def draw_ranks(ax: Axes, ranks: Array) -> list[Artist]:
    """Draw a histogram of every chain's ranks (n_chains, n_steps)."""
    edges = np.linspace(0, 1, _N_BINS + 1)
    ax.axhline(1, color=INK, lw=0.7, zorder=1)
    drawn = []
    for k, values in enumerate(ranks):
        height, _ = np.histogram(values, edges, density=True)
        drawn.append(ax.stairs(height, edges, baseline=None, lw=1.1, **_style(k)))
    ax.set_xlim(0, 1)
    ax.set_ylim(0, None)
    ax.set_ylabel("density", fontsize=9)
    return drawn


def draw_density(ax: Axes, chains: Array, limits: tuple[float, float]) -> list[Artist]:
    """Draw a density of every chain (n_chains, n_steps), sideways, within the trace's limits."""
    drawn = []
    for k, chain in enumerate(chains):
        (y,), height = grid_density(chain[:, None], np.array([limits])).outline()
        drawn.append(ax.plot(height, y, lw=1.1, **_style(k))[0])
    ax.set_xlim(0, None)
    ax.set_ylim(limits)
    ax.set_xticks([])
    ax.tick_params(labelleft=False)
    return drawn


def _style(k: int) -> dict[str, str]:
    """Return the style of the k-th chain."""
    return {"color": COLORS[k % len(COLORS)], "linestyle": LINE_STYLES[k % len(LINE_STYLES)]}
