r"""
Masked autoregressive networks, several side by side.

The parameters phi_i of the transform of theta_i may depend on the context c and on the theta_j that
come before i. A hidden unit has a degree t, and sees those before place t. What it computes is

.. math::
    \phi = A [\theta, c] + W_L a(\dots a(W_1 [\theta, c] + b_1) \dots) + b_L,

a linear map beside a multilayer perceptron. W_L begins at zero: the network begins linear, and
a problem that is linear stays easy.

E networks of the same shape are stored and computed as one, since at such sizes the time goes into
calls. Tensors have the features before the rows, (E, features, n): products with the weights then
come out contiguous, and so do the gradients of the weights.

Units are sorted by their degrees, so that those which the first t of theta suffice for are the
first rows of every layer. Inversion computes each unit in the one pass where it first can be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

__all__ = ["MaskedNetworks", "step_size"]

_STEADY = 64


def step_size(context: int) -> float:
    r"""
    Give the factor by which a network takes a wide context smaller.

    An optimizer such as Adam moves every weight by about the learning rate, so that what a linear
    map of C columns puts out moves by up to the sum of their sizes: C times as far where they go
    together. With columns that are smaller by a factor, and first weights that are larger by it,
    the map is the same and its steps are smaller (Tensor programs V: tuning large neural networks
    via zero-shot hyperparameter transfer, Yang et al., 2022, https://arxiv.org/abs/2203.03466).

    Parameters
    ----------
    context : int
        The width C of the context.

    Returns
    -------
    float
        One up to 64 columns, 64 / C beyond.
    """
    return min(1.0, _STEADY / max(context, 1))


class MaskedNetworks(nn.Module):
    """
    E masked autoregressive networks (theta, c) -> parameters of a transform.

    Parameters
    ----------
    members : int
        E, the number of networks.
    order : Tensor of shape (D,), int
        The place of every feature of theta.
    context : int
        The width C of the context, which is given multiplied by :func:`step_size`.
    outputs : int
        The number of parameters for every feature.
    hidden_features : sequence of int
        The widths of the hidden layers.
    context_units : float, default=0.0
        The share of hidden units that see the context alone, below 1. The others see it, too.
    """

    linear_mask: Tensor

    def __init__(
        self,
        members: int,
        order: Tensor,
        context: int,
        outputs: int,
        hidden_features: Sequence[int],
        context_units: float = 0.0,
    ) -> None:
        super().__init__()
        self.members, self.outputs, self.places = members, outputs, order.tolist()
        n_features = len(order)
        degrees = [order]
        for width in hidden_features:
            alone = int(context_units * width)
            seeing = torch.arange(width - alone) * n_features // (width - alone)
            degrees.append(torch.cat([torch.zeros(alone, dtype=torch.long), seeing]))
        last = order.repeat(outputs)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        first = _uniform(members * hidden_features[0], context, fan=context + 1)
        self.first = nn.Parameter(first / step_size(context))
        for i, (before, after) in enumerate(zip(degrees[:-1], degrees[1:], strict=True)):
            mask = after[:, None] > before if i == 0 else after[:, None] >= before
            fan = mask.sum(1, keepdim=True) + (context if i == 0 else 0)
            fan = fan.clamp(min=1)
            weight = _uniform(members, *mask.shape, fan=fan) * mask
            self._append(mask, weight, _uniform(members, len(after), 1, fan=fan))
        mask = last[:, None] >= degrees[-1]
        self._append(mask, torch.zeros(members, *mask.shape), torch.zeros(members, len(last), 1))
        self.register_buffer("linear_mask", (last[:, None] > order).float(), persistent=False)
        self.linear = nn.Parameter(torch.zeros(members, *self.linear_mask.shape))
        self.linear_context = nn.Parameter(torch.zeros(members * len(last), context))
        self.ends = [[int((d <= t).sum()) for t in range(n_features)] for d in degrees[1:]]

    def _append(self, mask: Tensor, weight: Tensor, bias: Tensor) -> None:
        """Add a layer."""
        self.register_buffer(f"mask_{len(self.weights)}", mask.float(), persistent=False)
        self.weights.append(nn.Parameter(weight))
        self.biases.append(nn.Parameter(bias))

    def _masked(self) -> list[Tensor]:
        """Apply the masks."""
        return [w * getattr(self, f"mask_{i}") for i, w in enumerate(self.weights)]

    def contexts(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """
        Compute what depends on the context only.

        Parameters
        ----------
        c : Tensor of shape (C, m)
            The contexts.

        Returns
        -------
        hidden : Tensor of shape (E, H, m)
            What they add to the first hidden layer, its biases included.
        output : Tensor of shape (E, outputs * D, m)
            What they add to the output, its biases included.
        """
        hidden = (self.first @ c).unflatten(0, (self.members, -1)) + self.biases[0]
        output = (self.linear_context @ c).unflatten(0, (self.members, -1)) + self.biases[-1]
        return hidden, output

    def forward(self, theta: Tensor, c: Tensor) -> Tensor:
        """
        Compute the parameters of all features.

        Parameters
        ----------
        theta : Tensor of shape (E, D, n)
            The features, for every network.
        c : Tensor of shape (C, n)
            The contexts.

        Returns
        -------
        Tensor of shape (E, outputs, D, n)
            The parameters.
        """
        hidden, output = self.contexts(c)
        first, *middle, last = self._masked()
        h = torch.baddbmm(hidden, first, theta).relu()
        for weight, bias in zip(middle, self.biases[1:-1], strict=True):
            h = torch.baddbmm(bias, weight, h).relu()
        output = torch.baddbmm(output, self.linear * self.linear_mask, theta)
        return torch.baddbmm(output, last, h).unflatten(1, (self.outputs, -1))

    def invert(
        self,
        y: Tensor,
        contexts: tuple[Tensor, Tensor],
        solve: Callable[[Tensor, Tensor], Tensor],
        mask: Tensor | None = None,
    ) -> Tensor:
        """
        Find the theta that its own transform leads to y, feature by feature, without gradients.

        Parameters
        ----------
        y : Tensor of shape (E, D, n)
            What the transform is to give.
        contexts : tuple of Tensor
            What :meth:`contexts` gave, one column a row of y.
        solve : callable (phi of shape (E, outputs, 1, n), y of shape (E, 1, n)) -> (E, 1, n)
            Inverts the transform of one feature.
        mask : Tensor of shape (E, D, n) or None, default=None
            0 for features that stay at zero, 1 for others. None: there are no such.

        Returns
        -------
        Tensor of shape (E, D, n)
            theta.
        """
        hidden, output = contexts
        weights, linear = self._masked(), self.linear * self.linear_mask
        n_features = y.shape[1]
        theta = torch.zeros_like(y)
        layers = [hidden.new_zeros(self.members, e[-1], y.shape[-1]) for e in self.ends]
        starts = [0] * len(layers)
        for place in range(n_features):
            feature = self.places.index(place)
            before, before_end = theta, n_features
            for i, (layer, ends) in enumerate(zip(layers, self.ends, strict=True)):
                new = slice(starts[i], ends[place])
                bias = hidden[:, new] if i == 0 else self.biases[i][:, new]
                weight = weights[i][:, new, :before_end]
                layer[:, new] = torch.baddbmm(bias, weight, before[:, :before_end]).relu()
                starts[i] = before_end = ends[place]
                before = layer
            rows = slice(feature, None, n_features)
            phi = torch.baddbmm(output[:, rows], linear[:, rows], theta)
            phi = torch.baddbmm(phi, weights[-1][:, rows, :before_end], before[:, :before_end])
            found = solve(phi[:, :, None], y[:, [feature]])
            theta[:, [feature]] = found if mask is None else found * mask[:, [feature]]
        return theta


def _uniform(*shape: int, fan: int | Tensor) -> Tensor:
    """Draw weights of size 1 / sqrt(fan)."""
    return (2 * torch.rand(*shape) - 1) / torch.as_tensor(fan, dtype=torch.float32).sqrt()
