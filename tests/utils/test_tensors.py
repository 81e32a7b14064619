"""Arrays and tensors in nested states."""

import numpy as np
import torch

from sksbi.utils.tensors import to_numpy, to_torch

STATE = {
    "state": {0: {"step": torch.tensor(3.0), "moment": torch.arange(6.0).reshape(2, 3)}},
    "groups": [{"lr": 0.1, "params": [0, 1], "flag": None}],
}


def test_a_state_comes_back_bit_for_bit() -> None:
    packed = to_numpy(STATE)
    assert isinstance(packed["state"][0]["moment"], np.ndarray)
    again = to_torch(packed)
    assert again["groups"] == STATE["groups"]
    for key, tensor in STATE["state"][0].items():
        assert again["state"][0][key].dtype == tensor.dtype
        assert torch.equal(again["state"][0][key], tensor)


def test_both_ways_copy() -> None:
    tensor = torch.zeros(2, requires_grad=True)
    array = to_numpy(tensor)
    array[:] = 1
    assert tensor.sum() == 0
    to_torch(array).fill_(2)
    np.testing.assert_array_equal(array, 1)
