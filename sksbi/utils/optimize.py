"""Maximising a density in a few dimensions by an evolution strategy, many at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sksbi.utils.types import Array, Mask, Rows

__all__ = ["maximise"]

_SEARCHES, _HEAT = 4, 12
_WIDTH, _SECOND_WIDTH = 0.5, 0.05
# Networks work in float32, which makes log-densities noisy in the sixth figure.
_FLAT, _SMALL = 1e-5, 0.1


def maximise(
    log_density: Callable[[Array, Rows], Array],
    start: Array,
    generator: np.random.Generator,
    *,
    rounds: int = 300,
) -> Array:
    """
    Find the highest points of m functions, from draws around them.

    Four searches a function start at the best of the draws, and at the best of those far away from
    it, where another mode may be; the better half goes on, and then the best. Each is an evolution
    strategy: draws from a Gaussian, whose center, width and shape follow the better half of them,
    so that neither gradients nor step sizes are needed, and the units of the draws do not matter.
    All functions share their noise: what is found for one does not depend on the others.

    Parameters
    ----------
    log_density : callable
        Maps points of shape (r, k, D), and the numbers (r,) of their functions, to values (r, k).
    start : ndarray of shape (m, k, D)
        Draws around the highest points of every function.
    generator : numpy.random.Generator
        Where the noise comes from.
    rounds : int, default=300
        The number of rounds at most.

    Returns
    -------
    ndarray of shape (m, D)
        The best points.

    References
    ----------
    .. [1] The CMA Evolution Strategy: A Tutorial (Hansen, 2016) https://arxiv.org/abs/1604.00772
    """
    m, _, d = start.shape
    values = log_density(start, np.arange(m))
    values = np.where(np.isnan(values), -np.inf, values)
    root = _shape(start, values)
    functions = np.arange(m).repeat(_SEARCHES)
    chosen = _starts(start, values, root).ravel()
    first = _Found(start[functions, chosen], values[functions, chosen], functions)
    found = _search(log_density, first, root, _WIDTH, generator, rounds)
    winner = found.value.reshape(m, _SEARCHES).argmax(axis=1) + _SEARCHES * np.arange(m)
    best = _Found(found.point[winner], found.value[winner], np.arange(m))
    # A strategy may narrow too early on an edge, where a second one, from there, does not.
    return _search(log_density, best, root, _SECOND_WIDTH, generator, rounds).point


@dataclass
class _Found:
    """The best points of searches, with their values and the numbers of their functions."""

    point: Array
    value: Array
    function: Rows


def _search(
    log_density: Callable[[Array, Rows], Array],
    first: _Found,
    root: Array,
    width: float,
    generator: np.random.Generator,
    rounds: int,
) -> _Found:
    """Follow searches to their ends; of several of one function the better ones."""
    n_searches = len(first.point) // len(root)
    best, best_value, functions = first.point.copy(), first.value.copy(), first.function
    plan = _Plan.of(best.shape[1])
    state, active = _State.at(best, root[functions], width), np.arange(len(best))
    for number in range(1, rounds + 1):
        noise = generator.standard_normal((plan.n_points, best.shape[1]))
        points, steps = state.points(noise)
        found = log_density(points, functions[active])
        found = np.where(np.isnan(found), -np.inf, found)
        order = np.argsort(-found, axis=1)
        top = np.take_along_axis(found, order[:, :1], axis=1)[:, 0]
        better = top > best_value[active]
        best[active[better]] = points[better, order[better, 0]]
        best_value[active[better]] = top[better]
        state.follow(plan, noise[order[:, : plan.n_parents]], steps, order)
        going = ~_is_flat(found, order, plan.n_parents) | (state.reach() > _SMALL)
        if number % _HEAT == 0 and n_searches > 1:
            leads = _leads(best_value.reshape(-1, n_searches), n_searches >> number // _HEAT)
            going &= leads[active]
        if not going.any():
            break
        state, active = state.take(going), active[going]
    return _Found(best, best_value, functions)


def _shape(start: Array, values: Array) -> Array:
    """Find a root (m, D, D) of the covariance of the better half of the draws."""
    half = np.argsort(-values, axis=1)[:, : max(2, (start.shape[1] + 1) // 2)]
    better = np.take_along_axis(start, half[:, :, None], axis=1)
    unit = np.ptp(better, axis=1)
    unit = np.where(unit > 0, unit, np.maximum(1e-8 * abs(better).max(axis=1), 1e-300))
    scaled = (better - better.mean(axis=1, keepdims=True)) / unit[:, None]
    covariance = np.einsum("mki,mkj->mij", scaled, scaled) / better.shape[1]
    floor = 1e-6 + 1e-4 * np.einsum("mii->mi", covariance)
    covariance += floor[:, :, None] * np.eye(start.shape[2])
    return unit[:, :, None] * np.linalg.cholesky(covariance)


def _starts(start: Array, values: Array, root: Array) -> Rows:
    """Choose the best draw, and then, among the half that is farthest from all chosen, the best."""
    chosen = values.argmax(axis=1)[:, None]
    distance = np.full(values.shape, np.inf)
    while chosen.shape[1] < _SEARCHES:
        away = start - np.take_along_axis(start, chosen[:, -1:, None], axis=1)
        square = np.square(np.linalg.solve(root, away.transpose(0, 2, 1))).sum(axis=1)
        distance = np.minimum(distance, square)
        near = distance < np.median(distance, axis=1, keepdims=True)
        best = np.where(near, -np.inf, values).argmax(axis=1)
        chosen = np.concatenate([chosen, best[:, None]], axis=1)
    return chosen


def _leads(value: Array, n: int) -> Mask:
    """Tell which searches are among the best n of their function, or the best."""
    rank = np.argsort(np.argsort(-value, axis=1, kind="stable"), axis=1, kind="stable")
    return (rank < max(n, 1)).ravel()


def _is_flat(values: Array, order: Rows, n: int) -> Mask:
    """Tell where the best n values are equal but for rounding."""
    edge = np.take_along_axis(values, order[:, [0, n - 1]], axis=1)
    with np.errstate(invalid="ignore"):
        flat = edge[:, 0] - edge[:, 1] <= _FLAT * (1 + 0.1 * np.abs(edge[:, 0]))
    return np.asarray(flat, dtype=bool)


@dataclass(frozen=True)
class _Plan:
    """The constants of the strategy in d dimensions, in the notation of the tutorial."""

    n_points: int
    weights: Array
    mu: float
    c_sigma: float
    d_sigma: float
    c_c: float
    c_1: float
    c_mu: float
    chi: float

    @classmethod
    def of(cls, d: int) -> _Plan:
        """Take the tutorial's values."""
        n = max(6, 4 + int(3 * np.log(d)))
        weights = np.log((n + 1) / 2) - np.log(np.arange(1, n // 2 + 1))
        weights /= weights.sum()
        mu = 1 / np.square(weights).sum()
        c_sigma = (mu + 2) / (d + mu + 5)
        d_sigma = 1 + 2 * max(0.0, np.sqrt((mu - 1) / (d + 1)) - 1) + c_sigma
        c_1 = 2 / ((d + 1.3) ** 2 + mu)
        c_mu = min(1 - c_1, 2 * (mu - 2 + 1 / mu) / ((d + 2) ** 2 + mu))
        chi = np.sqrt(d) * (1 - 1 / (4 * d) + 1 / (21 * d**2))
        c_c = (4 + mu / d) / (d + 4 + 2 * mu / d)
        return cls(n, weights, mu, c_sigma, d_sigma, c_c, c_1, c_mu, chi)

    @property
    def n_parents(self) -> int:
        """The number of draws that are followed."""
        return len(self.weights)


@dataclass
class _State:
    """Where r searches stand: the Gaussians that they draw from, and the paths that led there."""

    center: Array
    root: Array
    width: Array
    covariance: Array
    factor: Array
    path: Array
    long_path: Array

    @classmethod
    def at(cls, center: Array, root: Array, width: float) -> _State:
        """Start at points, with the shapes of the draws."""
        r, d = center.shape
        identity = np.broadcast_to(np.eye(d), (r, d, d)).copy()
        zero = np.zeros((r, d))
        return cls(center, root, np.full(r, width), identity, identity.copy(), zero, zero.copy())

    def points(self, noise: Array) -> tuple[Array, Array]:
        """Draw points (r, k, D), and tell the steps to them in units of width and root."""
        steps = noise @ self.factor.transpose(0, 2, 1)
        away = self.width[:, None, None] * (steps @ self.root.transpose(0, 2, 1))
        return self.center[:, None] + away, steps

    def follow(self, plan: _Plan, noise: Array, steps: Array, order: Rows) -> None:
        """Move and reshape the Gaussians by the better half of the draws."""
        parents = np.take_along_axis(steps, order[:, : plan.n_parents, None], axis=1)
        step, whitened = plan.weights @ parents, plan.weights @ noise
        self.center = self.center + self.width[:, None] * (self.root @ step[:, :, None])[:, :, 0]
        a, b = plan.c_sigma, plan.c_c
        self.path = (1 - a) * self.path + np.sqrt(a * (2 - a) * plan.mu) * whitened
        ratio = np.linalg.norm(self.path, axis=1) / plan.chi
        moves = (ratio < 1.4 + 2 / (step.shape[1] + 1))[:, None]
        self.long_path = (1 - b) * self.long_path + moves * np.sqrt(b * (2 - b) * plan.mu) * step
        rank_one = self.long_path[:, :, None] * self.long_path[:, None]
        rank_mu = np.einsum("k,rki,rkj->rij", plan.weights, parents, parents)
        keep = 1 - plan.c_1 - plan.c_mu
        self.covariance = keep * self.covariance + plan.c_1 * rank_one + plan.c_mu * rank_mu
        self.width = self.width * np.exp(np.minimum(a / plan.d_sigma * (ratio - 1), 1.0))
        self.factor = np.asarray(np.linalg.cholesky(self.covariance), dtype=np.float64)

    def reach(self) -> Array:
        """Tell how wide the Gaussians are, against the draws at the start."""
        return self.width * np.sqrt(np.einsum("rii->ri", self.covariance).max(axis=1))

    def take(self, rows: Rows | Mask) -> _State:
        """Take some of the searches."""
        return _State(*(value[rows] for value in vars(self).values()))
