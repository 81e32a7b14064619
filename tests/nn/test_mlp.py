"""Multilayer perceptrons against their formulas."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from sksbi.nn import MLP, ResidualMLP
from sksbi.utils.random import borrowed_global_generator

X = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=[MLP, ResidualMLP])
def network(request: pytest.FixtureRequest) -> Callable[..., nn.Module]:
    """Both networks, with reproducible weights."""

    def build(*args: object, **kwargs: object) -> nn.Module:
        with borrowed_global_generator(0):
            return request.param(*args, **kwargs)

    return build


def test_an_mlp_is_its_formula() -> None:
    with borrowed_global_generator(0):
        mlp = MLP(4, 2, hidden_features=(8, 5), activation=nn.Tanh)
    w1, b1, w2, b2, w3, b3 = mlp.parameters()
    expected = torch.tanh(torch.tanh(X @ w1.T + b1) @ w2.T + b2) @ w3.T + b3
    torch.testing.assert_close(mlp(X), expected)


def test_no_hidden_layer_is_a_linear_map() -> None:
    mlp = MLP(4, 2, hidden_features=())
    weight, bias = mlp.parameters()
    torch.testing.assert_close(mlp(X), X @ weight.T + bias)


def test_a_residual_block_adds_to_what_it_was_given() -> None:
    with borrowed_global_generator(0):
        network = ResidualMLP(4, 2, hidden_features=8, blocks=3)
    first, last = network.first(X), network.last
    assert len(network.blocks) == 3
    h = first
    for block in network.blocks:
        h = h + block(h)
    torch.testing.assert_close(network(X), last(h))
    for block in network.blocks:
        nn.init.zeros_(block[-1].weight)
        nn.init.zeros_(block[-1].bias)
    torch.testing.assert_close(network(X), last(first))


def test_images_and_series_are_flattened(network: Callable[..., nn.Module]) -> None:
    module = network(24, 3)
    images = torch.randn(5, 2, 3, 4, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(module(images), module(images.reshape(5, 24)))


def test_rows_do_not_see_each_other(network: Callable[..., nn.Module]) -> None:
    module = network(4, 3).train()
    apart = torch.cat([module(row) for row in X.split(1)])
    torch.testing.assert_close(module(X), apart, rtol=1e-5, atol=1e-6)


def test_every_weight_gets_a_gradient(network: Callable[..., nn.Module]) -> None:
    module = network(4, 3)
    x = X.clone().requires_grad_()
    module(x).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in module.parameters())
    assert (x.grad.abs().sum(dim=0) > 0).all()


def test_a_step_down_the_gradient_lowers_the_loss(network: Callable[..., nn.Module]) -> None:
    module = network(4, 1)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    target = X.prod(dim=1, keepdim=True)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        losses.append((module(X) - target).square().mean())
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
