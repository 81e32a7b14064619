"""The losses of ratio estimation: the papers' formulas, and the minimum at the exact log-ratio."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import Tensor

from sksbi.losses import (
    BalancedBinaryCrossEntropy,
    BalancedContrastive,
    BinaryCrossEntropy,
    Contrastive,
    CoverageContrastive,
    PairedCriterion,
    build_criterion,
    criterion_names,
)
from sksbi.losses.balanced import imbalance
from sksbi.losses.criterion import WeightedMean
from sksbi.losses.pairing import draw_partners

CRITERIA = {
    "binary": BinaryCrossEntropy(),
    "binary, five": BinaryCrossEntropy(n_marginal=5),
    "balanced": BalancedBinaryCrossEntropy(),
    "balanced, five": BalancedBinaryCrossEntropy(penalty=3.0, n_marginal=5),
    "contrastive": Contrastive(),
    "contrastive, two": Contrastive(n_contrastive=2, gamma=7.0),
    "contrastive, one": Contrastive(n_contrastive=1, gamma=0.2),
    "balanced contrastive": BalancedContrastive(),
    "balanced contrastive, two": BalancedContrastive(penalty=3.0, n_contrastive=2, gamma=0.2),
}
# The expectation of a squared mean holds the variance of the mean: a small penalty keeps the
# minimum of the expected loss of a batch within a tenth of a standard error of the exact ratio.
SMALL = {
    "binary": BinaryCrossEntropy(),
    "binary, five": BinaryCrossEntropy(n_marginal=5),
    "balanced": BalancedBinaryCrossEntropy(penalty=1.0, n_marginal=2),
    "contrastive": Contrastive(),
    "contrastive, gamma": Contrastive(n_contrastive=4, gamma=5.0),
    "balanced contrastive": BalancedContrastive(penalty=1.0, n_contrastive=4),
    "coverage": CoverageContrastive(),
    "coverage, strong": CoverageContrastive(strength=50.0, n_contrastive=8),
}
WEIGHT = torch.tensor([0.5, 2.0, 1.0, 1.5, 0.1, 0.9])
SD = 0.5
BATCHES, ROWS = 40, 500

every_criterion = pytest.mark.parametrize("criterion", CRITERIA.values(), ids=CRITERIA)
every_small_criterion = pytest.mark.parametrize("criterion", SMALL.values(), ids=SMALL)


class Table:
    """Log-ratios from a table of x by theta, where theta is the number of a column."""

    def __init__(self, table: Tensor) -> None:
        self.table = table

    def __call__(self, theta: Tensor) -> Tensor:
        self.columns = theta[..., 0].long()
        return self.table[torch.arange(len(self.table)), self.columns]


def evaluated(
    criterion: PairedCriterion, table: Tensor, weight: Tensor | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute losses (n,), and the log-ratios of own (n,) and other theta (K, n) in them."""
    log_ratio = Table(table)
    losses = criterion.eval()(log_ratio, torch.arange(float(len(table)))[:, None], weight)
    used = table[torch.arange(len(table)), log_ratio.columns].double().numpy()
    return losses.detach().double().numpy(), used[0], used[1:]


def random_table(n: int = 6, scale: float = 3.0) -> Tensor:
    """Give log-ratios that mean nothing."""
    return scale * torch.randn(n, n, generator=torch.Generator().manual_seed(0)).double()


def binary(joint: np.ndarray, marginal: np.ndarray) -> np.ndarray:
    """Compute the loss of Hermans et al., 2020, algorithm 1."""
    return -np.log(expit(joint)) - np.log(1 - expit(marginal)).mean(axis=0)


def contrastive(joint: np.ndarray, marginal: np.ndarray, gamma: float) -> np.ndarray:
    """Compute the loss of Miller et al., 2022, equations 5 to 8."""
    k = len(marginal)
    independent, one_own = np.exp(marginal), np.exp([*marginal[:-1], joint])
    q_none = k / (k + gamma * independent.sum(axis=0))
    q_own = gamma * np.exp(joint) / (k + gamma * one_own.sum(axis=0))
    return -np.log(q_none) / (1 + gamma) - gamma / (1 + gamma) * np.log(q_own)


def balance(joint: np.ndarray, marginal: np.ndarray, weight: Tensor | None) -> float:
    """Compute the penalty of Delaunoy et al., 2022, equation 5, without its factor."""
    weights = None if weight is None else weight.numpy()
    sums = expit(joint) + expit(marginal).mean(axis=0)
    return (np.average(sums, weights=weights) - 1) ** 2


def by_hand(
    criterion: PairedCriterion, joint: np.ndarray, marginal: np.ndarray, weight: Tensor | None
) -> np.ndarray:
    """Compute a criterion from the papers' formulas."""
    if isinstance(criterion, BinaryCrossEntropy | BalancedBinaryCrossEntropy):
        losses = binary(joint, marginal)
    else:
        losses = contrastive(joint, marginal, criterion.gamma)
    return losses + getattr(criterion, "penalty", 0.0) * balance(joint, marginal, weight)


@every_criterion
@pytest.mark.parametrize("weight", [None, WEIGHT.double()], ids=["alike", "weighted"])
def test_losses_are_those_of_the_papers(criterion: PairedCriterion, weight: Tensor | None) -> None:
    losses, joint, marginal = evaluated(criterion, random_table(), weight)
    assert len(marginal) == min(criterion.n_marginal, 5)
    np.testing.assert_allclose(losses, by_hand(criterion, joint, marginal, weight), rtol=1e-10)


def test_one_against_one_is_half_of_the_binary_loss() -> None:
    single, _, _ = evaluated(Contrastive(n_contrastive=1), random_table())
    pair, _, _ = evaluated(BinaryCrossEntropy(), random_table())
    np.testing.assert_allclose(single, pair / 2, rtol=1e-12)


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("gamma", [0.3, 1.0, 20.0])
def test_a_useless_ratio_costs_the_entropy_of_the_answer(k: int, gamma: float) -> None:
    """The answer is none with probability 1 / (1 + gamma), else any of K alike."""
    losses, _, _ = evaluated(Contrastive(n_contrastive=k, gamma=gamma), torch.zeros(6, 6))
    p = np.array([1.0, *[gamma / k] * k]) / (1 + gamma)
    expected = -p[0] * np.log(p[0]) - (1 - p[0]) * np.log(p[1])
    np.testing.assert_allclose(losses, expected, rtol=1e-6)


@every_criterion
@pytest.mark.parametrize("weight", [None, WEIGHT.double()], ids=["alike", "weighted"])
def test_gradients_are_finite_differences(
    criterion: PairedCriterion, weight: Tensor | None
) -> None:
    theta = torch.arange(6.0)[:, None]
    table = random_table(scale=1.0).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda table: criterion.eval()(Table(table), theta, weight), (table,)
    )


@every_criterion
@pytest.mark.parametrize("own", [-1e4, 1e4])
@pytest.mark.parametrize("other", [-1e4, 1e4])
def test_huge_log_ratios_have_finite_losses_and_gradients(
    criterion: PairedCriterion, own: float, other: float
) -> None:
    table = torch.full((6, 6), other).fill_diagonal_(own).requires_grad_()
    losses = criterion.eval()(Table(table), torch.arange(6.0)[:, None])
    losses.mean().backward()
    assert losses.isfinite().all()
    assert table.grad.isfinite().all()
    if own > other:
        cost = getattr(criterion, "penalty", 0.0) * (expit(own) + expit(other) - 1) ** 2
        torch.testing.assert_close(losses, torch.full((6,), cost), rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def batches() -> list[tuple[Tensor, Tensor]]:
    """Simulate theta ~ N(0, 1) and x ~ N(theta, SD ** 2) in batches."""
    normal = torch.randn(2, BATCHES, ROWS, generator=torch.Generator().manual_seed(0)).double()
    theta = normal[0]
    return list(zip(theta, theta + SD * normal[1], strict=True))


def exact(theta: Tensor, x: Tensor) -> Tensor:
    """Compute log p(x | theta) - log p(x)."""
    conditional = torch.distributions.Normal(theta, SD)
    return conditional.log_prob(x) - torch.distributions.Normal(0, (1 + SD**2) ** 0.5).log_prob(x)


def of_pairs(x: Tensor, function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Fix x in a function of theta and x."""
    return lambda theta: function(theta[..., 0], x)


@every_small_criterion
def test_the_exact_ratio_is_a_stationary_point(criterion: PairedCriterion, batches: list) -> None:
    """A derivative that is zero is, averaged over 40 batches, within 4 of its standard errors."""
    gradients = []
    for theta, x in batches:
        shift = torch.zeros(4, dtype=torch.double, requires_grad=True)

        def perturbed(theta: Tensor, x: Tensor, shift: Tensor = shift) -> Tensor:
            terms = torch.stack([torch.ones_like(theta), theta * x, theta**2, x.expand_as(theta)])
            terms[3] = terms[3] ** 2
            return exact(theta, x) + torch.tensordot(shift, terms, 1)

        loss = criterion.train()(of_pairs(x, perturbed), theta[:, None]).mean()
        gradients.append(torch.autograd.grad(loss, shift)[0])
    gradients = torch.stack(gradients).numpy()
    standard_error = gradients.std(axis=0, ddof=1) / BATCHES**0.5
    assert (standard_error < 0.03).all()
    assert (abs(gradients.mean(axis=0)) < 4 * standard_error).all()


@every_small_criterion
@pytest.mark.parametrize(
    "change",
    [
        lambda r, theta, x: 0.5 * r,
        lambda r, theta, x: 1.5 * r,
        lambda r, theta, x: r - 0.5,
        lambda r, theta, x: r + 0.3 * torch.sin(3 * theta),
    ],
    ids=["flatter", "sharper", "lower", "wavy"],
)
def test_every_other_ratio_has_a_higher_loss(
    criterion: PairedCriterion, change: Callable[[Tensor, Tensor, Tensor], Tensor], batches: list
) -> None:
    def changed(theta: Tensor, x: Tensor) -> Tensor:
        return change(exact(theta, x), theta, x)

    def mean_loss(function: Callable, theta: Tensor, x: Tensor) -> float:
        return criterion.eval()(of_pairs(x, function), theta[:, None]).mean().item()

    excess = [mean_loss(changed, *batch) - mean_loss(exact, *batch) for batch in batches]
    assert np.mean(excess) > 4 * np.std(excess, ddof=1) / BATCHES**0.5


@pytest.mark.parametrize("variance", [1.0, 0.5], ids=["alike", "weighted"])
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_the_exact_ratio_is_balanced_and_a_shifted_one_is_not(
    variance: float, shift: float, batches: list
) -> None:
    """Weights turn the prior N(0, 1) into N(0, variance): p(x) has the variance + SD ** 2."""
    log_x = torch.distributions.Normal(0, (variance + SD**2) ** 0.5).log_prob
    generator = torch.Generator().manual_seed(0)
    distances = []
    for theta, x in batches:
        weight = torch.exp(-0.5 * (1 / variance - 1) * theta**2)
        partners = draw_partners(ROWS, 5, generator, None if variance == 1 else weight)
        own, others = (
            torch.distributions.Normal(t, SD).log_prob(x) - log_x(x) + shift
            for t in (theta, theta[partners])
        )
        distances.append(imbalance(own, others, weight).item())
    standard_error = np.std(distances, ddof=1) / BATCHES**0.5
    assert (abs(np.mean(distances)) < 4 * standard_error) == (shift == 0)


@every_small_criterion
def test_weighted_rows_count_like_repeated_rows(criterion: PairedCriterion) -> None:
    """
    But for partners: among repeated rows, one of K is a copy of the own by 2 K / N at most.

    A copy costs what the own theta does: less than 2 nats more than another one on average.
    """
    generator = torch.Generator().manual_seed(1)
    theta, noise = torch.randn(2, 1200, generator=generator).double()
    x = theta + SD * noise
    counts = 1 + 2 * (theta > 0.5).long()
    rows = torch.repeat_interleave(torch.arange(1200), counts)
    loss = WeightedMean(criterion.train())

    def losses(theta: Tensor, x: Tensor, weight: Tensor) -> np.ndarray:
        target = (theta[:, None], weight)
        return np.array([loss(of_pairs(x, exact), target).item() for _ in range(100)])

    weighted = losses(theta, x, counts / counts.double().mean())
    repeated = losses(theta[rows], x[rows], torch.ones(len(rows)))
    standard_error = np.hypot(weighted.std(ddof=1), repeated.std(ddof=1)) / 10
    slack = 2 * 2 * criterion.n_marginal / len(rows)
    assert abs(weighted.mean() - repeated.mean()) < 4 * standard_error + slack


@pytest.mark.parametrize("name", criterion_names("ratio"))
def test_every_name_builds_its_class(name: str) -> None:
    classes = {
        "balanced": BalancedBinaryCrossEntropy,
        "balanced_contrastive": BalancedContrastive,
        "binary": BinaryCrossEntropy,
        "contrastive": Contrastive,
        "coverage": CoverageContrastive,
    }
    assert type(build_criterion(name, "ratio")) is classes[name]


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("balanced", "penalty"),
        ("balanced_contrastive", "penalty"),
        ("balanced_contrastive", "gamma"),
        ("contrastive", "gamma"),
        ("coverage", "gamma"),
        ("coverage", "strength"),
    ],
)
@pytest.mark.parametrize(
    ("value", "error", "rule"),
    [
        (0.0, ValueError, "must be > 0 .*got 0.0"),
        (-1, ValueError, "must be > 0 .*got -1"),
        (np.inf, ValueError, ".*< inf, got inf"),
        (np.nan, ValueError, ".*got nan"),
        ("1", TypeError, "must be a number, got '1'"),
        (True, TypeError, "must be a number, got True"),
        (None, TypeError, "must be a number, got None"),
    ],
)
def test_an_option_out_of_range_is_named(
    name: str, option: str, value: object, error: type[Exception], rule: str
) -> None:
    with pytest.raises(error, match=f"{option} {rule}"):
        build_criterion(name, "ratio", **{option: value})
