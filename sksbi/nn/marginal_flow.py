r"""
A density of any of the parameters: spline flows that take a mask.

For a subset A of the parameters, given as a mask b of ones and zeros, each of E members is a flow
of |A| parameters,

.. math::
    q_e(\theta_A | c, b) = \prod_{i \in A} N(z_i) \Big| \frac{d z_i}{d t_i} \Big| \dots,

whose networks see the mask beside the context. In every transform the parameters outside of A stand
at zero, are mapped by the identity and add nothing to the log-determinant: what is left is an
autoregressive flow of those in A, normalised whatever the networks say. The first transform whitens
by the marginal of a Gaussian, so that a linear problem is solved for all subsets from the start.

One fit gives all marginals (Rozet et al., 2021): trained on masks that are drawn anew at every
step, q is best where it is the marginal posterior of every A.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from sksbi.nn.autoregressive import MaskedNetworks, step_size
from sksbi.nn.masked_gaussian import MaskedGaussian
from sksbi.nn.mixture import MixtureFlow, SplineMixture, log_density, take_columns
from sksbi.nn.spline_flow import WIDEST, invert_transform, transform
from sksbi.utils.settings import check_widths
from sksbi.utils.validation import check_count

__all__ = ["MarginalFlow", "MarginalMixture", "MarginalOf"]


class MarginalFlow(MixtureFlow):
    """
    Ensemble of neural spline flows, (context, mask) -> distribution over some of theta.

    Parameters
    ----------
    features : int
        The number D of parameters.
    context : int
        The width C of the context.
    transforms : int, default=3
        The number of autoregressive transforms after the Gaussian; the first is affine, if there
        are several.
    hidden_features : sequence of int, default=(64, 64)
        The widths of the hidden layers.
    bins : int, default=5
        The number of bins of a spline.
    members : int, default=4
        The number of flows in the mixture.

    References
    ----------
    .. [1] Arbitrary marginal neural ratio estimation for simulation-based inference
       (Rozet et al., 2021) https://arxiv.org/abs/2110.00449

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn import MarginalFlow
    >>> flow = MarginalFlow(3, 2, members=2)
    >>> flow(torch.zeros(5, 2)).log_prob(torch.zeros(5, 3)).shape
    torch.Size([5])
    >>> flow.marginal([2, 0])(torch.zeros(5, 2)).log_prob(torch.zeros(5, 2)).shape
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
    ) -> None:
        super().__init__()
        features = check_count(features, "features")
        context = check_count(context, "context", low=0)
        transforms = check_count(transforms, "transforms")
        bins, members = check_count(bins, "bins", low=2), check_count(members, "members")
        hidden_features = check_widths(hidden_features, "hidden_features")
        self.features, self.members = features, members
        self.step_size = step_size(context + features)
        self.gaussian = MaskedGaussian(features, context)
        ascending = torch.arange(features)
        self.networks = nn.ModuleList(
            MaskedNetworks(
                members,
                ascending if i % 2 == 0 else ascending.flip(0),
                context + features,
                2 if i == 0 and transforms > 1 else 3 * bins - 1,
                hidden_features,
            )
            for i in range(transforms)
        )

    def forward(self, c: Tensor) -> MarginalMixture:
        """
        Build the distribution over all of theta, of which ``masked`` gives marginals.

        Parameters
        ----------
        c : Tensor of shape (m, C)
            The contexts.

        Returns
        -------
        MarginalMixture
            With batch shape (m,) and event shape (D,).
        """
        mask = c.new_ones(len(c), self.features)
        columns = (self.step_size * torch.cat([c, mask], dim=1)).t().contiguous()
        return MarginalMixture(self, columns, self.training)

    @property
    def layers(self) -> list[MaskedNetworks]:
        """The network of every transform, in order."""
        return cast(list[MaskedNetworks], [*self.networks])

    def marginal(self, columns: Sequence[int]) -> MarginalOf:
        """
        Fix the parameters that are asked for.

        Parameters
        ----------
        columns : sequence of int
            Which, in the order wanted.

        Returns
        -------
        MarginalOf
            The flow of these.
        """
        return MarginalOf(self, columns)

    def members_log_prob(self, theta: Tensor, c: Tensor) -> Tensor:
        """
        Compute the log-density of every member.

        Parameters
        ----------
        theta : Tensor of shape (n, D)
            The parameters; those that the mask leaves out do not count.
        c : Tensor of shape (C + D, n)
            The contexts and the masks, in columns.

        Returns
        -------
        Tensor of shape (E, n)
            The log-densities.
        """
        mask = self._mask(c)
        z, ladj = self.gaussian(theta.t(), c[: -self.features], mask)
        # The zeros outside of the mask count as draws of a standard normal in what is added up.
        ladj = ladj + (self.features - mask.sum(0)) * math.log(2 * math.pi) / 2
        z, ladjs = z.expand(self.members, -1, -1).contiguous(), [ladj.expand(self.members, -1)]
        for network in self.networks:
            z, ladj = transform(network(z, c) * mask, z)
            ladjs.append(ladj)
        return log_density(z, *ladjs)

    def invert(self, z: Tensor, which: Tensor, c: Tensor) -> Tensor:
        """
        Bring noise back to theta.

        Parameters
        ----------
        z : Tensor of shape (E, n, D)
            The noise.
        which : Tensor of shape (E, n), int
            The context of each.
        c : Tensor of shape (C + D, m)
            The contexts and the masks, in columns.

        Returns
        -------
        Tensor of shape (E, n, D)
            theta, 0 for the parameters that the mask leaves out.
        """
        mask = self._mask(c)[:, which].transpose(0, 1)
        z = z.transpose(1, 2).contiguous() * mask
        for network in reversed(self.layers):
            hidden, output = (take_columns(part, which) for part in network.contexts(c))
            z = network.invert(z, (hidden, output), invert_transform, mask)
        flat, contexts = which.flatten(), c[: -self.features]
        theta = self.gaussian.invert(
            z.transpose(0, 1).flatten(1), contexts[:, flat], mask.transpose(0, 1).flatten(1)
        )
        return theta.unflatten(1, which.shape).permute(1, 2, 0)

    def _mask(self, c: Tensor) -> Tensor:
        """Find the masks (D, n) below the contexts."""
        return (c[-self.features :] > 0).to(c.dtype)

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
        self.gaussian.start(theta, self.step_size * c, weight, WIDEST)


class MarginalMixture(SplineMixture):
    """
    The distributions of a :class:`MarginalFlow` for a batch of contexts and masks.

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn import MarginalFlow
    >>> posterior = MarginalFlow(2, 3).eval()(torch.zeros(1, 3))
    >>> first = posterior.masked(torch.tensor([[1.0, 0.0]]))
    >>> first.log_prob(torch.tensor([[0.5, 0.0]])) == first.log_prob(torch.tensor([[0.5, 9.0]]))
    tensor([True])
    """

    def masked(self, mask: Tensor) -> MarginalMixture:
        """
        Leave out some of the parameters.

        Parameters
        ----------
        mask : Tensor of shape (m, D)
            For every context, 1 for the parameters that are asked for, 0 for others.

        Returns
        -------
        MarginalMixture
            The distributions of those asked for; its theta has D columns all the same.
        """
        flow = cast(MarginalFlow, self.flow)
        d, rows = flow.features, flow.step_size * mask.t().to(self.c)
        return MarginalMixture(flow, torch.cat([self.c[:-d], rows]), self.training)


class MarginalOf(nn.Module):
    """
    A flow of some parameters: a :class:`MarginalFlow` with its mask fixed.

    Parameters
    ----------
    flow : MarginalFlow
        The flow of all.
    columns : sequence of int
        The parameters, in the order wanted.

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn import MarginalFlow
    >>> one = MarginalFlow(2, 3).eval().marginal([1])(torch.zeros(1, 3))
    >>> one.log_prob(torch.zeros(7, 1, 1)).shape
    torch.Size([7, 1])
    """

    def __init__(self, flow: MarginalFlow, columns: Sequence[int]) -> None:
        super().__init__()
        self.joint, self.columns = flow, list(columns)
        self.train(flow.training)

    def forward(self, c: Tensor) -> _SomeColumns:
        """
        Build the distribution.

        Parameters
        ----------
        c : Tensor of shape (m, C)
            The contexts.

        Returns
        -------
        torch.distributions.Distribution
            With batch shape (m,) and event shape (k,), for k parameters.
        """
        mask = c.new_zeros(len(c), self.joint.features)
        mask[:, self.columns] = 1
        return _SomeColumns(self.joint(c).masked(mask), self.columns)


class _SomeColumns(Distribution):
    """Distributions of some parameters, which are columns of others."""

    support = constraints.real_vector

    def __init__(self, mixture: MarginalMixture, columns: list[int]) -> None:
        super().__init__(mixture.batch_shape, torch.Size([len(columns)]), validate_args=False)
        self.mixture, self.columns = mixture, columns

    def log_prob(self, theta: Tensor) -> Tensor:
        """Compute log-densities at theta (..., m, k)."""
        return self.mixture.log_prob(self._padded(theta))

    def draw(
        self,
        rows: Tensor,
        generator: torch.Generator | None,
        alike: tuple[Tensor, int] | None = None,
    ) -> Tensor:
        """Draw (n, k), once for every row that is asked for."""
        return self.mixture.draw(rows, generator, alike)[:, self.columns]

    def _padded(self, theta: Tensor) -> Tensor:
        """Set zeros in place of the other parameters."""
        padded = theta.new_zeros(*theta.shape[:-1], *self.mixture.event_shape)
        padded[..., self.columns] = theta
        return padded
