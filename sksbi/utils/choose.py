"""From what a user passes for a part, a name or what makes one, to the part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

__all__ = ["choose", "construct"]

Part = TypeVar("Part")


def choose(value: object, table: Mapping[str, Part], argument: str, otherwise: str) -> Part:
    """
    Find a part by its name, or take what the user made.

    Parameters
    ----------
    value : str or callable
        What the user passed.
    table : mapping of str to object
        The parts that have a name.
    argument : str
        The argument's name, for errors.
    otherwise : str
        What else may be given, for errors.

    Returns
    -------
    object
        The part of that name, or ``value`` itself if it can be called.

    Raises
    ------
    ValueError
        If there is none of that name.
    TypeError
        If it is neither a name nor callable.

    Examples
    --------
    >>> from sksbi.utils.choose import choose
    >>> choose("list", {"list": list, "set": set}, "container", "a callable")
    <class 'list'>
    """
    rule = f"{argument} must be one of {sorted(table)} or {otherwise}"
    if isinstance(value, str):
        if value not in table:
            raise ValueError(f"{rule}, got {value!r}.")
        return table[value]
    if not callable(value):
        raise TypeError(f"{rule}, got an object of type {type(value).__name__}: {value!r}.")
    return value  # type: ignore[return-value]


def construct(
    constructor: Callable[..., Any],
    *args: object,
    what: str,
    options: Mapping[str, object],
    given_as: str,
    errors: tuple[type[Exception], ...] = (TypeError,),
) -> Any:
    """
    Call a constructor, and say in the user's words what it does not take.

    Parameters
    ----------
    constructor : callable
        What makes the part.
    *args : object
        Its arguments.
    what : str
        The argument and its value, such as "flow='maf'".
    options : mapping of str to object
        Its keyword arguments.
    given_as : str
        How a user gives these, such as "module__*".
    errors : tuple of type, default=(TypeError,)
        What it raises for options that it does not take. Others, and those that name an argument
        as scikit-learn's do, pass as they are.

    Returns
    -------
    object
        The part.

    Raises
    ------
    TypeError, ValueError
        If the constructor raises.
    """
    try:
        return constructor(*args, **options)
    except errors as error:
        if ValueError not in errors and isinstance(error, ValueError):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        given = f"({', '.join(map(str, args))})"
        raise kind(
            f"{what} cannot be built as {what.partition('=')[0]}{given} with the options "
            f"{dict(options)}, given as {given_as}: {error}"
        ) from error
