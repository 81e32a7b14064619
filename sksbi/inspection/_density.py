"""
Smooth densities of draws on a grid, and their highest-density regions.

The draws are counted on a grid and smoothed by a Gaussian as wide as Scott's rule says, or by a
half or a quarter of it: the widest whose cross-validated squared error

    integral f^2 - 2/n sum_i f_(-i)(theta_i)

is close to the least one, so that narrow modes keep their shape. Flat densities take twice or four
times of it. At a bound where draws pile up the smoothing is reflected.

Of a correlated pair (a, b) the regression of b on a is taken off first: a Gaussian along the axes
of (a, b - slope a) is one of the draws' own covariance, which smooths a ridge along itself. The
density is taken so if the error is less so. The bounds of b are aslant there: the density is
divided by the mass of the Gaussian inside, and ends at them.

The region of a level is {f >= t}, where t is the quantile of f at the draws that leaves this share
of the draws inside: a threshold from the smoothed histogram's own mass would overstate it. Every
draw raises f where it lies itself, which new draws do not; half of that is taken off, so that the
share inside is as close to the level for these draws as for new ones.

References: Computing and Graphing Highest Density Regions (Hyndman, 1996),
https://doi.org/10.1080/00031305.1996.10473359; An Alternative Method of Cross-Validation for the
Smoothing of Density Estimates (Bowman, 1984), https://doi.org/10.1093/biomet/71.2.353; Comparison
of Smoothing Parameterizations in Bivariate Kernel Density Estimation (Wand and Jones, 1993),
https://doi.org/10.1080/01621459.1993.10476303.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from sksbi.utils.types import Array, Mask

__all__ = ["GridDensity", "grid_density", "panel_limits"]

N_CELLS = {1: 400, 2: 100}
WIDTHS = (4.0, 2.0, 1.0, 0.5, 0.25)
TOLERANCES = (0.005, 0.005, 0.03, 0.03, 0.03)
LEAST_CORRELATION, LEAST_RESIDUAL = 0.3, 1e-9
LEAST_INSIDE = 0.05


@dataclass(frozen=True)
class Shear:
    """Coordinates of a pair: one parameter, and what its regression leaves of the other one."""

    kept: int = 0
    slope: float = 0.0
    bounds: tuple[float, float] = (-np.inf, np.inf)  # of the other one

    def apply(self, draws: Array) -> Array:
        """Bring draws (n, d) to these coordinates; of one parameter there is nothing to do."""
        if self.slope == 0:
            return draws
        kept, other = draws[:, self.kept], draws[:, 1 - self.kept]
        return np.column_stack([kept, other - self.slope * kept])

    def grid(self, u: Array, v: Array) -> tuple[Array, Array]:
        """Spread coordinates out to a grid: the parameter that is kept, and the other one."""
        kept, residual = np.meshgrid(u, v, indexing="ij")
        return kept, residual + self.slope * kept


@dataclass(frozen=True)
class GridDensity:
    """A density at the centres of equal cells, (d axes), of the box from low to high, (d,) each."""

    low: Array
    high: Array
    values: Array
    own: float  # what a draw adds where it lies
    shear: Shear = Shear()

    def at(self, draws: Array) -> Array:
        """Interpolate the density at draws (n, d); 0 outside the box."""
        draws = self.shear.apply(draws)
        cells = (draws - self.low) / (self.high - self.low) * self.values.shape - 0.5
        density = map_coordinates(self.values, cells.T, order=1, mode="nearest")
        inside = np.all((draws >= self.low) & (draws <= self.high), axis=1)
        return np.where(inside, density, 0.0)

    def thresholds(self, draws: Array, levels: list[float]) -> Array:
        """Return the density above which each level's share of the draws lies."""
        cuts = np.quantile(self.at(draws) - self.own / 2, 1 - np.asarray(levels))
        return np.maximum(cuts, 1e-6 * self.values.max())

    def outline(self) -> tuple[list[Array], Array]:
        """
        Return coordinates and density up to the walls of the box, and 0 there, too.

        Those of a pair are all on a grid, which need not be along the axes.
        """
        coordinates = [
            _to_walls(low, high, size)
            for low, high, size in zip(self.low, self.high, self.values.shape, strict=True)
        ]
        values = np.pad(np.pad(self.values, 1, mode="edge"), 1)
        if len(coordinates) == 1:
            return coordinates, values
        kept, other = self.shear.grid(*coordinates)
        low, high = self.shear.bounds
        other, values = _end_at(high, other, values)
        mirrored, values = _end_at(-low, -other[:, ::-1], values[:, ::-1])
        pair = [kept, -mirrored[:, ::-1]]
        return pair[:: -1 if self.shear.kept else 1], values[:, ::-1]


def grid_density(draws: Array, limits: Array) -> GridDensity:
    """Smooth draws (n, d) on the part of the limits (d, 2) that they reach."""
    density, error = _smooth(draws, limits, Shear())
    shear = _regression(draws, limits) if draws.shape[1] == 2 else None
    if shear is None:
        return density
    shown = np.all((draws >= limits[:, 0]) & (draws <= limits[:, 1]), axis=1)
    residual = shear.apply(draws[shown])[:, 1:]
    own_limits = np.vstack([limits[shear.kept], panel_limits([residual], np.array([np.nan]))])
    sheared, own_error = _smooth(draws, own_limits, shear)
    return sheared if own_error < error else density


def panel_limits(draws: list[Array], points: Array) -> Array:
    """Return limits (D, 2) that show 99.5% of every set of draws and the finite points (D,)."""
    quantiles = [np.quantile(values, (0.0025, 0.9975), axis=0) for values in draws]
    shown = np.vstack([*quantiles, points])
    low, high = np.nanmin(shown, axis=0), np.nanmax(shown, axis=0)
    margin = np.where(high > low, 0.05 * (high - low), 0.5 * np.maximum(np.abs(low), 1.0))
    return np.column_stack([low - margin, high + margin])


def _smooth(draws: Array, limits: Array, shear: Shear) -> tuple[GridDensity, float]:
    """Smooth draws in the coordinates of a shear, and estimate the squared error."""
    draws = shear.apply(draws)
    n_cells = N_CELLS[draws.shape[1]]
    low, high = _box(draws, limits, np.zeros(draws.shape[1]))
    scott, size = _scott(draws), (high - low) / n_cells
    factor, error = _best_factor(_count(np.unique(draws, axis=0), low, high), scott / size)
    bandwidth, error = factor * scott, float(error / np.prod(size))
    walls = _at_wall(draws, np.minimum(bandwidth, scott))
    low, high = _box(draws, limits, 3 * bandwidth * ~walls)
    size = (high - low) / n_cells
    smooth = gaussian_filter(_count(draws, low, high), bandwidth / size, mode="reflect")
    if np.isfinite(shear.bounds).any():
        smooth = _within(shear, low, high, smooth, bandwidth / size)
    scale = len(draws) * np.prod(size)
    own = _own(smooth.shape, bandwidth / size) / scale
    return GridDensity(low, high, smooth / scale, float(own), shear), error


def _regression(draws: Array, limits: Array) -> Shear | None:
    """Find the shear that takes the correlation of a pair away, None where there is hardly any."""
    shown = draws[np.all((draws >= limits[:, 0]) & (draws <= limits[:, 1]), axis=1)]
    centered = shown - shown.mean(axis=0)
    deviation = np.sqrt((centered**2).mean(axis=0))
    if not np.all(deviation > 0):
        return None
    correlation = np.mean(np.prod(centered / deviation, axis=1))
    if np.abs(correlation) < LEAST_CORRELATION or 1 - correlation**2 < LEAST_RESIDUAL**2:
        return None
    walls = _at_wall(draws, _scott(draws))
    kept = int(np.argmax(walls.sum(axis=0)))
    slope = correlation * deviation[1 - kept] / deviation[kept]
    ends = np.stack([draws.min(axis=0), draws.max(axis=0)])
    low, high = np.where(walls, ends, [[-np.inf], [np.inf]])[:, 1 - kept].tolist()
    return Shear(kept, float(slope), (low, high))


def _within(shear: Shear, low: Array, high: Array, smooth: Array, sigma: Array) -> Array:
    """Divide what was smoothed by the mass of the Gaussian within the bounds."""
    centres = [
        _to_walls(start, end, size)[2:-2]
        for start, end, size in zip(low, high, smooth.shape, strict=True)
    ]
    _, other = shear.grid(*centres)
    inside = (other >= shear.bounds[0]) & (other <= shear.bounds[1])
    mass = gaussian_filter(inside.astype(np.float64), sigma, mode="reflect")
    return np.where(mass > LEAST_INSIDE, smooth / np.maximum(mass, LEAST_INSIDE), 0.0)


def _end_at(bound: float, other: Array, values: Array) -> tuple[Array, Array]:
    """Move what lies beyond an upper bound onto it, where the density first is its own, then 0."""
    beyond = other > bound
    rows, k = np.nonzero(beyond[:, 1:] & ~beyond[:, :-1])
    below, above = other[rows, k], other[rows, k + 1]
    share = (bound - below) / (above - below)
    ended = np.where(beyond, 0.0, values)
    ended[rows, k + 1] = (1 - share) * values[rows, k] + share * values[rows, k + 1]
    return np.minimum(other, bound), ended


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


def _best_factor(counts: Array, sigma: Array) -> tuple[float, float]:
    """Choose the widest share of the bandwidth whose error is close to the least one."""
    errors = np.array([_squared_error(counts, factor * sigma) for factor in WIDTHS])
    close = errors <= errors.min() + np.array(TOLERANCES) * np.abs(errors.min())
    best = int(np.argmax(close))
    return WIDTHS[best], errors[best]


def _squared_error(counts: Array, sigma: Array) -> float:
    """Estimate the squared error of a bandwidth in cells, up to a constant."""
    n = max(counts.sum(), 2.0)
    smooth = gaussian_filter(counts, sigma, mode="reflect")
    left_out = np.sum(counts * (smooth - _own(counts.shape, sigma))) / (n - 1)
    return float(np.sum(smooth**2) / n**2 - 2 * left_out / n)


def _own(shape: tuple[int, ...], sigma: Array) -> float:
    """Compute what is left of a draw in its own cell."""
    left = 1.0
    for size, width in zip(shape, sigma, strict=True):
        delta = np.zeros(size)
        delta[size // 2] = 1.0
        left *= gaussian_filter(delta, width)[size // 2]
    return left


def _to_walls(low: float, high: float, size: int) -> Array:
    """Return the centres of the cells, between the walls, each twice."""
    edges = np.linspace(low, high, size + 1)
    return np.r_[low, low, (edges[:-1] + edges[1:]) / 2, high, high]
