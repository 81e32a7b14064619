"""Random state: what is taken, and that the global generators end as they began."""

from collections.abc import Callable
from threading import Barrier, Thread

import numpy as np
import pytest
import torch

from sksbi.utils.random import (
    borrowed_global_generator,
    check_generator,
    draw_seed,
    torch_generator,
)


@pytest.mark.parametrize(
    "make",
    [
        lambda: 3,
        lambda: np.int64(3),
        lambda: np.random.RandomState(3),
        lambda: np.random.default_rng(3),
    ],
)
def test_equal_random_states_give_equal_draws(make: Callable[[], object]) -> None:
    first, second = (check_generator(make()).random(4) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_none_is_fresh_entropy_and_leaves_the_global_generator_alone() -> None:
    # The legacy state is read, never drawn from.
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (check_generator(None).random(4) for _ in range(2))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_a_generator_is_used_itself_and_a_random_state_advances() -> None:
    generator = np.random.default_rng(0)
    assert check_generator(generator) is generator
    state = np.random.RandomState(0)
    first, second = (check_generator(state).random() for _ in range(2))
    assert first != second


@pytest.mark.parametrize("bad", [-1, 1.5, True, "seed", np.random.SeedSequence(0), [1]])
def test_other_random_states_are_refused(bad: object) -> None:
    named = repr(bad).replace("(", r"\(").replace("[", r"\[").splitlines()[0]
    with pytest.raises(ValueError, match=f"random_state must be .*got {named}"):
        check_generator(bad)


def test_seeds_and_torch_generators_follow_the_generator() -> None:
    generators = [np.random.default_rng(5) for _ in range(2)]
    assert draw_seed(generators[0]) == draw_seed(generators[1])
    first, second = (torch.rand(3, generator=torch_generator(g)) for g in generators)
    assert torch.equal(first, second)
    assert not torch.equal(first, torch.rand(3, generator=torch_generator(generators[0])))


def test_a_borrowed_generator_is_seeded_and_given_back() -> None:
    before = torch.get_rng_state()
    draws = []
    for _ in range(2):
        with borrowed_global_generator(7):
            draws.append(torch.rand(3))
    assert torch.equal(*draws)
    assert torch.equal(before, torch.get_rng_state())


def test_a_borrowed_generator_is_given_back_after_an_error() -> None:
    before = torch.get_rng_state()

    def interrupted() -> None:
        with borrowed_global_generator(7):
            torch.rand(3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert torch.equal(before, torch.get_rng_state())


def test_nested_loans_do_not_disturb_the_outer_one() -> None:
    with borrowed_global_generator(7):
        expected = torch.rand(6)
    with borrowed_global_generator(7):
        first = torch.rand(3)
        with borrowed_global_generator(8):
            torch.rand(100)
        second = torch.rand(3)
    assert torch.equal(torch.cat([first, second]), expected)


def test_threads_wait_for_each_other() -> None:
    with borrowed_global_generator(0):
        expected = torch.stack([torch.rand(5) for _ in range(200)])
    before, barrier, results = torch.get_rng_state(), Barrier(4), []

    def draw() -> None:
        barrier.wait()
        with borrowed_global_generator(0):
            results.append(torch.stack([torch.rand(5) for _ in range(200)]))

    threads = [Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(torch.equal(result, expected) for result in results)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_generators_of_gpus_are_given_back_too() -> None:
    torch.rand(1, device="cuda")
    before = torch.cuda.get_rng_state()
    draws = []
    for _ in range(2):
        with borrowed_global_generator(7):
            draws.append(torch.rand(3, device="cuda"))
    assert torch.equal(*draws)
    assert torch.equal(before, torch.cuda.get_rng_state())
