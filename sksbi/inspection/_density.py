"""
Smooth densities of draws on a grid, and their highest-density regions.

The draws are counted on a grid and smoothed by a Gaussian as wide as Scott's rule says, or by a
half or a quarter of it: the widest whose cross-validated squared error

    integral f^2 - 2/n sum_i f_(-i)(theta_i)

is close to the least one, so that narrow modes keep their shape. At a bound where draws pile up the
smoothing is reflected. The region of a level is {f >= t}, where t is the
quantile of f at the draws that leaves this share of the draws inside: the stated mass is the mass
of the draws, which a threshold from the smoothed histogram's own mass overstates.

References: Computing and Graphing Highest Density Regions (Hyndman, 1996),
https://doi.org/10.1080/00031305.1996.10473359; An Alternative Method of Cross-Validation for the
Smoothing of Density Estimates (Bowman, 1984), https://doi.org/10.1093/biomet/71.2.353.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from sksbi.utils.types import Array, Mask

__all__ = ["GridDensity", "grid_density", "panel_limits"]

N_CELLS = {1: 400, 2: 100}
WIDTHS = (1.0, 0.5, 0.25)
TOLERANCE = 0.03


@dataclass(frozen=True)
class GridDensity:
    """A density at the centres of equal cells, (d axes), of the box from low to high, (d,) each."""

    low: Array
    high: Array
    values: Array

    def at(self, draws: Array) -> Array:
        """Interpolate the density at draws (n, d); 0 outside the box."""
        cells = (draws - self.low) / (self.high - self.low) * self.values.shape - 0.5
        density = map_coordinates(self.values, cells.T, order=1, mode="nearest")
        inside = np.all((draws >= self.low) & (draws <= self.high), axis=1)
        return np.where(inside, density, 0.0)

    def thresholds(self, draws: Array, levels: list[float]) -> Array:
        """Return the density above which each level's share of the draws lies."""
        cuts = np.quantile(self.at(draws), 1 - np.asarray(levels))
        return np.maximum(cuts, 1e-6 * self.values.max())

    def outline(self) -> tuple[list[Array], Array]:
        """Return coordinates and density up to the walls of the box, and 0 just beyond them."""
        coordinates = [
            _to_walls(low, high, size)
            for low, high, size in zip(self.low, self.high, self.values.shape, strict=True)
        ]
        return coordinates, np.pad(np.pad(self.values, 1, mode="edge"), 1)


def grid_density(draws: Array, limits: Array) -> GridDensity:
    """Smooth draws (n, d) on the part of the limits (d, 2) that they reach."""
    n_cells = N_CELLS[draws.shape[1]]
    low, high = _box(draws, limits, np.zeros(draws.shape[1]))
    scott = _scott(draws)
    counts = _count(np.unique(draws, axis=0), low, high)
    bandwidth = _best_factor(counts, scott * n_cells / (high - low)) * scott
    low, high = _box(draws, limits, 3 * bandwidth * ~_at_wall(draws, bandwidth))
    size = (high - low) / n_cells
    smooth = gaussian_filter(_count(draws, low, high), bandwidth / size, mode="reflect")
    return GridDensity(low, high, smooth / (len(draws) * np.prod(size)))


def panel_limits(draws: list[Array], points: Array) -> Array:
    """Return limits (D, 2) that show 99.5% of every set of draws and the finite points (D,)."""
    quantiles = [np.quantile(values, (0.0025, 0.9975), axis=0) for values in draws]
    shown = np.vstack([*quantiles, points])
    low, high = np.nanmin(shown, axis=0), np.nanmax(shown, axis=0)
    margin = np.where(high > low, 0.05 * (high - low), 0.5 * np.maximum(np.abs(low), 1.0))
    return np.column_stack([low - margin, high + margin])


def _box(draws: Array, limits: Array, margin: Array) -> tuple[Array, Array]:
    """Return the corners of the draws' range, widened by a margin (2, d) or (d,), in the limits."""
    below, above = np.broadcast_to(margin, (2, draws.shape[1]))
    low = np.maximum(draws.min(axis=0) - below, limits[:, 0])
    high = np.minimum(draws.max(axis=0) + above, limits[:, 1])
    flat = np.where(high > low, 0.0, 0.01 * (limits[:, 1] - limits[:, 0]))
    return low - flat, high + flat


def _at_wall(draws: Array, bandwidth: Array) -> Mask:
    """Tell, (2, d), where the draws pile up at their least and greatest value, as at a bound."""
    near_low = np.sum(draws < draws.min(axis=0) + bandwidth, axis=0)
    near_high = np.sum(draws > draws.max(axis=0) - bandwidth, axis=0)
    return np.stack([near_low, near_high]) > max(0.02 * len(draws), 3)


def _count(draws: Array, low: Array, high: Array) -> Array:
    """Count the draws in every cell."""
    bounds = list(zip(low, high, strict=True))
    return np.histogramdd(draws, bins=N_CELLS[draws.shape[1]], range=bounds)[0]


def _scott(draws: Array) -> Array:
    """Return Scott's bandwidth a dimension, with a spread that heavy tails do not inflate."""
    n, d = draws.shape
    std = draws.std(axis=0)
    quartiles = np.quantile(draws, (0.25, 0.75), axis=0)
    robust = (quartiles[1] - quartiles[0]) / 1.349
    return np.where(robust > 0, np.minimum(std, robust), std) * n ** (-1 / (d + 4))


def _best_factor(counts: Array, sigma: Array) -> float:
    """Choose the widest share of the bandwidth whose error is close to the least one."""
    errors = np.array([_squared_error(counts, factor * sigma) for factor in WIDTHS])
    close = errors <= errors.min() + TOLERANCE * np.abs(errors.min())
    return WIDTHS[int(np.argmax(close))]


def _squared_error(counts: Array, sigma: Array) -> float:
    """Estimate the squared error of a bandwidth in cells, up to a constant."""
    n = max(counts.sum(), 2.0)
    delta = np.zeros_like(counts)
    centre = tuple(size // 2 for size in counts.shape)
    delta[centre] = 1.0
    own = gaussian_filter(delta, sigma)[centre]
    smooth = gaussian_filter(counts, sigma, mode="reflect")
    left_out = np.sum(counts * (smooth - own)) / (n - 1)
    return float(np.sum(smooth**2) / n**2 - 2 * left_out / n)


def _to_walls(low: float, high: float, size: int) -> Array:
    """Return the centres of the cells, between the walls and points just beyond them."""
    edges = np.linspace(low, high, size + 1)
    beyond = 1e-3 * (edges[1] - edges[0])
    return np.r_[low - beyond, low, (edges[:-1] + edges[1:]) / 2, high, high + beyond]
