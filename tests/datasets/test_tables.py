"""The real data sets are those of the sources."""

import numpy as np
import pytest

from sksbi.datasets import load_influenza, load_lynx_hare


def test_lynx_hare():
    table = load_lynx_hare()
    assert table.columns.tolist() == ["hare", "lynx"]
    assert table.index.name == "year"
    assert table.index.tolist() == list(range(1900, 1921))
    assert table.dtypes.tolist() == [np.float64, np.float64]
    assert table.sum().tolist() == pytest.approx([715.7, 423.5])
    assert table.loc[1903].tolist() == [77.4, 35.2]
    assert table.iloc[-1].tolist() == [24.7, 8.6]
    assert "Hewitt (1921)" in table.attrs["source"]


def test_influenza():
    table = load_influenza()
    assert table.columns.tolist() == ["in_bed"]
    assert table.index.name == "day"
    assert table.index.tolist() == list(range(1, 15))
    assert table["in_bed"].sum() == 1559
    assert table["in_bed"].idxmax() == 6
    assert table.attrs["population"] == 763
    assert "1978" in table.attrs["source"]


@pytest.mark.parametrize("load", [load_lynx_hare, load_influenza])
def test_a_caller_cannot_spoil_the_next_ones_table(load):
    table = load()
    table.iloc[:] = 0
    assert (load() > 0).all(axis=None)
