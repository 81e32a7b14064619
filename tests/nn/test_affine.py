"""The affine transform is zuko's, in values and derivatives."""

import pytest
import torch
from torch import Tensor
from zuko.transforms import MonotonicAffineTransform

from sksbi.nn.affine import affine, invert_affine, unsquashed

SETS, D, N = 2, 3, 40

pytestmark = pytest.mark.usefixtures("_either_library")


def case(size: float = 1.0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Draw parameters and values."""
    source = torch.Generator().manual_seed(0)
    parameters = size * torch.randn(SETS, 2, D, N, generator=source, dtype=torch.float64)
    x = 3 * torch.randn(SETS, D, N, generator=source, dtype=torch.float64)
    return parameters.to(dtype), x.to(dtype)


@pytest.mark.parametrize("size", [0.0, 1.0, 100.0])
def test_values_and_gradients_are_zukos(size: float) -> None:
    inputs = tuple(t.requires_grad_() for t in case(size))
    y, ladj = affine(*inputs)
    zuko = MonotonicAffineTransform(*inputs[0].unbind(1))
    expected_y, expected_ladj = zuko.call_and_ladj(inputs[1])
    torch.testing.assert_close(y, expected_y)
    torch.testing.assert_close(ladj, expected_ladj.sum(1))
    weight, weights = torch.rand_like(ladj), torch.rand_like(y)
    got = torch.autograd.grad((weights * y).sum() + (weight * ladj).sum(), inputs)
    loss = (weights * expected_y).sum() + (weight[:, None] * expected_ladj).sum()
    for a, b in zip(got, torch.autograd.grad(loss, inputs), strict=True):
        torch.testing.assert_close(a, b)


def test_gradients_are_those_of_finite_differences() -> None:
    parameters, x = case()
    inputs = parameters[..., :4].requires_grad_(), x[..., :4].requires_grad_()
    assert torch.autograd.gradcheck(affine, inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_inverse_inverts(dtype: torch.dtype) -> None:
    """y is rounded at its own size, which the inverse divides by the scale, here at least 0.05."""
    parameters, x = case(1.0, dtype)
    y, _ = affine(parameters, x)
    atol = 20 * torch.finfo(dtype).eps * y.abs().max().item()
    assert affine(parameters, x)[1].abs().min() > 0
    torch.testing.assert_close(invert_affine(parameters, y), x, rtol=0, atol=atol)


def test_no_scale_is_beyond_a_thousand() -> None:
    parameters, x = torch.tensor([0.0, 1e30]).reshape(1, 2, 1, 1), torch.ones(1, 1, 1)
    for sign, scale in ((1, 1e3), (-1, 1e-3)):
        torch.testing.assert_close(affine(sign * parameters, x)[0].item(), scale, rtol=1e-4, atol=0)


def test_a_log_scale_is_found_again() -> None:
    log_scale = torch.linspace(-6.5, 6.5, 11, dtype=torch.float64)
    parameters = torch.stack([torch.zeros(11), unsquashed(log_scale)])[None, :, None]
    ladj = affine(parameters.double(), torch.zeros(1, 1, 11, dtype=torch.float64))[1]
    torch.testing.assert_close(ladj[0], log_scale)
