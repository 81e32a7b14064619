"""The penalty on coverage: the integral it stands for, no bias, and what it does to a fit."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from sksbi import NPE, NRE
from sksbi.losses import CoverageContrastive, CoverageLogLikelihood, NegativeLogLikelihood
from sksbi.losses.contrastive import contrastive_losses
from sksbi.losses.coverage import miscoverage
from sksbi.losses.criterion import WeightedMean
from sksbi.metrics import expected_coverage
from sksbi.nn import SplineFlow

SD, ROWS = 0.5, 60


class WithoutGradient(Distribution):
    """A distribution whose draws have no gradient."""

    has_rsample = False

    def __init__(self, inner: Distribution) -> None:
        super().__init__(inner.batch_shape, inner.event_shape, validate_args=False)
        self.inner = inner

    def sample(self, shape: torch.Size = ()) -> Tensor:
        return self.inner.sample(shape)

    def log_prob(self, theta: Tensor) -> Tensor:
        return self.inner.log_prob(theta)


def normal(sd: float | Tensor, n: int = ROWS) -> Distribution:
    """Give n posteriors, the same for all."""
    return Independent(Normal(torch.zeros(n, 1), sd * torch.ones(n, 1)), 1)


def pairs_of(alpha: np.ndarray, weight: np.ndarray) -> float:
    """Estimate the integral of (P(alpha <= t) - t)^2 without bias, pair by pair."""
    weights = np.outer(weight, weight)
    np.fill_diagonal(weights, 0.0)
    grid = (np.arange(20_000) + 0.5) / 20_000
    beyond = (alpha[:, None] <= grid) - grid
    return float((weights * (beyond @ beyond.T) / len(grid)).sum() / weights.sum())


@pytest.mark.parametrize("weighted", [False, True])
def test_the_mean_is_the_integral_over_all_pairs(weighted: bool) -> None:
    rng = np.random.default_rng(0)
    alpha = rng.beta(1, 3, size=9)
    weight = rng.uniform(0.2, 2.0, size=9) if weighted else np.ones(9)
    rows = miscoverage(torch.tensor(alpha), torch.tensor(weight) if weighted else None, False)
    mean = np.average(rows.numpy(), weights=weight)
    assert mean == pytest.approx(pairs_of(alpha, weight), abs=1e-3)


@pytest.mark.parametrize("n", [2, 5, 50])
def test_uniform_numbers_cost_nothing_in_batches_of_any_size(n: int) -> None:
    generator = torch.Generator().manual_seed(0)
    values = [
        float(miscoverage(torch.rand(n, generator=generator), None, False).mean())
        for _ in range(1_000)
    ]
    assert abs(np.mean(values)) < 4 * np.std(values) / 1_000**0.5


def test_of_one_row_nothing_is_told() -> None:
    assert miscoverage(torch.tensor([0.1]), torch.tensor([2.0]), False).tolist() == [0.0]
    criterion = CoverageLogLikelihood().eval()
    one = normal(1.0, 1)
    assert criterion(one, torch.ones(1, 1)) == NegativeLogLikelihood()(one, torch.ones(1, 1))


def test_the_conservative_penalty_is_of_what_is_too_small() -> None:
    small, large = torch.full((4,), 0.0), torch.full((4,), 1.0)
    expected = ((torch.arange(4) + 0.5) / 4).square()
    torch.testing.assert_close(miscoverage(small, None, True), expected)
    torch.testing.assert_close(miscoverage(large, None, True), torch.zeros(4))


def ratio_penalties(scale: float | Tensor, k: int, conservative: bool = False) -> Tensor:
    """Penalise scale times the exact log-ratio of theta ~ N(0, 1), x ~ N(theta, SD^2)."""
    generator = torch.Generator().manual_seed(0)
    criterion = CoverageContrastive(1.0, conservative, k).train()
    found = []
    for _ in range(200):
        theta = torch.randn(k + 1, ROWS, generator=generator)
        x = theta[0] + SD * torch.randn(ROWS, generator=generator)
        log_r = Normal(theta, SD).log_prob(x) - Normal(0, (1 + SD**2) ** 0.5).log_prob(x)
        joint, marginal = scale * log_r[0], scale * log_r[1:]
        plain = contrastive_losses(joint, marginal, 1.0)
        found.append((criterion.losses(joint, marginal, None) - plain).mean())
    return torch.stack(found)


def mean_and_error(values: Tensor) -> tuple[float, float]:
    """Compute a mean and its standard error."""
    values = values.detach().double()
    return float(values.mean()), float(values.std() / len(values) ** 0.5)


@pytest.mark.parametrize("k", [1, 4, 30])
@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_exact_ratios_and_those_that_know_nothing_cost_nothing(k: int, scale: float) -> None:
    mean, error = mean_and_error(ratio_penalties(scale, k))
    assert error < 2e-3
    assert abs(mean) < 4 * error


@pytest.mark.parametrize("k", [4, 30])
def test_too_sharp_and_too_flat_ratios_cost_something(k: int) -> None:
    """The conservative penalty lets the flat one pass, but for chance in a batch."""
    for scale in (0.3, 4.0):
        mean, error = mean_and_error(ratio_penalties(scale, k))
        assert mean > 4 * error
    flat, exact, sharp = (
        mean_and_error(ratio_penalties(scale, k, conservative=True)) for scale in (0.3, 1.0, 4.0)
    )
    assert flat[0] < exact[0] - 4 * np.hypot(flat[1], exact[1])
    assert sharp[0] > exact[0] + 4 * np.hypot(sharp[1], exact[1])


def test_the_mixture_of_ratios_is_penalised_and_not_its_members() -> None:
    """Coverage is that of the answer, the mean of the members' ratios, alike for every member."""
    generator = torch.Generator().manual_seed(0)
    members = torch.randn(3, 5, ROWS, generator=generator)
    criterion = CoverageContrastive(2.0, n_contrastive=4).eval()

    def penalties(log_r: Tensor) -> Tensor:
        joint, marginal = log_r[..., 0, :], log_r[..., 1:, :]
        losses = criterion.losses(joint, marginal, None)
        return losses - contrastive_losses(joint, marginal, 1.0)

    mixture = penalties(members.exp().mean(0).log())
    torch.testing.assert_close(penalties(members), mixture.expand(3, -1), atol=1e-5, rtol=1e-4)


def density_penalties(sd: Tensor, *, gradient: bool) -> Tensor:
    """Penalise the posterior N(0, sd^2) of theta ~ N(0, 1), in large batches."""
    generator = torch.Generator().manual_seed(0)
    criterion = CoverageLogLikelihood(1.0, n_draws=50).train()
    found = []
    for _ in range(8):
        theta = torch.randn(2_000, 1, generator=generator)
        posterior = normal(sd, 2_000)
        posterior = posterior if gradient else WithoutGradient(posterior)
        found.append((criterion(posterior, theta) + posterior.log_prob(theta)).mean())
    return torch.stack(found)


def exact_penalty(sd: float) -> float:
    """Integrate (P(alpha <= t) - t)^2, where alpha = P(|sd z| > |theta|)."""
    t = (np.arange(20_000) + 0.5) / 20_000
    return float(np.mean((2 * stats.norm.sf(sd * stats.norm.isf(t / 2)) - t) ** 2))


@pytest.mark.parametrize("gradient", [True, False])
@pytest.mark.parametrize("sd", [0.5, 1.0, 2.0])
def test_penalties_and_their_slopes_are_those_of_coverage(sd: float, gradient: bool) -> None:
    """Steps of 1 / 51 change the penalty by some per cent, sigmoids the slope by up to a half."""
    scale = torch.tensor(sd, requires_grad=True)
    penalties = density_penalties(scale, gradient=gradient)
    mean, error = mean_and_error(penalties)
    expected = exact_penalty(sd)
    assert abs(mean - expected) < 4 * error + 0.06 * expected
    slopes = [torch.autograd.grad(one, scale, retain_graph=True)[0] for one in penalties]
    slope, error = mean_and_error(torch.stack(slopes))
    expected = (exact_penalty(sd + 1e-3) - exact_penalty(sd - 1e-3)) / 2e-3
    assert abs(slope - expected) < 4 * error + 0.5 * abs(expected) + 0.005


def test_the_mixture_is_penalised_where_members_are_trained() -> None:
    """In training the log-density is the mean of the members'; draws come from the mixture."""
    torch.manual_seed(0)
    flow = SplineFlow(1, 1, transforms=1, members=2)
    for parameter in flow.parameters():
        parameter.data += 0.5 * torch.randn(parameter.shape)
    theta, criterion = torch.randn(ROWS, 1), CoverageLogLikelihood(strength=3.0).eval()
    trained, evaluated = (flow.train(on)(torch.zeros(ROWS, 1)) for on in (True, False))
    first, second = (criterion(q, theta) + q.log_prob(theta) for q in (trained, evaluated))
    assert not torch.allclose(trained.log_prob(theta), evaluated.log_prob(theta))
    torch.testing.assert_close(first, second)


def test_evaluations_are_the_same_and_the_global_generator_stays() -> None:
    theta = torch.randn(ROWS, 1, generator=torch.Generator().manual_seed(0))
    criterion = CoverageLogLikelihood()
    before = torch.get_rng_state()
    first, second = (criterion.eval()(normal(0.5), theta) for _ in range(2))
    assert torch.equal(first, second)
    first, second = (criterion.train()(normal(0.5), theta) for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("gradient", [True, False])
def test_weighted_rows_count_as_often(gradient: bool) -> None:
    """With weights that make N(0, 1) of N(0, 4), the posterior N(0, 1) costs nothing more."""
    generator = torch.Generator().manual_seed(0)
    loss = WeightedMean(CoverageLogLikelihood(1.0).train())
    plain = WeightedMean(NegativeLogLikelihood())
    found = []
    for _ in range(200):
        theta = 2 * torch.randn(ROWS, 1, generator=generator)
        weight = torch.exp(-0.375 * theta[:, 0] ** 2) * 2
        posterior = normal(1.0) if gradient else WithoutGradient(normal(1.0))
        target = (theta, weight)
        found.append(loss(posterior, target) - plain(posterior, target))
    mean, error = mean_and_error(torch.stack(found))
    assert error < 2e-3
    assert abs(mean) < 4 * error


@pytest.mark.parametrize(
    ("value", "error", "rule"),
    [
        (0.0, ValueError, "must be > 0 .*got 0.0"),
        (np.nan, ValueError, ".*got nan"),
        ("1", TypeError, "must be a number, got '1'"),
    ],
)
@pytest.mark.parametrize("cls", [CoverageContrastive, CoverageLogLikelihood])
def test_a_strength_out_of_range_is_named(
    cls: type, value: object, error: type[Exception], rule: str
) -> None:
    with pytest.raises(error, match=f"strength {rule}"):
        cls(strength=value)
    with pytest.raises(TypeError, match="conservative must be .*got 'yes'"):
        cls(conservative="yes")
    with pytest.raises(ValueError, match="n_.* must be .*got 0"):
        cls(1.0, False, 0)


OVERFITTED = {"max_epochs": 30, "validation_fraction": None}
PRIOR = [stats.uniform(-1, 2)] * 2


def bent(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Simulate a curved posterior in the square."""
    rng = np.random.default_rng(seed)
    theta = rng.uniform(-1, 1, (n, 2))
    means = np.column_stack([theta[:, 0], theta[:, 1] ** 2, theta.sum(axis=1)])
    x = means + [0.3, 0.2, 0.5] * rng.normal(size=(n, 3))
    return theta, np.column_stack([x, rng.normal(size=(n, 3))])


def error_and_density(estimator: NRE | NPE, seed: int) -> tuple[float, float]:
    """Compute the mean distance of coverage from its level, and the mean log-density."""
    theta, x = bent(400, 1_000 + seed)
    grid = np.random.default_rng(0).uniform(-1, 1, (1_500, 2))
    cells = estimator.log_prob(np.tile(grid, (len(x), 1, 1)), x)
    own = estimator.log_prob(theta, x)
    levels, coverage = expected_coverage(cells, own, grid=True)
    at = np.linspace(0, 1, 101)
    log_z = np.log(4 * np.exp(cells - cells.max(axis=1, keepdims=True)).mean(axis=1))
    distance = np.abs(np.interp(at, levels, coverage) - at).mean()
    return float(distance), float((own - cells.max(axis=1) - log_z).mean())


@pytest.mark.slow
def test_an_overconfident_ratio_is_brought_to_cover() -> None:
    """Over four seeds the error is 0.27 +- 0.01, and 0.03 +- 0.01 with the penalty."""
    pairs, options = bent(500, 0), OVERFITTED | {"random_state": 0}
    plain = NRE(PRIOR, **options).fit(*pairs)
    penalised = NRE(PRIOR, criterion="coverage", criterion__strength=50.0, **options).fit(*pairs)
    (before, density_before), (after, density_after) = (
        error_and_density(nre, 0) for nre in (plain, penalised)
    )
    assert after < before / 3
    assert density_after > density_before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cls", "criterion", "options"),
    [
        (NRE, "contrastive", {"criterion__strength": 50.0}),
        (NRE, "contrastive", {"criterion__strength": 300.0, "criterion__conservative": True}),
        (NPE, "negative_log_likelihood", {"criterion__strength": 50.0}),
    ],
)
def test_overconfident_fits_are_brought_to_cover(cls: type, criterion: str, options: dict) -> None:
    """500 simulations and no early stopping, four seeds: the error falls by more than a half."""
    found = []
    for seed in range(4):
        pairs = bent(500, seed)
        plain, penalised = (
            cls(PRIOR, random_state=seed, **OVERFITTED, **settings).fit(*pairs)
            for settings in ({"criterion": criterion}, {"criterion": "coverage", **options})
        )
        found.append([*error_and_density(plain, seed), *error_and_density(penalised, seed)])
    before, density_before, after, density_after = np.array(found).T
    gain = before / 2 - after
    assert gain.mean() > 3 * gain.std(ddof=1) / 2
    assert (density_after > density_before).all()
