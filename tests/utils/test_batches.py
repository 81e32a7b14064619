"""Batches cover all rows once, in order, and none is too large."""

import pytest

from sksbi.utils.batches import batches


@pytest.mark.parametrize(("n", "size"), [(0, 3), (1, 3), (3, 3), (7, 3), (5, 0), (5, 1), (5, 100)])
def test_every_row_comes_once_and_in_order(n: int, size: int) -> None:
    parts = batches(n, size)
    assert [row for part in parts for row in range(n)[part]] == list(range(n))
    assert all(0 < part.stop - part.start <= max(1, size) for part in parts)
