"""One or several series of simulated and observed values, and their coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sksbi.inspection._named import Row, Table, check_row
from sksbi.tables.draws import check_draws

__all__ = ["Coordinates", "Groups", "check_coordinates", "split_series"]

Groups = Mapping[str, Sequence | slice]
Coordinates = ArrayLike | pd.Index | pd.Series
Arrays = dict[str, np.ndarray]


def split_series(
    simulated: Table | Mapping[str, Table],
    observed: Row | Mapping[str, Row],
    groups: Groups | None,
) -> tuple[Arrays, Arrays]:
    """Check simulations and observation and split them into series."""
    if isinstance(simulated, Mapping):
        return _check_each(simulated, observed, groups)
    values, row, names = _check_series(simulated, observed, "")
    columns = {"x": slice(None)} if groups is None else groups
    if not columns:
        raise ValueError("groups must name at least one series, got an empty dict.")
    positions = {str(key): _positions(key, group, names) for key, group in columns.items()}
    return (
        {key: values[:, where] for key, where in positions.items()},
        {key: row[where] for key, where in positions.items()},
    )


def check_coordinates(
    coordinates: Coordinates | Mapping[str, Coordinates] | None, simulated: Arrays
) -> dict[str, pd.Index]:
    """Check that every series has one coordinate a column."""
    if not isinstance(coordinates, Mapping):
        coordinates = dict.fromkeys(simulated, coordinates)
    if set(coordinates) != set(simulated):
        raise ValueError(
            f"coordinates must be given for the series {list(simulated)}, got {list(coordinates)}."
        )
    return {
        key: _check_coordinate(coordinates[key], values.shape[1], key)
        for key, values in simulated.items()
    }


def _check_each(
    simulated: Mapping[str, Table], observed: Row | Mapping[str, Row], groups: Groups | None
) -> tuple[Arrays, Arrays]:
    """Check a dict of tables and a dict of observations."""
    if groups is not None:
        raise ValueError(
            "groups must be None where x_simulated is a dict: its keys are the series."
        )
    if not isinstance(observed, Mapping) or set(observed) != set(simulated) or not simulated:
        got = list(observed) if isinstance(observed, Mapping) else type(observed).__name__
        raise ValueError(
            f"x_observed must be a dict of the series {list(simulated)} of x_simulated, got {got}."
        )
    checked = {
        key: _check_series(table, observed[key], f"[{key!r}]") for key, table in simulated.items()
    }
    return {key: part[0] for key, part in checked.items()}, {
        key: part[1] for key, part in checked.items()
    }


def _check_series(
    simulated: Table, observed: Row, key: str
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Check the simulations and the observation of one series, and name its columns."""
    values, names = check_draws(simulated, f"x_simulated{key}", 2)
    names = names or [str(j) for j in range(values.shape[1])]
    return values, check_row(observed, names, f"x_observed{key}"), names


def _positions(key: str, group: Sequence | slice, names: list[str]) -> np.ndarray:
    """Return the positions of a group's columns."""
    if isinstance(group, slice):
        group = range(len(names))[group]
    known = {name: j for j, name in enumerate(names)}
    positions = [known.get(name, -1) if isinstance(name, str) else int(name) for name in group]
    bad = [name for name, j in zip(group, positions, strict=True) if not 0 <= j < len(names)]
    if bad or not positions:
        raise ValueError(
            f"groups[{key!r}] must hold names or positions of the {len(names)} columns of "
            f"x_simulated, got {bad or 'none'}."
        )
    return np.array(positions)


def _check_coordinate(coordinate: Coordinates | None, n_columns: int, key: str) -> pd.Index:
    """Check one series' coordinates; by default they count from 0."""
    if coordinate is None:
        return pd.RangeIndex(n_columns, name="position")
    index = pd.Index(coordinate)
    if len(index) != n_columns:
        raise ValueError(
            f"coordinates of the series {key!r} must have {n_columns} values, got {len(index)}."
        )
    return index
