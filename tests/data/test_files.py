"""Pairs come out of files as they went in."""

import pickle
from contextlib import nullcontext
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sksbi import simulate
from sksbi.data import open_pairs, pack

PRIOR = {"a": stats.norm(), "b": stats.uniform()}
ROWS = np.array([5, 3, 3, 150, 0])


def of_words(theta, rng):
    """Give columns of three types, and fail for a fifth of theta."""
    if theta["b"] > 0.8:
        raise ValueError("b is too large")
    word = "high" if rng.random() < 0.5 else "low"
    return {"x": rng.normal(theta["a"]), "n": int(rng.poisson(3)), 5: word}


def of_images(theta, rng):
    """Give small images."""
    return rng.normal(theta["a"], size=(2, 3)).astype(np.float32)


def same(found, expected, rows=slice(None)):
    """Hold that a lazy table has the rows of one in memory."""
    if isinstance(expected, pd.DataFrame):
        expected = expected.iloc[rows].reset_index(drop=True)
        read = found[rows].load()
        # None and NaN are gaps alike.
        pd.testing.assert_frame_equal(read.where(read.notna()), expected.where(expected.notna()))
    else:
        assert found.load().dtype == expected.dtype
        np.testing.assert_array_equal(found[rows], expected[rows])


@pytest.mark.filterwarnings("ignore::sksbi.exceptions.SimulationWarning")
@pytest.mark.parametrize("on_error", ["drop", "keep"])
@pytest.mark.parametrize("simulator", [of_words, of_images])
def test_a_store_is_packed(tmp_path, simulator, on_error):
    """The folder and the file have what the simulations gave, in types and names too."""
    options = {"random_state": 0, "on_error": on_error, "chunk_size": 40}
    expected = simulate(simulator, PRIOR, 300, **options)
    simulate(simulator, PRIOR, 300, store=tmp_path / "pairs", **options)
    pack(tmp_path / "pairs", tmp_path / "pairs.h5")
    for path in ("pairs", "pairs.h5"):
        found = open_pairs(tmp_path / path)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
            same(pickle.loads(pickle.dumps(one)), other, ROWS)


def test_a_file_of_lampe(tmp_path):
    """It has two datasets and nothing else."""
    theta, x = np.eye(3, dtype=np.float32), np.arange(6.0).reshape(3, 2)
    with h5py.File(tmp_path / "lampe.h5", "w") as file:
        file["theta"], file["x"] = theta, x
    for found, expected in zip(open_pairs(tmp_path / "lampe.h5"), (theta, x), strict=True):
        same(found, expected)


def test_columns_of_a_parquet_file(tmp_path):
    """Groups of rows end where they may."""
    pairs = simulate(of_words, PRIOR, 200, random_state=0, on_error="keep")
    pairs[1].columns = ["x", "n", "word"]
    path = tmp_path / "pairs.parquet"
    pd.concat(pairs, axis=1).to_parquet(path, row_group_size=37)
    for found, expected in zip(open_pairs(path, ["a", "b"]), pairs, strict=True):
        same(found, expected)
        same(pickle.loads(pickle.dumps(found)), expected, ROWS)
    for columns in (None, ["a", "c"], ["a", "a"], ["a", "b", "x", "n", "word"]):
        with pytest.raises(ValueError, match=r"theta_columns must name some of .*'word'"):
            open_pairs(path, columns)


def test_what_is_none_of_them_is_refused(tmp_path):
    """It is said what would be one."""
    with pytest.raises(ValueError, match="nothing is there"):
        open_pairs(tmp_path / "none.h5")
    with pytest.raises(ValueError, match=r"folder of simulations.*\.parquet"):
        open_pairs(tmp_path)
    (tmp_path / "broken.h5").write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match="datasets 'theta' and 'x'"):
        open_pairs(tmp_path / "broken.h5")
    (tmp_path / "broken.parquet").write_bytes(b"no Parquet")
    with pytest.raises(
        ValueError, match=r"path must be a Parquet file, but .*broken\.parquet is not"
    ):
        open_pairs(tmp_path / "broken.parquet", ["a"])
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["params"], file["obs"] = np.zeros((3, 1)), np.zeros((3, 1))
    with pytest.raises(ValueError, match=r"It has \['obs', 'params'\]: give fit the datasets"):
        open_pairs(tmp_path / "other.h5")
    with pytest.raises(ValueError, match="got ''"):
        open_pairs("")
    with pytest.raises(TypeError, match="path must be"):
        open_pairs(5)
    with pytest.raises(ValueError, match="theta_columns is for Parquet"):
        open_pairs(tmp_path / "broken.h5", ["a"])
    with pytest.raises(ValueError, match="must end in one of"):
        pack(tmp_path, tmp_path / "pairs.txt")
    with h5py.File(tmp_path / "odd.h5", "w") as file:
        file["theta"], file["x"] = np.zeros((3, 1)), np.zeros((2, 1))
    with pytest.raises(ValueError, match="as many theta as x, got 3 and 2"):
        open_pairs(tmp_path / "odd.h5")


def test_a_broken_pack_leaves_what_was_there(tmp_path, monkeypatch):
    """The file is moved into its place when it is whole."""
    simulate(of_images, PRIOR, 20, random_state=0, store=tmp_path / "pairs")
    (tmp_path / "pairs.h5").write_bytes(b"before")
    part = next((tmp_path / "pairs").glob("part*"))
    part.write_bytes(part.read_bytes()[:-50])
    with pytest.raises(ValueError, match="delete this file"):
        pack(tmp_path / "pairs", tmp_path / "pairs.h5")
    assert (tmp_path / "pairs.h5").read_bytes() == b"before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pairs", "pairs.h5"]


@pytest.mark.parametrize("simulator", [of_words, of_images])
def test_a_disk_without_room_is_told_before(tmp_path, monkeypatch, simulator):
    """HDF5 would end the process. Half of what numbers take is too little, twice is enough."""
    options = {"random_state": 0, "store": tmp_path / "pairs", "on_error": "keep"}
    theta, x = simulate(simulator, PRIOR, 1_000, **options)
    n = len(theta) * 16 + (len(x) * 24 if simulator is of_images else len(x) * 17)
    for room, is_enough in ((n // 2, False), (2 * n, True)):
        usage = SimpleNamespace(total=0, used=0, free=room)
        monkeypatch.setattr("sksbi.data.hdf5.disk_usage", lambda _, usage=usage: usage)
        where = tmp_path / "new" / "pairs.h5"
        with nullcontext() if is_enough else pytest.raises(OSError, match=f"{room:,} are free"):
            pack(tmp_path / "pairs", where)
        assert [path.name for path in where.parent.iterdir()] == ["pairs.h5"] * is_enough
