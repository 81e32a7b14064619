"""The solver, against equations with known solutions."""

import math

import pytest
import torch
from torch import Tensor

from sksbi.nn.solver import integrate


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6])
def test_the_error_is_within_what_its_steps_may_make(tolerance: float) -> None:
    rates = torch.linspace(-3, 1, 9, dtype=torch.double)[:, None]
    y, late = integrate(
        lambda t, y, rows: rates[rows] * y, torch.ones_like(rates), 0.0, 2.0, tolerance=tolerance
    )
    # Each step errs by tolerance (1 + |y|) at most, and an error grows by exp(rate * time).
    bound = 20 * tolerance * (1 + (2 * rates).exp()) * (2 * rates.clamp(min=0)).exp()
    assert ((y - (2 * rates).exp()).abs() < bound).all()
    assert late == 0


def test_time_goes_down_as_it_goes_up() -> None:
    there, _ = integrate(_turning, torch.eye(2).double(), 0.0, 3.0, tolerance=1e-8)
    back, _ = integrate(_turning, there, 3.0, 0.0, tolerance=1e-8)
    angle = torch.tensor(4.5).double()
    exact = torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()]).reshape(2, 2)
    torch.testing.assert_close(there, exact, atol=1e-6, rtol=0)
    torch.testing.assert_close(back, torch.eye(2).double(), atol=1e-6, rtol=0)


def _turning(t: Tensor, y: Tensor, rows: Tensor) -> Tensor:
    """Turn with the time as its speed."""
    return t[:, None] * torch.stack([-y[:, 1], y[:, 0]], dim=1)


def test_every_row_has_steps_of_its_own() -> None:
    seen = torch.zeros(2)

    def slope(t: Tensor, y: Tensor, rows: Tensor) -> Tensor:
        seen[rows] += 1
        return torch.where(rows == 0, -1.0, -200.0)[:, None].double() * y

    y, _ = integrate(slope, torch.ones(2, 1).double(), 0.0, 1.0, tolerance=1e-4)
    assert abs(float(y[0]) - math.exp(-1)) < 1e-3
    assert abs(float(y[1])) < 1e-3
    assert seen[1] > 4 * seen[0]


def test_a_row_alone_gives_what_it_gives_among_others() -> None:
    rates = torch.tensor([[-1.0], [-50.0], [0.5]])

    def slope(some: Tensor) -> Tensor:
        return integrate(lambda t, y, rows: some[rows] * y, torch.ones_like(some), 0.0, 1.0)[0]

    together = slope(rates)
    for i in range(3):
        assert torch.equal(slope(rates[i : i + 1]), together[i : i + 1])


def test_the_work_is_bounded_and_late_rows_are_counted() -> None:
    calls = []

    def slope(t: Tensor, y: Tensor, rows: Tensor) -> Tensor:
        calls.append(len(rows))
        return torch.where(rows == 1, 1e6, 1.0)[:, None] * (t[:, None] * 1e3).cos()

    y, late = integrate(slope, torch.zeros(3, 1), 0.0, 1.0, tolerance=1e-3, max_steps=20)
    assert late >= 1
    assert len(calls) <= 1 + 6 * (20 + 10)
    assert torch.isfinite(y).all()


def test_slopes_that_are_no_numbers_end() -> None:
    y, late = integrate(lambda t, y, rows: y * torch.nan, torch.ones(2, 1), 0.0, 1.0, max_steps=5)
    assert late == 2
    assert torch.isnan(y).all()


def test_no_rows_are_no_work() -> None:
    y, late = integrate(lambda t, y, rows: y, torch.ones(0, 2), 0.0, 1.0)
    assert y.shape == (0, 2)
    assert late == 0
