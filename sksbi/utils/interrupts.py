"""What an interrupted method leaves behind: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["unchanged_on"]


@contextmanager
def unchanged_on(error: type[BaseException], *objects: object) -> Iterator[None]:
    """
    Give objects back the attributes that they had, if the block ends in an error.

    Parameters
    ----------
    error : type
        The kind of error, such as KeyboardInterrupt.
    *objects : object
        The objects. What their attributes refer to is taken to be replaced, not changed.

    Yields
    ------
    None
        While the block runs.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from sksbi.utils.interrupts import unchanged_on
    >>> thing = SimpleNamespace(weight=1)
    >>> try:
    ...     with unchanged_on(KeyboardInterrupt, thing):
    ...         thing.weight, thing.height = 2, 3
    ...         raise KeyboardInterrupt
    ... except KeyboardInterrupt:
    ...     thing
    namespace(weight=1)
    """
    before = [(one, dict(vars(one))) for one in objects]
    try:
        yield
    except error:
        for one, attributes in before:
            vars(one).clear()
            vars(one).update(attributes)
        raise
