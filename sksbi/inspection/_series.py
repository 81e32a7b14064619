"""
From simulations and an observation to the panels that show them.

What is drawn as one line has one unit. So columns are a series only where something says so: the
user, by groups, coordinates or kind; names that count, such as t_0, t_1, t_2 or years; or an array,
whose columns have no names. All others are quantities of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sksbi.inspection._named import check_row, names_of_row
from sksbi.tables.draws import as_float, check_draws, check_finite
from sksbi.utils.containers import shape_of
from sksbi.utils.types import Array, Row, Table

__all__ = ["Coordinates", "Groups", "Panel", "check_can_be_drawn", "split_panels"]

_KINDS = ("auto", "series", "columns", "images")

Coordinates = Sequence[Any] | NDArray[Any] | pd.Index | pd.Series
Groups = Mapping[str, Sequence[Any] | slice]

_SHORTEST = 3
_MOST_CHANNELS = 6
_COUNTED = re.compile(r"(.*?)[\s_:\[(]*((?:(?<![A-Za-z0-9])-)?\d+(?:\.\d+)?)[\])]*")


@dataclass(frozen=True, eq=False)
class Panel:
    """Simulations (n, L), or images (n, H, W), the observation, and where series have values."""

    simulated: Array
    observed: Array
    coordinates: pd.Index | None = None

    def take(self, columns: Sequence[int] | slice, coordinates: pd.Index | None) -> Panel:
        """Take some columns."""
        return Panel(self.simulated[:, columns], self.observed[columns], coordinates)


def split_panels(
    simulated: Table | Mapping[str, Table],
    observed: Row | Mapping[str, Row],
    groups: Groups | None,
    coordinates: Coordinates | Mapping[str, Coordinates] | None,
    kind: str,
) -> dict[str, Panel]:
    """Check simulations and an observation, and split them into what is drawn together."""
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {_KINDS}, got {kind!r}.")
    if isinstance(simulated, Mapping):
        panels = _check_each(simulated, observed, groups, kind)
    else:
        panels = _check_one(simulated, cast(Row, observed), groups, coordinates, kind)
    return _with_coordinates(panels, coordinates)


def check_can_be_drawn(observed: Row) -> None:
    """Refuse an observation of which there is no picture, before anything is simulated."""
    shape = shape_of(observed, "x_observed")
    if len(shape) > 3:
        raise ValueError(
            "x_observed must have at most three dimensions to be drawn, (channels, height, width), "
            f"got shape {shape}; give what is to be seen of it to from_predictions."
        )


def _check_each(
    simulated: Mapping[str, Table],
    observed: Row | Mapping[str, Row],
    groups: Groups | None,
    kind: str,
) -> dict[str, Panel]:
    """Check a dict of tables and a dict of observations: each is a series or an image."""
    if groups is not None:
        raise ValueError(
            "groups must be None where x_simulated is a dict: its keys are the series."
        )
    if kind == "columns":
        raise ValueError(
            "kind must not be 'columns' where x_simulated is a dict: its keys are the series."
        )
    if not isinstance(observed, Mapping) or set(observed) != set(simulated) or not simulated:
        got = list(observed) if isinstance(observed, Mapping) else type(observed).__name__
        raise ValueError(
            f"x_observed must be a dict of the series {list(simulated)} of x_simulated, got {got}."
        )
    panels: dict[str, Panel] = {}
    for key, table in simulated.items():
        if len(shape_of(table, f"x_simulated[{key!r}]")) > 2:
            panels |= _channels(table, observed[key], kind, str(key), f"[{key!r}]")
        else:
            panels[str(key)] = _check_table(table, observed[key], f"[{key!r}]")[0]
    return panels


def _check_one(
    simulated: Table,
    observed: Row,
    groups: Groups | None,
    coordinates: Coordinates | Mapping[str, Coordinates] | None,
    kind: str,
) -> dict[str, Panel]:
    """Check one table and one observation, and split the columns."""
    if len(shape_of(simulated, "x_simulated")) > 2:
        if groups is not None:
            raise ValueError("groups must be None where x_simulated is no table of columns.")
        return _channels(simulated, observed, kind, "x", "")
    if kind == "images":
        shape = np.shape(simulated)
        raise ValueError(
            f"kind='images' takes simulations of shape (n, height, width), got {shape}."
        )
    table, names = _check_table(simulated, observed, "")
    if groups is not None:
        if kind == "columns":
            raise ValueError("groups must be None for kind='columns', got some.")
        if not groups:
            raise ValueError("groups must name at least one series, got an empty dict.")
        known = names or [str(j) for j in range(table.simulated.shape[1])]
        return {
            str(key): table.take(_positions(key, group, known), None)
            for key, group in groups.items()
        }
    if kind == "series" or kind == "auto" and coordinates is not None:
        return {"x": table}
    if coordinates is not None:
        raise ValueError("coordinates must be None for kind='columns', got some.")
    return _split_columns(table, names, kind)


def _split_columns(table: Panel, names: list[str] | None, kind: str) -> dict[str, Panel]:
    """Find series by the names of the columns; the other ones stand alone."""
    width = table.simulated.shape[1]
    if names is None and kind == "auto" and width >= _SHORTEST:
        return {"x": table}
    names = names or _plain_names(width)
    series = dict(_series(names)) if kind == "auto" else {}
    stem_of = {j: stem for stem, (columns, _) in series.items() for j in columns}
    panels: dict[str, Panel] = {}
    for j, name in enumerate(names):
        stem = stem_of.get(j)
        if stem is None:
            key = name if name not in panels and name not in series else f"{name}, column {j}"
            panels[key] = table.take([j], None)
        elif stem not in panels:
            columns, where = series[stem]
            panels[stem] = table.take(columns, where)
    return panels


def _plain_names(width: int) -> list[str]:
    """Name columns without names."""
    return ["x"] if width == 1 else [f"x_{j}" for j in range(width)]


def _series(names: list[str]) -> Iterator[tuple[str, tuple[list[int], pd.Index]]]:
    """Find names that count upwards, or are dates: their stem, the columns and the numbers."""
    dates = _as_dates(names)
    if dates is not None:
        yield "x", (list(range(len(names))), dates)
        return
    found: dict[str, list[tuple[int, float]]] = {}
    for j, name in enumerate(names):
        stem, number = _stem_and_number(name)
        if number is not None:
            found.setdefault(stem, []).append((j, number))
    for stem, members in found.items():
        columns, numbers = zip(*members, strict=True)
        if len(numbers) >= _SHORTEST and np.all(np.diff(numbers) > 0):
            whole = all(number == int(number) for number in numbers)
            where = pd.Index([int(number) if whole else number for number in numbers])
            counts = where.equals(pd.RangeIndex(len(where)))
            yield stem or "x", (list(columns), where.rename("position" if counts else None))


def _stem_and_number(name: str) -> tuple[str, float | None]:
    """Split a name that ends in a number."""
    try:
        number = float(name)
    except ValueError:
        match = _COUNTED.fullmatch(name)
        return (match[1].rstrip(" _:-"), float(match[2])) if match else (name, None)
    return "", number if np.isfinite(number) else None


def _as_dates(names: list[str]) -> pd.DatetimeIndex | None:
    """Read names that are ascending dates, such as 2020-01-31."""
    if len(names) < _SHORTEST or not all(re.match(r"\d{4}-\d\d-\d\d", name) for name in names):
        return None
    try:
        dates = pd.DatetimeIndex(pd.to_datetime(names, format="ISO8601"))
    except ValueError:
        return None
    return dates if dates.is_monotonic_increasing and dates.is_unique else None


def _channels(simulated: Table, observed: Row, kind: str, name: str, key: str) -> dict[str, Panel]:
    """Check simulations of more dimensions: series of few channels, or images of few channels."""
    if kind == "columns":
        raise ValueError(
            f"kind='columns' takes simulations of shape (n, L), got {np.shape(simulated)}."
        )
    values = check_finite(simulated, f"x_simulated{key}")
    row = as_float(observed, f"x_observed{key}")
    if row.shape != values.shape[1:] or len(values) < 2:
        raise ValueError(
            f"x_observed{key} must have the shape of one of at least two simulations, got "
            f"{row.shape} for x_simulated{key} of shape {values.shape}."
        )
    is_series = row.ndim == 2 and (
        kind == "series" or kind == "auto" and min(row.shape) <= _MOST_CHANNELS < max(row.shape)
    )
    if is_series and row.shape[0] > row.shape[1]:
        values, row = values.swapaxes(1, 2), row.T
    if row.ndim == 2 and not is_series:
        values, row = values[:, None], row[None]
    if row.ndim > 3 or kind == "series" and not is_series or len(row) > _MOST_CHANNELS:
        raise ValueError(
            f"x_simulated{key} must be of shape (n, L), (n, channels, L), (n, height, width) or "
            f"(n, channels, height, width), at most {_MOST_CHANNELS} channels, to be drawn, and "
            f"for kind='series' the first or the second; got {np.shape(simulated)} with "
            f"kind={kind!r}. Give what is to be seen of it to from_predictions."
        )
    labels = [name] if len(row) == 1 else [f"{name}, channel {c}" for c in range(len(row))]
    return {label: Panel(values[:, c], row[c]) for c, label in enumerate(labels)}


def _with_coordinates(
    panels: dict[str, Panel], coordinates: Coordinates | Mapping[str, Coordinates] | None
) -> dict[str, Panel]:
    """Check that every series has one coordinate a column; by default they count from 0."""
    series = [key for key, panel in panels.items() if panel.simulated.ndim == 2]
    each: Mapping[str, Coordinates | None] = (
        coordinates if isinstance(coordinates, Mapping) else dict.fromkeys(series, coordinates)
    )
    if set(each) != set(series):
        raise ValueError(f"coordinates must be given for the series {series}, got {list(each)}.")
    done = dict(panels)
    for key in series:
        panel, given = panels[key], each[key]
        n, where = panel.simulated.shape[1], panel.coordinates
        if given is not None:
            where = pd.Index(given)
        elif where is None:
            where = pd.RangeIndex(n, name="position")
        if len(where) != n:
            raise ValueError(
                f"coordinates of the series {key!r} must have {n} values, got {len(where)}."
            )
        done[key] = Panel(panel.simulated, panel.observed, where)
    return done


def _check_table(simulated: Table, observed: Row, key: str) -> tuple[Panel, list[str] | None]:
    """Check the simulations and the observation of one table, and name its columns if they are."""
    values, names = check_draws(simulated, f"x_simulated{key}", 2)
    if names is None:
        names = names_of_row(observed, values.shape[1])
    known = names or [str(j) for j in range(values.shape[1])]
    return Panel(values, check_row(observed, known, f"x_observed{key}")), names


def _positions(key: str, group: Sequence[Any] | slice, names: list[str]) -> list[int]:
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
    return positions
