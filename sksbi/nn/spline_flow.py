r"""
The default density: an ensemble of small neural spline flows, computed as one.

Each of E members is a flow of its own, an affine autoregressive transform followed by rational-
quadratic splines, to a standard normal base. The density is their mixture,

.. math::
    q(\theta | c) = \frac{1}{E} \sum_e q_e(\theta | c),

which is better than any one of them, as their errors differ. In training mode ``log_prob`` is the
mean of the members' log-densities instead: its gradient trains each member as if it were alone.

The affine transform can start at the ridge regression of theta on the context. Where the posterior
is Gaussian around a linear function of the data, that is the answer, and the rest stays near the
identity; elsewhere it takes location and scale out of what the splines have to learn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from sksbi.nn._arrays import silently, view_arrays, view_tensor
from sksbi.nn.affine import affine, invert_affine, unsquashed
from sksbi.nn.autoregressive import MaskedNetworks, step_size
from sksbi.nn.spline import BOUND, invert_spline, spline
from sksbi.utils.settings import check_widths
from sksbi.utils.validation import check_count, check_real

__all__ = ["SplineFlow", "SplineMixture"]

# Residuals of the regression are scaled so that all lie in the box of the splines.
_WIDEST = 0.9 * BOUND
_RIDGE = 0.01
_START_ROWS = 100_000
_ABSENT = 1e-6


class SplineFlow(nn.Module):
    """
    Ensemble of neural spline flows, context -> distribution over theta.

    Parameters
    ----------
    features : int
        The number of parameters D.
    context : int
        The width C of the context.
    transforms : int, default=3
        The number of autoregressive transforms; the first is affine, if there are several.
    hidden_features : sequence of int, default=(64, 64)
        The widths of the hidden layers.
    bins : int, default=5
        The number of bins of a spline.
    members : int, default=4
        The number of flows in the mixture.
    context_units : float, default=0.0
        The share of hidden units that see the context alone, at least 0 and below 1. The other
        units, which see theta before a place as well, are shared out among the D places: where D is
        large and the context tells most, as in a likelihood, few would be left for it.

    References
    ----------
    .. [1] Neural spline flows (Durkan et al., 2019) https://arxiv.org/abs/1906.04032
    .. [2] Masked autoregressive flow for density estimation (Papamakarios et al., 2017)
       https://arxiv.org/abs/1705.07057
    .. [3] Simple and scalable predictive uncertainty estimation using deep ensembles
       (Lakshminarayanan et al., 2017) https://arxiv.org/abs/1612.01474

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn import SplineFlow
    >>> flow = SplineFlow(2, 3, members=2)
    >>> flow(torch.zeros(5, 3)).log_prob(torch.zeros(5, 2)).shape
    torch.Size([5])
    """

    def __init__(
        self,
        features: int,
        context: int = 0,
        transforms: int = 3,
        hidden_features: Sequence[int] = (64, 64),
        bins: int = 5,
        members: int = 4,
        context_units: float = 0.0,
    ) -> None:
        super().__init__()
        features = check_count(features, "features")
        context = check_count(context, "context", low=0)
        transforms = check_count(transforms, "transforms")
        bins, members = check_count(bins, "bins", low=2), check_count(members, "members")
        hidden_features = check_widths(hidden_features, "hidden_features")
        if context_units != 0:
            context_units = check_real(context_units, "context_units", high=1.0)
        self.features, self.members = features, members
        self.step_size = step_size(context)
        ascending = torch.arange(features)
        self.networks = nn.ModuleList(
            MaskedNetworks(
                members,
                ascending if i % 2 == 0 else ascending.flip(0),
                context,
                2 if i == 0 and transforms > 1 else 3 * bins - 1,
                hidden_features,
                context_units,
            )
            for i in range(transforms)
        )

    @property
    def layers(self) -> list[MaskedNetworks]:
        """The network of every transform, in order."""
        return cast(list[MaskedNetworks], [*self.networks])

    def forward(self, c: Tensor) -> SplineMixture:
        """
        Build the distribution over theta.

        Parameters
        ----------
        c : Tensor of shape (m, C)
            The contexts.

        Returns
        -------
        SplineMixture
            With batch shape (m,) and event shape (D,).
        """
        return SplineMixture(self, self.step_size * c.t().contiguous(), self.training)

    @torch.no_grad()
    def start(self, theta: Tensor, c: Tensor, weight: Tensor) -> None:
        """
        Begin at a ridge regression of theta on the context.

        Parameters
        ----------
        theta : Tensor of shape (n, D)
            The parameters.
        c : Tensor of shape (n, C)
            The contexts.
        weight : Tensor of shape (n,)
            Weights of the rows, of mean 1.
        """
        network = self.layers[0]
        if network.outputs > 2:
            return
        n, d = min(len(theta), _START_ROWS), self.features
        theta, c, weight = (t[:n].double() for t in (theta, self.step_size * c, weight[:, None]))
        columns = torch.cat([theta, c], dim=1)
        mean = (weight * columns).mean(0) / weight.mean()
        columns -= mean
        weighted = (weight * columns).t() @ columns / weight.sum()
        coefficients = torch.zeros(d, columns.shape[1], dtype=columns.dtype, device=c.device)
        for i in range(d):
            known = torch.cat([torch.arange(i), torch.arange(d, columns.shape[1])]).to(c.device)
            ridge = (_RIDGE + len(known) / n) * torch.eye(len(known), device=c.device)
            gram = weighted[known][:, known] + ridge
            coefficients[i, known] = torch.linalg.solve(gram, weighted[known, i])
        left = columns[:, :d] - columns @ coefficients.t()
        variance = (weight * left.square()).sum(0) / weight.sum()
        variance /= max(1 - columns.shape[1] / n, 0.1)
        farthest = (left.abs() * (weight > _ABSENT)).amax(0)
        scale = torch.maximum(variance.sqrt(), farthest / _WIDEST).clamp(1e-2, 1e2)
        offset = (mean[:d] - coefficients @ mean) / scale
        self._set_affine(coefficients / scale[:, None], offset, -scale.log())

    def _set_affine(self, coefficients: Tensor, offset: Tensor, log_scale: Tensor) -> None:
        """Make the first transform theta / scale - coefficients [theta, c] - offset."""
        network, d = self.layers[0], self.features
        network.linear[:, :d] = -coefficients[:, :d].float()
        context = network.linear_context.unflatten(0, (self.members, -1))
        context[:, :d] = -coefficients[:, d:].float()
        network.biases[-1][:, :d, 0] = -offset.float()
        network.biases[-1][:, d:, 0] = unsquashed(log_scale).float()


class SplineMixture(Distribution):
    """
    The distributions of a :class:`SplineFlow` for a batch of contexts.

    Parameters
    ----------
    flow : SplineFlow
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

    def __init__(self, flow: SplineFlow, c: Tensor, training: bool) -> None:
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
        members = self._members_log_prob(theta, c)
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
        members = self._members_log_prob(theta.flatten(0, 1), self.c.repeat(1, n_draws))
        return (_log_mean_exp(members) - members.mean(0)).reshape(n_draws, m).mean(0)

    def _members_log_prob(self, theta: Tensor, c: Tensor) -> Tensor:
        """Compute the log-density of every member, (E, n)."""
        z = theta.t().expand(self.flow.members, -1, -1).contiguous()
        ladjs = []
        for network in self.flow.networks:
            z, ladj = _transform(network(z, c), z)
            ladjs.append(ladj)
        return _LogDensity.apply(z, *ladjs)

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
        theta = self._invert(z.to(self.c), which.to(device)).cpu()
        draws = theta.new_empty(noise.shape)
        draws[order] = theta[slot]
        return draws.to(device)

    def _invert(self, z: Tensor, which: Tensor) -> Tensor:
        """Bring noise (E, n, D) back to theta, given the contexts of its rows (E, n)."""
        z = z.transpose(1, 2).contiguous()
        for network in reversed(self.flow.layers):
            hidden, output = (_columns(part, which) for part in network.contexts(self.c))
            z = network.invert(z, (hidden, output), _invert_transform)
        return z.transpose(1, 2)


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


def _columns(part: Tensor, which: Tensor) -> Tensor:
    """Take for every member the columns (E, n) of its matrix in part (E, H, m)."""
    if part.shape[2] == 1:
        return part.expand(-1, -1, which.shape[1])
    return torch.stack([one.index_select(1, w) for one, w in zip(part, which, strict=True)])


def _transform(phi: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Apply the transforms: affine for two parameters a feature, splines for more."""
    if phi.shape[1] > 2:
        return spline(phi, theta)
    return affine(phi, theta)


def _invert_transform(phi: Tensor, z: Tensor) -> Tensor:
    """Invert the transforms."""
    if phi.shape[1] > 2:
        return invert_spline(phi, z)
    return invert_affine(phi, z)
