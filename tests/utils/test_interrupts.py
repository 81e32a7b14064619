"""Attributes come back as they were, after the error meant and no other."""

from types import SimpleNamespace

import pytest

from sksbi.utils.interrupts import unchanged_on


def change(error: type[BaseException] | None, meant: type[BaseException]) -> SimpleNamespace:
    """Change attributes, end in an error or not, and give what is left."""
    one = SimpleNamespace(a=1, b=2)
    try:
        with unchanged_on(meant, one):
            del one.a
            one.b, one.c = 3, 4
            if error is not None:
                raise error
    except (KeyboardInterrupt, ValueError):
        pass
    return one


def test_attributes_come_back_after_the_error_that_is_meant() -> None:
    assert change(KeyboardInterrupt, KeyboardInterrupt) == SimpleNamespace(a=1, b=2)
    assert change(ValueError, BaseException) == SimpleNamespace(a=1, b=2)


def test_attributes_stay_as_they_are_after_another_error_and_after_none() -> None:
    assert change(ValueError, KeyboardInterrupt) == SimpleNamespace(b=3, c=4)
    assert change(None, KeyboardInterrupt) == SimpleNamespace(b=3, c=4)


def test_the_error_goes_on() -> None:
    with pytest.raises(KeyboardInterrupt), unchanged_on(KeyboardInterrupt):
        raise KeyboardInterrupt
