"""A store holds what was put into it, whole or not at all."""

import errno
import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest

from sksbi.data import SimulationStore
from sksbi.data.parts import Part, create_file, read_part, write_part

ROWS = np.arange(3)


@pytest.fixture
def store(tmp_path):
    """Begin a store of ten rows."""
    made = SimulationStore(tmp_path / "pairs")
    made.create({"entropy": [1]}, np.arange(20.0).reshape(10, 2))
    made.settings()
    return made


def part(start, stop, values=None, lost=()):
    """Make a part whose rows have all succeeded, but for those that were lost."""
    rows = np.setdiff1d(np.arange(start, stop), [one[0] for one in lost])
    values = rows * 1.5 if values is None else values
    return Part(start, stop, rows, values, list(lost))


@pytest.mark.parametrize(
    "values",
    [
        np.arange(3, dtype=np.float32),
        np.arange(12, dtype=np.int64).reshape(3, 2, 2),
        np.array([True, False, True]),
        pd.DataFrame({"a": [1, 2, 3], 5: [0.5, np.nan, 2], "c": [True, False, True]}),
        pd.DataFrame({"word": ["yes", "no", "no"], "n": [1, 2, 3]}),
        pd.DataFrame({"word": ["yes", np.nan, "ß\n"]}),
    ],
    ids=["floats", "blocks", "flags", "numbers", "words", "missing"],
)
def test_values_come_back_as_they_were(tmp_path, values):
    """Types, names, gaps and letters survive."""
    path = tmp_path / "part.npz"
    write_part(path, Part(0, 3, ROWS, values, []), "key")
    found = read_part(path, "key").values
    if isinstance(values, pd.DataFrame):
        pd.testing.assert_frame_equal(found, values)
    else:
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, values)


def test_failures_come_back(store):
    """Rows that were lost keep their kind and their error."""
    lost = [(1, "ValueError", "ValueError: too large"), (2, "returned NaN", "none")]
    store.add(part(0, 3, lost=lost))
    (found,) = store.parts(10)
    assert found.lost == lost
    assert found.rows.tolist() == [0]


def test_every_row_comes_once(store):
    """Parts that overlap, as of two processes, are cut; rows beyond what is wanted, too."""
    for start, stop in ((0, 4), (2, 6), (1, 3), (8, 10)):
        store.add(part(start, stop))
    found = list(store.parts(9))
    assert [(one.start, one.stop) for one in found] == [(0, 4), (4, 6), (8, 9)]
    rows = np.concatenate([one.rows for one in found])
    assert rows.tolist() == [0, 1, 2, 3, 4, 5, 8]
    np.testing.assert_array_equal(np.concatenate([one.values for one in found]), rows * 1.5)


def test_theta_grows_and_keeps_its_names(tmp_path):
    """Parameters that were asked for later follow the others."""
    store = SimulationStore(tmp_path)
    theta = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    store.create({}, theta)
    store.extend(2, theta + 10)
    pd.testing.assert_frame_equal(store.theta(), pd.concat([theta, theta + 10], ignore_index=True))


def test_the_first_writer_counts(tmp_path):
    """A file that another process has made stays as it is."""
    for content in (b"first", b"second"):
        create_file(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["file"]


def test_a_full_disk_loses_nothing(store, monkeypatch):
    """What was written before is there, and half a file is not."""
    store.add(part(0, 3))

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        store.add(part(3, 6))
    assert "written to" in caught.value.__notes__[0]
    monkeypatch.undo()
    assert [one.stop for one in store.parts(10)] == [3]
    assert not [name for name in os.listdir(store.path) if name.startswith(".")]


def test_a_truncated_part_is_named(store):
    """It is said which file to delete."""
    store.add(part(0, 3))
    (path,) = store.path.glob("part*")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(
        ValueError, match=r"part-000000000000-000000000003-0\.npz.*delete this file"
    ):
        list(store.parts(10))


def test_a_part_of_another_store_is_named(store, tmp_path):
    """Rows of another run are not mixed in."""
    other = SimulationStore(tmp_path / "other")
    other.create({"entropy": [2]}, np.zeros((10, 2)))
    other.settings()
    other.add(part(0, 3))
    (path,) = other.path.glob("part*")
    shutil.copy(path, store.path)
    with pytest.raises(ValueError, match="from another store"):
        list(store.parts(10))


def test_missing_parameters_are_told(store):
    """A file that is gone is missed."""
    store.extend(10, np.zeros((2, 2)))
    store.extend(12, np.zeros((2, 2)))
    (store.path / "theta-000000000010.npy").unlink()
    with pytest.raises(ValueError, match="begins at row 12 after 10 rows"):
        store.theta()
    next(store.path.glob("theta-000000000000-*")).unlink()
    with pytest.raises(ValueError, match="the parameters are lost"):
        store.theta()


def test_of_two_that_begin_one_counts(tmp_path):
    """With its parameters, whatever the other one has written."""
    for value in (1.0, 2.0):
        made = SimulationStore(tmp_path)
        made.create({"entropy": [value]}, np.full((3, 1), value))
        assert made.settings()["entropy"] == [1.0]
        assert made.theta().tolist() == [[1.0]] * 3


def test_a_beginning_that_was_killed_is_none(tmp_path):
    """Parameters without what was run do not count, and are in nobody's way."""
    made = SimulationStore(tmp_path)
    made.create({}, np.zeros((3, 1)))
    (tmp_path / "store.json").unlink()
    assert not made.exists
    made.create({}, np.ones((2, 1)))
    assert made.theta().tolist() == [[1.0]] * 2


def test_another_folder_is_refused(tmp_path):
    """Nothing is written among other files."""
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(ValueError, match=r"holds \['thesis.tex'\]"):
        SimulationStore(tmp_path).create({}, np.zeros((2, 2)))


@pytest.mark.parametrize("content", ["", "[]", json.dumps({"format": 1})])
def test_a_damaged_head_is_told(tmp_path, content):
    """What is no store is not read as one."""
    (tmp_path / "store.json").write_text(content)
    with pytest.raises(ValueError, match="must be a folder of simulations"):
        SimulationStore(tmp_path).settings()


def test_a_newer_format_is_refused(tmp_path):
    """It is said which version wrote it."""
    head = {"format": 3, "version": "9.0", "settings": {}, "theta": ""}
    (tmp_path / "store.json").write_text(json.dumps(head))
    with pytest.raises(ValueError, match="format 3 by sksbi 9.0"):
        SimulationStore(tmp_path).settings()


def test_names_that_no_file_holds_are_refused(store):
    """A tuple is no name in JSON."""
    values = pd.DataFrame({("a", 1): [1.0, 2.0, 3.0]})
    with pytest.raises(TypeError, match=r"the name \('a', 1\): rename it"):
        store.add(part(0, 3, values))
