"""What is packed comes back the same, and what would not is refused."""

from collections import Counter, OrderedDict
from functools import partial

import numpy as np
import pytest
import torch

from sksbi.utils.packing import check_packable, packed, unpacked

WEIGHTS = torch.arange(3.0)


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2.5, None, True], 3: "text", (1, "b"): {"c"}},
        2**200,
        (1 + 2j, float("inf"), -0.0),
        Counter(a=2),
        np.float64(0.1),
        np.bool_(True),
        np.arange(6, dtype=">i2").reshape(2, 3),
        np.array(["ß", "long"]),
        np.zeros((0, 3), dtype=np.float32),
        np.array(1.5),
        np.random.default_rng(0).bit_generator.state,
    ],
    ids=lambda value: type(value).__name__,
)
def test_plain_contents_come_back(value: object) -> None:
    found = unpacked(packed(value))
    assert type(found) is type(value)
    np.testing.assert_equal(found, value)
    if isinstance(value, np.ndarray):
        assert found.dtype == value.dtype
        assert found.shape == value.shape


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.bool, torch.int64])
def test_tensors_come_back(dtype: torch.dtype) -> None:
    value = WEIGHTS.to(dtype)
    parameter = torch.nn.Parameter(WEIGHTS.clone())
    found, learnt = unpacked(packed([value, parameter]))
    assert found.dtype == dtype
    assert torch.equal(found, value)
    assert isinstance(learnt, torch.nn.Parameter)


def test_the_versions_of_a_state_come_back() -> None:
    state = torch.nn.BatchNorm1d(2).state_dict()
    found = unpacked(packed(state))
    assert isinstance(found, OrderedDict)
    assert found._metadata == state._metadata != {}


def test_what_stands_twice_is_one_thing() -> None:
    shared, array = [1], np.zeros(2)
    found = unpacked(packed({"a": shared, "b": [shared], "c": array, "d": (array, WEIGHTS[:1])}))
    found["a"].append(2)
    found["c"][0] = 7
    assert found["b"] == [[1, 2]]
    assert found["d"][0][0] == 7


@pytest.mark.parametrize(
    "value",
    [object(), partial(print), b"bytes", np.array([None]), {frozenset(): 1}, {("a", b"b"): 1}],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="cannot be saved"):
        check_packable({"a": [value]})


def test_tensors_that_a_training_moves_are_refused() -> None:
    live = {WEIGHTS.untyped_storage().data_ptr()}
    with pytest.raises(TypeError, match=r"own memory: copy it by clone\(\)"):
        check_packable([WEIGHTS[1:]], live)
    check_packable([WEIGHTS.clone()], live)
