"""Partners: never the own row, uniform or by weight, random in training and fixed in evaluation."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from sksbi.losses import PairedCriterion, build_criterion, criterion_names
from sksbi.losses.pairing import draw_partners
from sksbi.utils.random import borrowed_global_generator

COUNT = {
    "balanced": "n_marginal",
    "balanced_contrastive": "n_contrastive",
    "binary": "n_marginal",
    "contrastive": "n_contrastive",
    "coverage": "n_contrastive",
}
ROWS = torch.arange(9.0)[:, None]

every_criterion = pytest.mark.parametrize("name", criterion_names("ratio"))


def seeded(seed: int = 0) -> torch.Generator:
    """Give a generator."""
    return torch.Generator().manual_seed(seed)


def built(name: str, k: int = 3, seed: int = 0) -> PairedCriterion:
    """Build a criterion that pairs every x with k theta."""
    with borrowed_global_generator(seed):
        return build_criterion(name, "ratio", **{COUNT[name]: k})


class Recorder:
    """A log-ratio that is smooth in theta, and notes the rows that were asked for."""

    def __init__(self) -> None:
        self.asked: list[Tensor] = []

    def __call__(self, theta: Tensor) -> Tensor:
        self.asked.append(theta[..., 0].long())
        return torch.sin(theta[..., 0] * (1 + torch.arange(theta.shape[-2])))


def partners_of(criterion: PairedCriterion, calls: int = 1, theta: Tensor = ROWS) -> list[Tensor]:
    """Call a criterion: which rows it has paired with which."""
    recorder = Recorder()
    for _ in range(calls):
        criterion(recorder, theta)
    for asked in recorder.asked:
        assert torch.equal(asked[0], theta[:, 0].long())
    return [asked[1:] for asked in recorder.asked]


@pytest.mark.parametrize("n", [2, 3, 10, 101])
@pytest.mark.parametrize("wanted", [1, 2, 9, 100, 1000])
def test_partners_are_other_rows_all_different_each_row_as_often(n: int, wanted: int) -> None:
    for seed in range(5):
        partners = draw_partners(n, wanted, seeded(seed))
        assert partners.shape == (min(wanted, n - 1), n)
        assert (partners != torch.arange(n)).all()
        columns = partners.sort(0).values
        assert (columns.diff(dim=0) > 0).all()
        assert torch.equal(partners.sort(1).values, torch.arange(n).expand_as(partners))


@pytest.mark.parametrize("row", [0, 3, 6])
@pytest.mark.parametrize("place", [0, 1])
def test_a_partner_is_any_other_row_with_the_same_probability(row: int, place: int) -> None:
    generator = seeded()
    drawn = [int(draw_partners(7, 2, generator)[place, row]) for _ in range(3_000)]
    counts = np.bincount(drawn, minlength=7)
    assert counts[row] == 0
    assert stats.chisquare(np.delete(counts, row)).pvalue > 1e-4


@pytest.mark.parametrize("row", [0, 2, 5])
def test_a_weighted_partner_is_drawn_in_proportion_to_its_weight(row: int) -> None:
    weight = torch.tensor([0.5, 3.0, 1.0, 0.0, 0.1, 2.0])
    generator = seeded()
    drawn = torch.stack([draw_partners(6, 5, generator, weight)[:, row] for _ in range(800)])
    assert drawn.shape == (800, 5)
    counts = np.bincount(drawn.ravel(), minlength=6)
    assert counts[row] == counts[3] == 0
    others = np.setdiff1d(np.arange(6), [row, 3])
    probability = weight[others].double().numpy()
    expected = counts.sum() * probability / probability.sum()
    assert stats.chisquare(counts[others], expected).pvalue > 1e-4


@pytest.mark.parametrize("heavy", [0, 2, 4])
def test_a_row_with_all_the_weight_is_everybodys_partner_but_its_own(heavy: int) -> None:
    weight = torch.zeros(5)
    weight[heavy] = 7.0
    partners = draw_partners(5, 3, seeded(), weight)
    others = torch.arange(5) != heavy
    assert (partners[:, others] == heavy).all()
    assert (partners[:, heavy] != heavy).all()
    assert ((partners >= 0) & (partners < 5)).all()


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_weights_of_any_size_give_other_rows(scale: float) -> None:
    weight = scale * torch.rand(50, generator=seeded(1)) ** 20
    partners = draw_partners(50, 49, seeded(), weight)
    assert (partners != torch.arange(50)).all()
    assert ((partners >= 0) & (partners < 50)).all()


@every_criterion
@pytest.mark.parametrize(("wanted", "given"), [(1, 1), (3, 3), (8, 8), (30, 8)])
def test_a_criterion_asks_for_the_own_theta_and_others(name: str, wanted: int, given: int) -> None:
    for criterion in (built(name, wanted), built(name, wanted).eval()):
        (partners,) = partners_of(criterion)
        assert partners.shape == (given, 9)
        assert (partners != torch.arange(9)).all()


@every_criterion
def test_partners_are_new_in_every_call_in_training_only(name: str) -> None:
    criterion = built(name)
    first, second, third = partners_of(criterion, 3)
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)
    first, second, third = partners_of(criterion.eval(), 3)
    assert torch.equal(first, second)
    assert torch.equal(first, third)
    other = partners_of(built(name, seed=5).eval())[0]
    assert torch.equal(first, other)


@every_criterion
def test_evaluation_takes_nothing_from_the_random_numbers_of_training(name: str) -> None:
    expected = partners_of(built(name), 2)[1]
    criterion = built(name)
    partners_of(criterion)
    partners_of(criterion.eval(), 3)
    assert torch.equal(partners_of(criterion.train())[0], expected)


@every_criterion
def test_torchs_seed_decides_at_construction_and_calls_leave_it_alone(name: str) -> None:
    criterion = built(name, seed=1)
    state = torch.get_rng_state()
    ours = torch.stack(partners_of(criterion, 4))
    partners_of(criterion.eval(), 2)
    criterion.train()(Recorder(), ROWS, torch.arange(1.0, 10.0))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(ours, torch.stack(partners_of(built(name, seed=1), 4)))
    assert not torch.equal(ours, torch.stack(partners_of(built(name, seed=2), 4)))


@every_criterion
def test_equal_weights_are_no_weights(name: str) -> None:
    for criterion in (lambda: built(name), lambda: built(name).eval()):
        plain = criterion()(Recorder(), ROWS)
        for value in (1.0, 2.5):
            weighted = criterion()(Recorder(), ROWS, torch.full((9,), value))
            assert torch.equal(plain, weighted)
    unequal = built(name).eval()(Recorder(), ROWS, torch.arange(1.0, 10.0))
    assert not torch.equal(plain, unequal)


@every_criterion
@pytest.mark.parametrize("members", [(), (4,)])
@pytest.mark.parametrize("weight", [None, torch.tensor([3.0])])
def test_a_single_row_has_loss_zero_and_a_gradient(
    name: str, members: tuple[int, ...], weight: Tensor | None
) -> None:
    level = torch.tensor(2.0, requires_grad=True)
    loss = built(name)(lambda theta: level.expand(*members, *theta.shape[:-1]), ROWS[:1], weight)
    assert loss.shape == (1,)
    assert loss.item() == 0
    loss.sum().backward()
    assert level.grad == 0


@pytest.mark.parametrize("name", sorted({*criterion_names("ratio")} - {"coverage"}))
@pytest.mark.parametrize("weight", [None, torch.arange(1.0, 10.0)])
def test_members_have_losses_of_their_own_which_are_averaged(
    name: str, weight: Tensor | None
) -> None:
    def member(i: int) -> Callable[[Tensor], Tensor]:
        return lambda theta: (i - 1.5) * Recorder()(theta)

    criterion = built(name).eval()
    together = criterion(
        lambda theta: torch.stack([member(i)(theta) for i in range(4)]), ROWS, weight
    )
    apart = torch.stack([criterion(member(i), ROWS, weight) for i in range(4)])
    torch.testing.assert_close(together, apart.mean(0))


@every_criterion
@pytest.mark.parametrize("k", [0, -1, 2.0, True, "3", None])
def test_a_bad_number_of_partners_is_refused_by_its_name(name: str, k: object) -> None:
    with pytest.raises(ValueError, match=f"^{COUNT[name]} must be an int >= 1, got {k!r}"):
        build_criterion(name, "ratio", **{COUNT[name]: k})


@every_criterion
def test_numpys_integers_are_integers(name: str) -> None:
    criterion = build_criterion(name, "ratio", **{COUNT[name]: np.int64(2)})
    assert partners_of(criterion)[0].shape == (2, 9)
