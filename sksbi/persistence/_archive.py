"""
The archive: a zip whose members are stored as they are, JSON and arrays.

Nothing is compressed, so a file holds no more than its size, and a member's checksum tells whether
it is damaged.
"""

from __future__ import annotations

import ast
import io
import json
import struct
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any, Self

import numpy as np

from sksbi.data.parts import replace_file
from sksbi.persistence._nodes import TREE, array_name

__all__ = ["Archive", "write_archive"]

_MAGIC = b"\x93NUMPY\x01\x00"
_DATE = (1980, 1, 1, 0, 0, 0)  # the same object makes the same file


def write_archive(path: Path, tree: dict[str, Any], arrays: list[np.ndarray]) -> None:
    """
    Write an archive in one step, in place of what may be there.

    Parameters
    ----------
    path : Path
        The file.
    tree : dict
        What JSON takes.
    arrays : list of ndarray
        The arrays.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        text = json.dumps(tree, allow_nan=False, separators=(",", ":"))
        archive.writestr(zipfile.ZipInfo(TREE, _DATE), text)
        for number, array in enumerate(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(array_name(number), _DATE), member.getvalue())
    replace_file(path, buffer.getvalue())


class Archive:
    """
    An archive that is read.

    Parameters
    ----------
    content : bytes
        The whole file.

    Raises
    ------
    Exception
        Whatever comes of it if it is none of ours.
    """

    def __init__(self, content: bytes) -> None:
        self._zip = zipfile.ZipFile(io.BytesIO(content))
        try:
            members = self._zip.infolist()
            names = Counter(member.filename for member in members)
            expected = {TREE, *map(array_name, range(len(members) - 1))}
            if set(names) != expected or len(members) != len(expected):
                raise ValueError("it has other members")
            if any(m.compress_type != zipfile.ZIP_STORED or m.flag_bits & 1 for m in members):
                raise ValueError("its members are compressed or encrypted")
            if any(m.file_size != m.compress_size for m in members):
                raise ValueError("a member has another size")
            self.n_bytes = sum(member.file_size for member in members)
            if self.n_bytes > len(content):
                raise ValueError("its members are larger than the file")
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def tree(self) -> Any:
        """
        Read the JSON.

        Returns
        -------
        object
            What it has.
        """
        return json.loads(self._zip.read(TREE))

    def array(self, number: int) -> np.ndarray:
        """
        Read an array.

        Parameters
        ----------
        number : int
            Its number.

        Returns
        -------
        ndarray
            The array, which nobody may write to.

        Raises
        ------
        ValueError
            If it is none, or its shape is not that of its contents.
        """
        data = self._zip.read(array_name(number))
        if not data.startswith(_MAGIC):
            raise ValueError("an array is none")
        (length,) = struct.unpack_from("<H", data, len(_MAGIC))
        start = len(_MAGIC) + 2 + length
        head = ast.literal_eval(data[len(_MAGIC) + 2 : start].decode("latin1").strip())
        dtype = np.lib.format.descr_to_dtype(head["descr"])
        shape = tuple(head["shape"])
        n = 1
        for length in shape:
            if type(length) is not int or length < 0:
                raise ValueError("an array has no such shape")
            n *= length
        if dtype.hasobject or (n and not dtype.itemsize) or n * dtype.itemsize != len(data) - start:
            raise ValueError("an array has another size")
        flat = np.frombuffer(data, dtype, offset=start) if data[start:] else np.zeros(n, dtype)
        return flat.reshape(shape, order="F" if head["fortran_order"] else "C")
