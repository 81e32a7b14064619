"""What a program has written, read as the result of a simulator."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Hashable
from io import StringIO
from typing import Any

import numpy as np
import pandas as pd

from sksbi.utils.types import Array

__all__ = ["PARSERS"]


def read_json(text: str) -> Any:
    """Read JSON."""
    found = json.loads(text)
    if isinstance(found, dict):
        return _spread(found)
    return None if found is None else np.array(found, dtype=float)


def _spread(found: dict[str, Any]) -> dict[str, Any]:
    """Give every entry of a list or an object a name of its own, and NaN to null."""
    values: dict[str, Any] = {}
    for name, value in found.items():
        parts: dict[str, Any] = {name: np.nan if value is None else value}
        if isinstance(value, list):
            parts = _spread({f"{name}_{i}": one for i, one in enumerate(value)})
        elif isinstance(value, dict):
            parts = _spread({f"{name}_{key}": one for key, one in value.items()})
        if twice := sorted(values.keys() & parts.keys()):
            raise ValueError(f"two values have the name {twice[0]!r}")
        values |= parts
    return values


def read_csv(text: str) -> dict[Hashable, Any] | Array:
    """Read a table."""
    lines = [line for line in csv.reader(StringIO(text), skipinitialspace=True) if line]
    for number, line in enumerate(lines[1:], 1):
        if len(line) != len(lines[0]):
            raise ValueError(f"row {number} has {len(line)} fields under {len(lines[0])} names")
    table = pd.read_csv(StringIO(text), skipinitialspace=True, index_col=False)
    if table.empty:
        raise ValueError("there is no row under the names")
    return table.iloc[0].to_dict() if len(table) == 1 else table.to_numpy()


def read_numbers(text: str) -> Array:
    """Read numbers."""
    lines = [line.replace(",", " ").split() for line in text.splitlines()]
    rows = [list(map(float, line)) for line in lines if line]
    if not rows:
        raise ValueError("there is no number")
    return np.array(rows[0] if len(rows) == 1 else rows).squeeze()


PARSERS: dict[str, Callable[[str], Any]] = {
    "json": read_json,
    "csv": read_csv,
    "numbers": read_numbers,
}
