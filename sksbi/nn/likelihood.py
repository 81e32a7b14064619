r"""
The conditional density q(x | theta) of mixed data: discrete columns, then the others given them.

.. math::
    q(d, y | \theta) = P(d | \theta) \, q(y | d, \theta).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sksbi.nn.categorical import MaskedCategorical
from sksbi.nn.density import ConditionalDensity

__all__ = ["ConditionalLikelihood", "MixedDistribution"]


class ConditionalLikelihood(nn.Module):
    """
    Density of x in the context of theta.

    A row of x has the columns with a density first, then the places of discrete values.

    Parameters
    ----------
    density : ConditionalDensity or None
        The density of the former, in the context of theta and the one-hot discrete values; None if
        there are no such columns.
    categorical : MaskedCategorical or None, default=None
        The probabilities of the latter in the context of theta; None if there are none.

    References
    ----------
    .. [1] Flexible and efficient simulation-based inference for models of decision-making
       (Boelts et al., 2022) https://elifesciences.org/articles/77220

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn import ConditionalDensity, ConditionalLikelihood
    >>> from sksbi.nn import MaskedCategorical, SplineFlow
    >>> density = ConditionalDensity(SplineFlow(1, 2 + 3), torch.nn.Flatten())
    >>> likelihood = ConditionalLikelihood(density, MaskedCategorical([3], 2))
    >>> x = torch.tensor([[0.5, 2.0], [0.1, 0.0]])
    >>> likelihood(torch.zeros(2, 2)).log_prob(x).shape
    torch.Size([2])
    """

    def __init__(
        self, density: ConditionalDensity | None, categorical: MaskedCategorical | None = None
    ) -> None:
        super().__init__()
        self.density, self.categorical = density, categorical

    @property
    def _n_discrete(self) -> int:
        """The number of discrete columns."""
        return 0 if self.categorical is None else len(self.categorical.n_values)

    def forward(self, c: Tensor) -> MixedDistribution:
        """
        Build the distribution over x.

        Parameters
        ----------
        c : Tensor of shape (n, C)
            What is given of theta.

        Returns
        -------
        MixedDistribution
            For n rows.
        """
        return MixedDistribution(self, c)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """
        Take the two kinds of columns apart.

        Parameters
        ----------
        x : Tensor of shape (n, L)
            Rows.

        Returns
        -------
        y : Tensor of shape (n, L - d)
            The columns with a density.
        codes : Tensor of shape (n, d), int
            The places of discrete values.
        """
        n_continuous = x.shape[1] - self._n_discrete
        return x[:, :n_continuous], x[:, n_continuous:].round().long()

    def _given(self, codes: Tensor, c: Tensor) -> Tensor:
        """Set discrete values beside theta."""
        if self.categorical is None:
            return c
        return torch.cat([c, self.categorical.one_hots(codes)], dim=1)

    def log_prob_at(self, x: Tensor, c: Tensor) -> Tensor:
        """
        Compute log-densities; in training of flows with members their mean.

        Parameters
        ----------
        x : Tensor of shape (n, L)
            Rows.
        c : Tensor of shape (n, C)
            The context of each.

        Returns
        -------
        Tensor of shape (n,)
            The log-densities.
        """
        y, codes = self.split(x)
        log_q = c.new_zeros(len(x))
        if self.categorical is not None:
            log_q = log_q + self.categorical.log_prob(codes, c)
        if self.density is not None:
            log_q = log_q + self.density(self._given(codes, c)).log_prob(y)
        return log_q

    @torch.no_grad()
    def draw(self, c: Tensor, generator: torch.Generator) -> Tensor:
        """
        Draw once in every context.

        Parameters
        ----------
        c : Tensor of shape (n, C)
            The contexts.
        generator : torch.Generator
            Source of the noise, on the CPU.

        Returns
        -------
        Tensor of shape (n, L)
            Rows.
        """
        parts, codes = [], torch.zeros(len(c), 0, dtype=torch.long, device=c.device)
        if self.categorical is not None:
            codes = self.categorical.draw(c, generator)
        if self.density is not None:
            context = self.density.embed(self._given(codes, c))
            parts.append(self.density.draw(context, torch.arange(len(c)), generator))
        return torch.cat([*parts, codes.to(c)], dim=1)

    def start(self, x: Tensor, c: Tensor, weight: Tensor) -> None:
        """
        Let the flow begin at what it can compute from the data, if it can.

        Parameters
        ----------
        x : Tensor of shape (n, L)
            Rows.
        c : Tensor of shape (n, C)
            The contexts.
        weight : Tensor of shape (n,)
            Weights of the rows, of mean 1.
        """
        if self.density is not None:
            y, codes = self.split(x)
            self.density.start(y, self._given(codes, c), weight)

    def compile_networks(self) -> None:
        """Compile the networks by torch.compile, each when it is first called."""
        if self.density is not None:
            self.density.compile_networks()
        if self.categorical is not None:
            self.categorical.network.compile()


class MixedDistribution:
    """
    The distributions of a :class:`ConditionalLikelihood` for a batch of contexts.

    Parameters
    ----------
    likelihood : ConditionalLikelihood
        Whose they are.
    c : Tensor of shape (n, C)
        The contexts.

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn import ConditionalLikelihood, MaskedCategorical, MixedDistribution
    >>> likelihood = ConditionalLikelihood(None, MaskedCategorical([3], 2))
    >>> mixed = MixedDistribution(likelihood, torch.zeros(1, 2))
    >>> each = [mixed.log_prob(torch.tensor([[value]])).exp().item() for value in (0.0, 1.0, 2.0)]
    >>> round(sum(each), 2)
    1.0
    """

    def __init__(self, likelihood: ConditionalLikelihood, c: Tensor) -> None:
        self.likelihood, self.c = likelihood, c

    def log_prob(self, x: Tensor) -> Tensor:
        """
        Compute log-densities.

        Parameters
        ----------
        x : Tensor of shape (n, L)
            One row for every context.

        Returns
        -------
        Tensor of shape (n,)
            The log-densities.
        """
        return self.likelihood.log_prob_at(x, self.c)
