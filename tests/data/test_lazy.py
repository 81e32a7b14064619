"""A lazy table gives the rows that a table in memory would give."""

import pickle

import dask.array as da
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from scipy.sparse import csr_array
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KernelDensity

from sksbi.data import LazyTable
from sksbi.data.lazy import as_lazy, beside
from sksbi.utils.containers import plain

VALUES = np.random.default_rng(0).normal(size=(40_000, 3)).astype(np.float32)
KEYS = {
    "all": slice(None),
    "every seventh": slice(5, 30_000, 7),
    "backwards": slice(None, None, -1),
    "list": [3, 1, 3, -1],
    "random": np.random.default_rng(1).integers(0, len(VALUES), 500),
    "mask": VALUES[:, 0] > 1.5,
    "none": np.zeros(0, dtype=int),
}


@pytest.fixture(params=["h5py", "zarr", "dask", "memmap", "memory", "table"])
def stored(request, tmp_path):
    """Put the same numbers into each kind of container."""
    if request.param == "h5py":
        return h5py.File(tmp_path / "a.h5", "w").create_dataset("some/x", data=VALUES)
    if request.param == "zarr":
        return zarr.array(VALUES, chunks=(1_000, 3))
    if request.param == "dask":
        return da.from_array(VALUES, chunks=(7_000, 3))
    if request.param == "memmap":
        np.save(tmp_path / "a.npy", VALUES)
        return np.load(tmp_path / "a.npy", mmap_mode="r")
    return beside(VALUES if request.param == "memory" else pd.DataFrame(VALUES), "x")


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
def test_rows_are_those_of_the_array(stored, key):
    """Slices, rows in any order, masks, and rows of rows."""
    table = as_lazy(stored)
    assert isinstance(table[key], LazyTable)
    np.testing.assert_array_equal(table[key].load(), VALUES[key])
    np.testing.assert_array_equal(table[::-1][key][1::2], VALUES[::-1][key][1::2])


def test_single_rows_and_all_of_them(stored):
    """A number gives a row, and iteration gives them all."""
    table = as_lazy(stored)
    np.testing.assert_array_equal(table[-2], VALUES[-2])
    np.testing.assert_array_equal(list(table[20_000:20_004]), VALUES[20_000:20_004])
    assert table.shape == VALUES.shape
    assert f"of shape {VALUES.shape}" in repr(table)
    with pytest.raises(IndexError, match=rf"row {len(VALUES)} is none of the {len(VALUES)} rows"):
        table[len(VALUES)]
    with pytest.raises(IndexError, match="rows only"):
        table[:, 0]
    with pytest.raises(AttributeError, match=r"'mean': load\(\) gives"):
        table.mean()


def test_names_give_columns():
    """As a DataFrame does."""
    frame = pd.DataFrame(VALUES, columns=["a", "b", "c"])
    table = beside(frame, "x")[::2]
    pd.testing.assert_series_equal(table["b"], frame["b"][::2].reset_index(drop=True))
    pd.testing.assert_frame_equal(table[["c", "a"]], frame[["c", "a"]][::2].reset_index(drop=True))
    pd.testing.assert_frame_equal(plain(table, "x"), frame[::2].reset_index(drop=True))
    assert table[3].name == 3
    assert table[3].tolist() == frame.iloc[6].tolist()
    with pytest.raises(KeyError, match="no names"):
        beside(VALUES, "x")["a"]


def test_a_dataset_is_pickled_by_its_place(tmp_path):
    """And opened again where it is loaded."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = VALUES
    with h5py.File(tmp_path / "a.h5", "r") as file:
        content = pickle.dumps(as_lazy(file["x"])[100:200])
    assert len(content) < 2_000
    np.testing.assert_array_equal(pickle.loads(content), VALUES[100:200])


@pytest.mark.parametrize(
    "value",
    [VALUES, VALUES.tolist()[:2], csr_array(VALUES[:9]), pd.Series([1.0]), "x", None],
    ids=lambda value: type(value).__name__,
)
def test_what_is_in_memory_stays_there(value):
    """It is no lazy table."""
    assert as_lazy(value) is None


def test_scikit_learn_cuts_lazy_tables(tmp_path):
    """A search over folds sees the rows that it would see in memory."""
    np.save(tmp_path / "a.npy", VALUES[:300].astype(float))
    tables = VALUES[:300], as_lazy(np.load(tmp_path / "a.npy", mmap_mode="r"))
    cv = KFold(3, shuffle=True, random_state=0)
    found = [
        GridSearchCV(KernelDensity(), {"bandwidth": [0.3, 1.0]}, cv=cv).fit(table).cv_results_
        for table in tables
    ]
    np.testing.assert_allclose(*(one["mean_test_score"] for one in found), rtol=1e-5)
