"""
A store of simulations: a folder that fills while a simulator runs.

::

    theta-000000000000-6f2c91d0.npy        the first parameters
    store.json                             what was run: entropy, names, the file above
    theta-000000001000.npy                 the parameters of rows that were asked for later
    part-000000000000-000000000100-3.npz   what came of these rows, of which three have failed

Files are written once and never changed, and the list of files is the index. So nothing is lost
when a process is killed, a run that is started again finds what is done, and a store of millions of
rows is opened without a look into its parts. A run has begun when store.json is there: of several
processes that begin at once, one writes it.
"""

from __future__ import annotations

import io
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sksbi._version import __version__
from sksbi.data.parts import Part, create_file, make_folder, read_part, write_part
from sksbi.tables.simulated import Table, take
from sksbi.utils.types import Rows

__all__ = ["Entry", "SimulationStore"]

_FORMAT, _HEAD = 2, "store.json"
_THETA = re.compile(r"theta-(\d{12})\.npy")
_PART = re.compile(r"part-(\d{12})-(\d{12})-(\d+)\.npz")
_FIRST = re.compile(r"theta-0{12}-[0-9a-f]{8}\.npy")


@dataclass(frozen=True)
class Entry:
    """
    A part in the index of a store.

    Parameters
    ----------
    path : Path
        Its file.
    start, stop : int
        The first of its rows that count, and the one after the last: parts may overlap.
    whole : bool
        Whether these are all of its rows.
    n_lost : int
        How many rows of the file have failed.
    """

    path: Path
    start: int
    stop: int
    whole: bool
    n_lost: int


class SimulationStore:
    """
    The folder of one run.

    Parameters
    ----------
    path : str or Path
        The folder.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from sksbi.data import SimulationStore
    >>> with TemporaryDirectory() as folder:
    ...     store = SimulationStore(folder)
    ...     store.create({"entropy": [1, 2]}, np.zeros((3, 2)))
    ...     len(store.theta())
    3
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser().absolute()
        self._key = self._first = ""

    @property
    def exists(self) -> bool:
        """Whether a run has begun there."""
        return (self.path / _HEAD).exists()

    def create(self, settings: dict[str, Any], theta: Table) -> None:
        """
        Begin a run; if another process has begun it meanwhile, the other's numbers count.

        Parameters
        ----------
        settings : dict
            What the numbers depend on, as JSON has it.
        theta : ndarray or DataFrame of shape (n, D)
            The parameters.

        Raises
        ------
        ValueError
            If the folder holds something else.
        """
        make_folder(self.path)
        names = (path.name for path in self.path.iterdir())
        foreign = sorted(n for n in names if not n.startswith(".") and not _FIRST.fullmatch(n))
        if foreign and not self.exists:
            raise ValueError(
                f"store must be a new or an empty folder, or one of simulations, got {self.path}, "
                f"which holds {foreign[:3]}: give another."
            )
        first = f"theta-{0:012d}-{secrets.token_hex(4)}.npy"
        self._write_theta(first, theta)
        columns = list(theta.columns) if isinstance(theta, pd.DataFrame) else None
        head = {"format": _FORMAT, "version": __version__, "theta": first}
        head["settings"] = settings | {"names": columns}
        create_file(self.path / _HEAD, json.dumps(head, indent=1).encode())

    def settings(self) -> dict[str, Any]:
        """
        Read what the numbers depend on.

        Returns
        -------
        dict
            The settings, with the names of theta as "names".

        Raises
        ------
        ValueError
            If the file is damaged, or a newer version has written it.
        """
        path = self.path / _HEAD
        content = path.read_bytes()
        try:
            head = json.loads(content)
            form, settings = head["format"], dict(head["settings"])
            self._first = str(head["theta"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"store must be a folder of simulations, but {path} is not."
            ) from error
        if form != _FORMAT:
            raise ValueError(
                f"store was written in format {form} by sksbi {head.get('version')}, and this is "
                f"sksbi {__version__}, which reads format {_FORMAT}."
            )
        self._key = sha256(content).hexdigest()[:16]
        return settings

    def theta(self) -> Table:
        """
        Read the parameters of all rows that were ever asked for.

        Returns
        -------
        ndarray or DataFrame of shape (n, D)
            The parameters.

        Raises
        ------
        ValueError
            If a file is damaged, or one is missing.
        """
        theta = np.concatenate(self.theta_files())
        names = self.settings()["names"]
        return theta if names is None else pd.DataFrame(theta, columns=names)

    def theta_files(self) -> list[np.ndarray]:
        """
        Open the files of the parameters, without reading them.

        Returns
        -------
        list of memmap of shape (k, D)
            The parameters, in the order of the rows.

        Raises
        ------
        ValueError
            If a file is damaged, or one is missing.
        """
        self.settings()
        parts: list[np.ndarray] = []
        for path, (start,) in [(self.path / self._first, (0,)), *self._files(_THETA)]:
            if start != sum(map(len, parts)):
                raise ValueError(
                    f"store must hold the parameters of all rows, but {path} begins at row {start} "
                    f"after {sum(map(len, parts))} rows: a file is missing, put it back."
                )
            try:
                parts.append(np.load(path, mmap_mode="r", allow_pickle=False))
            except (OSError, ValueError, EOFError) as error:
                raise ValueError(
                    f"store must hold whole files, but {path} cannot be read ({error}), and with "
                    "it the parameters are lost: begin a new store."
                ) from error
        return parts

    def extend(self, start: int, theta: Table) -> None:
        """
        Ask for more rows.

        Parameters
        ----------
        start : int
            The number of the first.
        theta : ndarray or DataFrame of shape (k, D)
            Their parameters.
        """
        self._write_theta(f"theta-{start:012d}.npy", theta)

    def _write_theta(self, name: str, theta: Table) -> None:
        """Write parameters into a file, unless it is there."""
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(theta), allow_pickle=False)
        create_file(self.path / name, buffer.getvalue())

    def add(self, part: Part) -> bool:
        """
        Keep what came of some rows.

        Parameters
        ----------
        part : Part
            The rows.

        Returns
        -------
        bool
            Whether somebody else has done so already.
        """
        name = f"part-{part.start:012d}-{part.stop:012d}-{len(part.lost)}.npz"
        was_there = (self.path / name).exists()
        write_part(self.path / name, part, self._key)
        return was_there

    def piece(self, row: int) -> tuple[int, int] | None:
        """
        Find which rows ran together with one, by the names of files alone.

        Parameters
        ----------
        row : int
            The number of the row.

        Returns
        -------
        tuple of (int, int) or None
            The first of them, and the one after the last; None if it has not run.
        """
        found = (piece for _, piece in self._files(_PART))
        return next(((start, stop) for start, stop, _ in found if start <= row < stop), None)

    def index(self, n_rows: int) -> list[Entry]:
        """
        List what came of the first rows, each row once, by the names of files alone.

        Parameters
        ----------
        n_rows : int
            How many are wanted.

        Returns
        -------
        list of Entry
            The parts, in the order of their rows; rows between them have not run.
        """
        found, end = [], 0
        for path, (start, stop, n_lost) in self._files(_PART):
            if start < n_rows and stop > end:
                first, last = max(start, end), min(stop, n_rows)
                found.append(Entry(path, first, last, (first, last) == (start, stop), n_lost))
                end = last
        return found

    def read(self, entry: Entry) -> Part:
        """
        Read what came of some rows.

        Parameters
        ----------
        entry : Entry
            One of :meth:`index`.

        Returns
        -------
        Part
            The rows of the entry.

        Raises
        ------
        ValueError
            If the file is damaged, or belongs to another store.
        """
        part = read_part(entry.path, self._key or self._read_key())
        return part if entry.whole else _between(part, entry.start, entry.stop)

    def _read_key(self) -> str:
        """Find what all parts of this store know it by."""
        self.settings()
        return self._key

    def parts(self, n_rows: int) -> Iterator[Part]:
        """
        Read what came of the first rows, each row once.

        Parameters
        ----------
        n_rows : int
            How many are wanted.

        Yields
        ------
        Part
            The parts, in the order of their rows; rows between them have not run.
        """
        for entry in self.index(n_rows):
            yield self.read(entry)

    def _files(self, pattern: re.Pattern[str]) -> list[tuple[Path, tuple[int, ...]]]:
        """List the files of a kind by the numbers in their names."""
        found = ((path, pattern.fullmatch(path.name)) for path in self.path.iterdir())
        named = [(path, tuple(map(int, match.groups()))) for path, match in found if match]
        return sorted(named, key=lambda item: item[1])


def _between(part: Part, start: int, stop: int) -> Part:
    """Take the rows of a part that lie between two numbers."""
    kept: Rows = np.flatnonzero((part.rows >= start) & (part.rows < stop))
    values = None if part.values is None or not len(kept) else take(part.values, kept)
    lost = [one for one in part.lost if start <= one[0] < stop]
    return Part(start, stop, part.rows[kept], values, lost)
