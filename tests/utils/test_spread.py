"""Standard deviations in any unit."""

import numpy as np
import pytest

from sksbi.utils.spread import standard_deviation


def test_in_ordinary_units_it_is_numpys_bit_for_bit():
    values = np.random.default_rng(0).normal(size=(50, 4, 3)) * [1e-3, 1.0, 1e5]
    for axis in range(3):
        assert np.array_equal(standard_deviation(values, axis), values.std(axis, ddof=1))


@pytest.mark.parametrize("unit", [2.0**-1000, 2.0**-600, 2.0**1000])
def test_the_unit_is_a_factor(unit):
    values = np.random.default_rng(0).normal(size=(50, 3))
    with np.errstate(all="raise"):
        assert np.array_equal(standard_deviation(values * unit), standard_deviation(values) * unit)


def test_what_does_not_vary_has_none():
    assert standard_deviation(np.zeros((4, 2))).tolist() == [0.0, 0.0]
    assert standard_deviation(np.full((4, 1), 1e300)).tolist() == [0.0]
