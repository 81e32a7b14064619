"""What has been put together so far, and how nodes refer to it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from sksbi.persistence._names import permits
from sksbi.persistence._nodes import Node

__all__ = ["Reader", "of_type"]


class Reader:
    """
    Objects that have been put together.

    Parameters
    ----------
    arrays : callable (number) -> ndarray
        Reads an array.
    trusted : collection of str
        The names that the caller trusts.

    Attributes
    ----------
    made : list of object
        What the nodes so far stand for.
    """

    def __init__(self, arrays: Callable[[int], np.ndarray], trusted: Collection[str]) -> None:
        self._arrays, self.trusted = arrays, trusted
        self.made: list[Any] = []
        self._used: set[int] = set()

    def value(self, value: Any) -> Any:
        """Give what a value stands for."""
        if not isinstance(value, dict):
            if isinstance(value, list):
                raise ValueError("a value is a list")
            return value
        (at,) = value.values()
        if type(at) is not int or not 0 <= at < len(self.made) or "at" not in value:
            raise ValueError(f"{value} is no node before")
        return self.made[at]

    def items(self, node: Node, name: str = "items") -> list[Any]:
        """Give what several values stand for."""
        return [self.value(item) for item in node[name]]

    def pairs(self, node: Node, name: str = "pairs") -> list[tuple[Any, Any]]:
        """Give keys with what they stand for."""
        return [(self.value(key), self.value(item)) for key, item in node[name]]

    def array(self, node: Node) -> np.ndarray:
        """Give an array, which one node may have."""
        number = of_type(int, node["array"])
        if number in self._used:
            raise ValueError("an array stands in two places")
        self._used.add(number)
        return self._arrays(number)

    def may(self, deed: str, name: str) -> bool:
        """Tell whether something may be done with what has a name; with what is trusted, all."""
        return name in self.trusted or permits(name, deed)


def of_type(kind: type, value: Any) -> Any:
    """
    Hold that a value is of a type.

    Parameters
    ----------
    kind : type
        The type.
    value : object
        The value.

    Returns
    -------
    object
        The same.

    Raises
    ------
    ValueError
        If it is of another.
    """
    if type(value) is not kind:
        raise ValueError(f"{value!r} is no {kind.__name__}")
    return value
