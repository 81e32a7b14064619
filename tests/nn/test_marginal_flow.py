"""The flow of all marginals: densities, draws and inverses for every mask, and where it starts."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import cumulative_trapezoid
from torch import Tensor

from sksbi.nn import ConditionalDensity, MarginalFlow, SplineFlow
from sksbi.nn.spline_flow import transform
from sksbi.utils.random import borrowed_global_generator

D, CONTEXT = 3, 2
SUBSETS = [list(s) for k in range(1, D + 1) for s in combinations(range(D), k)]


def disturbed(*, transforms: int = 3) -> MarginalFlow:
    """Make a flow of three members whose weights are far from where they begin."""
    with borrowed_global_generator(0), torch.no_grad():
        flow = MarginalFlow(D, CONTEXT, transforms, (12,), members=3).eval()
        for parameter in flow.parameters():
            parameter += 0.15 * torch.randn_like(parameter)
    flow.start(*correlated(500), torch.ones(500))
    return flow


def correlated(n: int) -> tuple[Tensor, Tensor]:
    """Give contexts, and parameters around a linear function of them, correlated given them."""
    rng = np.random.default_rng(0)
    c = rng.normal(size=(n, CONTEXT))
    root = np.eye(D) + 0.7 * np.tril(np.ones((D, D)), -1)
    noise = 0.5 * rng.normal(size=(n, D)) @ root.T
    theta = c @ rng.normal(size=(CONTEXT, D)) + noise + 0.3
    return torch.tensor(theta).float(), torch.tensor(c).float()


C = torch.tensor([[0.3, -0.8]])


def mask_of(subset: list[int], n: int = 1) -> Tensor:
    """Make a mask."""
    mask = torch.zeros(n, D)
    mask[:, subset] = 1
    return mask


@pytest.mark.parametrize("column", range(D))
@pytest.mark.parametrize("transforms", [1, 3])
def test_marginals_of_one_have_a_density_and_draws_come_from_it(
    column: int, transforms: int
) -> None:
    """Float32 knows a log-density to 1e-5, and the trapezoidal rule a kinked density to 1e-4."""
    one = disturbed(transforms=transforms).marginal([column])
    line = torch.linspace(-30, 30, 30_001)
    with torch.no_grad():
        density = one(C).log_prob(line[:, None, None])[:, 0].exp().double().numpy()
    cdf = cumulative_trapezoid(density, line.double().numpy(), initial=0)
    assert cdf[-1] == pytest.approx(1, abs=1e-3)
    rows = torch.zeros(5000, dtype=torch.long)
    draws = one(C).draw(rows, torch.Generator().manual_seed(0))[:, 0].numpy()
    assert stats.kstest(draws, lambda t: np.interp(t, line.numpy(), cdf)).pvalue > 1e-3


@pytest.mark.parametrize("subset", [[0, 1], [2, 0]])
def test_marginals_of_two_have_a_density_and_draws_come_from_it(subset: list[int]) -> None:
    """By first and second moments and the entropy, within five standard errors."""
    two, n = disturbed().marginal(subset), 20_000
    with torch.no_grad():
        draws = two(C).draw(torch.zeros(n, dtype=torch.long), torch.Generator().manual_seed(0))
        center, spread = draws.mean(0), draws.std(0)
        axis = torch.linspace(-7, 7, 401)
        grid = center + spread * torch.cartesian_prod(axis, axis)
        cell = (axis[1] - axis[0]).item() ** 2 * spread.prod().item()
        log_p = two(C).log_prob(grid[:, None])[:, 0].double()
        surprise = -two(C).log_prob(draws[:, None])[:, 0].double()
    p = log_p.exp() * cell
    assert p.sum().item() == pytest.approx(1, abs=3e-3)

    def statistics(theta: Tensor, surprise: Tensor) -> Tensor:
        a, b = ((theta - center) / spread).double().t()
        return torch.stack([a, b, a * a, a * b, b * b, surprise], dim=1)

    expected, got = (p[:, None] * statistics(grid, -log_p)).sum(0), statistics(draws, surprise)
    assert ((got.mean(0) - expected).abs() < 5 * got.std(0) / n**0.5 + 3e-3).all()


@pytest.mark.parametrize("subset", SUBSETS)
def test_log_densities_have_the_determinant_of_what_is_asked_for(subset: list[int]) -> None:
    flow = disturbed().double()
    mask, c = mask_of(subset).double(), C.double()
    columns = flow(c).masked(mask).c

    def whole(values: Tensor) -> Tensor:
        theta = torch.full((D, 1), 7.0, dtype=torch.double)
        theta = theta.index_put((torch.tensor(subset), torch.tensor(0)), values)
        z, _ = flow.gaussian(theta, columns[:CONTEXT], mask.t())
        z = z.expand(3, -1, -1)
        for network in flow.networks:
            z, _ = transform(network(z, columns) * mask.t(), z)
        return z[:, subset, 0]

    values = torch.linspace(-0.5, 0.9, len(subset), dtype=torch.double)
    slopes = torch.autograd.functional.jacobian(whole, values)
    z = whole(values)
    expected = -(z.square() + math.log(2 * math.pi)).sum(1) / 2 + torch.linalg.slogdet(slopes)[1]
    theta = torch.full((1, D), -3.0, dtype=torch.double)
    theta[0, subset] = values
    got = flow.members_log_prob(theta, columns)[:, 0]
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-9)


def test_noise_comes_back_from_its_theta_under_every_mask() -> None:
    flow = disturbed().double()
    masks = torch.cat([mask_of(subset) for subset in SUBSETS]).double()
    c = torch.randn(len(masks), CONTEXT, generator=torch.Generator().manual_seed(1)).double()
    columns = flow(c).masked(masks).c
    which = torch.arange(3 * 35).reshape(3, 35) % len(masks)
    noise = torch.randn(3, 35, D, generator=torch.Generator().manual_seed(2)).double()
    with torch.no_grad():
        theta = flow.invert(noise, which, columns)
        assert (theta[masks[which] == 0] == 0).all()
        for e in range(3):
            mask, own = masks[which[e]].t(), columns[:, which[e]]
            z, _ = flow.gaussian(theta[e].t(), own[:CONTEXT], mask)
            z = z.expand(3, -1, -1)
            for network in flow.networks:
                z, _ = transform(network(z, own) * mask, z)
            torch.testing.assert_close(z[e].t(), noise[e] * mask.t(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("training", [False, True])
def test_gradients_are_those_of_finite_differences(training: bool) -> None:
    flow = disturbed().double().train(training)
    mask = torch.tensor([[1.0, 0, 1], [0, 1, 0], [1, 1, 1]]).double()
    theta, c = (t[:3].double().requires_grad_() for t in correlated(3))
    assert torch.autograd.gradcheck(
        lambda theta, c: flow(c).masked(mask).log_prob(theta), (theta, c)
    )


def test_what_is_left_out_does_not_count_and_each_row_has_its_own_mask() -> None:
    flow, (theta, c) = disturbed(), correlated(len(SUBSETS))
    masks = torch.cat([mask_of(subset) for subset in SUBSETS])
    with torch.no_grad():
        together = flow(c).masked(masks).log_prob(theta)
        other = flow(c).masked(masks).log_prob(theta + 100 * (1 - masks))
        alone = [
            flow.marginal(subset)(c[[i]]).log_prob(theta[[i]][:, subset])
            for i, subset in enumerate(SUBSETS)
        ]
        whole = flow(c).log_prob(theta)
    torch.testing.assert_close(together, other, rtol=0, atol=1e-5)
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-4)
    assert together[-1] == pytest.approx(whole[-1].item(), abs=1e-4)
    assert len(together.unique()) == len(SUBSETS)


def test_the_order_that_is_wanted_is_that_of_the_columns() -> None:
    flow, (theta, c) = disturbed(), correlated(20)
    rows = torch.arange(20)
    with torch.no_grad():
        one, other = flow.marginal([0, 2]), flow.marginal([2, 0])
        same = one(c).log_prob(theta[:, [0, 2]]), other(c).log_prob(theta[:, [2, 0]])
        draws = [m(c).draw(rows, torch.Generator().manual_seed(0)) for m in (one, other)]
    torch.testing.assert_close(*same, rtol=0, atol=1e-5)
    torch.testing.assert_close(draws[0], draws[1].flip(1), rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def started() -> MarginalFlow:
    """Start a flow, without what keeps rows in the box."""
    flow = MarginalFlow(D, CONTEXT, members=2).eval()
    flow.start(*correlated(20_000), torch.ones(20_000))
    flow.gaussian.scale.fill_(1.0)
    return flow


def test_it_starts_at_a_ridge_regression(started: MarginalFlow) -> None:
    """To the ridge, a hundredth of the variance of the context, and the least variance, 1e-4."""
    theta, c = (t.numpy() for t in correlated(20_000))
    design = np.column_stack([np.ones(len(c)), c])
    exact = np.linalg.lstsq(design, theta, rcond=None)[0]
    np.testing.assert_allclose(started.gaussian.slope, exact[1:].T, rtol=0.015)
    np.testing.assert_allclose(started.gaussian.offset[:, 0], exact[0], atol=1e-3)
    covariance = np.cov((theta - design @ exact).T)
    np.testing.assert_allclose(started.gaussian.covariance, covariance, rtol=0.01, atol=1e-3)


@pytest.mark.parametrize("subset", SUBSETS)
def test_it_starts_at_the_marginals_of_a_gaussian(started: MarginalFlow, subset: list[int]) -> None:
    theta, c = correlated(200)
    mean = c @ started.gaussian.slope.t() + started.gaussian.offset[:, 0]
    covariance = started.gaussian.covariance[subset][:, subset].numpy()
    left = (theta - mean)[:, subset].numpy()
    exact = stats.multivariate_normal(np.zeros(len(subset)), covariance).logpdf(left)
    with torch.no_grad():
        got = started.marginal(subset)(c).log_prob(theta[:, subset]).numpy()
    np.testing.assert_allclose(got, exact, rtol=1e-4, atol=1e-4)


def test_a_start_keeps_all_in_the_box_of_the_splines_under_every_mask_of_one_and_all() -> None:
    theta, c = correlated(2_000)
    theta[0] += torch.tensor([30.0, 0.0, 0.0])
    flow = MarginalFlow(D, CONTEXT, members=2).eval()
    flow.start(theta, c, torch.ones(len(theta)))
    for subset in ([0], [1], [2], [0, 1, 2]):
        z, _ = flow.gaussian(theta.t(), c.t(), mask_of(subset, len(theta)).t())
        assert z.abs().max() <= 4.5 + 1e-3


def test_only_a_marginal_flow_has_marginals() -> None:
    density = ConditionalDensity(SplineFlow(2, 2), torch.nn.Flatten())
    with pytest.raises(TypeError, match="flow must be a MarginalFlow.*SplineFlow"):
        density.marginal([0])
