"""Checks of flags, widths and factories."""

import numpy as np
import pytest

from sksbi.utils.settings import check_flag, check_widths


@pytest.mark.parametrize("value", [True, False, np.True_, np.False_])
def test_flags(value):
    assert check_flag(value, "grid") is bool(value)


@pytest.mark.parametrize("value", ["yes", None, 0, 1.0, [True], np.array([True])])
def test_what_is_no_flag_is_refused(value):
    with pytest.raises(TypeError, match="grid must be True or False, got"):
        check_flag(value, "grid")


@pytest.mark.parametrize("widths", [[8, 4], (8, 4), np.array([8, 4]), [np.int8(8), np.uint16(4)]])
def test_widths(widths):
    assert check_widths(widths, "channels") == [8, 4]


@pytest.mark.parametrize("widths", [8, "84", None, (), {8: 4}, {8}, np.array(8), np.zeros((2, 2))])
def test_what_holds_no_widths_is_refused(widths):
    with pytest.raises((ValueError, TypeError), match="channels must be"):
        check_widths(widths, "channels")
