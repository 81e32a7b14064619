"""
A store of simulations: a folder that fills while a simulator runs.

::

    theta-000000000000-6f2c91d0.npy        the first parameters
    store.json                             what was run: entropy, names, the file above
    theta-000000001000.npy                 the parameters of rows that were asked for later
    part-000000000000-000000000100.npz     what came of these rows

Files are written once and never changed, and the list of files is the index. So nothing is lost
when a process is killed, and a run that is started again finds what is done. A run has begun when
store.json is there: of several processes that begin at once, one writes it.
"""

from __future__ import annotations

import io
import json
import re
import secrets
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sksbi._version import __version__
from sksbi.data.parts import Part, create_file, make_folder, read_part, write_part
from sksbi.tables.simulated import Table, take
from sksbi.utils.types import Rows

__all__ = ["SimulationStore"]

_FORMAT, _HEAD = 1, "store.json"
_THETA, _PART = re.compile(r"theta-(\d{12})\.npy"), re.compile(r"part-(\d{12})-(\d{12})\.npz")
_FIRST = re.compile(r"theta-0{12}-[0-9a-f]{8}\.npy")


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
        self.path = Path(path)
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
        names = self.settings()["names"]
        parts: list[np.ndarray] = []
        for path, (start,) in [(self.path / self._first, (0,)), *self._files(_THETA)]:
            if start != sum(map(len, parts)):
                raise ValueError(
                    f"store must hold the parameters of all rows, but {path} begins at row {start} "
                    f"after {sum(map(len, parts))} rows: a file is missing, put it back."
                )
            try:
                parts.append(np.load(path, allow_pickle=False))
            except (OSError, ValueError, EOFError) as error:
                raise ValueError(
                    f"store must hold whole files, but {path} cannot be read ({error}), and with "
                    "it the parameters are lost: begin a new store."
                ) from error
        theta = np.concatenate(parts)
        return theta if names is None else pd.DataFrame(theta, columns=names)

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

    def add(self, part: Part) -> None:
        """
        Keep what came of some rows.

        Parameters
        ----------
        part : Part
            The rows.
        """
        name = f"part-{part.start:012d}-{part.stop:012d}.npz"
        write_part(self.path / name, part, self._key)

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
        return next(((start, stop) for start, stop in found if start <= row < stop), None)

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
        self.settings()
        end = 0
        for path, (start, stop) in self._files(_PART):
            if start >= n_rows or stop <= end:
                continue
            part = read_part(path, self._key)
            first, last = max(start, end), min(stop, n_rows)
            if (first, last) != (start, stop):
                part = _between(part, first, last)
            end = last
            yield part

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
