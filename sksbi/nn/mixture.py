"""
Mixtures of flows, computed as one: densities, draws, and how far the members are apart.

An ensemble of E flows has members' log-densities and a way back from noise to theta; what is here
makes a distribution of it for every context of a batch.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from sksbi.nn._arrays import silently, view_arrays, view_tensor

__all__ = ["MixtureFlow", "SplineMixture", "log_density", "take_columns"]


class MixtureFlow(nn.Module, ABC):
    """
    Base of ensembles of flows, whose mixtures are a :class:`SplineMixture`.

    Attributes
    ----------
    features : int
        The number of parameters D.
    members : int
        The number E of flows.
    """

    features: int
    members: int

    @abstractmethod
    def members_log_prob(self, theta: Tensor, c: Tensor) -> Tensor:
        """Compute log-densities (E, n) at theta (n, D), with contexts in columns, (C, n)."""

    @abstractmethod
    def invert(self, z: Tensor, which: Tensor, c: Tensor) -> Tensor:
        """Bring noise (E, n, D) back to theta, given the contexts (C, m) and which are whose."""


class SplineMixture(Distribution):
    """
    The distributions of an ensemble of flows for a batch of contexts.

    Parameters
    ----------
    flow : MixtureFlow
        The flow.
    c : Tensor of shape (C, m)
        The contexts, in columns.
    training : bool
        Whether ``log_prob`` is the mean of the members' log-densities.

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn import SplineFlow
    >>> posterior = SplineFlow(2, 3).eval()(torch.zeros(5, 3))
    >>> generator = torch.Generator().manual_seed(0)
    >>> posterior.draw(torch.tensor([0, 0, 0, 4]), generator).shape
    torch.Size([4, 2])
    """

    arg_constraints: dict[str, Any] = {}
    support = constraints.real_vector
    has_rsample = False

    def __init__(self, flow: MixtureFlow, c: Tensor, training: bool) -> None:
        super().__init__(c.shape[1:], torch.Size([flow.features]), validate_args=False)
        self.flow, self.c, self.training = flow, c, training

    def log_prob(self, theta: Tensor) -> Tensor:
        """
        Compute the log-density, or in training mode the mean of the members' log-densities.

        Parameters
        ----------
        theta : Tensor of shape (..., m, D)
            The parameters.

        Returns
        -------
        Tensor of shape (..., m)
            The log-densities.
        """
        shape, c = theta.shape[:-1], self.c
        if len(shape) > 1:
            repeats = math.prod(shape[:-1])
            theta, c = theta.flatten(0, -2), c.repeat(1, repeats)
        members = self.flow.members_log_prob(theta, c)
        log_p = members.mean(0) if self.training else _log_mean_exp(members)
        return log_p if len(shape) == 1 else log_p.reshape(shape)

    def mixture(self) -> SplineMixture:
        """
        Give the same distributions as in evaluation, where ``log_prob`` is that of the mixture.

        Returns
        -------
        SplineMixture
            The distributions that draws come from.
        """
        return SplineMixture(self.flow, self.c, training=False)

    def disagreement(self, theta: Tensor) -> Tensor:
        """
        Compute how far the mixture's log-density is above the mean of the members', on average.

        Parameters
        ----------
        theta : Tensor of shape (S, m, D)
            Parameters, commonly draws from the mixture.

        Returns
        -------
        Tensor of shape (m,)
            Nats, none negative; zero where all members agree.
        """
        n_draws, m, _ = theta.shape
        members = self.flow.members_log_prob(theta.flatten(0, 1), self.c.repeat(1, n_draws))
        return (_log_mean_exp(members) - members.mean(0)).reshape(n_draws, m).mean(0)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """
        Draw from every distribution, by torch's global generator.

        Parameters
        ----------
        sample_shape : sequence of int, default=()
            The number of draws.

        Returns
        -------
        Tensor of shape (..., m, D)
            The draws.
        """
        shape = self._extended_shape(torch.Size(sample_shape))
        rows = torch.arange(self.c.shape[1]).repeat(math.prod(sample_shape))
        return self.draw(rows, None).reshape(shape)

    @torch.no_grad()
    def draw(
        self,
        rows: Tensor,
        generator: torch.Generator | None,
        alike: tuple[Tensor, int] | None = None,
    ) -> Tensor:
        """
        Draw once from the distribution of every row that is asked for.

        Parameters
        ----------
        rows : Tensor of shape (n,), int, on the CPU
            Which of the m distributions.
        generator : torch.Generator or None
            Source of the noise, on the CPU; None is torch's global one.
        alike : tuple of (Tensor of shape (n,), int) or None, default=None
            A number for each row, and how many numbers there are: rows of the same number have the
            same noise. None: every row has its own.

        Returns
        -------
        Tensor of shape (n, D)
            The draws.
        """
        n_members, n, device = self.flow.members, len(rows), self.c.device
        numbers, n_own = (slice(None), n) if alike is None else alike
        member = torch.randint(n_members, (n_own,), generator=generator)[numbers]
        noise = torch.randn(n_own, self.flow.features, generator=generator)[numbers]
        order = member.argsort(stable=True)
        counts = member.bincount(minlength=n_members)
        place = torch.arange(n) - (counts.cumsum(0) - counts).repeat_interleave(counts)
        slot = member[order], place
        z = torch.zeros(n_members, int(counts.max()), self.flow.features)
        z[slot] = noise[order]
        which = torch.zeros(z.shape[:2], dtype=torch.long)
        which[slot] = rows[order]
        theta = self.flow.invert(z.to(self.c), which.to(device), self.c).cpu()
        draws = theta.new_empty(noise.shape)
        draws[order] = theta[slot]
        return draws.to(device)


def log_density(z: Tensor, *ladjs: Tensor) -> Tensor:
    """
    Add the standard normal log-density of z and log-determinants.

    Parameters
    ----------
    z : Tensor of shape (E, D, n)
        The values.
    *ladjs : Tensor of shape (E, n)
        The log-determinants.

    Returns
    -------
    Tensor of shape (E, n)
        The sums.
    """
    return _LogDensity.apply(z, *ladjs)


class _LogDensity(torch.autograd.Function):
    """The standard normal log-density of z (E, D, n), and log-determinants (E, n)."""

    @staticmethod
    @silently
    def forward(ctx: Any, z: Tensor, *ladjs: Tensor) -> Tensor:
        """Add them."""
        ctx.z, *parts = view_arrays(z, *ladjs)
        total = (ctx.z * ctx.z).sum(1)
        total *= -0.5
        total -= z.shape[1] / 2 * math.log(2 * math.pi)
        for ladj in parts:
            total += ladj
        return view_tensor(total)

    @staticmethod
    @torch.autograd.function.once_differentiable
    @silently
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Go back to z and the log-determinants."""
        (g,) = view_arrays(grad)
        return view_tensor(-g[:, None] * ctx.z), *[grad] * (len(ctx.needs_input_grad) - 1)


def _log_mean_exp(members: Tensor) -> Tensor:
    """Compute the log-density of the mixture."""
    return members.logsumexp(0) - math.log(len(members))


def take_columns(part: Tensor, which: Tensor) -> Tensor:
    """
    Take columns of a matrix for every member.

    Parameters
    ----------
    part : Tensor of shape (E, H, m)
        The matrices.
    which : Tensor of shape (E, n), int
        The columns.

    Returns
    -------
    Tensor of shape (E, H, n)
        The columns.
    """
    if part.shape[2] == 1:
        return part.expand(-1, -1, which.shape[1])
    return torch.stack([one.index_select(1, w) for one, w in zip(part, which, strict=True)])
