"""Losses that draw: from a generator of their own, and the same in every evaluation."""

import copy
import threading

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from sksbi import NPE
from sksbi.losses import Criterion
from sksbi.training import net
from sksbi.utils.random import borrowed_global_generator


class Jittered(Criterion):
    """The log-density near theta."""

    def forward(self, output: torch.distributions.Distribution, theta: Tensor) -> Tensor:
        noise = torch.randn(theta.shape, generator=self.generator).to(theta.device)
        return -output.log_prob(theta + 0.1 * noise)


def normal() -> torch.distributions.Distribution:
    return torch.distributions.MultivariateNormal(torch.zeros(1), torch.eye(1))


def test_evaluations_are_the_same_and_trainings_are_not() -> None:
    criterion, theta = Jittered(), torch.zeros(50, 1)
    first, second = (criterion.train()(normal(), theta) for _ in range(2))
    assert not torch.equal(first, second)
    first, second = (criterion.eval()(normal(), theta) for _ in range(2))
    assert torch.equal(first, second)


def test_torchs_global_generator_seeds_it_and_then_stays() -> None:
    with borrowed_global_generator(3):
        first = Jittered()
    with borrowed_global_generator(3):
        second = Jittered()
    before = torch.get_rng_state()
    theta = torch.zeros(20, 1)
    assert torch.equal(first(normal(), theta), second(normal(), theta))
    again = copy.deepcopy(first)
    assert torch.equal(again(normal(), theta), first(normal(), theta))
    assert torch.equal(before, torch.get_rng_state())


def test_a_fit_with_it_does_not_wait_for_the_global_generator(monkeypatch: object) -> None:
    """While another thread holds the lock in training, this one trains to its end."""
    rng = np.random.default_rng(0)
    theta, x = rng.normal(size=(200, 1)), rng.normal(size=(200, 1))
    npe = NPE([stats.norm()], flow="maf", transforms=1, criterion=Jittered, max_epochs=2)
    seen = []
    original = net.train

    def train_while_the_lock_is_held(*args: object, **options: object) -> None:
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            with borrowed_global_generator(0):
                held.set()
                seen.append(done.wait(60))

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        original(*args, **options)
        done.set()
        thread.join()

    monkeypatch.setattr(net, "train", train_while_the_lock_is_held)
    npe.fit(theta, x)
    assert seen == [True]
