"""The density of mixed rows: it is the product of its parts, adds up to one, and is drawn from."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from sksbi.nn import ConditionalDensity, ConditionalLikelihood, MaskedCategorical, SplineFlow


def made(n_continuous: int, sizes: list[int], seed: int = 0) -> ConditionalLikelihood:
    """Make one in the context of two numbers, far from a standard normal."""
    torch.manual_seed(seed)
    density = categorical = None
    if n_continuous:
        flow = SplineFlow(n_continuous, 2 + sum(sizes), 2, (16,), members=2, context_units=0.5)
        density = ConditionalDensity(flow, torch.nn.Flatten())
    if sizes:
        categorical = MaskedCategorical(sizes, 2, (16,), unseen=1e-6)
    likelihood = ConditionalLikelihood(density, categorical)
    with torch.no_grad():
        for p in likelihood.parameters():
            p += 0.3 * torch.randn_like(p)
    return likelihood.eval()


def mass(likelihood: ConditionalLikelihood, sizes: list[int], c: torch.Tensor) -> float:
    """Add up over discrete values, and integrate over one continuous column."""
    grid = torch.linspace(-40, 40, 40_001)
    total = 0.0
    for codes in product(*(range(n) for n in sizes)):
        x = torch.column_stack([grid, torch.tensor(codes).expand(len(grid), -1).float()])
        with torch.no_grad():
            q = likelihood.log_prob_at(x, c.expand(len(grid), 2)).double().exp()
        total += float(torch.trapezoid(q, grid.double()))
    return total


@pytest.mark.parametrize("sizes", [[], [2], [3, 2]], ids=str)
def test_the_density_integrates_to_one(sizes: list[int]) -> None:
    assert mass(made(1, sizes), sizes, torch.tensor([0.7, -1.2])) == pytest.approx(1, abs=1e-3)


def test_forward_gives_the_distributions_of_the_contexts() -> None:
    likelihood, c = made(2, [3]), torch.randn(5, 2)
    x = torch.column_stack([torch.randn(5, 2), torch.tensor([0.0, 1, 2, 1, 0])])
    log_q = likelihood(c).log_prob(x)
    torch.testing.assert_close(log_q, likelihood.log_prob_at(x, c))
    each = torch.cat([likelihood(c[[i]]).log_prob(x[[i]]) for i in range(5)])
    torch.testing.assert_close(log_q, each, rtol=1e-4, atol=1e-5)


def test_it_is_the_product_of_its_parts() -> None:
    likelihood, c = made(2, [3]), torch.randn(6, 2)
    y, codes = torch.randn(6, 2), torch.tensor([[0], [1], [2], [2], [1], [0]])
    assert likelihood.categorical is not None
    assert likelihood.density is not None
    given = torch.cat([c, torch.nn.functional.one_hot(codes[:, 0], 3)], dim=1)
    expected = likelihood.categorical.log_prob(codes, c) + likelihood.density(given).log_prob(y)
    torch.testing.assert_close(likelihood.log_prob_at(torch.cat([y, codes], 1), c), expected)


@pytest.mark.parametrize(("n_continuous", "sizes"), [(1, []), (1, [2]), (0, [2, 3])])
def test_draws_follow_the_density(n_continuous: int, sizes: list[int]) -> None:
    likelihood, n = made(n_continuous, sizes), 4000
    c = torch.tensor([0.3, 0.8])
    x = likelihood.draw(c.expand(n, 2), torch.Generator().manual_seed(0))
    assert x.shape == (n, n_continuous + len(sizes))
    y, codes = likelihood.split(x)
    grid = torch.linspace(-40, 40, 20_001)
    for code in product(*(range(k) for k in sizes)):
        chosen = (codes == torch.tensor(code)).all(1)
        cells = grid if n_continuous else grid[:1]
        rows = torch.column_stack(
            [cells] * n_continuous + [torch.tensor(code).expand(len(cells), -1)]
        )
        with torch.no_grad():
            q = likelihood.log_prob_at(rows.float(), c.expand(len(rows), 2)).double().exp()
        if not n_continuous:
            p = float(q[0])
        else:
            cdf = torch.cumulative_trapezoid(q, grid.double()).numpy()
            p = float(cdf[-1])
            answer = kstest(
                y[chosen, 0].numpy(), lambda t, cdf=cdf: np.interp(t, grid[1:], cdf / cdf[-1])
            )
            assert answer.pvalue > 1e-3
        error = (max(p * (1 - p), 0.0) / n) ** 0.5
        assert chosen.float().mean().item() == pytest.approx(p, abs=4 * error + 1e-3)


def test_a_start_brings_the_flow_to_a_regression() -> None:
    torch.manual_seed(0)
    flow = SplineFlow(1, 1, 2, (16,), members=1)
    likelihood = ConditionalLikelihood(ConditionalDensity(flow, torch.nn.Flatten()))
    c = torch.randn(5000, 1)
    x = 2 * c + 1 + 0.5 * torch.randn(5000, 1)
    likelihood.start(x, c, torch.ones(5000))
    log_q = likelihood.eval().log_prob_at(x, c).mean().item()
    # The entropy of normal noise of deviation 0.5; a regression on 5,000 rows errs by 0.7 / 71.
    assert log_q == pytest.approx(-0.5 * np.log(2 * np.pi * np.e * 0.25), abs=0.03)
