"""
The form of a file: a list of nodes, each of which refers to earlier ones only.

A value is null, a truth, a number, a text, or ``{"at": i}``, the object that node i stands for. So
a file is read in one go from the first node to the last, nothing in it can hold itself, and what
stands in two places is written once. Arrays are members of the archive, in NumPy's own format.
"""

from __future__ import annotations

from typing import Any

__all__ = ["FORMAT", "TREE", "Node", "array_name"]

FORMAT = 1
TREE = "objects.json"

Node = dict[str, Any]


def array_name(number: int) -> str:
    """
    Name the member of the archive that holds an array.

    Parameters
    ----------
    number : int
        The number of the array.

    Returns
    -------
    str
        The name.
    """
    return f"array_{number}.npy"
