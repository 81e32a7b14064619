"""The conditional density q(theta | x): an embedding of x, then a flow in its context."""

from __future__ import annotations

from torch import Tensor, nn
from torch.distributions import Distribution

from sksbi.nn.autoregressive import MaskedNetworks
from sksbi.nn.embedded import Embedded

__all__ = ["ConditionalDensity"]


class ConditionalDensity(Embedded):
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
        super().__init__(embedding)
        self.flow = flow

    @property
    def head(self) -> nn.Module:
        """The flow."""
        return self.flow

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
