"""Functions theta -> log r, whatever network is behind them, and networks by name."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from sksbi.nn import MLP, ConditionalRatio, RatioMLP, build_ratio_network, ratio_network_names
from sksbi.nn.ratio import LogRatio

D, C, N, K = 2, 3, 5, 7


def points(*shape: int, seed: int = 0) -> Tensor:
    """Draw points."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


THETA, MANY, CONTEXT = points(N, D), points(K, N, D, seed=1), points(N, C, seed=2)


class Product(nn.Module):
    """A user's network, of a known formula; it holds that it is given rows."""

    def __init__(self, features: int = D, context: int = C, scale: float = 1.0) -> None:
        super().__init__()
        self.map = nn.Linear(features, context, bias=False)
        self.scale = scale

    def forward(self, theta: Tensor, c: Tensor) -> Tensor:
        """Compute scale c . (M theta), as a column."""
        assert theta.dim() == c.dim() == 2
        return self.scale * (c * self.map(theta)).sum(1, keepdim=True)


class Flat(Product):
    """The same as a vector."""

    def forward(self, theta: Tensor, c: Tensor) -> Tensor:
        """Compute scale c . (M theta)."""
        return super().forward(theta, c).squeeze(1)


class Broadcasting(Product):
    """The same, of many theta at once."""

    broadcasts = True

    def forward(self, theta: Tensor, c: Tensor) -> Tensor:
        """Compute scale c . (M theta)."""
        return self.scale * (c * self.map(theta)).sum(-1)


class Members(Broadcasting):
    """Two members in training."""

    def forward(self, theta: Tensor, c: Tensor) -> Tensor:
        """Compute scale c . (M theta), and twice that."""
        log_r = super().forward(theta, c)
        return torch.stack([log_r, 2 * log_r]) if self.training else log_r


@pytest.mark.parametrize("network", [Product(), Flat(), Broadcasting()])
@pytest.mark.parametrize("training", [True, False])
def test_a_users_network_gives_one_number_for_every_theta(network: Product, training: bool) -> None:
    log_ratio = LogRatio(network.train(training), CONTEXT)
    matrix = network.map.weight
    torch.testing.assert_close(
        log_ratio(THETA), torch.einsum("nd,cd,nc->n", THETA, matrix, CONTEXT)
    )
    many = torch.einsum("knd,cd,nc->kn", MANY, matrix, CONTEXT)
    torch.testing.assert_close(log_ratio(MANY), many)
    assert log_ratio(THETA).shape == (N,)
    torch.testing.assert_close(log_ratio(MANY[:1]), many[:1])
    one = LogRatio(network, CONTEXT[:1])
    torch.testing.assert_close(one(MANY[:, :1]), many[:, :1])


def test_members_are_in_front_in_training_only() -> None:
    network = Members()
    log_ratio = LogRatio(network.eval(), CONTEXT)
    one, many = log_ratio(THETA), log_ratio(MANY)
    network.train()
    torch.testing.assert_close(log_ratio(THETA), torch.stack([one, 2 * one]))
    torch.testing.assert_close(log_ratio(MANY), torch.stack([many, 2 * many]))


def test_the_embedding_is_flattened_and_computed_once_for_all_theta() -> None:
    calls = []

    class Counting(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            calls.append(len(x))
            return x.square()

    network = Product(context=6)
    ratio = ConditionalRatio(network, Counting())
    images = points(N, 2, 3)
    log_ratio = ratio(images)
    expected = LogRatio(network, images.square().flatten(1))
    torch.testing.assert_close(log_ratio(THETA), expected(THETA))
    torch.testing.assert_close(log_ratio(MANY), expected(MANY))
    torch.testing.assert_close(ratio.at(ratio.embed(images))(THETA), expected(THETA))
    assert calls == [N, N]


def test_only_a_network_that_sees_x_as_it_is_begins_at_the_data() -> None:
    given = []

    class Starting(Product):
        def start(self, theta: Tensor, c: Tensor, weight: Tensor) -> None:
            given.append((theta, c, weight))

    images, weight = points(N, 1, 3), torch.ones(N)
    ConditionalRatio(Starting(), MLP(3, 3)).start(THETA, images, weight)
    ConditionalRatio(Product(), nn.Flatten()).start(THETA, images, weight)
    assert given == []
    ConditionalRatio(Starting(), nn.Flatten()).start(THETA, images, weight)
    ((theta, c, got),) = given
    assert theta is THETA
    assert got is weight
    torch.testing.assert_close(c, images.flatten(1))


@pytest.mark.parametrize("name", ratio_network_names())
def test_every_name_builds_a_network(name: str) -> None:
    network = build_ratio_network(name, D, C, hidden_features=(8,))
    assert network.training
    assert LogRatio(network.eval(), CONTEXT)(MANY).shape == (K, N)


def test_a_name_a_class_a_partial_and_a_factory() -> None:
    assert type(build_ratio_network("mlp", D, C, members=2)) is RatioMLP
    assert build_ratio_network("mlp", D, C, members=2).members == 2
    for network in (Product, partial(Product, scale=4.0)):
        built = build_ratio_network(network, D, C)
        assert type(built) is Product
        assert built.map.weight.shape == (C, D)
        assert built.training
    assert build_ratio_network(Product, D, C, scale=3.0).scale == 3.0
    built = build_ratio_network(lambda features, context, **o: Flat(features, context, **o), 4, 6)
    assert built.map.weight.shape == (6, 4)


def test_a_module_is_copied() -> None:
    module = Product().eval()
    built = build_ratio_network(module, D, C)
    assert built is not module
    assert built.training
    assert not module.training
    assert torch.equal(built.map.weight, module.map.weight)
    assert built.map.weight is not module.map.weight


def no_members(features: int, context: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Give a function, which is no module."""
    return lambda theta, c: theta.sum(1)


@pytest.mark.parametrize(
    ("network", "options", "error", "message"),
    [
        ("mpl", {}, ValueError, r"network must be one of \['mlp'\].*got 'mpl'"),
        (3, {}, TypeError, "network must be one of .*type int: 3"),
        (None, {}, TypeError, "network must be one of .*type NoneType"),
        ("mlp", {"membres": 2}, TypeError, "network='mlp'.*'membres': 2.*module__"),
        (Product, {"scael": 2}, TypeError, r"network\(2, 3\).*'scael': 2.*module__"),
        (lambda: Product(), {}, TypeError, r"cannot be built as network\(2, 3\)"),
        (Product(), {"scale": 2}, TypeError, "a module takes no options, got .*'scale': 2"),
        (nn.Linear(2, 1), {}, ValueError, r"context of shape \(n, 3\).*It said"),
        (Product(4, 3), {}, ValueError, r"theta of shape \(n, 2\).*It said.*shapes"),
        (Product(2, 4), {}, ValueError, r"context of shape \(n, 3\).*It said"),
        (nn.Bilinear(2, 3, 2), {}, ValueError, r"It said: it gives shape \(2, 2\) for two rows"),
        (no_members, {}, ValueError, r"log-ratios of shape \(n,\)"),
    ],
)
def test_what_is_no_network_of_theta_and_a_context_is_refused(
    network: object, options: dict, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        build_ratio_network(network, D, C, **options)
