"""Multilayer perceptrons: embeddings that turn an observation of any shape into features."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from sksbi.utils.settings import check_factory, check_widths
from sksbi.utils.validation import check_count

__all__ = ["MLP", "ResidualMLP"]


class MLP(nn.Module):
    """
    Multilayer perceptron, y = W_k a(... a(W_1 x + b_1)) + b_k.

    Parameters
    ----------
    in_features : int
        The width of the input; for images and series the product of their dimensions.
    out_features : int
        The width of the output.
    hidden_features : sequence of int, default=(64, 64)
        The widths of the hidden layers.
    activation : callable, default=torch.nn.ReLU
        Makes the activation a.

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn import MLP
    >>> MLP(28 * 28, 8)(torch.zeros(5, 28, 28)).shape
    torch.Size([5, 8])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden_features: Sequence[int] = (64, 64),
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        out_features = check_count(out_features, "out_features")
        hidden = check_widths(hidden_features, "hidden_features", least=0)
        widths = [check_count(in_features, "in_features"), *hidden]
        activation = check_factory(activation, "activation")
        layers: list[nn.Module] = []
        for before, after in zip(widths[:-1], widths[1:], strict=True):
            layers += [nn.Linear(before, after), activation()]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], out_features))

    def forward(self, x: Tensor) -> Tensor:
        """
        Embed a batch.

        Parameters
        ----------
        x : Tensor of shape (n, ...)
            The batch; all dimensions but the first are flattened.

        Returns
        -------
        Tensor of shape (n, out_features)
            The features.
        """
        return self.layers(x.flatten(1))


class ResidualMLP(nn.Module):
    """
    Residual multilayer perceptron: blocks h + W_2 a(W_1 a(norm(h))) between two linear maps.

    Parameters
    ----------
    in_features : int
        The width of the input; for images and series the product of their dimensions.
    out_features : int
        The width of the output.
    hidden_features : int, default=128
        The width of every block.
    blocks : int, default=2
        The number of blocks.
    activation : callable, default=torch.nn.GELU
        Makes the activation a.

    References
    ----------
    .. [1] Deep residual learning for image recognition (He et al., 2016)
       https://arxiv.org/abs/1512.03385

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn import ResidualMLP
    >>> ResidualMLP(42, 16)(torch.zeros(5, 42)).shape
    torch.Size([5, 16])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden_features: int = 128,
        blocks: int = 2,
        activation: Callable[[], nn.Module] = nn.GELU,
    ) -> None:
        super().__init__()
        in_features = check_count(in_features, "in_features")
        out_features = check_count(out_features, "out_features")
        hidden_features = check_count(hidden_features, "hidden_features")
        activation = check_factory(activation, "activation")
        self.first = nn.Linear(in_features, hidden_features)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(hidden_features),
                activation(),
                nn.Linear(hidden_features, hidden_features),
                activation(),
                nn.Linear(hidden_features, hidden_features),
            )
            for _ in range(check_count(blocks, "blocks", low=0))
        )
        self.last = nn.Sequential(
            nn.LayerNorm(hidden_features), nn.Linear(hidden_features, out_features)
        )

    def forward(self, x: Tensor) -> Tensor:
        """
        Embed a batch.

        Parameters
        ----------
        x : Tensor of shape (n, ...)
            The batch; all dimensions but the first are flattened.

        Returns
        -------
        Tensor of shape (n, out_features)
            The features.
        """
        h = self.first(torch.flatten(x, 1))
        for block in self.blocks:
            h = h + block(h)
        return self.last(h)
