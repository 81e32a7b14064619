"""Tables of pandas put together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sksbi.persistence._nodes import Node
from sksbi.persistence._reader import Reader, of_type

__all__ = ["DTYPES", "frame", "index", "series"]

# Of pandas' own, beside NumPy's and categories.
DTYPES = frozenset(
    [
        *(f"{kind}{bits}" for kind in ("Int", "UInt") for bits in (8, 16, 32, 64)),
        *("Float32", "Float64", "boolean", "string", "str"),
    ]
)
_MOST_LABELS = 10**7


def index(reader: Reader, node: Node) -> pd.Index:
    """Make an index."""
    if node["kind"] == "levels":
        codes, names = reader.items(node, "codes"), reader.items(node, "names")
        levels = reader.items(node, "levels")
        if sum(map(len, levels)) > _MOST_LABELS:
            raise ValueError("an index has too many labels")
        return pd.MultiIndex(levels=levels, codes=codes, names=names, verify_integrity=True)
    name = reader.value(node["name"])
    if node["kind"] == "range_index":
        start, stop, step = (of_type(int, bound) for bound in node["bounds"])
        return pd.RangeIndex(start, stop, step, name=name)
    return pd.Index(_column(reader, node["column"]), name=name)


def frame(reader: Reader, node: Node) -> pd.DataFrame:
    """Make a DataFrame."""
    columns, rows = index(reader, node["columns"]), index(reader, node["index"])
    parts = {place: _column(reader, values) for place, values in enumerate(node["values"])}
    if len(parts) != len(columns):
        raise ValueError("a table has other columns")
    made = pd.DataFrame(parts, index=rows, copy=True)
    made.columns = columns
    return made


def series(reader: Reader, node: Node) -> pd.Series:
    """Make a Series."""
    rows, name = index(reader, node["index"]), reader.value(node["name"])
    return pd.Series(_column(reader, node["values"]), index=rows, name=name, copy=True)


def _column(reader: Reader, column: list[Any]) -> Any:
    """Make values with their pandas type."""
    kind, *rest = column
    if kind == "category":
        categories, codes, ordered = map(reader.value, rest)
        return pd.Categorical.from_codes(codes, categories=categories, ordered=ordered)
    (values,) = map(reader.value, rest)
    if np.ndim(values) != 1:  # which pandas would repeat as often as there are rows
        raise ValueError("a column is none")
    if kind == "numpy":
        return np.asarray(values)
    if kind not in DTYPES:
        raise ValueError(f"a column of {kind} is none")
    return pd.array(values, dtype=kind)
