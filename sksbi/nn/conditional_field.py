"""The posterior that a vector field carries noise to: an embedding of x, then a field in it."""

from __future__ import annotations

import math
from copy import copy

import torch
from torch import Tensor, nn

from sksbi.exceptions import SamplingWarning
from sksbi.nn.embedded import Density
from sksbi.nn.field import FieldAt, VectorField
from sksbi.nn.solver import Slope, integrate
from sksbi.utils.validation import check_count, check_real
from sksbi.utils.warn import warn_user

__all__ = ["ConditionalField"]

_START, _STOP = math.pi / 2, 0.0
_FARTHEST, _LARGEST = 30.0, 1e9
_COARSE, _DEPTH = 1e-2, -math.log(1e-2)


class ConditionalField(Density):
    """
    Conditional density by a vector field: x -> context -> field -> distribution over theta.

    Parameters
    ----------
    field : VectorField
        The field.
    embedding : torch.nn.Module
        Maps x of shape (n, ...) to features, which are flattened to the context of shape (n, C).

    Attributes
    ----------
    tolerance : float
        The error of a step of the solver, relative to 1 + abs(w), in draws and densities.
    max_steps : int
        The number of steps with error control.
    warns : bool
        Whether rows that take more make a warning.

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn import MLP, ConditionalField, VectorField
    >>> density = ConditionalField(VectorField(2, 8), MLP(5, 8)).eval()
    >>> density.log_prob(torch.zeros(3, 2), density.embed(torch.zeros(3, 5))).shape
    torch.Size([3])
    """

    # What their disagreement is measured by is a bound.
    negligible = 0.5

    def __init__(self, field: VectorField, embedding: nn.Module) -> None:
        super().__init__(embedding)
        self.field = field
        self.tolerance, self.max_steps, self.warns = 1e-4, 100, True

    @property
    def head(self) -> nn.Module:
        """The field."""
        return self.field

    def compile_networks(self) -> None:
        """Compile the embedding by torch.compile, when it is first called."""
        if list(self.embedding.parameters()):
            self.embedding.compile()

    def forward(self, x: Tensor) -> FieldAt:
        """
        Build the field in the contexts of x.

        Parameters
        ----------
        x : Tensor of shape (n, ...)
            The observations.

        Returns
        -------
        FieldAt
            In n contexts.
        """
        return self.field.at(self.embed(x))

    def draw(
        self,
        c: Tensor,
        rows: Tensor,
        generator: torch.Generator,
        alike: tuple[Tensor, int] | None = None,
    ) -> Tensor:
        """
        Draw theta once for every row that is asked for.

        Parameters
        ----------
        c : Tensor of shape (m, C)
            Contexts, from :meth:`embed`.
        rows : Tensor of shape (n,), int, on the CPU
            Which of the contexts, in ascending order.
        generator : torch.Generator
            Source of the noise, on the CPU.
        alike : tuple of (Tensor of shape (n,), int) or None, default=None
            A number for each row, and how many numbers there are: rows of the same number have the
            same noise. None: every row has its own.

        Returns
        -------
        Tensor of shape (n, D)
            The draws.
        """
        # A decorator would be the line that warnings blame.
        with torch.no_grad():
            numbers, n = (slice(None), len(rows)) if alike is None else alike
            z = torch.randn(n, self.field.features, generator=generator)[numbers].to(c)
            first = int(rows[0])
            field = self.field.at(c[first : int(rows[-1]) + 1])
            own = _Taken(field, (rows - first).to(c.device))

            def slope(phi: Tensor, w: Tensor, some: Tensor) -> Tensor:
                return own.at(some)(w, phi)

            w = self._solve(slope, z, _START, _STOP)
            return field.take(own.rows).colour(w)

    def log_prob(self, theta: Tensor, c: Tensor) -> Tensor:
        """
        Compute log-densities.

        Parameters
        ----------
        theta : Tensor of shape (n, D)
            The parameters.
        c : Tensor of shape (n, C)
            The context of each, from :meth:`embed`.

        Returns
        -------
        Tensor of shape (n,)
            The log-densities.
        """
        with torch.no_grad():
            field = self.field.at(c[:1] if (c == c[:1]).all() else c)
            own = _Taken(field, torch.arange(len(c), device=c.device))

            def slope(phi: Tensor, state: Tensor, some: Tensor) -> Tensor:
                v, divergence = own.at(some).with_divergence(state[:, :-1], phi)
                return torch.cat([v, divergence[:, None]], dim=1)

            w = field.whiten(theta.clamp(-_LARGEST, _LARGEST))
            far = w.square().sum(1)
            # Where no field was learnt it may be anything, so it is taken where it is not so far.
            w = w * (_FARTHEST / far.sqrt().clamp(min=_FARTHEST))[:, None]
            beyond = 0.5 * (far - w.square().sum(1))
            state = self._solve(slope, torch.cat([w, torch.zeros_like(w[:, :1])], 1), _STOP, _START)
            z, change = state[:, :-1], state[:, -1]
            log_normal = -0.5 * (z.square() + math.log(2 * math.pi)).sum(1)
            return log_normal - beyond + change + field.log_det

    @property
    def has_members(self) -> bool:
        """Whether networks trained alike stand side by side, which may disagree."""
        return True

    @torch.no_grad()
    def disagreement(self, draws: Tensor, c: Tensor) -> Tensor:
        r"""
        Compute how far apart the members are.

        Were the field and a member those of diffusions that preserve variance, noise would come
        to posteriors of a Kullback-Leibler divergence of at most

        .. math::
            \int_0^{\pi/2} \cot\phi \; E |v_e(w_\phi, \phi) - v(w_\phi, \phi)|^2 \, d\phi,

        by Girsanov's theorem (Song et al., 2021, https://arxiv.org/abs/2101.09258). Here it is
        averaged over the members, and taken from sin(phi) = 0.01 on: next to theta, where the true
        field is zero, networks differ by a little, which would count without end.

        Parameters
        ----------
        draws : Tensor of shape (m, S, D)
            Draws in the m contexts.
        c : Tensor of shape (m, C)
            The contexts.

        Returns
        -------
        Tensor of shape (m,)
            Nats, none negative; zero where all members agree.
        """
        n_draws, field = draws.shape[1], self.field.at(c)
        noise = torch.Generator().manual_seed(0)
        # The integral is one over ln(sin(phi)), along which every draw has a place of its own.
        depths = _DEPTH * (torch.arange(n_draws) + 0.5) / n_draws
        sin = (-depths).exp().to(c)[:, None, None]
        z = torch.randn(n_draws, 1, draws.shape[2], generator=noise).to(c)
        theta = field.whiten(draws.transpose(0, 1).flatten(0, 1)).unflatten(0, (n_draws, -1))
        w = (1 - sin.square()).sqrt() * theta + sin * z
        phi = sin.asin()[:, :, 0].expand(-1, len(c)).flatten()
        spread = field.spread(w.flatten(0, 1), phi).unflatten(0, (n_draws, -1))
        return _DEPTH * spread.mean(0)

    def coarser(self) -> ConditionalField:
        """
        Take the same density, which draws and evaluates less exactly in less time.

        Returns
        -------
        ConditionalField
            With the same networks, and without warnings.
        """
        taken = self.solved_to(max(self.tolerance, _COARSE), self.max_steps)
        taken.warns = False
        return taken

    def solved_to(self, tolerance: float, max_steps: int) -> ConditionalField:
        """
        Take the same density, solved to another tolerance.

        Parameters
        ----------
        tolerance : float
            The error of a step.
        max_steps : int
            The number of steps with error control.

        Returns
        -------
        ConditionalField
            With the same networks.
        """
        # Changed in place, it would change under other threads that draw from it.
        taken = copy(self)
        taken.tolerance = check_real(tolerance, "tolerance")
        taken.max_steps = check_count(max_steps, "max_steps")
        return taken

    def _solve(self, slope: Slope, state: Tensor, start: float, stop: float) -> Tensor:
        """Follow the field, and count the rows that are late."""
        state, late = integrate(
            slope, state, start, stop, tolerance=self.tolerance, max_steps=self.max_steps
        )
        if late and self.warns:
            warn_user(
                f"{late:,} of {len(state):,} draws or densities took more than "
                f"max_steps={self.max_steps} steps to tolerance={self.tolerance:g}, and went their "
                "rest without control of the error: raise one of the two, or train longer, as the "
                "field is rough.",
                SamplingWarning,
            )
        return state


class _Taken:
    """A field in the contexts of rows, taken only when they are others than the last time."""

    def __init__(self, field: FieldAt, rows: Tensor) -> None:
        self.field, self.rows = field, rows
        self.some: Tensor | None = None
        self.last = field

    def at(self, some: Tensor) -> FieldAt:
        """Take the contexts of some of the rows."""
        if some is not self.some:
            self.some, self.last = some, self.field.take(self.rows[some])
        return self.last
