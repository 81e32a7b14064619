"""Which parameters are asked for together: subsets as masks of ones and zeros, drawn or listed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Real

import torch
from torch import Tensor

from sksbi.utils.columns import find_columns

__all__ = ["Masks"]

_ROUNDS = 1_000


class Masks:
    """
    Subsets of D parameters, and how they are drawn.

    Parameters
    ----------
    spec : str, float or list
        "uniform": all subsets but the empty one are equally likely. "by_size": all sizes are, and
        all subsets of a size. A float p above 0 and up to 1: every parameter belongs to the subset
        with probability p, independently, and empty ones are drawn again. A list of lists of names
        or positions: only these subsets, and that of all parameters, equally likely.
    names : sequence of str
        The names of the parameters.

    Raises
    ------
    TypeError, ValueError
        If a parameter does not exist, stands twice in a subset, or a subset is empty.

    Examples
    --------
    >>> import torch
    >>> from sksbi.utils.masks import Masks
    >>> masks = Masks([["mass"]], ["mass", "rate"])
    >>> masks.draw(3, torch.Generator().manual_seed(0)).tolist()
    [[1.0, 0.0], [1.0, 1.0], [1.0, 1.0]]
    """

    def __init__(
        self, spec: str | float | Iterable[Sequence[str | int]], names: Sequence[str]
    ) -> None:
        spec = float(spec) if isinstance(spec, Real) else spec
        self.names = [*names]
        self.listed = None if isinstance(spec, str | float | int) else self._read(spec)
        self.by_size = spec == "by_size"
        self.p = float(spec) if isinstance(spec, float | int) else 0.5

    def _read(self, spec: Iterable[Sequence[str | int]]) -> list[list[int]]:
        """Turn subsets into positions, each subset once, and add the whole."""
        found = set()
        for i, subset in enumerate(spec):
            try:
                found.add(tuple(sorted(find_columns(subset, self.names, len(self.names)))))
            except (TypeError, ValueError) as error:
                raise type(error)(f"masks[{i}]: {error}") from error
        whole = tuple(range(len(self.names)))
        return [[*subset] for subset in sorted(found | {whole}, key=lambda s: (len(s), s))]

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """
        Draw subsets.

        Parameters
        ----------
        n : int
            How many.
        generator : torch.Generator
            Where the randomness comes from, on the CPU.

        Returns
        -------
        Tensor of shape (n, D)
            Masks: 1 for the parameters in the subset, 0 for others.
        """
        d = len(self.names)
        if self.listed is not None:
            table = torch.zeros(len(self.listed), d)
            for row, subset in zip(table, self.listed, strict=True):
                row[subset] = 1
            return table[torch.randint(len(table), (n,), generator=generator)]
        if self.by_size:
            size = torch.randint(1, d + 1, (n, 1), generator=generator)
            rank = torch.rand(n, d, generator=generator).argsort(1).argsort(1)
            return (rank < size).float()
        mask = torch.zeros(n, d)
        for _ in range(_ROUNDS):
            empty = mask.sum(1) == 0
            if not empty.any():
                return mask
            mask[empty] = (torch.rand(int(empty.sum()), d, generator=generator) < self.p).float()
        empty = mask.sum(1) == 0
        mask[empty, torch.randint(d, (int(empty.sum()),), generator=generator)] = 1
        return mask

    def check(self, columns: Sequence[int]) -> None:
        """
        Hold that a marginal was learnt.

        Parameters
        ----------
        columns : sequence of int
            The parameters, in any order.

        Raises
        ------
        ValueError
            If subsets were listed, and this is none of them.
        """
        if self.listed is None or sorted(columns) in self.listed:
            return
        asked = [self.names[i] for i in columns]
        known = [[self.names[i] for i in subset] for subset in self.listed]
        raise ValueError(
            f"columns must be a subset that fit was given in masks, or all parameters, got "
            f"{asked}; learnt were {known}: add it to masks, and fit again."
        )
