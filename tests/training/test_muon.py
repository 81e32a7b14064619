"""Muon moves stacks of matrices along orthogonal directions, and everything else as AdamW does."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor

from sksbi.training.muon import Muon, orthogonalised


def random(*shape: int) -> Tensor:
    """Draw normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(3, 40, 40), (2, 32, 90), (2, 90, 32)])
def test_singular_vectors_stay_and_singular_values_come_near_one(shape: tuple) -> None:
    matrices = random(*shape)
    result = orthogonalised(matrices, 5)
    u, before, v = torch.linalg.svd(matrices, full_matrices=False)
    turned = u.transpose(1, 2) @ result @ v.transpose(1, 2)
    values = turned.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(turned, torch.diag_embed(values), rtol=0, atol=1e-9)
    large = before > 0.05 * before.amax(1, keepdim=True)
    assert values[large].min() > 0.6
    assert values[large].max() < 1.4


def test_a_step_is_orthogonal_and_has_the_size_that_was_asked_for() -> None:
    weights = torch.zeros(2, 64, 32, dtype=torch.float64, requires_grad=True)
    optimizer = Muon([weights], lr=0.1, matrix_size=0.5, ns_steps=5, weight_decay=0)
    weights.grad = random(2, 64, 32)
    optimizer.step()
    values = torch.linalg.svdvals(weights.detach()) / (0.1 * 0.5 * 64**0.5)
    assert values.min() > 0.6
    assert values.max() < 1.4
    assert (weights * weights.grad).sum() < 0


@pytest.mark.parametrize("shape", [(7,), (50, 50), (2, 31, 40)])
def test_vectors_tables_and_narrow_stacks_move_as_by_adamw(shape: tuple) -> None:
    start, target = random(*shape), 1 + random(*shape)
    results = []
    for make in (
        lambda p: Muon(p, lr=0.03, betas=(0.9, 0.95), weight_decay=0.1),
        lambda p: torch.optim.AdamW(p, lr=0.03, betas=(0.9, 0.95), weight_decay=0.1),
    ):
        weights = start.clone().requires_grad_()
        optimizer = make([weights])
        for _ in range(20):
            optimizer.zero_grad()
            (weights - target).square().sum().backward()
            optimizer.step()
        results.append(weights.detach())
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-6)


def test_it_goes_on_from_a_saved_state() -> None:
    def run(optimizer: Muon, weights: list[Tensor], steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            sum((w - 1).square().sum() for w in weights).backward()
            optimizer.step()

    weights = [random(2, 40, 40).requires_grad_(), random(5).requires_grad_()]
    optimizer = Muon(weights, lr=0.01)
    run(optimizer, weights, 3)
    copies = [w.detach().clone().requires_grad_() for w in weights]
    other = Muon(copies, lr=0.01)
    other.load_state_dict(deepcopy(optimizer.state_dict()))
    run(optimizer, weights, 3)
    run(other, copies, 3)
    torch.testing.assert_close(copies, weights)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"momentum": 1.0}, "momentum must be a number >= 0 and < 1, got 1.0"),
        ({"betas": (0.9, 2.0)}, "betas, the second, must be"),
        ({"weight_decay": -1}, "weight_decay must be a number >= 0"),
        ({"matrix_size": "large"}, "matrix_size must be a number"),
        ({"ns_steps": 0}, "ns_steps"),
    ],
)
def test_options_out_of_their_range_are_refused(options: dict, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        Muon([torch.zeros(2, requires_grad=True)], **options)
