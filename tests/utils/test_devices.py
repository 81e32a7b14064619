"""Devices: what is there is taken, anything else is refused by name."""

import re

import pytest
import torch

from sksbi.utils.devices import check_device, device_or_cpu

ABSENT = f"cuda:{torch.cuda.device_count()}"


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_the_cpu_is_always_there(device: object) -> None:
    assert check_device(device) == device_or_cpu(device) == "cpu"


def test_auto_takes_a_gpu_exactly_if_there_is_one() -> None:
    assert check_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("device", ["gpu", "", "meta", ABSENT, torch.device(ABSENT), None, 1.5, -1])
def test_a_device_that_is_not_there_is_refused_or_replaced(device: object) -> None:
    with pytest.raises(ValueError, match=f"device must be .*got {re.escape(repr(device))}"):
        check_device(device)
    assert device_or_cpu(device) == "cpu"
