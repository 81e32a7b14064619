"""The fused spline is zuko's, in values and derivatives, and survives what overflows there."""

from functools import partial
from itertools import permutations

import numpy as np
import pytest
import torch
import zuko
from torch import Tensor
from zuko.transforms import MonotonicRQSTransform

from sksbi.nn import RationalQuadraticTransform
from sksbi.nn.spline import BOUND, invert_spline, spline
from sksbi.utils.random import borrowed_global_generator

SETS, BINS, D, N = 2, 6, 3, 40
OUTSIDE = torch.tensor([-1e30, -1e4, -7.5, -5.5, 5.5, 7.5, 1e4, 1e30], dtype=torch.float64)


def case(bins: int = BINS, size: float = 2.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw parameters, and values of which about one in ten is outside of the box."""
    source = torch.Generator().manual_seed(seed)
    like = {"generator": source, "dtype": torch.float64}
    parameters = size * torch.randn(SETS, 3 * bins - 1, D, N, **like)
    return parameters, 3 * torch.randn(SETS, D, N, **like)


def zukos(parameters: Tensor, bound: float = BOUND) -> MonotonicRQSTransform:
    """Build zuko's transform of the same parameters."""
    bins = (parameters.shape[1] + 1) // 3
    return MonotonicRQSTransform(
        *parameters.movedim(1, -1).split([bins, bins, bins - 1], dim=-1), bound=bound
    )


def gradients(outputs: tuple, inputs: tuple, seed: int = 7) -> tuple[Tensor, ...]:
    """Go back from each output alone and from both, with weights drawn at random."""
    source = torch.Generator().manual_seed(seed)
    draw = partial(torch.randn, generator=source, dtype=torch.float64)
    weights = [draw(o.shape).to(o.dtype) for o in outputs]
    sums = [(w * o).sum() for w, o in zip(weights, outputs, strict=True)]
    sums.append(sum(sums))
    return tuple(g for s in sums for g in torch.autograd.grad(s, inputs, retain_graph=True))


def one_by_one(parameters: Tensor, x: Tensor, bound: float = BOUND) -> tuple[Tensor, Tensor]:
    """Apply the spline with every value in a row of its own, for log-derivatives without sums."""
    flat = parameters.flatten(2)[:, :, None], x.flatten(1)[:, None]
    return tuple(t.reshape(x.shape) for t in spline(*flat, bound))


def with_gradients(parameters: Tensor, x: Tensor, bound: float = BOUND) -> tuple[Tensor, ...]:
    """Compute values, log-derivatives and all gradients."""
    inputs = parameters.detach().requires_grad_(), x.detach().requires_grad_()
    outputs = spline(*inputs, bound)
    return *(o.detach() for o in outputs), *gradients(outputs, inputs)


@pytest.mark.usefixtures("_either_library")
@pytest.mark.parametrize("bins", [1, 2, BINS])
@pytest.mark.parametrize("bound", [BOUND, 1.5])
@pytest.mark.parametrize("size", [0.0, 0.3, 3.0])
def test_values_and_gradients_are_zukos(bins: int, bound: float, size: float) -> None:
    """Float64 resolves 1e-16; slopes up to 1e3 and bins down to 1e-4 cost six digits at most."""
    parameters, x = (t.requires_grad_() for t in case(bins, size))
    expected = zukos(parameters, bound).call_and_ladj(x)
    got = one_by_one(parameters, x, bound)
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    for ours, theirs in zip(
        gradients(got, (parameters, x)), gradients(expected, (parameters, x)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.usefixtures("_either_library")
@pytest.mark.parametrize("bins", [1, 2, BINS])
def test_gradients_are_those_of_finite_differences(bins: int) -> None:
    parameters, x = case(bins, 1.0)
    inputs = parameters[..., :4].requires_grad_(), x[..., :4].requires_grad_()
    assert torch.autograd.gradcheck(spline, inputs)


def test_a_second_derivative_is_refused_and_not_wrong() -> None:
    parameters, x = (t.requires_grad_() for t in case())
    loss = spline(parameters, x)[0].square().sum()
    (first,) = torch.autograd.grad(loss, x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


@pytest.mark.usefixtures("_either_library")
def test_the_log_derivative_is_the_log_of_the_derivative() -> None:
    parameters, x = case()
    y, ladj = spline(parameters, x.requires_grad_())
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(ladj, slope.log().sum(1), rtol=1e-10, atol=1e-10)
    assert ladj.abs().max() > 1


@pytest.mark.usefixtures("_either_library")
@pytest.mark.parametrize("size", [0.3, 3.0])
def test_it_inverts_both_ways(size: float) -> None:
    """An error of 1e-15 in one grows by a slope of up to 1e3 in the other, twice over a root."""
    parameters, x = case(size=size)
    there = spline(parameters, x)[0]
    torch.testing.assert_close(invert_spline(parameters, there), x, rtol=1e-9, atol=1e-9)
    back = invert_spline(parameters, x)
    torch.testing.assert_close(spline(parameters, back)[0], x, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(back, zukos(parameters).inv(x), rtol=1e-9, atol=1e-9)
    assert (there - x).abs().max() > 0.5


@pytest.mark.usefixtures("_either_library")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_outside_of_the_box_it_is_the_identity(dtype: torch.dtype) -> None:
    """In units of the box, positions are rounded to eps, and slopes by eps over a bin's width."""
    parameters = case()[0][..., : len(OUTSIDE)].to(dtype).requires_grad_()
    x = OUTSIDE.to(dtype).expand(SETS, D, -1).clone().requires_grad_()
    y, ladj = one_by_one(parameters, x)
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(y, x, rtol=4 * eps, atol=10 * BOUND * eps)
    torch.testing.assert_close(ladj, torch.zeros_like(x), rtol=0, atol=1e4 * eps)
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    unit = torch.autograd.grad((weights * y).sum(), x, retain_graph=True)[0]
    torch.testing.assert_close(unit, weights, rtol=2 * eps, atol=0)
    none, parameters_none = torch.autograd.grad(ladj.sum(), (x, parameters), retain_graph=True)
    assert not none.any()
    assert not parameters_none.any()
    back = invert_spline(parameters, x)
    torch.testing.assert_close(back, x, rtol=4 * eps, atol=10 * BOUND * eps)


@pytest.mark.usefixtures("_either_library")
def test_parameters_have_no_gradient_outside_of_the_box() -> None:
    """The box ends at fixed points: up to rounding, nothing outside moves with a parameter."""
    parameters = case()[0][..., : len(OUTSIDE)].requires_grad_()
    y, _ = spline(parameters, OUTSIDE.expand(SETS, D, -1))
    (gradient,) = torch.autograd.grad(y.sum(), parameters)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-13)


@pytest.mark.usefixtures("_either_library")
@pytest.mark.parametrize("end", [-BOUND, BOUND])
def test_it_is_continuous_at_the_bounds_and_so_is_its_slope(end: float) -> None:
    """Over 2e-9, y moves by that, and the log-slope by 2e-9 times its own slope, below 1e5 here."""
    parameters = case()[0][..., :2]
    x = (end + torch.tensor([-1e-9, 1e-9], dtype=torch.float64)).expand(SETS, D, 2)
    y, ladj = one_by_one(parameters[..., :1].expand(-1, -1, -1, 2), x)
    torch.testing.assert_close(y, x, rtol=0, atol=1e-12)
    torch.testing.assert_close(ladj, torch.zeros_like(x), rtol=0, atol=2e-4)
    exactly = torch.full((SETS, D, 2), end, dtype=torch.float64)
    torch.testing.assert_close(spline(parameters, exactly)[0], exactly, rtol=0, atol=1e-14)


def extreme(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Draw parameters of any size, and ascending values with the knots among them."""
    source = torch.Generator().manual_seed(3)
    sizes = 10.0 ** torch.arange(-2, 5)
    raw = torch.randn(len(sizes), 3 * BINS - 1, D, 1, generator=source, dtype=torch.float64)
    signs = sizes[:, None, None, None] * torch.where(raw.abs() > 0.5, raw.sign(), raw)
    parameters = torch.cat([signs, -signs]).to(dtype)
    inner = zukos(parameters.double()).horizontal[:, :, 0].to(dtype)
    line = torch.linspace(-5.5, 5.5, 331, dtype=dtype).expand(len(parameters), D, -1)
    ends = OUTSIDE.to(dtype).expand(len(parameters), D, -1)
    x = torch.cat([inner, line, ends], dim=-1).sort(dim=-1).values
    return parameters.expand(-1, -1, -1, x.shape[-1]), x


@pytest.mark.usefixtures("_either_library")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extremes_are_finite_and_in_order(dtype: torch.dtype) -> None:
    parameters, x = extreme(dtype)
    results = with_gradients(parameters, x)
    assert all(r.isfinite().all() for r in results)
    y, ladj = results[:2]
    # Steps of 1/30 and slopes down to 1e-9 are beyond float32: there rounding may turn the order.
    eps = torch.finfo(dtype).eps
    assert (y.diff(dim=-1) >= -10 * BOUND * eps).all()
    if dtype == torch.float64:
        assert (y.diff(dim=-1)[x.diff(dim=-1) > 0.03] > 0).all()
    # With s between 1e-3 and 1e3, and d likewise at most, the least slope is about 2 s^2 / d.
    assert ladj.abs().max() < D * (3 * np.log(1e3) + np.log(BINS))
    assert invert_spline(parameters, y).isfinite().all()
    inverse = invert_spline(parameters, x)
    assert inverse.isfinite().all()
    if dtype == torch.float64:
        assert (inverse.diff(dim=-1) >= -1e3 * eps).all()


@pytest.mark.usefixtures("_either_library")
def test_at_the_knots_the_two_sides_agree() -> None:
    """Values, slopes and log-slopes are continuous there: 1e-9 beside, within 1e-9 times 1e5."""
    parameters, _ = case()
    knots = zukos(parameters).horizontal[..., 1:-1].movedim(-1, 0)
    heights = zukos(parameters).vertical[..., 1:-1].movedim(-1, 0)
    slopes = zukos(parameters).derivatives[..., 1:-1].movedim(-1, 0)
    for x, y, slope in zip(knots, heights, slopes, strict=True):
        for beside in (-1e-9, 0.0, 1e-9):
            value, ladj = one_by_one(parameters, x + beside)
            torch.testing.assert_close(value, y, rtol=0, atol=1e-6)
            torch.testing.assert_close(ladj, slope.log(), rtol=0, atol=1e-4)
        torch.testing.assert_close(spline(parameters, x)[0], y, rtol=0, atol=1e-13)


@pytest.mark.usefixtures("_either_library")
def test_float32_is_float64_rounded() -> None:
    """Rounding of 6e-8 in the box of 10 moves y by 1e-6, and more by the slope, below 50 here."""
    parameters, x = case(size=1.0)
    exact, rounded = with_gradients(parameters, x), with_gradients(parameters.float(), x.float())
    assert all(r.dtype == torch.float32 for r in rounded)
    for a, b in zip(exact[:2], rounded[:2], strict=True):
        torch.testing.assert_close(b.double(), a, rtol=1e-5, atol=5e-5)
    for a, b in zip(exact[2:], rounded[2:], strict=True):
        torch.testing.assert_close(b.double(), a, rtol=1e-3, atol=1e-3 * a.abs().max().item())
    back = invert_spline(parameters.float(), x.float())
    assert back.dtype == torch.float32
    torch.testing.assert_close(back.double(), invert_spline(parameters, x), rtol=0, atol=2e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_torch_computes_what_numpy_does(dtype: torch.dtype, use_torch) -> None:
    """The same operations in the same order, but for sums and exponentials: some ulps."""
    parameters, x = (t.to(dtype) for t in case(size=1.0))
    numpys = *with_gradients(parameters, x), invert_spline(parameters, x)
    use_torch()
    torchs = *with_gradients(parameters, x), invert_spline(parameters, x)
    eps = torch.finfo(dtype).eps
    for a, b in zip(numpys, torchs, strict=True):
        scale = max(1.0, a.abs().max().item())
        torch.testing.assert_close(a, b, rtol=1e3 * eps, atol=1e3 * eps * scale)


@pytest.mark.usefixtures("_either_library")
def test_the_layout_in_memory_is_of_no_account() -> None:
    parameters, x = case(3, 1.0)
    expected = *with_gradients(parameters, x), invert_spline(parameters, x)
    for axes in permutations(range(4)):
        order = np.argsort(axes).tolist()
        strided = parameters.permute(axes).contiguous().permute(order)
        turned = x.permute(2, 0, 1).contiguous().permute(1, 2, 0)
        for values in (x, turned):
            got = *with_gradients(strided, values), invert_spline(strided, values)
            for a, b in zip(got, expected, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("_either_library")
def test_inputs_stay_as_they_are() -> None:
    parameters, x = case()
    before = parameters.clone(), x.clone()
    with_gradients(parameters, x), invert_spline(parameters, x)
    assert torch.equal(parameters, before[0])
    assert torch.equal(x, before[1])


@pytest.mark.parametrize("transform", ["values", "inverse"])
@pytest.mark.parametrize("shape", [(), (1,), (D,), (N, D), (7, 1, D), (7, N, 1), (7, N, D)])
def test_shapes_broadcast_as_zukos(shape: tuple, transform: str) -> None:
    source = torch.Generator().manual_seed(0)
    parts = [torch.randn(N, D, k, generator=source, dtype=torch.float64) for k in (5, 5, 4)]
    x = 3 * torch.randn(shape, generator=source, dtype=torch.float64)
    ours, theirs = RationalQuadraticTransform(*parts), MonotonicRQSTransform(*parts)
    if transform == "inverse":
        torch.testing.assert_close(ours.inv(x), theirs.inv(x), rtol=1e-9, atol=1e-9)
        inputs = *parts, x
        for t in inputs:
            t.requires_grad_()
        got, expected = (
            gradients((kind(*parts).inv(x),), inputs)
            for kind in (RationalQuadraticTransform, MonotonicRQSTransform)
        )
        for a, b in zip(got, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-7)
        return
    expected = theirs.call_and_ladj(x)
    for got in (ours.call_and_ladj(x), (ours(x), ours.log_abs_det_jacobian(x, ours(x)))):
        for a, b in zip(got, expected, strict=True):
            torch.testing.assert_close(a, b.expand(a.shape), rtol=1e-10, atol=1e-10)
            assert a.shape == torch.broadcast_shapes(shape, (N, D))


def test_draws_of_zukos_flow_have_gradients() -> None:
    flow = zuko.flows.MAF(
        2, 3, transforms=1, univariate=RationalQuadraticTransform, shapes=[(4,), (4,), (3,)]
    )
    flow(torch.zeros(3)).rsample((10,)).sum().backward()
    assert all(p.grad is not None for p in flow.parameters())


def test_one_spline_without_a_batch_is_zukos() -> None:
    parts = [torch.randn(k, generator=torch.Generator().manual_seed(0)) for k in (5, 5, 4)]
    x = torch.linspace(-6, 6, 9)
    got, expected = (k(*parts)(x) for k in (RationalQuadraticTransform, MonotonicRQSTransform))
    torch.testing.assert_close(got, expected)


def test_sizes_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="K, K and K - 1 entries, got 8, 7 and 8"):
        RationalQuadraticTransform(torch.zeros(8), torch.zeros(7), torch.zeros(8))


def test_gradients_of_broadcast_parameters_are_summed() -> None:
    source = torch.Generator().manual_seed(0)
    parts = [torch.randn(D, k, generator=source, dtype=torch.float64) for k in (5, 5, 4)]
    x = 3 * torch.randn(N, D, generator=source, dtype=torch.float64)
    inputs = *(p.requires_grad_() for p in parts), x.requires_grad_()
    for a, b in zip(
        gradients(RationalQuadraticTransform(*parts).call_and_ladj(x), inputs),
        gradients(MonotonicRQSTransform(*parts).call_and_ladj(x), inputs),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("bound", [5.0, 2.0])
def test_its_bound_is_zukos(bound: float) -> None:
    source = torch.Generator().manual_seed(0)
    parts = [torch.randn(N, k, generator=source, dtype=torch.float64) for k in (5, 5, 4)]
    x = 3 * torch.randn(N, generator=source, dtype=torch.float64)
    expected = MonotonicRQSTransform(*parts, bound=bound)(x)
    got = RationalQuadraticTransform(*parts, bound=bound)(x)
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)


def test_inside_zukos_flow_it_has_the_density_of_its_own_transform() -> None:
    with borrowed_global_generator(0):
        theirs = zuko.flows.NSF(2, 3, transforms=2, hidden_features=(16,)).double()
        ours = zuko.flows.MAF(
            2,
            3,
            transforms=2,
            hidden_features=(16,),
            univariate=RationalQuadraticTransform,
            shapes=[(8,), (8,), (7,)],
        ).double()
        with torch.no_grad():
            for parameter in theirs.parameters():
                parameter += 0.3 * torch.randn_like(parameter)
        c, theta = torch.randn(N, 3).double(), 2 * torch.randn(N, 2).double()
    ours.load_state_dict(theirs.state_dict())
    log_p = [flow(c).log_prob(theta) for flow in (ours, theirs)]
    torch.testing.assert_close(*log_p, rtol=1e-10, atol=1e-10)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        got, expected = (
            torch.autograd.grad(p.sum(), q, retain_graph=True)[0]
            for p, q in zip(log_p, (a, b), strict=True)
        )
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-8)
    with torch.no_grad():
        backs = [flow(c).transform.inv(theta) for flow in (ours, theirs)]
        torch.testing.assert_close(*backs, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(ours(c).transform(backs[0]), theta, rtol=1e-8, atol=1e-8)
