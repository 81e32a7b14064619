"""Batches from the disk hold every row once an epoch, from everywhere."""

from functools import partial

import numpy as np
import pytest
import torch

from sksbi.data import PairsOnDisk, StreamedPairs, TensorPairs
from sksbi.data.batches import bounds_of
from sksbi.data.lazy import beside

N, CHUNK = 10_000, 100


def encode(pairs, trials=None):
    """Hand arrays on."""
    parts = (torch.from_numpy(np.array(a)).float() for a in (pairs.x, pairs.theta, pairs.weight))
    return TensorPairs(*parts, trials)


def streamed(x, wanted=None, trials=None):
    """Make a training set of which 20 chunks are held at once."""
    theta = np.arange(N * 1.0)[:, None]
    pairs = PairsOnDisk(beside(theta, "theta"), beside(x, "x"), lambda *a: a, theta[:, 0] + 1)
    pairs.scan(np.random.default_rng(0))
    wanted = pairs.used if wanted is None else wanted
    return StreamedPairs(pairs, wanted, partial(encode, trials=trials), encode(pairs.some, trials))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Let chunks and what is held be small."""
    monkeypatch.setattr("sksbi.data.on_disk._MOST_READ", CHUNK)
    monkeypatch.setattr("sksbi.data.stream._NUMBERS", 20 * CHUNK * 2)


@pytest.mark.parametrize("shuffle", [True, False])
def test_every_row_comes_once(shuffle):
    """In batches of the sizes that there are in memory; what goes together stays together."""
    wanted = np.arange(N) % 3 > 0
    dataset = streamed(np.arange(N) * 2.0, wanted)
    assert len(dataset) == np.count_nonzero(wanted)
    batches = list(dataset.epoch(64, shuffle=shuffle, generator=torch.Generator().manual_seed(0)))
    sizes = [stop - start for start, stop in bounds_of(len(dataset), 64)]
    assert [len(x) for x, _ in batches] == sizes
    x = torch.cat([x for x, _ in batches]).double()
    theta = torch.cat([theta[:, 0] for _, (theta, _) in batches]).double()
    weight = torch.cat([weight for _, (_, weight) in batches]).double()
    expected = torch.from_numpy(np.flatnonzero(wanted)).double()
    assert torch.equal(theta.sort().values if shuffle else theta, expected)
    assert torch.equal(x, 2 * theta)
    torch.testing.assert_close(weight, (theta + 1) / ((N + 1) / 2), rtol=1e-6, atol=0)
    assert torch.equal(theta, expected) is not shuffle


def test_epochs_differ_and_are_reproducible():
    """By the generator, whatever was read ahead."""
    dataset = streamed(np.zeros(N))
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    orders = [
        torch.cat([t for _, (t, _) in dataset.epoch(64, shuffle=True, generator=generator)])
        for generator in [generators[0], generators[0], generators[1]]
    ]
    assert torch.equal(orders[0], orders[2])
    assert not torch.equal(orders[0], orders[1])


def test_a_batch_is_from_many_chunks():
    """64 rows of 20 chunks hit 20 (1 - (1 - 1/20)^64) = 19.2 of them in the mean."""
    generator = torch.Generator().manual_seed(0)
    epoch = list(streamed(np.zeros(N)).epoch(64, shuffle=True, generator=generator))
    counts = [len(torch.unique(theta // CHUNK)) for _, (theta, _) in epoch]
    assert np.mean(counts) > 18.5


def test_trials_are_seen_once_each():
    """Of each row all three, and no two of a row in one batch."""
    x = np.arange(3 * N * 1.0).reshape(N, 3, 1)
    dataset = streamed(x, trials="context")
    epoch = list(dataset.epoch(50, shuffle=True, generator=torch.Generator().manual_seed(0)))
    assert len(epoch) == 3 * N // 50
    seen = torch.cat([x[:, 0] for x, _ in epoch]).double()
    assert torch.equal(seen.sort().values, torch.from_numpy(x.ravel()))
    assert torch.equal(seen // 3, torch.cat([t[:, 0] for _, (t, _) in epoch]).double())


def test_an_epoch_can_be_left(monkeypatch):
    """And an error in the thread that reads comes to the one that waits."""
    dataset = streamed(np.zeros(N))
    next(dataset.epoch(64, shuffle=True, generator=None))
    monkeypatch.setattr(PairsOnDisk, "chunk", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        next(dataset.epoch(64, shuffle=True, generator=None))
