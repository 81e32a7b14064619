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

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from sksbi.nn.affine import affine, invert_affine, unsquashed
from sksbi.nn.autoregressive import MaskedNetworks, step_size
from sksbi.nn.mixture import MixtureFlow, SplineMixture, log_density, take_columns
from sksbi.nn.spline import BOUND, invert_spline, spline
from sksbi.utils.settings import check_widths
from sksbi.utils.validation import check_count, check_real

__all__ = ["WIDEST", "SplineFlow", "invert_transform", "transform"]

# Residuals of the regression are scaled so that all lie in the box of the splines.
WIDEST = 0.9 * BOUND
_RIDGE = 0.01
_START_ROWS = 100_000
_ABSENT = 1e-6


class SplineFlow(MixtureFlow):
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

    def members_log_prob(self, theta: Tensor, c: Tensor) -> Tensor:
        """
        Compute the log-density of every member.

        Parameters
        ----------
        theta : Tensor of shape (n, D)
            The parameters.
        c : Tensor of shape (C, n)
            The contexts, in columns.

        Returns
        -------
        Tensor of shape (E, n)
            The log-densities.
        """
        z = theta.t().expand(self.members, -1, -1).contiguous()
        ladjs = []
        for network in self.networks:
            z, ladj = transform(network(z, c), z)
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
        c : Tensor of shape (C, m)
            The contexts, in columns.

        Returns
        -------
        Tensor of shape (E, n, D)
            theta.
        """
        z = z.transpose(1, 2).contiguous()
        for network in reversed(self.layers):
            hidden, output = (take_columns(part, which) for part in network.contexts(c))
            z = network.invert(z, (hidden, output), invert_transform)
        return z.transpose(1, 2)

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
        scale = torch.maximum(variance.sqrt(), farthest / WIDEST).clamp(1e-2, 1e2)
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


def transform(phi: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """
    Apply transforms: affine for two parameters a feature, splines for more.

    Parameters
    ----------
    phi : Tensor of shape (E, outputs, D, n)
        The parameters.
    theta : Tensor of shape (E, D, n)
        The values.

    Returns
    -------
    z : Tensor of shape (E, D, n)
        The values.
    ladj : Tensor of shape (E, n)
        The log-determinants.
    """
    if phi.shape[1] > 2:
        return spline(phi, theta)
    return affine(phi, theta)


def invert_transform(phi: Tensor, z: Tensor) -> Tensor:
    """
    Invert transforms, without gradients.

    Parameters
    ----------
    phi : Tensor of shape (E, outputs, D, n)
        The parameters.
    z : Tensor of shape (E, D, n)
        The values.

    Returns
    -------
    Tensor of shape (E, D, n)
        What they are the transforms of.
    """
    if phi.shape[1] > 2:
        return invert_spline(phi, z)
    return invert_affine(phi, z)
