"""Vector fields: their divergence, their units, and the densities that follow from them."""

import math

import pytest
import torch
from torch import nn

from sksbi.nn import ConditionalField, VectorField, build_field


def make_field(features: int, context: int = 3, seed: int = 0, size: float = 0.3) -> VectorField:
    """Make a field that is not zero."""
    torch.manual_seed(seed)
    field = VectorField(features, context, hidden_features=(16, 16), members=2).eval()
    with torch.no_grad():
        field.last.normal_(0, size)
        field.linear.normal_(0, 0.1)
        field.linear_context.normal_(0, 0.3)
        field.root[:] = torch.eye(features) + 0.3 * torch.ones(features, features).triu()
        field.slope.normal_()
        field.offset.normal_()
    return field


@pytest.mark.parametrize("features", [1, 2, 5])
def test_the_divergence_is_that_of_autograd(features: int) -> None:
    field = make_field(features).at(torch.randn(4, 3)).take(torch.tensor([0, 0, 1, 2, 3, 3]))
    w, phi = torch.randn(6, features, requires_grad=True), torch.rand(6) * math.pi / 2
    v, divergence = field.with_divergence(w, phi)
    torch.testing.assert_close(v, field(w, phi))
    jacobians = torch.autograd.functional.jacobian(lambda w: field(w, phi).sum(0), w)
    traces = jacobians.diagonal(dim1=0, dim2=2).sum(-1)
    torch.testing.assert_close(divergence, traces, atol=1e-5, rtol=1e-4)


def test_in_training_every_member_answers() -> None:
    field = make_field(2)
    c, w, phi = torch.randn(5, 3), torch.randn(5, 2), torch.rand(5)
    mean = field.at(c)(w, phi)
    members = field.train().at(c)(w, phi)
    assert members.shape == (2, 5, 2)
    torch.testing.assert_close(members.mean(0), mean)


def test_contexts_go_in_turn_where_places_are_more() -> None:
    field = make_field(2).at(torch.randn(4, 3))
    w, phi = torch.randn(12, 2), torch.rand(12)
    taken = field.take(torch.arange(4).repeat(3))
    torch.testing.assert_close(field(w, phi), taken(w, phi))
    torch.testing.assert_close(field.whiten(w), taken.whiten(w))
    torch.testing.assert_close(field.spread(w, phi), taken.spread(w, phi))


@pytest.mark.parametrize("m", [1, 4])
def test_many_places_are_evaluated_in_parts(m: int, monkeypatch: pytest.MonkeyPatch) -> None:
    field = make_field(2).at(torch.randn(m, 3))
    w, phi = torch.randn(12, 2), torch.rand(12)
    whole, both = field(w, phi), field.with_divergence(w, phi)
    monkeypatch.setattr("sksbi.nn.field._ROWS_PER_PART", 5)
    torch.testing.assert_close(field(w, phi), whole)
    torch.testing.assert_close(field.with_divergence(w, phi), both)


def test_colour_is_the_inverse_of_whiten() -> None:
    field = make_field(4).at(torch.randn(3, 3)).take(torch.tensor([0, 0, 1, 1, 2, 2, 2]))
    theta = torch.randn(7, 4)
    torch.testing.assert_close(field.colour(field.whiten(theta)), theta)
    one = field.take(torch.tensor([3]))
    jacobian = torch.autograd.functional.jacobian(lambda t: one.whiten(t).sum(0), theta[:1])[:, 0]
    torch.testing.assert_close(jacobian.det().abs().log(), field.log_det)


def test_the_disagreement_of_constant_fields_is_a_closed_form() -> None:
    field = VectorField(3, 2, hidden_features=(8,), members=2).eval()
    apart = torch.tensor([1.0, -2.0, 0.5])
    with torch.no_grad():
        field.last_bias[:] = torch.stack([apart, -apart])[..., None]
    density = ConditionalField(field, nn.Flatten()).eval()
    found = density.disagreement(torch.randn(5, 16, 3), torch.randn(5, 2))
    # The members are apart from their mean by the same vector at all angles from .01 on.
    expected = -math.log(0.01) * apart.square().sum()
    torch.testing.assert_close(found, expected.expand(5))
    with torch.no_grad():
        field.last_bias[:] = 1.0
    assert (density.disagreement(torch.randn(5, 16, 3), torch.randn(5, 2)) == 0).all()


def test_a_field_of_zero_is_the_gaussian_of_a_regression() -> None:
    generator = torch.Generator().manual_seed(0)
    c = torch.randn(5000, 2, generator=generator)
    noise = torch.randn(5000, 2, generator=generator) @ torch.tensor([[0.5, 0.3], [0.0, 0.2]])
    theta = 0.5 * c + noise
    density = ConditionalField(VectorField(2, 2), nn.Flatten())
    density.start(theta, c, torch.ones(5000))
    density.eval()
    covariance = torch.tensor([[0.25, 0.15], [0.15, 0.13]])
    exact = torch.distributions.MultivariateNormal(0.5 * c[:50], covariance)
    found = density.log_prob(theta[:50], c[:50])
    # 5,000 rows tell log-densities to about sqrt(parameters / n) = .04.
    assert (found - exact.log_prob(theta[:50])).abs().max() < 0.2
    rows = torch.zeros(20_000, dtype=torch.long)
    draws = density.draw(c[:1], rows, torch.Generator().manual_seed(1))
    torch.testing.assert_close(draws.T.cov(), covariance, atol=0.01, rtol=0)


def test_a_linear_field_has_the_gaussian_that_its_flow_leads_to() -> None:
    torch.manual_seed(0)
    field = VectorField(2, 1, hidden_features=(8,), members=1)
    rate = torch.tensor([[0.4, 0.5], [-0.3, -0.2]])
    with torch.no_grad():
        field.linear[0] = rate
    density = ConditionalField(field, nn.Flatten()).eval().double()
    # w at pi/2 is the exponential of the rate times w at 0, and there it is standard normal.
    flow = torch.matrix_exp(rate.double() * math.pi / 2)
    exact = torch.distributions.MultivariateNormal(
        torch.zeros(2).double(), precision_matrix=flow.T @ flow
    )
    theta, c = torch.randn(100, 2).double(), torch.zeros(100, 1).double()
    for tolerance in (1e-3, 1e-5, 1e-7):
        solved = density.solved_to(tolerance, 1000)
        error = solved.log_prob(theta, c) - exact.log_prob(theta)
        # Of ten steps at most, each errs by tolerance (1 + |w|), the flow stretches it by its norm,
        # and the log-density has the slope |z|.
        size = torch.linalg.matrix_norm(flow, 2) * (1 + theta.norm(dim=1)) ** 2
        assert (error.abs() < 10 * tolerance * size * torch.linalg.matrix_norm(flow, 2)).all()


@pytest.mark.parametrize("features", [1, 2])
def test_the_density_of_any_field_integrates_to_one(features: int) -> None:
    density = ConditionalField(make_field(features), nn.Flatten()).eval()
    c = torch.randn(1, 3)
    center = density.field.at(c).colour(torch.zeros(1, features))
    n = 400 if features == 1 else 100
    axis = torch.linspace(-8, 8, n)
    grid = torch.cartesian_prod(*[axis] * features).reshape(-1, features) + center
    log_p = density.solved_to(1e-5, 1000).log_prob(grid, c.expand(len(grid), -1))
    total = log_p.double().exp().sum() * (16 / (n - 1)) ** features
    assert abs(float(total) - 1) < 1e-3


def test_draws_follow_the_density() -> None:
    density = ConditionalField(make_field(1, size=0.6), nn.Flatten()).eval()
    c = torch.randn(1, 3)
    n, center = 20_000, density.field.at(c).colour(torch.zeros(1, 1))
    grid = torch.linspace(-10, 10, 2001)[:, None] + center
    density = density.solved_to(1e-5, 1000)
    draws = density.draw(c, torch.zeros(n, dtype=torch.long), torch.Generator().manual_seed(0))
    p = density.log_prob(grid, c.expand(len(grid), -1)).double().exp()
    cdf = (p.cumsum(0) - p / 2) / p.sum()
    empirical = (grid >= draws.sort(0).values.T).double().mean(1)
    # Kolmogorov's bound for a probability of 1e-4.
    assert (empirical - cdf).abs().max() < 2.23 / n**0.5


def test_a_smaller_tolerance_changes_little_and_less() -> None:
    density = ConditionalField(make_field(2), nn.Flatten()).eval()
    density = density.double()
    theta, c = torch.randn(50, 2).double(), torch.randn(50, 3).double()
    exact = density.solved_to(1e-9, 3000).log_prob(theta, c)
    for tolerance in (1e-2, 1e-4, 1e-6):
        error = (density.solved_to(tolerance, 1000).log_prob(theta, c) - exact).abs().mean()
        # Ten steps or more, the field stretches their errors, and log-densities add them up.
        assert 0 < error < 100 * tolerance
    assert density.tolerance == 1e-4


def test_a_wide_context_and_its_small_steps_leave_the_scale_of_the_field() -> None:
    torch.manual_seed(0)
    wide = VectorField(1, 640, hidden_features=(32,), members=1).eval()
    assert wide.step_size == 0.1
    hidden = wide.at(torch.ones(1, 640)).hidden[0]
    assert 0.1 < hidden.std() < 3


@pytest.mark.parametrize("size", [30.0, 1e4, 1e8])
def test_far_contexts_have_finite_draws_that_their_density_knows(size: float) -> None:
    """Networks see hardly more of a context than at eight, however far it is."""
    density = ConditionalField(make_field(2), nn.Flatten()).eval()
    c = size * torch.tensor([[1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]])
    rows = torch.arange(2).repeat_interleave(50)
    draws = density.draw(c, rows, torch.Generator().manual_seed(0))
    log_q = density.log_prob(draws, c[rows])
    assert log_q.isfinite().all()
    # Of draws of about standard normal z, bent by slopes of a few.
    w = density.field.at(c).take(rows).whiten(draws)
    if size < 1e4:  # beyond, float32 rounds theta
        assert w.abs().max() < 30
        assert log_q.min() > -60


def test_the_regression_sees_rows_of_all_of_a_sorted_set() -> None:
    theta = torch.linspace(-1, 1, 45_000)[:, None]
    noise = torch.randn(45_000, 1, generator=torch.Generator().manual_seed(0))
    field = VectorField(1, 1)
    field.start(theta, theta + 0.3 * noise, torch.ones(45_000))
    # Of 20,000 rows the offset is known to 1 / sqrt(20,000) = .007 units of the residuals.
    assert abs(field.offset.item()) < 0.04


def test_a_network_that_is_built_already_is_refused() -> None:
    with pytest.raises(TypeError, match="network must be .*, got a module that is built"):
        build_field(VectorField(1, 1), 1, 1)


@pytest.mark.parametrize(("tolerance", "max_steps"), [(0.0, 10), (-1.0, 10), (1e-3, 0)])
def test_bad_tolerances_are_refused(tolerance: float, max_steps: int) -> None:
    density = ConditionalField(VectorField(1, 1), nn.Flatten())
    with pytest.raises(ValueError, match="tolerance|max_steps"):
        density.solved_to(tolerance, max_steps)
