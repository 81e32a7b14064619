"""Masked networks: nobody sees what comes after, and inversion finds what forward was given."""

import pytest
import torch
from torch import Tensor

from sksbi.nn import RatioMLP, SplineFlow
from sksbi.nn.autoregressive import MaskedNetworks, step_size
from sksbi.utils.random import borrowed_global_generator

MEMBERS, CONTEXT, OUTPUTS, N = 3, 2, 2, 4
ORDERS = [
    [0],
    [0, 1],
    [1, 0],
    [0, 1, 2, 3, 4],
    [4, 3, 2, 1, 0],
    [2, 0, 4, 1, 3],
    [3, 4, 1, 0, 2],
]
WIDTHS = [(1,), (3,), (20,), (3, 20), (20, 3), (16, 16, 16)]


def networks(order: list[int], widths: tuple, context: int = CONTEXT) -> MaskedNetworks:
    """Build networks all of whose weights differ from zero, the masked ones included."""
    with borrowed_global_generator(0):
        made = MaskedNetworks(MEMBERS, torch.tensor(order), context, OUTPUTS, widths)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter += 0.5 * torch.randn_like(parameter)
    return made.double()


def drawn(*shape: int, seed: int = 1) -> Tensor:
    """Draw normal numbers."""
    source = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=source, dtype=torch.float64)


def affine(phi: Tensor, theta: Tensor) -> Tensor:
    """Transform theta."""
    return theta * torch.tanh(phi[:, 1]).exp() + phi[:, 0]


def solve(phi: Tensor, y: Tensor) -> Tensor:
    """Invert the transform."""
    return (y - phi[:, 0]) * (-torch.tanh(phi[:, 1])).exp()


@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_a_feature_sees_those_placed_before_it_in_its_own_row_and_member(
    order: list[int], widths: tuple
) -> None:
    """Summed over 16 points, as at one point many units of a relu are off."""
    made, d = networks(order, widths), len(order)
    seen = torch.zeros(MEMBERS, OUTPUTS, d, N, MEMBERS, d, N, dtype=torch.float64)
    for seed in range(16):
        theta, c = drawn(MEMBERS, d, N, seed=seed), drawn(CONTEXT, N, seed=seed + 100)
        seen += torch.autograd.functional.jacobian(lambda t, c=c: made(t, c), theta).abs()
    places = torch.tensor(order)
    allowed = (places[:, None] > places).double()
    members, rows = torch.eye(MEMBERS).double(), torch.eye(N).double()
    expected = torch.einsum("ij,ef,mn->eimfjn", allowed, members, rows).bool()
    assert torch.equal(seen.sum(1) > 0, expected)


@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_hidden_units_matter_to_all_but_the_first(order: list[int], widths: tuple) -> None:
    """Without the linear map, the multilayer perceptron alone lets each see all before it."""
    made, d = networks(order, widths), len(order)
    with torch.no_grad():
        made.linear.zero_()
    seen = torch.zeros(d, d, dtype=torch.float64)
    for seed in range(40):
        theta, c = drawn(MEMBERS, d, 1, seed=seed), drawn(CONTEXT, 1, seed=seed + 100)
        jacobian = torch.autograd.functional.jacobian(lambda t, c=c: made(t, c), theta)
        seen += jacobian.abs().sum((0, 1, 3, 4, 6))
    places = torch.tensor(order)
    assert not seen[places[:, None] <= places].any()
    # As many units as features, and none is blind to what the masks let it see.
    if min(widths) >= 16:
        assert seen[places[:, None] > places].all()


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_every_feature_sees_the_context_of_its_row(order: list[int]) -> None:
    made, d = networks(order, (20,)), len(order)
    theta = drawn(MEMBERS, d, N)
    jacobian = torch.autograd.functional.jacobian(lambda c: made(theta, c), drawn(CONTEXT, N))
    by_rows = jacobian.abs().sum(-2)
    same = torch.eye(N).bool().expand(by_rows.shape)
    assert by_rows[same].all()
    assert not by_rows[~same].any()


def test_a_member_has_weights_of_its_own() -> None:
    """Changing those of one changes its output and no other's."""
    made = networks([1, 0, 2], (8, 8))
    theta, c = drawn(MEMBERS, 3, N), drawn(CONTEXT, N)
    before = made(theta, c)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.unflatten(0, (MEMBERS, -1))[1] += 0.1
    changed = (made(theta, c) != before).flatten(1).all(1)
    assert changed.tolist() == [False, True, False]


@pytest.mark.parametrize("context", [0, CONTEXT])
@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_inversion_solves_what_forward_computes(
    order: list[int], widths: tuple, context: int
) -> None:
    """Float64 resolves 1e-16; scales of at most e a feature let it grow, 1e3 over five."""
    made = networks(order, widths, context)
    theta, c = drawn(MEMBERS, len(order), N), drawn(context, N)
    with torch.no_grad():
        y = affine(made(theta, c), theta)
        back = made.invert(y, made.contexts(c), solve)
        again = affine(made(back, c), back)
    torch.testing.assert_close(back, theta, rtol=0, atol=1e-10)
    torch.testing.assert_close(again, y, rtol=0, atol=1e-10)
    assert (y - theta).abs().max() > 0.1


def test_solve_is_asked_for_one_feature_after_the_other() -> None:
    """In the order of the places, each with its own parameters."""
    order = [2, 0, 3, 1]
    made, asked = networks(order, (8,)), []
    y, c = drawn(MEMBERS, 4, N), drawn(CONTEXT, N)

    def recorder(phi: Tensor, y: Tensor) -> Tensor:
        asked.append((phi, y))
        return solve(phi, y)

    with torch.no_grad():
        theta = made.invert(y, made.contexts(c), recorder)
        expected = made(theta, c)
    for place, (phi, value) in enumerate(asked):
        feature = order.index(place)
        assert phi.shape == (MEMBERS, OUTPUTS, 1, N)
        torch.testing.assert_close(phi[:, :, 0], expected[:, :, feature], rtol=0, atol=1e-12)
        assert torch.equal(value[:, 0], y[:, feature])
    assert len(asked) == 4


def test_it_begins_constant() -> None:
    """Before training, no output depends on theta or the context: the transform is the identity."""
    with borrowed_global_generator(0):
        made = MaskedNetworks(MEMBERS, torch.arange(3), CONTEXT, OUTPUTS, (8, 8))
    assert not made(drawn(MEMBERS, 3, N).float(), drawn(CONTEXT, N).float()).any()


@pytest.mark.parametrize("context", [1, 64, 65, 10_000])
def test_steps_shrink_beyond_64_columns(context: int) -> None:
    assert step_size(context) == min(1, 64 / context)


@pytest.mark.parametrize("make", [SplineFlow, RatioMLP])
def test_a_step_moves_an_answer_as_far_for_640_alike_columns_as_for_64(make: type) -> None:
    """Adam moves every weight on alike columns the same way, and their sum grows with them."""
    moves = []
    for context in (64, 640):
        with borrowed_global_generator(0):
            net = make(1, context).train()
        c = torch.linspace(-1, 1, 16)[:, None].repeat(1, context)
        theta = torch.linspace(-1, 1, 16)[:, None]

        def answer(net=net, c=c, theta=theta) -> Tensor:
            return net(c).log_prob(theta) if make is SplineFlow else net(theta, c)

        optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
        before = answer()
        before.sum().backward()
        names = ("linear_context", "first")
        for name, p in net.named_parameters():
            wide = p.ndim > 1 and p.shape[-1] == context or any(n in name for n in names)
            p.grad = p.grad.sign() if wide else torch.zeros_like(p)
        optimizer.step()
        moves.append((answer() - before).abs().mean().item())
    assert 0.5 < moves[1] / moves[0] < 2
