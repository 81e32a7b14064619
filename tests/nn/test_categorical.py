"""Probabilities of discrete columns: they add up, follow their order, and are drawn from."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from sksbi.nn import MaskedCategorical

SIZES = [[2], [1], [3, 2], [2, 1, 4], [2, 3, 2, 3]]


def made(sizes: list[int], seed: int = 0) -> MaskedCategorical:
    """Make one whose probabilities are far from even."""
    torch.manual_seed(seed)
    categorical = MaskedCategorical(sizes, 3, (16, 16), unseen=0.01)
    with torch.no_grad():
        for p in categorical.parameters():
            p *= 3
    return categorical


def combinations(sizes: list[int], *, unseen: bool = False) -> Tensor:
    """List all combinations of values."""
    return torch.tensor(list(product(*(range(-unseen, n) for n in sizes))))


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_probabilities_of_all_combinations_add_up(sizes: list[int]) -> None:
    categorical, c = made(sizes), torch.randn(3, generator=torch.Generator().manual_seed(0))
    for unseen, total in ((False, 0.99 ** len(sizes)), (True, 1.0)):
        codes = combinations(sizes, unseen=unseen)
        p = categorical.log_prob(codes, c.expand(len(codes), 3)).exp()
        assert p.sum().item() == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_draws_are_as_frequent_as_they_are_probable(sizes: list[int]) -> None:
    categorical, n = made(sizes), 20_000
    c = torch.randn(3, generator=torch.Generator().manual_seed(1))
    draws = categorical.draw(c.expand(n, 3), torch.Generator().manual_seed(0))
    codes = combinations(sizes)
    p = categorical.log_prob(codes, c.expand(len(codes), 3)).exp().detach().numpy()
    p = p / p.sum()
    counts = np.array([int((draws == code).all(1).sum()) for code in codes])
    assert counts.sum() == n
    error = np.sqrt(n * p * (1 - p))
    np.testing.assert_array_less(np.abs(counts - n * p), 4 * error + 1)


def test_every_row_has_its_own_context() -> None:
    categorical, c = made([3, 2]), torch.randn(4, 3, generator=torch.Generator().manual_seed(2))
    codes = torch.tensor([[0, 1], [2, 0], [1, 1], [-1, 0]])
    each = [categorical.log_prob(codes[[i]], c[[i]]) for i in range(4)]
    torch.testing.assert_close(categorical.log_prob(codes, c), torch.cat(each))
    assert len(set(categorical.log_prob(codes[[0]].expand(4, 2), c).tolist())) == 4


def test_a_column_sees_those_before_it_only() -> None:
    sizes = [3, 2, 4]
    categorical, c = made(sizes), torch.zeros(1, 3)
    base = categorical._log_probabilities(torch.tensor([[0, 0, 0]]), c)[0]
    for j, n in enumerate(sizes):
        codes = torch.tensor([[0, 0, 0]])
        codes[0, j] = n - 1
        moved = categorical._log_probabilities(codes, c)[0]
        torch.testing.assert_close(moved[: j + 1], base[: j + 1])
        for later in range(j + 1, len(sizes)):
            assert not torch.allclose(moved[later], base[later])


def test_a_value_that_is_none_of_them_has_the_probability_told() -> None:
    categorical = made([3])
    log_p = categorical.log_prob(torch.tensor([[-1], [-1]]), torch.randn(2, 3))
    torch.testing.assert_close(log_p, torch.tensor([0.01, 0.01]).log())


def test_draws_follow_the_generator() -> None:
    categorical, c = made([3, 2]), torch.zeros(50, 3)
    before = torch.get_rng_state()
    first, second = (categorical.draw(c, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(before, torch.get_rng_state())
