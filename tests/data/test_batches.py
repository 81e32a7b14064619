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
