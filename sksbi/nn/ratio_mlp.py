r"""
A network for log-ratios: multilayer perceptrons on theta and x, beside a Gaussian.

Each of E members computes

.. math::
    \log r(\theta, x) = f(\theta, c) - \tfrac12 |L \theta - A c - a|^2 + \tfrac12 |\theta|^2 + k

with a multilayer perceptron f. The rest is the log-ratio of a Gaussian posterior, with a mean
linear in the context c, to a Gaussian prior; it starts at a ridge regression and is trained too, so
that f, which starts at zero, learns what is not Gaussian. What the first layer makes of c is
computed once for all theta that are asked at the same c.

The members are trained side by side, each by its own loss, and the estimate is the ratio of their
mixture, the mean of their ratios.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from sksbi.nn.autoregressive import step_size
from sksbi.nn.regression import regress
from sksbi.utils.settings import check_factory, check_widths
from sksbi.utils.validation import check_count

__all__ = ["RatioMLP"]


class RatioMLP(nn.Module):
    """
    Log-ratio network: E multilayer perceptrons beside Gaussians, computed as one.

    Parameters
    ----------
    features : int
        The number D of parameters.
    context : int
        The width C of the context.
    members : int, default=2
        The number E of members.
    hidden_features : sequence of int, default=(96, 96, 96)
        The widths of the hidden layers.
    activation : callable, default=torch.nn.ReLU
        Makes the activation.

    References
    ----------
    .. [1] Likelihood-free MCMC with amortized approximate ratio estimators (Hermans et al., 2020)
       https://arxiv.org/abs/1903.04057

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn import RatioMLP
    >>> RatioMLP(2, 8).eval()(torch.zeros(3, 2), torch.zeros(3, 8)).shape
    torch.Size([3])
    """

    broadcasts = True

    def __init__(
        self,
        features: int,
        context: int,
        members: int = 2,
        hidden_features: Sequence[int] = (96, 96, 96),
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        features, context = check_count(features, "features"), check_count(context, "context")
        self.features, self.members = features, check_count(members, "members")
        hidden_features = check_widths(hidden_features, "hidden_features")
        self.activation = check_factory(activation, "activation")()
        if isinstance(self.activation, nn.ReLU):
            self.activation.inplace = True
        first, fan = hidden_features[0], features + context
        self.first_theta = nn.Parameter(_uniform(members, first, features, fan=fan))
        self.step_size = step_size(context)
        first_context = _uniform(members * first, context, fan=fan)
        self.first_context = nn.Parameter(first_context / self.step_size)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        self.biases.append(_uniform(members, first, 1, fan=fan))
        for before, after in zip(hidden_features[:-1], hidden_features[1:], strict=True):
            self.weights.append(_uniform(members, after, before, fan=before))
            self.biases.append(_uniform(members, after, 1, fan=before))
        self.weights.append(torch.zeros(members, 1, hidden_features[-1]))
        self.biases.append(torch.zeros(members, 1, 1))
        self.root = nn.Parameter(torch.eye(features).repeat(members, 1, 1))
        self.linear_context = nn.Parameter(torch.zeros(members * features, context))
        self.offset = nn.Parameter(torch.zeros(members, features, 1))

    def contexts(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """
        Compute what depends on the context only.

        Parameters
        ----------
        c : Tensor of shape (n, C)
            The contexts.

        Returns
        -------
        hidden : Tensor of shape (E, H, n)
            What they add to the first hidden layer, its biases included.
        mean : Tensor of shape (E, D, n)
            The centers of the Gaussians, multiplied by their roots.
        """
        c = self.step_size * c.t()
        hidden = (self.first_context @ c).unflatten(0, (self.members, -1)) + self.biases[0]
        mean = (self.linear_context @ c).unflatten(0, (self.members, -1)) + self.offset
        return hidden, mean

    def forward(self, theta: Tensor, c: Tensor) -> Tensor:
        """
        Estimate log-ratios.

        Parameters
        ----------
        theta : Tensor of shape (n, D) or (K, n, D)
            The parameters: one for every context, or K.
        c : Tensor of shape (n, C)
            The contexts.

        Returns
        -------
        Tensor of shape (n,) or (K, n), in training (E, n) or (E, K, n)
            The log-ratios of the mixture, in training those of the members.
        """
        shape = theta.shape[:-1]
        log_r = self._members(theta.reshape(-1, len(c), self.features), c).unflatten(1, shape)
        return log_r if self.training else log_r.logsumexp(0) - math.log(self.members)

    def _members(self, theta: Tensor, c: Tensor) -> Tensor:
        """Compute the members' log-ratios (E, K n), of theta (K, n, D)."""
        hidden, mean = self.contexts(c)
        shape, theta = theta.shape[:2], theta.flatten(0, 1).t()
        h = (self.first_theta @ theta).unflatten(2, shape) + hidden[:, :, None]
        h = self.activation(h).flatten(2)
        weights, biases = list(self.weights), list(self.biases)
        for weight, bias in zip(weights[:-1], biases[1:-1], strict=True):
            h = self.activation(torch.baddbmm(bias, weight, h))
        z = (self.root @ theta).unflatten(2, shape) - mean[:, :, None]
        free = torch.baddbmm(biases[-1], weights[-1], h).squeeze(1)
        return free + 0.5 * (theta.square().sum(0) - z.square().sum(1).flatten(1))

    @torch.no_grad()
    def start(self, theta: Tensor, c: Tensor, weight: Tensor) -> None:
        """
        Begin at the Gaussian of a ridge regression of theta on the context.

        Parameters
        ----------
        theta : Tensor of shape (n, D)
            The parameters, about standardised.
        c : Tensor of shape (n, C)
            The contexts.
        weight : Tensor of shape (n,)
            Weights of the rows, of mean 1.
        """
        self._set_gaussian(*regress(theta, c, weight))

    def _set_gaussian(self, root: Tensor, slope: Tensor, offset: Tensor) -> None:
        """Make the Gaussian part log N(theta | slope c + offset, root) - log N(theta | 0, 1)."""
        self.root[:] = root.float()
        linear_context = self.linear_context.unflatten(0, (self.members, -1))
        linear_context[:] = slope.float() / self.step_size
        self.offset[:] = offset.float()[:, None]
        self.biases[-1][:] = root.diagonal().log().sum().float()


def _uniform(*shape: int, fan: int) -> Tensor:
    """Draw weights of size 1 / sqrt(fan)."""
    return (2 * torch.rand(*shape) - 1) / fan**0.5
