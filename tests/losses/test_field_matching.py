"""The losses of vector fields: least at the field that is exact, and what the papers say."""

import math

import pytest
import torch
from torch import Tensor

from sksbi.losses import FlowMatching, ScoreMatching

MEAN, SD = 0.4, 0.5


class ExactField:
    """The field between a normal theta and noise, stretched by a factor."""

    def __init__(self, factor: float = 1.0, offset: float = 0.0) -> None:
        self.factor, self.offset = factor, offset

    def whiten(self, theta: Tensor) -> Tensor:
        """Leave theta as it is."""
        return theta

    def __call__(self, w: Tensor, phi: Tensor) -> Tensor:
        """Take the mean of -sin(phi) theta + cos(phi) z given w."""
        cos, sin = phi.cos()[:, None], phi.sin()[:, None]
        gain = (cos * sin - cos * sin * SD**2) / (cos**2 * SD**2 + sin**2)
        return self.factor * (-sin * MEAN + gain * (w - cos * MEAN)) + self.offset


@pytest.mark.parametrize("criterion", [FlowMatching(), FlowMatching(0.0), ScoreMatching()])
def test_the_exact_field_has_the_least_loss(criterion: torch.nn.Module) -> None:
    theta = MEAN + SD * torch.randn(20_000, 1, generator=torch.Generator().manual_seed(0))
    criterion = criterion.eval()
    exact = criterion(ExactField(), theta)
    for other in (ExactField(0.8), ExactField(1.2), ExactField(1, 0.1), ExactField(1, -0.1)):
        worse = criterion(other, theta) - exact
        assert worse.mean() > 4 * worse.std() / len(theta) ** 0.5


@pytest.mark.parametrize("power", [-0.5, 0.0, 1.0])
def test_times_have_the_power_law(power: float) -> None:
    u = torch.linspace(0.001, 0.999, 999).double()
    phi = FlowMatching(power).angles(u)
    s = phi.tan() / (1 + phi.tan())  # the distance 1 - t to theta
    torch.testing.assert_close(s ** (1 + power), u, atol=1e-6, rtol=0)


def test_on_the_line_the_error_is_that_of_flow_matching() -> None:
    generator = torch.Generator().manual_seed(0)
    theta, z = (torch.randn(100, 1, generator=generator) for _ in range(2))
    t = torch.rand(100, generator=generator)[:, None]
    phi, size = torch.atan2(1 - t, t), torch.hypot(1 - t, t)
    point = (1 - t) * z + t * theta
    v = ExactField(0.7)(point / size, phi[:, 0])
    # d/dt of the point is made of its change along the circle, and that of its size.
    rate, growth = -1 / size**2, (2 * t - 1) / size
    on_line = growth * point / size + size * rate * v
    on_circle = (-phi.sin() * theta + phi.cos() * z - v).square()
    weights = FlowMatching().weights(phi[:, 0])
    torch.testing.assert_close((theta - z - on_line).square(), weights[:, None] * on_circle)


def test_noise_levels_are_log_normal() -> None:
    u = (torch.arange(2000) + 0.5).double() / 2000
    levels = ScoreMatching(-0.7, 1.2).angles(u).tan().log()
    assert abs(float(levels.mean()) + 0.7) < 5e-3
    assert abs(float(levels.std()) - 1.2) < 5e-3


def test_in_evaluation_it_is_the_same_in_every_call() -> None:
    theta = torch.randn(50, 1)
    criterion = FlowMatching()
    first, second = (criterion(ExactField(), theta) for _ in range(2))
    assert not torch.equal(first, second)
    criterion.eval()
    assert torch.equal(criterion(ExactField(), theta), criterion(ExactField(), theta))


def test_opposite_noise_makes_gradients_quieter_near_theta() -> None:
    # Of the exact field at a small angle the single errors have a variance of about one, and the
    # gradient for the offset, the mean error, would have a standard error of sqrt(2 n) / n.
    class Near(FlowMatching):
        def angles(self, u: Tensor) -> Tensor:
            return torch.full_like(u, 0.01)

    offset = torch.zeros(1, requires_grad=True)
    theta = MEAN + SD * torch.randn(500, 1)
    Near(n_angles=1)(ExactField(1.0, offset), theta).mean().backward()
    assert abs(float(offset.grad)) < 0.1 * 2 * math.sqrt(1 / 1000)


def test_bad_options_are_refused() -> None:
    for make, match in (
        (lambda: FlowMatching(-1.0), "power"),
        (lambda: FlowMatching(n_angles=0), "n_angles"),
        (lambda: ScoreMatching(sd=0.0), "sd"),
        (lambda: ScoreMatching(mean="a"), "mean"),
    ):
        with pytest.raises((ValueError, TypeError), match=match):
            make()
