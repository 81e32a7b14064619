"""Warnings that point at the user's line."""

from __future__ import annotations

import sys
import warnings

__all__ = ["warn_user"]

_OWN = __name__.split(".")[0]


def warn_user(message: str, category: type[Warning]) -> None:
    """
    Warn, and blame the first line up the stack that is not in this package.

    Parameters
    ----------
    message : str
        What to say.
    category : type
        The kind of warning.
    """
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == _OWN:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
