"""The criterion of all marginals: which subsets a loss is taken of, and with which partners."""

import pytest
import torch
from torch import Tensor, nn

from sksbi.losses import BalancedBinaryCrossEntropy, Contrastive, NegativeLogLikelihood
from sksbi.losses.masked import MaskedCriterion
from sksbi.nn import LogRatio, MarginalFlow, MarginalRatio, RatioMLP
from sksbi.utils.masks import Masks
from sksbi.utils.random import borrowed_global_generator

N, D, CONTEXT = 40, 3, 2
MASKS = Masks("by_size", ["a", "b", "c"])


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Draw normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


THETA, C = normal(N, D), normal(N, CONTEXT, seed=1)


def made(criterion: nn.Module, masks: Masks = MASKS) -> MaskedCriterion:
    """Build the criterion, with a seed."""
    with borrowed_global_generator(0):
        return MaskedCriterion(criterion, masks)


class Recorded:
    """An output that notes what it is asked for."""

    def __init__(self) -> None:
        self.masks: list[Tensor] = []

    def masked(self, mask: Tensor) -> "Recorded":
        self.masks.append(mask)
        return self

    def log_prob(self, theta: Tensor) -> Tensor:
        return theta.sum(1)


def test_masks_are_new_at_each_step_and_the_same_in_each_evaluation() -> None:
    criterion, output = made(NegativeLogLikelihood()), Recorded()
    for _ in range(2):
        criterion.train()(output, THETA)
    for _ in range(2):
        criterion.eval()(output, THETA)
    first, second, *evaluated = output.masks
    assert not torch.equal(first, second)
    assert torch.equal(torch.stack(evaluated[:4]), torch.stack(evaluated[4:]))
    assert len({tuple(mask.flatten().tolist()) for mask in evaluated[:4]}) == 4
    assert first.shape == evaluated[0].shape == (N, D)


def test_losses_are_those_of_the_marginals() -> None:
    with borrowed_global_generator(0):
        flow = MarginalFlow(D, CONTEXT).eval()
    output, recorded, criterion = flow(C), Recorded(), made(NegativeLogLikelihood()).eval()
    with torch.no_grad():
        got = criterion(output, THETA)
        criterion(recorded, THETA)
        for i in range(N):
            subsets = [masks[i].nonzero()[:, 0].tolist() for masks in recorded.masks]
            alone = [flow.marginal(s)(C[[i]]).log_prob(THETA[[i]][:, s]).item() for s in subsets]
            assert got[i].item() == pytest.approx(-sum(alone) / len(alone), abs=1e-4)


@pytest.mark.parametrize("criterion", [Contrastive(), BalancedBinaryCrossEntropy()])
def test_all_theta_of_an_x_have_its_mask(criterion: nn.Module) -> None:
    """With one mask for all rows, the loss is the criterion's own of the marginal ratio."""
    with borrowed_global_generator(0), torch.no_grad():
        network = MarginalRatio(RatioMLP(D, CONTEXT + D), D, CONTEXT).eval()
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    network.start(THETA, C, torch.ones(N))
    weight = torch.rand(N, generator=torch.Generator().manual_seed(2))
    listed = Masks([["a", "c"]], ["a", "b", "c"])
    listed.listed = [[0, 2]]
    masked = made(criterion, listed).eval()
    assert masked.takes_weights
    with torch.no_grad():
        got = masked(LogRatio(network, C), THETA, weight)
        expected = criterion.eval()(LogRatio(network.marginal([0, 2]), C), THETA[:, [0, 2]], weight)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    assert got.std() > 0
