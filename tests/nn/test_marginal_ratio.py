"""The ratio network of all marginals: where it starts, and that it sees what is asked for alone."""

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from sksbi.nn import ConditionalRatio, LogRatio, MarginalRatio, RatioMLP, build_ratio_network
from sksbi.utils.random import borrowed_global_generator

D, CONTEXT = 3, 2
SUBSETS = [list(s) for k in range(1, D + 1) for s in combinations(range(D), k)]
MASKS = torch.zeros(len(SUBSETS), D)
for row, columns in zip(MASKS, SUBSETS, strict=True):
    row[columns] = 1


class Plain(nn.Module):
    """A user's network: it takes rows only, and returns a column."""

    def __init__(self, features: int, context: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(features + context, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, theta: Tensor, c: Tensor) -> Tensor:
        return self.layer(torch.cat([theta, c], dim=1))


def pairs(n: int) -> tuple[Tensor, Tensor]:
    """Give contexts, and parameters around a linear function of them, correlated given them."""
    rng = np.random.default_rng(0)
    c = rng.normal(size=(n, CONTEXT))
    root = np.eye(D) + 0.7 * np.tril(np.ones((D, D)), -1)
    theta = 0.6 * c @ rng.normal(size=(CONTEXT, D)) + 0.3 * rng.normal(size=(n, D)) @ root.T
    return torch.tensor(theta).float(), torch.tensor(c).float()


@pytest.fixture(scope="module", params=[RatioMLP, Plain])
def ratio(request: pytest.FixtureRequest) -> MarginalRatio:
    """Give a network with weights far from where they begin, started on pairs."""
    with borrowed_global_generator(0), torch.no_grad():
        network = build_ratio_network(request.param, D, CONTEXT + D)
        made = MarginalRatio(network, D, CONTEXT).eval()
        for parameter in made.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    made.start(*pairs(500), torch.ones(500))
    return made


@pytest.mark.parametrize("subset", SUBSETS)
def test_it_starts_at_the_ratio_of_gaussians(subset: list[int]) -> None:
    """To the least variance, 1e-4, and a row less in variances."""
    theta, c = pairs(2_000)
    made = MarginalRatio(RatioMLP(D, CONTEXT + D), D, CONTEXT).eval()
    made.start(theta, c, torch.ones(len(theta)))
    made.gaussian.scale.fill_(1.0)
    made.prior.scale.fill_(1.0)
    theta, c = theta[:100], c[:100]
    mean = c @ made.gaussian.slope.t() + made.gaussian.offset[:, 0]
    covariance = made.gaussian.covariance[subset][:, subset].numpy()
    left = (theta - mean)[:, subset].numpy()
    exact = stats.multivariate_normal(np.zeros(len(subset)), covariance).logpdf(left)
    covariance = np.cov(pairs(2_000)[0][:, subset].numpy().T)
    mean = pairs(2_000)[0][:, subset].mean(0)
    exact -= stats.multivariate_normal(mean, covariance).logpdf(theta[:, subset].numpy())
    with torch.no_grad():
        got = made.marginal(subset)(theta[:, subset], c).numpy()
    np.testing.assert_allclose(got, exact, rtol=1e-3, atol=0.02)


def test_what_is_left_out_does_not_count_and_each_row_has_its_own_mask(
    ratio: MarginalRatio,
) -> None:
    theta, c = pairs(len(SUBSETS))
    with torch.no_grad():
        together = ratio(theta, c, MASKS)
        other = ratio(theta + 100 * (1 - MASKS), c, MASKS)
        alone = [
            ratio.marginal(subset)(theta[[i]][:, subset], c[[i]])
            for i, subset in enumerate(SUBSETS)
        ]
        whole = ratio(theta, c)
    torch.testing.assert_close(together, other, rtol=0, atol=1e-5)
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-4)
    assert together[-1] == pytest.approx(whole[-1].item(), abs=1e-4)
    assert len(together.unique()) == len(SUBSETS)


def test_many_theta_at_a_context_are_as_one_by_one_under_the_mask_of_the_row(
    ratio: MarginalRatio,
) -> None:
    theta, c = pairs(len(SUBSETS))
    many = torch.stack([theta, theta.flip(0), 2 * theta])
    with torch.no_grad():
        together = LogRatio(ratio, c).masked(MASKS)(many)
        alone = torch.stack([LogRatio(ratio, c).masked(MASKS)(one) for one in many])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_in_training_there_is_one_ratio_for_each_member() -> None:
    theta, c = pairs(len(SUBSETS))
    made = MarginalRatio(RatioMLP(D, CONTEXT + D), D, CONTEXT)
    made.start(*pairs(500), torch.ones(500))
    expected = made.eval()(theta, c, MASKS)
    got = made.train()(torch.stack([theta, theta]), c, MASKS)
    assert got.shape == (2, 2, len(SUBSETS))
    torch.testing.assert_close(got, expected.expand(2, 2, -1), rtol=1e-4, atol=1e-4)


def test_gradients_are_those_of_finite_differences(ratio: MarginalRatio) -> None:
    made = ratio.double()
    theta, c = (t[:3].double().requires_grad_() for t in pairs(3))
    mask = MASKS[[1, 4, 6]].double()
    assert torch.autograd.gradcheck(lambda theta, c: made(theta, c, mask), (theta, c))
    ratio.float()


def test_only_a_marginal_ratio_has_marginals() -> None:
    with pytest.raises(TypeError, match="network must be a MarginalRatio.*RatioMLP"):
        ConditionalRatio(RatioMLP(2, 2), nn.Flatten()).marginal([0])
