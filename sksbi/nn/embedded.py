"""What a density and a ratio of x have in common: an embedding of x, and a head that it feeds."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

__all__ = ["Embedded"]


class Embedded(nn.Module):
    """
    Base of modules that send x through an embedding to a head.

    Parameters
    ----------
    embedding : torch.nn.Module
        Maps x of shape (n, ...) to features, which are flattened to the context of shape (n, C).
    """

    def __init__(self, embedding: nn.Module) -> None:
        super().__init__()
        self.embedding = embedding

    @property
    @abstractmethod
    def head(self) -> nn.Module:
        """The module that takes the context."""

    def embed(self, x: Tensor) -> Tensor:
        """
        Turn observations into the context of the head.

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
        Let the head begin at what it can compute from the data, if it can.

        A head does by its method ``start``, and only where x reaches it as it is, since it would
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
        if hasattr(self.head, "start") and not list(self.embedding.parameters()):
            self.head.start(theta, self.embed(x), weight)
