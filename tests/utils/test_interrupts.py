"""Attributes come back as they were, after the error meant and no other."""

from types import SimpleNamespace

import pytest

from sksbi.utils.interrupts import unchanged_on


def test_attributes_come_back_after_the_error_that_is_meant() -> None:
    first, second = SimpleNamespace(a=1, b=[2]), SimpleNamespace()
    kept = first.b
    with pytest.raises(KeyboardInterrupt), unchanged_on(KeyboardInterrupt, first, second):
        del first.a
        first.b, second.c = [3], 4
        raise KeyboardInterrupt
    assert vars(first) == {"a": 1, "b": [2]}
    assert first.b is kept
    assert vars(second) == {}


def test_attributes_stay_as_they_are_after_another_error_and_after_none() -> None:
    one = SimpleNamespace(a=1)
    with pytest.raises(ValueError, match="other"), unchanged_on(KeyboardInterrupt, one):
        one.a = 2
        raise ValueError("other")
    with unchanged_on(KeyboardInterrupt, one):
        one.a += 1
    assert one.a == 3
