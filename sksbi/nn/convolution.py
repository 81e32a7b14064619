"""
Convolutional networks: embeddings that look for the same things everywhere in a series or an image.

A convolution, then residual blocks, each of which halves the length of every dimension; what is
left is averaged over a few cells, side by side, and goes through an MLP. The cells keep where
something stands: an average over everything would not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from torch import Tensor, nn

from sksbi.nn.mlp import MLP
from sksbi.utils.settings import check_factory, check_widths
from sksbi.utils.validation import check_count

__all__ = ["ConvNet1d", "ConvNet2d"]

_CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d}
_AVERAGES = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d}
_SHAPES = {1: "L, (L,) or (channels, L)", 2: "(H, W) or (channels, H, W)"}


class _ConvNet(nn.Module):
    """What convolutional networks share, for series (dims=1) and images (dims=2)."""

    def __init__(
        self,
        dims: int,
        in_shape: int | Sequence[int],
        out_features: int,
        channels: Sequence[int],
        kernel_size: int,
        cells: int,
        hidden_features: Sequence[int],
        activation: Callable[[], nn.Module],
    ) -> None:
        super().__init__()
        self.in_shape = _check_shape(in_shape, dims)
        widths = check_widths(channels, "channels")
        activation = check_factory(activation, "activation")
        if check_count(kernel_size, "kernel_size") % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {kernel_size}.")
        size = self.in_shape[-dims:]
        convolution = _CONVOLUTIONS[dims]
        in_channels = 1 if len(self.in_shape) == dims else self.in_shape[0]
        layers = [
            # No normalisation here: it would take away the scale of x, which theta may set.
            convolution(in_channels, widths[0], kernel_size, padding="same"),
            activation(),
        ]
        for before, after in zip([widths[0], *widths[:-1]], widths, strict=True):
            layers.append(_HalvingBlock(convolution, before, after, kernel_size, activation))
            size = tuple((length + 1) // 2 for length in size)
        cells_left = tuple(min(check_count(cells, "cells"), length) for length in size)
        pooled = prod(cells_left) * widths[-1]
        self.dims = dims
        self.layers = nn.Sequential(*layers)
        self.average = _AVERAGES[dims](cells_left)
        self.last = MLP(
            pooled, check_count(out_features, "out_features"), hidden_features, activation
        )

    def forward(self, x: Tensor) -> Tensor:
        """
        Embed a batch.

        Parameters
        ----------
        x : Tensor of shape (n, ...)
            The batch, each row of shape ``in_shape``.

        Returns
        -------
        Tensor of shape (n, out_features)
            The features.

        Raises
        ------
        ValueError
            If x has another shape.
        """
        if tuple(x.shape[1:]) != self.in_shape:
            raise ValueError(f"x must have shape (n, *{self.in_shape}), got {tuple(x.shape)}.")
        h = x.unsqueeze(1) if len(self.in_shape) == self.dims else x
        return self.last(self.average(self.layers(h)))


class ConvNet1d(_ConvNet):
    """
    Residual convolutional network for series, spectra and other signals over one axis.

    A convolution and an activation; then a block h -> skip(h) + W_2 a(norm(W_1 a(norm(h)))) of
    stride 2 for every entry of ``channels``; then averages over ``cells`` equal parts of the axis,
    side by side, and an MLP. norm is over groups of channels in one observation: rows of a batch do
    not see each other.

    Parameters
    ----------
    in_shape : int or sequence of int
        The shape of one series: L or (L,) for one channel, (channels, L) for several. Any L will
        do, also below ``kernel_size``.
    out_features : int
        The width of the output.
    channels : sequence of int, default=(16, 32, 64)
        The channels after each block; every block halves the length.
    kernel_size : int, default=5
        The length of the kernels, odd.
    cells : int, default=8
        The number of parts of the axis that are averaged apart, fewer where the blocks leave fewer
        steps. One: only what is there counts, hardly where.
    hidden_features : sequence of int, default=(64,)
        The widths of the hidden layers of the MLP at the end.
    activation : callable, default=torch.nn.GELU
        Makes the activation a.

    Raises
    ------
    ValueError, TypeError
        If ``in_shape`` is no shape of a series, ``kernel_size`` is even, or ``channels``, ``cells``
        or ``out_features`` hold anything but positive ints.

    See Also
    --------
    ConvNet2d : For images.
    DeepSet : Where the order means nothing.

    Notes
    -----
    Give an estimator x of shape (n, channels, L), with channels = 1 for one series: all elements
    then share one scale. In x of shape (n, L) every column is scaled on its own, and where the
    embedding is a callable, columns without negative values come with their logarithms at the end.
    Channels of different units are better brought to one scale before fit.

    References
    ----------
    .. [1] Identity mappings in deep residual networks (He et al., 2016)
       https://arxiv.org/abs/1603.05027
    .. [2] Group normalization (Wu and He, 2018) https://arxiv.org/abs/1803.08494

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn import ConvNet1d
    >>> ConvNet1d((3, 100), 8)(torch.zeros(5, 3, 100)).shape
    torch.Size([5, 8])
    >>> from functools import partial
    >>> from sksbi import NPE
    >>> npe = NPE(embedding=partial(ConvNet1d, out_features=8))  # fit calls it with the shape of x
    """

    def __init__(
        self,
        in_shape: int | Sequence[int],
        out_features: int,
        channels: Sequence[int] = (16, 32, 64),
        kernel_size: int = 5,
        cells: int = 8,
        hidden_features: Sequence[int] = (64,),
        activation: Callable[[], nn.Module] = nn.GELU,
    ) -> None:
        super().__init__(
            1, in_shape, out_features, channels, kernel_size, cells, hidden_features, activation
        )


class ConvNet2d(_ConvNet):
    """
    Residual convolutional network for images, maps and spectrograms.

    As :class:`ConvNet1d`, over two axes; averages are over ``cells`` by ``cells`` equal parts.

    Parameters
    ----------
    in_shape : sequence of int
        The shape of one image: (H, W) for one channel, (channels, H, W) for several. Any H and W
        will do, also below ``kernel_size``.
    out_features : int
        The width of the output.
    channels : sequence of int, default=(16, 32, 64)
        The channels after each block; every block halves height and width.
    kernel_size : int, default=3
        The height and width of the kernels, odd.
    cells : int, default=4
        The number of parts of either axis that are averaged apart, fewer where the blocks leave
        fewer pixels. One: only what is there counts, hardly where.
    hidden_features : sequence of int, default=(64,)
        The widths of the hidden layers of the MLP at the end.
    activation : callable, default=torch.nn.GELU
        Makes the activation a.

    Raises
    ------
    ValueError, TypeError
        If ``in_shape`` is no shape of an image, ``kernel_size`` is even, or ``channels``, ``cells``
        or ``out_features`` hold anything but positive ints.

    See Also
    --------
    ConvNet1d : For series.

    References
    ----------
    .. [1] Identity mappings in deep residual networks (He et al., 2016)
       https://arxiv.org/abs/1603.05027
    .. [2] Group normalization (Wu and He, 2018) https://arxiv.org/abs/1803.08494

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn import ConvNet2d
    >>> ConvNet2d((28, 28), 8)(torch.zeros(5, 28, 28)).shape
    torch.Size([5, 8])
    >>> ConvNet2d((3, 28, 28), 8, cells=2)(torch.zeros(5, 3, 28, 28)).shape
    torch.Size([5, 8])
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        out_features: int,
        channels: Sequence[int] = (16, 32, 64),
        kernel_size: int = 3,
        cells: int = 4,
        hidden_features: Sequence[int] = (64,),
        activation: Callable[[], nn.Module] = nn.GELU,
    ) -> None:
        super().__init__(
            2, in_shape, out_features, channels, kernel_size, cells, hidden_features, activation
        )


class _HalvingBlock(nn.Module):
    """A residual block of stride 2: skip(h) + W_2 a(norm(W_1 a(norm(h))))."""

    def __init__(
        self,
        convolution: type[nn.Module],
        before: int,
        after: int,
        kernel_size: int,
        activation: Callable[[], nn.Module],
    ) -> None:
        super().__init__()
        self.skip = convolution(before, after, 1, stride=2)
        self.body = nn.Sequential(
            _group_norm(before),
            activation(),
            convolution(before, after, kernel_size, stride=2, padding=kernel_size // 2),
            _group_norm(after),
            activation(),
            convolution(after, after, kernel_size, padding="same"),
        )

    def forward(self, h: Tensor) -> Tensor:
        """Halve the length of every dimension, rounded up."""
        return self.skip(h) + self.body(h)


def _group_norm(width: int) -> nn.Module:
    """Normalise over groups of two channels or more: a group of one number would become zero."""
    return nn.GroupNorm(4 if width % 8 == 0 else 1, width) if width > 1 else nn.Identity()


def _check_shape(in_shape: int | Sequence[int], dims: int) -> tuple[int, ...]:
    """Validate the shape of one observation."""
    lengths = in_shape if isinstance(in_shape, Sequence) else (in_shape,)
    shape = tuple(check_count(length, "every length in in_shape") for length in lengths)
    if len(shape) not in (dims, dims + 1):
        raise ValueError(f"in_shape must be {_SHAPES[dims]}, got {in_shape!r}.")
    return shape
