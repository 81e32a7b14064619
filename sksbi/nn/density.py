"""The conditional density q(theta | x): an embedding of x, then a flow in its context."""

from __future__ import annotations

from torch import Tensor, nn
from torch.distributions import Distribution

from sksbi.nn.autoregressive import MaskedNetworks

__all__ = ["ConditionalDensity"]


class ConditionalDensity(nn.Module):
    """
    Conditional density: x -> context -> distribution over theta.

    Parameters
    ----------
    flow : torch.nn.Module
        Maps a context of shape (n, C) to a distribution over theta, as zuko's flows do.
    embedding : torch.nn.Module
        Maps x of shape (n, ...) to features, which are flattened to the context of shape (n, C).

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn import MLP, ConditionalDensity, build_flow
    >>> density = ConditionalDensity(build_flow("nsf", 2, 8), MLP(5, 8))
    >>> density(torch.zeros(3, 5)).log_prob(torch.zeros(3, 2)).shape
    torch.Size([3])
    """

    def __init__(self, flow: nn.Module, embedding: nn.Module) -> None:
        super().__init__()
        self.embedding = embedding
        self.flow = flow

    def embed(self, x: Tensor) -> Tensor:
        """
        Turn observations into the flow's context.

        Parameters
        ----------
        x : Tensor of shape (n, ...)
            The observations.

        Returns
        -------
        Tensor of shape (n, C)
            The context.
        """
        return self.embedding(x).flatten(1)

    def start(self, theta: Tensor, x: Tensor, weight: Tensor) -> None:
        """
        Let the flow begin at what it can compute from the data, if it can.

        A flow does by its method ``start``, and only where x reaches it as it is, since it would
        begin at features that are about to change.

        Parameters
        ----------
        theta : Tensor of shape (n, D)
            The parameters.
        x : Tensor of shape (n, ...)
            The observations.
        weight : Tensor of shape (n,)
            Weights of the rows, of mean 1.
        """
        if hasattr(self.flow, "start") and not list(self.embedding.parameters()):
            self.flow.start(theta, self.embed(x), weight)

    def compile_networks(self) -> None:
        """
        Compile the networks by torch.compile: the embedding, and those inside the flow.

        Each is compiled when it is first called.
        """
        if list(self.embedding.parameters()):
            self.embedding.compile()
        for module in self.flow.modules():
            if isinstance(module, MaskedNetworks | nn.Sequential):
                module.compile()

    def forward(self, x: Tensor) -> Distribution:
        """
        Build the distribution over theta.

        Parameters
        ----------
        x : Tensor of shape (n, ...)
            The observations.

        Returns
        -------
        torch.distributions.Distribution
            With batch shape (n,) and event shape (D,).
        """
        return self.flow(self.embed(x))
