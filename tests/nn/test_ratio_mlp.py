"""RatioMLP against plain perceptrons beside Gaussians, and its start against the exact ratio."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sksbi.nn import RatioMLP
from sksbi.utils.random import borrowed_global_generator

D, C, N, K = 2, 3, 5, 4


def built(members: int = 3, *, seed: int = 0, **options: object) -> RatioMLP:
    """Build a network in double precision whose every weight is random."""
    with borrowed_global_generator(seed):
        network = RatioMLP(D, C, members, **{"hidden_features": (8, 6)} | options).double()
        for parameter in network.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return network


def points(*shape: int, seed: int = 0) -> Tensor:
    """Draw points."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


THETA, CONTEXT = points(N, D), points(N, C, seed=1)


def member_by_hand(network: RatioMLP, e: int, theta: Tensor, c: Tensor) -> Tensor:
    """Compute one member's log-ratios by plain matrices, row by row."""
    hidden = network.first_theta.shape[1]
    first = network.first_context[e * hidden : (e + 1) * hidden]
    root = network.root[e]
    slope = network.linear_context[e * D : (e + 1) * D]
    result = []
    for t, row in zip(theta, c, strict=True):
        h = network.first_theta[e] @ t + first @ row + network.biases[0][e, :, 0]
        for weight, bias in zip(network.weights, list(network.biases)[1:], strict=True):
            h = weight[e] @ network.activation(h) + bias[e, :, 0]
        z = root @ t - slope @ row - network.offset[e, :, 0]
        result.append(h[0] - 0.5 * z @ z + 0.5 * t @ t)
    return torch.stack(result)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("hidden", [(8,), (8, 6), (8, 6, 4)])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_members_are_separate_perceptrons_beside_gaussians(
    members: int, hidden: tuple[int, ...], activation: type[nn.Module]
) -> None:
    network = built(members, hidden_features=hidden, activation=activation)
    by_hand = torch.stack([member_by_hand(network, e, THETA, CONTEXT) for e in range(members)])
    torch.testing.assert_close(network.train()(THETA, CONTEXT), by_hand)
    mixture = by_hand.exp().mean(0).log()
    torch.testing.assert_close(network.eval()(THETA, CONTEXT), mixture)


def test_the_mixture_of_huge_log_ratios_is_the_largest_less_the_logarithm_of_members() -> None:
    network = built().eval()
    network.biases[-1].data[:, 0, 0] = torch.tensor([1e5, 0.0, -1e5])
    expected = member_by_hand(network, 0, THETA, CONTEXT) - math.log(3)
    torch.testing.assert_close(network(THETA, CONTEXT), expected)


@pytest.mark.parametrize("training", [True, False])
def test_many_theta_at_once_are_as_many_calls(training: bool) -> None:
    network, theta = built().train(training), points(K, N, D, seed=2)
    together = network(theta, CONTEXT)
    assert together.shape == ((3, K, N) if training else (K, N))
    apart = torch.stack([network(t, CONTEXT) for t in theta], dim=-2)
    torch.testing.assert_close(together, apart)


@pytest.mark.parametrize("training", [True, False])
def test_rows_do_not_see_each_other(training: bool) -> None:
    network = built().train(training)
    apart = [network(THETA[[i]], CONTEXT[[i]]) for i in range(N)]
    torch.testing.assert_close(network(THETA, CONTEXT), torch.cat(apart, dim=-1))


@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_finite_differences(training: bool) -> None:
    network = built(2, hidden_features=(4, 3), activation=nn.Tanh).train(training)
    names, values = zip(*network.named_parameters(), strict=True)

    def log_ratio(theta: Tensor, c: Tensor, *values: Tensor) -> Tensor:
        parameters = dict(zip(names, values, strict=True))
        return torch.func.functional_call(network, parameters, (theta, c))

    inputs = (points(2, N, D), CONTEXT.clone(), *(v.detach().clone() for v in values))
    assert torch.autograd.gradcheck(log_ratio, [t.requires_grad_() for t in inputs])


def test_every_weight_of_every_member_gets_a_gradient() -> None:
    network = built().train()
    network(THETA, CONTEXT).square().sum().backward()
    for parameter in network.parameters():
        for part in parameter.grad.reshape(3, -1):
            assert part.abs().sum() > 0


def test_a_new_network_knows_nothing_of_x_and_its_members_differ() -> None:
    with borrowed_global_generator(0):
        network = RatioMLP(D, C, members=4).eval()
    # |theta|^2 less |theta|^2, each rounded.
    assert network(THETA.float(), CONTEXT.float()).abs().max() < 1e-5
    for parameter in (network.first_theta, network.weights[0], network.biases[1]):
        assert len(parameter.detach().flatten(1).unique(dim=0)) == 4


MIX = torch.tensor([[1.0, 0.5], [-0.3, 2.0], [0.8, 0.8]]).double()
NOISE = torch.tensor([0.5, 1.0, 0.7]).double()


def linear_gaussian(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Simulate theta ~ N(0, 1) and x = MIX theta + noise."""
    theta = points(n, D, seed=seed)
    return theta, theta @ MIX.T + NOISE * points(n, C, seed=seed + 1)


def exact_log_ratio(theta: Tensor, x: Tensor) -> Tensor:
    """Compute log p(x | theta) - log p(x)."""
    covariance = MIX @ MIX.T + torch.diag(NOISE**2)
    marginal = torch.distributions.MultivariateNormal(torch.zeros(C).double(), covariance)
    return torch.distributions.Normal(theta @ MIX.T, NOISE).log_prob(x).sum(1) - marginal.log_prob(
        x
    )


@pytest.mark.parametrize("n", [1_000, 16_000])
def test_it_starts_at_the_exact_ratio_of_a_linear_gaussian_model(n: int) -> None:
    """
    But for the errors of a regression.

    A variance v, of a posterior, has the relative standard error sqrt(2 / n) and the ridge's bias
    0.001 / v, and a mean the squared error (C + 1) / n in units of v; log r is off by half of the
    first times z^2 - 1, of variance 2, and by the second times z.
    """
    with borrowed_global_generator(0):
        network = RatioMLP(D, C, members=2, hidden_features=(8,)).eval()
    theta, x = linear_gaussian(n, 0)
    network.start(theta.float(), x.float(), torch.ones(n))
    theta, x = linear_gaussian(2_000, 10)
    error = network(theta.float(), x.float()) - exact_log_ratio(theta, x)
    precision = torch.eye(D) + MIX.T @ torch.diag(NOISE**-2) @ MIX
    least_variance = 1 / torch.linalg.eigvalsh(precision).max()
    variance_error = 2 / n + (1e-3 / least_variance) ** 2
    expected = D * (variance_error / 2 + (C + 1) / n)
    assert error.square().mean() < 3 * expected


def test_it_starts_the_same_wherever_a_perceptron_began() -> None:
    theta, x = linear_gaussian(500, 0)
    results = []
    for seed in (0, 1):
        with borrowed_global_generator(seed):
            network = RatioMLP(D, C, hidden_features=(8,)).eval()
        network.start(theta.float(), x.float(), torch.ones(500))
        results.append(network(theta.float(), x.float()))
    torch.testing.assert_close(*results)


def test_weights_in_the_start_count_like_repeated_rows() -> None:
    """But for the degrees of freedom, as repeated rows are more: n is 1,000 and not 3,000."""
    theta, x = (t.float() for t in linear_gaussian(1_000, 0))
    counts = 1 + 4 * (theta[:, 0] > 0).long()
    network = RatioMLP(D, C, hidden_features=(8,)).eval()
    again = copy.deepcopy(network)
    network.start(theta, x, counts / counts.float().mean())
    again.start(
        torch.repeat_interleave(theta, counts, dim=0),
        torch.repeat_interleave(x, counts, dim=0),
        torch.ones(int(counts.sum())),
    )
    torch.testing.assert_close(network.offset, again.offset, rtol=0, atol=0.02)
    torch.testing.assert_close(network.linear_context, again.linear_context, rtol=0.01, atol=0.02)
    plain = copy.deepcopy(network)
    plain.start(theta, x, torch.ones(1_000))
    assert (plain.offset - network.offset).abs().max() > 0.05


@pytest.mark.parametrize("columns", ["constant", "twins", "more than rows"])
def test_it_starts_on_features_that_a_regression_cannot_tell_apart(columns: str) -> None:
    theta, x = (t.float() for t in linear_gaussian(50, 0))
    if columns == "constant":
        x[:, 0] = 1.0
    elif columns == "twins":
        x = torch.cat([x, x], dim=1)
    else:
        x = torch.cat([x, points(50, 80).float()], dim=1)
    network = RatioMLP(D, x.shape[1], hidden_features=(8,)).eval()
    network.start(theta, x, torch.ones(50))
    assert all(p.isfinite().all() for p in network.parameters())
    assert network(theta, x).isfinite().all()


def test_a_start_leaves_no_row_at_a_vanishing_density() -> None:
    """Outliers of theta widen the Gaussian until they are at five standard deviations."""
    theta, x = (t.float() for t in linear_gaussian(2_000, 0))
    theta[0] = torch.tensor([40.0, -40.0])
    network = RatioMLP(D, C, hidden_features=(8,)).eval()
    network.start(theta, x, torch.ones(2_000))
    mean = network.contexts(x)[1][0]
    z = network.root[0] @ theta.t() - mean
    assert z.abs().max() < 5 * (1 + 1e-4)


def test_its_state_is_all_of_it() -> None:
    network = built().eval()
    again = built(seed=1).eval()
    again.load_state_dict(network.state_dict())
    np.testing.assert_array_equal(
        network(THETA, CONTEXT).detach().numpy(), again(THETA, CONTEXT).detach().numpy()
    )
