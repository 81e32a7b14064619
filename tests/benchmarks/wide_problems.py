"""
Problems with wide x whose posteriors are known: curves, spectra, counts, series, an image.

Every problem has its likelihood in closed form. The exact posterior at an observation comes from
importance sampling that begins at the theta the observation was simulated with and adapts a Student
t proposal until the draws are worth a third of as many (Adaptive importance sampling in general
mixture classes, Cappe et al., 2008, https://arxiv.org/abs/0710.4242).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

__all__ = ["PROBLEMS", "Exact", "Problem"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Exact:
    """Mean and deviation of every parameter, (D,), and the log-evidence of an observation."""

    mean: Array
    sd: Array
    log_evidence: float
    efficiency: float


@dataclass(frozen=True)
class Problem:
    """
    A prior, a simulator and its likelihood.

    Parameters
    ----------
    prior : dict
        Frozen scipy.stats distributions by name.
    simulate : callable (theta (n, D), rng) -> x (n, L)
        The simulator.
    log_likelihood : callable (theta (k, D), x (L,)) -> (k,)
        The logarithm of p(x | theta), up to a term in x.
    n_simulations : int
        How many simulations the problem is measured with.
    closed : callable (x (L,)) -> Exact, optional
        The posterior in closed form, where there is one.
    """

    prior: dict
    simulate: Callable[[Array, np.random.Generator], Array]
    log_likelihood: Callable[[Array, Array], Array]
    n_simulations: int = 10_000
    closed: Callable[[Array], Exact] | None = None

    def joint(self, n: int, seed: int) -> tuple[Array, Array]:
        """Draw n pairs (theta, x)."""
        rng = np.random.default_rng(seed)
        theta = np.stack([d.rvs(n, random_state=rng) for d in self.prior.values()], axis=1)
        return theta, self.simulate(theta, rng)

    def log_prior(self, theta: Array) -> Array:
        """Compute the log-density of the prior at theta (k, D)."""
        return sum(d.logpdf(theta[:, i]) for i, d in enumerate(self.prior.values()))

    def to_theta(self, z: Array) -> Array:
        """Map standard normal z (k, D) to theta by the quantiles of the prior."""
        columns = [
            np.where(z[:, i] < 0, d.ppf(special.ndtr(z[:, i])), d.isf(special.ndtr(-z[:, i])))
            for i, d in enumerate(self.prior.values())
        ]
        return np.stack(columns, axis=1)

    def to_z(self, theta: Array) -> Array:
        """Map theta (k, D) back."""
        columns = [
            np.where(
                (p := d.cdf(theta[:, i])) < 0.5,
                special.ndtri(p),
                -special.ndtri(d.sf(theta[:, i])),
            )
            for i, d in enumerate(self.prior.values())
        ]
        return np.stack(columns, axis=1)

    def exact(self, theta: Array, x: Array, seed: int, n: int = 4_000) -> Exact:
        """Compute the posterior at x (L,), which was simulated at theta (D,)."""
        if self.closed is not None:
            return self.closed(x)
        rng = np.random.default_rng(seed)

        def log_target(z: Array) -> Array:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                log_p = self.log_likelihood(self.to_theta(z), x)
            log_p = np.where(np.isfinite(log_p), log_p, -np.inf)
            return log_p - 0.5 * (z**2).sum(axis=1) - z.shape[1] / 2 * np.log(2 * np.pi)

        center = self.to_z(theta[None])[0]
        root = np.diag([_width(log_target, center, i) for i in range(len(center))])
        for step in range(40):
            size = 1_000 if step < 39 else n
            z, log_w = _weighted(log_target, center, root, size, rng)
            weight, share = _flattened(log_w)
            if share == 1.0 and size == 1_000 and _worth(log_w) > 0.35 and step > 3:
                break
            center = weight @ z
            root = np.linalg.cholesky(
                1.1 * (weight[:, None] * (z - center)).T @ (z - center)
                + 1e-14 * np.eye(len(center))
            )
        z, log_w = _weighted(log_target, center, root, n, rng)
        weight = special.softmax(log_w)
        values = self.to_theta(z)
        mean = weight @ values
        sd = np.sqrt(weight @ (values - mean) ** 2)
        return Exact(mean, sd, float(special.logsumexp(log_w) - np.log(n)), _worth(log_w))


def _width(log_target: Callable, center: Array, i: int) -> float:
    """Find how far along one axis the density falls by about a half."""
    low, high, top = 1e-9, 1.0, log_target(center[None])[0]
    for _ in range(40):
        middle = np.sqrt(low * high)
        ends = center + np.array([[-1.0], [1.0]]) * middle * np.eye(len(center))[i]
        low, high = (middle, high) if (top - log_target(ends)).min() < 0.5 else (low, middle)
    return low


def _weighted(
    log_target: Callable, center: Array, root: Array, n: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw from a Student t of 5 degrees of freedom, with log-weights."""
    d = len(center)
    noise = rng.standard_normal((n, d)) / np.sqrt(rng.chisquare(5, (n, 1)) / 5)
    z = center + noise @ root.T
    log_q = stats.multivariate_t(np.zeros(d), np.eye(d), df=5).logpdf(noise).reshape(-1)
    return z, log_target(z) - log_q + np.log(np.abs(np.diag(root))).sum()


def _worth(log_w: Array) -> float:
    """Compute the effective share of weighted draws."""
    w = special.softmax(log_w)
    return float(1 / (w**2).sum() / len(w))


def _flattened(log_w: Array) -> tuple[Array, float]:
    """Temper weights until the draws are worth a tenth of as many."""
    power = 1.0
    while _worth(power * log_w) < 0.1 and power > 1e-4:
        power *= 0.7
    return special.softmax(power * log_w), power


def _gaussian(mean: Callable[[Array], Array], sd: float) -> dict:
    """Build simulator and likelihood of a curve mean(theta) (n, L) under white noise."""

    def simulate(theta: Array, rng: np.random.Generator) -> Array:
        curves = mean(theta)
        return curves + sd * rng.standard_normal(curves.shape)

    def log_likelihood(theta: Array, x: Array) -> Array:
        return -0.5 * ((x - mean(theta)) ** 2).sum(axis=1) / sd**2

    return {"simulate": simulate, "log_likelihood": log_likelihood}


def _poisson(rate: Callable[[Array], Array]) -> dict:
    """Build simulator and likelihood of counts with rates (n, L)."""

    def simulate(theta: Array, rng: np.random.Generator) -> Array:
        return rng.poisson(rate(theta)).astype(float)

    def log_likelihood(theta: Array, x: Array) -> Array:
        rates = rate(theta)
        return (x * np.log(rates) - rates).sum(axis=1)

    return {"simulate": simulate, "log_likelihood": log_likelihood}


def decay(columns: int, n: int = 3_000) -> Problem:
    """Exponential decay, the same information in any number of columns."""
    t = np.linspace(0, 4, columns)
    return Problem(
        {"rate": stats.expon(0, 0.5)},
        **_gaussian(lambda theta: 2 * np.exp(-theta[:, :1] * t), 0.1 * np.sqrt(columns / 500)),
        n_simulations=n,
    )


def _chirp() -> Problem:
    """The amplitude of a known wave of norm 10 in 4,096 columns of unit noise."""
    t = np.linspace(0, 1, 4096)
    wave = np.sin(2 * np.pi * (20 * t + 200 * t**2)) * np.exp(-((t - 0.6) ** 2) / 0.02)
    wave *= 10 / np.linalg.norm(wave)
    return Problem(
        {"a": stats.uniform(0, 1)},
        **_gaussian(lambda theta: theta * wave, 1.0),
        n_simulations=1_500,
    )


def _counts() -> Problem:
    """Counts that grow over up to twelve decades."""
    t = np.arange(1, 24)
    return Problem(
        {"r": stats.uniform(-0.3, 1.5)},
        **_poisson(lambda theta: np.exp(theta * t)),
        n_simulations=3_000,
    )


def spectrum(columns: int) -> Problem:
    """A line of unknown place, width and strength over a sloped background, in counts."""
    t = np.linspace(-1, 1, columns)

    def rate(theta: Array) -> Array:
        place, width, strength = theta[:, :1], np.exp(theta[:, 1:2]), np.exp(theta[:, 2:])
        line = strength * np.exp(-0.5 * ((t - place) / width) ** 2) / width
        return (line + 2 + t) * 3_000 / columns

    prior = {"place": stats.uniform(-0.8, 1.6), "log_width": stats.uniform(-3, 1.5)}
    return Problem(
        prior | {"log_strength": stats.norm(-1, 0.5)}, **_poisson(rate), n_simulations=5_000
    )


def oscillation(columns: int) -> Problem:
    """A damped wave of unknown frequency and phase under noise."""
    t = np.linspace(0, 1, columns)

    def mean(theta: Array) -> Array:
        wave = np.sin(2 * np.pi * theta[:, :1] * t + theta[:, 1:2])
        return np.exp(-theta[:, 2:] * t) * wave

    prior = {"frequency": stats.uniform(2, 6), "phase": stats.uniform(-1, 2)}
    return Problem(
        prior | {"damping": stats.gamma(3, scale=0.5)},
        **_gaussian(mean, 0.3 * np.sqrt(columns / 100)),
        n_simulations=5_000,
    )


def autoregression(columns: int) -> Problem:
    """AR(1) around a mean, begun in its stationary state."""

    def simulate(theta: Array, rng: np.random.Generator) -> Array:
        phi, log_sd, mean = theta.T
        z = rng.standard_normal((len(theta), columns))
        y = np.empty_like(z)
        y[:, 0] = z[:, 0] / np.sqrt(1 - phi**2)
        for t in range(1, columns):
            y[:, t] = phi * y[:, t - 1] + z[:, t]
        return mean[:, None] + np.exp(log_sd)[:, None] * y

    def log_likelihood(theta: Array, x: Array) -> Array:
        phi, sd = theta[:, 0], np.exp(theta[:, 1])
        y = (x - theta[:, 2:]) / sd[:, None]
        left = y[:, 1:] - phi[:, None] * y[:, :-1]
        square = (left**2).sum(axis=1) + y[:, 0] ** 2 * (1 - phi**2)
        return -0.5 * square + 0.5 * np.log1p(-(phi**2)) - columns * np.log(sd)

    prior = {"phi": stats.uniform(-0.95, 1.9), "log_sd": stats.norm(0, 1), "mean": stats.norm(0, 3)}
    return Problem(prior, simulate, log_likelihood, n_simulations=5_000)


def moving_average(columns: int) -> Problem:
    """MA(1) of unknown sign and scale."""

    def covariances(theta: Array) -> tuple[Array, Array]:
        return 1 + theta[:, 0] ** 2, theta[:, 0]

    def simulate(theta: Array, rng: np.random.Generator) -> Array:
        z = rng.standard_normal((len(theta), columns + 1))
        return np.exp(theta[:, 1:]) * (z[:, 1:] + theta[:, :1] * z[:, :-1])

    def log_likelihood(theta: Array, x: Array) -> Array:
        variance, covariance = covariances(theta)
        y = x / np.exp(theta[:, 1:])
        mean, v, total = np.zeros(len(theta)), variance, np.zeros(len(theta))
        for t in range(columns):
            left = y[:, t] - mean
            total -= 0.5 * left**2 / v + 0.5 * np.log(v)
            mean, v = covariance * left / v, variance - covariance**2 / v
        return total - columns * theta[:, 1]

    prior = {"theta": stats.uniform(-1, 2), "log_sd": stats.norm(0, 0.5)}
    return Problem(prior, simulate, log_likelihood, n_simulations=5_000)


def two_states(columns: int) -> Problem:
    """A hidden Markov chain of two states with their own means."""

    def simulate(theta: Array, rng: np.random.Generator) -> Array:
        stay, leap = theta[:, 0], theta[:, 1]
        n = len(theta)
        state, y = rng.random(n) < 0.5, np.empty((n, columns))
        for t in range(columns):
            if t:
                state ^= rng.random(n) > stay
            y[:, t] = np.where(state, leap, -leap) / 2 + rng.standard_normal(n)
        return y

    def log_likelihood(theta: Array, x: Array) -> Array:
        stay, leap = theta[:, 0], theta[:, 1]
        odds, total = np.zeros(len(theta)), np.zeros(len(theta))
        for t, y in enumerate(x):
            p = special.expit(odds)
            p = stay * p + (1 - stay) * (1 - p) if t else p
            log_up = -0.5 * (y - leap / 2) ** 2 + np.log(p)
            log_down = -0.5 * (y + leap / 2) ** 2 + np.log1p(-p)
            total += np.logaddexp(log_up, log_down)
            odds = log_up - log_down
        return total

    prior = {"stay": stats.uniform(0, 1), "leap": stats.gamma(4, scale=1)}
    return Problem(prior, simulate, log_likelihood, n_simulations=10_000)


def exchangeable(columns: int) -> Problem:
    """Independent draws of a Gaussian, mean and logarithm of the deviation unknown."""

    def simulate(theta: Array, rng: np.random.Generator) -> Array:
        noise = rng.standard_normal((len(theta), columns))
        return theta[:, :1] + np.exp(theta[:, 1:]) * noise

    def log_likelihood(theta: Array, x: Array) -> Array:
        y = (x - theta[:, :1]) / np.exp(theta[:, 1:])
        return -0.5 * (y**2).sum(axis=1) - columns * theta[:, 1]

    return Problem(
        {"mean": stats.norm(0, 2), "log_sd": stats.norm(0, 1)},
        simulate,
        log_likelihood,
        n_simulations=5_000,
    )


def _blob() -> Problem:
    """A round spot of unknown place, size and brightness in an image of 32 x 32, flattened."""
    grid = np.stack(np.meshgrid(*2 * [np.linspace(-1, 1, 32)]), axis=-1).reshape(-1, 2)

    def mean(theta: Array) -> Array:
        square = ((grid - theta[:, None, :2]) ** 2).sum(axis=2)
        return np.exp(theta[:, 3:] - 0.5 * square / np.exp(2 * theta[:, 2:3]))

    prior = {"a": stats.uniform(-0.7, 1.4), "b": stats.uniform(-0.7, 1.4)}
    prior |= {"log_size": stats.uniform(-1.8, 0.8), "log_height": stats.norm(0, 0.4)}
    return Problem(prior, **_gaussian(mean, 0.3), n_simulations=5_000)


def _many() -> Problem:
    """50 parameters, each seen once."""
    noise = 0.1

    def closed(x: Array) -> Exact:
        posterior = stats.truncnorm(-x / noise, (1 - x) / noise, loc=x, scale=noise)
        mass = stats.norm.cdf((1 - x) / noise) - stats.norm.cdf(-x / noise)
        log_evidence = np.log(noise * np.sqrt(2 * np.pi) * mass).sum()
        return Exact(posterior.mean(), posterior.std(), float(log_evidence), 1.0)

    return Problem(
        {f"p{i}": stats.uniform(0, 1) for i in range(50)},
        **_gaussian(lambda theta: theta, noise),
        n_simulations=2_000,
        closed=closed,
    )


PROBLEMS: dict[str, Callable[[], Problem]] = {
    **{f"decay_{k}": partial(decay, k) for k in (10, 30, 100, 500, 2000)},
    "chirp": _chirp,
    "counts": _counts,
    "spectrum_30": partial(spectrum, 30),
    "spectrum_300": partial(spectrum, 300),
    "spectrum_3000": partial(spectrum, 3000),
    "oscillation_30": partial(oscillation, 30),
    "oscillation_300": partial(oscillation, 300),
    "ar_100": partial(autoregression, 100),
    "ar_300": partial(autoregression, 300),
    "ma_100": partial(moving_average, 100),
    "states_100": partial(two_states, 100),
    "gaussian_30": partial(exchangeable, 30),
    "gaussian_300": partial(exchangeable, 300),
    "blob": _blob,
    "many": _many,
}
