"""Deep sets: invariant by construction, and able to learn from sets what there is to learn."""

import pickle
from collections.abc import Sequence
from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from sksbi import NPE
from sksbi.nn import DeepSet
from sksbi.utils.random import borrowed_global_generator

POOLINGS = ["mean", "sum", "max", ("mean", "sum", "max")]
SHAPES = [7, (7,), (7, 3), (7, 2, 3)]


def deep_set(in_shape: int | Sequence[int], **options: object) -> DeepSet:
    """Build with reproducible weights."""
    with borrowed_global_generator(0):
        return DeepSet(in_shape, **{"out_features": 4} | options)


def sets(in_shape: int | Sequence[int], n: int = 5) -> Tensor:
    """Draw a batch of sets."""
    shape = (in_shape,) if isinstance(in_shape, int) else in_shape
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("in_shape", SHAPES)
def test_the_order_of_the_elements_counts_for_nothing(
    in_shape: int | Sequence[int], pooling: str | Sequence[str]
) -> None:
    module, x = deep_set(in_shape, pooling=pooling), sets(in_shape)
    shuffled = x[:, torch.randperm(7, generator=torch.Generator().manual_seed(2))]
    torch.testing.assert_close(module(shuffled), module(x), rtol=1e-5, atol=1e-6)
    assert (module(x + 1) - module(x)).abs().max() > 1e-3


def test_features_of_an_element_belong_together() -> None:
    module, x = deep_set((7, 3)), sets((7, 3))
    torn = torch.cat([x[:, :, :2], x[:, :, 2:].roll(1, 1)], dim=2)
    assert (module(torn) - module(x)).abs().max() > 1e-3


def test_it_is_its_formula() -> None:
    module, x = deep_set((7, 3), pooling=("mean", "sum", "max")), sets((7, 3))
    phi = torch.stack([module.element(x[:, i]) for i in range(7)])
    pooled = torch.cat([phi.mean(0), phi.sum(0), phi.max(0).values], dim=1)
    torch.testing.assert_close(module(x), module.last(pooled))


@pytest.mark.parametrize(("pooling", "changes"), [("mean", False), ("max", False), ("sum", True)])
def test_a_set_taken_twice_counts_twice_in_a_sum_only(pooling: str, changes: bool) -> None:
    module, x = deep_set((7, 3), pooling=pooling), sets((7, 3))
    twice = module(torch.cat([x, x], dim=1))
    assert torch.allclose(twice, module(x), rtol=1e-5, atol=1e-6) != changes


def test_numbers_are_elements_of_one_feature() -> None:
    module, x = deep_set(7), sets(7)
    torch.testing.assert_close(deep_set((7, 1))(x[..., None]), module(x))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_rows_do_not_see_each_other(pooling: str | Sequence[str]) -> None:
    module, x = deep_set((7, 3), pooling=pooling).train(), sets((7, 3))
    apart = torch.cat([module(row) for row in x.split(1)])
    torch.testing.assert_close(module(x), apart, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("in_shape", SHAPES)
def test_every_weight_gets_a_gradient(
    in_shape: int | Sequence[int], pooling: str | Sequence[str]
) -> None:
    module, x = deep_set(in_shape, pooling=pooling), sets(in_shape).requires_grad_()
    module(x).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in module.parameters())
    assert (x.grad != 0).any(dim=0).all() or pooling == "max"


@pytest.mark.parametrize("copy", [deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies_are_equal(copy: object) -> None:
    module, x = deep_set((7, 3), pooling=("mean", "max")), sets((7, 3))
    assert torch.equal(copy(module)(x), module(x))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"in_shape": ()}, ValueError, r"in_shape must be trials, .* got \(\)"),
        ({"in_shape": (7, 0)}, ValueError, "in_shape must be an int >= 1, got 0"),
        ({"in_shape": 7.5}, TypeError, "in_shape must be an int >= 1, got 7.5"),
        ({"out_features": 0}, ValueError, "out_features must be an int >= 1, got 0"),
        ({"pooling": "median"}, ValueError, r"pooling must be .*\['max', .*got 'median'"),
        ({"pooling": ()}, ValueError, r"pooling must be one or several of .* got \(\)"),
        ({"element_features": ()}, ValueError, r"element_features must be a sequence .* got \(\)"),
        ({"element_features": (8, -1)}, ValueError, "width in element_features must .* got -1"),
    ],
)
def test_bad_arguments_are_named(
    options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        deep_set(**{"in_shape": (7, 3)} | options)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 2), (5, 0, 3), (5, 7, 3, 1)])
def test_x_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"x must have shape \(n, trials, 3\).* got \(5, "):
        deep_set((7, 3))(torch.zeros(shape))


N_TRIALS, NOISE = 50, 2.0


def normal_sets(mean: np.ndarray, seed: int) -> np.ndarray:
    """Draw sets of N_TRIALS numbers around each mean."""
    noise = np.random.default_rng(seed).normal(size=(len(mean), N_TRIALS, 1))
    return mean[:, None, None] + NOISE * noise


def test_it_learns_the_normal_normal_posterior() -> None:
    """The mean of 50 draws of known spread: N(m, s^2) with 1/s^2 = 1 + 50/4, so s is 0.27."""
    mean = np.random.default_rng(0).normal(size=2_200)
    x = normal_sets(mean, 1)
    embedding = partial(DeepSet, out_features=4)
    npe = NPE(
        {"mean": stats.norm()}, flow="maf", transforms=1, embedding=embedding, max_epochs=20,
        random_state=0,
    ).fit(mean[:2_000, None], x[:2_000])  # fmt: skip
    precision = 1 + N_TRIALS / NOISE**2
    exact_mean = x[2_000:, :, 0].sum(axis=1) / NOISE**2 / precision
    draws = npe.sample(x[2_000:], 400)[:, :, 0]
    # Means that are off by a third of s cost 1/18 nat; those of the prior are off by 3.5 s, and its
    # sd is 3.7 s.
    error = np.sqrt(np.mean((draws.mean(axis=1) - exact_mean) ** 2)) * np.sqrt(precision)
    assert error < 1 / 3
    assert np.median(draws.std(axis=1)) * np.sqrt(precision) == pytest.approx(1, abs=0.2)
