"""
Deep sets: embeddings of what has no order, such as independent trials or catalogues of events.

A function of a set {x_1, ..., x_k} that does not depend on the order of its elements can be written

    f = rho(pool_i phi(x_i)),

with one network phi for every element, a mean, sum or maximum over them, and a network rho after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor, nn

from sksbi.nn.mlp import MLP
from sksbi.utils.settings import check_factory, check_widths
from sksbi.utils.validation import check_count

__all__ = ["DeepSet"]

_POOLS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "max": torch.amax,
    "mean": torch.mean,
    "sum": torch.sum,
}


class DeepSet(nn.Module):
    """
    Permutation-invariant network, f = rho(pool_i phi(x_i)), for sets and independent trials.

    phi is an MLP for every element, rho one for what was pooled. Trained on sets of one size, a
    network still takes sets of any.

    Parameters
    ----------
    in_shape : int or sequence of int
        The shape of one set: trials or (trials,) where an element is one number, (trials, features)
        where it is several; elements of more dimensions are flattened.
    out_features : int
        The width of the output.
    element_features : sequence of int, default=(64, 64)
        The widths of phi, of which the last is pooled.
    pooling : {"mean", "sum", "max"} or sequence of these, default="mean"
        What is computed over the elements; several go side by side, as in ``("mean", "max")``. A
        maximum helps where extremes tell most, a sum where the number of elements does.
    hidden_features : sequence of int, default=(64,)
        The widths of the hidden layers of rho.
    activation : callable, default=torch.nn.GELU
        Makes the activation.

    Raises
    ------
    ValueError, TypeError
        If ``in_shape`` is no shape of a set, ``pooling`` is unknown, or ``element_features`` or
        ``out_features`` hold anything but positive ints.

    See Also
    --------
    ConvNet1d : Where the order counts.

    Notes
    -----
    Give an estimator x of shape (n, trials, features), with features = 1 for sets of numbers: all
    elements then share one scale. In x of shape (n, trials) every column is scaled on its own, so
    that the order counts a little, and where the embedding is a callable, columns without negative
    values come with their logarithms as further elements. Features of different units are better
    brought to one scale before fit.

    References
    ----------
    .. [1] Deep sets (Zaheer et al., 2017) https://arxiv.org/abs/1703.06114

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn import DeepSet
    >>> DeepSet((50, 2), 8, pooling=("mean", "max"))(torch.zeros(5, 50, 2)).shape
    torch.Size([5, 8])
    >>> from functools import partial
    >>> from sksbi import NPE
    >>> npe = NPE(embedding=partial(DeepSet, out_features=8))  # fit calls it with the shape of x
    """

    def __init__(
        self,
        in_shape: int | Sequence[int],
        out_features: int,
        element_features: Sequence[int] = (64, 64),
        pooling: str | Sequence[str] = "mean",
        hidden_features: Sequence[int] = (64,),
        activation: Callable[[], nn.Module] = nn.GELU,
    ) -> None:
        super().__init__()
        self.element_shape = _check_shape(in_shape)[1:]
        self.pooling = _check_pooling(pooling)
        widths = check_widths(element_features, "element_features")
        activation = check_factory(activation, "activation")
        self.element = nn.Sequential(
            MLP(prod(self.element_shape), widths[-1], widths[:-1], activation), activation()
        )
        pooled = widths[-1] * len(self.pooling)
        self.last = MLP(
            pooled, check_count(out_features, "out_features"), hidden_features, activation
        )

    def forward(self, x: Tensor) -> Tensor:
        """
        Embed a batch of sets.

        Parameters
        ----------
        x : Tensor of shape (n, trials, ...)
            The sets; the number of trials may be another than in ``in_shape``, but not zero.

        Returns
        -------
        Tensor of shape (n, out_features)
            The features.

        Raises
        ------
        ValueError
            If x has another shape.
        """
        if x.ndim < 2 or x.shape[1] == 0 or tuple(x.shape[2:]) != self.element_shape:
            shape = ", ".join(["n", "trials", *map(str, self.element_shape)])
            raise ValueError(
                f"x must have shape ({shape}) and at least one trial, got {tuple(x.shape)}."
            )
        elements = self.element(x.reshape(-1, prod(self.element_shape)))
        h = elements.unflatten(0, x.shape[:2])
        return self.last(torch.cat([_POOLS[name](h, 1) for name in self.pooling], dim=1))


def _check_shape(in_shape: int | Sequence[int]) -> tuple[int, ...]:
    """Validate the shape of one set."""
    lengths = in_shape if isinstance(in_shape, Sequence) else (in_shape,)
    if not lengths:
        raise ValueError("in_shape must be trials, (trials,) or (trials, features), got ().")
    return tuple(check_count(length, "every length in in_shape") for length in lengths)


def _check_pooling(pooling: str | Sequence[str]) -> tuple[str, ...]:
    """Validate the names of what is computed over the elements."""
    names = tuple(pooling) if isinstance(pooling, list | tuple) else (pooling,)
    if not names or any(not isinstance(name, str) or name not in _POOLS for name in names):
        raise ValueError(f"pooling must be one or several of {sorted(_POOLS)}, got {pooling!r}.")
    return names
