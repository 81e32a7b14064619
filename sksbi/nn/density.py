"""The conditional density q(theta | x): an embedding of x, then a flow in its context."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from zuko.distributions import DiagNormal, NormalizingFlow

from sksbi.nn.autoregressive import MaskedNetworks
from sksbi.nn.embedded import Density
from sksbi.nn.marginal_flow import MarginalFlow, MarginalOf
from sksbi.nn.mixture import MixtureFlow
from sksbi.utils.random import borrowed_global_generator

__all__ = ["ConditionalDensity"]


class ConditionalDensity(Density):
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

    @property
    def has_members(self) -> bool:
        """Whether networks trained alike stand side by side, which may disagree."""
        return isinstance(self.flow, MixtureFlow)

    @property
    def joint(self) -> ConditionalDensity:
        """The density of all parameters, of a marginal."""
        if not isinstance(self.flow, MarginalOf):
            return self
        return ConditionalDensity(self.flow.joint, self.embedding).eval()

    @torch.no_grad()
    def disagreement(self, draws: Tensor, c: Tensor) -> Tensor:
        """
        Compute how far the mixture's log-density is above the mean of the members', on average.

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
        if not self.has_members:
            return super().disagreement(draws, c)
        return self.flow(c).disagreement(draws.transpose(0, 1))

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

    def marginal(self, columns: Sequence[int]) -> ConditionalDensity:
        """
        Take the density of some of the parameters, by a flow that has marginals.

        Parameters
        ----------
        columns : sequence of int
            The parameters, in the order wanted.

        Returns
        -------
        ConditionalDensity
            With the same embedding.

        Raises
        ------
        TypeError
            If the flow has no marginals.
        """
        if not isinstance(self.flow, MarginalFlow):
            raise TypeError(
                f"flow must be a MarginalFlow for there to be marginals, got {self.flow!r}."
            )
        return ConditionalDensity(self.flow.marginal(columns), self.embedding).eval()

    @torch.no_grad()
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
            Source of the noise, on the CPU. Only a flow without an inverse, or with a base that is
            not normal, draws from torch's global generator, seeded by this one.
        alike : tuple of (Tensor of shape (n,), int) or None, default=None
            A number for each row, and how many numbers there are: rows of the same number have the
            same noise. None: every row has its own.

        Returns
        -------
        Tensor of shape (n, D)
            The draws.
        """
        if isinstance(self.flow, MixtureFlow | MarginalOf):
            first = int(rows[0])
            return self.flow(c[first : int(rows[-1]) + 1]).draw(rows - first, generator, alike)
        posterior = self.flow(c[rows])
        if isinstance(posterior, NormalizingFlow) and isinstance(posterior.base, DiagNormal):
            normal = posterior.base.base_dist
            numbers, n = (slice(None), len(rows)) if alike is None else alike
            z = torch.randn((n, *normal.batch_shape[1:]), generator=generator)[numbers]
            return posterior.transform.inv(normal.loc + normal.scale * z.to(normal.loc.device))
        seed = int(torch.randint(2**31 - 1, (), generator=generator))
        if alike is not None:
            return self._sample_alike(c, rows, seed, *alike)
        with borrowed_global_generator(seed):
            return posterior.sample()

    def _sample_alike(self, c: Tensor, rows: Tensor, seed: int, numbers: Tensor, n: int) -> Tensor:
        """Draw from torch's global generator with the same noise for every context."""
        draws = []
        for row in rows.unique_consecutive():
            with borrowed_global_generator(seed):
                some = self.flow(c[row].expand(n, -1)).sample()
            draws.append(some[numbers[rows == row]])
        return torch.cat(draws)

    @torch.no_grad()
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
        return self.flow(c).log_prob(theta)
