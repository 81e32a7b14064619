"""Subsets of parameters: how they are drawn, and how they are read."""

from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats

from sksbi.utils.masks import Masks

NAMES = ["a", "b", "c"]
SUBSETS = [subset for subset in product((0, 1), repeat=3) if any(subset)]


def by_size(subset: tuple[int, ...]) -> float:
    """Give the probability of a subset: of its size, and among those of its size."""
    return 1 / 3 / {1: 3, 2: 3, 3: 1}[sum(subset)]


def of_chance(p: float) -> dict[tuple[int, ...], float]:
    """Give the probabilities of independent choices, without the empty subset."""
    mass = {s: p ** sum(s) * (1 - p) ** (3 - sum(s)) for s in SUBSETS}
    return {s: value / sum(mass.values()) for s, value in mass.items()}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("uniform", dict.fromkeys(SUBSETS, 1 / 7)),
        ("by_size", {s: by_size(s) for s in SUBSETS}),
        (0.2, of_chance(0.2)),
        (0.7, of_chance(0.7)),
        (1.0, {(1, 1, 1): 1.0}),
        (1, {(1, 1, 1): 1.0}),
        ([["a"], ["c", "a"]], {(1, 0, 0): 1 / 3, (1, 0, 1): 1 / 3, (1, 1, 1): 1 / 3}),
        ([[2], [0, 1, 2], (2,), np.array([2])], {(0, 0, 1): 1 / 2, (1, 1, 1): 1 / 2}),
        ([], {(1, 1, 1): 1.0}),
    ],
    ids=str,
)
def test_subsets_come_as_often_as_they_should(spec: object, expected: dict) -> None:
    """Counts are multinomial."""
    drawn = Masks(spec, NAMES).draw(7_000, torch.Generator().manual_seed(0))
    found, counts = np.unique(drawn.numpy().astype(int), axis=0, return_counts=True)
    found = {tuple(row): count for row, count in zip(found.tolist(), counts, strict=True)}
    possible = {s for s, p in expected.items() if p > 0}
    assert set(found) == possible
    observed = [found[s] for s in possible]
    assert stats.chisquare(observed, [7_000 * expected[s] for s in possible]).pvalue > 1e-3 or (
        len(possible) == 1
    )


def test_a_tiny_probability_gives_one_parameter_each_time() -> None:
    drawn = Masks(1e-12, NAMES).draw(600, torch.Generator().manual_seed(0))
    assert (drawn.sum(1) == 1).all()
    assert stats.chisquare(drawn.sum(0).numpy()).pvalue > 1e-3


@pytest.mark.parametrize(
    ("spec", "error", "match"),
    [
        ([["a"], ["d"]], ValueError, r"masks\[1\]: columns must be parameters, got 'd'.*'a', 'b'"),
        ([[]], ValueError, r"masks\[0\]: columns must name at least one parameter"),
        ([["a", "a"]], ValueError, r"masks\[0\]: .* none twice, got \['a', 'a'\]"),
        ([["a", 0]], ValueError, r"masks\[0\]: .* none twice, got \['a', 0\]"),
        ([[3]], ValueError, r"masks\[0\]: columns must be positions from 0 to 2, got 3"),
        ([[True]], TypeError, r"masks\[0\]: columns must be names or integer positions, got True"),
        (["a"], TypeError, r"masks\[0\]: columns must be a list of names.*'a': put it in a list"),
        ([0], TypeError, r"masks\[0\]: columns must be a list of names or positions, got 0"),
    ],
)
def test_wrong_subsets_are_refused_by_their_place(
    spec: object, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        Masks(spec, NAMES)


def test_what_was_not_listed_is_refused_and_what_was_is_named() -> None:
    masks = Masks([["c", "a"], [1]], NAMES)
    for learnt in ([0, 2], [2, 0], [1], [2, 1, 0]):
        masks.check(learnt)
    with pytest.raises(
        ValueError, match=r"got \['b', 'a'\]; learnt were \[\['b'\], \['a', 'c'\], \['a', 'b', 'c'"
    ):
        masks.check([1, 0])
    Masks("uniform", NAMES).check([1, 0])
