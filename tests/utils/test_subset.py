"""A few rows stand for all, also where a table repeats itself."""

import numpy as np
import pytest

from sksbi.preprocessing import TypicalObservations
from sksbi.utils.subset import choose_rows, some_rows


@pytest.mark.parametrize("period", [2, 3, 5, 10, 1_000])
def test_no_part_of_a_table_that_repeats_itself_is_missed(period: int) -> None:
    """Of 20,000 rows each of up to ten kinds has its share; 6 standard errors."""
    kinds = np.arange(100_000) % period
    share = np.bincount(some_rows(kinds, 0, fewest=20_000), minlength=period) / 20_000
    error = np.sqrt(1 / period / 20_000)
    assert np.abs(share - 1 / period).max() < 6 * error


def test_few_rows_are_all_taken_as_they_are() -> None:
    x = np.zeros((100, 3))
    assert some_rows(x, 300).base is x
    assert choose_rows(100, 3, 300) == slice(None)
    assert len(some_rows(x, 30)) == 10
    assert len(some_rows(x, 300, most=7)) == 7


@pytest.mark.parametrize("period", [2, 5])
def test_simulations_in_turn_are_not_far_from_themselves(period: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60_000, 2)) + 20 * (np.arange(60_000) % period)[:, None]
    typical = TypicalObservations(x)
    assert typical.are_far(x).mean() < 1e-3
    assert typical.are_far(np.full((1, 2), 300.0)).all()
