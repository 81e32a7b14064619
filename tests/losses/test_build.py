"""Criteria by name, and the weighted mean of a batch."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from sksbi.losses import NegativeLogLikelihood, build_criterion, criterion_names
from sksbi.losses.criterion import WeightedMean


class Distance(nn.Module):
    """A user's criterion: |output - theta| ** power, summed over columns."""

    def __init__(self, power: float = 1.0) -> None:
        super().__init__()
        self.power = power

    def forward(self, output: Tensor, theta: Tensor) -> Tensor:
        """Compute one loss a row."""
        return ((output - theta).abs() ** self.power).sum(dim=1)


@pytest.mark.parametrize("name", criterion_names())
def test_every_name_builds_a_module(name: str) -> None:
    assert isinstance(build_criterion(name), nn.Module)


def test_a_name_a_class_and_a_partial() -> None:
    assert isinstance(build_criterion("negative_log_likelihood"), NegativeLogLikelihood)
    assert build_criterion(Distance, power=3.0).power == 3.0
    assert build_criterion(partial(Distance, power=2.0)).power == 2.0


@pytest.mark.parametrize("name", ["nll", ""])
def test_an_unknown_name_is_refused(name: str) -> None:
    rule = f"criterion must be one of .*'negative_log_likelihood'.*got {name!r}"
    with pytest.raises(ValueError, match=rule):
        build_criterion(name)


@pytest.mark.parametrize("criterion", [None, 3])
def test_what_cannot_be_called_is_refused(criterion: object) -> None:
    with pytest.raises(TypeError, match=f"criterion must be .*type {type(criterion).__name__}"):
        build_criterion(criterion)


@pytest.mark.parametrize("criterion", ["negative_log_likelihood", Distance])
def test_a_mistyped_option_is_refused(criterion: object) -> None:
    with pytest.raises(TypeError, match="criterion=.*'powr': 2.*criterion__"):
        build_criterion(criterion, powr=2)


@pytest.mark.parametrize("estimates", ["posterior", "ratio"])
def test_an_option_of_another_loss_is_refused_and_that_loss_is_named(estimates: str) -> None:
    name = next(name for name in criterion_names(estimates) if name != "coverage")
    with pytest.raises(TypeError, match="criterion='coverage' takes these options"):
        build_criterion(name, estimates, strength=2.0)
    with pytest.raises(TypeError, match=r"'powr'$"):
        build_criterion("coverage", estimates, powr=2.0)


def test_the_negative_log_likelihood_is_minus_the_log_density() -> None:
    mean, theta = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    posterior = torch.distributions.Independent(torch.distributions.Normal(mean, 1.0), 1)
    expected = 0.5 * (theta - mean).square().sum(1) + 1.5 * torch.log(torch.tensor(2 * torch.pi))
    torch.testing.assert_close(NegativeLogLikelihood()(posterior, theta), expected)


def test_weights_count_like_repeated_rows() -> None:
    output, theta = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    counts = torch.tensor([0, 1, 2, 5])
    loss = WeightedMean(Distance())
    weighted = loss(output, (theta, counts / 2.0))
    rows = torch.repeat_interleave(torch.arange(4), counts)
    repeated = loss(output[rows], (theta[rows], torch.ones(8)))
    torch.testing.assert_close(weighted, repeated)


def test_a_row_of_weight_zero_gives_no_gradient() -> None:
    output = torch.zeros(2, 1, requires_grad=True)
    WeightedMean(Distance())(output, (torch.ones(2, 1), torch.tensor([0.0, 2.0]))).backward()
    torch.testing.assert_close(output.grad, torch.tensor([[0.0], [-1.0]]))


@pytest.mark.parametrize("estimates", ["nonsense", "", 3, None, ["ratio"], {}])
def test_what_is_estimated_is_one_of_four(estimates):
    rule = r"estimates must be one of \['field', 'likelihood', 'posterior', 'ratio'\]"
    with pytest.raises(ValueError, match=rule):
        criterion_names(estimates)
    with pytest.raises(ValueError, match=rule):
        build_criterion("binary", estimates)
