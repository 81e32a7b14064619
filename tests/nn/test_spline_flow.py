"""The ensemble of spline flows: a mixture, draws that agree with it, a start that is exact."""

import math
import pickle
from copy import deepcopy

import numpy as np
import pytest
import torch
from scipy.integrate import cumulative_trapezoid
from scipy.stats import kstest
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from sksbi.nn import MLP, ConditionalDensity, SplineFlow, SplineMixture
from sksbi.nn.spline_flow import transform
from sksbi.utils.random import borrowed_global_generator

CONTEXT = 2
C = torch.tensor([[0.5, -1.0]])


def generator(seed: int = 0) -> torch.Generator:
    """Make a source of noise."""
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Draw normal numbers."""
    return torch.randn(shape, generator=generator(seed))


def disturbed(
    features: int, size: float = 0.15, context: int = CONTEXT, **options: object
) -> SplineFlow:
    """Build a flow whose members are far from their beginning, and from each other."""
    options = {"transforms": 3, "hidden_features": (16,), "bins": 5, "members": 3} | options
    with borrowed_global_generator(0):
        flow = SplineFlow(features, context, **options)
        with torch.no_grad():
            for parameter in flow.parameters():
                parameter += size * torch.randn_like(parameter)
    return flow.eval()


def member_of(flow: SplineFlow, index: int) -> SplineFlow:
    """Take one member out of a flow, as a flow of one."""
    alone = deepcopy(flow)
    for module in alone.modules():
        if hasattr(module, "members"):
            module.members = 1
    for parameter in alone.parameters():
        parameter.data = parameter.data.unflatten(0, (flow.members, -1))[index]
    return alone


# The density.


@pytest.mark.parametrize("features", [1, 2, 4])
def test_it_is_a_mixture_and_in_training_the_mean_of_the_logarithms(features: int) -> None:
    flow = disturbed(features)
    theta, c = normal(20, features), normal(20, CONTEXT, seed=1)
    with torch.no_grad():
        members = torch.stack([member_of(flow, i)(c).log_prob(theta) for i in range(3)])
        mixture, mean = flow(c).log_prob(theta), flow.train()(c).log_prob(theta)
    torch.testing.assert_close(mixture, members.logsumexp(0) - math.log(3), rtol=0, atol=1e-4)
    torch.testing.assert_close(mean, members.mean(0), rtol=0, atol=1e-4)
    assert (mixture > mean + 1e-3).any()
    assert (members.std(0) > 1e-2).all()


@pytest.mark.usefixtures("_either_library")
@pytest.mark.parametrize("training", [False, True])
def test_gradients_are_those_of_finite_differences(training: bool) -> None:
    flow = disturbed(2).double().train(training)
    inputs = tuple(normal(3, k, seed=k).double().requires_grad_() for k in (2, CONTEXT))
    assert torch.autograd.gradcheck(lambda theta, c: flow(c).log_prob(theta), inputs)


def test_in_training_each_member_learns_as_if_alone() -> None:
    flow = disturbed(2).train()
    theta, c = normal(20, 2), normal(20, CONTEXT, seed=1)
    flow(c).log_prob(theta).sum().backward()
    for i in range(3):
        alone = member_of(flow, i)
        alone.zero_grad()
        alone(c).log_prob(theta).sum().backward()
        for ours, its in zip(flow.parameters(), alone.parameters(), strict=True):
            got = 3 * ours.grad.unflatten(0, (3, -1))[i]
            scale = its.grad.abs().max().item() + 1
            torch.testing.assert_close(got, its.grad, rtol=1e-3, atol=1e-4 * scale)


@pytest.mark.parametrize("transforms", [1, 2, 3])
def test_one_parameter_has_a_density_and_draws_come_from_it(transforms: int) -> None:
    """Float32 knows a log-density to 1e-5, and the trapezoidal rule a kinked density to 1e-4."""
    flow, line = disturbed(1, transforms=transforms), torch.linspace(-40, 40, 40_001)
    with torch.no_grad():
        density = flow(C).log_prob(line[:, None]).exp().double().numpy()
    cdf = cumulative_trapezoid(density, line.double().numpy(), initial=0)
    assert cdf[-1] == pytest.approx(1, abs=1e-3)
    assert abs(np.diff(np.log(density[density > 1e-3]), 2)).max() > 1e-6
    draws = flow(C).draw(torch.zeros(5000, dtype=torch.long), generator())[:, 0].numpy()
    assert kstest(draws, lambda t: np.interp(t, line.numpy(), cdf)).pvalue > 1e-3


@pytest.mark.parametrize("transforms", [1, 3])
def test_two_parameters_have_a_density_and_draws_come_from_it(transforms: int) -> None:
    """By first and second moments and the entropy, within five standard errors."""
    flow, n = disturbed(2, transforms=transforms), 20_000
    axis = torch.linspace(-20, 20, 801)
    grid, cell = torch.cartesian_prod(axis, axis), (axis[1] - axis[0]).item() ** 2
    with torch.no_grad():
        log_p = torch.cat([flow(C).log_prob(part) for part in grid.split(50_000)]).double()
        draws = flow(C).draw(torch.zeros(n, dtype=torch.long), generator()).double()
        surprise = -flow(C).log_prob(draws.float()).double()
    p = log_p.exp() * cell
    assert p.sum().item() == pytest.approx(1, abs=2e-3)

    def statistics(theta: Tensor, surprise: Tensor) -> Tensor:
        a, b = theta.double().t()
        return torch.stack([a, b, a * a, a * b, b * b, surprise], dim=1)

    expected = (p[:, None] * statistics(grid, -log_p)).sum(0)
    got = statistics(draws, surprise)
    assert ((got.mean(0) - expected).abs() < 5 * got.std(0) / n**0.5 + 2e-3).all()


def test_draws_are_from_all_members_alike() -> None:
    """Members far apart: the share of each is binomial."""
    flow, n = disturbed(1, size=0.0), 3000
    with torch.no_grad():
        flow.networks[0].biases[-1][:, 0] = torch.tensor([[-20.0], [0.0], [20.0]])
    draws = flow(C).draw(torch.zeros(n, dtype=torch.long), generator())
    shares = torch.stack([(draws - center).abs() < 8 for center in (-20.0, 0.0, 20.0)])
    assert shares.any(0).all()
    standard_error = (n * (1 / 3) * (2 / 3)) ** 0.5
    assert ((shares.sum((1, 2)) - n / 3).abs() < 5 * standard_error).all()


@pytest.mark.parametrize("features", [1, 3])
def test_every_row_has_the_density_of_its_own_context(features: int) -> None:
    flow, theta, c = disturbed(features), normal(5, features), normal(5, CONTEXT, seed=1)
    with torch.no_grad():
        together = flow(c).log_prob(theta)
        apart = torch.cat([flow(c[[i]]).log_prob(theta[[i]]) for i in range(5)])
        several = flow(c).log_prob(torch.stack([theta, theta + 1]))
        assert (flow(c + 1).log_prob(theta) != together).all()
        shifted = flow(c).log_prob(theta + 1)
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-4)
    torch.testing.assert_close(several, torch.stack([together, shifted]), rtol=0, atol=1e-4)


@pytest.mark.parametrize("transforms", [1, 2, 4])
def test_the_log_determinant_is_that_of_the_jacobian(transforms: int) -> None:
    flow = member_of(disturbed(3, transforms=transforms), 1).double()
    c = C.double().t()

    def whole(theta: Tensor) -> Tensor:
        z = theta[None, :, None]
        for network in flow.networks:
            z, _ = transform(network(z, c), z)
        return z[0, :, 0]

    for theta in normal(10, 3).double():
        determinant = torch.linalg.slogdet(torch.autograd.functional.jacobian(whole, theta))
        base = -(whole(theta).square() + math.log(2 * math.pi)).sum() / 2
        got = flow(C.double()).log_prob(theta[None])[0]
        torch.testing.assert_close(got, base + determinant.logabsdet, rtol=0, atol=1e-10)
        assert determinant.sign == 1


@pytest.mark.parametrize("features", [1, 2, 5])
@pytest.mark.parametrize("transforms", [1, 2, 4])
def test_noise_comes_back_from_its_theta(features: int, transforms: int) -> None:
    """Float32 resolves 1e-6 in the box; slopes of some tens let it grow."""
    flow, c = disturbed(features, transforms=transforms), normal(4, CONTEXT, seed=1)
    z, which = normal(3, 50, features), torch.arange(150).reshape(3, 50) % 4
    with torch.no_grad():
        theta = flow.invert(z, which, flow(c).c)
        for e in range(3):
            back = theta[[e]].transpose(1, 2)
            for network in member_of(flow, e).networks:
                back, _ = transform(network(back, c[which[e]].t()), back)
            torch.testing.assert_close(back[0].t(), z[e], rtol=1e-3, atol=2e-3)
    assert (theta - z).abs().max() > 0.1


# Draws.


def test_draws_are_the_generators() -> None:
    flow, rows, c = disturbed(2), torch.arange(40) % 3, normal(3, CONTEXT)
    with borrowed_global_generator(5):
        before = torch.get_rng_state()
        first, again, other = (flow(c).draw(rows, generator(seed)) for seed in (1, 1, 2))
        assert torch.equal(torch.get_rng_state(), before)
        unsown = flow(c).draw(rows, None)
        assert not torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.isclose(first, other).any()
    with borrowed_global_generator(5):
        assert torch.equal(flow(c).draw(rows, None), unsown)


def test_each_row_is_drawn_from_its_own_context() -> None:
    """Theta is the first of the context, up to noise of 0.01: the affine transform says so."""
    flow = disturbed(1, size=0.0, transforms=2)
    contexts = torch.stack([torch.arange(6.0), torch.zeros(6)], dim=1) - 2.5
    data = contexts[torch.arange(6000) % 6]
    flow.start(data[:, :1] + 0.01 * normal(6000, 1), data, torch.ones(6000))
    rows = torch.tensor([5, 0, 0, 3, 2, 5, 5, 1, 4]).repeat(50)
    draws = flow(contexts).draw(rows, generator())
    # The ridge draws slopes of 1 in variance 2.9 towards zero by 0.3 %: 0.01 at 2.5.
    assert ((draws[:, 0] - contexts[rows, 0]).abs() < 0.1).all()
    assert len(draws.unique()) > 440


@pytest.mark.parametrize("shape", [(), (7,), (2, 3)])
def test_samples_have_the_contexts_in_their_last_but_one_axis(shape: tuple) -> None:
    flow = disturbed(1, size=0.0, transforms=2)
    contexts = torch.stack([torch.arange(6.0), torch.zeros(6)], dim=1) - 2.5
    data = contexts[torch.arange(6000) % 6]
    flow.start(data[:, :1] + 0.01 * normal(6000, 1), data, torch.ones(6000))
    with borrowed_global_generator(0):
        draws = flow(contexts).sample(shape)
    assert draws.shape == (*shape, 6, 1)
    assert ((draws - contexts[:, :1]).abs() < 0.1).all()


def test_no_rows_no_draws() -> None:
    assert disturbed(2)(C).draw(torch.zeros(0, dtype=torch.long), generator()).shape == (0, 2)


# The start.


def linear(n: int, d: int = 3, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw theta = A c + noise; give A and the covariance of the noise too."""
    a = torch.tensor([[1.0, 0.5, 0.0, -1.0], [0.3, -0.7, 1.0, 0.0], [0.0, 1.2, -0.4, 0.6]])[:d]
    root = torch.tensor([[0.5, 0.0, 0.0], [0.3, 0.4, 0.0], [-0.2, 0.1, 0.6]])[:d, :d]
    c = normal(n, 4, seed=seed)
    return c @ a.t() + normal(n, d, seed=seed + 1) @ root.t() + 0.7, c, a, root @ root.t()


def untouched(d: int) -> SplineFlow:
    """Build a flow as it begins."""
    return disturbed(d, size=0.0, context=4, transforms=4)


def excess(flow: SplineFlow, d: int, n: int = 20_000) -> tuple[float, float]:
    """Compute how much log-density the flow lacks to the exact posterior, and its error."""
    theta, c, a, covariance = linear(n, d, seed=100)
    exact = MultivariateNormal(c @ a.t() + 0.7, covariance)
    with torch.no_grad():
        lacking = (exact.log_prob(theta) - flow(c).log_prob(theta)).double()
    return lacking.mean().item(), lacking.std().item() / n**0.5


def expected_excess(n: int, d: int) -> float:
    """
    Compute the divergence that a ridge regression on n rows is expected to have.

    Every coefficient, intercept and variance costs 1 / 2n; a ridge r moves coefficients b by
    -r (G + r)^-1 b, where G is the covariance of what is regressed on.
    """
    _, _, a, covariance = linear(1, d)
    joint = torch.eye(d + 4, dtype=torch.float64)
    joint[:d, :d] = (a @ a.t() + covariance).double()
    joint[:d, d:], joint[d:, :d] = a.double(), a.double().t()
    total = 0.0
    for i in range(d):
        known = [*range(i), *range(d, d + 4)]
        gram, along = joint[known][:, known], joint[known, i]
        exact = torch.linalg.solve(gram, along)
        ridge = 0.01 + len(known) / n
        bias = ridge * torch.linalg.solve(gram + ridge * torch.eye(len(known)), exact)
        variance = joint[i, i] - along @ exact
        # Unexplained by the bias, the residuals are wider by so much, which the scale takes up.
        total += 0.5 * math.log1p((bias @ gram @ bias / variance).item()) + (len(known) + 2) / 2 / n
    return total


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("n", [500, 5000])
def test_it_starts_at_the_exact_posterior_of_a_linear_model(n: int, d: int) -> None:
    """The cost is a chi squared / 2n, of six degrees or more: P(three times its mean) < 0.01."""
    flow = untouched(d)
    before, _ = excess(flow, d)
    theta, c, _, _ = linear(n, d)
    flow.start(theta, c, torch.ones(n))
    after, error = excess(flow, d)
    assert -5 * error < after < 3 * expected_excess(n, d) + 5 * error
    assert before > 1
    # A ridge of 0.1 instead of 0.01 costs more than this bound, whatever n and d here.
    assert 3 * expected_excess(n, d) < 0.2


def test_the_start_draws_what_it_says() -> None:
    flow, n = untouched(3), 20_000
    theta, c, a, covariance = linear(20_000)
    flow.start(theta, c, torch.ones(len(theta)))
    at = torch.tensor([[1.0, -1.0, 0.5, 0.0]])
    draws = flow(at).draw(torch.zeros(n, dtype=torch.long), generator())
    # A mean off by s standard deviations costs s^2 / 2 nats, over contexts of unit variance, and a
    # standard deviation off by a factor 1 + t costs t^2.
    cost, scale = expected_excess(20_000, 3), covariance.diagonal().sqrt()
    shift = (draws.mean(0) - at @ a.t() - 0.7) / scale
    assert (shift.abs() < 5 / n**0.5 + at.norm() * (2 * cost) ** 0.5).all()
    difference = (draws.t().cov() - covariance) / (scale[:, None] * scale)
    assert (difference.abs() < 5 * (2 / n) ** 0.5 + 2 * cost**0.5).all()


def test_all_members_start_alike_but_go_their_own_ways() -> None:
    flow = untouched(3)
    theta, c, _, _ = linear(500)
    flow.start(theta, c, torch.ones(500))
    members = [member_of(flow, i) for i in range(3)]
    log_p = torch.stack([m(c).log_prob(theta) for m in members])
    torch.testing.assert_close(log_p, log_p[:1].expand(3, -1), rtol=0, atol=1e-5)
    flow.train()
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        (-flow(c).log_prob(theta).mean()).backward()
        optimizer.step()
    log_p = torch.stack([member_of(flow, i)(c).log_prob(theta) for i in range(3)])
    assert (log_p.std(0) > 1e-6).all()


@pytest.mark.parametrize("kind", ["within", "far off"])
def test_rows_of_weight_zero_are_absent(kind: str) -> None:
    """As many rows again, contradicting the others, change the ridge by 7e-4 and nothing else."""
    theta, c, _, _ = linear(5000)
    other = -theta if kind == "within" else 100 * normal(5000, 3, seed=9)
    both, weight = (
        torch.cat([theta, other]),
        torch.cat([torch.full((5000,), 2.0), torch.zeros(5000)]),
    )
    flow = untouched(3)
    flow.start(theta, c, torch.ones(5000))
    expected = flow(c).log_prob(theta)
    flow.start(both, torch.cat([c, c]), weight)
    torch.testing.assert_close(flow(c).log_prob(theta), expected, rtol=0, atol=0.1)


def test_weights_count_as_repetitions() -> None:
    """But for 4000 rows instead of 6000 in the ridge, 6e-4, and in the degrees of freedom."""
    theta, c, _, _ = linear(4000)
    twice = torch.arange(4000) < 2000
    theta[twice] += 1
    rows, flow = torch.cat([torch.arange(4000), torch.arange(2000)]), untouched(3)
    flow.start(theta[rows], c[rows], torch.ones(6000))
    expected = flow(c).log_prob(theta)
    flow.start(theta, c, torch.where(twice, 4 / 3, 2 / 3))
    # A mean moves by 6e-4 |c| / 0.3, some 0.01 standard deviations, at most four from it.
    torch.testing.assert_close(flow(c).log_prob(theta), expected, rtol=0, atol=0.1)
    flow.start(theta, c, torch.ones(4000))
    assert (flow(c).log_prob(theta) - expected).abs().max() > 0.5


def test_a_row_far_off_with_next_to_no_weight_does_no_harm() -> None:
    """Wide, to take the row into the box, or as without it; in no case sure of what is wrong."""
    theta, c, _, _ = linear(1000, 1)
    flow = untouched(1)
    far = torch.cat([theta, torch.full((1, 1), 1e5)]), torch.cat([c, c[:1]])
    flow.start(*far, torch.cat([torch.ones(1000), torch.full((1,), 1e-9)]))
    spread = flow(c[:1]).draw(torch.zeros(1000, dtype=torch.long), generator()).std()
    # The noise is 0.5 wide.
    assert spread > 0.4


DEGENERATE = {
    "a constant column of c": lambda theta, c: (theta, torch.cat([c, c[:, :1] * 0 + 3], 1)),
    "a column of c twice": lambda theta, c: (theta, torch.cat([c, c[:, :1]], 1)),
    "c constant": lambda theta, c: (theta, c * 0 + 1),
    "a constant parameter": lambda theta, c: (torch.cat([theta, theta[:, :1] * 0 + 2], 1), c),
    "a parameter twice": lambda theta, c: (torch.cat([theta, theta[:, :1]], 1), c),
    "a parameter known": lambda theta, c: (torch.cat([theta, c[:, :1]], 1), c),
    "more columns than rows": lambda theta, c: (theta[:20], normal(20, 50, seed=5)),
    "two rows": lambda theta, c: (theta[:2], c[:2]),
    "no context": lambda theta, c: (theta, c[:, :0]),
}


@pytest.mark.parametrize("degenerate", DEGENERATE.values(), ids=DEGENERATE)
def test_degenerate_columns_give_a_start_all_the_same(degenerate: object) -> None:
    theta, c = degenerate(*linear(300, 2)[:2])
    flow = SplineFlow(theta.shape[1], c.shape[1], transforms=2, hidden_features=(8,), members=2)
    flow.eval().start(theta, c, torch.ones(len(theta)))
    assert all(p.isfinite().all() for p in flow.parameters())
    log_p = flow(c).log_prob(theta)
    assert log_p.isfinite().all()
    draws = flow(c).draw(torch.arange(len(c)), generator())
    assert draws.isfinite().all()
    assert draws.abs().max() < 30


def test_without_an_affine_transform_a_start_changes_nothing() -> None:
    flow = disturbed(3, transforms=1)
    before = deepcopy(flow.state_dict())
    flow.start(*linear(100)[:2], torch.ones(100))
    assert all(torch.equal(v, before[k]) for k, v in flow.state_dict().items())


@pytest.mark.parametrize(
    ("embedding", "starts"), [(nn.Identity(), True), (nn.Flatten(), True), (MLP(4, 4), False)]
)
def test_a_density_starts_only_where_x_reaches_the_flow_as_it_is(
    embedding: nn.Module, starts: bool
) -> None:
    theta, c, _, _ = linear(500)
    density = ConditionalDensity(SplineFlow(3, 4, hidden_features=(8,), members=2), embedding)
    expected = deepcopy(density.flow)
    density.start(theta, c, torch.ones(500))
    if starts:
        expected.start(theta, c, torch.ones(500))
        assert density.flow.networks[0].linear.any()
    for name, value in density.flow.state_dict().items():
        assert torch.equal(value, expected.state_dict()[name])


def test_a_density_whose_flow_cannot_start_is_left_alone() -> None:
    density = ConditionalDensity(nn.Linear(4, 3), nn.Identity())
    before = deepcopy(density.state_dict())
    density.start(*linear(50)[:2], torch.ones(50))
    assert all(torch.equal(v, before[k]) for k, v in density.state_dict().items())


# The rest.


@pytest.mark.parametrize("copy", [deepcopy, lambda flow: pickle.loads(pickle.dumps(flow))])
def test_a_copy_has_the_density_and_the_draws(copy: object) -> None:
    flow, theta, c = disturbed(3), normal(5, 3), normal(5, CONTEXT, seed=1)
    expected = flow(c).log_prob(theta), flow(c).draw(torch.arange(5), generator())
    copied = copy(flow)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter += 1
    assert torch.equal(copied(c).log_prob(theta), expected[0])
    assert torch.equal(copied(c).draw(torch.arange(5), generator()), expected[1])


def test_weights_alone_make_the_density_again() -> None:
    flow, theta, c = disturbed(3), normal(5, 3), normal(5, CONTEXT, seed=1)
    other = disturbed(3, size=0.3)
    assert (other(c).log_prob(theta) != flow(c).log_prob(theta)).all()
    other.load_state_dict(flow.state_dict())
    assert torch.equal(other(c).log_prob(theta), flow(c).log_prob(theta))


@pytest.mark.parametrize("context", [0, CONTEXT])
@pytest.mark.parametrize("features", [1, 3])
def test_untrained_it_is_standard_normal(features: int, context: int) -> None:
    flow = SplineFlow(features, context)
    theta, c = 2 * normal(10, features), normal(10, context, seed=1)
    posterior = flow(c)
    assert isinstance(posterior, SplineMixture)
    expected = -(theta.square() + math.log(2 * math.pi)).sum(1) / 2
    torch.testing.assert_close(posterior.log_prob(theta), expected, rtol=1e-5, atol=1e-5)
    assert (posterior.batch_shape, posterior.event_shape) == ((10,), (features,))


def test_every_parameter_learns() -> None:
    """But for the first layer's weights on features of the same place or later."""
    flow, theta, c = disturbed(3).train(), normal(200, 3), normal(200, CONTEXT, seed=1)
    flow(c).log_prob(theta).sum().backward()
    for network in flow.networks:
        for i, weight in enumerate(network.weights):
            is_masked = (getattr(network, f"mask_{i}") == 0).expand_as(weight)
            assert not weight.grad[is_masked].any()
            assert (weight.grad[~is_masked] != 0).float().mean() > 0.9
        for parameter in (network.first, network.linear_context, *network.biases):
            assert (parameter.grad != 0).float().mean() > 0.9


def test_far_values_have_a_finite_density_and_gradient() -> None:
    flow = disturbed(3)
    theta = torch.tensor([[1e4, -1e4, 1e4], [-1e3, 0.0, 1e3]]).requires_grad_()
    log_p = flow(C.repeat(2, 1)).log_prob(theta)
    log_p.sum().backward()
    assert log_p.isfinite().all()
    assert theta.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in flow.parameters())
    assert (log_p < -1e4).all()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"transforms": 0}, "transforms must be an int >= 1, got 0"),
        ({"bins": -2}, "bins must be an int >= 2, got -2"),
        ({"bins": 2.5}, "bins must be an int >= 2, got 2.5"),
        ({"members": 0}, "members must be an int >= 1, got 0"),
        ({"members": True}, "members must be an int >= 1, got True"),
        ({"members": "2"}, "members must be an int >= 1, got '2'"),
        ({"hidden_features": ()}, r"hidden_features must be a sequence .*got \(\)"),
        ({"hidden_features": 64}, r"hidden_features must be a sequence .*got 64"),
        ({"hidden_features": (8, 0)}, "every width in hidden_features must be an int >= 1, got 0"),
        ({"hidden_features": [3.5]}, "every width in hidden_features must be an int >= 1, got 3.5"),
    ],
)
def test_bad_sizes_are_refused(options: dict, match: str) -> None:
    with pytest.raises((TypeError, ValueError), match=match):
        SplineFlow(2, 1, **options)


def test_a_flow_in_float64_draws_in_float64() -> None:
    flow = disturbed(2).double()
    draws = flow(C.double()).draw(torch.tensor([0, 2]), generator())
    assert draws.dtype == torch.float64
