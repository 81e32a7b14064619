"""Convolutional embeddings: their laws, and what they learn about a noisy pulse."""

import pickle
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn

from sksbi import NPE
from sksbi.nn import ConvNet1d, ConvNet2d
from sksbi.utils.random import borrowed_global_generator

CASES = [
    (ConvNet1d, 40),
    (ConvNet1d, (40,)),
    (ConvNet1d, (3, 40)),
    (ConvNet1d, (2, 3)),
    (ConvNet1d, 1),
    (ConvNet2d, (12, 9)),
    (ConvNet2d, (3, 12, 9)),
    (ConvNet2d, (2, 2)),
    (ConvNet2d, (1, 30)),
    (ConvNet2d, (1, 1)),
]
every_case = pytest.mark.parametrize(("network", "in_shape"), CASES)


def build(network: type[nn.Module], in_shape: int | Sequence[int], **options: object) -> nn.Module:
    """Build with reproducible weights."""
    with borrowed_global_generator(0):
        return network(in_shape, **{"out_features": 4} | options)


def batch(in_shape: int | Sequence[int], n: int = 5) -> Tensor:
    """Draw a batch of noise."""
    shape = (in_shape,) if isinstance(in_shape, int) else in_shape
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(1))


def pulse(position: NDArray, length: int, width: float) -> NDArray[np.float64]:
    """Put a Gaussian pulse of height 1 at each position of an axis."""
    return np.exp(-0.5 * ((np.arange(length) - np.asarray(position)[..., None]) / width) ** 2)


@every_case
def test_any_size_gives_features(network: type[nn.Module], in_shape: int | Sequence[int]) -> None:
    features = build(network, in_shape)(batch(in_shape))
    assert features.shape == (5, 4)
    assert features.isfinite().all()


@every_case
def test_rows_do_not_see_each_other(
    network: type[nn.Module], in_shape: int | Sequence[int]
) -> None:
    module, x = build(network, in_shape).train(), batch(in_shape)
    apart = torch.cat([module(row) for row in x.split(1)])
    torch.testing.assert_close(module(x), apart, rtol=1e-4, atol=1e-5)


@every_case
def test_every_weight_and_element_gets_a_gradient(
    network: type[nn.Module], in_shape: int | Sequence[int]
) -> None:
    module, x = build(network, in_shape), batch(in_shape).requires_grad_()
    module(x).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in module.parameters())
    assert (x.grad != 0).all()


@every_case
@pytest.mark.parametrize("copy", [deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies_are_equal(
    copy: Callable[[nn.Module], nn.Module], network: type[nn.Module], in_shape: int | Sequence[int]
) -> None:
    module, x = build(network, in_shape), batch(in_shape)
    assert torch.equal(copy(module)(x), module(x))


@pytest.mark.parametrize(
    ("network", "shape"), [(ConvNet1d, (40,)), (ConvNet1d, (1,)), (ConvNet2d, (12, 9))]
)
def test_one_channel_may_be_left_out(network: type[nn.Module], shape: tuple[int, ...]) -> None:
    x = batch(shape)
    torch.testing.assert_close(build(network, (1, *shape))(x[:, None]), build(network, shape)(x))


def test_two_numbers_are_channels_of_a_series_or_sides_of_an_image() -> None:
    series, image = build(ConvNet1d, (3, 40)), build(ConvNet2d, (3, 40))
    assert series.layers[0].in_channels == 3
    assert image.layers[0].in_channels == 1
    swapped = batch((3, 40))[:, [1, 0, 2]]
    assert not torch.allclose(series(swapped), series(batch((3, 40))), atol=1e-3)


@pytest.mark.parametrize("channels", [(1,), (3, 5), (8, 16, 8, 8)])
def test_any_channels_will_do(channels: tuple[int, ...]) -> None:
    for network, shape in CASES:
        module = build(network, shape, channels=channels)
        assert module(batch(shape, 1)).isfinite().all()


def change(module: nn.Module, x: NDArray, other: NDArray) -> float:
    """Measure how much the features differ, relative to their size."""
    with torch.no_grad():
        a, b = (module(torch.tensor(v[None], dtype=torch.float32)) for v in (x, other))
    return float((a - b).norm() / a.norm())


@pytest.mark.parametrize("position", [20, 30, 40])
def test_a_shift_of_a_pulse_is_seen(position: int) -> None:
    series = build(ConvNet1d, 64)
    at, beyond = (pulse(p, 64, 2.0) for p in (position, position + 10))
    assert change(series, at, beyond) > 0.01
    # One cell looks everywhere alike: far from the ends a shift by its whole strides is not seen.
    blind = build(ConvNet1d, 64, cells=1, kernel_size=1)
    assert change(blind, at, pulse(position + 8, 64, 2.0)) < 1e-4
    image = build(ConvNet2d, (24, 64))
    row, lower = (pulse(r, 24, 2.0)[:, None] for r in (8, 16))
    assert change(image, row * at, row * beyond) > 0.01
    assert change(image, row * at, lower * at) > 0.01


def test_the_scale_of_x_is_seen() -> None:
    x = batch(64)[0].numpy()
    for factor in (0.5, 2.0):
        assert change(build(ConvNet1d, 64), x, factor * x) > 0.01


@pytest.mark.parametrize(
    ("network", "options", "error", "message"),
    [
        (ConvNet1d, {"in_shape": (2, 3, 40)}, ValueError, r"L, \(L,\) or .* got \(2, 3, 40\)"),
        (ConvNet1d, {"in_shape": ()}, ValueError, r"in_shape must be L, .* got \(\)"),
        (ConvNet1d, {"in_shape": 40.0}, TypeError, "in_shape must be an int >= 1, got 40.0"),
        (ConvNet2d, {"in_shape": 40}, ValueError, r"in_shape must be \(H, W\) or .* got 40"),
        (ConvNet2d, {"in_shape": (0, 9)}, ValueError, "in_shape must be an int >= 1, got 0"),
        (ConvNet1d, {"kernel_size": 4}, ValueError, "kernel_size must be odd, got 4"),
        (ConvNet1d, {"kernel_size": -1}, ValueError, "kernel_size must be .* got -1"),
        (ConvNet1d, {"channels": ()}, ValueError, r"channels must be a sequence .* got \(\)"),
        (ConvNet1d, {"channels": (8, 0)}, ValueError, "width in channels must be .* got 0"),
        (ConvNet1d, {"cells": 0}, ValueError, "cells must be an int >= 1, got 0"),
        (ConvNet1d, {"out_features": 0}, ValueError, "out_features must be an int >= 1, got 0"),
    ],
)
def test_bad_arguments_are_named(
    network: type[nn.Module], options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        build(network, **{"in_shape": 40} | options)


@pytest.mark.parametrize("shape", [(5, 41), (5, 1, 40), (40,)])
def test_x_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"x must have shape \(n, \*\(40,\)\), got \(.*\)"):
        build(ConvNet1d, 40)(torch.zeros(shape))


@pytest.mark.parametrize(
    ("network", "shape"),
    [(ConvNet1d, (6,)), (ConvNet1d, (2, 6)), (ConvNet2d, (5, 6)), (ConvNet2d, (2, 5, 6))],
)
def test_an_estimator_gives_it_the_shape_and_pickles_it(
    network: type[nn.Module], shape: tuple[int, ...]
) -> None:
    x = batch(shape, 40).numpy()
    theta = x.reshape(40, -1)[:, :1]
    embedding = partial(network, out_features=3)
    npe = NPE(
        flow="maf", transforms=1, max_epochs=1, embedding=embedding, random_state=0
    ).fit(theta, x)  # fmt: skip
    assert npe.net_.module_.embedding.in_shape == shape
    loaded = pickle.loads(pickle.dumps(npe))
    np.testing.assert_array_equal(loaded.log_prob(theta, x), npe.log_prob(theta, x))


def test_an_image_network_says_that_columns_are_no_image() -> None:
    with pytest.raises(ValueError, match=r"in_shape must be \(H, W\) or .*, got 6"):
        NPE(embedding=partial(ConvNet2d, out_features=3)).fit(batch(1, 40), batch(6, 40))


WIDTH = 2.0


def noisy_series(position: NDArray, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw series of one channel with a pulse in noise of sd 0.2."""
    return (pulse(position, 32, WIDTH) + 0.2 * rng.normal(size=(len(position), 32)))[:, None]


def noisy_images(position: NDArray, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw images with a blob in noise of sd 0.3, its row known and its column not."""
    blob = pulse(8, 16, WIDTH)[:, None] * pulse(position, 16, WIDTH)[:, None, :]
    return blob + 0.3 * rng.normal(size=(len(position), 16, 16))


@pytest.mark.parametrize(
    ("network", "simulator", "low", "high", "information"),
    [
        # The Fisher information: the integral of the slope's square, (t / w^2)^2 exp(-t^2 / w^2),
        # over the variance of the noise.
        (ConvNet1d, noisy_series, 6, 26, np.sqrt(np.pi) / (2 * WIDTH) / 0.2**2),
        pytest.param(ConvNet2d, noisy_images, 4, 12, np.pi / 2 / 0.3**2, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_it_learns_where_a_pulse_stands(
    network: type[nn.Module],
    simulator: Callable[[NDArray, np.random.Generator], NDArray[np.float64]],
    low: float,
    high: float,
    information: float,
) -> None:
    """The posterior's sd is near 1 / sqrt(Fisher information)."""
    rng = np.random.default_rng(0)
    position = rng.uniform(low, high, 1_900)
    x = simulator(position, rng)
    npe = NPE(
        {"position": stats.uniform(low, high - low)}, flow="maf", transforms=1, max_epochs=12,
        embedding=partial(network, out_features=8), random_state=0,
    ).fit(position[:1_600, None], x[:1_600])  # fmt: skip
    draws = npe.sample(x[1_600:], 300)[:, :, 0]
    error = np.sqrt(np.mean((draws.mean(axis=1) - position[1_600:]) ** 2))
    best, prior = 1 / np.sqrt(information), (high - low) / np.sqrt(12)
    assert error < 1.5 * best < prior / 4
    assert 0.8 * best < np.median(draws.std(axis=1)) < 2 * best
