"""
One part of a store: some rows of a run, in one file that is whole or not there.

A file is written beside its place, brought to the disk, and moved there in one step, so a process
that is killed leaves no half of one. It is a NumPy archive without pickled objects: numbers as they
are, text as text, and a line of JSON that tells which array is what.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import zipfile
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sksbi.tables.simulated import Table, is_missing
from sksbi.utils.types import Rows

__all__ = [
    "Lost",
    "Part",
    "create_file",
    "make_folder",
    "read_part",
    "replace_file",
    "write_part",
]

Lost = tuple[int, str, str]  # the number of a row, what its failure is counted as, the error's text


@dataclass(frozen=True, eq=False)
class Part:
    """
    What came of the rows from start to stop.

    Parameters
    ----------
    start, stop : int
        The first row, and the one after the last.
    rows : ndarray of int
        The rows with a result.
    values : ndarray or DataFrame or None
        Their results; None if there are none.
    lost : list of (int, str, str)
        The rows that failed, each with the kind of its failure and the text of the error.
    """

    start: int
    stop: int
    rows: Rows
    values: Table | None
    lost: list[Lost]


def make_folder(path: Path, name: str = "store") -> None:
    """
    Make a folder, and those above it.

    Parameters
    ----------
    path : Path
        The folder; it may be there already.
    name : str, default="store"
        The argument that says where, for errors.

    Raises
    ------
    ValueError
        If a file is in its place.
    OSError
        If it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(f"{name} must be a folder, got {path}, where a file is.") from error


def write_part(path: Path, part: Part, key: str) -> None:
    """
    Write a part into a file, all or nothing.

    Parameters
    ----------
    path : Path
        The file.
    part : Part
        The part.
    key : str
        Which store it belongs to.
    """
    described, arrays = _describe(part.values)
    described |= {"key": key, "start": part.start, "stop": part.stop}
    described |= {"kinds": [lost[1:] for lost in part.lost]}
    arrays |= {"rows": part.rows, "lost": np.array([lost[0] for lost in part.lost], dtype=int)}
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(described).encode(), dtype=np.uint8)
    np.savez(buffer, allow_pickle=False, described=text, **arrays)
    replace_file(path, buffer.getvalue(), named=False)


def read_part(path: Path, key: str) -> Part:
    """
    Read a part.

    Parameters
    ----------
    path : Path
        The file.
    key : str
        Which store it must belong to.

    Returns
    -------
    Part
        The part.

    Raises
    ------
    ValueError
        If the file is damaged, or belongs to another store.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        described = json.loads(arrays["described"].tobytes())
        values = _restore(described, arrays)
        rows, numbers = arrays["rows"].astype(np.intp), arrays["lost"].tolist()
        lost = [(row, *kind) for row, kind in zip(numbers, described["kinds"], strict=True)]
    except OSError as error:
        raise ValueError(f"store must hold parts that can be read, got {error}.") from error
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"store must hold whole parts, but {path} cannot be read ({error}): delete this file, "
            "and its rows are simulated again, with the same numbers."
        ) from error
    if described["key"] != key:
        raise ValueError(
            f"store must hold parts of one run, but {path} comes from another store: take it out."
        )
    return Part(described["start"], described["stop"], rows, values, lost)


def replace_file(path: Path, content: bytes, *, named: bool = True) -> None:
    """
    Write a file in one step, in place of what may be there.

    Parameters
    ----------
    path : Path
        The file.
    content : bytes
        What it is to hold.
    named : bool, default=True
        Whether to wait until the disk knows the file by its name, too. Else one of the last may be
        missing after the machine, and not only the process, has died.
    """
    temporary = _written_beside(path, content)
    try:
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if named:
        _bring_to_disk(path.parent)


def create_file(path: Path, content: bytes) -> None:
    """
    Write a file in one step, unless it is there.

    Parameters
    ----------
    path : Path
        The file.
    content : bytes
        What it is to hold; of several processes, one writes.
    """
    temporary = _written_beside(path, content)
    try:
        if os.name == "nt":  # a rename there does not replace
            os.rename(temporary, path)
        else:
            os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink(missing_ok=True)
    _bring_to_disk(path.parent)


def _written_beside(path: Path, content: bytes) -> Path:
    """Write a temporary file, and wait until the disk has it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.add_note(f"What was written to {path.parent} before is kept.")
        raise
    return temporary


def _bring_to_disk(folder: Path) -> None:
    """Wait until the disk knows of the files in a folder; Windows cannot be asked."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _describe(values: Table | None) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Take a table apart into arrays of numbers or text, and what tells how they go together."""
    if values is None:
        return {"form": "none"}, {}
    if isinstance(values, np.ndarray):
        return {"form": "array"}, {"values": values}
    names = [_plain_name(name) for name in values.columns]
    arrays: dict[str, np.ndarray] = {}
    texts = []
    for number, (_, column) in enumerate(values.items()):
        column = _without_categories(column)
        if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
            arrays[f"column_{number}"] = column.to_numpy()
            continue
        texts.append(number)
        missing = np.array([is_missing(value) for value in column])
        text = np.where(missing, "", column.to_numpy(dtype=object)).astype(str)
        arrays |= {f"column_{number}": text, f"missing_{number}": missing}
    return {"form": "table", "names": names, "texts": texts}, arrays


def _without_categories(column: pd.Series) -> pd.Series:
    """Take categories that are numbers as numbers."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype) and dtype.categories.dtype.kind in "biuf":
        return column.astype(float if column.isna().any() else dtype.categories.dtype)
    return column


def _restore(described: dict[str, Any], arrays: dict[str, np.ndarray]) -> Table | None:
    """Put a table together again."""
    if described["form"] == "none":
        return None
    if described["form"] == "array":
        return arrays["values"]
    columns: dict[int, Any] = {}
    for number in range(len(described["names"])):
        column: Any = arrays[f"column_{number}"]
        if number in described["texts"]:
            column = column.astype(object)
            column[arrays[f"missing_{number}"]] = np.nan
            column = column.tolist()
        columns[number] = column
    return pd.DataFrame(columns).set_axis(pd.Index(described["names"]), axis=1)


def _plain_name(name: Hashable) -> str | int | float | bool:
    """Take a column's name as JSON has it."""
    plain = name.item() if isinstance(name, np.generic) else name
    if not isinstance(plain, str | int | float | bool):
        raise TypeError(
            "store takes columns whose names are text or numbers, and the simulator returns the "
            f"name {name!r}: rename it."
        )
    return plain
