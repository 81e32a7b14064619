"""
Probabilities of several discrete columns, one after the other.

    P(d | c) = prod_j P(d_j | d_1, ..., d_{j-1}, c)

by one masked network, which sees of the columns before j which value they have.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from zuko.nn import MaskedMLP

from sksbi.utils.settings import check_widths
from sksbi.utils.validation import check_count, check_real

__all__ = ["MaskedCategorical"]


class MaskedCategorical(nn.Module):
    """
    Autoregressive probabilities of discrete columns in a context.

    Parameters
    ----------
    n_values : sequence of int
        The number of values of every column.
    context : int
        The width C of the context.
    hidden_features : sequence of int, default=(64, 64)
        The widths of the hidden layers.
    unseen : float, default=1e-4
        The probability of a value that is none of these, whatever the context.

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn.categorical import MaskedCategorical
    >>> categorical = MaskedCategorical([2, 3], 4)
    >>> categorical.log_prob(torch.tensor([[1, 2], [0, 0]]), torch.zeros(2, 4)).shape
    torch.Size([2])
    """

    one_hot: Tensor
    padded: Tensor
    log_seen: Tensor

    def __init__(
        self,
        n_values: Sequence[int],
        context: int,
        hidden_features: Sequence[int] = (64, 64),
        unseen: float = 1e-4,
    ) -> None:
        super().__init__()
        if not isinstance(n_values, list | tuple):
            raise TypeError(f"n_values must be a sequence of int, got {n_values!r}.")
        self.n_values = [check_count(n, "n_values") for n in n_values]
        unseen = check_real(unseen, "unseen", high=1.0)
        context = check_count(context, "context", low=0)
        widths = check_widths(hidden_features, "hidden_features")
        column = torch.arange(len(self.n_values)).repeat_interleave(torch.tensor(self.n_values))
        sees = torch.cat(
            [column[:, None] > column[None], torch.ones(len(column), context, dtype=torch.bool)],
            dim=1,
        )
        self.network = MaskedMLP(sees, list(widths), activation=nn.SiLU)
        most, starts = max(self.n_values), torch.tensor([0, *self.n_values]).cumsum(0)[:-1]
        place = torch.arange(most)
        exists = place < torch.tensor(self.n_values)[:, None]
        padded = torch.where(exists, starts[:, None] + place, len(column))
        self.register_buffer("padded", padded, persistent=False)
        self.register_buffer("log_seen", torch.tensor([1 - unseen, unseen]).log(), persistent=False)

    def one_hots(self, codes: Tensor) -> Tensor:
        """
        Tell by ones and zeros which values columns have.

        Parameters
        ----------
        codes : Tensor of shape (n, d), int
            The places of the values, -1 for none of them.

        Returns
        -------
        Tensor of shape (n, sum of n_values)
            A one for every column, none where the place is -1.
        """
        parts = [
            codes[:, [j]] == torch.arange(n, device=codes.device)
            for j, n in enumerate(self.n_values)
        ]
        return torch.cat(parts, dim=1).float()

    def _log_probabilities(self, codes: Tensor, c: Tensor) -> Tensor:
        """Compute the logarithms of the probabilities of all values: (n, d, most values)."""
        logits = self.network(torch.cat([self.one_hots(codes), c], dim=1))
        logits = torch.cat([logits, logits.new_full((len(logits), 1), -torch.inf)], dim=1)
        return logits[:, self.padded].log_softmax(-1)

    def log_prob(self, codes: Tensor, c: Tensor) -> Tensor:
        """
        Compute the logarithms of probabilities.

        Parameters
        ----------
        codes : Tensor of shape (n, d), int
            The places of the values; -1 for a value that is none of these.
        c : Tensor of shape (n, C)
            The contexts.

        Returns
        -------
        Tensor of shape (n,)
            The logarithms.
        """
        each = self._log_probabilities(codes, c).gather(2, codes.clamp(min=0)[..., None])[..., 0]
        seen, unseen = self.log_seen
        return torch.where(codes >= 0, each + seen, unseen).sum(1)

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
        Tensor of shape (n, d), int
            Places of values.
        """
        n, d = len(c), len(self.n_values)
        codes = torch.full((n, d), -1, dtype=torch.long, device=c.device)
        noise = torch.rand(n, d, generator=generator).to(c.device)
        for j in range(d):
            ends = self._log_probabilities(codes, c)[:, j].exp().cumsum(1)
            below = (ends < noise[:, [j]] * ends[:, [-1]]).sum(1)
            codes[:, j] = below.clamp(max=self.n_values[j] - 1)
        return codes
