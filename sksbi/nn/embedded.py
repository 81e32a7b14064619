"""What a density and a ratio of x have in common: an embedding of x, and a head that it feeds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import deepcopy
from math import prod

import torch
from torch import Tensor, nn

__all__ = ["Density", "Embedded", "build_embedding"]


class Embedded(nn.Module, ABC):
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
        start = getattr(self.head, "start", None)
        if start is not None and not list(self.embedding.parameters()):
            start(theta, self.embed(x), weight)


class Density(Embedded):
    """
    Base of modules that give a density of theta in the context of x, and draw from it.

    Attributes
    ----------
    negligible : float
        The largest :meth:`disagreement` that no one needs to hear of, in nats.
    """

    negligible = 0.05

    @property
    def has_members(self) -> bool:
        """Whether networks trained alike stand side by side, which may disagree."""
        return False

    @property
    def joint(self) -> Density:
        """The density of all parameters, of a marginal."""
        return self

    def coarser(self) -> Density:
        """
        Take the same density, less exact where that takes less time.

        Returns
        -------
        Density
            With the same networks.
        """
        return self

    def disagreement(self, draws: Tensor, c: Tensor) -> Tensor:
        """
        Compute how far apart the members are.

        Parameters
        ----------
        draws : Tensor of shape (m, S, D)
            Draws in the m contexts.
        c : Tensor of shape (m, C)
            The contexts.

        Returns
        -------
        Tensor of shape (m,)
            Nats, none negative; zero where all members agree.
        """
        return draws.new_zeros(len(draws))

    @abstractmethod
    def draw(
        self,
        c: Tensor,
        rows: Tensor,
        generator: torch.Generator,
        alike: tuple[Tensor, int] | None = None,
    ) -> Tensor:
        """
        Draw theta once for every row that is asked for.

        Parameters
        ----------
        c : Tensor of shape (m, C)
            Contexts, from :meth:`embed`.
        rows : Tensor of shape (n,), int, on the CPU
            Which of the contexts, in ascending order.
        generator : torch.Generator
            Source of the noise, on the CPU.
        alike : tuple of (Tensor of shape (n,), int) or None, default=None
            A number for each row, and how many numbers there are: rows of the same number have the
            same noise. None: every row has its own.

        Returns
        -------
        Tensor of shape (n, D)
            The draws.
        """

    @abstractmethod
    def log_prob(self, theta: Tensor, c: Tensor) -> Tensor:
        """
        Compute log-densities.

        Parameters
        ----------
        theta : Tensor of shape (n, D)
            The parameters.
        c : Tensor of shape (n, C)
            The context of each, from :meth:`embed`.

        Returns
        -------
        Tensor of shape (n,)
            The log-densities.
        """


def build_embedding(
    embedding: nn.Module | Callable[..., nn.Module] | None, x_shape: tuple[int, ...]
) -> tuple[nn.Module, int]:
    """
    Build an embedding, and find the width of what it returns.

    Parameters
    ----------
    embedding : torch.nn.Module, callable or None
        A module is copied; a callable is called with the shape of an observation (an int if it is
        one-dimensional); None flattens.
    x_shape : tuple of int
        The shape of one observation, as the network sees it.

    Returns
    -------
    module : torch.nn.Module
        The embedding.
    width : int
        The number of features, flattened.

    Raises
    ------
    ValueError
        If the embedding cannot take an observation.
    """
    if embedding is None:
        return nn.Flatten(), prod(x_shape)
    shape = f"(n, {', '.join(map(str, x_shape))})"
    try:
        module = _copy_or_make(embedding, x_shape[0] if len(x_shape) == 1 else x_shape)
        with torch.no_grad():
            features = module.eval()(torch.zeros(2, *x_shape))
        if features.shape[0] != 2:
            raise ValueError(f"of two observations it makes features {tuple(features.shape)}")
    except (RuntimeError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"embedding={embedding!r} must map x of shape {shape} to a tensor of n rows: a module "
            "does, or a callable that is given the features of one observation, such as "
            f"functools.partial(sksbi.nn.MLP, out_features=16), makes one. It said: {error}"
        ) from error
    return module.train(), features[0].numel()


def _copy_or_make(
    embedding: nn.Module | Callable[..., nn.Module], features: int | tuple[int, ...]
) -> nn.Module:
    """Copy a module, or have a callable make one."""
    return deepcopy(embedding) if isinstance(embedding, nn.Module) else embedding(features)
