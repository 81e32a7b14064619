"""What a run of rounds has done so far, in memory and in a folder."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from sksbi.data import SimulationStore
from sksbi.data.parts import create_file, make_folder, replace_file
from sksbi.tables.simulated import Table, concatenate
from sksbi.utils.types import Array, Rows

__all__ = ["Progress", "RoundsFolder"]

_COLUMNS = (
    "simulations",
    "failures",
    "share",
    "acceptance",
    "inside",
    "pairs",
    "score",
    "change",
    "change_error",
    "next_change",
    "simulate_seconds",
    "fit_seconds",
)
_HEAD = "sequential.json"
_COMPARED_ELSEWHERE = ("prior", "seed")
_OF_FITS = ("estimator", "proposal", "x_observed", "pairs")
_DIGESTS = {"x_observed": "x_observed", "pairs": "theta and x"}


@dataclass
class Progress:
    """
    The rounds that have ended.

    Parameters
    ----------
    proposals : object
        Where the last parameters were drawn.
    rows : list of dict
        What there is to tell of each round.
    theta, x : list of tables
        The pairs, one table a round.
    estimator : estimator or None
        The last fit.
    draws : ndarray of shape (m, n, D) or None
        Draws of its posterior at the observations.
    slack : float
        By how many nats the last fit is too sure of itself.
    n_given : int
        The number of pairs that were there before; they are the first table.
    on_error : str
        What was done with simulations that failed.
    """

    proposals: Any
    rows: list[dict[str, Any]] = field(default_factory=list)
    theta: list[Table] = field(default_factory=list)
    x: list[Table] = field(default_factory=list)
    estimator: Any = None
    draws: Array | None = None
    slack: float = 0.0
    n_given: int = 0
    on_error: str = "drop"

    @property
    def pairs(self) -> tuple[Table, Table]:
        """All pairs."""
        if not self.theta:
            raise ValueError("there are no simulations yet.")
        starts = np.cumsum([0, *map(len, self.theta)])
        numbers = [np.arange(*pair) for pair in zip(starts[:-1], starts[1:], strict=True)]
        return concatenate(self.theta, numbers), concatenate(self.x, numbers)

    def rounds_of_pairs(self) -> Rows:
        """Give the number of every pair's round, from 0; those given are of the first."""
        lengths = list(map(len, self.theta))
        before = 1 if self.n_given else 0
        return np.repeat(np.maximum(np.arange(len(lengths)) - before, 0), lengths)

    def counts(self, simulations: list[int]) -> list[int]:
        """Add the pairs that were given to the simulations of the first round."""
        return [simulations[0] + self.n_given, *simulations[1:]]

    def table(self) -> pd.DataFrame:
        """Make the table of rounds."""
        index = pd.RangeIndex(1, len(self.rows) + 1, name="round")
        return pd.DataFrame(self.rows, index=index, columns=list(_COLUMNS))


class RoundsFolder:
    """
    A folder that keeps simulations as they come, and every round when it has ended.

    Parameters
    ----------
    path : str or Path
        The folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def begin(self, settings: dict[str, Any]) -> dict[str, Any]:
        """
        Begin, or hold that what was begun is the same.

        Parameters
        ----------
        settings : dict
            What the numbers depend on, as JSON has it. An absent seed, None, is that of the folder.

        Returns
        -------
        dict
            The settings that count.

        Raises
        ------
        ValueError
            If the folder holds rounds of another run, or something else.
        """
        head = self.path / _HEAD
        make_folder(self.path)
        others = [path.name for path in self.path.iterdir() if not path.name.startswith(".")]
        if others and not head.exists():
            raise ValueError(
                f"store must be a new or an empty folder, or one of rounds, got {self.path}, which "
                f"holds {sorted(others)[:3]}: give another."
            )
        create_file(head, json.dumps(settings, indent=1).encode())
        try:
            found = json.loads(head.read_bytes())
        except ValueError as error:
            raise ValueError(f"store must be a folder of rounds, but {head} is damaged.") from error
        if not isinstance(found, dict) or set(settings) - set(found):
            raise ValueError(f"store must be a folder of rounds, but {head} is something else.")
        if not any(self.path.glob("round-*.joblib")):  # simulations of the prior serve any run
            found = {**found, **{name: settings[name] for name in _OF_FITS}}
            replace_file(head, json.dumps(found, indent=1).encode())
        for name, value in settings.items():
            if found[name] == value or name in _COMPARED_ELSEWHERE:
                continue
            if name in _DIGESTS:
                raise ValueError(
                    f"store was begun with another {_DIGESTS[name]}: give the same, or another "
                    "folder."
                )
            raise ValueError(
                f"store was begun with {name}={found[name]!r}, got {value!r}: give the same, or "
                "another folder."
            )
        return dict(found)

    def simulations(self, number: int) -> Path:
        """Name the store of a round's simulations."""
        return self.path / f"round-{number:02d}"

    def save(self, progress: Progress) -> None:
        """
        Keep a round that has ended.

        Parameters
        ----------
        progress : Progress
            All rounds so far.
        """
        buffer = io.BytesIO()
        joblib.dump(replace(progress, theta=[], x=[]), buffer)  # these are in their own stores
        replace_file(self._file(len(progress.rows)), buffer.getvalue())

    def load(self, counts: list[int]) -> Progress | None:
        """
        Find the last round that has ended.

        Parameters
        ----------
        counts : list of int
            The simulations of every round that is wanted.

        Returns
        -------
        Progress or None
            All rounds up to it, without their pairs; None if there is none.

        Raises
        ------
        ValueError
            If its file is damaged, simulations are lost, or rounds had other numbers of them.
        """
        found = [number for number in range(1, len(counts) + 1) if self._file(number).exists()]
        if not found:
            return None
        path = self._file(found[-1])
        try:
            progress = joblib.load(path)
        except Exception as error:
            raise ValueError(
                f"store must hold whole rounds, but {path} cannot be read ({error!r}): delete it, "
                "and the round is fitted again."
            ) from error
        if not isinstance(progress, Progress):
            raise ValueError(f"store must hold rounds, but {path} is something else.")
        for number, (row, count) in enumerate(zip(progress.rows, counts, strict=False), start=1):
            if row["simulations"] != count:
                raise ValueError(
                    f"store was begun with {row['simulations']} simulations in round {number}, got "
                    f"n_simulations={count}: give the same, or another folder."
                )
            if not SimulationStore(self.simulations(number)).exists:
                raise ValueError(
                    "store must have the simulations of all its rounds, but "
                    f"{self.simulations(number)} is lost: give another folder."
                )
        return progress

    def _file(self, number: int) -> Path:
        """Name the file of a round."""
        return self.path / f"round-{number:02d}.joblib"
