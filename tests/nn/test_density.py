"""The conditional density: an embedding, and a flow in its context."""

import torch
from torch import nn

from sksbi.nn import MLP, ConditionalDensity, build_flow
from sksbi.utils.random import borrowed_global_generator


def build(embedding: nn.Module, width: int) -> ConditionalDensity:
    """Put an embedding before a small flow with reproducible weights."""
    with borrowed_global_generator(0):
        return ConditionalDensity(build_flow("maf", 2, width, hidden_features=(8,)), embedding)


def test_the_flow_sees_what_the_embedding_makes() -> None:
    density = build(MLP(6, 3), 3)
    x, theta = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(5, 2)
    expected = density.flow(density.embedding(x)).log_prob(theta)
    torch.testing.assert_close(density(x).log_prob(theta), expected)
    torch.testing.assert_close(density.flow(density.embed(x)).log_prob(theta), expected)


def test_features_of_any_shape_are_flattened() -> None:
    density = build(nn.Conv1d(2, 4, 2), 8)
    x = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(density.embed(x), density.embedding(x).reshape(5, 8))


def test_the_embedding_learns_with_the_flow() -> None:
    density = build(MLP(3, 4), 4)
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    density(x).log_prob(x[:, :2]).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in density.embedding.parameters())
