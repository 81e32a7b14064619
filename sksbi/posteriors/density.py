"""
The posterior of a conditional density: network, and the ways to its units and back.

Where the prior is zero in a part of what its map reaches, draws are redrawn until they lie outside
of it, and the density is divided by the share s of draws that do. Of every observation a fixed set
of 256 draws tells the share, so log-densities of one observation have a common error of
sqrt((1 - s) / (256 s)): .06 where half lie inside, .02 where 90% do, none where all do. Where
fewer than 64 of them do, 4,096 draws tell it, to .11 where one in fifty lies inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, cast

import numpy as np
import torch
from sklearn.utils.metaestimators import available_if
from torch import Tensor
from tqdm.auto import tqdm

from sksbi.nn import ConditionalDensity
from sksbi.nn.embedded import Density
from sksbi.posteriors.base import Draws, Record
from sksbi.posteriors.encoding import encode
from sksbi.posteriors.mixture import Normalised, NormalisedAt
from sksbi.posteriors.record import HeldOutRecord
from sksbi.preprocessing import ObservationSpace, ParameterSpace
from sksbi.priors import Prior
from sksbi.priors.base import at_edge, has_holes, is_cut
from sksbi.utils.batches import EVALUATION_BATCH, batches
from sksbi.utils.masks import Masks
from sksbi.utils.random import torch_generator
from sksbi.utils.types import Array, Rows

__all__ = ["DensityAt", "DensityPosterior"]

_DRAWING_BATCH, _SHORT = 16_384, 65_536
_TRIES, _EACH, _MOST_CANDIDATES = 100, 16, 4_096
_SHARE_DRAWS, _SHARE_SEED, _ENOUGH_INSIDE = (256, 4_096), 0, 64


def _has_marginals(posterior: DensityPosterior) -> bool:
    """Tell whether the flow was trained for marginals."""
    return posterior.masks is not None


class _Density(Protocol):
    """What draws u and evaluates its density in contexts, as ConditionalDensity does."""

    def draw(
        self,
        c: Tensor,
        rows: Tensor,
        generator: torch.Generator,
        alike: tuple[Tensor, int] | None = None,
        /,
    ) -> Tensor:
        """Draw (n, D)."""

    def log_prob(self, theta: Tensor, c: Tensor, /) -> Tensor:
        """Compute log-densities (n,)."""


class _Family(Protocol):
    """What densities in m contexts need to know of the posterior that they are of."""

    theta_space: ParameterSpace
    prior: Prior | None
    verbose: int

    @property
    def record(self) -> Record | None:
        """What new observations are held against."""

    @property
    def density(self) -> _Density:
        """The density, in the units of the space."""


class DensityPosterior(Normalised):
    """
    Posterior by a density of theta in the context of x.

    Parameters
    ----------
    density : Density
        The trained density, in the units of the network.
    theta_space : ParameterSpace
        The map between theta and these units.
    x_space : ObservationSpace
        The map from x to what the network sees.
    record : HeldOutRecord or None, default=None
        What new observations are held against.
    verbose : int, default=0
        Whether more than 65,536 draws at once show a progress bar.
    masks : Masks or None, default=None
        The marginals that the density, then with a MarginalFlow, was trained for.
    """

    def __init__(
        self,
        density: Density,
        theta_space: ParameterSpace,
        x_space: ObservationSpace,
        record: HeldOutRecord | None = None,
        verbose: int = 0,
        masks: Masks | None = None,
    ) -> None:
        self.density, self.theta_space, self.x_space = density, theta_space, x_space
        self.record, self.verbose, self.masks = record, verbose, masks
        self.prior = theta_space.prior

    @available_if(_has_marginals)  # type: ignore[untyped-decorator]
    def marginal(self, columns: Sequence[int]) -> DensityPosterior:
        """
        Take the posterior of some of the parameters.

        Parameters
        ----------
        columns : sequence of int
            The parameters, in the order wanted.

        Returns
        -------
        DensityPosterior
            The posterior of these.

        Raises
        ------
        ValueError
            If the density was not trained for them, or the prior has no such marginal.
        """
        cast(Masks, self.masks).check(columns)
        space, record = self.theta_space.marginal(columns), self.record
        record = None if record is None else record.marginal(columns)
        density = cast(ConditionalDensity, self.density).marginal(columns)
        return DensityPosterior(density, space, self.x_space, record, self.verbose)

    def _at(self, x: Array) -> DensityAt:
        """Encode and embed."""
        return DensityAt(self, x, encode(self.density, self.x_space, x))


class DensityAt(NormalisedAt):
    """
    The densities in m contexts.

    Parameters
    ----------
    posterior : DensityPosterior or QuantileFamily
        Whose they are.
    x : ndarray of shape (m, ...)
        The observations, for messages.
    context : Tensor of shape (m, C)
        Their contexts.
    """

    def __init__(self, posterior: _Family, x: Array, context: Tensor) -> None:
        super().__init__(posterior.prior, len(x), posterior.record)
        self.posterior, self.x, self.context = posterior, x, context
        self.density, self.theta_space = posterior.density, posterior.theta_space
        # Those of all observations that these were taken from, and the places there.
        self.shares, self.places = np.full(len(x), np.nan), np.arange(len(x))

    def take(self, rows: Rows | slice) -> DensityAt:
        """Take some of the observations."""
        taken = type(self)(self.posterior, self.x[rows], self.context[rows])
        taken.shares, taken.places = self.shares, self.places[rows]
        return taken

    def _draw(self, n: int, generator: np.random.Generator, *, log_prob: bool) -> Draws:
        """Draw in the network's units, and map back."""
        rows = np.arange(self.n_observations).repeat(n)
        noise = torch_generator(generator)

        def draw(some: Rows, n_each: int) -> tuple[Array, Array]:
            return self._draw_some(rows[some].repeat(n_each), noise, redrawn=n_each > 1)

        u, theta = self._draw_finite(rows, draw)
        shape = (self.n_observations, n)

        def density(draws: Array) -> Array:
            return self._log_prob_of_draws(u, draws.reshape(u.shape), rows).reshape(shape)

        draws = theta.reshape(*shape, -1)
        return Draws(draws, density(draws) if log_prob else None, density=density)

    def _draw_alike(self, n: int, generator: np.random.Generator) -> Draws:
        """Draw with the same noise for every observation."""
        rows, numbers = np.divmod(np.arange(self.n_observations * n), n)
        # All rounds are of one seed: what is drawn next does not depend on how many there are.
        noise = torch_generator(generator)

        def draw(some: Rows, n_each: int) -> tuple[Array, Array]:
            own = (numbers[some][:, None] * n_each + np.arange(n_each)).ravel()
            alike, redrawn = (own, n * n_each), n_each > 1
            return self._draw_some(rows[some].repeat(n_each), noise, alike, redrawn=redrawn)

        theta = self._draw_finite(rows, draw, alike=True)[1]
        return Draws(theta.reshape(self.n_observations, n, -1))

    def _draw_finite(
        self, rows: Rows, draw: Callable[[Rows, int], tuple[Array, Array]], *, alike: bool = False
    ) -> tuple[Array, Array]:
        """Draw, and draw again what did not come out finite, or where the prior is zero."""
        u, theta = draw(np.arange(len(rows)), 1)
        for _ in range(_TRIES):
            missing = np.flatnonzero(np.isnan(theta[:, 0]))
            if not len(missing):
                return u, theta
            # Of several draws the first one inside is taken, as many as cost little.
            n_each = _EACH if alike else max(1, _MOST_CANDIDATES // len(missing))
            n_each = n_each if has_holes(self.prior) else 1
            again, found = draw(missing, n_each)
            first = (~np.isnan(found[:, 0])).reshape(-1, n_each).argmax(axis=1)
            first += n_each * np.arange(len(missing))
            u[missing], theta[missing] = again[first], found[first]
        missing = np.isnan(theta[:, 0])
        if missing.any():
            row = int(rows[missing.argmax()])
            what = "where the prior is positive" if has_holes(self.prior) else "finite"
            raise FloatingPointError(
                f"the flow gives no draws that are {what} for observation {row}: x is "
                f"{self.x[row]}, which may lie far outside of what it was trained on."
            )
        return u, theta

    def _draw_some(
        self,
        rows: Rows,
        noise: torch.Generator,
        alike: tuple[Rows, int] | None = None,
        *,
        redrawn: bool = False,
    ) -> tuple[Array, Array]:
        """Draw once for every row that is asked for: u, and theta, NaN where it is not finite."""
        quiet = not self.posterior.verbose or redrawn or len(rows) <= _SHORT
        parts = tqdm(batches(len(rows), _DRAWING_BATCH), desc="sample", disable=quiet)
        contexts, state, draws = torch.from_numpy(rows), noise.get_state(), []
        for part in parts:
            same = None
            if alike is not None:
                same = torch.from_numpy(alike[0][part]), alike[1]
                noise.set_state(state)
            draws.append(self.density.draw(self.context, contexts[part], noise, same).cpu())
        u = torch.cat(draws).double().numpy()
        theta = self.theta_space.from_network(u)
        if self.prior is not None and has_holes(self.prior):
            theta[~self.prior.contains(theta)] = np.nan
        return u, theta

    def _log_prob_of_draws(self, u: Array, theta: Array, rows: Rows) -> Array:
        """Take the density where the network drew, without the way back from theta to u."""
        log_q = self._log_density(u, rows) + self.theta_space.log_abs_det_jacobian(theta, u)
        log_q = np.where(np.isnan(log_q), -np.inf, log_q) - self._log_share(rows)
        if self.prior is not None and (edge := at_edge(self.prior, theta)).any():
            log_q[edge] = self.log_prob(theta[edge], rows[edge])
        return log_q

    def _log_prob(self, theta: Array, rows: Rows) -> Array:
        """Add the log-determinant of the way to the network."""
        u, ladj = self.theta_space.to_network(theta)
        return self._log_density(u, rows) + ladj - self._log_share(rows)

    def _log_share(self, rows: Rows) -> Array | float:
        """Take the share of draws that lie where the prior is positive, by fixed seed, its log."""
        if not is_cut(self.prior):
            return 0.0
        missing = np.unique(rows[np.isnan(self.shares[self.places[rows]])])
        for n in _SHARE_DRAWS:
            parts = batches(len(missing), _DRAWING_BATCH // n)
            inside = [self._count_inside(missing[part], n) for part in parts]
            counts = np.concatenate([np.zeros(0), *inside])
            self.shares[self.places[missing]] = np.maximum(counts, 0.5) / n
            missing = missing[counts < _ENOUGH_INSIDE]
        return np.log(self.shares[self.places[rows]])

    def _count_inside(self, rows: Rows, n: int) -> Rows:
        """Count where the prior is positive, of n draws with the same noise for every row."""
        noise = torch.Generator().manual_seed(_SHARE_SEED)
        numbers = np.tile(np.arange(n), len(rows))
        theta = self._draw_some(rows.repeat(n), noise, (numbers, n))[1]
        return np.count_nonzero(~np.isnan(theta[:, 0]).reshape(-1, n), axis=1)

    def _log_density(self, u: Array, rows: Rows) -> Array:
        """Evaluate the network at u[i], in the context of rows[i]."""
        points = torch.from_numpy(u).to(self.context.dtype)
        numbers, device = torch.from_numpy(rows), self.context.device
        parts = [
            self.density.log_prob(points[part].to(device), self.context[numbers[part]]).cpu()
            for part in batches(len(u), EVALUATION_BATCH)
        ]
        return torch.cat(parts).double().numpy()
