"""TensorPairs and batches: every row once an epoch, in batches of nearly one size."""

from math import ceil

import numpy as np
import pytest
import torch

from sksbi.data import Batches, TensorPairs


def pairs(n: int) -> TensorPairs:
    """Make pairs whose theta, x and weight all tell the row."""
    rows = torch.arange(float(n))
    return TensorPairs(rows[:, None].expand(n, 4) + 0.5, rows[:, None], rows + 100)


def epoch(batches: Batches) -> list[list[int]]:
    """List the rows of every batch, and hold that theta, x and weight stay together."""
    taken = []
    for x, (theta, weight) in batches:
        torch.testing.assert_close(x, theta.expand_as(x) + 0.5)
        torch.testing.assert_close(weight, theta[:, 0] + 100)
        taken.append(theta[:, 0].int().tolist())
    return taken


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("n", "size"), [(1, 1), (1, 100), (100, 100), (101, 100), (999, 50)])
def test_every_row_comes_once_in_batches_of_nearly_one_size(
    n: int, size: int, shuffle: bool
) -> None:
    batches = Batches(pairs(n), size, shuffle, torch.Generator().manual_seed(0))
    taken = epoch(batches)
    assert sorted(row for batch in taken for row in batch) == list(range(n))
    sizes = [len(batch) for batch in taken]
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == len(batches) == ceil(n / size)


def test_without_shuffling_the_order_stays() -> None:
    batches = Batches(pairs(10), 4)
    assert sum(epoch(batches), []) == sum(epoch(batches), []) == list(range(10))


def test_shuffles_follow_the_generator_and_differ_between_epochs() -> None:
    before = torch.get_rng_state()
    first, second = (
        Batches(pairs(50), 20, True, torch.Generator().manual_seed(3)) for _ in range(2)
    )
    epochs = [epoch(first) for _ in range(3)]
    assert epochs == [epoch(second) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert torch.equal(before, torch.get_rng_state())


def test_take_and_move_keep_rows_together() -> None:
    taken = pairs(10).take(np.array([7, 2, 2])).to("cpu")
    assert len(taken) == 3
    assert epoch(Batches(taken, 2)) == [[7], [2, 2]]


def pairs_of_trials(n: int, n_trials: int, of: str) -> TensorPairs:
    """Make pairs whose trials tell row and trial, in hundredths."""
    rows = torch.arange(float(n))
    numbers = rows[:, None, None] + torch.arange(float(n_trials))[:, None] / 100
    parts = (numbers, rows[:, None]) if of == "context" else (rows[:, None], numbers)
    return TensorPairs(*parts, rows + 100, of)


@pytest.mark.parametrize("of", ["context", "target"])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(
    ("n", "n_trials", "passes"), [(7, 1, 1), (7, 4, 4), (30, 10, 10), (7, 25, 10)]
)
def test_an_epoch_takes_every_trial_once_up_to_ten_of_a_row(
    n: int, n_trials: int, passes: int, shuffle: bool, of: str
) -> None:
    dataset = pairs_of_trials(n, n_trials, of)
    batches = Batches(dataset, 5, shuffle, torch.Generator().manual_seed(0))
    taken = []
    for context, (target, weight) in batches:
        theta, x = (target, context) if of == "context" else (context, target)
        assert theta.shape == x.shape == (len(weight), 1)
        torch.testing.assert_close(x.floor(), theta)
        torch.testing.assert_close(weight, theta[:, 0] + 100)
        # Ratios take the others of a batch as marginal pairs: no theta may meet itself.
        assert len(theta.unique()) == len(theta) <= 5
        taken += [round(100 * float(value)) for value in x]
    assert len(taken) == len(set(taken)) == n * passes
    assert len(batches) == passes * ceil(n / 5)
    assert np.bincount(np.array(taken) // 100).tolist() == [passes] * n


def test_of_many_trials_epochs_see_others() -> None:
    batches = Batches(pairs_of_trials(5, 40, "target"), 5, True, torch.Generator().manual_seed(0))
    seen = {float(x) for _ in range(30) for _, (target, _) in batches for x in target}
    # Each of 40 is left out of 30 windows of ten with probability (3 / 4)^30 < 0.0002.
    assert len(seen) == 200


def test_single_trials_are_batches_as_if_there_were_none() -> None:
    with_trials = pairs_of_trials(50, 1, "target")
    plain = TensorPairs(with_trials.context, with_trials.target[:, 0], with_trials.weight)
    first, second = (
        list(Batches(dataset, 20, True, torch.Generator().manual_seed(3)))
        for dataset in (plain, with_trials)
    )
    for (c, (x, w)), (c_2, (x_2, w_2)) in zip(first, second, strict=True):
        assert torch.equal(c, c_2)
        assert torch.equal(x, x_2)
        assert torch.equal(w, w_2)


@pytest.mark.parametrize(("most", "n_taken"), [(1, 1), (14, 2), (27, 3), (10_000, 4)])
def test_trials_as_rows_keep_their_theta_and_weight(most: int, n_taken: int) -> None:
    flat = pairs_of_trials(7, 4, "target").flat(most)
    assert flat.trials is None
    assert len(flat) == 7 * n_taken
    torch.testing.assert_close(flat.target.floor(), flat.context)
    torch.testing.assert_close(flat.weight, flat.context[:, 0] + 100)
    assert len(flat.target.unique()) == len(flat)
